"""``realtime-sync chat``: a conversation in writing, or one question."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Optional

from realtime_sync.cli.answering import answer_aloud, answer_as_json
from realtime_sync.cli.client_options import add_client_options, client_from
from realtime_sync.cli.connection_notes import note_endings
from realtime_sync.cli.overwriting import check_files
from realtime_sync.cli.prompt import END_KEYS, Prompt, history_file
from realtime_sync.cli.session_options import add_model_options, add_session_options, given, start_session
from realtime_sync.cli.terminal import counted, note, note_cost, piped_in, say
from realtime_sync.cli.tool_files import load_tools
from realtime_sync.conversation import Conversation
from realtime_sync.errors import (
    ConfigurationError,
    ConnectionClosedError,
    ConnectionReplacedError,
    InvalidInputError,
    RealtimeSyncError,
    SessionNotOpenError,
)
from realtime_sync.protocol.options import ConversationSessionOptions
from realtime_sync.session import RealtimeConversationSession
from realtime_sync.tools import ToolRunner

_DESCRIPTION = """\
Talk with the model in writing. Without a QUESTION it asks for one after the other: Ctrl-C
stops an answer, `quit` or Ctrl-D ends. With one, or with text piped in, it answers that and ends."""

_EXAMPLES = """\
examples:
  realtime-sync chat
  realtime-sync chat "What is the tallest tree?"
  realtime-sync chat "Summarise this:" - < report.txt         # - is what is piped in
  realtime-sync chat --tools tools.py --instructions "You book tables."
  realtime-sync chat --resume talk.json --save talk.json      # go on another day
  realtime-sync chat --json "Is 97 a prime?" | jq .text
  realtime-sync chat --local                                  # without key or network

The exit code of one question is 0 where its answer is complete, else 1. A connection that is
lost is made anew, with what was said. Lines entered are kept in
~/.local/state/realtime-sync/chat_history, unless --no-history is given."""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """See ``realtime_sync.cli``."""
    parser = subparsers.add_parser(
        "chat",
        help="talk with the model in writing, or ask one question",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    parser.add_argument("question", nargs="*", metavar="QUESTION", help="what to ask; - is the standard input")
    parser.add_argument("--save", metavar="FILE", help="write the conversation as JSON, in the end")
    parser.add_argument("--resume", metavar="FILE", help="begin with a conversation that was saved")
    parser.add_argument("--json", action="store_true", help="print each answer as a line of JSON")
    parser.add_argument("--no-history", action="store_true", help="neither read nor keep the lines entered")
    add_model_options(add_session_options(parser))
    add_client_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Hold the conversation. Raises ``OSError`` and the errors of a session."""
    check_files(arguments, written=arguments.save)
    tools = load_tools(arguments.tools)
    earlier = _read(arguments.resume) if arguments.resume else None
    question = _question(arguments.question)
    prompt = Prompt("you> ", None if arguments.no_history else history_file()) if question is None else None
    with ExitStack() as stack:
        runner = stack.enter_context(ToolRunner(tools))
        settings = given(instructions=arguments.instructions, tools=runner.definitions or None)
        options = ConversationSessionOptions(content_modalities=["text"], **settings)
        client = stack.enter_context(client_from(arguments))
        pool = stack.enter_context(ThreadPoolExecutor(1, "realtime-sync-notes"))  # left after the session's end
        session = stack.enter_context(start_session(client, arguments, options, prompt.tell if prompt else note))
        stack.enter_context(_saved(session, arguments.save))
        if earlier is not None:
            _go_on(session, earlier)
        if question is not None:
            return _answer(session, question, runner, arguments.json)
        assert prompt is not None
        pool.submit(note_endings, session.subscribe(), prompt.tell)
        _converse(session, runner, prompt, arguments.json)
        note_cost(session.conversation, priced=not arguments.local)
    return 0


def _question(words: list[str]) -> Optional[str]:
    """The one question; None to ask for one after the other."""
    if not words and sys.stdin.isatty():
        return None
    piped = piped_in() if not words or "-" in words else ""
    question = " ".join(piped if word == "-" else word for word in words or ["-"]).strip()
    if not question:
        raise ConfigurationError("there is no question: what was piped in is empty.")
    return question


def _converse(session: RealtimeConversationSession, runner: ToolRunner, prompt: Prompt, as_json: bool) -> None:
    note(f"Ctrl-C stops an answer, {END_KEYS} ends.")
    try:
        while True:
            try:
                line = prompt.next_line()
                if line is None:
                    return
                _answer(session, line, runner, as_json)
            except KeyboardInterrupt:
                note("stopped")
            except ConnectionReplacedError as error:  # the session goes on over a new connection
                note(str(error))
            except (ConnectionClosedError, SessionNotOpenError):
                raise
            except RealtimeSyncError as error:
                note(str(error))
    finally:
        prompt.save()


def _answer(session: RealtimeConversationSession, question: str, runner: ToolRunner, as_json: bool) -> int:
    answer = answer_aloud(session, question, runner, streaming=not as_json)
    if as_json:
        say(json.dumps(answer_as_json(answer), ensure_ascii=False))
    return 0 if answer.completed or answer.status is None else 1


# A conversation that is kept ------------------------------------------------------------------------------------------


def _read(path: str) -> Conversation:
    try:
        return Conversation.from_json(Path(path).read_text("utf-8"))
    except OSError as error:
        raise ConfigurationError(f"--resume {path}: {error.strerror}") from error
    except ValueError as error:
        raise InvalidInputError(f"{path} cannot be gone on with: {error}") from error


def _go_on(session: RealtimeConversationSession, earlier: Conversation) -> None:
    for handle in session.add_history(earlier):
        handle.wait()
    for loss in earlier.history_losses():
        note(f"not carried over: {loss}")
    note(f"going on after {counted(len(earlier.items), 'item')}")


@contextmanager
def _saved(session: RealtimeConversationSession, path: Optional[str]) -> Iterator[None]:
    """Write the conversation in the end, whatever ended it."""
    if path is None:
        yield
        return
    target = Path(path)
    target.open("ab").close()  # refused now, before there is something to lose
    try:
        yield
    finally:
        target.write_text(session.conversation.to_json(), "utf-8")
        note(f"the conversation is in {path}")

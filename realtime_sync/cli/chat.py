"""``realtime-sync chat``: a conversation in writing, or one question."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Optional

import attrs

from realtime_sync.cli import options, terminal, texts
from realtime_sync.conversation import Conversation
from realtime_sync.core.answer import Answer, Delta
from realtime_sync.errors import ConfigurationError, InvalidInputError, RealtimeSyncError
from realtime_sync.protocol.items import FunctionCallItem
from realtime_sync.protocol.options import ConversationSessionOptions
from realtime_sync.recording.private_file import private
from realtime_sync.session import RealtimeConversationSession
from realtime_sync.tools import ToolOutcome
from realtime_sync.words import counted, cut

_PATIENCE_SECONDS = 600.0  # for an answer, with all that it calls
_SHOWN = 100  # characters of a call, and of its result
_HELP = f"""\
  /help         this list
  /cost         what the conversation has used and cost so far
  /save FILE    write it as JSON, for --resume
  /quit         end, as {terminal.END_KEYS.rstrip(",")} does
  //...         say what begins with a slash
  Ctrl-C stops an answer."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what ``chat`` reads."""
    parser.add_argument("question", nargs="*", metavar="QUESTION", help="what to ask; - is the standard input")
    parser.add_argument("--save", metavar="FILE", help="write the conversation as JSON, in the end")
    parser.add_argument("--resume", metavar="FILE", help="begin with a conversation that was saved")
    parser.add_argument("--json", action="store_true", help="print each answer as a line of JSON")
    options.add_session_options(parser)


def chat(arguments: argparse.Namespace) -> int:
    """Talk with the model in writing, or ask one question.

    Without a QUESTION it asks for one after the other: Ctrl-C stops an answer, `/quit` or Ctrl-D
    ends, `/help` tells more. With one, or with text piped in, it answers that and ends.

    Examples:
      realtime-sync chat
      realtime-sync chat "What is the tallest tree?"
      realtime-sync chat "Summarise this:" - < report.txt         # - is what is piped in
      realtime-sync chat --tools tools.py --instructions "You book tables."
      realtime-sync chat --resume talk.json --save talk.json      # go on another day
      realtime-sync chat --json "Is 97 a prime?" | jq .text
      realtime-sync chat --local                                  # without key or network

    The exit code of one question is 0 if its answer is complete, else 1. If the connection is
    lost, a new one is made, and the model still knows what was said.
    """
    options.check_files(arguments, written=arguments.save)
    tools = options.load_tools(arguments.tools)
    earlier = _read(arguments.resume) if arguments.resume else None
    question = terminal.text_from(arguments.question, "question")
    keeper = _Keeper([arguments.resume] if arguments.resume else [], overwrite=arguments.overwrite)
    if arguments.save:
        keeper.check(arguments.save)
    with ExitStack() as stack:
        settings = options.given(instructions=arguments.instructions, tools=tools or None)
        session_options = ConversationSessionOptions(content_modalities=["text"], **settings)
        client = stack.enter_context(options.client_from(arguments))
        session = stack.enter_context(options.open_session(client, arguments, session_options))
        stack.enter_context(keeper.saved(session, arguments.save))
        if earlier is not None:
            _go_on(session, earlier)
        if question is not None:
            return _answer(session, question, arguments.json)
        _converse(session, arguments, keeper)
        terminal.note_cost(session.conversation, priced=not arguments.local)
    return 0


def _converse(session: RealtimeConversationSession, arguments: argparse.Namespace, keeper: _Keeper) -> None:
    terminal.note(f"Ctrl-C stops an answer, {terminal.END_KEYS} ends, /help tells more")
    while True:
        try:
            line = terminal.next_line("you> ")
            if line is None or line.partition(" ")[0] == "/quit":
                return
            if line.startswith("/") and not line.startswith("//"):
                _obey(line, session, keeper, priced=not arguments.local)
            else:
                _answer(session, line[1:] if line.startswith("//") else line, arguments.json)
        except KeyboardInterrupt:
            terminal.note("stopped")
        except RealtimeSyncError as error:
            if session.closed:
                raise
            terminal.note(terminal.cause(error))  # of this line; the session goes on


def _obey(line: str, session: RealtimeConversationSession, keeper: _Keeper, *, priced: bool) -> None:
    """Do what a line that begins with a slash says."""
    command, _, rest = line.partition(" ")
    if command == "/help":
        terminal.print_beside(_HELP)
    elif command == "/cost":
        if session.conversation.usage.responses == 0:
            terminal.note("there is no answer yet")
        terminal.note_cost(session.conversation, priced=priced)
    elif command == "/save" and rest.strip():
        path = os.path.expanduser(rest.strip())
        try:
            keeper.check(path)
            keeper.save(session, path)
        except OSError as error:
            terminal.note(f"{path}: {terminal.cause(error)}")
    elif command == "/save":
        terminal.note("where to? For example: /save talk.json")
    else:
        terminal.note(f"there is no {command}: /help lists what there is; // says what begins with a slash")


# One answer -----------------------------------------------------------------------------------------------------------


def _answer(session: RealtimeConversationSession, question: str, as_json: bool) -> int:
    on_delta = None if as_json else _show
    try:
        answer = session.ask(question, on_delta=on_delta, on_call=_note_call, timeout=_PATIENCE_SECONDS)
    finally:
        terminal.finish_line()
    if not answer.completed and answer.status is not None:
        terminal.note(f"the answer is {answer.status}{f': {answer.reason}' if answer.reason else ''}")
    if as_json:
        terminal.show(json.dumps(_answer_as_json(answer), ensure_ascii=False))
    return 0 if answer.completed or answer.status is None else 1


def _show(delta: Delta) -> None:
    if delta.text:
        terminal.show(delta.text, end="")


def _note_call(call: FunctionCallItem, outcome: ToolOutcome) -> None:
    terminal.finish_line()
    arrow = "failed:" if outcome.error is not None else "->"
    terminal.note(f"{cut(f'{call.name}({call.arguments or str()})', _SHOWN)} {arrow} {cut(outcome.output, _SHOWN)}")


def _answer_as_json(answer: Answer) -> dict[str, Any]:
    """``cost`` is in US dollars, ``seconds`` after the question was asked."""
    usage = answer.usage
    return {
        "text": str(answer),
        "status": answer.status,
        "reason": answer.reason,
        "input_tokens": usage.input_tokens if usage else None,
        "output_tokens": usage.output_tokens if usage else None,
        "cost": answer.cost,
        "seconds": {name: at and round(at, 3) for name, at in attrs.asdict(answer.timings).items()},
    }


# A conversation that is kept ------------------------------------------------------------------------------------------


def _read(path: str) -> Conversation:
    try:
        return Conversation.from_json(texts.text_of(path))
    except OSError as error:
        raise ConfigurationError(f"--resume {path}: {terminal.cause(error)}") from error
    except ValueError as error:
        raise InvalidInputError(f"--resume: {path} cannot be gone on with: {error}") from error


def _go_on(session: RealtimeConversationSession, earlier: Conversation) -> None:
    for handle in session.add_history(earlier):
        handle.wait()
    for loss in earlier.history_losses():
        terminal.note(f"not carried over: {loss}")
    terminal.note(f"going on after {counted(len(earlier.items), 'item')}")


class _Keeper:
    """Writes the conversation to files, and over none that holds anything else.

    ``own``: files that may be written over: those that it goes on with, and from then on those that it has written.
    """

    def __init__(self, own: list[str], *, overwrite: bool) -> None:
        self._own = own
        self._overwrite = overwrite

    def check(self, path: str) -> None:
        """Raise ``ConfigurationError`` if to write there would destroy something, ``OSError`` if nothing can."""
        options.check_named("the conversation", path)
        options.check_writable(path)
        own = any(options.is_same(path, other) for other in self._own)
        if own or not os.path.isfile(path) or os.path.getsize(path) == 0:
            return
        try:
            _read(path)
        except InvalidInputError:
            other = "give a name such as talk.json"
            raise ConfigurationError(f"{path} is there already, and is no saved conversation: {other}.") from None
        if not self._overwrite:
            other = "give another name, --resume it, or --overwrite"
            raise ConfigurationError(f"{path} holds an earlier conversation: {other}.")

    def save(self, session: RealtimeConversationSession, path: str) -> None:
        text = session.conversation.to_json()  # before the file is emptied
        with open(path, "w", encoding="utf-8", opener=private) as file:
            file.write(text)
        self._own.append(path)
        terminal.note(f"the conversation is in {path}")

    @contextmanager
    def saved(self, session: RealtimeConversationSession, path: Optional[str]) -> Iterator[None]:
        """Save in the end of the block, whatever ended it."""
        try:
            yield
        finally:
            if path:
                self.save(session, path)

"""``realtime-sync talk --live``: a spoken conversation with GPT-Live, which listens while it speaks."""

from __future__ import annotations

import argparse
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING, Union

from realtime_sync.budget import Budget
from realtime_sync.cli import options, terminal
from realtime_sync.cli.colours import Colour, painted
from realtime_sync.conversation.live.turns import LiveTurn, LiveTurnCollector
from realtime_sync.errors import ConfigurationError
from realtime_sync.live.delegation_requests import DelegationRequest
from realtime_sync.live.responses_backend import ResponsesBackend
from realtime_sync.protocol import updates
from realtime_sync.protocol.live.options import LiveSessionOptions
from realtime_sync.protocol.live.updates import (
    LiveSessionDelegationCreatedUpdate,
    LiveSessionInputTranscriptDeltaUpdate,
    LiveSessionOutputTranscriptDeltaUpdate,
)
from realtime_sync.protocol.update_base import ConversationUpdate
from realtime_sync.timeline.live_table import turn_as_json
from realtime_sync.words import counted

if TYPE_CHECKING:
    from realtime_sync.live.delegate_threads import Delegate
    from realtime_sync.live.session import LiveSession
    from realtime_sync.voice import Microphone, Speaker

_BACKEND = "gpt-5.6-luna"
_SPEAKERS: dict[str, tuple[str, Colour]] = {"user": ("you", "cyan"), "assistant": ("model", "green")}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what belongs to ``--live``."""
    group = parser.add_argument_group("GPT-Live", "Full duplex: the model itself decides who speaks when.")
    live = "talk with GPT-Live; --model is then OPENAI_LIVE_MODEL or AZURE_OPENAI_LIVE_DEPLOYMENT, else gpt-live-1.1"
    group.add_argument("--live", action="store_true", help=live)
    backend = f"the model that works for it, and calls the --tools (default: none; with --tools {_BACKEND})"
    group.add_argument("--backend", metavar="NAME", help=backend)


def check(arguments: argparse.Namespace) -> None:
    """Raise ``ConfigurationError`` if options contradict each other."""
    if arguments.backend and not arguments.live:
        raise ConfigurationError("--backend is for --live: give both.")
    if arguments.transcription_model and arguments.live:
        raise ConfigurationError("--transcription-model is not for --live: GPT-Live writes both sides down by itself.")


def talk(arguments: argparse.Namespace, tools: options.Tools, microphone: Microphone, speaker: Speaker) -> None:
    """Hold the conversation."""
    settings = LiveSessionOptions(**options.given(instructions=arguments.instructions, voice=arguments.voice))
    with ExitStack() as stack:
        client = stack.enter_context(options.client_from(arguments, speech=True))
        pool = stack.enter_context(ThreadPoolExecutor(1, "realtime-sync-notes"))  # left after the session's end
        session = stack.enter_context(
            client.start_live_session(
                settings,
                model=arguments.model,
                delegate=_delegate(arguments.backend, tools),
                reconnect=True,
                recording=arguments.record,
                budget=None if arguments.budget is None else Budget(arguments.budget),
            )
        )
        pool.submit(options.note_losses, session.subscribe())  # ends with the session
        options.begin_talk(arguments, microphone, speaker)
        with _LiveDisplay(as_json=arguments.json) as display:
            session.talk(microphone, speaker, on_update=display.show_update)
    _note_cost(session, priced=not arguments.local)


def _delegate(backend: str, tools: options.Tools) -> Union[ResponsesBackend, Delegate]:
    if backend or tools:
        return ResponsesBackend(backend or _BACKEND, tools=tools)
    return _refuse


def _refuse(request: DelegationRequest) -> str:
    """Answer what nobody works for, because the model waits for an answer, and says that it is looking."""
    terminal.note("the model has handed work over, and nobody does it: --backend NAME names a model that does")
    return "This cannot be looked up in this call."


def _note_cost(session: LiveSession, *, priced: bool) -> None:
    """Print how long the session was and, if ``priced``, what it cost."""
    usage = session.usage
    cost = usage.cost() if priced else None
    price = f", ${cost:.4f} by list prices" if cost is not None else ", at a price that is not known" if priced else ""
    least = "" if usage.final else "at least "
    terminal.note(f"{least}{counted(round(usage.seconds), 'second')} of GPT-Live{price}")


class _LiveDisplay:
    """Shows what is being said, and each turn once it is over; at the block's end also those that were not over."""

    def __init__(self, *, as_json: bool) -> None:
        self._collector = LiveTurnCollector()
        self._as_json = as_json
        self._saying = {"you": "", "model": ""}

    def __enter__(self) -> _LiveDisplay:
        terminal.show_status("listening")
        return self

    def __exit__(self, *exc_info: object) -> None:
        terminal.clear_status()
        for turn in self._collector.rest():
            self._print(turn)

    def show_update(self, update: ConversationUpdate) -> None:
        if isinstance(update, LiveSessionInputTranscriptDeltaUpdate):
            self._show_words("you", update.delta)
        elif isinstance(update, LiveSessionOutputTranscriptDeltaUpdate):
            self._show_words("model", update.delta)
        elif isinstance(update, LiveSessionDelegationCreatedUpdate):
            terminal.show_status("working")
        elif isinstance(update, updates.ErrorUpdate):
            terminal.note(f"refused: {update.message}")
        for turn in self._collector.apply(update):
            self._print(turn)

    def _show_words(self, who: str, words: str) -> None:
        between = " " if self._saying[who].endswith((".", "!", "?")) else ""  # which a new sentence may lack
        self._saying[who] += between + words
        terminal.show_status(f"{who:<5}  {self._saying[who]}")

    def _print(self, turn: LiveTurn) -> None:
        who, colour = _SPEAKERS[turn.speaker]
        self._saying[who] = ""
        if self._as_json:
            terminal.show(json.dumps(turn_as_json(turn), ensure_ascii=False))
            return
        label = painted(f"{who:<7}", colour, sys.stdout)
        terminal.show(f"{' '.join(turn.text.split())}  [{turn.start_ms / 1000:.1f} s]", label=label)

"""A spoken conversation as it is shown: what goes on now, and each turn once it is over."""

from __future__ import annotations

import json
import time
from typing import Any, Optional

import attrs

from realtime_sync.cli.connection_notes import there_again
from realtime_sync.cli.terminal import StatusLine, note, say
from realtime_sync.conversation.turns import Turn, TurnTracker
from realtime_sync.protocol.connection_updates import SessionReconnectedUpdate
from realtime_sync.protocol.resources import RealtimeSession
from realtime_sync.protocol.update_base import ConversationUpdate
from realtime_sync.protocol.updates import (
    ErrorUpdate,
    InputAudioBufferSpeechStartedUpdate,
    InputAudioBufferSpeechStoppedUpdate,
    ResponseCreatedUpdate,
    ResponseOutputAudioTranscriptDeltaUpdate,
)


class TurnDisplay:
    """``see`` every update; ``with`` prints, in the end, the turn that was not over. ``as_json``: lines of JSON."""

    def __init__(self, session: Optional[RealtimeSession], *, as_json: bool) -> None:
        self._tracker = TurnTracker(session)
        self._as_json = as_json
        self._status = StatusLine()
        self._answer = ""

    def __enter__(self) -> TurnDisplay:
        self._status.show("listening")
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._status.clear()
        for turn in self._tracker.rest():
            self._print(turn)

    def see(self, update: ConversationUpdate) -> None:
        """Show what an update tells; on the thread that talks."""
        if isinstance(update, InputAudioBufferSpeechStartedUpdate):
            self._status.show("you speak")
        elif isinstance(update, InputAudioBufferSpeechStoppedUpdate):
            self._status.show("thinking")
        elif isinstance(update, ResponseCreatedUpdate):
            self._answer = ""
        elif isinstance(update, ResponseOutputAudioTranscriptDeltaUpdate):
            self._answer += update.delta
            self._status.show(f"model  {self._answer}")
        elif isinstance(update, ErrorUpdate) and update.code != "response_cancel_not_active":
            self._tell(f"refused: {update.message}")
        elif isinstance(update, SessionReconnectedUpdate):
            self._tell(there_again(update))
        for turn in self._tracker.apply(update, time.monotonic()):
            self._print(turn)

    def _tell(self, text: str) -> None:
        self._status.clear()
        note(text)

    def _print(self, turn: Turn) -> None:
        self._status.clear()
        if self._as_json:
            say(json.dumps(turn_as_json(turn), ensure_ascii=False))
            return
        say(f"you    {_words(turn.user_transcript)}")
        latency = turn.timeline.speech_stopped_to_first_audio
        told = f"  [{latency:.2f} s]" if latency is not None else ""
        say(f"model  {_words(turn.transcript or turn.text)}{' [interrupted]' if turn.interrupted else ''}{told}")


def turn_as_json(turn: Turn) -> dict[str, Any]:
    """A turn as ``--json`` tells it; times in seconds after it began, ``latency`` after the end of speech was told."""
    latency = turn.timeline.speech_stopped_to_first_audio
    return {
        "user": " ".join(filter(None, (turn.user_text, turn.user_transcript))),
        "model": turn.transcript or turn.text,
        "interrupted": turn.interrupted,
        "status": turn.status,
        "latency": None if latency is None else round(latency, 3),
        "timeline": {name: at and round(at, 3) for name, at in attrs.asdict(turn.timeline).items()},
    }


def _words(text: Optional[str]) -> str:
    return " ".join((text or "").split()) or "..."

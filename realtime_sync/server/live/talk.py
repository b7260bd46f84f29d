"""The talk of a live session as its brain knows it, and when the brain is asked."""

from __future__ import annotations

import collections
import logging
import threading
from typing import TYPE_CHECKING, Iterable, Optional

from realtime_sync.server.clock import Cancel
from realtime_sync.server.live.brain import DelegateWork, LiveBrain, LivePiece, ResponderBrain
from realtime_sync.server.responder import Turn
from realtime_sync.server.wire import Json, new_id

if TYPE_CHECKING:
    from realtime_sync.server.live.session import TwinSession

_log = logging.getLogger("realtime_sync.server")
_KEPT = 128  # messages that the brain is told
_WAITS_MS = 300.0  # for more of the user's words
_YIELDS_MS = 400.0  # until the model goes silent because the user speaks


class TwinTalk:
    """The talk of one session. Every method is called under its lock, the brain without it."""

    def __init__(self, session: TwinSession) -> None:
        self._session = session
        self._messages: collections.deque[Json] = collections.deque(maxlen=_KEPT)
        self._user = self._model = ""  # what has been said since the brain was asked
        self._no_answer: Cancel = lambda: None
        self._no_hush: Cancel = lambda: None
        self._is_over = threading.Event()
        self._brain: Optional[LiveBrain] = session.rules.brain
        if self._brain is None and session.settings.speech.understands:
            self._brain = ResponderBrain(session.settings.responder)

    @property
    def yields(self) -> bool:
        """Whether the model goes silent when the user speaks."""
        told = self._session.rules.yields
        return self._brain is not None if told is None else told

    def begin(self) -> None:
        """The session starts, with the history that it was given."""
        for item in self._session.options["input"]:
            self._add(str(item["role"]), str(item["content"][0]["text"]))

    def goes_on_from(self, other: TwinTalk) -> None:
        """What was said in another session is known."""
        self._messages.extend(other._messages)
        for role, text in (("user", other._user.strip()), ("assistant", other._model.strip())):
            if text:
                self._add(role, text)

    def end(self) -> None:
        """The session is over: nobody waits for the brain any more."""
        self._is_over.set()

    def was_said(self, role: str, text: str) -> None:
        """Somebody's words were told."""
        if role == "user":
            self._user = _joined(self._user, text)
        else:
            self._model = _joined(self._model, text)

    def user_speaks(self, at_ms: float) -> None:
        """The user begins to speak there on the timeline. A word in between, soon ended, silences nobody."""
        self._no_answer()
        if self.yields:
            self._no_hush = self._session.schedule.add(at_ms + _YIELDS_MS, self._session.mouth.hush)

    def user_has_ended(self, at_ms: float) -> None:
        """The user's words end there on the timeline, as it seems: the brain is asked a little later."""
        self._no_answer()
        self._session.schedule.add(at_ms, self._no_hush)
        if self._brain is not None:
            self._no_answer = self._session.schedule.add(at_ms + _WAITS_MS, self._ask)

    def _ask(self) -> None:
        brain, text = self._brain, self._user.strip()
        if brain is None or not text:
            return
        if self._model.strip():
            self._add("assistant", self._model.strip())
        self._add("user", text)
        self._user = self._model = ""
        turn = self._turn()
        self._session.start_thread(lambda: self._answer(brain, turn), "live-brain")

    def _answer(self, brain: LiveBrain, turn: Turn) -> None:
        try:
            said = brain(turn)
            pieces: Iterable[LivePiece] = [said] if isinstance(said, (str, DelegateWork)) else said
            for piece in pieces:
                if self._is_over.is_set():
                    return
                if isinstance(piece, DelegateWork):
                    self._session.delegate()
                else:
                    self._session.say(piece)
        except Exception:  # user code; the service's model would say nothing
            _log.exception("the brain of a live session failed")

    def _turn(self) -> Turn:
        options = self._session.options
        return Turn(
            items=list(self._messages),
            audio_ms={},
            audio={},
            instructions=options["instructions"] or "",
            tools=options["delegation"].get("responses", {}).get("tools", []),
            tool_choice="auto",
            modalities=["audio"],
            params={},
            session=options,
            cancelled=self._is_over,
        )

    def _add(self, role: str, text: str) -> None:
        kind = "output_text" if role == "assistant" else "input_text"
        part = {"type": kind, "text": text}
        self._messages.append({"id": new_id("item"), "type": "message", "role": role, "content": [part]})


def _joined(said: str, text: str) -> str:
    """One text of two: the first piece of what somebody says comes without a space before it."""
    wants_space = said and text and said[-1].isascii() and text[0].isascii() and not text[0].isspace()
    return f"{said} {text}" if wants_space else said + text

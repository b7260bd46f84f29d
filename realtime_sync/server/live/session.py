"""A live session of the server: the state machine behind one WebSocket of ``/v1/live/sessions``.

Its timeline is ``running.py``'s; what is on it is that of its parts: what is heard (``ears.py``), said (``mouth.py``),
appended, delegated and decided.
"""

from __future__ import annotations

import functools
import json
import logging
import time
from typing import TYPE_CHECKING, Callable, Mapping, Optional, cast

from realtime_sync.errors import UsageError
from realtime_sync.server.auth import LiveDoor, Policy
from realtime_sync.server.live.appends import TwinAppends
from realtime_sync.server.live.decisions import DecisionsTarget
from realtime_sync.server.live.delegations import TwinDelegations
from realtime_sync.server.live.ears import Ears
from realtime_sync.server.live.faults import LiveRules
from realtime_sync.server.live.fixture import TwinFixture, decoded
from realtime_sync.server.live.mouth import Mouth
from realtime_sync.server.live.recordings import TwinRecording
from realtime_sync.server.live.responses import ResponsesTarget
from realtime_sync.server.live.running import RunningSession
from realtime_sync.server.live.settings import check_start, format_of, resolved, tokens_of, updated
from realtime_sync.server.live.shapes import check_message
from realtime_sync.server.live.talk import TwinTalk
from realtime_sync.server.live.target import DelegationTarget
from realtime_sync.server.live.track import OutputTrack, bytes_per_ms
from realtime_sync.server.live.words import TimedWords
from realtime_sync.server.served import printable
from realtime_sync.server.settings import SessionSettings
from realtime_sync.server.traffic import Upgrade
from realtime_sync.server.wire import Json, Refused, new_id

if TYPE_CHECKING:
    from realtime_sync.server.session import ServerSession

_log = logging.getLogger("realtime_sync.server")
# As for other sessions: one line when a session begins and one when it ends. Never a key or a text.
_sessions_log = logging.getLogger("realtime_sync.server.sessions")
_UNTIL_INCOMPLETE = 0.2  # seconds from session.close to the error about appends that did not land
_UNTIL_CLOSED = 0.5  # seconds from there to session.closed
_CONTEXT_TOKENS = 128_000
_TOKENS_PER_SECOND = 40  # of the timeline; as the ratios in captures grow
_HEARD = "session.input_transcript.delta"


class TwinSession(RunningSession):
    """One live session, live or past; also the record of what it has sent and received.

    ``ended_by``: the reason that ``session.closed`` has told, or None. ``recording``: the sound of a stored session.
    What is heard, said and delegated raises ``UsageError`` before the session has started.
    """

    def __init__(
        self, door: LiveDoor, policy: Policy, rules: LiveRules, settings: SessionSettings, upgrade: Upgrade
    ) -> None:
        super().__init__(rules.of_service(azure=door.azure), settings, upgrade)
        self.door = door
        self.policy = policy
        self.id = new_id("live", 28)
        self.session: Optional[Json] = None
        self.recording: Optional[TwinRecording] = None
        self.ears = Ears(self)
        self.mouth = Mouth(self)
        self.appends = TwinAppends(self)
        self.delegations = TwinDelegations(self)
        self.fixture = TwinFixture(self)
        self.talk = TwinTalk(self)
        self.target = DelegationTarget(self)
        self.decisions = DecisionsTarget(self)
        self._closing = False

    # For tests, from any thread --------------------------------------------------------------------------------

    def hear(self, text: str) -> None:
        """The user says this from the timeline's now on, as if it had been understood; nothing while muted."""
        with self.lock:
            self._check_started()
            if not self.ears.muted:
                self.talk.user_speaks(self.timeline_ms)
                self.ears.hear_words(text)
                self.talk.user_has_ended(self.ears.ends_at_ms)

    def say(self, text: str) -> None:
        """The model says this from the next place of the timeline on, behind all that it is about to say."""
        with self.lock:
            self._check_started()
            self.mouth.say(text)

    def delegate(self, after_last_fragment: bool = True) -> str:
        """The model delegates, right after the user's last words, or at once. Returns the delegation's id."""
        with self.lock:
            self._check_started()
            return self.delegations.create(after_words=after_last_fragment)

    def hush(self) -> None:
        """The model goes silent: what it has not said is not said any more."""
        with self.lock:
            self.mouth.hush()

    def drop(self, code: int = 1011, reason: str = "") -> None:
        """Close the connection with this code, without a word before it."""
        self.close(code, reason)

    def moderate(self, *, ends: bool = False) -> None:
        """The moderation cuts what the model says; with ``ends``, it ends the session."""
        with self.lock:
            self.mouth.hush()
            if ends:
                self.end("content")
            else:
                told = "The response was cut because its content was flagged."
                self.refuse(Refused("content_filter", told, kind="server_error"))

    def refuse(self, refusal: Refused) -> None:
        """Send an ``error`` that answers no message of the client's."""
        self._refuse(refusal, None)

    def emit(self, event: Json, client_event_id: Optional[str] = None) -> None:
        """Send an event; an ``event_id`` is added, and the id of the client's message that it answers."""
        with self.lock:
            named = {"client_event_id": client_event_id} if client_event_id and self.rules.echoes_ids else {}
            self.send_as_it_is({"event_id": new_id("event"), **event, **named})

    @property
    def options(self) -> Json:
        """The session as it is told. Raises ``UsageError`` before it has started."""
        self._check_started()
        assert self.session is not None
        return self.session

    def _check_started(self) -> None:
        if self.session is None:
            raise UsageError(
                "the live session has not started: its client has not said session.start, or was refused. "
                'twin.wait_for_sent("session.started") waits for it'
            )

    @property
    def stored(self) -> bool:
        """Whether it is kept, for a fork and for its recording."""
        return bool(self.session and self.session.get("store"))

    @property
    def voice(self) -> str:
        """The name of the voice; of a voice of the client's own, its id."""
        voice = self.options["audio"]["output"]["voice"]
        return str(voice["id"] if isinstance(voice, dict) else voice)

    @property
    def has_own_words(self) -> bool:
        """Whether somebody must be asked for them."""
        return self.rules.in_own_words is not str

    def in_own_words(self, content: str) -> str:
        """What the model says for what it was told to say."""
        try:
            told: object = self.rules.in_own_words(content)
            if not isinstance(told, str):
                raise TypeError(f"in_own_words must return a text, not {type(told).__name__}")
            return told
        except Exception:  # user code
            _log.exception("in_own_words failed; the text is said as it is")
            return content

    def heard_context(self, kind: str, content: str) -> None:
        """The model has been told something by an append."""
        if isinstance(self.target, ResponsesTarget) and kind == "thinking":
            self.target.may_speak = True

    # The connection's thread -----------------------------------------------------------------------------------

    def on_open(self) -> None:
        """See ``Handler``. The client speaks first."""
        assert self.connection is not None
        with self.lock:
            self.connection.delay = self._delay
            self._schedule_ping()
            self._run_due_acts()
        script = self.settings.script
        if script is not None:
            # A script needs nothing but what every session has.
            self.start_thread(lambda: script.run(cast("ServerSession", self)), "script")

    def on_end(self, code: int, reason: str, *, by_client: bool) -> None:
        """See ``Handler``."""
        with self.lock:
            self._tell_lost()
            self.is_over = True
            self._cancel_timers()
            self.target.close()
            self.decisions.close()
            self.talk.end()
            self.ears.end()
            self.mouth.hush()
            self.forget()
            model = "no model" if self.session is None else printable(str(self.session["model"]))
        seconds = time.monotonic() - self.opened_at
        how = "connection lost" if code == 1006 else f"closed by the {'client' if by_client else 'server'} with {code}"
        _sessions_log.info("%s ended: %s, %.1f s, %s", self.id, model, seconds, how)
        self.note_closed(code, reason, by_client)

    def _refuse(self, refusal: Refused, event_id: Optional[str]) -> None:
        with self.lock:
            self.emit(error_event(refusal, event_id if self.rules.echoes_ids else None, self.rules), event_id)
            if self.session is None:  # before the session has started every error is the end
                self._closing = True
                self.close(1008, "")

    # Client messages, under the lock -----------------------------------------------------------------------------

    @property
    def _is_ending(self) -> bool:
        """Whether nothing that comes is answered any more."""
        return self._closing or self.has_ended

    def _handle(self, message: Json) -> None:
        if self._is_ending:
            return
        check_message(message)
        if self.session is None:
            self._start(message)
        else:
            self.command(message)

    def command(self, message: Json) -> None:
        """Do what a checked message says, of this socket or of one that is attached. Raises ``Refused``."""
        kind = str(message["type"])
        if self._is_ending:
            return
        handler = self._handlers.get(kind)
        if handler is not None:
            handler(self, message)
        elif kind.endswith(".append"):
            self.appends.take(message)
        elif kind.startswith("response."):
            self.target.take(message)
        elif kind.startswith("decision."):
            (self.decisions if self._decides else self.target).take(message)
        else:
            raise Refused("invalid_event", "The session has started already.", "type")
        self.pump()

    def _start(self, message: Json) -> None:
        if message["type"] != "session.start":
            raise Refused("invalid_event", "The first event must be session.start.", "type")
        if self.rules.faults.start_error is not None:
            error = dict(self.rules.faults.start_error)
            self.emit({"type": "error", "error": error}, message.get("event_id"))
            self._closing = True
            self.close(1008, "")
            return
        told = self.start_settings(message["session"])
        self.policy.check_live_model(told["model"])
        self.begin(resolved(told, self.id, self.rules.session_seconds), message.get("event_id"))

    def forget_recording(self) -> None:
        """Nothing can be downloaded any more."""
        with self.lock:
            recording, self.recording = self.recording, None
            if recording is not None:
                if recording in self.watchers:
                    self.watchers.remove(recording)
                recording.close()

    def press(self, message: Json) -> None:
        """Send a key's tone to whom the session speaks to by telephone. Raises ``Refused``."""
        raise Refused("invalid_event", "transport.dtmf.send requires a SIP session.", "type")

    def start_settings(self, told: Json) -> Json:
        """The settings of a start, checked. Raises ``Refused``."""
        most = self.rules.faults.most_history
        check_start(told)
        if most is not None and len(told.get("input") or ()) > most:
            raise Refused("invalid_value", f"'session.input' has more than {most} messages.", "session.input")
        return told

    def begin(self, session: Json, event_id: Optional[str] = None) -> None:
        """Start with these settings, as they are told."""
        with self.lock:
            recording = TwinRecording(format_of(session)) if session.get("store") else None  # may find no room
            self.session = session
            self.track = OutputTrack(format_of(session))
            self.target = self._target_of(str(session["delegation"]["type"]))
            self.ears.begin()
            self.talk.begin()
            _sessions_log.info("%s began: %s, live session", self.id, printable(str(session["model"])))
            if recording is not None:
                self.recording = recording
                self.watchers.append(recording)
            self.emit({"type": "session.started", "session": session}, event_id)
            self._timers["expiry"] = self.clock.call_later(self.rules.session_seconds, lambda: self.end("expired"))
            self._timers["silence"] = self.clock.call_later(self.rules.silence_seconds, self._end_if_silent)
            self._schedule_usage()

    def _target_of(self, kind: str) -> DelegationTarget:
        if kind == "responses":
            return ResponsesTarget(self)
        return self.decisions if kind == "decisions" else self.target

    @property
    def _decides(self) -> bool:
        """Whether there is anything to decide."""
        return self.options["delegation"]["type"] == "decisions" or bool(self.options.get("triggers"))

    def _update(self, message: Json) -> None:
        replaces = bool(self.rules.replaces_delegation)
        self.session = updated(self.options, message["session"], replaces=replaces)
        self.emit({"type": "session.updated", "session": self.session}, message.get("event_id"))

    def _append_audio(self, message: Json) -> None:
        audio_format = format_of(self.session)
        self.take_audio(decoded(message["audio"], 2 if audio_format["type"] == "audio/pcm" else 1))

    def take_audio(self, audio: bytes) -> None:
        """The user's audio, in the session's format: the timeline runs on it."""
        with self.lock:
            self.pump()  # up to here by the old rate
            ms = len(audio) / bytes_per_ms(format_of(self.session))
            start = self.timeline.take(ms, self.clock.monotonic())
            for watcher in list(self.watchers):
                watcher.on_input_audio(audio, start)
            if not self.fixture.is_playing:
                self.ears.hear(audio, start)
            self.pump()

    def _mute(self, message: Json) -> None:
        self.ears.muted = message["type"] == "session.input_audio.mute"
        self.emit({"type": message["type"] + "d"}, message.get("event_id"))

    def _close(self, message: Json) -> None:
        if self.rules.faults.no_closed:
            return
        self._closing = True
        event_id = message.get("event_id")
        self._timers["close"] = self.clock.call_later(_UNTIL_INCOMPLETE, lambda: self._give_up_appends(event_id))

    def _give_up_appends(self, event_id: Optional[str]) -> None:
        with self.lock:
            if self.is_over:
                return
            if self.appends.are_pending:
                told = "The session closed before the estimated context injection completed."
                self.refuse(Refused("context_injection_incomplete", told, kind="server_error"))
            end = functools.partial(self.end, "close_requested", event_id)
            self._timers["close"] = self.clock.call_later(_UNTIL_CLOSED, end)

    _handlers: Mapping[str, Callable[[TwinSession, Json], None]] = {
        "session.update": _update,
        "session.input_audio.append": _append_audio,
        "session.input_audio.mute": _mute,
        "session.input_audio.unmute": _mute,
        "session.output_audio.fixture.play": lambda self, message: self.fixture.play(message),
        "session.close": _close,
    }

    # What is told, under the lock ---------------------------------------------------------------------------------

    def tell_words(self, wire_type: str, piece: TimedWords) -> None:
        """Tell a piece of somebody's words."""
        times = {"start_ms": piece.start_ms, "end_ms": piece.end_ms}
        event = {"type": wire_type, **times, "delta": piece.text, "event_id": new_id("event")}
        self.emit(event)
        self.talk.was_said("user" if wire_type == _HEARD else "assistant", piece.text)
        self.decisions.words_were_told(event)

    # Usage and the end -------------------------------------------------------------------------------------------

    def _schedule_usage(self) -> None:
        if self.rules.usage_seconds:
            self._timers["usage"] = self.clock.call_later(self.rules.usage_seconds, self._tell_usage)

    def _tell_usage(self) -> None:
        with self.lock:
            if not self.has_ended:
                ratio = {"usage_ratio": min(1.0, self._context_tokens() / _CONTEXT_TOKENS)}
                usage = {"seconds": self.seconds}
                self.emit({"type": "session.usage.updated", "usage": usage, "context_window": ratio})
                self._schedule_usage()

    def _context_tokens(self) -> int:
        texts = [self.options["instructions"] or "", *(item["content"][0]["text"] for item in self.options["input"])]
        return sum(map(tokens_of, texts)) + _TOKENS_PER_SECOND * self.seconds

    def _end_if_silent(self) -> None:
        with self.lock:
            if not self.timeline.has_begun:
                self.end("expired")

    def end(self, reason: str, event_id: Optional[str] = None) -> None:
        """End the session: what sounds is sent, then ``session.closed`` with this reason, then nothing more."""
        with self.lock:
            if self.has_ended or self.session is None:
                return
            self.target.close()
            self.pump()
            self._send_sound(rest=True)
            if self.recording is not None and self.recording.is_lost:
                told = "The session's recording could not be stored."
                self.refuse(Refused("session_storage_failed", told, kind="server_error"))
            self.ended_by = reason
            self.emit(self._closed(reason), event_id)
            self._cancel_timers()
            self.close(None)

    def _tell_lost(self) -> None:
        """The connection has ended before the session: those who are attached are told."""
        if self.session is None or self.ended_by:
            return
        event = {"event_id": new_id("event"), **self._closed("connection_lost")}
        for watcher in list(self.watchers):
            watcher.on_event(json.dumps(event, separators=(",", ":")), event)

    def _closed(self, reason: str) -> Json:
        return {"type": "session.closed", "reason": reason, "session": self.session, "usage": {"seconds": self.seconds}}


def error_event(refusal: Refused, event_id: Optional[str], rules: LiveRules) -> Json:
    """The ``error`` event in the words of live sessions."""
    if rules.faults.string_errors:
        return {"type": "error", "error": refusal.message}
    named = {} if event_id is None else {"client_event_id": event_id}
    error = {"type": refusal.kind, "code": refusal.code or refusal.kind, "message": refusal.message}
    return {"type": "error", "error": {**error, "param": refusal.param, **named}}

"""Barge-in: stop the answer, and shorten it in the conversation to the part that was heard."""

from __future__ import annotations

import functools
import logging
import queue
import threading
from collections.abc import Sequence
from typing import Callable, Optional

import attrs

from realtime_sync.audio.playback import PlaybackPosition, check_position
from realtime_sync.checks import check_number
from realtime_sync.conversation import Conversation
from realtime_sync.core.commands import CommandHandle
from realtime_sync.core.realtime import owes_answer
from realtime_sync.core.realtime_session import RealtimeWireSession
from realtime_sync.core.streams import End
from realtime_sync.deadline import Deadline
from realtime_sync.errors import (
    ConnectionClosedError,
    ConnectionReplacedError,
    InvalidInputError,
    RealtimeSyncError,
    ServerError,
    SessionNotOpenError,
)
from realtime_sync.interrupts import Change
from realtime_sync.protocol.items import MessageItem
from realtime_sync.protocol.update_base import ConversationUpdate
from realtime_sync.protocol.updates import (
    InputAudioBufferSpeechStartedUpdate,
    ResponseCreatedUpdate,
    ResponseDoneUpdate,
)
from realtime_sync.secret import reportable
from realtime_sync.user_code import warn_once

logger = logging.getLogger(__name__)

# Says, by a response's id, whether that response is to be left alone.
IsSpared = Callable[[Optional[str]], bool]

_MOST_REMEMBERED = 512  # responses; an interruption is about the last ones
_NOTHING_CAME = "no audio of the answer has come"


@attrs.frozen(kw_only=True)
class Interruption:
    """What an interruption did.

    Attributes:
        response_id: The response that it cancelled; None if none was in progress, or it ended by itself meanwhile.
        item_id: The item whose audio was being heard; None if nothing was to be shortened.
        content_index: The part of that item.
        audio_end_ms: How much of it was heard, at most what had come; None if nothing was to be shortened.
        truncated: True if the service shortened the audio to that.
        unheard: The items after it that were still to be played; they were shortened too.
        reason: Why something was not done; None if everything was done.
    """

    response_id: Optional[str] = None
    item_id: Optional[str] = None
    content_index: int = 0
    audio_end_ms: Optional[int] = None
    truncated: bool = False
    unheard: Sequence[str] = ()
    reason: Optional[str] = None


@attrs.frozen
class _Cut:
    """A part to shorten; ``why_not`` says why there is nothing to do."""

    item_id: Optional[str] = None
    content_index: int = 0
    audio_end_ms: Optional[int] = None
    why_not: Optional[str] = None


@attrs.frozen
class _Question:
    """What is asked of the conversation by an interruption."""

    conversation: Conversation
    heard_ms: Optional[float]
    position: Optional[PlaybackPosition]
    item_id: Optional[str]
    is_spared: IsSpared

    def cuts(self, active: Optional[str]) -> list[_Cut]:
        """The part that was being heard, and behind it those of which less was heard than came; at least one."""
        item_id, content_index, heard_ms = self.item_id, None, self.heard_ms
        if self.position is not None:
            played = self.position.of_item(item_id) if item_id else self.position.current
            heard_ms = played.ms if played else 0
            if played is not None:
                item_id, content_index = played.item_id, played.content_index
        elif heard_ms is None:
            return [_Cut(item_id, why_not="what was heard is not known: give heard_ms or position")]
        spoken = self._spoken_parts()
        if not item_id:
            # Of the latest answer, or an earlier one would be shortened while the first audio is still to come.
            latest = self._latest_items(active)
            parts = [part for part in spoken if part[0] in latest]
            if not parts:
                return [_Cut(why_not=_NOTHING_CAME)]
            item_id, content_index = parts[0 if self.position is not None else -1]
        places = [place for place, part in enumerate(spoken) if part[0] == item_id and content_index in (None, part[1])]
        if not places:
            known = self.conversation.item(item_id) is not None
            told = f"no audio has come for {item_id}" if known else f"{item_id} is not in the conversation"
            return [_Cut(item_id, why_not=told)]
        following = spoken[places[0] + 1 :] if self.position is not None else []
        unheard = [self._cut(*part, self._played_ms(part)) for part in following]
        return [self._cut(*spoken[places[0]], heard_ms), *(cut for cut in unheard if not cut.why_not)]

    def _latest_items(self, active: Optional[str]) -> set[Optional[str]]:
        """The items of the response in progress, or of the last one in the conversation (not out-of-band)."""
        conversation = self.conversation
        for response in reversed(conversation.responses):
            if self.is_spared(response.id):
                continue
            ids = {item.id for item in response.output}
            # Preview servers do not tell the conversation.
            if response.id == active or response.conversation_id or any(map(conversation.item, filter(None, ids))):
                return ids
        return set()

    def _spoken_parts(self) -> list[tuple[str, int]]:
        """The parts of the model's messages that have audio, in order."""
        conversation = self.conversation
        spared = (response for response in conversation.responses if self.is_spared(response.id))
        left_alone = {item.id for response in spared for item in response.output}
        return [
            (item.id, index)
            for item in conversation.items
            if isinstance(item, MessageItem) and item.role == "assistant" and item.id and item.id not in left_alone
            for index in range(len(item.content))
            if conversation.audio_bytes(item.id, index) or conversation.heard_ms(item.id, index) is not None
        ]

    def _played_ms(self, part: tuple[str, int]) -> int:
        played = self.position.of_item(*part) if self.position is not None else None
        return played.ms if played else 0

    def _cut(self, item_id: str, content_index: int, heard_ms: float) -> _Cut:
        received = self.conversation.audio_ms(item_id, content_index)
        before = self.conversation.heard_ms(item_id, content_index)
        if before is not None and before <= heard_ms:
            return _Cut(item_id, content_index, before, "it was shortened already")
        if received is None:
            return _Cut(item_id, content_index, None, "the length of its audio is not known, because its format is not")
        item = self.conversation.item(item_id)
        if heard_ms >= received and isinstance(item, MessageItem) and item.status == "completed":
            return _Cut(item_id, content_index, received, "all of it was heard")  # shortening would lose its transcript
        return _Cut(item_id, content_index, min(int(heard_ms), received))


def interrupt(
    session: RealtimeWireSession,
    *,
    heard_ms: Optional[float] = None,
    position: Optional[PlaybackPosition] = None,
    item_id: Optional[str] = None,
    clear_output: bool = False,
    timeout: Optional[float] = None,
    is_spared: Optional[IsSpared] = None,
) -> Interruption:
    """Cancel, and truncate; see ``RealtimeConversationSession.interrupt``. ``is_spared``: None spares no answer."""
    check_number("heard_ms", heard_ms, "milliseconds", optional=True)
    if heard_ms is not None and position is not None:
        raise InvalidInputError("heard_ms and position both say how much was heard; give one of them")
    check_position(position)
    engine = session._engine
    deadline = Deadline(engine.timeouts.acknowledge if timeout is None else timeout)
    if engine.reconnecting:
        return Interruption(reason="the session is reconnecting; what was being said went down with the connection")

    spared = is_spared or (lambda response_id: False)
    talk, (active, owed) = engine.in_one_moment(lambda: (engine.responses.active, owes_answer(engine.connection)))
    # A response without an id cannot be matched against is_spared yet.
    awaited = owed and active is None and is_spared is None
    response_id, cuts = _look(_Question(talk, heard_ms, position, item_id, spared), active, awaited=awaited)
    if position is not None:
        position.cut_off(response_id, *(cut.item_id for cut in cuts))
    # All commands are sent before any is waited for, which takes one round trip. The cancellation goes first, because
    # audio that is still being made cannot be shortened. It has no id if the service has not told the id yet: it
    # follows the request on the wire, so the service knows which response is meant.
    cancelling = session.cancel_response(response_id) if response_id or awaited else None
    clearing = session.clear_output_audio() if clear_output else None
    truncating = [_truncate(session, cut) for cut in cuts]
    cancelled, why_not_cancelled = _outcome(cancelling, deadline)
    _, why_not_cleared = _outcome(clearing, deadline)
    outcomes = [_outcome(handle, deadline) for handle in truncating]
    first = cuts[0]
    stopped = cancelled if isinstance(cancelled, ResponseDoneUpdate) else None
    if stopped is not None and position is not None:
        position.cut_off(stopped.response_id)
    reasons = [why_not_cancelled, why_not_cleared, first.why_not, *(why_not for _, why_not in outcomes)]
    return Interruption(
        response_id=stopped.response_id if stopped and stopped.response.status == "cancelled" else None,
        item_id=first.item_id,
        content_index=first.content_index,
        audio_end_ms=first.audio_end_ms,
        truncated=outcomes[0][0] is not None,
        unheard=tuple(cut.item_id for cut in cuts[1:] if cut.item_id),
        reason="; ".join(filter(None, reasons)) or None,
    )


def _truncate(session: RealtimeWireSession, cut: _Cut) -> Optional[CommandHandle]:
    if cut.item_id is None or cut.audio_end_ms is None or cut.why_not:
        return None
    return session.truncate_item(cut.item_id, audio_end_ms=cut.audio_end_ms, content_index=cut.content_index)


def _outcome(handle: Optional[CommandHandle], deadline: Deadline) -> tuple[Optional[ConversationUpdate], Optional[str]]:
    """The update that acknowledged a command, or the reason, in words, why none did."""
    if handle is None:
        return None, None
    try:
        return handle.wait(deadline.left), None
    except ServerError as error:
        if error.code == "response_cancel_not_active":  # it ended while the cancellation was on its way
            return None, None
        return None, str(error)


def _look(question: _Question, active: Optional[str], *, awaited: bool) -> tuple[Optional[str], list[_Cut]]:
    """The response to cancel, and the parts to shorten. ``awaited``: one was asked for that has no id yet."""
    position = question.position
    if awaited and not question.item_id and (position is None or position.current is None):
        return None, [_Cut(why_not=_NOTHING_CAME)]
    active = None if question.is_spared(active) else active
    return active, question.cuts(active)


# By itself, when the user speaks ----------------------------------------------------------------------------------


@reportable
class SpeechInterrupter:
    """Interrupts whenever the user begins to speak; a context manager. Made by ``session.interrupt_on_speech()``.

    Works on a thread of its own, so callbacks may take their time and may use the session. The first
    error of a callback or an interruption is raised when the block is left; later interruptions still happen. However
    late that thread runs, it never interrupts the answer to what the user says.
    """

    def __init__(
        self,
        session: RealtimeWireSession,
        position: PlaybackPosition,
        callback: Optional[Callable[[Interruption], object]],
        stop_playing: Optional[Callable[[], object]],
    ) -> None:
        check_position(position)
        self._session = session
        self._engine = session._engine
        self._position = position
        self._callback = callback
        self._stop_playing = stop_playing
        # Starts of speech by number; None: the end.
        self._speech: queue.SimpleQueue[Optional[int]] = queue.SimpleQueue()
        self._changed = Change()
        self._starts = 0  # written by the reader alone
        self._silenced: float = 0  # at so many of them the player has been stopped; written by our thread alone
        self._begun_behind: dict[Optional[str], int] = {}  # ids of responses, and behind which start each began
        self._error: Optional[BaseException] = None
        self._thread: Optional[threading.Thread] = None

    def __repr__(self) -> str:
        state = "not begun" if self._thread is None else "listening" if self._thread.is_alive() else "ended"
        return f"<SpeechInterrupter of {self._engine.named()}: {state}>"

    def __enter__(self) -> SpeechInterrupter:
        try:
            self._engine.listen(self)
            if self._engine.observation is not None:
                self._engine.observation.plays(self._position)
            self._thread = self._engine.start_thread(self._run, "interrupter")
        except BaseException:
            self._stop_listening()
            self._speech.put(None)  # Ctrl-C may have come when the thread ran
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._speech.put(None)  # first: even if Ctrl-C comes here, the thread ends
        self._stop_listening()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(self._engine.timeouts.acknowledge)  # it may be in the middle of an interruption
        if self._error is not None and exc_info[1] is None:
            raise self._error

    def _stop_listening(self) -> None:
        self._engine.stop_listening(self)
        if self._engine.observation is not None:
            self._engine.observation.plays_no_more(self._position)

    def wait_until_silent(self, timeout: float) -> None:
        """Return once the player has been stopped for all that the user has begun to say; at most ``timeout`` seconds.

        A player that waits here at ``input_audio_buffer.speech_started`` does not lose what comes behind it.
        """
        self._changed.wait_for(lambda: self._silenced >= self._starts, Deadline(timeout))

    # On the reader thread -----------------------------------------------------------------------------------------

    def deliver(self, update: ConversationUpdate) -> None:
        """Take over an update."""
        if isinstance(update, InputAudioBufferSpeechStartedUpdate):
            self._starts += 1
            self._speech.put(self._starts)
        elif isinstance(update, ResponseCreatedUpdate):
            self._begun_behind[update.response_id] = self._starts
            if len(self._begun_behind) > _MOST_REMEMBERED:
                del self._begun_behind[next(iter(self._begun_behind))]

    def end(self, end: End) -> None:
        """The session has ended."""
        self._speech.put(None)

    def _began_behind(self, start: int, response_id: Optional[str]) -> bool:
        return self._begun_behind.get(response_id, 0) >= start

    # On its own thread --------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._work()
        finally:
            self._engine.stop_listening(self)
            self._note_silence(float("inf"))  # nobody stops the player any more

    def _work(self) -> None:
        while (start := self._speech.get()) is not None:
            try:
                self._silence(start)  # first: the user is speaking, and the position is to be final
                self._engine.check_open()
                is_spared = functools.partial(self._began_behind, start)
                interruption = interrupt(self._session, position=self._position, is_spared=is_spared)
                if self._callback is not None:
                    self._callback(interruption)
            except ConnectionReplacedError:
                pass  # what was being said went down with the connection
            except (ConnectionClosedError, SessionNotOpenError):
                return  # the session's consumers get this error
            except BaseException as error:
                logger.exception("an interruption failed")
                if not isinstance(error, RealtimeSyncError):
                    warn_once(self._callback or self, error, "a callback of interrupt_on_speech", "the session goes on")
                self._error = self._error or error

    def _silence(self, start: int) -> None:
        try:
            if self._stop_playing is not None:
                self._stop_playing()
        finally:
            self._note_silence(start)

    def _note_silence(self, start: float) -> None:
        self._silenced = start
        self._changed.tell()

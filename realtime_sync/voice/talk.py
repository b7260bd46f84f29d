"""A whole spoken conversation: from the microphone to the service, and from the model to the speaker."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from typing import Callable, Optional, Union

import attrs

from realtime_sync.audio.formats import PCM, SampleFormat
from realtime_sync.checks import check_number
from realtime_sync.core.realtime_session import RealtimeWireSession
from realtime_sync.core.update_streams import UpdateStream
from realtime_sync.deadline import Deadline
from realtime_sync.devices.interfaces import check_devices
from realtime_sync.errors import (
    AudioFormatError,
    AudioNotHeldError,
    ConnectionClosedError,
    SessionNotOpenError,
    UsageError,
)
from realtime_sync.interrupts import Flag
from realtime_sync.protocol.connection_updates import SessionReconnectedUpdate
from realtime_sync.protocol.items import FunctionCallItem
from realtime_sync.protocol.options import AudioFormat, TurnDetectionOptions
from realtime_sync.protocol.update_base import ConversationUpdate
from realtime_sync.protocol.updates import (
    InputAudioBufferClearedUpdate,
    InputAudioBufferCommittedUpdate,
    InputAudioBufferSpeechStartedUpdate,
    ResponseCreatedUpdate,
    ResponseDoneUpdate,
    ResponseOutputAudioDeltaUpdate,
)
from realtime_sync.voice import Microphone, SoundDeviceMicrophone, SoundDeviceSpeaker, Speaker
from realtime_sync.voice.barge_in import Interruption, SpeechInterrupter
from realtime_sync.voice.sending import AudioInput

# How long the microphone's last pieces may take to be sent when the conversation ends, in seconds.
_END_SECONDS = 5.0
_LOOK_SECONDS = 0.05


def talk(
    session: RealtimeWireSession,
    audio: AudioInput,
    microphone: Optional[Microphone] = None,
    speaker: Optional[Speaker] = None,
    *,
    stop: Optional[threading.Event] = None,
    on_update: Optional[Callable[[ConversationUpdate], object]] = None,
    on_interruption: Optional[Callable[[Interruption], object]] = None,
    linger: float = 30.0,
) -> None:
    """See ``RealtimeConversationSession.talk``."""
    _check_turn_detection(session)
    check_number("linger", linger, "seconds")
    check_devices(microphone, speaker)
    told = session.session
    hears = _format(told.input_audio_format if told else None)
    says = _format(told.output_audio_format if told else None)
    microphone = microphone or SoundDeviceMicrophone(format=hears)
    speaker = speaker or SoundDeviceSpeaker(format=says)
    _check_format(microphone.name, microphone.format, hears, "input_audio_format")
    _check_format(speaker.name, speaker.format, says, "output_audio_format")
    _Talk(session, audio, microphone, speaker, stop or Flag(), linger, on_update, on_interruption).run()


@attrs.define(eq=False)
class _Talk:
    """One conversation. The caller's thread plays, a second reads the microphone, and the interrupter has a third."""

    _session: RealtimeWireSession
    _audio: AudioInput
    _microphone: Microphone
    _speaker: Speaker
    _stop: Union[threading.Event, Flag]
    _linger: float
    _on_update: Optional[Callable[[ConversationUpdate], object]]
    _on_interruption: Optional[Callable[[Interruption], object]]
    # All that was heard is answered; set on the caller's thread.
    _answered: Flag = attrs.field(init=False, factory=Flag)
    # The caller's thread plays no more.
    _over: Flag = attrs.field(init=False, factory=Flag)
    # The hearing thread has ended; set after _error.
    _deaf: Flag = attrs.field(init=False, factory=Flag)
    _error: Optional[BaseException] = attrs.field(init=False, default=None)
    _asked_to_clear: bool = attrs.field(init=False, default=False)  # by the hearing thread, at the microphone's end
    _at_end: bool = attrs.field(init=False, default=False)  # the microphone has ended; the service has heard all of it
    _speaking: bool = attrs.field(init=False, default=False)  # from the user's first word to the end of the answer
    _unfinished: bool = attrs.field(init=False, default=False)  # from the user's first word to the end of the turn

    def run(self) -> None:
        with ExitStack() as stack:
            stream = stack.enter_context(self._session.subscribe())
            stack.callback(self._speaker.close)
            self._speaker.start()
            interrupter = stack.enter_context(
                SpeechInterrupter(self._session, self._speaker.position, self._on_interruption, self._speaker.stop)
            )
            stack.callback(self._microphone.stop)
            self._microphone.start()
            self._session._engine.start_thread(lambda: self._hear(stream), "microphone")
            try:
                self._play(stream, interrupter)
                if self._answered.is_set() and not self._stop.is_set():
                    self._speaker.wait(_END_SECONDS)
            except KeyboardInterrupt:
                pass  # the ordinary way to end a conversation
            finally:
                self._over.set()
                self._microphone.stop()
                self._deaf.wait(_END_SECONDS)
        # If the session has ended, the stream of updates has raised that.
        if self._error is not None and not isinstance(self._error, (ConnectionClosedError, SessionNotOpenError)):
            raise self._error.with_traceback(None)

    def _hear(self, stream: UpdateStream) -> None:
        """Send what the microphone hears, on a thread of its own. When it ends, so does the conversation."""
        try:
            with self._audio.writer() as writer:
                for chunk in self._microphone:
                    if self._stop.is_set():
                        return
                    try:
                        writer.write(chunk)
                    except AudioNotHeldError:
                        pass  # the connection is being replaced; audio of this time is lost
                if not self._over.is_set():
                    # The service works in order: it acknowledges this after all audio before it. (This also keeps the
                    # rest of the audio out of the next turn.)
                    self._asked_to_clear = True
                    self._audio.clear()
                    self._wait_for_the_answer()
        except BaseException as error:  # a device may raise anything; it is raised on the caller's thread
            self._error = error
        finally:
            if not isinstance(self._error, (ConnectionClosedError, SessionNotOpenError)):
                stream.close()  # wakes the caller's thread; otherwise the session's end does, and says the reason
            self._deaf.set()

    def _wait_for_the_answer(self) -> None:
        """Wait until the last answer is played, the caller stops, or nothing was played for ``linger`` seconds."""
        deadline, heard = Deadline(self._linger), self._speaker.position.current
        # Polls, because three things may end this, and two of them (stop, the speaker) have no event of ours.
        while not self._stop.is_set() and (self._speaker.playing or not self._answered.is_set()):
            if heard != self._speaker.position.current:
                deadline, heard = Deadline(self._linger), self._speaker.position.current
            if deadline.left == 0 or self._over.wait(_LOOK_SECONDS):
                return

    def _play(self, stream: UpdateStream, interrupter: SpeechInterrupter) -> None:
        for update in stream:
            if isinstance(update, InputAudioBufferSpeechStartedUpdate):
                # The audio to be dropped came before this update; audio that follows it must not be dropped.
                interrupter.wait_until_silent(_END_SECONDS)
            if isinstance(update, ResponseOutputAudioDeltaUpdate):
                # After an interruption, audio that must not be played may still come.
                if self._speaker.position.playable(update):
                    self._speaker.write(update.item_id, update.content_index, update.audio_bytes or b"")
            else:
                self._note(update)
            if self._on_update is not None:
                self._on_update(update)

    def _note(self, update: ConversationUpdate) -> None:
        if isinstance(update, (InputAudioBufferSpeechStartedUpdate, ResponseCreatedUpdate)):
            self._speaking = True
            self._unfinished = self._unfinished or isinstance(update, InputAudioBufferSpeechStartedUpdate)
        elif isinstance(update, InputAudioBufferCommittedUpdate):
            self._unfinished = False
        elif isinstance(update, ResponseDoneUpdate):
            # A response that the user's next words cancelled is no answer to them, and the results of functions will
            # have an answer of their own.
            calls = any(isinstance(item, FunctionCallItem) for item in update.response.output)
            self._speaking = self._speaking and (calls or update.response.status == "cancelled")
        elif isinstance(update, InputAudioBufferClearedUpdate):
            self._at_end = True
            if self._unfinished:  # the microphone ended in the middle of a word, which nobody will answer
                self._speaking = False
        elif isinstance(update, SessionReconnectedUpdate):  # the answer went down with the connection, and so did
            self._speaking = False  # what was asked of it
            self._at_end = self._at_end or self._asked_to_clear
        if self._at_end and not self._speaking:
            self._answered.set()


def _check_turn_detection(session: RealtimeWireSession) -> None:
    told = session.session
    detection = told.turn_detection_options if told else None
    is_off = detection is None or (isinstance(detection, TurnDetectionOptions) and detection.type == "none")
    if told is not None and is_off:
        raise UsageError(
            "turn detection is off in this session, so the service would never answer. Configure "
            "turn_detection_options=TurnDetectionOptions.server_vad() first"
        )


def _format(told: object) -> SampleFormat:
    return SampleFormat.of(told) if isinstance(told, (AudioFormat, str)) else PCM


def _check_format(name: str, has: SampleFormat, wanted: SampleFormat, option: str) -> None:
    if has != wanted:
        raise AudioFormatError(
            f"{name!r} is of the format {has}, but the session's {option} is {wanted}. Make it with "
            f"format=SampleFormat.of({wanted.wire_type!r}), or configure the session with {option}={has.wire_type!r}."
        )

"""A live session of GPT-Live: the facade over the wire's verbs, audio at real time, turns and delegated work.

It checks arguments and puts the features together; their theory stands in their modules, the thread's in
``core/engine.py``, the end's in ``state.py``. No state and no lock of its own.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Callable, Optional, Union

from realtime_sync.boundary import public_call
from realtime_sync.conversation.live.utterances import GAP_MS
from realtime_sync.core.commands import CommandHandle
from realtime_sync.core.wire_session import Message, WireSession
from realtime_sync.live.absent import instead_of
from realtime_sync.live.appends import Appends
from realtime_sync.live.calls import send_key
from realtime_sync.live.clips import Clips
from realtime_sync.live.delegated_work import Delegating, SessionDelegation
from realtime_sync.live.sending import LiveAudioInput
from realtime_sync.live.state import LiveEngine
from realtime_sync.live.usage import LiveMeter, LiveSessionUsage
from realtime_sync.protocol.items import ConversationItem
from realtime_sync.protocol.live.commands import (
    LiveSessionCommentaryAppendCommand,
    LiveSessionInputAudioMuteCommand,
    LiveSessionInputAudioUnmuteCommand,
    LiveSessionInstructionsAppendCommand,
    LiveSessionThinkingAppendCommand,
)
from realtime_sync.protocol.live.questions import LiveDecisionsSettings, LiveTrigger
from realtime_sync.protocol.live.settings import LiveResponsesSettings, LiveSessionDetails
from realtime_sync.protocol.registry import UNSET, Setting
from realtime_sync.protocol.update_base import ConversationUpdate
from realtime_sync.secret import discreet

if TYPE_CHECKING:
    from realtime_sync.audio.formats import SampleFormat
    from realtime_sync.audio.outgoing import Progress
    from realtime_sync.audio.source import AudioSource
    from realtime_sync.budget import Budget
    from realtime_sync.conversation.live.conversation import LiveConversation
    from realtime_sync.live.decisions_backend import MadeDecision
    from realtime_sync.live.delegation_requests import DelegationStream
    from realtime_sync.live.handles import LiveClip
    from realtime_sync.live.spoken import LiveFragmentStream, LiveTurnStream
    from realtime_sync.voice import Microphone, Speaker
    from realtime_sync.voice.sending import AudioSend, AudioWriter


class LiveSession(WireSession):
    """One conversation in full duplex. Made by ``RealtimeConversationClient.start_live_session()``.

    A context manager: leaving it closes the session. All methods may be called from any thread.

    The model listens while it speaks, and decides by itself when it speaks; so there is no ``ask``: send audio, and
    read ``turns()``. The session's clock needs audio, which this library sends when nobody else does (silence), unless
    the session was started with ``keep_clock=False``.
    """

    _engine: LiveEngine
    _says_by = "append_commentary(...)"

    def __init__(
        self,
        engine: LiveEngine,
        *,
        client_request_id: Optional[str] = None,
        budget: Optional[Budget] = None,
        delegating: Optional[Delegating] = None,
    ) -> None:
        super().__init__(engine)
        self._client_request_id = client_request_id
        self._budget = budget
        self._meter = LiveMeter(engine, sends_audio=not engine.beside)
        engine.listen(self._meter)
        self._audio = LiveAudioInput(engine)
        self._clips = Clips(engine)
        self._appends = Appends(engine, self._clips)
        self._delegation = SessionDelegation(
            engine, delegating or Delegating(), self._append, lambda: self.conversation
        )

    if not TYPE_CHECKING:  # checkers know what there is

        def __getattr__(self, name: str) -> object:
            told = f"{type(self).__name__!r} object has no attribute {name!r}"
            instead = instead_of(name)
            raise AttributeError(f"{told}: {instead}" if instead else told, name=name, obj=self)

    # About the session ----------------------------------------------------------------------------------------

    @property
    def session(self) -> Optional[LiveSessionDetails]:
        """The settings in force, as the service reported them last; None until it has."""
        return self._engine.details

    @property
    def budget(self) -> Optional[Budget]:
        """The session's budget, with the cost so far; None if it was started without ``budget=``."""
        return self._budget

    @property
    def client_request_id(self) -> Optional[str]:
        """The id that Azure's support asks for (``x-ms-client-request-id``); None on other services."""
        return self._client_request_id

    def _repr_html_(self) -> str:
        from realtime_sync.notebook import card

        state = "open" if self._engine.end is None else str(self._engine.end.reason.close_info)
        facts = {"model": self._about() or None, "state": state}
        return card(f"Live session {self.id or '(not started yet)'}", facts, self.conversation._repr_html_())

    def _about(self) -> str:
        return str(self.session.model) if self.session is not None and self.session.model else ""

    # [B] Usage, money, time -----------------------------------------------------------------------------------

    @property
    def usage(self) -> LiveSessionUsage:
        """What the session has used so far, as the service has reported it; also after the end."""
        return self._meter.usage

    @property
    def seconds(self) -> float:
        """The seconds that the service has counted, over all connections; it tells them about every 15 s."""
        return self._meter.usage.seconds

    @property
    def context_used(self) -> Optional[float]:
        """How full the model's context is, from 0.0 to 1.0; None until the service has told."""
        return self._meter.usage.context_used

    @property
    def cost(self) -> Optional[float]:
        """What that costs in US dollars, by the budget's prices, else by ``PRICES``; None if it cannot be told."""
        return self._meter.usage.cost(self._budget.prices if self._budget is not None else None)

    # [T] Turns and the conversation ---------------------------------------------------------------------------

    @property
    def conversation(self) -> LiveConversation:
        """What was said so far, in turns: a copy, which later updates do not change."""
        return self._engine.conversation()

    @public_call
    def turns(
        self, timeout: Optional[float] = None, *, gap_ms: float = GAP_MS, keep_audio: bool = True
    ) -> LiveTurnStream:
        """Iterate over the turns that begin from now on, each once it is over; independent of ``updates()``.

        A turn is what one side says without a longer silence. Both sides have turns of their own, which overlap if they
        speak at once. The service does not say that anybody has finished, so a turn comes ``gap_ms`` and 0.8 s after
        its last word.

        Args:
            timeout: Seconds to wait for each turn, then ``WaitTimeoutError`` is raised and iteration may go on; None
                waits as long as the session lives.
            gap_ms: The silence that ends a turn, in milliseconds of the session's timeline.
            keep_audio: True gives the model's turns their sound. False spares its memory, 72 kB a second of session
                while nobody iterates, of ``QueueLimits.queued``.

        Returns:
            A ``LiveTurnStream`` of ``LiveTurn``; it ends as ``updates()`` does.
        """
        from realtime_sync.live.spoken import turns_of

        return turns_of(self._engine, timeout, gap_ms, keep_audio)

    @public_call
    def transcripts(self, timeout: Optional[float] = None) -> LiveFragmentStream:
        """Iterate over the words of both sides as they come from now on; independent of ``updates()``.

        Args:
            timeout: Seconds to wait for each fragment; None waits as long as the session lives.

        Returns:
            A ``LiveFragmentStream`` of ``LiveFragment``; it ends as ``updates()`` does.
        """
        from realtime_sync.live.spoken import fragments_of

        return fragments_of(self._engine, timeout)

    # [K] Audio, appends, talking ------------------------------------------------------------------------------

    def _note_message(self, handle: CommandHandle, message: Message) -> None:
        if handle.type == self._audio.append_type:  # it is not kept at real time, but reckoned with
            self._audio.sent_by_hand(message)

    @property
    def sample_format(self) -> SampleFormat:
        """The format of the session's samples, both ways, as devices are given it: ``FileSpeaker(format=...)``."""
        return self._audio.format

    @public_call
    def send_audio(self, source: AudioSource, *, progress: Progress = None) -> None:
        """Send audio at the speed of speech, and return when the service has heard it.

        While the session reconnects, it waits.

        Args:
            source: A path, a binary file object, bytes, an iterable of bytes, or ``Samples(array, rate)``. A WAV header
                is recognised and left out. Audio in another format than the session's (by default 16 bit little endian
                mono at 24,000 Hz) is converted on its way, with the extra ``audio``. Bare samples must be in that
                format; a path of such ends in ``.pcm`` or ``.raw``.
            progress: ``progress(sent_seconds, total_seconds)`` is called after each 100 ms (``total_seconds``: None if
                the length of the source is not known); True shows a bar (the extra ``progress``); None: neither.

        Raises:
            AudioFormatError: The audio is in a format that cannot be sent or converted.
            FileNotFoundError: ``source`` is a path, and no file is there.
            AudioSendInProgressError: Other audio is being sent.
            RealtimeSyncError: As all commands.
        """
        self._audio.send(source, progress)

    @public_call
    def start_sending_audio(self, source: AudioSource, *, progress: Progress = None) -> AudioSend:
        """Send audio at the speed of speech, on a thread of its own. Arguments as in ``send_audio``.

        Returns:
            A handle with ``wait``, ``cancel`` and ``error``. An orderly end of the session cancels it, which is no
            error: then ``AudioSend.cancelled`` is True.

        Raises:
            AudioFormatError: The audio is in a format that cannot be sent or converted.
            FileNotFoundError: ``source`` is a path, and no file is there.
            AudioSendInProgressError: Other audio is being sent.
            RealtimeSyncError: As all commands.
        """
        return self._audio.start_sending(source, progress)

    @public_call
    def audio_writer(self) -> AudioWriter:
        """Push audio piece by piece: ``with session.audio_writer() as writer: writer.write(samples)``.

        ``write`` returns when the piece may be followed by the next one, so that nothing goes faster than real time.
        What is pushed while the session reconnects is lost.

        Returns:
            A writer; no other audio can be sent until it is closed.
        """
        return self._audio.writer()

    @public_call
    def mute_input(self) -> CommandHandle:
        """Let the model hear silence from now on, whatever is sent. Acknowledged by ``session.input_audio.muted``.

        The session goes on, and so does its bill; audio is sent all the same (with ``keep_clock=True`` it is).

        Returns:
            The command's handle.
        """
        return self._engine.send(LiveSessionInputAudioMuteCommand())

    @public_call
    def unmute_input(self) -> CommandHandle:
        """Let the model hear what is sent again. Acknowledged by ``session.input_audio.unmuted``.

        Returns:
            The command's handle.
        """
        return self._engine.send(LiveSessionInputAudioUnmuteCommand())

    @public_call
    def play_clip(self, source: AudioSource) -> LiveClip:
        """Have the service play ready sound to the user, in place of the model's voice, which it interrupts.

        Meanwhile what the user says is dropped, and nothing can be appended. One clip plays at a time.

        Args:
            source: As in ``send_audio``, at most 30 seconds; converted to 16-bit PCM at 24,000 Hz, in which bare
                samples must be, whatever the session's format is.

        Returns:
            Its handle, acknowledged when it begins; ``wait_until_played()`` waits for its end.

        Raises:
            InvalidInputError: The source lasts longer than 30 seconds.
            UsageError: Another clip is playing.
            RealtimeSyncError: As all commands.
        """
        return self._clips.play(source)

    @public_call
    @discreet
    def append_commentary(self, content: str, *, delegation_id: Optional[str] = None) -> CommandHandle:
        """Give the model something to say, in its own words, when it fits; also the first words of a conversation.

        Acknowledged when the session's timeline has reached it, some 0.75 s later, which is not: when it was said. A
        text of more than 500 tokens is sent in several parts, cut at sentences; the handle is acknowledged when all
        are.

        Args:
            content: The text.
            delegation_id: The delegation that it answers; None: it is for the session as a whole.

        Returns:
            The command's handle. Its ``wait()`` raises ``ClockStoppedError`` if no audio flows and nobody keeps the
            clock, because nothing is acknowledged then.

        Raises:
            InvalidInputError: ``content`` is no text, or empty.
            UsageError: A clip is playing.
            RealtimeSyncError: As all commands.
        """
        return self._appends.send(LiveSessionCommentaryAppendCommand, content, delegation_id)

    @public_call
    @discreet
    def append_thinking(self, content: str, *, delegation_id: Optional[str] = None) -> CommandHandle:
        """Give the model something to know, and not to say. Otherwise as ``append_commentary``.

        Args:
            content: The text.
            delegation_id: The delegation that it answers; None: it is for the session as a whole.

        Returns:
            The command's handle.
        """
        return self._appends.send(LiveSessionThinkingAppendCommand, content, delegation_id)

    @public_call
    @discreet
    def append_instructions(self, content: str, *, delegation_id: Optional[str] = None) -> CommandHandle:
        """Give the model a rule that lasts, and goes into later delegations. Otherwise as ``append_commentary``.

        Put no secrets and no text of strangers into it.

        Args:
            content: The rule.
            delegation_id: The delegation that it is about; None: it is for the session as a whole.

        Returns:
            The command's handle.
        """
        return self._appends.send(LiveSessionInstructionsAppendCommand, content, delegation_id)

    @public_call
    def talk(
        self,
        microphone: Optional[Microphone] = None,
        speaker: Optional[Speaker] = None,
        *,
        stop: Optional[threading.Event] = None,
        on_update: Optional[Callable[[ConversationUpdate], object]] = None,
        linger: float = 5.0,
    ) -> None:
        """Hold a whole spoken conversation: send the microphone's audio, play the model's.

        When the user speaks into what the model says, the model hears it and falls silent by itself, or not. What waits
        to be played never lasts longer than 0.6 seconds.

        Runs on this thread until ``stop`` is set, Ctrl-C, the session's end, or the microphone's end. The devices are
        closed then; the session stays open. On a machine without echo cancelling use headphones, or
        ``talk(HalfDuplex(microphone, speaker), speaker)``, which sends silence while the model is heard.

        Args:
            microphone: None: the machine's (the extra ``devices``). ``FileMicrophone`` reads a file.
            speaker: None: the machine's. ``FileSpeaker`` writes a file. Give devices of your own
                ``format=session.sample_format``.
            stop: Set it to end the conversation; None: it ends otherwise.
            on_update: ``on_update(update)`` is called with every update; None: no callback.
            linger: After the microphone's end, seconds in which nothing was said and no delegated work was under way,
                until the conversation is over.

        Raises:
            InvalidInputError: What was given is no device.
            AudioFormatError: A device has another format than the session.
            AudioDeviceError: A device is missing or was lost.
            ConnectionClosedError: The connection ended otherwise than in an orderly way.
            Exception: A callback raised it.
        """
        from realtime_sync.live.talk import talk

        self._engine.check_audio()
        talk(self, self._audio, self._delegation, microphone, speaker, stop=stop, on_update=on_update, linger=linger)

    # [D] Delegated work ---------------------------------------------------------------------------------------

    def delegations(self, timeout: Optional[float] = None) -> DelegationStream:
        """Iterate over the work that the model hands over, to answer it yourself: ``request.answer("...")``.

        For a session without ``delegate=``. The requests are kept until they are taken, also those from before this
        call, 256 at most. Breaking off loses none: iterate again.

        Args:
            timeout: Seconds to wait for each, then ``WaitTimeoutError`` is raised; None waits as long as the session
                lives.

        Returns:
            An iterator over ``DelegationRequest``, which threads may share.

        Raises:
            UsageError: The session has a ``delegate``, which answers them.
        """
        return self._delegation.stream(timeout)

    @public_call
    def add_item(
        self, item: Union[ConversationItem, dict[str, Any], str], *, event_id: Optional[str] = None
    ) -> CommandHandle:
        """Give the Responses backend an item; call ``start_response()`` to have it answered.

        A user's message, such as what somebody types, is also told to the voice model as thinking ("The user typed:
        ..."), which else might leave the answer unsaid.

        Args:
            item: A text (a user's message), a ``ConversationItem``, such as a message with an image, or an item of the
                Responses API as a dict.
            event_id: The command's name on the wire; None makes one up.

        Returns:
            The command's handle. Nothing acknowledges it, so ``wait()`` only tells whether it was refused.

        Raises:
            UsageError: The session has no Responses backend.
            InvalidInputError: ``item`` is no item.
        """
        return self._delegation.add_item(item, event_id)

    @public_call
    def start_response(self, *, event_id: Optional[str] = None) -> CommandHandle:
        """Have the Responses backend answer what was added, or go on after results of calls that you have made.

        Args:
            event_id: The command's name on the wire; None makes one up.

        Returns:
            The command's handle. Nothing acknowledges it: its events are ``LiveResponseEventUpdate``.

        Raises:
            UsageError: The session has no Responses backend.
        """
        return self._delegation.start_response(event_id)

    @public_call
    @discreet
    def update_backend(
        self,
        changes: Union[LiveResponsesSettings, LiveDecisionsSettings, None] = None,
        *,
        triggers: Setting[list[LiveTrigger]] = UNSET,
        acknowledgement_delay_ms: Setting[int] = UNSET,
        event_id: Optional[str] = None,
    ) -> CommandHandle:
        """Change how the backend works; acknowledged by ``session.updated``. All else is fixed at the start.

        Args:
            changes: For a Responses backend ``LiveResponsesSettings(...)``, whose functions among ``tools`` are run
                from now on; for a Decisions backend ``LiveDecisionsSettings(...)``. What is UNSET stays; None changes
                nothing.
            triggers: In place of those that the session has; an empty list switches them off. UNSET: nothing changes.
            acknowledgement_delay_ms: After so many milliseconds of delegated work the model says that it is at work.
                UNSET: nothing changes.
            event_id: The command's name on the wire; None makes one up.

        Returns:
            The command's handle.

        Raises:
            InvalidInputError: The session has no such backend, or this cannot be changed; nothing is sent.
            ConfigurationError: A function cannot be described.
        """
        return self._delegation.update(changes, triggers, acknowledgement_delay_ms, event_id)

    @public_call
    def decide(self, *, timeout: float = 30.0) -> MadeDecision:
        """Ask the questions of the Decisions backend now, and wait for the answers.

        Args:
            timeout: Seconds to wait.

        Returns:
            The answers, in the order of the questions; ``on_decision`` does not get them.

        Raises:
            UsageError: The session has no Decisions backend.
            WaitTimeoutError: They did not come in time.
            ServerError: The service refused to ask.
        """
        return self._delegation.decide(timeout)

    @public_call
    def add_decision_item(
        self, item: Union[ConversationItem, dict[str, Any], str], *, event_id: Optional[str] = None
    ) -> CommandHandle:
        """Tell the Decisions backend something that later decisions are to know.

        Args:
            item: A text (a user's message), a ``ConversationItem``, or a ``LiveDecisionItem``'s fields as a dict.
            event_id: The command's name on the wire; None makes one up.

        Returns:
            The command's handle; the update of its ``wait()`` has the ``item`` with its id.

        Raises:
            UsageError: The session has no Decisions backend.
        """
        return self._delegation.add_decision_item(item, event_id)

    @public_call
    def delete_decision_item(self, item_id: str, *, event_id: Optional[str] = None) -> CommandHandle:
        """Let the Decisions backend forget an item.

        Args:
            item_id: The item's id.
            event_id: The command's name on the wire; None makes one up.

        Returns:
            The command's handle.

        Raises:
            UsageError: The session has no Decisions backend.
        """
        return self._delegation.delete_decision_item(item_id, event_id)

    def _append(self, kind: str, content: str, delegation_id: Optional[str]) -> CommandHandle:
        append = self.append_commentary if kind == "commentary" else self.append_thinking
        return append(content, delegation_id=delegation_id)

    # [R] Calls ------------------------------------------------------------------------------------------------

    @public_call
    def send_dtmf(self, key: str, *, event_id: Optional[str] = None) -> CommandHandle:
        """Press a key for whom the session speaks to by telephone. For sessions of ``attach_live``.

        Args:
            key: ``0`` to ``9``, ``*``, ``#``, ``A`` to ``D``.
            event_id: See ``WireSession``.

        Returns:
            The command's handle; acknowledged once the tone was sent.

        Raises:
            InvalidInputError: There is no such key.
            UsageError: The session is not that of a call.
        """
        return send_key(self._engine, key, event_id)

"""A live session: what a caller says and hears. The thread behind it is in ``engine.py``."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterable
from typing import BinaryIO, Callable, Optional, TypeVar, Union

from realtime_sync.audio.arrays import Samples
from realtime_sync.audio.outgoing import Progress
from realtime_sync.audio.playback import PlaybackPosition
from realtime_sync.audio.source import AudioSource
from realtime_sync.budget import Budget
from realtime_sync.conversation.html import card
from realtime_sync.conversation.turns import TurnFilter, TurnTracker
from realtime_sync.core.answer import Answer
from realtime_sync.core.ask import OnDelta, begin_response
from realtime_sync.core.commands import CommandHandle
from realtime_sync.core.derived_streams import TranscriptStream, TranslationStream, TurnStream
from realtime_sync.core.realtime import RealtimeEngine
from realtime_sync.core.realtime_session import RealtimeWireSession, check_response_options
from realtime_sync.core.response import Response
from realtime_sync.core.wire_session import Message
from realtime_sync.deadline import Deadline
from realtime_sync.mcp.approval import ApprovalCallback
from realtime_sync.mcp.loop import MCPApprovals, MCPApprover
from realtime_sync.protocol.items import ConversationContentPart, ConversationItem
from realtime_sync.protocol.options import ConversationResponseOptions, ConversationSessionOptions, SessionOptions
from realtime_sync.protocol.registry import UNSET, Command
from realtime_sync.protocol.update_base import ConversationUpdate
from realtime_sync.tools import Tool, ToolRunner
from realtime_sync.tools.rounds import FunctionCalls, OnCall, run_rounds
from realtime_sync.tools.serving import OnInterruption, SessionTools, as_runner, owner_of_calls, with_tools
from realtime_sync.voice import Microphone, Speaker
from realtime_sync.voice.barge_in import Interruption, SpeechInterrupter, interrupt
from realtime_sync.voice.sending import AudioInput, AudioSend, AudioWriter
from realtime_sync.voice.talk import talk

logger = logging.getLogger(__name__)

_SOUND_FILES = (".wav", ".mp3", ".flac", ".ogg")

U = TypeVar("U", bound=ConversationUpdate)
Question = Union[
    str,
    ConversationItem,
    list[ConversationItem],
    tuple[ConversationItem, ...],
    bytes,
    "os.PathLike[str]",
    BinaryIO,
    Samples,
]
"""What can be asked: a text, items, or audio."""


class RealtimeConversationSession(RealtimeWireSession):
    """One conversation over one connection. Made by ``RealtimeConversationClient.start_conversation_session()``.

    A context manager: leaving it closes the session. All methods may be called from any thread.

    Methods that send return a ``CommandHandle``: ``handle.wait()`` gives the acknowledging update or raises what went
    wrong with that command; ignoring it is fine. All raise ``SessionNotOpenError`` after ``close()``,
    ``ConnectionClosedError`` after the connection's end, ``InvalidInputError`` for what cannot be sent, and
    ``ForkedSessionError`` in a forked child. ``event_id`` names the command on the wire; None makes one up.
    """

    _engine: RealtimeEngine

    def __init__(
        self,
        engine: RealtimeEngine,
        *,
        client_request_id: Optional[str] = None,
        translation: bool = False,
        budget: Optional[Budget] = None,
    ) -> None:
        super().__init__(engine)
        self._client_request_id = client_request_id
        self._budget = budget
        self._audio = AudioInput(engine, translation=translation)
        self._mcp = MCPApprovals(engine)
        self._tools = SessionTools(engine)

    # About the session ----------------------------------------------------------------------------------------

    @property
    def budget(self) -> Optional[Budget]:
        """What the session may cost and has cost; None if it was started without ``budget=``."""
        return self._budget

    @property
    def client_request_id(self) -> Optional[str]:
        """What Azure's support asks for (``x-ms-client-request-id``); None elsewhere."""
        return self._client_request_id

    def _repr_html_(self) -> str:
        state = "open" if self._engine.end is None else str(self._engine.end.reason.close_info)
        facts = {"model": self._engine.model, "state": state}
        return card(f"Session {self.id or '(not greeted yet)'}", facts, self.conversation._repr_html_())

    # Receiving ------------------------------------------------------------------------------------------------

    def transcripts(self, timeout: Optional[float] = None) -> TranscriptStream:
        """Iterate over what is said from now on: a ``Transcript`` for each turn, in order; see ``TranscriptStream``."""
        return TranscriptStream(self.subscribe(), timeout)

    def translation(self, timeout: Optional[float] = None) -> TranslationStream:
        """Iterate over what a translation session says from now on, piece by piece; see ``TranslationStream``."""
        return TranslationStream(self.subscribe(), timeout)

    # Sending --------------------------------------------------------------------------------------------------

    def configure_session(self, options: SessionOptions, *, event_id: Optional[str] = None) -> CommandHandle:
        """Change settings; those that are ``UNSET`` stay. Acknowledged by ``session.updated``."""
        command = self._configuration(options, event_id)
        tools = options.tools if isinstance(options, ConversationSessionOptions) else UNSET
        return self._engine.send(command, before=lambda: self._tools.change(tools))

    def send_message(self, message: Message) -> CommandHandle:
        """Send any message as it is: a dict, JSON text, UTF-8 bytes of it, or a command object.

        It is not changed, so give it an ``event_id`` if an ``error`` is to name it.
        """
        handle = super().send_message(message)
        if handle.type == self._audio.append_type and not isinstance(message, Command):
            self._audio.lose_count()
        return handle

    # Asking ---------------------------------------------------------------------------------------------------

    def respond(
        self,
        content: Optional[Question] = None,
        options: Optional[ConversationResponseOptions] = None,
        *,
        timeout: float = 60.0,
    ) -> Response:
        """Ask for an answer, and return it while it is made: ``with session.respond("Hello") as response: ...``.

        ``content`` is said first: a text, an item or several, or audio (bytes in the session's input format, a path
        object, a binary file or ``Samples``, as for ``send_audio``; it goes as an item, not through the input buffer).
        None: the conversation as it stands is answered. With ``options.conversation == "none"`` the answer is
        out-of-band: ``content`` is its input alone, the conversation stays as it was, and any number may run at once.

        Waits until the conversation is free, because the service makes one response at a time in it, and until the
        service has begun to answer; ``timeout`` is for both together, in seconds. Calls of the session's functions are
        made meanwhile, and answered for in another response; those of ``options.tools`` are yours to make.

        Raises ``WaitTimeoutError``, ``ServerError`` if the service refused, and as all commands.
        """
        check_response_options(options)
        owner = owner_of_calls(options)
        return begin_response(self._engine, self._items(content), options, Deadline(timeout), owner=owner)

    def ask(
        self,
        content: Optional[Question] = None,
        options: Optional[ConversationResponseOptions] = None,
        *,
        tools: Union[ToolRunner, Iterable[Tool], None] = None,
        approve: Optional[ApprovalCallback] = None,
        on_delta: Optional[OnDelta] = None,
        on_call: Optional[OnCall] = None,
        timeout: float = 120.0,
    ) -> Answer:
        """Ask, wait, and return the finished answer: ``print(session.ask("What is the tallest tree?"))``.

        ``str(answer)`` is what it says, written or spoken; ``answer.text`` is what was written, and is empty if the
        model spoke (then see ``answer.transcript``, ``answer.save_audio("answer.wav")``).

        Functions that the model calls are run, several at once, and remote tools (MCP) are called by the service; then
        the model is asked to go on, at most 32 times. The answer is the last one, which calls nothing any more, or
        calls what is yours to run. When ``ask`` raises, or is interrupted, the answer is cancelled.

        Args:
            content: what to ask, as in ``respond``; None if the conversation is to be answered as it stands.
            options: as in ``respond``.
            tools: functions (``@function_tool``, or plain ones) that the model may call; None: those of
                ``options.tools``, else those of the session's settings.
            approve: decides about calls of remote tools that need an approval, as in ``approve_mcp``, which decides if
                it is None. If nobody decides, the answer has the requests in ``answer.approvals``: decide them with
                ``add_item(ConversationItem.create_mcp_approval_response(request.id, True))``, wait for their calls with
                ``subscribe()`` (``response.mcp_call.completed``), and ask again.
            on_delta: ``on_delta(delta)`` is called on this thread with each piece as it comes (``delta.text``), also of
                what the model says before its calls.
            on_call: ``on_call(call, outcome)`` is called on this thread with each call of a function (a
                ``FunctionCallItem``) and its ``ToolOutcome``, in the order of the calls, once all calls of a response
                have ended.
            timeout: seconds for all of it.

        Returns:
            The finished answer; what cut it short is in its ``status`` and ``reason``.

        Raises:
            ResponseFailedError: the service failed.
            WaitTimeoutError: time is up.
            ServerError: the service refused.
            ConnectionReplacedError: the connection was lost after some of the answer had come. Before that, a session
                that survives (``reconnect``) asks again, once.
            UsageError: the model called tools 32 times without answering.
        """
        deadline = Deadline(timeout)
        check_response_options(options)
        items = self._items(content)

        runner = self._tools.runner_for(tools, options)
        if runner is not None and tools is not None:
            options = with_tools(options, runner)
        functions = FunctionCalls(self._engine, runner, on_call, owner_of_calls(options, runner))
        with self._mcp.following(options, approve) as remote:
            return run_rounds(self._engine, [*remote, functions], items, options, deadline, on_delta)

    def run_tools(self, tools: Union[ToolRunner, Iterable[Tool]], *, on_interruption: OnInterruption = "keep") -> None:
        """Serve the model's calls until the session ends: for voice, if voice activity detection asks for answers.

        The service gets the definitions of ``tools``; then, for each response that calls some, they are run, their
        results are given back in the order of the calls, and another response is asked for. This runs on the calling
        thread; the session goes on meanwhile.

        Args:
            tools: functions (``@function_tool``, or plain ones), or a ``ToolRunner``.
            on_interruption: what becomes of tools that run when the user begins to speak. ``"keep"`` lets them finish;
                ``"drop"`` asks them to stop (``ToolContext.cancellation``), and their results say so.

        Raises:
            ConnectionClosedError: the session has ended otherwise than by an orderly close, after which this returns.
            ServerError: the service refused the tools, or a result.
            UsageError: the model called tools 32 times in a row without answering.
        """
        self._tools.run(as_runner(tools), on_interruption)

    def approve_mcp(self, callback: ApprovalCallback, *, timeout: Optional[float] = None) -> MCPApprover:
        """``with session.approve_mcp(lambda request: request.name == "search"): ...`` decides about remote MCP calls.

        Once all calls of a response are decided and over, the model is asked to go on; an ``ask`` within the block does
        so by itself and returns the answer.

        Args:
            callback: gets each ``MCPApproval``, those that are open already first, on a thread of its own, and returns
                True, False or an ``MCPDecision``. What it raises rejects the call; the first such error is raised when
                the block is left.
            timeout: seconds that an approved call may take before the model goes on without it; None: 600.

        Raises:
            UsageError: on entering, if another block decides already; and as all commands.
        """
        return MCPApprover(self._mcp, callback, timeout)

    # Turns and interruption -----------------------------------------------------------------------------------

    def turns(self, timeout: Optional[float] = None, *, position: Optional[PlaybackPosition] = None) -> TurnStream:
        """Iterate over the turns that begin from now on, each when it is finished: see ``Turn``.

        ``timeout``: seconds to wait for each, then ``WaitTimeoutError`` is raised and iteration may go on; None waits
        as long as the session lives. ``position`` says when a turn was first heard. Ends as ``updates()`` does, and is
        independent of it.
        """
        self._engine.check_process()
        updates = self._engine.open_stream(keep=TurnFilter())
        return TurnStream(updates, TurnTracker(self._engine.session), timeout, position)

    def interrupt(
        self,
        heard_ms: Optional[float] = None,
        *,
        position: Optional[PlaybackPosition] = None,
        item_id: Optional[str] = None,
        clear_output: bool = False,
        timeout: Optional[float] = None,
    ) -> Interruption:
        """Stop the model's answer, and shorten it in the conversation to what was heard.

        What was heard: ``position``, which a player keeps, or ``heard_ms`` milliseconds of the item ``item_id`` (None:
        of the latest answer). It is never more than has come. With neither, or before any audio has come,
        the answer is only cancelled, also one that was asked for and has not begun. Stop the player first: then the
        position is final.

        That the answer ended by itself meanwhile, or that its item is gone, is no error: the result says so. Calling
        it twice does nothing twice. ``clear_output`` has a service that plays by itself (WebRTC, SIP) stop.
        ``timeout``: seconds to wait for the service's word, None: ``Timeouts.acknowledge``. Raises
        ``WaitTimeoutError``, and as all commands.
        """
        self._engine.check_open()
        return interrupt(
            self, heard_ms=heard_ms, position=position, item_id=item_id, clear_output=clear_output, timeout=timeout
        )

    def interrupt_on_speech(
        self,
        position: PlaybackPosition,
        callback: Optional[Callable[[Interruption], object]] = None,
        *,
        stop_playing: Optional[Callable[[], object]] = None,
    ) -> SpeechInterrupter:
        """``with session.interrupt_on_speech(position): ...`` interrupts whenever the user begins to speak.

        ``stop_playing()`` is called first, ``callback(interruption)`` afterwards, both on a thread of its own. Where
        the service cancels by itself (``interrupt_response``), shortening is what is left to do.
        """
        self._engine.check_process()
        return SpeechInterrupter(self, position, callback, stop_playing)

    # Sending audio --------------------------------------------------------------------------------------------

    def commit_pending_audio(self, *, event_id: Optional[str] = None) -> CommandHandle:
        """Make a user message of the audio sent so far. Acknowledged by ``input_audio_buffer.committed``.

        Raises ``UsageError`` for less than 100 ms of audio, which the service would refuse, and while voice activity
        detection is on, for then the service commits by itself (``send_message`` sends a commit all the same).
        """
        return self._audio.commit(event_id)

    def send_audio(
        self,
        source: AudioSource,
        *,
        chunk_ms: float = 100,
        pace: Optional[float] = None,
        trailing_silence_ms: float = 0,
        progress: Progress = None,
    ) -> None:
        """Send audio, and return when all of it is with the connection. Nothing is committed.

        Args:
            source: a path, a binary file object, bytes, an iterable of bytes, or ``Samples(array, rate)``. A WAV header
                is recognised and left out. Audio in another format than the session's input format (by default 16 bit
                little endian mono at 24,000 Hz) is converted on its way: any file that libsndfile reads, any rate, any
                channels, with the extra ``audio``. Bare samples must be in that format; a path of such ends in
                ``.pcm`` or ``.raw``.
            chunk_ms: milliseconds of audio in a message; other commands get through between two messages.
            pace: 1.0 sends at the speed of speech, 2.0 twice as fast, and returns when the audio would have been heard;
                None sends as fast as the connection takes it.
            trailing_silence_ms: silence to send behind it, in which voice activity detection finds the end of speech.
            progress: ``progress(sent_seconds, total_seconds)`` is called after each message (``total_seconds``: None if
                the source does not say it); True shows a bar (the extra ``progress``).

        Raises:
            AudioFormatError: the audio is in a format that cannot be sent or converted.
            AudioSendInProgressError: other audio is being sent.
            RealtimeSyncError: as for all commands.
        """
        self._audio.send(source, chunk_ms, pace, trailing_silence_ms, progress)

    def start_sending_audio(
        self,
        source: AudioSource,
        *,
        chunk_ms: float = 100,
        pace: Optional[float] = None,
        trailing_silence_ms: float = 0,
        progress: Progress = None,
    ) -> AudioSend:
        """``send_audio`` on a thread of its own; the handle has ``wait``, ``cancel`` and ``error``.

        An orderly end of the session cancels it, which is no error: ``AudioSend.cancelled`` says so.
        """
        return self._audio.start_sending(source, chunk_ms, pace, trailing_silence_ms, progress)

    def audio_writer(self) -> AudioWriter:
        """Push audio piece by piece: ``with session.audio_writer() as writer: writer.write(samples)``."""
        return self._audio.writer()

    # Talking --------------------------------------------------------------------------------------------------

    def talk(
        self,
        microphone: Optional[Microphone] = None,
        speaker: Optional[Speaker] = None,
        *,
        stop: Optional[threading.Event] = None,
        on_update: Optional[Callable[[ConversationUpdate], object]] = None,
        on_interruption: Optional[Callable[[Interruption], object]] = None,
        linger: float = 30.0,
    ) -> None:
        """Hold a whole spoken conversation: send what the microphone hears, play what the model says.

        When the user speaks into an answer, the speaker falls silent, and the answer is shortened in the conversation
        to the samples that were played. ``microphone``, ``speaker``: None takes the machine's (the extra ``devices``);
        ``FileMicrophone`` and ``FileSpeaker`` stand in for them, ``HalfDuplex(microphone, speaker)`` helps where there
        is no echo cancelling. Tools are served by ``run_tools`` on another thread.

        Runs on this thread until ``stop`` is set, Ctrl-C, the session's end, or the end of the microphone, after which
        the last answer is awaited and played, unless nothing is heard for ``linger`` seconds. The devices are closed
        then, the session is left as it is. ``on_update`` sees every update, ``on_interruption`` what was cut short.

        Raises ``UsageError`` if turn detection is off, ``AudioFormatError`` for devices in another format than the
        session, ``AudioDeviceError`` if one is not there or goes away, ``ConnectionClosedError`` after any end of
        the connection but an orderly one, and what the callbacks raise.
        """
        self._engine.check_open()
        talk(
            self,
            self._audio,
            microphone,
            speaker,
            stop=stop,
            on_update=on_update,
            on_interruption=on_interruption,
            linger=linger,
        )

    # Inside ---------------------------------------------------------------------------------------------------

    def _items(self, content: Optional[Question]) -> list[ConversationItem]:
        """What is asked, as items."""
        if content is None:
            return []
        if isinstance(content, str):
            if content.lower().endswith(_SOUND_FILES) and os.path.exists(content):
                logger.warning("%r is asked as a text; for the recording of this name, ask Path(%r)", content, content)
            return [ConversationItem.create_user_message(content)]
        if isinstance(content, ConversationItem):
            return [content]
        if isinstance(content, (list, tuple)):
            return [item for question in content for item in self._items(question)]
        audio = b"".join(self._audio.chunks(content, 1000))
        return [ConversationItem.create_user_message(ConversationContentPart.from_input_audio(audio))]

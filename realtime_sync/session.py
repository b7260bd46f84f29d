"""A live session of the realtime protocol: the facade over the wire's verbs, asking, tools, turns and voice.

It checks arguments and puts the features together; their theory stands in their modules (``core/ask.py``,
``tools/serving.py``, ``mcp/loop.py``, ``voice/``), the thread's in ``core/engine.py``. No state and no lock of its own.

Methods import the features that few sessions use; asking and sending need none of them. See ``lazy.py``.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING, Callable, Optional, TypeVar, Union

import attrs

from realtime_sync.boundary import public_call
from realtime_sync.checks import check_function
from realtime_sync.core.answer import Answer
from realtime_sync.core.ask import OnDelta, begin_response
from realtime_sync.core.commands import CommandHandle
from realtime_sync.core.realtime import RealtimeEngine
from realtime_sync.core.realtime_session import RealtimeWireSession, check_response_options
from realtime_sync.core.response import Response
from realtime_sync.core.wire_session import Message
from realtime_sync.deadline import Deadline
from realtime_sync.interrupts import Flag
from realtime_sync.mcp.approvals import MCPApprovals
from realtime_sync.protocol.options import ConversationResponseOptions, ConversationSessionOptions, SessionOptions
from realtime_sync.protocol.registry import UNSET, Command
from realtime_sync.protocol.update_base import ConversationUpdate
from realtime_sync.tools.rounds import FunctionCalls, run_rounds
from realtime_sync.tools.serving import SessionTools, as_runner, owner_of_calls, with_tools
from realtime_sync.voice.questions import Question, items_of, spoken
from realtime_sync.voice.sending import AudioInput

if TYPE_CHECKING:
    from realtime_sync.audio.outgoing import Progress
    from realtime_sync.audio.playback import PlaybackPosition
    from realtime_sync.audio.source import AudioSource
    from realtime_sync.budget import Budget
    from realtime_sync.core.derived_streams import TranscriptStream, TranslationStream, TurnStream
    from realtime_sync.mcp.approval import ApprovalCallback
    from realtime_sync.mcp.loop import MCPApprover
    from realtime_sync.tools import Tool, ToolRunner
    from realtime_sync.tools.rounds import OnCall
    from realtime_sync.tools.serving import OnInterruption
    from realtime_sync.voice import Microphone, Speaker
    from realtime_sync.voice.barge_in import Interruption, SpeechInterrupter
    from realtime_sync.voice.sending import AudioSend, AudioWriter

U = TypeVar("U", bound=ConversationUpdate)


class RealtimeConversationSession(RealtimeWireSession):
    """One conversation. Made by ``RealtimeConversationClient.start_conversation_session()``.

    A context manager: leaving it closes the session. All methods may be called from any thread.

    Methods that send return a ``CommandHandle``: ``handle.wait()`` returns the acknowledging update, or raises the
    error of that command; it may be ignored. All raise ``SessionNotOpenError`` after ``close()``,
    ``ConnectionClosedError`` after the connection's end, ``InvalidInputError`` for a message that cannot be sent, and
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
        """The session's budget, with the cost so far; None if it was started without ``budget=``."""
        return self._budget

    @property
    def client_request_id(self) -> Optional[str]:
        """The id that Azure's support asks for (``x-ms-client-request-id``); None if it was started elsewhere."""
        return self._client_request_id

    def _repr_html_(self) -> str:
        from realtime_sync.notebook import card

        state = "open" if self._engine.end is None else str(self._engine.end.reason.close_info)
        facts = {"model": self._engine.model, "state": state}
        return card(f"Session {self.id or '(not greeted yet)'}", facts, self.conversation._repr_html_())

    # Receiving ------------------------------------------------------------------------------------------------

    def transcripts(self, timeout: Optional[float] = None) -> TranscriptStream:
        """Iterate over the transcripts of the audio that is committed from now on.

        Args:
            timeout: Seconds to wait for each; None waits as long as the session lives.

        Returns:
            A ``TranscriptStream``: a ``Transcript`` for each turn, in order.
        """
        from realtime_sync.core.derived_streams import TranscriptStream

        return TranscriptStream(self.subscribe(), timeout)

    def translation(self, timeout: Optional[float] = None) -> TranslationStream:
        """Iterate over the translation from now on, piece by piece; for a translation session.

        Args:
            timeout: Seconds to wait for each piece; None waits as long as the session lives.

        Returns:
            A ``TranslationStream``, which ends after ``end_translation()``.
        """
        from realtime_sync.core.derived_streams import TranslationStream

        return TranslationStream(self.subscribe(), timeout)

    # Sending --------------------------------------------------------------------------------------------------

    @public_call
    def configure_session(self, options: SessionOptions, *, event_id: Optional[str] = None) -> CommandHandle:
        """Change settings; those that are ``UNSET`` stay. Acknowledged by ``session.updated``.

        Args:
            options: The settings to change, of the kind of this session. Functions among ``tools`` are run from now on.
            event_id: The command's name on the wire; None makes one up.

        Returns:
            The command's handle.

        Raises:
            InvalidInputError: ``options`` are no options of a session.
            UnsupportedByDialectError: The server's dialect cannot express an option.
        """
        command = self._configuration(options, event_id)
        tools = options.tools if isinstance(options, ConversationSessionOptions) else UNSET
        return self._engine.send(command, before=lambda: self._tools.change(tools))

    def _note_message(self, handle: CommandHandle, message: Message) -> None:
        if handle.type == self._audio.append_type and not isinstance(message, Command):
            self._audio.lose_count()

    # Asking ---------------------------------------------------------------------------------------------------

    @public_call
    def respond(
        self,
        content: Optional[Question] = None,
        options: Optional[ConversationResponseOptions] = None,
        *,
        timeout: float = 60.0,
    ) -> Response:
        """Ask for an answer, and return it while it is made: ``with session.respond("Hello") as response: ...``.

        Waits until the conversation is free, because the service makes one response at a time in it, and until the
        service has begun to answer. The session makes the calls of its own functions meanwhile, and asks for another
        response afterwards; calls of ``options.tools`` are yours to make.

        Args:
            content: What to say first: a text, an item or several, or audio (bytes in the session's input format, a
                path object, a binary file or ``Samples``, as for ``send_audio``; it is sent as an item, not through the
                input buffer). None: the conversation is answered as it stands.
            options: Settings of this response alone; None: the session's. With ``conversation="none"`` the answer is
                out-of-band: ``content`` is its only input, the conversation stays as it was, and any number may run at
                once.
            timeout: Seconds until the service has begun to answer, with the wait for the conversation.

        Returns:
            The response, which any thread may read. Leaving its ``with`` block before the end cancels it.

        Raises:
            WaitTimeoutError: Time is up; the answer is cancelled once it begins.
            ServerError: The service refused the content or the request.
            ConnectionReplacedError: The connection was lost twice before the answer began, and the session goes on.
            FileNotFoundError: ``content`` is a path, and no file is there.
            RealtimeSyncError: As all commands.
        """
        check_response_options(options)
        owner = owner_of_calls(options)
        return begin_response(self._engine, items_of(content, self._audio), options, Deadline(timeout), owner=owner)

    @public_call
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

        ``str(answer)`` is the answer's words, written or spoken. ``answer.text`` is empty if the model spoke: then
        there are ``answer.transcript`` and ``answer.save_audio("answer.wav")``.

        Functions that the model calls are run, several at once, and remote tools (MCP) are called by the service; then
        the model is asked to go on, at most 32 times. The answer is the last one: it makes no call, or only calls that
        are yours to make. If ``ask`` raises or is interrupted, the answer is cancelled.

        ``answer.user_transcript`` is what the service heard in a recording, if the session has
        ``input_transcription_options`` and turn detection is off (``TurnDetectionOptions.disabled()``), for services
        write down only what comes through the input buffer; else it is None. With turn detection use ``send_audio`` and
        ``turns``.

        Args:
            content: What to ask, as in ``respond``; None: the conversation is answered as it stands.
            options: Settings of these responses alone, such as ``ConversationResponseOptions(voice="cedar")``, as in
                ``respond``; None: the session's.
            tools: Functions (``@function_tool``, or plain ones) that the model may call, or a ``ToolRunner``; None:
                those of ``options.tools``, else those of the session's settings.
            approve: Decides about calls of remote tools that need an approval, as the callback of ``approve_mcp``;
                None: that callback decides. Without either, the answer has the requests in ``answer.approvals``: decide
                each with ``add_item(ConversationItem.create_mcp_approval_response(request.id, True))``, wait for its
                call with ``subscribe()`` (``response.mcp_call.completed``), and ask again.
            on_delta: ``on_delta(delta)`` is called on this thread with each piece as it comes (``delta.text``),
                including the words before the calls; None: no callback.
            on_call: ``on_call(call, outcome)`` is called on this thread with each call of a function (a
                ``FunctionCallItem``) and its ``ToolOutcome``, in the order of the calls, once all calls of a response
                have ended; None: no callback.
            timeout: Seconds for everything together: the wait for the conversation, all responses, all calls.

        Returns:
            The finished answer. If it was cut short, its ``status`` and ``reason`` say why.

        Raises:
            ResponseFailedError: The service could not answer.
            WaitTimeoutError: Time is up; the answer is cancelled.
            ServerError: The service refused the question or the request.
            ConnectionReplacedError: The connection was lost after a part of the answer had come, and the session goes
                on. If no part had come, a session with ``reconnect=`` asks again, once.
            FileNotFoundError: ``content`` is a path, and no file is there.
            UsageError: The model called tools 32 times without answering.
            InvalidInputError: An argument is not of the kind that is described here.
            RealtimeSyncError: As all commands.
        """
        deadline = Deadline(timeout)
        check_response_options(options)
        for name, callback in (("approve", approve), ("on_delta", on_delta), ("on_call", on_call)):
            check_function(name, callback)
        items = items_of(content, self._audio)

        runner = self._tools.runner_for(tools, options)
        if runner is not None and tools is not None:
            options = with_tools(options, runner)
        functions = FunctionCalls(self._engine, runner, on_call, owner_of_calls(options, runner))
        speaking = spoken(self._engine, self._audio, content, items, options)
        with self._mcp.following(options, approve) as remote, speaking as question:
            said = items if question is None else [question]
            answer = run_rounds(self._engine, [*remote, functions], said, options, deadline, on_delta)
            return answer if question is None else attrs.evolve(answer, user_transcript=question.transcript(deadline))

    @public_call
    def run_tools(self, tools: Union[ToolRunner, Iterable[Tool]], *, on_interruption: OnInterruption = "keep") -> None:
        """Serve the model's calls until the session ends: for voice, if voice activity detection asks for answers.

        The service gets the definitions of ``tools``; then, for each response that calls some, they are run, their
        results are given back in the order of the calls, and another response is asked for. This runs on the calling
        thread; the session goes on meanwhile. It returns after an orderly close.

        Args:
            tools: Functions (``@function_tool``, or plain ones), or a ``ToolRunner``.
            on_interruption: How to treat tools that run when the user begins to speak. ``"keep"`` lets them finish;
                ``"drop"`` asks them to stop (``ToolContext.cancellation``), and their results say so.

        Raises:
            ConnectionClosedError: The session has ended otherwise than by an orderly close.
            ServerError: The service refused the tools, or a result.
            UsageError: The model called tools 32 times in a row without answering.
        """
        self._tools.run(as_runner(tools), on_interruption)

    @public_call
    def approve_mcp(self, callback: ApprovalCallback, *, timeout: Optional[float] = None) -> MCPApprover:
        """``with session.approve_mcp(lambda request: request.name == "search"): ...`` decides about remote MCP calls.

        Once all calls of a response are decided and over, the model is asked to go on; an ``ask`` within the block does
        so by itself and returns the answer.

        Args:
            callback: Gets each ``MCPApproval``, those that are open already first, on a thread of its own, and returns
                True, False or an ``MCPDecision``. An error in it rejects the call; the first such error is raised when
                the block is left.
            timeout: Seconds that an approved call may take before the model goes on without it; None: 600.

        Returns:
            The block; the callback decides while it runs.

        Raises:
            UsageError: On entering, if another block decides already.
            RealtimeSyncError: As all commands.
        """
        from realtime_sync.mcp.loop import MCPApprover

        return MCPApprover(self._mcp, callback, timeout)

    # Turns and interruption -----------------------------------------------------------------------------------

    @public_call
    def turns(self, timeout: Optional[float] = None, *, position: Optional[PlaybackPosition] = None) -> TurnStream:
        """Iterate over the turns that begin from now on, each when it is finished; independent of ``updates()``.

        Args:
            timeout: Seconds to wait for each turn, then ``WaitTimeoutError`` is raised and iteration may go on; None
                waits as long as the session lives.
            position: The player's position, from which ``turn.timeline.first_played`` is known; None: it is None.

        Returns:
            A ``TurnStream`` of ``Turn``; it ends as ``updates()`` does.
        """
        from realtime_sync.conversation.turns import TurnFilter, TurnTracker
        from realtime_sync.core.derived_streams import TurnStream
        from realtime_sync.core.update_streams import UpdateStream

        engine = self._engine
        engine.check_process()
        conversation, queue = engine.in_one_moment(lambda: engine.open_queue(keep=TurnFilter()))
        before = [item.id for item in conversation.items if item.id]
        tracker = TurnTracker(engine.session, most_bytes=engine.limits.answer, before=before)
        return TurnStream(UpdateStream(queue, engine.named), tracker, timeout, position)

    @public_call
    def interrupt(
        self,
        heard_ms: Optional[float] = None,
        *,
        position: Optional[PlaybackPosition] = None,
        item_id: Optional[str] = None,
        clear_output: bool = False,
        timeout: Optional[float] = None,
    ) -> Interruption:
        """Stop the model's answer, and shorten it in the conversation to the part that was heard.

        Stop the player first: then the position is final. Without ``position`` and ``heard_ms``, or before any audio
        has come, the answer is only cancelled, also one that was asked for and has not begun. It is no error if the
        answer has ended by itself meanwhile, or its item is gone: the result says so. A second call does nothing twice.

        Args:
            heard_ms: Milliseconds of the item that were heard, at most as many as have come; None: ``position`` says
                it.
            position: The position that a player keeps; None: ``heard_ms`` says it.
            item_id: The item that ``heard_ms`` is about; None: that of the latest answer.
            clear_output: True also stops a service that plays the audio itself (WebRTC, SIP).
            timeout: Seconds to wait for the service's acknowledgements; None: ``Timeouts.acknowledge``.

        Returns:
            What was cancelled and shortened.

        Raises:
            WaitTimeoutError: The service did not acknowledge it in time.
            RealtimeSyncError: As all commands.
        """
        from realtime_sync.voice.barge_in import interrupt

        self._engine.check_open()
        return interrupt(
            self, heard_ms=heard_ms, position=position, item_id=item_id, clear_output=clear_output, timeout=timeout
        )

    @public_call
    def interrupt_on_speech(
        self,
        position: PlaybackPosition,
        callback: Optional[Callable[[Interruption], object]] = None,
        *,
        stop_playing: Optional[Callable[[], object]] = None,
    ) -> SpeechInterrupter:
        """``with session.interrupt_on_speech(position): ...`` interrupts whenever the user begins to speak.

        If the service cancels the answer by itself (``interrupt_response``), it is only shortened.

        Args:
            position: The position that the player keeps.
            callback: ``callback(interruption)`` is called after each interruption, on a thread of its own; None: no
                callback.
            stop_playing: Called first, on the same thread, to stop the player; None: nothing is called.

        Returns:
            The block; it interrupts while it runs.
        """
        from realtime_sync.voice.barge_in import SpeechInterrupter

        self._engine.check_process()
        return SpeechInterrupter(self, position, callback, stop_playing)

    # Sending audio --------------------------------------------------------------------------------------------

    @public_call
    def clear_input_audio(self, *, event_id: Optional[str] = None) -> CommandHandle:
        """Have the service forget the audio that is not committed. Acknowledged by ``input_audio_buffer.cleared``.

        Args:
            event_id: The command's name on the wire; None makes one up.

        Returns:
            The command's handle.
        """
        return self._audio.clear(event_id)

    @public_call
    def commit_pending_audio(self, *, event_id: Optional[str] = None) -> CommandHandle:
        """Make a user message of the audio sent so far. Acknowledged by ``input_audio_buffer.committed``.

        Args:
            event_id: The command's name on the wire; None makes one up.

        Returns:
            The command's handle.

        Raises:
            UsageError: There are less than 100 ms of audio, which the service would refuse; or voice activity detection
                is on, so the service commits by itself (``send_message`` sends a commit all the same).
        """
        return self._audio.commit(event_id)

    @public_call
    def send_audio(
        self,
        source: AudioSource,
        *,
        chunk_ms: float = 100,
        pace: Optional[float] = None,
        trailing_silence_ms: float = 0,
        progress: Progress = None,
    ) -> None:
        """Send audio, and return when the connection has accepted all of it. Nothing is committed.

        Args:
            source: A path, a binary file object, bytes, an iterable of bytes, or ``Samples(array, rate)``. A WAV header
                is recognised and left out. Audio in another format than the session's input format (by default 16 bit
                little endian mono at 24,000 Hz) is converted on its way: any file that libsndfile reads, any rate, any
                channels, with the extra ``audio``. Bare samples must be in that format; a path of such ends in
                ``.pcm`` or ``.raw``.
            chunk_ms: Milliseconds of audio in a message; other commands are sent between two messages (of bytes and
                paths after up to 40 kB of samples).
            pace: 1.0 sends at the speed of speech, 2.0 twice as fast, and returns when the audio would have been heard;
                None sends as fast as the connection accepts it.
            trailing_silence_ms: Milliseconds of silence to send behind it, in which voice activity detection finds the
                end of speech; 0 sends none.
            progress: ``progress(sent_seconds, total_seconds)`` is called after each message (``total_seconds``: None if
                the length of the source is not known); True shows a bar (the extra ``progress``); None: neither.

        Raises:
            AudioFormatError: The audio is in a format that cannot be sent or converted.
            FileNotFoundError: ``source`` is a path, and no file is there.
            AudioSendInProgressError: Other audio is being sent.
            RealtimeSyncError: As all commands.
        """
        self._audio.send(source, chunk_ms, pace, trailing_silence_ms, progress)

    @public_call
    def start_sending_audio(
        self,
        source: AudioSource,
        *,
        chunk_ms: float = 100,
        pace: Optional[float] = None,
        trailing_silence_ms: float = 0,
        progress: Progress = None,
    ) -> AudioSend:
        """Send audio on a thread of its own. Arguments as in ``send_audio``.

        Returns:
            A handle with ``wait``, ``cancel`` and ``error``. An orderly end of the session cancels it, which is no
            error: then ``AudioSend.cancelled`` is True.

        Raises:
            AudioFormatError: The audio is in a format that cannot be sent or converted.
            FileNotFoundError: ``source`` is a path, and no file is there.
            AudioSendInProgressError: Other audio is being sent.
            RealtimeSyncError: As all commands.
        """
        wake = Flag()
        chunks = self._audio.chunks(source, chunk_ms, pace, trailing_silence_ms, progress, wake)
        return self._audio.start_sending(chunks, wake)

    @public_call
    def audio_writer(self) -> AudioWriter:
        """Push audio piece by piece: ``with session.audio_writer() as writer: writer.write(samples)``.

        Returns:
            A writer; no other audio can be sent until it is closed.
        """
        return self._audio.writer()

    # Talking --------------------------------------------------------------------------------------------------

    @public_call
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
        """Hold a whole spoken conversation: send the microphone's audio, play the model's.

        If the user speaks into an answer, the speaker falls silent, and the answer is shortened in the conversation to
        the samples that were played. To serve other tools than the session's, call ``run_tools`` on another thread.

        Runs on this thread until ``stop`` is set, Ctrl-C, the session's end, or the microphone's end. The devices are
        closed then; the session stays open.

        Args:
            microphone: None: the machine's (the extra ``devices``). ``FileMicrophone`` reads a file;
                ``HalfDuplex(microphone, speaker)`` is one for a machine without echo cancelling.
            speaker: None: the machine's. ``FileSpeaker`` writes a file.
            stop: Set it to end the conversation; None: it ends otherwise.
            on_update: ``on_update(update)`` is called with every update; None: no callback.
            on_interruption: ``on_interruption(interruption)`` is called after each interruption; None: no callback.
            linger: After the microphone's end, seconds without a sound of the service after which its last answer is
                not awaited any more.

        Raises:
            UsageError: Turn detection is off.
            InvalidInputError: What was given is no device.
            AudioFormatError: A device has another format than the session.
            AudioDeviceError: A device is missing or was lost.
            ConnectionClosedError: The connection ended otherwise than in an orderly way.
            Exception: A callback raised it.
        """
        from realtime_sync.voice.talk import talk

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

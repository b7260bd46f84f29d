"""A live session: what a caller says and hears. The thread behind it is in ``engine.py``."""

from __future__ import annotations

import logging
import os
import secrets
import threading
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import closing
from typing import BinaryIO, Callable, Optional, TypeVar, Union

import attrs

from realtime_sync.audio.arrays import Samples
from realtime_sync.audio.outgoing import Progress, outgoing_chunks
from realtime_sync.audio.pacing import Clock, RealClock
from realtime_sync.audio.playback import PlaybackPosition
from realtime_sync.audio.source import AudioChunks, AudioSource
from realtime_sync.budget import Budget
from realtime_sync.checks import check_number, check_whole
from realtime_sync.conversation import Conversation
from realtime_sync.conversation.html import card
from realtime_sync.core.answer import Answer
from realtime_sync.core.ask import OnDelta, begin_response
from realtime_sync.core.commands import CommandHandle
from realtime_sync.core.derived_streams import TranscriptStream
from realtime_sync.core.realtime import SETTING_COMMANDS, RealtimeEngine
from realtime_sync.core.response import Response
from realtime_sync.core.translations import TranslationStream
from realtime_sync.core.turn_stream import TurnStream
from realtime_sync.core.wire_session import Message, WireSession
from realtime_sync.deadline import Deadline
from realtime_sync.errors import InvalidInputError
from realtime_sync.mcp.approval import ApprovalCallback, MCPApprovals
from realtime_sync.mcp.loop import MCPApprovalStream, MCPApprover, following
from realtime_sync.protocol import codec, commands
from realtime_sync.protocol.items import ConversationContentPart, ConversationItem
from realtime_sync.protocol.options import (
    ConversationResponseOptions,
    ConversationSessionOptions,
    SessionOptions,
    TranscriptionSessionOptions,
    TranslationSessionOptions,
)
from realtime_sync.protocol.registry import Command
from realtime_sync.protocol.resources import RealtimeSession
from realtime_sync.protocol.update_base import ConversationUpdate
from realtime_sync.tools import Tool, ToolRunner
from realtime_sync.tools.loop import (
    OnInterruption,
    answer_with_tools,
    as_runner,
    left_to_asker,
    run_tools,
    with_tools,
)
from realtime_sync.tools.session_tools import SessionTools
from realtime_sync.voice import Microphone, Speaker
from realtime_sync.voice.barge_in import Interruption, IsSpared, SpeechInterrupter, interrupt
from realtime_sync.voice.sending import AudioClaim, AudioSend, AudioWriter, UncommittedAudio
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


class RealtimeConversationSession(WireSession):
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
        self._append_type = "session.input_audio_buffer.append" if translation else "input_audio_buffer.append"
        self._budget = budget
        self._claim = AudioClaim()
        self._mcp = MCPApprovals(engine)
        self._tools = SessionTools(self, engine)
        self._uncommitted = UncommittedAudio()

    # About the session ----------------------------------------------------------------------------------------

    @property
    def session(self) -> Optional[RealtimeSession]:
        """The settings in force, as the service last told them; None until it has."""
        return self._engine.session

    @property
    def conversation(self) -> Conversation:
        """The conversation as it stands: items with what has come of them, responses, usage, cost.

        A copy that stays as it is; ask again for a newer one. It can be exported (``to_json``) and, after the session's
        end or in another one, added as history.
        """
        return self._engine.conversation()

    @property
    def budget(self) -> Optional[Budget]:
        """What the session may cost and has cost; None if it was started without ``budget=``."""
        return self._budget

    @property
    def client_request_id(self) -> Optional[str]:
        """What Azure's support asks for (``x-ms-client-request-id``); None elsewhere."""
        return self._client_request_id

    def _about(self) -> str:
        return self._engine.model or "?"

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
        kinds = (ConversationSessionOptions, TranscriptionSessionOptions, TranslationSessionOptions)
        _check_type(options, kinds, "options")

        def change_tools() -> None:
            if isinstance(options, ConversationSessionOptions):
                self._tools.change(options.tools)

        command = commands.SessionUpdateCommand(session=options, event_id=event_id)
        return self._engine.send(command, before=change_tools)

    def commit_pending_audio(self, *, event_id: Optional[str] = None) -> CommandHandle:
        """Make a user message of the audio sent so far. Acknowledged by ``input_audio_buffer.committed``.

        Raises ``UsageError`` for less than 100 ms of audio, which the service would refuse, and while voice activity
        detection is on, for then the service commits by itself (``send_message`` sends a commit all the same).
        """
        self._engine.check_open()
        self._uncommitted.check(self._engine.settings.input_format, self._engine.settings.turn_detection)
        found = self._uncommitted.sent
        handle = self._send(commands.InputAudioBufferCommitCommand(event_id=event_id))
        self._uncommitted.committed(handle, found)
        return handle

    def clear_input_audio(self, *, event_id: Optional[str] = None) -> CommandHandle:
        """Have the service forget the audio that is not committed. Acknowledged by ``input_audio_buffer.cleared``."""
        return self._send(commands.InputAudioBufferClearCommand(event_id=event_id))

    def clear_output_audio(self, *, event_id: Optional[str] = None) -> CommandHandle:
        """Have the service stop playing (WebRTC and SIP). Acknowledged by ``output_audio_buffer.cleared``."""
        return self._send(commands.OutputAudioBufferClearCommand(event_id=event_id))

    def add_item(
        self,
        item: Union[ConversationItem, str],
        previous_item_id: Optional[str] = None,
        *,
        event_id: Optional[str] = None,
    ) -> CommandHandle:
        """Add an item to the conversation; a ``str`` is a user message. Acknowledged by ``conversation.item.added``.

        ``previous_item_id``: the item to put it behind, ``"root"`` for the beginning, None for the end. An item
        without an id is given one here, so that its acknowledgement can be told from others.
        """
        if isinstance(item, str):
            item = ConversationItem.create_user_message(item)
        elif not isinstance(item, ConversationItem):
            raise InvalidInputError(f"an item is a ConversationItem or a text, not {type(item).__name__}")
        _check_optional_name(previous_item_id, "previous_item_id")
        if item.id is None:
            item = attrs.evolve(item, id=f"item_{secrets.token_hex(12)}")  # the service allows 32 characters
        return self._send(
            commands.ConversationItemCreateCommand(item=item, previous_item_id=previous_item_id, event_id=event_id)
        )

    def add_history(self, history: Union[Conversation, Iterable[ConversationItem]]) -> list[CommandHandle]:
        """Add the items of an earlier conversation, in order; wait for the last handle to know that all are in.

        Of a ``Conversation`` those that a service accepts: its ``history_losses()`` tells what cannot be carried over.
        """
        if isinstance(history, (str, bytes, Mapping)) or not isinstance(history, Iterable | Conversation):
            raise InvalidInputError(f"a history is a Conversation or a list of items, not {history!r:.60}")
        items = history.history() if isinstance(history, Conversation) else history
        return [self.add_item(item) for item in items]

    def retrieve_item(self, item_id: str, *, event_id: Optional[str] = None) -> CommandHandle:
        """Ask for an item as the service has it, audio included. Acknowledged by ``conversation.item.retrieved``."""
        _check_type(item_id, (str,), "item_id")
        return self._send(commands.ConversationItemRetrieveCommand(item_id=item_id, event_id=event_id))

    def truncate_item(
        self, item_id: str, *, audio_end_ms: int, content_index: int = 0, event_id: Optional[str] = None
    ) -> CommandHandle:
        """Shorten the model's audio to what was heard. Acknowledged by ``conversation.item.truncated``.

        ``audio_end_ms``: milliseconds from the audio's beginning; more than there is, is an error.
        """
        _check_type(item_id, (str,), "item_id")
        check_number("audio_end_ms", audio_end_ms, "milliseconds")
        if 0 < audio_end_ms < 1:
            raise InvalidInputError(f"audio_end_ms={audio_end_ms} is in milliseconds; in seconds, take it times 1000")
        check_whole("content_index", content_index)
        return self._send(
            commands.ConversationItemTruncateCommand(
                item_id=item_id, content_index=content_index, audio_end_ms=int(audio_end_ms), event_id=event_id
            )
        )

    def delete_item(self, item_id: str, *, event_id: Optional[str] = None) -> CommandHandle:
        """Remove an item from the conversation. Acknowledged by ``conversation.item.deleted``."""
        _check_type(item_id, (str,), "item_id")
        return self._send(commands.ConversationItemDeleteCommand(item_id=item_id, event_id=event_id))

    def start_response(
        self, options: Optional[ConversationResponseOptions] = None, *, event_id: Optional[str] = None
    ) -> CommandHandle:
        """Let the model answer. Acknowledged by ``response.created``; the answer ends with ``response.done``.

        ``wait()`` for it before you ``ask`` or ``respond``: those know of a response once it has begun.

        Where voice activity detection begins a response in the same moment, that one may be taken for this one;
        ``respond()`` tells them apart.
        """
        _check_response_options(options)
        return self._send(commands.ResponseCreateCommand(response=options, event_id=event_id))

    def cancel_response(self, response_id: Optional[str] = None, *, event_id: Optional[str] = None) -> CommandHandle:
        """Stop a response (None: the one in progress). Acknowledged by its ``response.done``."""
        _check_optional_name(response_id, "response_id")
        return self._send(commands.ResponseCancelCommand(response_id=response_id, event_id=event_id))

    def end_translation(self, *, event_id: Optional[str] = None) -> CommandHandle:
        """End a translation session once all that was heard is translated. Acknowledged by ``session.closed``."""
        return self._send(commands.SessionCloseCommand(event_id=event_id))

    def send_message(self, message: Message) -> CommandHandle:
        """Send any message as it is: a dict, JSON text, UTF-8 bytes of it, or a command object.

        It is not changed, so give it an ``event_id`` if an ``error`` is to name it.
        """
        handle = super().send_message(message)
        if handle.type == self._append_type and not isinstance(message, Command):
            self._uncommitted.lose_count()
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

        Raises ``WaitTimeoutError``, ``ServerError`` where the service refused, and as all commands.
        """
        _check_response_options(options)
        return begin_response(self._engine, self._items(content), left_to_asker(options), Deadline(timeout))

    def ask(
        self,
        content: Optional[Question] = None,
        options: Optional[ConversationResponseOptions] = None,
        *,
        tools: Union[ToolRunner, Iterable[Tool], None] = None,
        approve: Optional[ApprovalCallback] = None,
        on_delta: Optional[OnDelta] = None,
        timeout: float = 120.0,
    ) -> Answer:
        """Ask, wait, and return the finished answer: ``print(session.ask("What is the tallest tree?"))``.

        ``str(answer)`` is what it says, written or spoken; ``answer.text`` is what was written, and is empty where the
        model spoke (then see ``answer.transcript``, ``answer.save_audio("answer.wav")``).

        The arguments are those of ``respond``; ``timeout`` is for all of it, in seconds. ``tools`` are Python functions
        (``@function_tool``, or plain ones) that the model may call: they are run, several at once, their results given
        back in the order of the calls, and the answer is the one that calls none any more; None: those of
        ``options.tools``, else of the session's options. Remote MCP tools are called
        by the service; ``approve`` decides about those that need approval (as in ``approve_mcp``, which decides where
        it is None), and the answer is the one behind the last of their calls. Where nobody decides, the answer tells
        what is asked for in ``answer.approvals``. ``on_delta(delta)`` is called on this thread with each piece as it
        comes (``delta.text``), of what the model says before its calls, too.

        Raises as ``respond`` does, and ``ResponseFailedError`` where the service failed. What cut an answer short is in
        its ``status`` and ``reason``. When it raises, or is interrupted, the answer is cancelled. In a session that
        survives (``reconnect``) it asks again, once, where the connection was lost before any of the answer had come;
        else it raises ``ConnectionReplacedError``.
        """
        deadline = Deadline(timeout)
        _check_response_options(options)
        items = self._items(content)
        with (
            following(self._mcp, options, approve, on_delta) as remote,
            self._tools.runner_for(tools, options) as runner,
        ):
            if runner is None:
                return remote.answer(items, left_to_asker(options), deadline)
            if tools is not None:
                options = with_tools(options, runner.definitions)
            return answer_with_tools(self._engine, remote.answer, items, runner, options, deadline)

    def run_tools(self, tools: Union[ToolRunner, Iterable[Tool]], *, on_interruption: OnInterruption = "keep") -> None:
        """Serve the model's calls until the session ends: for voice, where voice activity detection asks for answers.

        The session is told of ``tools``; then each response that calls some has them run, their results given back
        in the order of the calls, and another response asked for. Runs on this thread; the session goes on meanwhile.
        ``on_interruption``: what becomes of tools that run when the user begins to speak: ``"keep"`` lets them finish,
        ``"drop"`` tells them (``ToolContext.cancellation``) and has their results say that they were cancelled.

        Returns after an orderly close; raises ``ConnectionClosedError`` after any other end, and as all commands.
        """
        with as_runner(tools) as runner:
            run_tools(self, self._engine, runner, on_interruption)

    def approve_mcp(self, callback: ApprovalCallback, *, timeout: Optional[float] = None) -> MCPApprover:
        """``with session.approve_mcp(lambda request: request.name == "search"): ...`` decides about remote MCP calls.

        ``callback(request)`` gets each ``MCPApproval``, those that are open already first, on a thread of its own, and
        returns True, False or an ``MCPDecision``. What it raises rejects the call, and is raised when the block is
        left. Once all calls of a response are decided and over, the model is asked to go on; an ``ask`` within the
        block does so by itself and returns the answer. ``timeout``: seconds that an approved call may take before the
        model goes on without it; None: 600.

        Raises ``UsageError`` on entering where approvals are decided elsewhere already, and as all commands.
        """
        return MCPApprover(self._mcp, callback, timeout)

    def mcp_approvals(self, timeout: Optional[float] = None) -> MCPApprovalStream:
        """Iterate over requests to call remote MCP tools, those that are open already first, and decide each.

        ``with session.mcp_approvals() as requests: ...``; each is an ``MCPApproval`` to ``approve()`` or ``reject()``.
        The model goes on as in ``approve_mcp``. ``timeout``: seconds to wait for each, then ``WaitTimeoutError`` is
        raised and iteration may go on; None waits as long as the session lives. Raises as ``approve_mcp`` does.
        """
        return MCPApprovalStream(self._mcp, timeout)

    # Turns and interruption -----------------------------------------------------------------------------------

    def turns(self, timeout: Optional[float] = None, *, position: Optional[PlaybackPosition] = None) -> TurnStream:
        """Iterate over the turns that begin from now on, each when it is finished: see ``Turn``.

        ``timeout``: seconds to wait for each, then ``WaitTimeoutError`` is raised and iteration may go on; None waits
        as long as the session lives. ``position`` tells when a turn was first heard. Ends as ``updates()`` does, and is
        independent of it.
        """
        self._engine.check_process()
        self._engine.updates.rest()
        return TurnStream(self._engine, timeout, position)

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
        of the latest answer). It is never told to be more than has come. With neither, or before any audio has come,
        the answer is only cancelled, also one that was asked for and has not begun. Stop the player first: then the
        position is final.

        That the answer ended by itself meanwhile, or that its item is gone, is no error: the result tells it. Calling
        it twice does nothing twice. ``clear_output`` has a service that plays by itself (WebRTC, SIP) stop.
        ``timeout``: seconds to wait for the service's word, None: ``Timeouts.acknowledge``. Raises
        ``WaitTimeoutError``, and as all commands.
        """
        self._engine.check_open()
        return interrupt(
            self,
            self._engine,
            heard_ms=heard_ms,
            position=position,
            item_id=item_id,
            clear_output=clear_output,
            timeout=timeout,
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

        def cut_short(is_spared: IsSpared) -> Interruption:
            self._engine.check_open()
            return interrupt(self, self._engine, position=position, is_spared=is_spared)

        return SpeechInterrupter(cut_short, self._engine, callback, stop_playing)

    # Sending audio --------------------------------------------------------------------------------------------

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

        ``source``: a path, a binary file object, bytes, an iterable of bytes, or ``Samples(array, rate)``. A WAV header
        is recognised and left out; what is not in the session's input format (by default 16 bit little endian mono at
        24,000 Hz) is converted on its way: any file that libsndfile reads, any rate, any channels, with the extra
        ``audio``. Bare samples must be in that format; a path of such ends in ``.pcm`` or ``.raw``. Sent in messages of
        ``chunk_ms`` milliseconds, between which other commands get through.

        ``pace``: 1.0 sends at the speed of speech, 2.0 twice as fast, and returns when the audio would have been heard;
        None sends as fast as the connection takes it. ``trailing_silence_ms``: silence to send behind it, in which
        voice activity detection finds the end of speech. ``progress(sent_seconds, total_seconds)`` is called after each
        message (``total_seconds``: None where the source does not tell it); True shows a bar (the extra ``progress``).

        Raises ``AudioFormatError``, ``AudioSendInProgressError`` while other audio is being sent, and as all commands.
        """
        with closing(self._chunks(source, chunk_ms, pace, trailing_silence_ms, progress)) as chunks, self._claim:
            for chunk in chunks:
                self._send_audio_chunk(chunk)

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

        An orderly end of the session cancels it, which is no error: ``AudioSend.cancelled`` tells.
        """
        cancelled = threading.Event()
        clock = RealClock(wake=cancelled)
        chunks: Iterator[bytes] = self._chunks(source, chunk_ms, pace, trailing_silence_ms, progress, clock)
        if isinstance(source, (str, os.PathLike)):
            chunks = _begun(chunks)  # so a file that is not there, or cannot be read, is told at this call
        self._claim.take()
        sending = AudioSend(chunks, self._send_audio_chunk, self._claim, cancelled, self._engine.check_process)
        try:
            self._engine.start_thread(lambda: sending.run(self._engine.listening), "audio")
        except BaseException:
            self._claim.release()
            raise
        return sending

    def audio_writer(self) -> AudioWriter:
        """Push audio piece by piece: ``with session.audio_writer() as writer: writer.write(samples)``."""
        self._engine.check_open()
        return AudioWriter(self._send_audio_chunk, self._claim, self._engine.settings.input_format.sample_bytes)

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

        Raises ``UsageError`` where turn detection is off, ``AudioFormatError`` for devices in another format than the
        session, ``AudioDeviceError`` where one is not there or goes away, ``ConnectionClosedError`` after any end of
        the connection but an orderly one, and what the callbacks raise.
        """
        self._engine.check_open()
        talk(
            self,
            self._engine,
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
        audio = b"".join(self._chunks(content, 1000))
        return [ConversationItem.create_user_message(ConversationContentPart.from_input_audio(audio))]

    def _send(self, command: Command) -> CommandHandle:
        return self._engine.send(command)

    def _command_in(self, wire_type: str, text: str) -> Optional[Command]:
        if wire_type not in (command.wire_type for command in SETTING_COMMANDS):
            return None
        try:
            return codec.decode_command(text, self._engine.dialect)
        except InvalidInputError:  # then the service understands it, or nobody does
            return None

    def _send_audio_chunk(self, chunk: bytes) -> None:
        self._uncommitted.add(len(chunk))  # before it is sent: what counts is the most that there may be
        self._engine.send_audio(codec.append_frame(chunk, self._append_type), len(chunk))
        self._uncommitted.added()

    def _chunks(
        self,
        source: AudioSource,
        chunk_ms: float,
        pace: Optional[float] = None,
        trailing_silence_ms: float = 0,
        progress: Progress = None,
        clock: Optional[Clock] = None,
    ) -> Union[AudioChunks, Generator[bytes, None, None]]:
        self._engine.check_open()
        return outgoing_chunks(
            source,
            self._engine.settings.input_format,
            chunk_ms=chunk_ms,
            pace=pace,
            trailing_silence_ms=trailing_silence_ms,
            progress=progress,
            clock=clock,
        )


def _as_it_is(update: ConversationUpdate) -> ConversationUpdate:
    return update


def _begun(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The same chunks, the first of which has been read."""
    first = next(chunks)

    def all_of_them() -> Iterator[bytes]:
        yield first
        yield from chunks  # to close the one closes the other

    return all_of_them()


def _check_response_options(options: object) -> None:
    if options is not None:
        _check_type(options, (ConversationResponseOptions,), "options")


def _check_optional_name(value: object, name: str) -> None:
    if value is not None:
        _check_type(value, (str,), name)


def _check_type(value: object, types: tuple[type, ...], name: str) -> None:
    """Say at the call what the service would say later, or would misunderstand."""
    if not isinstance(value, types) or value == "":
        wanted = " or ".join(cls.__name__ for cls in types)
        raise InvalidInputError(f"{name} must be a {wanted}, not {value!r:.60}")

"""``realtime-sync talk`` and ``record``: a spoken conversation, with the machine's microphone and speaker or files."""

from __future__ import annotations

import argparse
import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from typing import Any, Optional, Union

import attrs

from realtime_sync import voice
from realtime_sync.audio.formats import PCM
from realtime_sync.audio.source import audio_chunks
from realtime_sync.cli import options, talk_live, terminal
from realtime_sync.cli.colours import painted
from realtime_sync.conversation.turn_words import user_words
from realtime_sync.conversation.turns import Turn, TurnTracker
from realtime_sync.errors import ConfigurationError
from realtime_sync.protocol import updates
from realtime_sync.protocol.options import ConversationSessionOptions, InputTranscriptionOptions, TurnDetectionOptions
from realtime_sync.protocol.resources import RealtimeSession
from realtime_sync.protocol.update_base import ConversationUpdate
from realtime_sync.session import RealtimeConversationSession
from realtime_sync.transcribing import DEFAULT_TRANSCRIPTION_MODEL

_FILES = "--input FILE and --output FILE"


def add_options(parser: argparse.ArgumentParser, *, record: bool = True) -> None:
    """Add what ``talk`` reads, with ``--record`` if ``record``."""
    sound = parser.add_argument_group("the sound")
    ears = sound.add_mutually_exclusive_group()
    ears.add_argument("--microphone", metavar="NAME", help="a part of its name, or its number")
    ears.add_argument("--input", action="append", default=[], metavar="FILE", help="a recording to say; again: more")
    mouth = sound.add_mutually_exclusive_group()
    mouth.add_argument("--speaker", metavar="NAME", help="a part of its name, or its number")
    mouth.add_argument("--output", metavar="FILE.wav", help="a file to speak into")
    sound.add_argument("--half-duplex", action="store_true", help="the microphone is off while the model speaks")
    sound.add_argument("--voice", metavar="NAME", help="the model's, such as marin, cedar, alloy, verse")
    writer = f"writes down your words (default: {DEFAULT_TRANSCRIPTION_MODEL})"
    sound.add_argument("--transcription-model", metavar="NAME", help=writer)
    talk_live.add_options(parser)
    parser.add_argument("--json", action="store_true", help="print each turn as a line of JSON")
    options.add_session_options(parser, record=record)


def add_record_options(parser: argparse.ArgumentParser) -> None:
    """Add what ``record`` reads."""
    parser.add_argument("record", metavar="FILE.jsonl", help="where to; an earlier recording takes --overwrite")
    add_options(parser, record=False)


def talk(arguments: argparse.Namespace) -> int:
    """Talk with the model, with microphone and speaker or with files.

    Speak into its answers as you like: it falls silent, and knows what you have heard of them.
    Each turn is printed when it is over, with the time from the end of your words to the first
    sound of the answer. Ctrl-C ends.

    With --live it is GPT-Live, which listens while it speaks. It hands work over, to the model
    that --backend names, which calls the --tools. Each turn is printed with when it began.

    Examples:
      realtime-sync talk                                  # pip install 'realtime-sync[devices]'
      realtime-sync talk --half-duplex                    # a laptop without echo cancelling
      realtime-sync talk --microphone usb --speaker headset   # parts of names; `doctor` lists them
      realtime-sync talk --input question.wav --output answer.wav   # ends after the answer
      realtime-sync talk --tools tools.py --voice cedar --record talk.jsonl
      realtime-sync talk --input question.wav --output answer.wav --local
      realtime-sync talk --live --backend gpt-5.6-luna --tools tools.py
    """
    talk_live.check(arguments)
    options.check_files(arguments, read=arguments.input, written=arguments.output)
    tools = options.load_tools(arguments.tools)
    speaker = _speaker(arguments)
    microphone = _microphone(arguments, speaker)
    if arguments.live:
        talk_live.talk(arguments, tools, microphone, speaker)
        return 0
    transcription = InputTranscriptionOptions(model=arguments.transcription_model or DEFAULT_TRANSCRIPTION_MODEL)
    session_options = ConversationSessionOptions(
        content_modalities=["audio"],
        turn_detection_options=TurnDetectionOptions.server_vad(),
        input_transcription_options=transcription,
        **options.given(instructions=arguments.instructions, voice=arguments.voice),
    )
    with ExitStack() as stack:
        client = stack.enter_context(options.client_from(arguments, speech=True))
        pool = stack.enter_context(ThreadPoolExecutor(1, "realtime-sync-tools"))  # left after the session's end
        session = stack.enter_context(options.open_session(client, arguments, session_options))
        if tools:
            pool.submit(_serve_tools, session, tools)
        options.begin_talk(arguments, microphone, speaker)
        with _TurnDisplay(session.session, as_json=arguments.json) as display:
            session.talk(microphone, speaker, on_update=display.show_update)
        terminal.note_cost(session.conversation, priced=not arguments.local)
    return 0


def record(arguments: argparse.Namespace) -> int:
    """Talk with the model, and keep the whole session in a file.

    All that is sent and received goes into FILE: JSON lines without keys, for `timeline` and
    `replay`. (chat, talk and say take --record FILE.)

    Examples:
      realtime-sync record talk.jsonl
      realtime-sync record talk.jsonl --input question.wav --output answer.wav --local
      realtime-sync record talk.jsonl --live
      realtime-sync timeline talk.jsonl --audio talk.wav   # what was said when; both sides, in stereo
    """
    code = talk(arguments)
    terminal.note(f"the session is in {arguments.record}; `realtime-sync timeline {arguments.record}` shows it")
    return code


def _serve_tools(session: RealtimeConversationSession, tools: options.Tools) -> None:
    try:
        session.run_tools(tools)
    except Exception as error:  # the conversation itself reports the session's end
        if not session.closed:
            terminal.note(f"the model's tools do not run any more: {error}")


# Microphone and speaker -----------------------------------------------------------------------------------------------


def _speaker(arguments: argparse.Namespace) -> voice.Speaker:
    if not arguments.output:
        with options.suggesting(_FILES):
            return voice.SoundDeviceSpeaker(_device(arguments.speaker))
    options.check_wav_name("--output", arguments.output)
    options.check_writable(arguments.output)
    return voice.FileSpeaker(arguments.output)


def _microphone(arguments: argparse.Namespace, speaker: voice.Speaker) -> voice.Microphone:
    if arguments.input and arguments.half_duplex:
        raise ConfigurationError("--half-duplex is for a microphone: with --input it would silence the next question.")
    for path in arguments.input:
        with closing(audio_chunks(path, PCM, PCM.bytes_for(0.1))) as chunks:
            next(chunks)  # refused now, as above
    if arguments.input:
        return voice.FileMicrophone(*arguments.input, endless=False)
    with options.suggesting(_FILES):
        microphone = voice.SoundDeviceMicrophone(_device(arguments.microphone))
    return voice.HalfDuplex(microphone, speaker) if arguments.half_duplex else microphone


def _device(name: Optional[str]) -> Union[str, int, None]:
    return int(name) if name is not None and name.isdecimal() else name


# What is shown --------------------------------------------------------------------------------------------------------


class _TurnDisplay:
    """Shows what goes on now, and each turn once it is over; at the block's end also the turn that was not over."""

    def __init__(self, session: Optional[RealtimeSession], *, as_json: bool) -> None:
        self._tracker = TurnTracker(session)
        self._as_json = as_json
        self._answer = ""

    def __enter__(self) -> _TurnDisplay:
        terminal.show_status("listening")
        return self

    def __exit__(self, *exc_info: object) -> None:
        terminal.clear_status()
        for turn in self._tracker.rest():
            self._print(turn)

    def show_update(self, update: ConversationUpdate) -> None:
        if isinstance(update, updates.InputAudioBufferSpeechStartedUpdate):
            terminal.show_status("you speak")
        elif isinstance(update, updates.InputAudioBufferSpeechStoppedUpdate):
            terminal.show_status("thinking")
        elif isinstance(update, updates.ResponseCreatedUpdate):
            self._answer = ""
        elif isinstance(update, updates.ResponseOutputAudioTranscriptDeltaUpdate):
            self._answer += update.delta
            terminal.show_status(f"model  {self._answer}")
        elif isinstance(update, updates.ErrorUpdate) and update.code != "response_cancel_not_active":
            terminal.note(f"refused: {update.message}")
        for turn in self._tracker.apply(update, time.monotonic()):
            self._print(turn)

    def _print(self, turn: Turn) -> None:
        if self._as_json:
            terminal.show(json.dumps(turn_as_json(turn), ensure_ascii=False))
            return
        latency = turn.timeline.speech_stopped_to_first_audio
        after = f"  [{latency:.2f} s]" if latency is not None else ""
        terminal.show(_words(turn.user_transcript), label=painted("you    ", "cyan", sys.stdout))
        interrupted = " [interrupted]" if turn.interrupted else ""
        words = f"{_words(turn.transcript or turn.text)}{interrupted}{after}"
        terminal.show(words, label=painted("model  ", "green", sys.stdout))


def turn_as_json(turn: Turn) -> dict[str, Any]:
    """Times are in seconds after the turn began, ``latency`` after the server noticed the end of speech."""
    latency = turn.timeline.speech_stopped_to_first_audio
    return {
        "user": user_words(turn),
        "model": turn.transcript or turn.text,
        "interrupted": turn.interrupted,
        "status": turn.status,
        "latency": None if latency is None else round(latency, 3),
        "timeline": {name: at and round(at, 3) for name, at in attrs.asdict(turn.timeline).items()},
    }


def _words(text: Optional[str]) -> str:
    return " ".join((text or "").split()) or "..."

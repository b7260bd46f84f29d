"""``realtime-sync talk``: a spoken conversation, with the machine's microphone and speaker or with files."""

from __future__ import annotations

import argparse
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Union

from realtime_sync.audio.formats import PCM
from realtime_sync.audio.source import audio_chunks
from realtime_sync.cli.client_options import add_client_options, client_from
from realtime_sync.cli.overwriting import check_files
from realtime_sync.cli.session_options import add_model_options, add_session_options, given, start_session
from realtime_sync.cli.sound_output import check_wav_name
from realtime_sync.cli.terminal import note, note_cost
from realtime_sync.cli.tool_files import Tools, load_tools
from realtime_sync.cli.turn_display import TurnDisplay
from realtime_sync.errors import AudioDeviceError, ConfigurationError
from realtime_sync.protocol.options import (
    ConversationSessionOptions,
    InputTranscriptionOptions,
    TurnDetectionOptions,
)
from realtime_sync.session import RealtimeConversationSession
from realtime_sync.voice import (
    FileMicrophone,
    FileSpeaker,
    HalfDuplex,
    Microphone,
    SoundDeviceMicrophone,
    SoundDeviceSpeaker,
    Speaker,
)

_DESCRIPTION = """\
Talk with the model, and speak into its answers as you like: it falls silent, and knows what
you have heard of them. Each turn is printed when it is over, with the time from the end of
your words to the first sound of the answer. Ctrl-C ends."""

_EXAMPLES = """\
examples:
  realtime-sync talk                                  # pip install 'realtime-sync[devices]'
  realtime-sync talk --half-duplex                    # a laptop without echo cancelling
  realtime-sync talk --microphone usb --speaker headset   # parts of names; `doctor` lists them
  realtime-sync talk --input question.wav --output answer.wav   # ends after the answer
  realtime-sync talk --tools tools.py --voice cedar --record talk.jsonl
  realtime-sync talk --input question.wav --output answer.wav --local"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """See ``realtime_sync.cli``."""
    parser = subparsers.add_parser(
        "talk",
        help="talk with the model, with microphone and speaker or with files",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    add_talk_options(parser)
    add_model_options(add_session_options(parser))
    add_client_options(parser)


def add_talk_options(parser: argparse.ArgumentParser) -> None:
    """Add what is heard and played, and how."""
    sound = parser.add_argument_group("the sound")
    ears = sound.add_mutually_exclusive_group()
    ears.add_argument("--microphone", metavar="NAME", help="a part of its name, or its number")
    ears.add_argument("--input", action="append", metavar="FILE", help="a recording to say in its place; again: more")
    mouth = sound.add_mutually_exclusive_group()
    mouth.add_argument("--speaker", metavar="NAME", help="a part of its name, or its number")
    mouth.add_argument("--output", metavar="FILE.wav", help="a file to speak into, in its place")
    sound.add_argument(
        "--half-duplex", action="store_true", help="have the microphone hear nothing while the model speaks"
    )
    sound.add_argument("--voice", metavar="NAME", help="the model's, such as marin, cedar, alloy, verse")
    sound.add_argument(
        "--transcription-model", metavar="NAME", default="whisper-1", help="writes down your words (%(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="print each turn as a line of JSON")


def run(arguments: argparse.Namespace) -> int:
    """Hold the conversation. Raises ``OSError`` and the errors of a session."""
    check_files(arguments, read=arguments.input, written=arguments.output)
    tools = load_tools(arguments.tools)
    speaker = _speaker(arguments)
    microphone = _microphone(arguments, speaker)
    options = ConversationSessionOptions(
        content_modalities=["audio"],
        turn_detection_options=TurnDetectionOptions.server_vad(),
        input_transcription_options=InputTranscriptionOptions(model=arguments.transcription_model),
        **given(instructions=arguments.instructions, voice=arguments.voice),
    )
    with ExitStack() as stack:
        client = stack.enter_context(client_from(arguments, speech=True))
        pool = stack.enter_context(ThreadPoolExecutor(1, "realtime-sync-tools"))  # left after the session's end
        session = stack.enter_context(start_session(client, arguments, options))
        if tools:
            pool.submit(_serve_tools, session, tools)
        if not arguments.input:
            note(f"{microphone.name} hears, {speaker.name} speaks; Ctrl-C ends")
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, signal.default_int_handler)  # an end as by Ctrl-C: the files are completed
        with TurnDisplay(session.session, as_json=arguments.json) as display:
            session.talk(microphone, speaker, on_update=display.see)
        note_cost(session.conversation, priced=not arguments.local)
    return 0


def _serve_tools(session: RealtimeConversationSession, tools: Tools) -> None:
    try:
        session.run_tools(tools)
    except Exception as error:  # of the session's end, the conversation itself tells
        if not session.closed:
            note(f"the tools are not served any more: {error}")


def _speaker(arguments: argparse.Namespace) -> Speaker:
    if not arguments.output:
        with _or_files():
            return SoundDeviceSpeaker(_device(arguments.speaker))
    check_wav_name("--output", arguments.output)
    path = Path(arguments.output)
    new = not path.exists()
    path.open("ab").close()  # refused now: later, there is a session to be paid for
    if new:
        path.unlink()  # there may be no session after all
    return FileSpeaker(path)


def _microphone(arguments: argparse.Namespace, speaker: Speaker) -> Microphone:
    if arguments.input and arguments.half_duplex:
        raise ConfigurationError(
            "--half-duplex is for a microphone: of a recording, it would silence the next question."
        )
    for path in arguments.input or ():
        with closing(audio_chunks(path, PCM, PCM.bytes_for(0.1))) as chunks:
            next(chunks)  # as above
    if arguments.input:
        return FileMicrophone(*arguments.input, endless=False)
    with _or_files():
        microphone = SoundDeviceMicrophone(_device(arguments.microphone))
    return HalfDuplex(microphone, speaker) if arguments.half_duplex else microphone


@contextmanager
def _or_files() -> Iterator[None]:
    """Where a device is looked for: what will do in its place."""
    try:
        yield
    except (ConfigurationError, AudioDeviceError) as error:
        told = f"{str(error).rstrip('.')}; or --input FILE and --output FILE"
        raise (ConfigurationError if isinstance(error, ConfigurationError) else AudioDeviceError)(told) from error


def _device(name: Union[str, None]) -> Union[str, int, None]:
    return int(name) if name is not None and name.isdigit() else name

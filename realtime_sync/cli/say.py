"""``realtime-sync say``: a text, spoken by the model, as a file, in a pipe, or on the speaker."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Optional

from realtime_sync.audio.formats import PCM
from realtime_sync.audio.sound_files import Write, sound_file
from realtime_sync.audio.wav import WavWriter
from realtime_sync.cli import options, terminal
from realtime_sync.errors import ConfigurationError, MisreadError
from realtime_sync.speaking.one_text import read_aloud, reading_options
from realtime_sync.voice import SoundDeviceSpeaker

if TYPE_CHECKING:
    from realtime_sync.server import Turn
    from realtime_sync.session import RealtimeConversationSession


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what ``say`` reads."""
    parser.add_argument("text", nargs="*", metavar="TEXT", help="what to say; - or nothing: what is piped in")
    parser.add_argument("-o", "--output", metavar="FILE", help="where to; - is WAV to the standard output")
    parser.add_argument("--voice", metavar="NAME", help="the voice, such as marin, cedar, alloy, verse")
    speed = options.number("speed", 0.25, 1.5)
    parser.add_argument("--speed", type=speed, metavar="X", help="0.25 to 1.5 times the usual speed")
    options.add_session_options(parser, model=False)


def say(arguments: argparse.Namespace) -> int:
    """Have the model read a text aloud, into a file, a pipe, or (without -o) to the speaker.

    Examples:
      realtime-sync say "Good morning." -o good_morning.wav
      realtime-sync say -o chapter.mp3 --voice cedar < chapter.txt
      realtime-sync say "Hello" -o - | aplay              # WAV into a pipe
      realtime-sync say "Hello"                           # pip install 'realtime-sync[devices]'
      realtime-sync say "Hello" -o hello.wav --local      # pip install 'realtime-sync[voice]'

    The file's suffix says which kind it is: .wav, .pcm, .raw, or, with pip install
    'realtime-sync[audio]', .flac, .mp3, .ogg, .aiff. A long text is read piece by piece. What the
    model says is compared with the text. If it adds something, leaves something out, or answers, a
    note says so, and the exit code is 1; what it said is written all the same.
    """
    options.check_files(arguments, written=arguments.output)
    text = terminal.text_from(arguments.text, "text to say")
    if text is None:
        raise ConfigurationError('there is no text to say: `realtime-sync say "Good morning."`, or pipe a text in.')
    settings = reading_options(voice=arguments.voice, speed=arguments.speed)
    with ExitStack() as stack:
        write = stack.enter_context(_sound_output(arguments.output))
        client = stack.enter_context(options.client_from(arguments, speech=True, responder=_read_aloud))
        session = stack.enter_context(options.open_session(client, arguments, settings))
        whole = _say(session, text, write)
        terminal.note_cost(session.conversation, priced=not arguments.local)
    if arguments.output not in (None, "-") and sys.stderr.isatty():
        terminal.note(f"written to {arguments.output}")
    return 0 if whole else 1


def _say(session: RealtimeConversationSession, text: str, write: Write) -> bool:
    """False if the model said something else, or less."""
    size = 0

    def heard(samples: bytes) -> None:
        nonlocal size
        write(samples)
        size += len(samples)
        terminal.show_status(f"{PCM.seconds(size):.1f} s of speech")

    misread: Sequence[tuple[str, str]] = ()
    try:
        read_aloud(session, text, on_audio=heard)
    except MisreadError as error:
        misread = error.pieces
    finally:
        terminal.clear_status()
    for asked, said in misread:
        terminal.note(f"not read as it is written: {asked!r:.80}; the model said {said!r:.80}")
    terminal.note(f"{PCM.seconds(size):.1f} s of speech")
    return not misread


def _read_aloud(turn: Turn) -> str:
    """The embedded server's part of it."""
    return turn.text_of(turn.last) if turn.last is not None else ""


# Where the sound goes -------------------------------------------------------------------------------------------------


@contextmanager
def _sound_output(target: Optional[str]) -> Iterator[Write]:
    """``target``: a file, ``-`` for WAV to the standard output, None for the speaker, which is awaited in the end.

    Raises as ``sound_file``, and ``AudioDeviceError``.
    """
    if target is None:
        with options.suggesting("-o FILE"):
            device = SoundDeviceSpeaker()
        with device as speaker:
            yield lambda samples: speaker.write("speech", 0, samples)
            speaker.wait()
    elif target == "-":
        if sys.stdout.isatty():
            raise ConfigurationError("-o - writes sound, which a terminal cannot show: pipe it, `-o - | aplay`.")
        with WavWriter(sys.stdout.buffer) as wav:
            yield wav.write
    else:
        with sound_file(Path(target)) as write:
            yield write

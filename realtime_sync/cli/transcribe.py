"""``realtime-sync transcribe``: recordings as text, subtitles or JSON."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any, Optional

from realtime_sync.cli.client_options import add_client_options, client_from
from realtime_sync.cli.terminal import counted, note, one_line, say
from realtime_sync.errors import ConfigurationError, TranscriptionFailedError
from realtime_sync.transcribing import (
    DEFAULT_TRANSCRIPTION_MODEL,
    FORMATS,
    FileTranscription,
    Transcription,
    format_transcription,
    transcribe_files,
)
from realtime_sync.transcribing.output import OutputFolder

# What a folder is searched for; a file that is named is tried whatever its name.
_SUFFIXES = (".wav", ".mp3", ".flac", ".ogg", ".oga", ".opus", ".aiff", ".aif", ".au", ".caf", ".w64", ".rf64")

_DESCRIPTION = f"""\
Write down what recordings say, several at once. Any file that libsndfile reads (WAV, MP3, FLAC,
Ogg, ...; pip install 'realtime-sync[audio]'); a folder stands for the recordings in it. The
model is {DEFAULT_TRANSCRIPTION_MODEL} unless --model names another."""

_EXAMPLES = """\
examples:
  realtime-sync transcribe interview.mp3                       # to the standard output
  realtime-sync transcribe *.wav -o texts --format srt --jobs 8
  realtime-sync transcribe recordings/ -o texts                # again after Ctrl-C: goes on
  realtime-sync transcribe call.wav --model gpt-4o-transcribe-diarize --format vtt
  realtime-sync transcribe --json call.wav | jq -r .text
  realtime-sync transcribe talk.flac --local                   # pip install 'realtime-sync[voice]'

With -o each file is written as soon as it is done, whole or not at all; one that is there is
skipped. What may pass (a lost connection, an overloaded service) is tried again. A file that
fails is told and stops no other; the exit code is 1 then. What was done of it is printed, or
written as FOLDER/interview.partial.txt."""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """See ``realtime_sync.cli``."""
    parser = subparsers.add_parser(
        "transcribe",
        help="write down what recordings say, as text, subtitles or JSON",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    parser.add_argument("files", nargs="+", metavar="FILE", help="a recording, or a folder of them")
    parser.add_argument("-o", "--output", metavar="FOLDER", help="write interview.mp3 as FOLDER/interview.txt")
    parser.add_argument("--format", choices=FORMATS, default="txt", help="how to write it (default: %(default)s)")
    parser.add_argument("--jobs", type=_count, default=4, metavar="N", help="files at once (default: %(default)s)")
    parser.add_argument("--language", metavar="CODE", help="what is spoken, such as en; by default the model finds out")
    parser.add_argument("--logprobs", action="store_true", help="in JSON: how sure the model was of each token")
    parser.add_argument("--retries", type=_whole, default=2, metavar="N", help="tries again (default: %(default)s)")
    parser.add_argument("--overwrite", action="store_true", help="transcribe also what is in FOLDER already")
    parser.add_argument("--json", action="store_true", help="print a line of JSON for each file, also with -o")
    add_client_options(parser, model=DEFAULT_TRANSCRIPTION_MODEL)


def run(arguments: argparse.Namespace) -> int:
    """Transcribe. Raises ``ConfigurationError``, ``InvalidInputError``, ``AuthenticationError``."""
    paths = _recordings(arguments.files)
    if len(paths) > 1 and not arguments.output and not arguments.json and arguments.format != "txt":
        raise ConfigurationError(f"several files as {arguments.format} need a folder to be written to: -o FOLDER.")
    done: list[FileTranscription] = []
    try:
        with client_from(arguments, speech=True) as client:
            results = transcribe_files(
                paths,
                client,
                jobs=arguments.jobs,
                output=arguments.output,
                format=arguments.format,
                overwrite=arguments.overwrite,
                progress=_shows_a_bar(),
                on_done=done.append,
                model=arguments.model,
                language=arguments.language,
                logprobs=arguments.logprobs,
                retries=arguments.retries,
            )
    except KeyboardInterrupt:
        kept = "start it again to go on" if arguments.output else "-o FOLDER would have kept them"
        note(f"interrupted: {len(done)} of {counted(len(paths), 'file')} done; {kept}")
        raise
    return _tell(results, arguments)


def _tell(results: list[FileTranscription], arguments: argparse.Namespace) -> int:
    for result in results:
        done = result.transcription or _done_before(result)
        if arguments.json:
            say(json.dumps(_as_json(result), ensure_ascii=False))
        elif done is not None and not arguments.output:
            if len(results) > 1:
                say(f"==> {result.path} <==")
            say(format_transcription(done, arguments.format), end="")
    failed = [result for result in results if result.error is not None]
    for result in failed:
        print(f"realtime-sync: {result.path}: {_why(result.error)}", file=sys.stderr)
        _keep_what_was_done(result, arguments)
    if arguments.output:
        skipped = sum(result.skipped for result in results)
        written = len(results) - len(failed) - skipped
        note(f"{written} written to {arguments.output}, {skipped} there already, {len(failed)} failed")
    return 1 if failed else 0


def _done_before(result: FileTranscription) -> Optional[Transcription]:
    """What a file that failed had come to, and somebody has paid for; None where that is nothing."""
    done = result.error.transcription if isinstance(result.error, TranscriptionFailedError) else None
    return done if isinstance(done, Transcription) and done.segments else None


def _keep_what_was_done(result: FileTranscription, arguments: argparse.Namespace) -> None:
    done = _done_before(result)
    if done is None:
        return
    where = "above"
    if arguments.output:
        # Not under the name of a whole one, which the next run would skip.
        target = Path(arguments.output) / f"{Path(result.path).stem}.partial.{arguments.format}"
        OutputFolder(arguments.output, arguments.format).write(target, done)
        where = f"in {target}"
    note(f"what came before that is {where}, up to {done.segments[-1].end:.1f} s")


def _as_json(result: FileTranscription) -> dict[str, Any]:
    told: dict[str, Any] = {"file": result.path}
    if result.output is not None:
        told["output"] = str(result.output)
    if result.skipped:
        told["skipped"] = True
    if result.error is not None:
        told["error"] = _why(result.error)
    done = result.transcription or _done_before(result)
    if done is not None:
        told.update(done.to_dict())
    return told


def _why(error: object) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return one_line(error)


def _recordings(names: list[str]) -> list[str]:
    """The files, and those of the folders; each once."""
    found: list[str] = []
    for name in names:
        path = Path(name)
        if not path.is_dir():
            found.append(name)
            continue
        inside = sorted(entry for entry in path.iterdir() if entry.suffix.lower() in _SUFFIXES and entry.is_file())
        if not inside:
            raise ConfigurationError(f"there is no recording in the folder {name}.")
        found += map(str, inside)
    return list(dict.fromkeys(found))


def _shows_a_bar() -> bool:
    if not sys.stderr.isatty():
        return False
    try:
        import tqdm  # noqa: F401
    except ImportError:
        return False
    return True


def _count(told: str) -> int:
    number = _whole(told)
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number


def _whole(told: str) -> int:
    if not told.isdigit():
        raise argparse.ArgumentTypeError(f"a whole number, not {told!r}")
    return int(told)

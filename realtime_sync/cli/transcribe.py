"""``realtime-sync transcribe``: recordings as text, subtitles or JSON."""

from __future__ import annotations

import argparse
import errno
import importlib.util
import json
import os
import sys
from pathlib import Path
from typing import Any, Optional, get_args

from realtime_sync import transcribing
from realtime_sync.cli import options, terminal
from realtime_sync.errors import ConfigurationError, TranscriptionFailedError
from realtime_sync.transcribing.output import OutputFolder
from realtime_sync.words import counted

# What a folder is searched for; a file that is named is tried whatever its name. Hidden files are left out: macOS puts
# "._x.wav" beside x.wav on a foreign disk, and Android keeps what was deleted as ".trashed-...".
_SUFFIXES = (".wav", ".mp3", ".flac", ".ogg", ".oga", ".opus", ".aiff", ".aif", ".au", ".caf", ".w64", ".rf64")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what ``transcribe`` reads."""
    jobs = options.whole_number("number of files at once", 1, 1000)
    retries = options.whole_number("number of tries", 0, 1000)
    parser.add_argument("files", nargs="+", metavar="FILE", help="a recording, or a folder of them")
    parser.add_argument("-o", "--output", metavar="FOLDER", help="write interview.mp3 as FOLDER/interview.txt")
    how = "how to write it (default: %(default)s)"
    parser.add_argument("--format", choices=transcribing.FORMATS, default="txt", help=how)
    parser.add_argument("--jobs", type=jobs, default=4, metavar="N", help="files at once (default: %(default)s)")
    parser.add_argument("--language", metavar="CODE", help="what is spoken, such as en; by default the model finds out")
    parser.add_argument("--logprobs", action="store_true", help="in JSON: how sure the model was of each token")
    kinds = get_args(transcribing.ServerKind)
    own = "vllm: vLLM's own realtime endpoint; give its --endpoint and --model (default: %(default)s)"
    parser.add_argument("--server", choices=kinds, default=kinds[0], help=own)
    parser.add_argument("--retries", type=retries, default=2, metavar="N", help="tries again (default: %(default)s)")
    parser.add_argument("--overwrite", action="store_true", help="transcribe also what is in FOLDER already")
    parser.add_argument("--json", action="store_true", help="print a line of JSON for each file, also with -o")
    options.add_client_options(parser, model=transcribing.DEFAULT_TRANSCRIPTION_MODEL)


def transcribe(arguments: argparse.Namespace) -> int:
    """Write down what recordings say, as text, subtitles or JSON.

    It takes any file that libsndfile reads (WAV, MP3, FLAC, Ogg, ...; for all but WAV: pip install
    'realtime-sync[audio]'), and several at once. A folder stands for the recordings in it, without
    hidden ones (.NAME): name those.

    Examples:
      realtime-sync transcribe interview.mp3                       # to the standard output
      realtime-sync transcribe *.wav -o texts --format srt --jobs 8
      realtime-sync transcribe recordings/ -o texts                # again after Ctrl-C: goes on
      realtime-sync transcribe call.wav --language de --format vtt
      realtime-sync transcribe --json call.wav | jq -r .text
      realtime-sync transcribe talk.flac --local                   # pip install 'realtime-sync[voice]'
      realtime-sync transcribe talk.flac --server vllm --endpoint http://localhost:8000/v1 --model MODEL

    With -o each file is written as soon as it is done, whole or not at all; one that is there is
    skipped. After a lost connection or if the service is overloaded, it tries again. A file that
    fails is reported and stops no other; the exit code is 1 then. What was done of it is printed,
    or written as FOLDER/interview.partial.txt.
    """
    paths = _recordings(arguments.files)
    if len(paths) > 1 and not arguments.output and not arguments.json and arguments.format != "txt":
        raise ConfigurationError(f"several files as {arguments.format} need a folder to be written to: -o FOLDER.")
    if arguments.output:
        OutputFolder(arguments.output, arguments.format).targets(paths)  # refuses now what it would refuse later
    if not any(map(os.path.exists, paths)):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), paths[0])
    finished: list[transcribing.FileTranscription] = []
    try:
        with options.client_from(arguments, speech=True) as client:
            results = transcribing.transcribe_files(
                paths,
                client,
                jobs=arguments.jobs,
                output=arguments.output,
                format=arguments.format,
                overwrite=arguments.overwrite,
                progress=sys.stderr.isatty() and importlib.util.find_spec("tqdm") is not None,
                on_done=finished.append,
                model=arguments.model,
                language=arguments.language,
                logprobs=arguments.logprobs,
                retries=arguments.retries,
                server=arguments.server,
            )
    except KeyboardInterrupt:
        kept = "start it again to go on" if arguments.output else "-o FOLDER would have kept them"
        terminal.note(f"interrupted: {len(finished)} of {counted(len(paths), 'file')} done; {kept}")
        raise
    for result in results:
        _show(result, arguments, alone=len(results) == 1)
    failed = [result for result in results if result.error is not None]
    for result in failed:
        _report(result, arguments)
    if arguments.output:
        skipped = sum(result.skipped for result in results)
        written = len(results) - len(failed) - skipped
        terminal.note(f"{written} written to {arguments.output}, {skipped} there already, {len(failed)} failed")
    return 1 if failed else 0


def _show(result: transcribing.FileTranscription, arguments: argparse.Namespace, *, alone: bool) -> None:
    done = _done(result)
    if arguments.json:
        terminal.show(json.dumps(_as_json(result, done), ensure_ascii=False))
    elif done is not None and not arguments.output:
        if not alone:
            terminal.show(f"==> {result.path} <==")
        terminal.show(transcribing.format_transcription(done, arguments.format), end="")


def _report(result: transcribing.FileTranscription, arguments: argparse.Namespace) -> None:
    """Report a file that failed, and keep what was done of it."""
    terminal.print_beside(f"realtime-sync: {result.path}: {terminal.cause(result.error)}")
    done = _done(result)
    if done is None:
        return
    where = "above"
    if arguments.output:
        # Not under the name of a whole one, which the next run would skip.
        target = Path(arguments.output) / f"{Path(result.path).stem}.partial.{arguments.format}"
        OutputFolder(arguments.output, arguments.format).write(target, done)
        where = f"in {target}"
    terminal.note(f"what came before that is {where}, up to {done.segments[-1].end:.1f} s")


def _done(result: transcribing.FileTranscription) -> Optional[transcribing.Transcription]:
    """The transcription or, of a file that failed, the part that was done and paid for; None if there is none."""
    if not isinstance(result.error, TranscriptionFailedError):
        return result.transcription
    part = result.error.transcription
    return part if isinstance(part, transcribing.Transcription) and part.segments else None


def _as_json(result: transcribing.FileTranscription, done: Optional[transcribing.Transcription]) -> dict[str, Any]:
    output = None if result.output is None else str(result.output)
    error = None if result.error is None else terminal.cause(result.error)
    found = options.given(file=result.path, output=output, skipped=result.skipped or None, error=error)
    return found if done is None else {**found, **done.to_dict()}


def _recordings(names: list[str]) -> list[str]:
    """The files, and those of the folders; each once."""
    found: list[str] = []
    for name in names:
        if not Path(name).is_dir():
            found.append(name)
            continue
        seen = (path for path in Path(name).iterdir() if not path.name.startswith("."))
        inside = sorted(path for path in seen if path.suffix.lower() in _SUFFIXES and path.is_file())
        if not inside:
            raise ConfigurationError(f"there is no recording in the folder {name} (hidden ones are left out).")
        found += map(str, inside)
    return list(dict.fromkeys(found))

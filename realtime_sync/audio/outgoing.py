"""Audio on its way out: cut into chunks, converted, paced, followed by silence, with its progress reported."""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Callable, Optional, Union

from realtime_sync.audio.formats import SampleFormat
from realtime_sync.audio.pacing import Pacer, PacingClock, RealClock, paced
from realtime_sync.audio.source import AudioChunks, AudioSource, audio_chunks, slices
from realtime_sync.checks import check_number
from realtime_sync.errors import InvalidInputError
from realtime_sync.extras import require
from realtime_sync.interrupts import Flag

Progress = Union[bool, Callable[[float, Optional[float]], object], None]
"""``progress(sent_seconds, total_seconds)``, or True for a bar in the terminal (tqdm); None or False: nothing."""

OutgoingChunks = Union[AudioChunks, Generator[bytes, None, None]]
"""Chunks to be sent, each when it is to be sent. ``close()`` lets go of their source."""

_MOST_SILENCE_MS = 600_000
_BAR = {"desc": "audio", "bar_format": "{desc} |{bar}| {n:.1f}/{total_fmt} s [{elapsed}]"}


def outgoing_chunks(
    source: AudioSource,
    format: SampleFormat,
    *,
    chunk_ms: float = 100,
    pace: Optional[float] = None,
    trailing_silence_ms: float = 0,
    progress: Progress = None,
    clock: Optional[PacingClock] = None,
    wake: Optional[Flag] = None,
) -> OutgoingChunks:
    """The chunks to be sent, each when it is to be sent; ``close()`` them where they are dropped before their end.

    ``chunk_ms``: how long each is, 1 to 10,000 milliseconds; the last of the source may be shorter. ``pace``: 1.0 hands
    them out at the speed of speech, 2.0 twice as fast; None does not wait. ``trailing_silence_ms``: silence behind
    the audio, in which voice activity detection finds the end of speech. ``progress``: see ``Progress``; called on the
    sending thread after each chunk, ``total_seconds`` is None if the source does not tell it. ``clock`` paces;
    None: a real one, whose waits ``wake`` ends.

    Raises, when called, InvalidInputError for arguments without sense, ConfigurationError where ``progress=True`` needs
    tqdm; and as ``audio_chunks``, of which a path is opened, and its first chunk read, before this returns.
    """
    check_chunk_ms(chunk_ms)
    check_number("trailing_silence_ms", trailing_silence_ms, "milliseconds", at_most=_MOST_SILENCE_MS)
    check_number("pace", pace, above=0, optional=True)
    check_progress(progress)
    size = format.bytes_for(chunk_ms / 1000)
    chunks = audio_chunks(source, format, size)
    if not isinstance(source, bytes) and isinstance(source, (str, os.PathLike)):  # the latter takes 0.4 µs
        chunks.begin()
    silence = format.silence(trailing_silence_ms / 1000) if trailing_silence_ms else b""
    timed: Iterable[bytes] = itertools.chain(chunks, slices(silence, size)) if silence else chunks
    if pace is not None:
        timed = paced(timed, format, Pacer(pace, clock or RealClock(wake=wake)))
    if pace is None and not silence and not progress:
        return chunks
    return _reported(timed, chunks, len(silence), format, progress)


def check_chunk_ms(chunk_ms: float, name: str = "chunk_ms", *, most: int = 10_000) -> None:
    """Raise InvalidInputError unless this is the length of a chunk in milliseconds, from 1 to ``most``."""
    check_number(name, chunk_ms, "milliseconds", at_least=1, at_most=most)


def check_progress(progress: object) -> None:
    """Raise unless ``progress`` is a function, None, False, or True with tqdm installed."""
    if progress is True:
        require("tqdm", "progress", "progress=True")
    elif progress is not None and progress is not False and not callable(progress):
        raise InvalidInputError(f"progress must be a function of two numbers, or True for a bar, not {progress!r}")


def _reported(
    timed: Iterable[bytes], chunks: AudioChunks, silent_bytes: int, format: SampleFormat, progress: Progress
) -> Generator[bytes, None, None]:
    sent, total = 0, None
    try:
        with reporter(progress, _BAR) as report:
            for chunk in timed:
                yield chunk  # comes back when it has been sent
                sent += len(chunk)
                total = chunks.total_bytes
                report(format.seconds(sent), None if total is None else format.seconds(max(total + silent_bytes, sent)))
            if total != sent - silent_bytes:  # it was not known, or not to the sample
                report(format.seconds(sent), format.seconds(sent))
    finally:
        chunks.close()


@contextmanager
def reporter(
    progress: Union[bool, Callable[[float, Any], object], None], look: Mapping[str, Any]
) -> Iterator[Callable[[float, Any], object]]:
    """What is called with each progress. ``look``: tqdm's arguments for the bar, if that is wanted."""
    if progress is None or progress is False:
        yield lambda sent, total: None
    elif progress is not True:
        yield progress
    else:
        from tqdm import tqdm

        with tqdm(**look, file=sys.stderr) as bar:

            def report(sent: float, total: Optional[float]) -> None:
                bar.total = None if total is None else round(total, 1)
                bar.update((sent if bar.total is None else min(sent, bar.total)) - bar.n)  # it is rounded, for display

            yield report

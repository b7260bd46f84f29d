"""Many recordings at once, over threads or any other executor."""

from __future__ import annotations

import functools
import logging
import os
import queue
from collections.abc import Iterable, Iterator
from concurrent.futures import CancelledError, Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Callable, Optional, Union

import attrs

from realtime_sync.audio.outgoing import check_progress, reporter
from realtime_sync.boundary import public_call
from realtime_sync.checks import check_path, check_whole
from realtime_sync.client import RealtimeConversationClient
from realtime_sync.endpoint.retirement import warn_of_ends
from realtime_sync.errors import AuthenticationError, ConfigurationError, InvalidInputError, UsageError
from realtime_sync.interrupts import Flag
from realtime_sync.models import TranscriptionModelName
from realtime_sync.protocol.options import TranscriptionSessionOptions
from realtime_sync.threads import typed
from realtime_sync.transcribing.one_file import session_options, transcribe
from realtime_sync.transcribing.output import OutputFolder
from realtime_sync.transcribing.servers import ServerKind, check_server
from realtime_sync.transcribing.transcription import Transcription

logger = logging.getLogger(__name__)

ClientOrMaker = Union[RealtimeConversationClient, Callable[[], RealtimeConversationClient]]
FilesDone = Callable[[float, int], object]
"""``progress(done, total)``: how many files are done, parts of them included, of how many."""

_BAR = {"desc": "transcribed", "bar_format": "{desc} |{bar}| {n:.1f}/{total_fmt} files [{elapsed}<{remaining}]"}
# On Windows Ctrl-C does not end a wait for a queue, so the wait is sliced.
_SLICE = 0.5


@attrs.frozen(kw_only=True)
class FileTranscription:
    """What became of one file: its ``transcription``, or the ``error`` that it ended with.

    ``output``: the file that was written, None without an output folder. ``skipped``: it was there already, finished by
    an earlier run; then ``transcription`` is read from it where its format is ``json``, else None.
    """

    path: str
    transcription: Optional[Transcription] = attrs.field(default=None, repr=False)
    error: Optional[BaseException] = None
    output: Optional[Path] = None
    skipped: bool = False

    @property
    def ok(self) -> bool:
        """True if it is transcribed."""
        return self.error is None

    def to_srt(self) -> str:
        """The transcription as ``Transcription.to_srt()`` gives it.

        Raises:
            UsageError: There is no transcription here: the file failed, or was finished by an earlier run.
        """
        return self._done().to_srt()

    def to_vtt(self) -> str:
        """The transcription as ``Transcription.to_vtt()`` gives it; raises as ``to_srt``."""
        return self._done().to_vtt()

    def _repr_html_(self) -> str:
        from realtime_sync.notebook import card

        failed = None if self.error is None else f"{type(self.error).__name__}: {self.error}"
        facts = {"error": failed, "output": self.output, "skipped": self.skipped or None}
        return card(self.path, facts, "" if self.transcription is None else self.transcription._repr_html_())

    def _done(self) -> Transcription:
        if self.transcription is not None:
            return self.transcription
        if self.error is not None:
            raise UsageError(f"{self.path} was not transcribed: {self.error}") from self.error
        raise UsageError(f"{self.path} was transcribed by an earlier run, and is not read again: see {self.output}")


TranscribeOne = Callable[..., Transcription]
"""``transcribe`` with the settings of this run. It can be sent to another process, for it holds no client."""


@public_call
def transcribe_files(
    paths: Iterable[Union[str, os.PathLike[str]]],
    client: ClientOrMaker,
    *,
    executor: Optional[Executor] = None,
    jobs: int = 4,
    output: Union[str, os.PathLike[str], None] = None,
    format: str = "json",
    overwrite: bool = False,
    progress: Union[bool, FilesDone, None] = None,
    on_done: Optional[Callable[[FileTranscription], object]] = None,
    model: Optional[TranscriptionModelName] = None,
    language: Optional[str] = None,
    logprobs: bool = False,
    options: Optional[TranscriptionSessionOptions] = None,
    longest_piece: Optional[float] = None,
    retries: int = 2,
    timeout: float = 60.0,
    server: ServerKind = "openai",
) -> list[FileTranscription]:
    """Transcribe files, several at once; returns what became of each, in the order of ``paths``.

    One that fails stops no other: its ``error`` tells why. ``executor``: any ``concurrent.futures.Executor``; it is
    left running. None: ``jobs`` threads. For one whose workers are other processes (``ProcessPoolExecutor``, Dask's
    ``client.get_executor()``) ``client`` must be a function that a worker can call, such as
    ``RealtimeConversationClient.from_env``: a client itself holds a key and is not sent away. Workers read the files by
    their paths; this process writes.

    ``output``: a folder to write each transcription to as soon as it is there, ``interview.mp3`` as ``interview.json``
    in ``format`` (``FORMATS``). A file that is there already is skipped, so that a run that was killed is gone on with
    by starting it again; ``overwrite=True`` skips none. None: nothing is written.

    ``progress(done, total)`` is called on this thread; True shows a bar (the extra ``progress``). ``on_done`` gets each
    ``FileTranscription`` when it comes, on this thread. What either raises ends the run, as Ctrl-C does: what is
    finished stays, what runs is dropped (in other processes: runs to its end for nothing). The other arguments are
    those of ``transcribe``.

    Raises ``InvalidInputError`` for arguments without sense and for two files that would share an output, ``OSError``
    for an output folder that cannot be written to, ``ConfigurationError`` where ``progress=True`` needs tqdm; and,
    because they concern all files, ``AuthenticationError`` and ``ConfigurationError`` of any of them.
    """
    names = _names(paths)
    check_whole("jobs", jobs, at_least=1)
    check_server(server, language, logprobs, options)
    settings = session_options(model, language, logprobs, options)  # it raises here what it would raise for each file
    if server == "openai" and isinstance(client, RealtimeConversationClient):
        warn_of_ends(client.endpoint, None, settings)  # at the caller's line, which the threads below do not know
    one: TranscribeOne = functools.partial(
        transcribe,
        model=model,
        language=language,
        logprobs=logprobs,
        options=options,
        server=server,
        longest_piece=longest_piece,
        retries=retries,
        timeout=timeout,
    )
    folder = None if output is None else OutputFolder(output, format)
    targets = [None] * len(names) if folder is None else folder.targets(names)
    check_progress(progress)
    with reporter(progress, {**_BAR, "total": len(names)}) as report:
        run = _Run(names, folder, [*targets], report, on_done)
        if not overwrite:
            run.skip_finished()
        if executor is not None:
            run.submit(lambda index: executor.submit(_transcribe_path, one, names[index], client))
            run.collect()
        else:
            with _threads(client, jobs) as (pool, shared, stop):
                run.submit(lambda index: typed(lambda: pool.submit(run.here, one, index, shared, stop)))
                run.collect()
    return run.results()


def _transcribe_path(one: TranscribeOne, path: str, client: ClientOrMaker) -> Transcription:
    """The work of an executor's worker, perhaps in another process."""
    if isinstance(client, RealtimeConversationClient):
        return one(path, client)
    with client() as made:
        return one(path, made)


@attrs.define(eq=False)
class _Run:
    """One call of ``transcribe_files``: what has come of each file. All but ``here`` is for the caller's thread."""

    _names: list[str]
    _folder: Optional[OutputFolder]
    _targets: list[Optional[Path]]
    _report: FilesDone
    _on_done: Optional[Callable[[FileTranscription], object]]
    _results: dict[int, FileTranscription] = attrs.field(init=False, factory=dict)
    _parts: dict[int, float] = attrs.field(init=False, factory=dict)  # how much of each unfinished file is done, 0 to 1
    _futures: dict[int, Future[Transcription]] = attrs.field(init=False, factory=dict)
    _events: queue.SimpleQueue[tuple[int, Union[float, Future[Transcription]]]] = attrs.field(
        init=False, factory=queue.SimpleQueue
    )

    def skip_finished(self) -> None:
        for index, (name, target) in enumerate(zip(self._names, self._targets, strict=True)):
            if self._folder is None or target is None or not target.is_file():
                continue
            try:
                found = self._folder.read(target)
                self._finish(index, FileTranscription(path=name, transcription=found, output=target, skipped=True))
            except (InvalidInputError, OSError) as error:
                self._finish(index, FileTranscription(path=name, error=error, output=target))

    def submit(self, submit: Callable[[int], Future[Transcription]]) -> None:
        if self._folder is not None and len(self._results) < len(self._names):
            self._folder.make()
        for index in range(len(self._names)):
            if index not in self._results:
                future = self._futures[index] = submit(index)
                future.add_done_callback(lambda done, index=index: self._events.put((index, done)))  # type: ignore[misc]

    def here(self, one: TranscribeOne, index: int, client: RealtimeConversationClient, stop: Flag) -> Transcription:
        """The work of a thread of this process, which can report how far it is."""

        def progress(done: float, total: Optional[float]) -> None:
            if total:
                self._events.put((index, done / total))

        return one(self._names[index], client, progress=progress, stop=stop)

    def collect(self) -> None:
        """Until all files have come to their ends. Whatever ends it early, nothing that was finished is lost."""
        try:
            while len(self._results) < len(self._names):
                try:
                    index, event = self._events.get(timeout=_SLICE)
                except queue.Empty:
                    continue
                if not isinstance(event, (int, float)):
                    self._finish(index, self._result(index, event))
                elif index not in self._results:
                    self._parts[index] = min(1.0, event)
                    self._tell()
        except BaseException:
            for future in self._futures.values():
                future.cancel()
            for index, future in self._futures.items():
                if index not in self._results and future.done() and not (future.cancelled() or future.exception()):
                    self._results[index] = self._result(index, future)
            raise

    def results(self) -> list[FileTranscription]:
        return [self._results[index] for index in range(len(self._names))]

    def _finish(self, index: int, result: FileTranscription) -> None:
        self._results[index] = result
        self._parts.pop(index, None)
        if result.error is not None:
            logger.info("%s was not transcribed: %s: %s", result.path, type(result.error).__name__, result.error)
        self._tell()
        if self._on_done is not None:
            self._on_done(result)

    def _result(self, index: int, future: Future[Transcription]) -> FileTranscription:
        name, target = self._names[index], self._targets[index]
        try:
            transcription = future.result()
            if self._folder is not None and target is not None:
                self._folder.write(target, transcription)
        except (AuthenticationError, ConfigurationError):
            raise  # no other file would fare better
        # A worker may fail in any way, and none may stop the others; a future cancelled by its owner raises, too.
        except (Exception, CancelledError) as error:
            return FileTranscription(path=name, error=error)
        return FileTranscription(path=name, transcription=transcription, output=target)

    def _tell(self) -> None:
        self._report(len(self._results) + sum(self._parts.values()), len(self._names))


@contextmanager
def _threads(client: ClientOrMaker, jobs: int) -> Iterator[tuple[ThreadPoolExecutor, RealtimeConversationClient, Flag]]:
    """Threads that end soon after the block, however it is left: the client that they share is closed first."""
    made = client if isinstance(client, RealtimeConversationClient) else client()
    shared = RealtimeConversationClient(made.model, made.endpoint, settings=made.settings)
    stop = Flag()
    pool = ThreadPoolExecutor(jobs, thread_name_prefix="realtime-sync-transcribe")
    try:
        yield pool, shared, stop
    finally:
        stop.set()
        shared.close()
        if made is not client:
            made.close()
        pool.shutdown(wait=True, cancel_futures=True)


def _names(paths: Iterable[Union[str, os.PathLike[str]]]) -> list[str]:
    if isinstance(paths, (str, bytes, os.PathLike)):
        raise InvalidInputError(f"paths must be a list, such as [{paths!r}]; for one file there is transcribe()")
    names = []
    for path in paths:
        check_path("a path", path)
        names.append(os.fsdecode(path))
    return names

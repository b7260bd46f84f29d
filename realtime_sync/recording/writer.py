"""Writing what a session sends and receives into a file, as it happens."""

from __future__ import annotations

import base64
import datetime
import json
import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Callable, Optional, Union

from realtime_sync.audio.formats import PCM
from realtime_sync.deadline import Deadline
from realtime_sync.errors import CloseInfo, InvalidInputError
from realtime_sync.interrupts import Change
from realtime_sync.protocol.dialects import Dialect, ProtocolName
from realtime_sync.recording.elision import take_audio
from realtime_sync.recording.layout import AUDIO_MODES, VERSIONS, AudioMode, FilePath, FormatTracker, side_of
from realtime_sync.recording.private_file import create
from realtime_sync.recording.redaction import without_secrets
from realtime_sync.recording.sidecars import SidecarWriter
from realtime_sync.secret import reportable
from realtime_sync.threads import aside_if_nested
from realtime_sync.transport.urls import show_url
from realtime_sync.version import __version__

logger = logging.getLogger(__name__)

# What may wait while another thread writes: beyond it the disk does not keep up, and memory is worth more.
_MOST_WAITING = 64 * 2**20
_CLOSE_PATIENCE = 2.0


@reportable
class RecordingWriter:
    """Writes what a session sends and receives to a file of JSON lines (``recording.layout`` describes it).

    ``audio``: ``"keep"`` leaves it in the frames; ``"elide"`` writes its length alone; ``"beside"`` writes it as WAV,
    ``PATH.user.wav`` and ``PATH.model.wav``. Keys and tokens are never written: ``***`` stands in their place. New
    files may be read by nobody but their owner.

    Any thread may call any method; none raises once the file is open. If writing fails (a full disk), it is logged
    once, ``error`` holds it, and nothing more is written: the session goes on. Every line is handed to the system as
    it is written, so that a crash loses at most a part of the last one. A forked child writes nothing.

    Raises InvalidInputError if the file cannot be created or written, and for another ``audio``.
    """

    def __init__(self, path: FilePath, *, audio: AudioMode = "keep") -> None:
        if audio not in AUDIO_MODES:
            raise InvalidInputError(f"audio must be one of {', '.join(AUDIO_MODES)}, not {audio!r}")
        self.path = os.fspath(path)
        self.audio = audio
        self.error: Optional[BaseException] = None
        """What ended the recording before the session; None while all is well."""
        self._pid = os.getpid()
        self._file = create(path)
        self._sidecars = SidecarWriter(self.path) if audio == "beside" else None
        self._formats = FormatTracker()
        self._lock = threading.Lock()  # guards all below, and the order of the lines; never held while writing
        self._changed = Change()
        self._waiting: list[tuple[float, str, Any]] = []
        self._waiting_size = 0
        self._writer: Optional[object] = None  # the call that writes, and takes along what is added meanwhile
        self._closed = False
        self._finished = False  # the file is complete; only ever set
        self._started: Optional[float] = None
        self._dialect = Dialect.GA
        self._header_dialect: Optional[Dialect] = None  # of the first connection
        self._is_kept_open = False
        self._close_is_due = False  # it was put off

    # What a session reports -----------------------------------------------------------------------------------------

    def connected(
        self,
        url: str,
        number: int = 1,
        dialect: Dialect = Dialect.GA,
        *,
        protocol: ProtocolName = "realtime",
        at: Optional[float] = None,
    ) -> None:
        """The ``number``-th connection (from 1) was made to ``url``, of which user, password and keys are left out.

        ``at``, here and below: when, by ``time.monotonic()``; None is now. The first call is the recording's start.
        ``protocol``: ``"live"`` for a session of GPT-Live.
        """
        self._dialect = dialect
        self._header_dialect = self._header_dialect or dialect
        self._formats.protocol = protocol
        other = {} if dialect is self._header_dialect else {"dialect": dialect.value}
        self._add("connected", {"n": number, "url": show_url(url), **other}, at)

    def sent(self, frame: Union[str, bytes], *, at: Optional[float] = None) -> None:
        """A text frame is about to be sent (bytes are its UTF-8). Call it in the frame's turn on the wire."""
        self._add("out", frame if isinstance(frame, str) else bytes(frame).decode("utf-8", "replace"), at)

    def received(self, frame: Union[str, bytes], *, at: Optional[float] = None) -> None:
        """A frame has come: text, or bytes for a binary one."""
        self._add("in", frame, at)

    def disconnected(self, info: CloseInfo, *, at: Optional[float] = None) -> None:
        """The connection has ended; another may follow."""
        told = {"code": info.code, "reason": without_secrets(info.reason), "initiator": info.initiator}
        self._add("closed", told, at)

    @aside_if_nested
    def close(self) -> None:
        """Complete the file. Idempotent; waits at most two seconds for a thread that is still writing."""
        if os.getpid() != self._pid:
            return
        if self._is_kept_open:
            self._close_is_due = True
            return
        me = object()
        try:
            with self._lock:
                self._closed = True
                if self._writer is None and not self._finished:
                    self._writer = me
            if self._writer is me:
                self._write_all()
            else:
                self._changed.wait_for(lambda: self._writer is None, Deadline(_CLOSE_PATIENCE))
        finally:
            self._stop_writing(me)

    @contextmanager
    def _kept_open(self) -> Iterator[Callable[[], None]]:
        """While several starts are tried, of which each closes the recording if it fails: ``close`` is put off.

        Gives a function that is to be called before each start.
        """

        def begin() -> None:
            self._close_is_due = False

        self._is_kept_open = True
        try:
            yield begin
        finally:
            self._is_kept_open = False
            if self._close_is_due:
                self.close()

    @property
    def closed(self) -> bool:
        """True once nothing more is written, because of ``close()`` or of ``error``."""
        return self._closed

    def __enter__(self) -> RecordingWriter:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __repr__(self) -> str:
        state = f"failed: {self.error}" if self.error else "closed" if self._closed else "open"
        return f"<RecordingWriter {self.path} {state}>"

    # Writing --------------------------------------------------------------------------------------------------------

    def _add(self, direction: str, what: Any, at: Optional[float]) -> None:
        """Add a line, and write it unless another thread is writing, which then does. No thread waits for another."""
        if os.getpid() != self._pid:
            return
        me = object()
        try:
            with self._lock:
                if self._closed:
                    return
                self._waiting.append((time.monotonic() if at is None else at, direction, what))
                self._waiting_size += len(what)
                too_slow = self._writer is not None
                if too_slow and self._waiting_size <= _MOST_WAITING:
                    return
                self._writer = self._writer or me
            if too_slow:
                self._fail(OSError(f"the disk is too slow: more than {_MOST_WAITING} bytes wait to be written"))
            else:
                self._write_all()
        finally:
            self._stop_writing(me)

    def _stop_writing(self, writer: object) -> None:
        """This call writes no more, in whatever way it ends: Ctrl-C may strike at any bytecode of it."""
        if self._writer is writer:
            with self._lock:
                self._writer = None
            self._changed.tell()

    def _write_all(self) -> None:
        """Write until nothing waits; on the thread of the call that is ``_writer``."""
        interrupt: Optional[BaseException] = None
        while True:
            with self._lock:
                lines, self._waiting, self._waiting_size = self._waiting, [], 0
                finish = self._closed
                if not lines and not finish:
                    self._writer = None  # within the lock: what comes from now on is another call's to write
            if not lines:
                if finish:
                    self._finish()
                break
            for line in lines:
                try:
                    self._write(*line)
                except Exception as error:  # a defect of ours, too, must not end the session
                    self._fail(error)
                except BaseException as error:  # Ctrl-C can wait: what others have added is this thread's to write
                    interrupt = error
        if interrupt is not None:
            raise interrupt

    def _write(self, at: float, direction: str, what: Any) -> None:
        if self.error is not None:
            return
        if self._started is None:
            self._started = at
            self._put(self._header())
        line: dict[str, Any] = {"t": round(max(0.0, at - self._started), 6), "dir": direction}
        if isinstance(what, dict):
            line |= what
        elif isinstance(what, bytes):
            line["binary"] = base64.b64encode(what).decode()
        else:
            line |= self._frame(direction, what)
        self._put(line)

    def _frame(self, direction: str, text: str) -> dict[str, Any]:
        text = without_secrets(text)
        if self.audio == "keep":
            return {"text": text}
        sidecars = self._sidecars
        if sidecars is None:
            text, gaps = take_audio(text, lambda samples: None)
        else:
            if direction == "in":
                self._formats.see_text(text, self._dialect)
            side = side_of(direction, text)
            if side is None:
                return {"text": text}
            format = self._formats.formats[side] if side == direction else PCM
            text, gaps = take_audio(text, lambda samples: sidecars.keep(side, samples, format))
        return {"text": text, "gaps": [gap.to_json() for gap in gaps]} if gaps else {"text": text}

    def _header(self) -> dict[str, Any]:
        protocol = self._formats.protocol
        return {
            "recording": VERSIONS[protocol],
            "started": datetime.datetime.now(datetime.timezone.utc).isoformat(),
            "library": __version__,
            **({} if protocol == "realtime" else {"protocol": protocol}),
            "dialect": (self._header_dialect or self._dialect).value,
            "audio": self.audio,
        }

    def _put(self, line: dict[str, Any]) -> None:
        try:
            data = json.dumps(line, ensure_ascii=False).encode()
        except UnicodeEncodeError:  # half of a surrogate pair
            data = json.dumps(line).encode()
        self._file.write(data + b"\n")
        # At once: what would stay in a buffer is what one wants to see after a crash, and a fork would write it twice.
        self._file.flush()

    def _fail(self, error: Exception) -> None:
        with self._lock:
            first, self._closed = self.error is None, True
            self.error = self.error or error
            self._waiting, self._waiting_size = [], 0
        if first:
            logger.error(
                "the recording %s was stopped before its session ended: %s: %s", self.path, type(error).__name__, error
            )

    def _finish(self) -> None:
        try:
            if self._sidecars is not None:
                self._sidecars.close()
        except OSError as error:
            self._fail(error)
        try:
            if self._started is None and self.error is None:
                self._put(self._header())
            self._file.close()
        except (OSError, ValueError) as error:
            self._fail(error)
        self._finished = True

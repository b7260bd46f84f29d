"""Files with what people have said: new ones may be read by nobody but their owner."""

from __future__ import annotations

import errno
import os
import stat
from typing import BinaryIO, Union

from realtime_sync.errors import InvalidInputError

_NONBLOCKING: int = getattr(os, "O_NONBLOCK", 0)  # Windows has no pipes among its files


def private(path: str, flags: int) -> int:
    """The ``opener`` for ``open()``. A file that is there keeps its mode."""
    return os.open(path, flags, 0o600)


def create(path: Union[str, os.PathLike[str]]) -> BinaryIO:
    """Open a new file, or an emptied one. Raises InvalidInputError if it cannot be written: now, and not later.

    A pipe is not waited for: if nobody reads it, this raises; if its reader is slow, writing raises BlockingIOError.
    """
    try:
        file = open(path, "wb", opener=lambda path, flags: private(path, flags | _NONBLOCKING))  # noqa: SIM115  it is the caller's
        try:
            _try_out(file)
        except BaseException:
            file.close()
            raise
    except (OSError, ValueError) as error:  # ValueError: the path holds a NUL
        reason: object = (error.strerror if isinstance(error, OSError) else None) or error
        if isinstance(error, OSError) and error.errno == errno.ENXIO:
            reason = "it is a pipe, and nobody reads it"
        raise InvalidInputError(f"{os.fspath(path)!r} cannot be written: {reason}; give the path of a file.") from error
    return file


def _try_out(file: BinaryIO) -> None:
    """A full disk lets files be opened, and refuses the first byte of them."""
    if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        os.write(file.fileno(), b"\n")
        file.truncate(0)
        file.seek(0)
    else:
        os.write(file.fileno(), b"")

"""The recording that the service keeps of a stored session, to a file that nobody but its owner may read."""

from __future__ import annotations

import contextlib
import os
import secrets
from typing import Union

from realtime_sync.checks import check_path
from realtime_sync.errors import InvalidInputError
from realtime_sync.recording import private_file
from realtime_sync.rest.call_checks import quoted_id
from realtime_sync.rest.http import RestClient
from realtime_sync.transport import Cancellation


def download_recording(
    rest: RestClient, session_id: str, path: Union[str, os.PathLike[str]], cancellation: Cancellation
) -> None:
    """See ``RealtimeConversationClient.download_live_recording``."""
    check_path("path", path)
    door = f"{quoted_id(session_id, 'session_id')}/content"
    whole = os.fsdecode(path)
    if not os.path.basename(whole):
        raise InvalidInputError(f"path must be that of a file, and {whole!r} is none")
    if os.path.exists(whole) and not os.path.isfile(whole):  # a pipe or a device, which nothing may take the place of
        _fill(rest, door, whole, cancellation)
        return
    # Beside it, so that there is never half a recording under its name, and an older one is kept if this fails; under
    # a name that nobody else's file has, such as another thread's part of the same.
    part = f"{whole}.{secrets.token_hex(4)}.part"
    try:
        _fill(rest, door, part, cancellation)
        try:
            os.replace(part, whole)
        except OSError as error:
            raise _unwritable(whole, error) from error
    except BaseException:
        with contextlib.suppress(OSError):
            os.remove(part)
        raise


def _fill(rest: RestClient, door: str, path: str, cancellation: Cancellation) -> None:
    with private_file.create(path) as file:

        def write(piece: bytes) -> None:
            try:
                file.write(piece)
            except OSError as error:
                raise _unwritable(path, error) from error

        rest.download_live(door, write, cancellation)
        try:
            file.flush()
        except OSError as error:
            raise _unwritable(path, error) from error


def _unwritable(path: str, error: OSError) -> InvalidInputError:
    return InvalidInputError(f"{path!r} cannot be written: {error.strerror or error}; the download was broken off.")

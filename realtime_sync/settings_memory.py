"""The settings that a session was given, so that a new connection can be given them again."""

from __future__ import annotations

import threading
from typing import Optional

import attrs

from realtime_sync.acknowledgement import CommandHandle
from realtime_sync.errors import ServerError
from realtime_sync.protocol.options import SessionOptions
from realtime_sync.protocol.registry import UNSET


class SettingsMemory:
    """All that was asked for, but for what the service refused."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # guards all below
        self._asked: list[tuple[CommandHandle, SessionOptions]] = []  # in the order of sending; not yet settled
        self._granted: Optional[SessionOptions] = None

    def remember(self, handle: CommandHandle, options: SessionOptions) -> None:
        """These were sent."""
        with self._lock:
            self._asked.append((handle, options))
            while self._asked and self._asked[0][0].done:
                self._granted = _merged(self._granted, *self._asked.pop(0))

    def merged(self) -> Optional[SessionOptions]:
        """All of them as one; None where there are none."""
        with self._lock:
            whole = self._granted
            for handle, options in self._asked:
                whole = _merged(whole, handle, options)
            return whole


def _merged(
    before: Optional[SessionOptions], handle: CommandHandle, options: SessionOptions
) -> Optional[SessionOptions]:
    if isinstance(handle.error, ServerError):
        return before
    if before is None or type(before) is not type(options):
        return options
    fields = [field.name for field in attrs.fields(type(options)) if field.name != "extra"]
    told = {name: value for name in fields if (value := getattr(options, name)) is not UNSET}
    return attrs.evolve(before, extra={**before.extra, **options.extra}, **told)

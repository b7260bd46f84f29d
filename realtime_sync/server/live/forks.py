"""A fork: a new live session that goes on with a stored one which has ended. What was said is known, and not told."""

from __future__ import annotations

from typing import Any, Optional

from realtime_sync.server.auth import LiveDoor, Policy
from realtime_sync.server.checks import boolean, json_object, record
from realtime_sync.server.live.faults import LiveRules
from realtime_sync.server.live.media import BROWSER
from realtime_sync.server.live.session import TwinSession
from realtime_sync.server.live.settings import check_start, updated
from realtime_sync.server.settings import SessionSettings
from realtime_sync.server.traffic import Upgrade
from realtime_sync.server.wire import Json

_INHERITED = ("model", "instructions", "audio", "delegation", "store", "triggers", "safety_identifier", "client")
_common = {"store": boolean, "delegation": json_object}
_of_socket = record({**_common, "audio": record({"format": json_object})})
_of_browser = record({**_common, "client": BROWSER})


class TwinFork(TwinSession):
    """A fork over a WebSocket."""

    def __init__(
        self,
        original: TwinSession,
        door: LiveDoor,
        policy: Policy,
        rules: LiveRules,
        settings: SessionSettings,
        upgrade: Upgrade,
    ) -> None:
        super().__init__(door, policy, rules, settings, upgrade)
        self._original: Optional[TwinSession] = original  # until it begins: an old session may be forgotten

    def begin(self, session: Json, event_id: Optional[str] = None) -> None:
        """See ``TwinSession``."""
        with self.lock:
            super().begin(session, event_id)
            original, self._original = self._original, None
            assert original is not None
            self.talk.goes_on_from(original.talk)

    def start_settings(self, told: Json) -> Json:
        """See ``TwinSession``: they say only what is to differ from the original."""
        _of_socket(told, "session")
        assert self._original is not None
        settings = _forked(self._original, told)
        check_start(settings)
        return settings


def forked_browser_settings(original: TwinSession, told: Any) -> Json:
    """The settings of a browser's fork. Raises ``Refused``."""
    _of_browser(told, "session")
    return _forked(original, told)


def _forked(original: TwinSession, told: Json) -> Json:
    session = original.options
    if told.get("delegation") is not None:
        session = updated(session, {"delegation": told["delegation"]}, replaces=False)
    settings = {name: session[name] for name in _INHERITED if session.get(name) is not None}
    if told.get("audio"):
        settings["audio"] = {**settings["audio"], **told["audio"]}
    return {**settings, **{name: told[name] for name in ("store", "client") if told.get(name) is not None}}

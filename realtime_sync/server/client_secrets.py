"""Client secrets (``ek_...``): short-lived keys that carry the configuration of the sessions that they open."""

from __future__ import annotations

import collections
import threading
import time
from typing import Optional

import attrs

from realtime_sync.server.checks import integer, nullable, one_of, record, string
from realtime_sync.server.clock import Clock
from realtime_sync.server.session_options import new_session, updated_session
from realtime_sync.server.wire import Json, new_id

PREFIX = "ek_"
DEFAULT_SECONDS = 600  # the service's default and bounds (2026-08)
_SECONDS = integer(10, 7200)
_DEFAULT_MODELS = {"translation": "gpt-realtime-translate"}
_MOST = 10_000  # secrets that are kept, oldest out: a server that runs for weeks may not grow


@attrs.frozen(kw_only=True)
class Configuration:
    """What kind of session a secret or a call opens, and the settings that it starts with.

    ``settings``: laid over the defaults as a ``session.update`` is; ``names_model``: the client chose the model.
    """

    session_type: str
    model: str
    settings: Json
    names_model: bool = False

    @classmethod
    def from_client(cls, told: Optional[Json], session_type: Optional[str] = None) -> Configuration:
        """From a request's ``session``; None: a realtime session's defaults. Raises ``Refused``.

        ``session_type`` None: the one that is told.
        """
        settings = {"type": session_type or "realtime"} if told is None else told
        # Any other type is refused below, as one that a realtime session does not have.
        kind = session_type or ("transcription" if settings.get("type") == "transcription" else "realtime")
        named = settings.get("model")
        if kind == "translation":
            # Set when the session is made, never by session.update, whose shape is checked below.
            settings = {key: value for key, value in settings.items() if key != "model"}
            nullable(string)(named, "session.model")
        model = named if isinstance(named, str) else _DEFAULT_MODELS.get(kind, "gpt-realtime-2.1")
        found = cls(session_type=kind, model=model, settings=settings, names_model=named is not None)
        found.session("sess_unused", 0)  # to refuse now what could never be a session
        return found

    def session(self, session_id: str, expires_at: int) -> Json:
        """The whole session object. Raises ``Refused``."""
        session = new_session(self.session_type, session_id, self.model, expires_at)
        return updated_session(session, self.settings, audio_has_been_said=False)


@attrs.frozen(kw_only=True)
class IssuedSecret:
    """One secret. ``expires_at``: Unix time in seconds. It opens any number of sessions until then."""

    value: str = attrs.field(repr=False)
    expires_at: int
    configuration: Configuration


class IssuedSecrets:
    """Every secret that a server has given. Time goes by the server's clock."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._epoch = time.time() - clock.monotonic()
        self._lock = threading.Lock()  # guards _secrets
        self._secrets: collections.OrderedDict[str, IssuedSecret] = collections.OrderedDict()

    def now(self) -> float:
        """Unix time by the server's clock."""
        return self._epoch + self._clock.monotonic()

    def create(self, configuration: Configuration, expires_after: Optional[Json] = None) -> IssuedSecret:
        """A new secret; ``expires_after`` as the wire has it, None: ten minutes. Raises ``Refused``."""
        told = {} if expires_after is None else expires_after
        record({"anchor": one_of("created_at"), "seconds": _SECONDS})(told, "expires_after")
        expires_at = int(self.now()) + int(told.get("seconds") or DEFAULT_SECONDS)
        secret = IssuedSecret(value=new_id("ek", 32), expires_at=expires_at, configuration=configuration)
        with self._lock:
            self._secrets[secret.value] = secret
            while len(self._secrets) > _MOST:
                self._secrets.popitem(last=False)
        return secret

    def find(self, value: str) -> Optional[IssuedSecret]:
        """The secret of this value; None if there is none, or it has expired."""
        with self._lock:
            secret = self._secrets.get(value)
        return secret if secret is not None and self.now() < secret.expires_at else None

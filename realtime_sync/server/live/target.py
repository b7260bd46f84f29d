"""To whom a live session delegates: the base of the backends, which is the client."""

from __future__ import annotations

from typing import TYPE_CHECKING, Callable

from realtime_sync.server.wire import Json, Refused

if TYPE_CHECKING:
    from realtime_sync.server.live.session import TwinSession


class DelegationTarget:
    """Delegation to the client: the server does nothing more. Every method is called under the session's lock."""

    def __init__(self, session: TwinSession) -> None:
        self.session = session

    def prepare(self, delegation: Json) -> Callable[[], None]:
        """Complete a delegation that will be told. Returns what begins the work, once it is."""
        return lambda: None

    def take(self, message: Json) -> None:
        """Do what a message for the backend says. Raises ``Refused``."""
        family = "Responses" if message["type"].startswith("response.") else "Decisions"
        raise Refused("invalid_event", f"{message['type']} requires {family} delegation.", "type")

    def close(self) -> None:
        """The session ends: what is queued is dropped."""

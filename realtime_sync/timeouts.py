"""How long each kind of waiting may last."""

from __future__ import annotations

import attrs

from realtime_sync.advice import NamedFields
from realtime_sync.checks import check_number, validated_by
from realtime_sync.values import Value

# Systems count their waits in milliseconds of 31 bits, which is 24 days; some deadlines are the sum of two.
_positive = validated_by(check_number, "seconds", above=0, at_most=1_000_000)


@attrs.frozen(kw_only=True, repr=False, eq=False)
class Timeouts(Value, metaclass=NamedFields):
    """Deadlines in seconds, each above 0 and at most 1,000,000. The defaults suit a live conversation.

    A time-out of a single wait (``timeout=`` of ``wait``, ``receive_update``, ...) is given at that call. None of these
    covers the time that a credential's function takes.

    Attributes:
        connect: Name look-up, TCP, proxy, TLS and WebSocket handshake together, for one attempt (15.0); of a REST
            request, what comes before it is sent.
        greeting: How long a new session waits for the server's first message (5.0); if none comes, the session is used
            all the same.
        rest: A REST request (client secrets, calls) in all, from the name look-up to the end of the answer, for one
            attempt (30.0).
        send: How long the peer may take no byte at all while a frame is sent; then the connection is ended (10.0).
        acknowledge: How long ``CommandHandle.wait()`` waits if it is given no ``timeout`` (10.0).
        close: How long ``close()`` waits for the peer's side of the close handshake, then cuts the connection (2.0).
        ping_interval: After so long without a byte from the peer, a ping is sent (5.0).
        ping: How long after that ping the peer may stay silent; then the connection is given up as dead (8.0). A peer
            that goes on taking bytes of a long message is alive, because no ping can overtake the message.
    """

    connect: float = attrs.field(default=15.0, validator=_positive)
    greeting: float = attrs.field(default=5.0, validator=_positive)
    rest: float = attrs.field(default=30.0, validator=_positive)
    send: float = attrs.field(default=10.0, validator=_positive)
    acknowledge: float = attrs.field(default=10.0, validator=_positive)
    close: float = attrs.field(default=2.0, validator=_positive)
    ping_interval: float = attrs.field(default=5.0, validator=_positive)
    ping: float = attrs.field(default=8.0, validator=_positive)

"""How long each kind of waiting may last."""

from __future__ import annotations

import attrs

from realtime_sync.checks import check_number, validated_by

# Systems count their waits in milliseconds of 31 bits, which is 24 days; some deadlines are the sum of two.
_positive = validated_by(check_number, "seconds", above=0, at_most=1_000_000)


@attrs.frozen(kw_only=True)
class Timeouts:
    """Deadlines in seconds, each positive and at most a million. The defaults suit a live conversation.

    A time-out of a single wait (``timeout=`` of ``wait``, ``receive_update``, ...) is given at that call.
    """

    connect: float = attrs.field(default=15.0, validator=_positive)
    """Name look-up, TCP, proxy, TLS and WebSocket handshake together, for one attempt."""
    greeting: float = attrs.field(default=5.0, validator=_positive)
    """How long a new session waits for the server's first message; a server that says nothing is used all the same."""
    rest: float = attrs.field(default=30.0, validator=_positive)
    """How long the service may be silent before and within its answer to a REST request (client secrets, calls)."""
    send: float = attrs.field(default=10.0, validator=_positive)
    """How long the peer may take no byte at all while a frame is being sent; then the connection is ended."""
    acknowledge: float = attrs.field(default=10.0, validator=_positive)
    """What ``CommandHandle.wait()`` waits when it is given no ``timeout``."""
    close: float = attrs.field(default=2.0, validator=_positive)
    """How long ``close()`` waits for the peer's side of the close handshake, then cuts the connection."""
    ping_interval: float = attrs.field(default=5.0, validator=_positive)
    """After this long without a byte from the peer, a ping is sent."""
    ping: float = attrs.field(default=8.0, validator=_positive)
    """How long after that ping the peer may stay silent; then the connection is given up as dead.

    A peer that goes on taking bytes of a long message is alive; no ping gets past it.
    """

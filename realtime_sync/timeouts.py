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

    None is no deadline here: to wait very long, give 1,000,000. A time-out of a single wait (``timeout=`` of ``wait``,
    ``receive_update``, ...) is given at that call. None of these covers the time that a credential's function takes.

    Attributes:
        connect: Seconds (default: 15.0) for name look-up, TCP, proxy, TLS and WebSocket handshake together, for one
            attempt; of a REST request, for what comes before it is sent.
        greeting: Seconds (default: 5.0) that a new session waits for the server's first message; if none comes, the
            session is used all the same, but for a live session, which is given up.
        rest: Seconds (default: 30.0) for a REST request (client secrets, calls) in all, from the name look-up to the
            end of the answer, for one attempt.
        send: Seconds (default: 10.0) in which the peer may take no byte at all while a frame is sent; then the
            connection is ended.
        acknowledge: Seconds (default: 10.0) that ``CommandHandle.wait()`` waits if it is given no ``timeout``.
        close: Seconds (default: 2.0) that ``close()`` waits for the peer's side of the close handshake; then it cuts
            the connection.
        live_close: Seconds (default: 10.0) that ``close()`` of a GPT-Live session waits for the service's
            ``session.closed``, which has the final usage; then it closes the connection, as ``close`` says.
        ping_interval: Seconds (default: 5.0) without a byte from the peer after which a ping is sent.
        ping: Seconds (default: 8.0) after that ping in which the peer may stay silent; then the connection is given up
            as dead. A peer that goes on taking bytes of a long message is alive, because no ping can overtake it.
    """

    connect: float = attrs.field(default=15.0, validator=_positive)
    greeting: float = attrs.field(default=5.0, validator=_positive)
    rest: float = attrs.field(default=30.0, validator=_positive)
    send: float = attrs.field(default=10.0, validator=_positive)
    acknowledge: float = attrs.field(default=10.0, validator=_positive)
    close: float = attrs.field(default=2.0, validator=_positive)
    live_close: float = attrs.field(default=10.0, validator=_positive)
    ping_interval: float = attrs.field(default=5.0, validator=_positive)
    ping: float = attrs.field(default=8.0, validator=_positive)

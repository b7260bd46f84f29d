"""Names to addresses, addresses to TCP sockets: every address is tried, and no step outlives the deadline."""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
from typing import Any, Callable, Union

from realtime_sync.deadline import Deadline
from realtime_sync.errors import ConnectCancelledError, ConnectionFailedError, ConnectTimeoutError
from realtime_sync.interrupts import Flag
from realtime_sync.threads import start_thread
from realtime_sync.timeouts import Timeouts
from realtime_sync.transport.waiting import WRITE, Cancellation, Waiter, WakeUp, new_waiter

# getaddrinfo's rows: family, type, protocol, canonical name, and an address whose shape depends on the family.
Address = tuple[int, int, int, str, tuple[Any, ...]]
_Answer = Union[list[Address], Exception, None]

# What a non-blocking connect says when it has begun; WSAEWOULDBLOCK is Windows' word.
_IN_PROGRESS = {errno.EINPROGRESS, errno.EWOULDBLOCK, errno.EINTR, getattr(errno, "WSAEWOULDBLOCK", errno.EINPROGRESS)}


def timed_out(deadline: Deadline, doing: str) -> ConnectTimeoutError:
    """The error for a deadline that passed while ``doing`` something."""
    return ConnectTimeoutError(
        f"Not done within {deadline.seconds:g} s ({deadline.name}): still {doing}. "
        "Check the network, the endpoint and the proxy, or allow more time."
    )


def cancelled(doing: str) -> ConnectCancelledError:
    """The error for a cancellation while ``doing`` something."""
    return ConnectCancelledError(f"Cancelled while {doing}: the client was closed meanwhile.")


def resolve(host: str, port: int, deadline: Deadline, cancellation: Cancellation) -> list[Address]:
    """The addresses of ``host``, in the order in which the system wants them tried. Never empty.

    Raises ConnectionFailedError if the name has none, ConnectTimeoutError, ConnectCancelledError.
    """
    doing = f"looking up the name {host}"
    try:
        ipaddress.ip_address(host)
    except ValueError:
        answer = _ask(host, port, deadline, cancellation)
    else:
        answer = _look_up(host, port)  # a literal address asks nobody
    if cancellation.cancelled:
        raise cancelled(doing)
    if answer is None:
        raise timed_out(deadline, doing)
    if isinstance(answer, Exception):
        raise ConnectionFailedError(
            f"The name {host} was not found: {answer}. Check the endpoint's spelling and the network."
        ) from answer
    return answer


def _look_up(host: str, port: int) -> _Answer:
    try:
        found = socket.getaddrinfo(host, port, socket.AF_UNSPEC, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    except (OSError, UnicodeError) as exc:  # UnicodeError: a label that IDNA does not allow
        return exc
    return [(int(family), int(kind), proto, name, tuple(address)) for family, kind, proto, name, address in found]


def _ask(host: str, port: int, deadline: Deadline, cancellation: Cancellation) -> _Answer:
    # getaddrinfo takes no time-out and cannot be interrupted (a dead name server costs 30 s), so it gets a thread
    # of its own, which is abandoned if it is late; it ends when its answer comes, which is then dropped.
    answer: _Answer = None
    over = Flag()

    def work() -> None:
        nonlocal answer
        answer = _look_up(host, port)
        over.set()

    wake = over.set  # one object, so that unwatch finds it
    start_thread(work, "realtime-sync-resolver")
    try:
        cancellation.watch(wake)
        over.wait(deadline.remaining)
        return answer
    finally:
        cancellation.unwatch(wake)


def dial(
    host: str, port: int, timeouts: Timeouts, deadline: Deadline, cancellation: Cancellation, wake_up: WakeUp
) -> tuple[socket.socket, Waiter]:
    """A connected, non-blocking TCP socket to the first address that answers, and its waiter.

    Each address gets an equal share of the time that is left, so that a black hole (often IPv6) leaves some for
    the next. ``wake_up`` is set by ``cancellation``.
    """
    addresses = resolve(host, port, deadline, cancellation)
    failure: OSError = TimeoutError(errno.ETIMEDOUT, "no answer")
    for tried, address in enumerate(addresses):
        if cancellation.cancelled:
            raise cancelled(f"connecting to {host}:{port}")
        if not deadline.remaining:
            break
        share = deadline.within(deadline.remaining / (len(addresses) - tried))
        try:
            return _open(address, share, lambda: cancellation.cancelled, wake_up, timeouts)
        except ConnectCancelledError:
            raise
        except OSError as exc:  # refused, unreachable, no such family here, no answer: the next may do better
            failure = exc
    if not deadline.remaining:
        raise timed_out(deadline, f"connecting to {host}:{port}") from failure
    reason = failure.strerror or type(failure).__name__
    several = f" ({len(addresses)} addresses tried)" if len(addresses) > 1 else ""
    raise ConnectionFailedError(
        f"Could not connect to {host}:{port}: {reason}{several}. Check the host and the port, and that the server runs."
    ) from failure


def _open(
    address: Address, share: Deadline, is_cancelled: Callable[[], bool], wake_up: WakeUp, timeouts: Timeouts
) -> tuple[socket.socket, Waiter]:
    family, kind, protocol, _, where = address
    sock = socket.socket(family, kind, protocol)
    waiter = None
    try:
        sock.setblocking(False)
        error = sock.connect_ex(where)
        waiter = new_waiter(sock.fileno(), wake_up)
        if error in _IN_PROGRESS:
            ready = waiter.wait(WRITE, share.remaining)
            if is_cancelled():
                raise cancelled(f"connecting to {where[0]}")
            error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) if ready else errno.ETIMEDOUT
        if error:
            raise OSError(error, os.strerror(error))
        _tune(sock, timeouts)
        return sock, waiter
    except BaseException:
        if waiter is not None:
            waiter.close()
        sock.close()
        raise


def _tune(sock: socket.socket, timeouts: Timeouts) -> None:
    """Small frames at once, and an end to a network that went away; what a system does not know is left out."""
    longest = max(timeouts.send, timeouts.ping_interval + timeouts.ping) + 5
    for level, name, value in (
        (socket.IPPROTO_TCP, "TCP_NODELAY", 1),
        (socket.SOL_SOCKET, "SO_KEEPALIVE", 1),
        (socket.IPPROTO_TCP, "TCP_KEEPIDLE", 30),
        (socket.IPPROTO_TCP, "TCP_KEEPINTVL", 10),
        (socket.IPPROTO_TCP, "TCP_KEEPCNT", 3),
        # Without it a slow line shows no progress before a third of a large send buffer has drained, which would
        # look like a stall; and a pong would wait behind megabytes.
        (socket.IPPROTO_TCP, "TCP_NOTSENT_LOWAT", 1 << 17),
        # Linux retransmits for 13 to 30 minutes by default. Milliseconds, and later than our own, typed deadlines.
        (socket.IPPROTO_TCP, "TCP_USER_TIMEOUT", int(longest * 1000)),
    ):
        option = getattr(socket, name, None)
        if option is not None:
            try:
                sock.setsockopt(level, option, value)
            except OSError:  # a sandbox or an old kernel that knows the name and not the option
                pass

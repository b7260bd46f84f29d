"""Faults on demand: how a service or a network misbehaves, for tests of what a client does about it.

server.faults = Faults(acts=[drop(after_sent=3)])        # every session, from its third message on
server.faults = Faults(refuse=Refusal(429, {"retry-after": "2"}, "slow down"))
session.inject(close(1011, "overloaded"))                # this session, now
"""

from __future__ import annotations

from typing import Any, Callable, Mapping, Optional, Sequence

import attrs

from realtime_sync.errors import InvalidInputError
from realtime_sync.secret import reportable
from realtime_sync.server.connection import ServerConnection, check_close_code


def _not_negative(owner: object, field: attrs.Attribute[Any], value: Optional[float]) -> None:
    if value is not None and value < 0:
        raise InvalidInputError(f"{field.name} is {value!r}, but cannot be less than 0.")


@attrs.frozen
class Refusal:
    """An HTTP answer in place of the handshake.

    Args:
        status: The HTTP status.
        headers: Header names and values.
        body: Text of the answer.
        framing: How long the body is said to be: ``"length"`` (Content-Length), ``"chunked"``, ``"truncated"`` (shorter
            than its Content-Length, then the end of the stream) or ``"until-close"`` (no length at all).
        times: Refuse so many handshakes, then serve. None refuses all.

    Raises:
        InvalidInputError: If ``times`` is less than 0.
    """

    status: int
    headers: Mapping[str, str] = attrs.field(factory=dict)
    body: str = ""
    framing: str = attrs.field(
        default="length", validator=attrs.validators.in_(("length", "chunked", "truncated", "until-close"))
    )
    times: Optional[int] = attrs.field(default=None, validator=_not_negative)


@attrs.frozen
class Act:
    """One misdeed, and when it happens.

    With neither ``after_sent`` nor ``after_received`` it happens at once: when the session opens, or when the act is
    injected.

    Args:
        name: What it is called.
        perform: Does it, on the connection's thread.
        after_sent: Happens once so many messages have been sent to the client. None: however many.
        after_received: Happens once so many messages have been received from the client. None: however many.
        urgent: Whether it overtakes what is still queued for the client, if it happens at once.
    """

    name: str
    perform: Callable[[ServerConnection], None]
    after_sent: Optional[int] = None
    after_received: Optional[int] = None
    urgent: bool = False

    def is_due(self, sent: int, received: int) -> bool:
        """True if the session has sent and received enough."""
        return sent >= (self.after_sent or 0) and received >= (self.after_received or 0)


def _acts(acts: Sequence[Act]) -> tuple[Act, ...]:
    given: object = acts  # not what it should be, if an act is given alone or without its ()
    if not isinstance(given, (list, tuple)) or not all(isinstance(act, Act) for act in given):
        raise InvalidInputError(f"acts is {given!r}, but must be a list of acts, such as [drop(after_sent=3)].")
    return tuple(given)


@reportable
@attrs.frozen(kw_only=True)
class Faults:
    """What goes wrong. Everything is off by default. Seconds here are real ones, whatever the server's clock.

    Args:
        refuse: Answers the handshake with an HTTP refusal. None serves it.
        slow_handshake: Seconds between two bytes of the answer to the handshake; 0 sends it at once.
        handshake_bytes: The connection is reset behind so many bytes of that answer. None: it is sent whole.
        delay: Seconds that each message to the client is held back.
        acts: What else happens to a session, each act once a session.

    Raises:
        InvalidInputError: For what is less than 0, or is no list of acts.
    """

    refuse: Optional[Refusal] = None
    slow_handshake: float = attrs.field(default=0.0, validator=_not_negative)
    handshake_bytes: Optional[int] = attrs.field(default=None, validator=_not_negative)
    delay: float = attrs.field(default=0.0, validator=_not_negative)
    acts: Sequence[Act] = attrs.field(default=(), converter=_acts)


def drop(*, after_sent: Optional[int] = None, after_received: Optional[int] = None) -> Act:
    """Reset the TCP connection (RST)."""
    return Act("drop", ServerConnection.reset, after_sent, after_received, urgent=True)


def eof(*, after_sent: Optional[int] = None, after_received: Optional[int] = None) -> Act:
    """End the stream towards the client without a close frame; the client's side stays open."""
    return Act("eof", ServerConnection.shut_down_sending, after_sent, after_received, urgent=True)


def silence(*, after_sent: Optional[int] = None, after_received: Optional[int] = None) -> Act:
    """Neither read nor answer any more, pings included, while the connection stays up.

    ``after_sent``: so many messages are written first. ``after_received``: the last of them is not answered any more.
    """
    return Act("silence", ServerConnection.go_silent, after_sent, after_received, urgent=True)


def stop_reading(*, after_sent: Optional[int] = None, after_received: Optional[int] = None) -> Act:
    """Read nothing more, so that the client's sends stall once the buffers are full; sending goes on."""
    return Act("stop_reading", ServerConnection.stop_reading, after_sent, after_received, urgent=True)


def close(
    code: int = 1011, reason: str = "", *, after_sent: Optional[int] = None, after_received: Optional[int] = None
) -> Act:
    """Close with this code and reason (its first 123 bytes). Raises ``InvalidInputError`` for what cannot be sent."""
    check_close_code(code)
    return Act("close", lambda connection: connection.close(code, reason), after_sent, after_received)


def send(message: str | bytes, *, after_sent: Optional[int] = None, after_received: Optional[int] = None) -> Act:
    """Send this text or binary message as it is: not JSON, an unknown event, a huge one, ..."""
    return Act("send", lambda connection: connection.send(message), after_sent, after_received)


def send_raw(data: bytes, *, after_sent: Optional[int] = None, after_received: Optional[int] = None) -> Act:
    """Put these bytes on the wire without framing them."""
    return Act("send_raw", lambda connection: connection.send_raw(data), after_sent, after_received)


def not_json(*, after_sent: Optional[int] = None, after_received: Optional[int] = None) -> Act:
    """Send a text message that is not JSON."""
    return send("this is {not JSON", after_sent=after_sent, after_received=after_received)


def unknown_event(*, after_sent: Optional[int] = None, after_received: Optional[int] = None) -> Act:
    """Send an event of a type that nobody knows."""
    text = '{"type": "response.from_the_future", "event_id": "event_unknown", "answer": 42}'
    return send(text, after_sent=after_sent, after_received=after_received)


def huge_message(
    size: int = 64 * 1024 * 1024, *, after_sent: Optional[int] = None, after_received: Optional[int] = None
) -> Act:
    """Send one JSON message of about so many bytes."""
    text = '{"type": "huge", "padding": "' + "x" * size + '"}'
    return send(text, after_sent=after_sent, after_received=after_received)


def invalid_utf8(*, after_sent: Optional[int] = None, after_received: Optional[int] = None) -> Act:
    """Send a text frame whose payload is not UTF-8."""
    return send_raw(b"\x81\x04\xff\xfe\xfd\xfc", after_sent=after_sent, after_received=after_received)


def half_a_message(*, after_sent: Optional[int] = None, after_received: Optional[int] = None) -> Act:
    """End the stream in the middle of a frame, behind all that was sent before."""

    def perform(connection: ServerConnection) -> None:
        connection.send_raw(b"\x81\x7e\x01\x00" + b'{"type": "response.done", ')  # of 256 bytes that it promises
        connection.perform(ServerConnection.shut_down_sending, once_written=True)

    return Act("half_a_message", perform, after_sent, after_received)


def bad_frame(*, after_sent: Optional[int] = None, after_received: Optional[int] = None) -> Act:
    """Send a frame with reserved bits set and an opcode that does not exist."""
    return send_raw(b"\xff\x02ab", after_sent=after_sent, after_received=after_received)

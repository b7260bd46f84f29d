"""The settings of live sessions whose sound is not on their socket: of a browser (WebRTC), of a telephone (SIP)."""

from __future__ import annotations

from typing import Any, Mapping

from realtime_sync.server.checks import (
    Check,
    array_of,
    either,
    integer,
    json_object,
    missing,
    number,
    one_of,
    record,
    string,
)
from realtime_sync.server.live.settings import check_start
from realtime_sync.server.wire import Json, Refused

_selector = record({"type": string, "response_event": string}, ["type"])
_channel = record(
    {
        "allowed_client_events": either({str: one_of("all"), list: array_of(string)}),
        "allowed_server_events": either({str: one_of("all"), list: array_of(_selector)}),
    }
)
BROWSER: Check = record({"data_channel": _channel}, ["data_channel"])
"""What a browser may do, ``client`` on the wire."""

_OF_BROWSERS: Mapping[str, Check] = {
    "client": BROWSER,
    "wake_policy": record({"type": one_of("speech"), "vad_threshold": number(0, 1)}, ["type"]),
    "idle_timeout_s": integer(1),
}


def browser_settings(told: Any) -> Json:
    """The settings of a browser's session, checked. Raises ``Refused``."""
    json_object(told, "session")
    own = {name: told[name] for name in _OF_BROWSERS if told.get(name) is not None}
    for name, value in own.items():
        _OF_BROWSERS[name](value, f"session.{name}")
    if "idle_timeout_s" in own and "wake_policy" not in own:
        raise missing("session.wake_policy")
    return {**telephone_settings({name: told[name] for name in told if name not in _OF_BROWSERS}), **own}


def accepted_settings(told: Any) -> Json:
    """The settings with which an incoming call is accepted, checked. Raises ``Refused``."""
    json_object(told, "session")
    if "type" not in told:
        raise missing("session.type")
    one_of("live")(told["type"], "session.type")
    return telephone_settings({name: told[name] for name in told if name != "type"})


def telephone_settings(told: Any) -> Json:
    """The settings of a telephone's session, checked. Raises ``Refused``."""
    check_start(told)
    if (told.get("audio") or {}).get("format") is not None:  # it is negotiated
        raise Refused("unknown_parameter", "Unknown parameter: 'session.audio.format'.", "session.audio.format")
    return dict(told)

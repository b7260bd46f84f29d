"""The service's side of the realtime protocol, in this process: to build and to test against, with no key.

    with RealtimeServer() as server:
        client = OpenAIClient("any-key", endpoint=server.url).get_realtime_conversation_client("gpt-realtime-2.1")

Needs the extra ``server`` (wsproto). Nothing of the client imports this package.
"""

from __future__ import annotations

try:
    import wsproto as _wsproto  # noqa: F401
except ImportError as error:
    raise ImportError(
        "the embedded server needs the package wsproto: pip install 'realtime-sync[server]'", name="wsproto"
    ) from error

from realtime_sync.server.calls import Call, CallSession
from realtime_sync.server.clock import Clock, SystemClock
from realtime_sync.server.defaults import default_responder, default_transcriber
from realtime_sync.server.faults import Act, Faults, Refusal
from realtime_sync.server.live.brain import DelegateWork, LiveBrain, ResponderBrain
from realtime_sync.server.live.calls import TwinCall
from realtime_sync.server.live.faults import LiveFaults, LiveRules
from realtime_sync.server.live.session import TwinSession
from realtime_sync.server.responder import FunctionCall, MCPCall, Piece, Reply, Responder, Transcriber, Turn
from realtime_sync.server.rules import RulesBrain
from realtime_sync.server.script import Script, expect
from realtime_sync.server.server import RealtimeServer
from realtime_sync.server.session import ServerSession

__all__ = [
    # the server
    "RealtimeServer",
    "ServerSession",
    "Call",
    "CallSession",
    # who answers
    "Responder",
    "Turn",
    "Reply",
    "FunctionCall",
    "MCPCall",
    "Piece",
    "default_responder",
    "RulesBrain",
    "Transcriber",
    "default_transcriber",
    "Script",
    "expect",
    # what goes wrong, and when
    "Faults",
    "Refusal",
    "Act",
    "Clock",
    "SystemClock",
    # live sessions (GPT-Live)
    "LiveRules",
    "LiveFaults",
    "LiveBrain",
    "DelegateWork",
    "ResponderBrain",
    "TwinCall",
    "TwinSession",
]


def __dir__() -> list[str]:
    """The public names alone, for completion and ``help()``."""
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})

"""The REST operations of live sessions: as the types of openai 3.57 say, and captures of 2026-09 show."""

from __future__ import annotations

from typing import Optional
from urllib.parse import unquote

from realtime_sync.server.checks import (
    by_tag,
    integer,
    json_object,
    missing,
    one_of,
    record,
    string,
    string_up_to,
)
from realtime_sync.server.live.calls import TwinCall
from realtime_sync.server.live.forks import forked_browser_settings
from realtime_sync.server.live.media import accepted_settings, browser_settings, telephone_settings
from realtime_sync.server.live.session import TwinSession
from realtime_sync.server.live.sessions import LiveSessions
from realtime_sync.server.rest import Operation, RestRequest
from realtime_sync.server.sdp import answer_to
from realtime_sync.server.wire import Download, HttpAnswer, Json

_SESSIONS = r"(?:/openai)?/v1/live/sessions"
_SESSION = _SESSIONS + r"/([^/]+)"

_login = record(
    {"type": one_of("digest"), "username": string_up_to(256), "password": string_up_to(4096)},
    ["type", "username", "password"],
)
_trunk = record({"provider_url": string, "caller_number": string, "auth": _login}, ["provider_url", "caller_number"])
_webrtc = record({"type": one_of("webrtc"), "sdp": string}, ["sdp"])
_sip = record({"type": string, "destination": string, "trunk": _trunk}, ["destination", "trunk"])
_creation = record({"session": json_object, "transport": by_tag("type", {"webrtc": _webrtc, "sip": _sip})})
_fork = record({"session": json_object, "transport": by_tag("type", {"webrtc": _webrtc})}, ["transport"])


class LiveRest:
    """Answers the REST requests for the live sessions of one server. See ``Rest``."""

    def __init__(self, sessions: LiveSessions) -> None:
        self._sessions = sessions
        self.routes: tuple[tuple[str, Operation], ...] = (
            (_SESSIONS, self._create),
            (_SESSION + "/fork", self._fork),
            (_SESSION + "/accept", self._accept),
            (_SESSION + "/reject", self._reject),
            (_SESSION + "/refer", self._refer),
            (_SESSION + "/hangup", self._hang_up),
        )
        self.readings: tuple[tuple[str, Operation], ...] = ((_SESSION + "/content", self._content),)

    def _create(self, request: RestRequest) -> HttpAnswer:
        told = request.json()
        for name in ("session", "transport"):
            if told.get(name) is None:
                raise missing(name)
        _creation(told, "")
        transport = told["transport"]
        if transport["type"] == "webrtc":
            return self._connected(request, browser_settings(told["session"]), transport["sdp"])
        settings = self._checked(telephone_settings(told["session"]))
        call = self._sessions.new_call(azure=_is_azure(request))
        call.dial(transport["destination"], settings, is_answered=self._sessions.rules.answers_calls)
        return HttpAnswer(201, {"session": {"id": call.id}, "transport": {"type": "sip"}})

    def _fork(self, request: RestRequest, session_id: str) -> HttpAnswer:
        told = request.json()
        _fork(told, "")
        original = self._sessions.stored(unquote(session_id))
        settings = forked_browser_settings(original, told.get("session") or {})
        return self._connected(request, settings, told["transport"]["sdp"], original)

    def _connected(
        self, request: RestRequest, settings: Json, offer: str, original: Optional[TwinSession] = None
    ) -> HttpAnswer:
        answer = answer_to(offer)
        call = self._sessions.new_call(azure=_is_azure(request))
        call.accept(self._checked(settings), original)
        return HttpAnswer(201, {"session": {"id": call.id}, "transport": {"type": "webrtc", "sdp": answer}})

    def _accept(self, request: RestRequest, session_id: str) -> None:
        told = request.json()
        record({"session": json_object}, ["session"])(told, "")
        settings = self._checked(accepted_settings(told["session"]))
        self._call(session_id).accept(settings)

    def _reject(self, request: RestRequest, session_id: str) -> None:
        told = request.json()
        record({"status_code": integer(300, 699)}, ["status_code"])(told, "")
        self._call(session_id).reject(int(told["status_code"]))

    def _refer(self, request: RestRequest, session_id: str) -> None:
        told = request.json()
        record({"target_uri": string}, ["target_uri"])(told, "")
        self._call(session_id).refer(str(told["target_uri"]))

    def _hang_up(self, request: RestRequest, session_id: str) -> None:
        self._sessions.going_on(unquote(session_id)).end("close_requested")

    def _content(self, request: RestRequest, session_id: str) -> HttpAnswer:
        length, pieces = self._sessions.recording(unquote(session_id)).wav()
        return HttpAnswer(200, Download(length, pieces), {"content-type": "application/binary"})

    def _call(self, session_id: str) -> TwinCall:
        return self._sessions.call(unquote(session_id))

    def _checked(self, settings: Json) -> Json:
        self._sessions.policy.check_live_model(settings["model"])
        return settings


def _is_azure(request: RestRequest) -> bool:
    return not request.path.startswith("/v1")

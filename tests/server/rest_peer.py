"""REST requests with http.client, so that the server is tested independently of any library's idea of them."""

from __future__ import annotations

import http.client
import json
from typing import Any, Mapping, Optional, Union

import attrs

from realtime_sync.server import RealtimeServer
from tests.server import wire_schemas

Json = dict[str, Any]
OFFER = "\r\n".join(
    [
        "v=0",
        "o=- 4611731400430051336 2 IN IP4 127.0.0.1",
        "s=-",
        "t=0 0",
        "a=group:BUNDLE 0 1",
        "m=audio 9 UDP/TLS/RTP/SAVPF 109 0",
        "c=IN IP4 0.0.0.0",
        "a=mid:0",
        "a=setup:actpass",
        "a=rtpmap:109 opus/48000/2",
        "m=application 9 UDP/DTLS/SCTP webrtc-datachannel",
        "a=mid:1",
        "a=sctp-port:5000",
        "",
    ]
)


@attrs.frozen
class Response:
    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def json(self) -> Json:
        told: Json = json.loads(self.text)
        return told

    @property
    def error(self) -> Json:
        """The error object; fails where it is not the service's shape."""
        error: Json = self.json["error"]
        assert set(error) == {"message", "type", "param", "code"}
        assert error["message"]
        assert error["type"] == "invalid_request_error"
        return error


def post(
    server: RealtimeServer,
    path: str,
    body: Union[Json, str, bytes, None] = None,
    *,
    key: Optional[str] = "any-key",
    headers: Optional[Mapping[str, str]] = None,
    method: str = "POST",
) -> Response:
    """One request on a connection of its own; an object is sent as JSON."""
    told = dict(headers or {})
    if key is not None:
        told["authorization"] = f"Bearer {key}"
    if isinstance(body, dict):
        told.setdefault("content-type", "application/json")
        body = json.dumps(body)
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    try:
        connection.request(method, path, body, told)
        answer = connection.getresponse()
        names = {name.lower(): value for name, value in answer.getheaders()}
        return Response(answer.status, names, answer.read().decode())
    finally:
        connection.close()


def multipart(**parts: str) -> tuple[bytes, dict[str, str]]:
    """A form's body and its headers."""
    lines = [
        f'--frontier\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{text}\r\n' for name, text in parts.items()
    ]
    body = "".join([*lines, "--frontier--\r\n"]).encode()
    return body, {"content-type": "multipart/form-data; boundary=frontier"}


def fits(told: Json, schema: str, dialect: str = "ga") -> Json:
    """The object, once it is what the schema says."""
    errors = [error.message for error in wire_schemas.validator(dialect, schema).iter_errors(told)]
    assert not errors, f"{errors}\n{told}"
    return told

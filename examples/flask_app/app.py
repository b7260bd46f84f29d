"""A Flask application with a live model: answers in writing, a conversation by microphone, calls by WebRTC.

    .venv/bin/pip install -e ".[voice]" flask flask-sock gunicorn
    cd examples
    ../.venv/bin/flask --app flask_app.app run                         # http://127.0.0.1:5000
    ../.venv/bin/gunicorn -c gunicorn_conf.py "flask_app.app:create_app()"

A browser gives a page its microphone on localhost and over https only. A public name of the site has to be told, as
FLASK_ALLOWED_HOSTS=voice.example.com: else it might be another site's, that has this machine's address. Behind a proxy,
use werkzeug's ProxyFix: visitors are told apart by their addresses, and the site by its name.
"""

from __future__ import annotations

import logging
import os
from typing import Optional

import web_service
from flask import Flask, Response, abort, request
from flask.typing import ResponseReturnValue
from flask_sock import Sock
from web_service import MAX_BODY_BYTES, PAGE, SECURITY_HEADERS, Service, visitor_at
from werkzeug.exceptions import HTTPException

from flask_app.voice import BrowserConversation
from realtime_sync import RealtimeSyncError
from realtime_sync.web.http_errors import public_error
from realtime_sync.web.origins import foreign
from realtime_sync.web.sse import SSE_HEADERS

logger = logging.getLogger(__name__)

ALLOWED_HOSTS = os.environ.get("FLASK_ALLOWED_HOSTS", "").split(",")


def create_app(service: Optional[Service] = None) -> Flask:
    """The application. ``service``: None is the one of this process."""
    service = service or web_service.service()
    app = Flask(__name__, static_folder=PAGE, static_url_path="/static")
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES
    app.config["SOCK_SERVER_OPTIONS"] = {"max_message_size": MAX_BODY_BYTES}
    app.register_error_handler(HTTPException, tell_http_error)
    app.register_error_handler(Exception, tell_error)
    app.before_request(refuse_other_sites)
    app.after_request(add_security_headers)

    @app.get("/")
    def page() -> ResponseReturnValue:
        return Response(service.page("index.html", voice=True))

    @app.get("/call")
    def call_page() -> ResponseReturnValue:
        return Response(service.page("call.html", voice=True))

    @app.post("/ask")
    def ask() -> ResponseReturnValue:
        if request.mimetype != "application/json":
            abort(415, 'Send {"question": "..."} as application/json.')
        return Response(service.answer(request.get_data(), visitor_at(request.remote_addr)), headers=SSE_HEADERS)

    @app.post("/session")
    def session() -> ResponseReturnValue:
        """For a browser's WebRTC: the answer to its offer, or a key with which it makes the call itself."""
        if request.mimetype == "application/sdp":
            call = service.exchange(request.get_data(), visitor_at(request.remote_addr))
            return call.sdp, 201, {"Content-Type": "application/sdp", "Location": f"/session/{call.name}"}
        if request.mimetype != "application/json":
            abort(415, "Send an offer as application/sdp, or {} as application/json to get a key.")
        return service.create_secret(visitor_at(request.remote_addr)), 201, {"Cache-Control": "no-store"}

    @app.post("/session/<name>/taken")
    def taken(name: str) -> ResponseReturnValue:
        """The page's sound is connected: somebody is there."""
        return "", 204 if service.calls.taken(name, visitor=visitor_at(request.remote_addr)) else 404

    @app.post("/session/<name>/hangup")
    def hang_up(name: str) -> ResponseReturnValue:
        """The page is left, or its person has hung up."""
        return "", 204 if service.calls.hang_up(name, visitor=visitor_at(request.remote_addr)) else 404

    def talk(socket: object) -> None:
        BrowserConversation(socket, service, visitor_at(request.remote_addr)).hold()

    Sock(app).route("/talk", endpoint="talk")(talk)
    return app


def refuse_other_sites() -> None:
    """No other site's page may use this one's sockets and views: browsers let a WebSocket through to anywhere."""
    why = foreign(request.headers.get("Host"), request.headers.get("Origin"), ALLOWED_HOSTS)
    if why is not None:
        abort(403, why)


def add_security_headers(response: Response) -> Response:
    response.headers.update(SECURITY_HEADERS)
    return response


def tell_http_error(error: HTTPException) -> ResponseReturnValue:
    return {"error": {"type": error.name, "message": error.description}}, error.code or 500


def tell_error(error: Exception) -> ResponseReturnValue:
    """The reason for the log, a sentence for the person."""
    told = public_error(error)
    if told.status >= 500:
        known = isinstance(error, RealtimeSyncError)
        logger.error("%s %s: %s: %s", request.method, request.path, type(error).__name__, error, exc_info=not known)
    headers = {} if told.retry_after is None else {"Retry-After": str(round(told.retry_after))}
    return {"error": told.as_dict()}, told.status, headers

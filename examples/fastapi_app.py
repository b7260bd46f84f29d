"""A FastAPI application with a live model: answers in writing, a conversation by microphone, calls by WebRTC.

    .venv/bin/pip install -e ".[voice]" fastapi uvicorn
    cd examples
    ../.venv/bin/uvicorn fastapi_app:app --timeout-graceful-shutdown 15    # http://127.0.0.1:8000

At a restart, uvicorn lets what runs go on for those seconds (without the option, for ever), and then ends it. Public
names of the site are told as VOICE_ALLOWED_HOSTS=voice.example.com; behind a proxy, see uvicorn's --proxy-headers.
"""

from __future__ import annotations

import logging
from typing import Annotated

from asgi_voice import ALLOWED_HOSTS, lifespan, talk
from fastapi import Depends, FastAPI, HTTPException, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, StreamingResponse
from fastapi.staticfiles import StaticFiles
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import WebSocketRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from web_service import MAX_BODY_BYTES, PAGE, SECURITY_HEADERS, Service, service, visitor_at

from realtime_sync import RealtimeSyncError
from realtime_sync.web.asgi import asgi_stream
from realtime_sync.web.http_errors import public_error
from realtime_sync.web.origins import foreign
from realtime_sync.web.sse import SSE_HEADERS

logger = logging.getLogger(__name__)

app = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
app.mount("/static", StaticFiles(directory=PAGE))
app.router.routes.append(WebSocketRoute("/talk", talk))


# What views are given. A dependency that is asynchronous may read a request's body; a view with ``def`` may not.


async def told_body(request: Request) -> bytes:
    """The request's body, if it is not too long. Nothing else bounds it."""
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_BODY_BYTES:
            raise HTTPException(413, "This is too long.")
    return bytes(body)


def told_visitor(request: Request) -> str:
    """Whose request it is."""
    return visitor_at(request.client.host if request.client else None)


def is_json(request: Request) -> None:
    """Another site's form cannot send this type."""
    if _kind(request) != "application/json":
        raise HTTPException(415, 'Send {"question": "..."} as application/json.')


Body = Annotated[bytes, Depends(told_body)]
Visitor = Annotated[str, Depends(told_visitor)]
Made = Annotated[Service, Depends(service)]


@app.get("/")
def page(made: Made) -> Response:
    return Response(made.page("index.html", voice=True), media_type="text/html")


@app.get("/call")
def call_page(made: Made) -> Response:
    return Response(made.page("call.html", voice=True), media_type="text/html")


@app.post("/ask", dependencies=[Depends(is_json)])
def ask(made: Made, body: Body, visitor: Visitor) -> Response:
    """With ``def``: FastAPI runs it on one of its threads, which it needs until the answer begins."""
    return StreamingResponse(asgi_stream(made.answer(body, visitor)), headers=SSE_HEADERS)


@app.post("/async/ask", dependencies=[Depends(is_json)])
async def ask_asynchronously(made: Made, body: Body, visitor: Visitor) -> Response:
    """With ``async def``: opening a session waits for the service, so it is done on another thread, too."""
    stream = await run_in_threadpool(made.answer, body, visitor)
    return StreamingResponse(asgi_stream(stream), headers=SSE_HEADERS)


@app.post("/session")
def session(request: Request, made: Made, body: Body, visitor: Visitor) -> Response:
    """For a browser's WebRTC: the answer to its offer, or a key with which it makes the call itself."""
    if _kind(request) == "application/sdp":
        call = made.exchange(body, visitor)
        location = {"Location": f"/session/{call.name}"}
        return Response(call.sdp, 201, location, media_type="application/sdp")
    if _kind(request) != "application/json":
        raise HTTPException(415, "Send an offer as application/sdp, or {} as application/json to get a key.")
    return JSONResponse(made.create_secret(visitor), 201, {"Cache-Control": "no-store"})


@app.post("/session/{name}/taken")
def taken(name: str, made: Made, visitor: Visitor) -> Response:
    """The page's sound is connected: somebody is there."""
    return Response(status_code=204 if made.calls.taken(name, visitor=visitor) else 404)


@app.post("/session/{name}/hangup")
def hang_up(name: str, made: Made, visitor: Visitor) -> Response:
    """The page is left, or its person has hung up."""
    return Response(status_code=204 if made.calls.hang_up(name, visitor=visitor) else 404)


def _kind(request: Request) -> str:
    return request.headers.get("Content-Type", "").partition(";")[0].strip().lower()


# What went wrong


@app.exception_handler(StarletteHTTPException)
def tell_http_error(request: Request, error: StarletteHTTPException) -> Response:
    return JSONResponse({"error": {"type": "BadRequest", "message": error.detail}}, error.status_code, error.headers)


@app.exception_handler(ClientDisconnect)
async def tell_nobody(request: Request, error: ClientDisconnect) -> Response:
    """The browser has left before its request was read."""
    return Response(status_code=400)


@app.exception_handler(RealtimeSyncError)
@app.exception_handler(Exception)  # a bug of ours; the server logs it with its place
def tell_error(request: Request, error: Exception) -> Response:
    """The reason for the log, a sentence for the person."""
    told = public_error(error)
    if told.status >= 500 and isinstance(error, RealtimeSyncError):
        logger.error("%s %s: %s: %s", request.method, request.url.path, type(error).__name__, error)
    headers = {} if told.retry_after is None else {"Retry-After": str(round(told.retry_after))}
    return JSONResponse({"error": told.as_dict()}, told.status, headers)


class OwnPages:
    """A middleware: no other site's page may use these views, and no page runs scripts of others.

    Plain ASGI, which hands on each piece and each sign that the browser has left; not ``@app.middleware("http")``.
    """

    def __init__(self, inner: ASGIApp) -> None:
        self._inner = inner

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI's way in and out."""
        if scope["type"] != "http":
            await self._inner(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(SECURITY_HEADERS)
            await send(message)

        headers = Headers(scope=scope)
        why = foreign(headers.get("Host"), headers.get("Origin"), ALLOWED_HOSTS)
        refusal = JSONResponse({"error": {"type": "Forbidden", "message": why}}, 403)
        await (self._inner if why is None else refusal)(scope, receive, send_with_headers)


app.add_middleware(OwnPages)

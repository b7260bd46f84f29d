"""Starlette with a stream as it is: what people write who have not read of ``asgi_stream``."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from web_service import service

from realtime_sync import TooManySessionsError


async def ask(request: Request) -> Response:
    """One answer."""
    try:
        stream = await run_in_threadpool(service().answer, await request.body(), "anybody")
    except TooManySessionsError:
        return PlainTextResponse("", 503)
    return StreamingResponse(stream)


async def page(request: Request) -> Response:
    """Nothing to see."""
    return PlainTextResponse("")


app = Starlette(routes=[Route("/", page), Route("/ask", ask, methods=["POST"])])

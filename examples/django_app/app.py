"""A Django application with a live model, settings and views in one file: answers in writing, calls by WebRTC.

    .venv/bin/pip install -e ".[voice]" django gunicorn
    cd examples
    ../.venv/bin/python -m django_app.app runserver                    # http://127.0.0.1:8000
    ../.venv/bin/gunicorn -c gunicorn_conf.py django_app.app:application

    ../.venv/bin/uvicorn django_app.app:asgi --timeout-graceful-shutdown 15

Under WSGI a streaming view holds one thread of the server's; under ASGI it gets one of its own.
"""

from __future__ import annotations

import logging
import os
import secrets
import sys
from typing import Any

import django
from django.conf import settings
from django.core.exceptions import SuspiciousOperation
from django.core.handlers.asgi import ASGIHandler, ASGIRequest
from django.core.handlers.wsgi import WSGIHandler
from django.core.management import execute_from_command_line
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    JsonResponse,
    StreamingHttpResponse,
    UnreadablePostError,
)
from django.urls import path, re_path
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.decorators.http import require_GET, require_POST
from django.views.static import serve
from web_service import MAX_BODY_BYTES, PAGE, SECURITY_HEADERS, service, visitor_at

from realtime_sync import RealtimeSyncError
from realtime_sync.web.asgi import asgi_stream
from realtime_sync.web.http_errors import public_error
from realtime_sync.web.sse import SSE_HEADERS

logger = logging.getLogger(__name__)

if not settings.configured:
    settings.configure(
        DEBUG=False,  # its error pages would show the settings and every local variable
        SECRET_KEY=os.environ.get("DJANGO_SECRET_KEY") or secrets.token_urlsafe(),
        ALLOWED_HOSTS=os.environ.get("DJANGO_ALLOWED_HOSTS", "localhost,127.0.0.1").split(","),
        ROOT_URLCONF=__name__,
        # No GZipMiddleware: it would gather a stream to compress it.
        MIDDLEWARE=[
            "django.middleware.security.SecurityMiddleware",
            "django.middleware.csrf.CsrfViewMiddleware",
            f"{__name__}.TellErrors",
        ],
        CSRF_FAILURE_VIEW=f"{__name__}.refuse_other_sites",
        DATA_UPLOAD_MAX_MEMORY_SIZE=MAX_BODY_BYTES,
        USE_TZ=True,
    )
    django.setup()


class TellErrors:
    """A middleware: of an error, the reason for the log and a sentence for the person."""

    def __init__(self, get_response: Any) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Django's way in and out."""
        response: HttpResponseBase = self._get_response(request)
        for name, value in SECURITY_HEADERS.items():
            response.headers[name] = value
        return response

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        """What a view has raised; None leaves it to Django, which knows its own."""
        if isinstance(error, (Http404, SuspiciousOperation)):
            return None
        if isinstance(error, UnreadablePostError):
            return HttpResponse(status=400)  # nobody reads it: the browser has left before its request was read
        told = public_error(error)
        if told.status >= 500:
            known = isinstance(error, RealtimeSyncError)
            logger.error("%s %s: %s: %s", request.method, request.path, type(error).__name__, error, exc_info=not known)
        headers = {} if told.retry_after is None else {"Retry-After": str(round(told.retry_after))}
        return JsonResponse({"error": told.as_dict()}, status=told.status, headers=headers)


def refuse_other_sites(request: HttpRequest, reason: str = "") -> HttpResponse:
    return _refused(403, "This request does not come from this site's page, or the page is too old: load it again.")


def page(request: HttpRequest) -> HttpResponse:
    return HttpResponse(service().page("index.html", voice=False))  # the microphone by WebSocket is Flask's


def call_page(request: HttpRequest) -> HttpResponse:
    return HttpResponse(service().page("call.html", voice=False))


def ask(request: HttpRequest) -> HttpResponseBase:
    if request.content_type != "application/json":
        return _refused(415, 'Send {"question": "..."} as application/json.')
    stream = service().answer(request.body, _visitor(request))
    # Under ASGI, Django would gather a plain iterator before it sends it, and under WSGI an asynchronous one.
    pieces = asgi_stream(stream) if isinstance(request, ASGIRequest) else stream
    return StreamingHttpResponse(pieces, headers=SSE_HEADERS)


def session(request: HttpRequest) -> HttpResponse:
    """For a browser's WebRTC: the answer to its offer, or a key with which it makes the call itself."""
    if request.content_type == "application/sdp":
        call = service().exchange(request.body, _visitor(request))
        location = {"Location": f"/session/{call.name}"}
        return HttpResponse(call.sdp, status=201, content_type="application/sdp", headers=location)
    if request.content_type != "application/json":
        return _refused(415, "Send an offer as application/sdp, or {} as application/json to get a key.")
    return JsonResponse(service().create_secret(_visitor(request)), status=201, headers={"Cache-Control": "no-store"})


def taken(request: HttpRequest, name: str) -> HttpResponse:
    """The page's sound is connected: somebody is there."""
    return HttpResponse(status=204 if service().calls.taken(name, visitor=_visitor(request)) else 404)


def hang_up(request: HttpRequest, name: str) -> HttpResponse:
    """The page is left, or its person has hung up."""
    return HttpResponse(status=204 if service().calls.hang_up(name, visitor=_visitor(request)) else 404)


def _visitor(request: HttpRequest) -> str:
    return visitor_at(request.META.get("REMOTE_ADDR"))  # behind a proxy: what the proxy tells, if nobody else can


def _refused(status: int, message: str) -> HttpResponse:
    return JsonResponse({"error": {"type": "BadRequest", "message": message}}, status=status)


urlpatterns = [
    path("", require_GET(ensure_csrf_cookie(page))),
    path("call", require_GET(ensure_csrf_cookie(call_page))),
    path("ask", require_POST(ask)),
    path("session", require_POST(session)),
    path("session/<name>/taken", require_POST(taken)),
    path("session/<name>/hangup", require_POST(hang_up)),
    # Good enough for some small files; larger sites let the web server do it, or WhiteNoise.
    re_path(r"^static/(?P<path>[a-z_]{1,30}\.[a-z]{1,4})$", require_GET(serve), {"document_root": PAGE}),
]
application = WSGIHandler()
asgi = ASGIHandler()

if __name__ == "__main__":
    execute_from_command_line(sys.argv)

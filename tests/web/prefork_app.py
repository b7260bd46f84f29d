"""What not to do: a session that is opened while the application is imported, before gunicorn forks its workers."""

from __future__ import annotations

from flask import Flask, Response
from flask_app.app import tell_error

from realtime_sync import RealtimeConversationClient
from realtime_sync.web.sse import SSE_HEADERS, sse_events

session = RealtimeConversationClient.from_env().start_conversation_session()
app = Flask(__name__)
app.register_error_handler(Exception, tell_error)


@app.post("/ask")
def ask() -> Response:
    return Response(sse_events(session.respond("Hello")), headers=SSE_HEADERS)

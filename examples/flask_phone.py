"""Answer the telephone in a Flask view: webhook, accept, a session beside the call that runs its tools, hang up.

    .venv/bin/pip install -e ".[server]" flask
    export OPENAI_API_KEY=... OPENAI_WEBHOOK_SECRET=whsec_...
    .venv/bin/flask --app examples/flask_phone run --port 8000

The service must reach /webhook from outside; gunicorn serves it as 'flask_phone:create_app()'. Without a key, the
embedded server is both the service and the caller:

    .venv/bin/python examples/flask_phone.py
"""

from __future__ import annotations

import http.client
import json
import os
import threading
import time
from base64 import b64encode
from contextlib import suppress
from secrets import token_bytes
from typing import Optional

from flask import Flask, request

from realtime_sync import (
    ConnectionClosedError,
    ConversationResponseOptions,
    ConversationSessionOptions,
    NotFoundError,
    RealtimeConversationClient,
    RealtimeConversationSession,
    RealtimeSyncError,
    TooManySessionsError,
    WaitTimeoutError,
    WebhookError,
    function_tool,
)
from realtime_sync.web.background import BackgroundSessions
from realtime_sync.web.webhooks import RealtimeCallIncomingEvent, WebhookVerifier, sign

OPTIONS = ConversationSessionOptions(
    instructions="You answer the telephone of a bookshop. Be friendly and brief. Say goodbye before you end the call.",
)
GREETING = ConversationResponseOptions(instructions="Greet the caller, and ask how you can help.")
ORDERS = {"7": "is on its way and arrives tomorrow", "8": "waits to be collected in the shop"}
BUSY_HERE = 486  # SIP
OPEN_SECONDS = 8.0  # the service waits not much longer for the answer to its webhook


@function_tool
def look_up_order(number: str) -> str:
    """Tells how an order is getting on."""
    return f"Order {number} {ORDERS.get(number, 'is not known')}."


def create_app(
    client: Optional[RealtimeConversationClient] = None,
    verifier: Optional[WebhookVerifier] = None,
    sessions: Optional[BackgroundSessions] = None,
) -> Flask:
    """The application; None: what the environment tells, and up to fifty calls at once."""
    client = client or RealtimeConversationClient.from_env()
    verifier = verifier or WebhookVerifier(os.environ.get("OPENAI_WEBHOOK_SECRET", ""))
    sessions = sessions or BackgroundSessions(max_sessions=50)
    app = Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = 64 * 1024

    @app.post("/webhook")
    def webhook() -> tuple[str, int]:
        try:
            event = verifier.verify(request.headers, request.get_data())
        except WebhookError as error:
            app.logger.warning("refused a webhook: %s", error)
            return str(error), error.status
        if not isinstance(event, RealtimeCallIncomingEvent):
            return "", 200  # not what this is for; anything else would have it delivered again
        try:
            answer(client, sessions, event.call_id)
        except (RealtimeSyncError, RuntimeError) as error:  # the latter: the system has no more threads
            app.logger.error("could not answer the call %s: %s", event.call_id, error)
            verifier.forget(event)
            return "The call could not be answered; deliver this again.", 503
        return "", 200

    return app


def answer(client: RealtimeConversationClient, sessions: BackgroundSessions, call_id: str) -> None:
    """Accept the call, and serve it on a thread of its own; reject it where all are busy."""

    def accept() -> RealtimeConversationSession:
        client.calls.accept(call_id, OPTIONS)
        try:
            return client.attach(call_id)
        except BaseException:  # else the caller would talk to a model whose tools are not run
            with suppress(RealtimeSyncError):
                client.calls.hangup(call_id)
            raise

    try:
        call = sessions.start(accept, lambda session: serve(client, call_id, session), key=call_id)
        call.wait_until_open(OPEN_SECONDS)
    except TooManySessionsError:
        client.calls.reject(call_id, BUSY_HERE)
    except NotFoundError:
        pass  # the caller has hung up already
    except WaitTimeoutError:
        pass  # slow, but on its way


def serve(client: RealtimeConversationClient, call_id: str, session: RealtimeConversationSession) -> None:
    """Until the call ends, on either side."""

    @function_tool
    def end_call() -> str:
        """Ends the telephone call."""
        client.calls.hangup(call_id)
        return "The call is over."

    try:
        session.configure_session(ConversationSessionOptions(tools=[look_up_order, end_call]))  # called from now on
        session.start_response(GREETING)
        for _ in session.subscribe():
            pass
    except ConnectionClosedError as error:
        if not error.close_info.clean:
            raise
        # The caller hung up in the middle of an answer.


def demo() -> None:
    """One call from beginning to end, with the embedded server as the service and as the caller."""
    from werkzeug.serving import make_server

    from realtime_sync import OpenAIClient
    from realtime_sync.server import FunctionCall, RealtimeServer, Reply, Turn

    def clerk(turn: Turn) -> Reply:
        """Who answers here: a model would find out by itself what to call, and when."""
        done = [str(item["output"]) for item in turn.items if item["type"] == "function_call_output"]
        said = ["Good morning, this is the bookshop.", *done]
        if len(done) < 2:  # words after the end are not heard
            print(f"Model   {said[-1]}")
        calls = [FunctionCall("look_up_order", {"number": "7"}), FunctionCall("end_call")]
        return Reply(text=said[-1], function_calls=calls[len(done) : len(done) + 1])

    secret, forged = ("whsec_" + b64encode(token_bytes(24)).decode() for _ in range(2))
    with RealtimeServer(responder=clerk) as service:
        client = OpenAIClient("any-key", endpoint=service.url).get_realtime_conversation_client("gpt-realtime-2.1")
        web = make_server("127.0.0.1", 0, create_app(client, WebhookVerifier(secret)), threaded=True)
        threading.Thread(target=web.serve_forever, daemon=True).start()
        call_id = service.place_call()
        for signed_with in (forged, secret):
            status = deliver(web.server_port, signed_with, call_id)
            print(f"Webhook {status}, the call is {service.call(call_id).state}")
        service.sessions[-1].wait_until_closed(20)
        print(f"The call is {service.call(call_id).state}")
        web.shutdown()
        web.server_close()
        client.close()


def deliver(port: int, secret: str, call_id: str) -> int:
    """Post to the webhook what the service would; returns the HTTP status of its answer."""
    now = int(time.time())
    data = {"call_id": call_id, "sip_headers": []}
    body = json.dumps({"type": "realtime.call.incoming", "id": "evt_1", "created_at": now, "data": data}).encode()
    signature = sign(secret, "wh_1", now, body)
    headers = {"webhook-id": "wh_1", "webhook-timestamp": str(now), "webhook-signature": signature}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("POST", "/webhook", body, headers)
    status = connection.getresponse().status
    connection.close()
    return status


if __name__ == "__main__":
    demo()

"""Answer the telephone in Flask by Twilio's media streams: the sound comes to this application, and goes to a session.

    .venv/bin/pip install -e ".[server]" flask flask-sock
    export OPENAI_API_KEY=... TWILIO_AUTH_TOKEN=... PUBLIC_URL=https://example.com
    .venv/bin/flask --app examples/flask_media_stream run --port 8000

Point the number's "A call comes in" at PUBLIC_URL/voice; gunicorn serves it as 'flask_media_stream:create_app()', with
threads (-k gthread --threads 100): a call takes one. Without a key, the embedded server answers a simulated caller:

    .venv/bin/python examples/flask_media_stream.py
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import re
import threading
import urllib.parse
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Optional
from urllib.error import HTTPError

from flask import Flask, Response, request
from flask_sock import Sock
from itsdangerous import BadData, URLSafeTimedSerializer

from realtime_sync import (
    ConfigurationError,
    ConversationResponseOptions,
    ConversationSessionOptions,
    RealtimeConversationClient,
    RealtimeConversationSession,
    RealtimeSyncError,
    function_tool,
)
from realtime_sync.voice import MediaStream, StreamStart

OPTIONS = ConversationSessionOptions(
    instructions="You answer the telephone of a bookshop. Be friendly and brief. Say goodbye before you end the call.",
    input_audio_format="g711_ulaw",
    output_audio_format="g711_ulaw",
)
GREETING = ConversationResponseOptions(
    instructions="Greet the caller. Say that an order's number may be typed, with the hash key behind it."
)
ORDERS = {"7": "is on its way and arrives tomorrow", "8": "waits to be collected in the shop"}
TICKET_SECONDS = 60  # Twilio connects at once
# What Twilio is to do with the call: it hangs up when the stream ends, because nothing is behind it.
TWIML = (
    '<?xml version="1.0" encoding="UTF-8"?><Response><Connect><Stream url="{url}">'
    '<Parameter name="ticket" value="{ticket}"/></Stream></Connect></Response>'
)


@function_tool
def look_up_order(number: str) -> str:
    """Tells how an order is getting on."""
    return f"Order {number} {ORDERS.get(number, 'is not known')}."


def create_app(
    client: Optional[RealtimeConversationClient] = None, token: Optional[str] = None, url: Optional[str] = None
) -> Flask:
    """The application. ``token``: Twilio's, which signs; ``url``: where Twilio reaches this; None: what the
    environment tells.
    """
    client = client or RealtimeConversationClient.from_env()
    token = token or os.environ.get("TWILIO_AUTH_TOKEN")
    url = (url or os.environ.get("PUBLIC_URL", "")).rstrip("/")
    if not token or not url:
        raise ConfigurationError(
            "Set TWILIO_AUTH_TOKEN, by which calls are known to be Twilio's, and PUBLIC_URL, where Twilio reaches this"
        )
    tickets = URLSafeTimedSerializer(token, salt="media stream")
    app = Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = 64 * 1024
    app.config["SOCK_SERVER_OPTIONS"] = {"ping_interval": 25, "max_message_size": 64 * 1024}
    sock = Sock(app)

    @app.post("/voice")
    def voice() -> Response:
        signature = request.headers.get("X-Twilio-Signature", "")
        if not hmac.compare_digest(signed(f"{url}/voice", request.form, token).encode(), signature.encode()):
            app.logger.warning("refused a call that Twilio has not signed")
            return Response("This is not signed by Twilio.", 403)
        stream_url = "wss" + url.removeprefix("https").removeprefix("http") + "/media"
        told = TWIML.format(url=stream_url, ticket=tickets.dumps(request.form["CallSid"]))
        return Response(told, mimetype="text/xml")

    def is_invited(start: StreamStart) -> bool:
        """Whether this stream is of a call that was signed for. Anybody can connect to a WebSocket."""
        try:
            call_id = tickets.loads(start.parameters.get("ticket", ""), max_age=TICKET_SECONDS)
        except BadData:
            return False
        return bool(call_id == start.call_id)

    @sock.route("/media")  # type: ignore[untyped-decorator, unused-ignore]
    def media(socket: Any) -> None:
        try:
            with MediaStream(socket.send, socket.receive) as call:
                if not is_invited(call.start):
                    app.logger.warning("refused a stream without a ticket")
                    return
                with client.start_conversation_session(OPTIONS) as session:
                    answer(call, session)
        except RealtimeSyncError as error:
            app.logger.error("a call ended: %s: %s", type(error).__name__, error)

    return app


def signed(url: str, form: Mapping[str, str], token: str) -> str:
    """The signature that Twilio gives a request, as its documentation has it (or use its package)."""
    told = url + "".join(name + form[name] for name in sorted(form))
    return base64.b64encode(hmac.digest(token.encode(), told.encode(), hashlib.sha1)).decode()


def answer(call: MediaStream, session: RealtimeConversationSession) -> None:
    """Until somebody hangs up."""
    typed: list[str] = []

    @function_tool
    def end_call() -> str:
        """Ends the telephone call."""
        call.speaker.wait(10)  # until the goodbye was heard
        call.close()
        return "The call is over."

    def press(key: str) -> None:
        if key != "#":
            typed.append(key)
            return
        session.add_item(f"I have typed the order's number: {''.join(typed)}")
        session.start_response()
        typed.clear()

    session.configure_session(ConversationSessionOptions(tools=[look_up_order, end_call]))
    call.talk(session, greet=lambda: session.start_response(GREETING), on_dtmf=press)


def demo() -> None:
    """A forged call, a stranger's stream, and a call from beginning to end; Twilio and the model are simulated."""
    from werkzeug.serving import make_server

    from realtime_sync import OpenAIClient
    from realtime_sync.server import FunctionCall, RealtimeServer, Reply, Turn
    from realtime_sync.testing import AwaitAnswer, AwaitHangUp, CallFailed, Press, Say, SimulatedCaller, TelephoneLine

    def clerk(turn: Turn) -> Reply:
        """Who answers here: a model would find out by itself what to call, and when."""
        results = [str(item["output"]) for item in turn.items if item["type"] == "function_call_output"]
        if not turn.last:
            return Reply("Good morning, this is the bookshop. Type your order's number, and the hash key.")
        if turn.last["type"] == "function_call_output":
            return Reply(results[-1])
        if "typed" in str(turn.last):
            return Reply(function_calls=[FunctionCall("look_up_order", {"number": "7"})])
        return Reply("You are welcome. Goodbye!", function_calls=[FunctionCall("end_call")])

    token = "a token that only Twilio and this application know"
    with RealtimeServer(responder=clerk) as service:
        client = OpenAIClient("any-key", endpoint=service.url).get_realtime_conversation_client("gpt-realtime-2.1")
        web = make_server("127.0.0.1", 0, Flask("later"), threaded=True)
        url = f"http://127.0.0.1:{web.server_port}"
        web.app = create_app(client, token, url)
        threading.Thread(target=web.serve_forever, daemon=True).start()

        print("Forged  ", call_up(url, "somebody else's token")[0])
        stream = f"ws://127.0.0.1:{web.server_port}/media"
        try:
            SimulatedCaller([AwaitAnswer()], server=service).call(TelephoneLine(stream, {"ticket": "mine"}))
        except CallFailed as error:
            print("Stranger", str(error).splitlines()[0])

        status, told = call_up(url, token)
        print("Signed  ", status)
        ticket = re.findall('value="(.+?)"', told)[0]
        thanks = Path(__file__).parent / "audio" / "hello.wav"
        caller = SimulatedCaller(
            [AwaitAnswer(), Press("7#"), AwaitAnswer(), Say(thanks), AwaitHangUp()], server=service, quiet=0.5
        )
        print(caller.call(TelephoneLine(stream, {"ticket": ticket})))
        web.shutdown()
        web.server_close()
        client.close()


def call_up(url: str, token: str) -> tuple[int, str]:
    """Post to the application what Twilio would; the answer's status and text."""
    form = {"CallSid": "CA" + "0" * 31 + "1", "From": "+14155550100", "To": "+14155550199"}
    headers = {"X-Twilio-Signature": signed(f"{url}/voice", form, token)}
    asked = urllib.request.Request(f"{url}/voice", urllib.parse.urlencode(form).encode(), headers)
    try:
        with urllib.request.urlopen(asked, timeout=20) as answered:
            return answered.status, answered.read().decode()
    except HTTPError as error:
        with error:
            return error.code, error.read().decode()


if __name__ == "__main__":
    demo()

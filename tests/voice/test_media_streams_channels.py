"""A telephone call that is told by callbacks: Django Channels' sync consumer, under uvicorn."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# In a process of its own: Django has one configuration a process.
PROGRAM = """
    import threading

    import django
    import uvicorn
    from django.conf import settings

    settings.configure(SECRET_KEY="any", ALLOWED_HOSTS=["*"], INSTALLED_APPS=["channels"], ROOT_URLCONF=__name__)
    django.setup()
    urlpatterns = []

    from contextlib import suppress

    from channels.generic.websocket import WebsocketConsumer
    from channels.routing import URLRouter
    from django.urls import path

    from realtime_sync import OpenAIClient
    from realtime_sync.server import RealtimeServer
    from realtime_sync.voice import MediaStream
    from tests.core.harness import client_threads, until
    from tests.voice.phone import Phone, jittery
    from tests.voice.phone_line import PhoneLine
    from tests.voice.test_media_streams import QUESTION, Talkative, interrupt_after, telephony

    told = []

    class PhoneConsumer(WebsocketConsumer):
        def connect(self):
            self.accept()
            self.call = MediaStream(lambda message: self.send(text_data=message))
            threading.Thread(target=self.converse).start()

        def receive(self, text_data=None, bytes_data=None):
            self.call.feed(text_data)

        def disconnect(self, code):
            self.call.close()

        def converse(self):
            with self.call as call, client.start_conversation_session(telephony()) as session:
                call.talk(session, on_interruption=told.append)
            with suppress(Exception):
                self.close()

    with RealtimeServer(responder=Talkative(30)) as service:
        client = OpenAIClient("any-key", endpoint=service.url).get_realtime_conversation_client("gpt-realtime-2.1")
        app = URLRouter([path("media", PhoneConsumer.as_asgi())])
        server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", lifespan="off"))
        serving = threading.Thread(target=server.run)
        serving.start()
        until(lambda: server.started, 20)
        port = server.servers[0].sockets[0].getsockname()[1]
        for politely in (True, False):
            told.clear()
            with Phone(f"ws://127.0.0.1:{port}/media", PhoneLine(), jittery) as phone:
                phone.say(QUESTION)
                print(f"{abs(interrupt_after(0.6, phone, told)):.0f}")
                phone.hang_up(politely=politely)
            until(lambda: not client_threads(), 20)
        server.should_exit = True
        serving.join(20)
"""


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_a_sync_consumer_holds_calls_and_tells_what_was_heard() -> None:
    pytest.importorskip("channels", reason="it wants Django Channels (pip install channels uvicorn)")
    pytest.importorskip("uvicorn", reason="it wants uvicorn (pip install channels uvicorn)")
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(PROGRAM)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert [int(told) <= 60 for told in ran.stdout.split()] == [True, True], ran.stdout

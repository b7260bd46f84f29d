"""The FastAPI application as a process behind uvicorn: what a stop finds it in the middle of, and a conversation."""

from __future__ import annotations

from pathlib import Path

import pytest

from realtime_sync.server import RealtimeServer, Reply
from realtime_sync.server.voice import speak
from tests.core.answers import Gate
from tests.web.applications import Uvicorn
from tests.web.events import words
from tests.web.test_gunicorn import SPEECH, Page

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]
APP = "fastapi_app:app"


def test_a_stop_lets_texts_be_finished_and_closes_their_sessions(tmp_path: Path) -> None:
    gate = Gate()
    with RealtimeServer(responder=gate) as server, Uvicorn(APP, server, tmp_path) as application:
        told = application.ask("Count").events()
        next(event for event in told if event[0] == "text")
        application.process.terminate()
        application.logged("Shutting down")
        gate.opened.set()
        rest = list(told)
        assert (words(rest), rest[-1][0]) == ("two", "done")
        assert server.wait_for_session().wait_until_closed(20) == 1000
        assert application.process.wait(30) in (0, -15)  # uvicorn ends by the signal that it was sent


def test_a_stop_does_not_wait_for_ever_for_a_text(tmp_path: Path) -> None:
    with RealtimeServer(responder=Gate()) as server, Uvicorn(APP, server, tmp_path) as application:
        answer = application.ask("Count")
        next(event for event in answer.events() if event[0] == "text")
        application.process.terminate()
        assert server.wait_for_session().wait_until_closed(20) == 1000
        assert application.process.wait(30) in (0, -15)
        answer.close()


def test_a_spoken_question_is_answered_to_the_last_sample(tmp_path: Path) -> None:
    server = RealtimeServer(responder=lambda turn: Reply("Good morning."))
    with server, Uvicorn(APP, server, tmp_path) as application:
        page = Page(application)
        page.until("ready")
        page.say(SPEECH)
        assert page.until("user_done")["text"]
        item = page.until("answer_done")["item_id"]
        assert page.heard[item] == len(speak("Good morning.")) // 2
        page.socket.close()
        assert server.wait_for_session().wait_until_closed(20) == 1000

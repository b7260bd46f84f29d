"""The Celery task: eager, and in a real worker that forks, with a broker of files."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import web_service
from flask_app import tasks

from realtime_sync import AuthenticationError
from realtime_sync.server import RealtimeServer
from tests.core.harness import KEY, House, until
from tests.web.applications import EXAMPLES, environment


@pytest.fixture
def service(plain: House, monkeypatch: Any) -> Iterator[web_service.Service]:
    with closing(web_service.Service(plain.client())) as service:
        monkeypatch.setitem(web_service._services, os.getpid(), service)
        yield service


def test_an_eager_task_answers_and_closes_its_session(plain: House, service: web_service.Service) -> None:
    assert tasks.ask.apply(args=["Is it so?"]).get() == "You said: Is it so?"
    assert plain.live.wait_until_closed() == 1000
    assert plain.live.options["output_modalities"] == ["text"]  # nobody would hear it, and speech costs more
    assert not service.texts.running


def test_what_goes_wrong_is_the_tasks_error(plain: House, monkeypatch: Any) -> None:
    plain.serve(api_keys=["sk-another"])
    with closing(web_service.Service(plain.client())) as service:
        monkeypatch.setitem(web_service._services, os.getpid(), service)
        result = tasks.ask.apply(args=["So?"])
    assert isinstance(result.result, AuthenticationError)
    assert KEY not in str(result.traceback)


def test_a_worker_that_ends_closes_its_service(service: web_service.Service) -> None:
    tasks.close_service()
    assert service.texts._closed
    assert service.voices._closed


# As a user's module would be: the client is made at import, before the fork, which is fine; the session is not.
MODULE = """
from celery import Celery
from realtime_sync import RealtimeConversationClient

client = RealtimeConversationClient.from_env()
session = client.start_conversation_session()
app = Celery("forked", broker="filesystem://")
app.conf.update(
    broker_transport_options={options!r}, result_backend={backend!r}, broker_connection_retry_on_startup=True
)

@app.task(name="before")
def before(question):
    return str(session.ask(question))

@app.task(name="inside")
def inside(question):
    with client.start_conversation_session() as mine:
        return str(mine.ask(question))
"""


@pytest.mark.slow
@pytest.mark.timeout(200)
def test_a_real_worker_answers_in_its_fork_and_not_with_its_parents_session(tmp_path: Path) -> None:
    for name in ("queue", "results"):
        (tmp_path / name).mkdir()
    folder = str(tmp_path / "queue")
    options = {"data_folder_in": folder, "data_folder_out": folder, "control_folder": str(tmp_path / "control")}
    backend = f"file://{tmp_path / 'results'}"
    (tmp_path / "forked_tasks.py").write_text(MODULE.format(options=options, backend=backend))
    command = [
        sys.executable,
        "-m",
        "celery",
        "-A",
        "forked_tasks",
        "worker",
        "--pool",
        "prefork",
        "-c",
        "1",
        "-l",
        "info",
    ]
    with RealtimeServer() as server, (tmp_path / "worker.log").open("wb") as log:
        env = environment(server)
        env["PYTHONPATH"] += os.pathsep + str(tmp_path)
        worker = subprocess.Popen(
            [*command, "--without-gossip", "--without-mingle"], cwd=EXAMPLES, env=env, stdout=log, stderr=log
        )
        try:
            told = send(tmp_path, options, backend, worker)
        finally:
            worker.terminate()
            worker.wait(30)
        assert told["inside"] == "You said: Is it so?"
        assert told["before"] == "ForkedSessionError"
        sessions = server.sessions
        assert sessions[1].wait_until_closed(20) == 1000
        until(lambda: sessions[0].close_code is not None, 20)  # the parent's, with the parent
    text = (tmp_path / "worker.log").read_text(errors="replace")
    assert "ForkedSessionError" in text
    assert KEY not in text


def send(folder: Path, options: dict[str, str], backend: str, worker: subprocess.Popen[bytes]) -> dict[str, str]:
    """Ask both tasks, and wait for what they say."""
    from celery import Celery

    app = Celery("sender", broker="filesystem://")
    app.conf.update(broker_transport_options=options, result_backend=backend)
    told = {}
    with app.connection_for_write() as connection:
        for name in ("before", "inside"):
            result = app.send_task(name, args=["Is it so?"], connection=connection)

            def finished(result: Any = result) -> bool:
                assert worker.poll() is None, (folder / "worker.log").read_text(errors="replace")
                return bool(result.ready())

            until(finished, 100)
            told[name] = type(result.result).__name__ if result.failed() else result.result
    return told

"""Sessions where gevent or eventlet has replaced threads, queues and sockets before this library was imported.

As in ``gunicorn -k gevent`` and ``celery -P gevent``. Each test is a process of its own that patches first; the server
runs here, unpatched.
"""

from __future__ import annotations

import importlib.util
import json
import os
import pathlib
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import trustme

from realtime_sync.server import Turn
from tests.core.harness import House, within

ROOT = pathlib.Path(__file__).parents[2]
PATCHED = {
    "gevent": "from gevent import monkey\nmonkey.patch_all()",
    "eventlet": "import warnings\nwarnings.simplefilter('ignore')\nimport eventlet\neventlet.monkey_patch()",
}
OPEN = """
import json, sys, threading, time
from realtime_sync import *
client = OpenAIClient("any-key", endpoint=sys.argv[1], ca_file=sys.argv[2] or None)
client = client.get_realtime_conversation_client("gpt-realtime-2.1")
WRITTEN = ConversationSessionOptions(content_modalities=["text"])
told = {}
def started(function, *arguments):
    thread = threading.Thread(target=function, args=arguments)
    thread.start()
    return thread
with client.start_conversation_session(WRITTEN) as session:
"""
pytestmark = [pytest.mark.medium, pytest.mark.parametrize("library", PATCHED)]


@pytest.fixture(params=["ws", "wss"])
def house(request: pytest.FixtureRequest, ca: trustme.CA) -> Iterator[House]:
    with ExitStack() as stack:
        yield House(request.param, ca, stack)


def run(library: str, house: House, tmp_path: pathlib.Path, code: str) -> dict[str, Any]:
    """What a patched process has told after it has run ``code`` in a session, which must not take long."""
    if importlib.util.find_spec(library) is None:
        pytest.skip(f"{library} is not installed; it comes with the extra dev")
    ca_file = ""
    if house.scheme == "wss":
        ca_file = str(tmp_path / "ca.pem")
        house.ca.cert_pem.write_to_path(ca_file)
    indented = "".join(f"    {line}\n" for line in code.strip().split("\n"))
    script = PATCHED[library] + OPEN + indented + "client.close()\nprint(json.dumps(told))\n"
    done = subprocess.run(
        [sys.executable, "-c", script, house.server.url, ca_file],
        capture_output=True,
        text=True,
        timeout=50,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def test_it_is_asked_iterated_waited_for_and_closed(library: str, house: House, tmp_path: pathlib.Path) -> None:
    code = """
told["answer"] = session.ask("Hello", timeout=20).text
session.start_response()
told["waited for"] = session.wait_for("response.done", timeout=20).type
updates = session.updates()
told["first"] = next(updates).type
told["second"] = session.receive_update(timeout=20).type
handle = session.add_item("Hi")
told["acknowledged"] = handle.wait(timeout=20).type
session.close()
told["closed"] = [session.closed, len(list(updates)) > 0]
"""
    told = run(library, house, tmp_path, code)
    assert told["answer"] == "Hello! You said: Hello"
    assert (told["waited for"], told["first"]) == ("response.done", "session.created")
    assert told["second"] != "response.done"
    assert told["acknowledged"] == "conversation.item.added"
    assert told["closed"] == [True, True]
    assert house.live.wait_until_closed(5) == 1000


def test_subscriptions_turns_and_several_takers_get_all_of_it(
    library: str, house: House, tmp_path: pathlib.Path
) -> None:
    code = """
turns, stream = session.turns(20), session.subscribe()
session.wait_for("session.created", timeout=20)
taken = [[], []]
takers = [started(lambda part=part: part.extend(update.type for update in session.updates())) for part in taken]
told["waiter"] = []
waiter = started(lambda: told["waiter"].append(stream.wait_for("response.done", 20).type))
told["answers"] = [session.ask(f"Question {number}", timeout=20).text for number in range(5)]
told["turns"] = [next(turns).user_text for _ in range(5)]
waiter.join(20)
for _ in range(4):
    stream.wait_for("response.done", 20)
for number in range(5):
    session.add_item(f"By hand {number}").wait(20)
session.close()
for taker in takers:
    taker.join(20)
told["added"] = sum(part.count("conversation.item.added") for part in taken)
told["alive"] = [taker.is_alive() for taker in takers]
"""
    told = run(library, house, tmp_path, code)
    questions = [f"Question {number}" for number in range(5)]
    assert told["turns"] == questions
    assert all(question in answer for question, answer in zip(questions, told["answers"], strict=True))
    assert (told["waiter"], told["added"], told["alive"]) == (["response.done"], 5, [False, False])


def test_many_sessions_run_at_once_and_none_waits_for_another(
    library: str, house: House, tmp_path: pathlib.Path
) -> None:
    """Each answer takes half a second: ten of them, one after another, would take five."""

    def slow(turn: Turn) -> str:
        turn.cancelled.wait(0.5)
        return "Done."

    house.serve(responder=slow)
    code = """
answers = []
def ask():
    with client.start_conversation_session(WRITTEN) as own:
        answers.append(own.ask("Hello", timeout=20).text)
began = time.monotonic()
for thread in [started(ask) for _ in range(10)]:
    thread.join(20)
told["answers"], told["seconds"] = answers, time.monotonic() - began
"""
    told = run(library, house, tmp_path, code)
    assert told["answers"] == ["Done."] * 10
    assert told["seconds"] < 4


def test_a_wait_ends_when_its_time_is_up_and_when_the_session_is_closed_elsewhere(
    library: str, house: House, tmp_path: pathlib.Path
) -> None:
    code = """
for timeout in (0, 0.2):
    try:
        session.wait_for("response.done", timeout)
    except WaitTimeoutError:
        told[str(timeout)] = "time is up"
closing = started(lambda: (time.sleep(0.2), session.close()))
told["updates"] = [update.type for update in session.updates()][:1]
closing.join(20)
try:
    session.add_item("Hi")
except SessionNotOpenError:
    told["afterwards"] = "not open"
"""
    with within(30):
        told = run(library, house, tmp_path, code)
    assert told == {"0": "time is up", "0.2": "time is up", "updates": ["session.created"], "afterwards": "not open"}


def test_sound_is_sent_and_heard(library: str, house: House, tmp_path: pathlib.Path) -> None:
    code = """
session.configure_session(ConversationSessionOptions(turn_detection_options=None)).wait(20)
session.send_audio(bytes(480_000))
told["committed"] = session.commit_pending_audio().wait(20).type
sending = session.start_sending_audio(bytes(480_000))
sending.wait(20)
spoken = ConversationResponseOptions(content_modalities=["audio"])
told["heard"] = session.ask("Speak", spoken, timeout=20).audio_seconds > 0.1
"""
    house.serve()
    code = (
        "session.configure_session(ConversationSessionOptions(turn_detection_options=None)).wait(20)\n" + code.lstrip()
    )
    assert run(library, house, tmp_path, code) == {"committed": "input_audio_buffer.committed", "heard": True}


def test_a_lost_connection_is_replaced(library: str, house: House, tmp_path: pathlib.Path) -> None:
    code = """
with client.start_conversation_session(WRITTEN, reconnect=True) as own:
    told["before"] = own.ask("Hello", timeout=20).completed
    own._engine.connection.transport.abort()
    told["again"] = own.wait_for("realtime_sync.session.reconnected", timeout=20).attempts
    told["after"] = own.ask("Hello", timeout=20).completed
"""
    assert run(library, house, tmp_path, code) == {"before": True, "again": 1, "after": True}

"""What a session leaves behind: threads, descriptors, a process that ends whatever was forgotten, and after a fork."""

from __future__ import annotations

import copy
import gc
import json
import os
import pathlib
import pickle
import signal
import subprocess
import sys
import threading
from typing import Any, Callable

import pytest

from realtime_sync import ConnectionFailedError, RealtimeSyncError, UsageError
from realtime_sync.core.engine import Engine
from realtime_sync.server import Script
from tests.core.harness import House, Running, client_threads, descriptors, until, within

pytestmark = pytest.mark.medium

ROOT = pathlib.Path(__file__).parents[2]
CYCLES = 200
OPEN = """
import logging, os, sys, threading
from realtime_sync import OpenAIClient
client = OpenAIClient("any-key", endpoint=sys.argv[1], ca_file=sys.argv[2] or None)
client = client.get_realtime_conversation_client("gpt-realtime-2.1")
session = client.start_conversation_session()
"""


def start(house: House, tmp_path: pathlib.Path, code: str) -> subprocess.Popen[str]:
    """A script of another process that has a session with the house's server."""
    ca_file = ""
    if house.scheme == "wss":
        ca_file = str(tmp_path / "ca.pem")
        house.ca.cert_pem.write_to_path(ca_file)
    arguments = [sys.executable, "-u", "-W", "error", "-c", OPEN + code, house.server.url, ca_file]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path, env=environment
    )
    house.stack.callback(end, process)
    return process


def end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate(timeout=10)


# In this process -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["close", "lost"])
def test_after_many_sessions_no_thread_and_no_descriptor_is_left(house: House, how: str) -> None:
    house.serve(record=False)
    client = house.client()
    with client.start_conversation_session() as session:  # what is made once is made now
        session.add_item("Hi").wait()
    before = until(lambda: not client_threads() and descriptors())
    for number in range(CYCLES if how == "close" else CYCLES // 10):
        session = client.start_conversation_session()
        if how == "lost":
            house.server.sessions[-1].connection.abort()  # type: ignore[union-attr]
            with pytest.raises(RealtimeSyncError):
                list(session.updates())
        elif number % 4:
            session.add_item("Hi").wait()
        session.close()
    until(lambda: not client_threads())
    until(lambda: descriptors() <= before)


def core_objects() -> int:
    gc.collect()
    # As text: some extension types have a descriptor for their __module__.
    return sum(str(type(thing).__module__).startswith("realtime_sync.core") for thing in gc.get_objects())


def test_sessions_that_have_ended_leave_no_object_behind(plain: House) -> None:
    client = plain.client()

    def hold_one() -> None:
        with client.start_conversation_session() as session:
            session.add_item("Hi").wait()

    hold_one()
    until(lambda: not client_threads())
    before = core_objects()
    for _ in range(3):
        hold_one()
    until(lambda: not client_threads())
    until(lambda: core_objects() <= before, message="objects of sessions that have ended are kept")


def test_a_refused_session_leaves_nothing(house: House) -> None:
    house.serve(api_keys=["another"])
    client = house.client()
    with pytest.raises(RealtimeSyncError):
        client.start_conversation_session()
    before = until(lambda: not client_threads() and descriptors())
    for _ in range(20):
        with pytest.raises(RealtimeSyncError):
            client.start_conversation_session()
    until(lambda: not client_threads() and descriptors() <= before)


def test_without_a_thread_to_be_had_there_is_no_session_and_nothing_is_left(
    plain: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = plain.client()
    client.start_conversation_session().close()
    before = until(lambda: not client_threads() and descriptors())

    def refuse(*_: Any) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(Engine, "start_thread", refuse)
        with pytest.raises(RuntimeError, match="thread"):
            client.start_conversation_session()
    until(lambda: descriptors() <= before)
    # The server may come to know of it only after the client has given it up.
    assert plain.server.wait_for_session(count=2).wait_until_closed() == 1006


def test_a_session_that_was_dropped_is_not_closed_behind_its_users_back(plain: House) -> None:
    """Nobody holds it any more, but its stream may still be read."""
    stream = plain.client().start_conversation_session().subscribe()
    gc.collect()
    plain.live.emit({"type": "rate_limits.updated", "rate_limits": []})
    assert stream.receive(timeout=5).type == "rate_limits.updated"


def test_reader_threads_are_named_and_daemons(plain: House) -> None:
    session = plain.open()
    (reader,) = [thread for thread in threading.enumerate() if thread.name.startswith("realtime-sync")]
    assert reader.daemon
    assert reader.name.endswith("-reader")
    session.close()


def test_a_port_where_nobody_listens_leaves_nothing(plain: House) -> None:
    client = plain.client("http://127.0.0.1:9/v1")
    before = descriptors()
    for _ in range(10):
        with pytest.raises(ConnectionFailedError):
            client.start_conversation_session()
    assert descriptors() <= before


# Exit ----------------------------------------------------------------------------------------------------------------

FORGETFUL = {
    "that forgets to close": "",
    "with a consumer in a daemon thread": """
threading.Thread(target=lambda: list(session.updates()), daemon=True).start()
""",
    "that is sending audio": """
def endless():
    while True:
        yield bytes(9600)
session.start_sending_audio(endless())
""",
    "that logs everything": """
logging.basicConfig(level=logging.DEBUG)
session.add_item("Hi").wait()
""",
    "with a consumer in a pool": """
from concurrent.futures import ThreadPoolExecutor
ThreadPoolExecutor().submit(lambda: list(session.updates()))
""",
    "with a consumer in a thread that is no daemon": """
threading.Thread(target=lambda: list(session.updates())).start()
""",
    "that serves tools in a pool": """
from concurrent.futures import ThreadPoolExecutor
ThreadPoolExecutor().submit(session.run_tools, [])
""",
    "that fails": "session.add_item('Hi').wait(); sys.stderr.close(); raise SystemExit(3)",
}


@pytest.mark.parametrize("which", FORGETFUL)
def test_a_script_exits(house: House, tmp_path: pathlib.Path, which: str) -> None:
    process = start(house, tmp_path, FORGETFUL[which])
    _, errors = process.communicate(timeout=45)
    assert process.returncode == (3 if which == "that fails" else 0), errors
    assert "Fatal" not in errors
    assert "Traceback" not in errors
    assert house.server.wait_for_session().wait_until_closed(2) in (1001, 1006)


WAITS_FOR_A_HANDLE = """
handle = session.add_item("Hi")
def wait():
    try:
        handle.wait(100)
    except ConnectionError:
        pass  # where the interpreter is slow to end, it hears of the end of the session
threading.Thread(target=wait, daemon=True).start()
"""


def test_a_script_exits_while_a_daemon_thread_waits_for_a_handle(house: House, tmp_path: pathlib.Path) -> None:
    house.serve(responder=Script([]))  # it answers no command
    process = start(house, tmp_path, WAITS_FOR_A_HANDLE)
    _, errors = process.communicate(timeout=45)
    assert (process.returncode, errors) == (0, "")
    assert house.server.wait_for_session().wait_until_closed(2) in (1001, 1006)


def test_a_script_that_forgets_to_close_says_goodbye(plain: House, tmp_path: pathlib.Path) -> None:
    process = start(plain, tmp_path, "")
    assert process.wait(45) == 0
    assert plain.server.wait_for_session().wait_until_closed(2) == 1001


WORKS_ON = """
def ask():
    answer = session.ask("Hi")
    print(answer.text or answer.transcript)
    print(len(list(session.updates())) > 0)
threading.Thread(target=ask).start()
"""


def test_a_thread_that_works_on_when_the_main_thread_has_ended_is_answered(
    plain: House, tmp_path: pathlib.Path
) -> None:
    plain.serve(responder=lambda turn: threading.Event().wait(2.5) or "An answer")  # a session is quiet after 2 s
    process = start(plain, tmp_path, WORKS_ON)
    output, errors = process.communicate(timeout=45)
    assert process.returncode == 0, errors
    assert output.split() == ["An", "answer", "True"]
    assert plain.server.wait_for_session().wait_until_closed(2) == 1001


AT_EXIT = """
import atexit
from realtime_sync import NoMoreThreadsError
def open_another():
    try:
        client.start_conversation_session().close()
    except NoMoreThreadsError as error:
        assert "exiting" in str(error)
    print("open" if not session.closed else "closed")
    session.close()
    print("closed" if session.closed else "open")
atexit.register(open_another)
"""


def test_a_session_in_an_atexit_function_is_there_or_its_error_is_typed(plain: House, tmp_path: pathlib.Path) -> None:
    """From Python 3.12 on no thread can be started there."""
    process = start(plain, tmp_path, AT_EXIT)
    output, errors = process.communicate(timeout=45)
    assert output.split() == ["open", "closed"]
    assert "Traceback" not in errors
    assert plain.server.sessions[0].wait_until_closed(2) == 1000


CLOSES_AND_EXITS = """
import signal
def end(*_):
    session.close()
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
def interrupt(frame, event, arg):  # where the turn on the wire is taken
    if event == "call" and frame.f_code.co_name == "expect":
        sys.setprofile(None)
        signal.raise_signal(signal.SIGTERM)
sys.setprofile(interrupt)
session.add_item("Hi")
"""


def test_a_handler_that_closes_and_exits_says_goodbye_whatever_it_interrupts(
    plain: House, tmp_path: pathlib.Path
) -> None:
    process = start(plain, tmp_path, CLOSES_AND_EXITS)
    _, errors = process.communicate(timeout=45)
    assert process.returncode == 0, errors
    assert plain.server.wait_for_session().wait_until_closed(2) in (1000, 1001)


# An interrupt that comes while a module is imported may be swallowed: a weak reference's callback raises nothing.
READY_ONCE_IT_WAITS = """
def tell(main=threading.main_thread().ident, looks=0):
    while looks < 3:
        frame, files = sys._current_frames()[main], []
        while frame is not None:
            files.append(frame.f_code.co_filename)
            frame = frame.f_back
        ours = any("realtime_sync" in file for file in files)
        looks = looks + 1 if ours and not any("importlib" in file for file in files) else 0
        threading.Event().wait(0.02)
    print("ready")
threading.Thread(target=tell, daemon=True).start()
"""
INTERRUPTED = {
    "iteration": "for update in session.updates(): pass",
    "iteration in a with block": "with session:\n    for update in session.updates(): pass",
    "receive_update": "while True: session.receive_update()",
    "wait_for": "session.wait_for('response.done')",
    "a handle": "session._engine.connection.send = print; session.add_item('Hi').wait(100)",
    "send_audio": "session.send_audio(iter(lambda: bytes(9600), None))",
    "run": "session.run()",
}


@pytest.mark.parametrize("house", ["ws", pytest.param("wss", marks=pytest.mark.slow)], indirect=True)
@pytest.mark.parametrize("where", INTERRUPTED)
def test_ctrl_c_ends_a_script_at_once(house: House, tmp_path: pathlib.Path, where: str) -> None:
    process = start(house, tmp_path, READY_ONCE_IT_WAITS + INTERRUPTED[where])
    assert process.stdout is not None
    assert "ready\n" in iter(process.stdout.readline, "")  # what is printed before it is a frame
    house.server.wait_for_session().wait_for_sent("session.created")
    with within(4):
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=10)
    assert process.returncode == -signal.SIGINT
    assert errors.rstrip().endswith("KeyboardInterrupt")
    assert "Fatal" not in errors
    assert house.server.sessions[0].wait_until_closed(2) in (1000, 1001, 1006)


# Fork ----------------------------------------------------------------------------------------------------------------

FORKED = """
import json, signal, time, warnings
from realtime_sync import ConversationSessionOptions, ForkedSessionError, PlaybackPosition
warnings.simplefilter("ignore", DeprecationWarning)  # 3.12 warns of threads at a fork
handle = session.add_item("from the parent")
handle.wait()
stream, turns = session.subscribe(), session.turns()
silence = threading.Event()
sending = session.start_sending_audio(iter(lambda: bytes(silence.wait()), None))
engine, held, forked = session._engine, threading.Event(), threading.Event()
def hold():  # as the reader may, in the moment of the fork
    with engine.delivering, engine.states.lock, stream._queue._lock, turns._updates._queue._lock:
        held.set()
        forked.wait()
threading.Thread(target=hold).start()
held.wait()
read, write = os.pipe()
child = os.fork()
if child == 0:
    signal.alarm(20)  # whatever hangs does not stay behind
    told = {}
    calls = {
        "updates": lambda: next(session.updates()),
        "receive_update": session.receive_update,
        "wait_for": lambda: session.wait_for("x"),
        "subscribe": session.subscribe,
        "stream": lambda: next(stream),
        "add_item": lambda: session.add_item("from the child"),
        "send_message": lambda: session.send_message("{}"),
        "send_audio": lambda: session.send_audio(bytes(4800)),
        "start_sending_audio": lambda: session.start_sending_audio(bytes(4800)),
        "handle": handle.wait,
        "run": session.run,
        "turns": lambda: next(turns),
        "conversation": lambda: session.conversation,
        "AudioSend": sending.wait,
        "configure_session": lambda: session.configure_session(ConversationSessionOptions(tools=[])),
        "interrupt_on_speech": lambda: session.interrupt_on_speech(PlaybackPosition()).__enter__(),
    }
    for name, call in calls.items():
        try:
            call()
            told[name] = "nothing was raised"
        except ForkedSessionError as error:
            told[name] = "parent" in str(error) and "after the fork" in str(error)
        except BaseException as error:
            told[name] = repr(error)
    started = time.monotonic()
    repr(session), repr(stream), session.closed, session.id
    stream.close()
    turns.close()
    session.close()
    session.close()
    client.close()
    told["closes"] = time.monotonic() - started < 1  # a close frame would wait 2 s for its answer
    with open(write, "w") as pipe:
        json.dump(told, pipe)
    sys.exit(0)
forked.set()
os.close(write)
told = json.load(open(read))
assert os.waitpid(child, 0)[1] == 0
sending.cancel()
told["parent goes on"] = session.add_item("after the child's end").wait().type == "conversation.item.added"
session.close()
print(json.dumps(told))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_childs_copy_raises_on_use_closes_without_a_frame_and_leaves_the_parents_alone(
    house: House, tmp_path: pathlib.Path
) -> None:
    process = start(house, tmp_path, FORKED)
    output, errors = process.communicate(timeout=45)
    assert process.returncode == 0, errors
    told = json.loads(output)
    assert [name for name, value in told.items() if value is not True] == [], told
    live = house.server.sessions[0]
    assert live.wait_until_closed() == 1000
    said = [message["item"]["content"][0]["text"] for message in live.received]
    assert said == ["from the parent", "after the child's end"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_child_that_just_exits_leaves_the_parents_session_alone(house: House, tmp_path: pathlib.Path) -> None:
    code = """
import warnings
warnings.simplefilter("ignore", DeprecationWarning)
child = os.fork()
if child:
    assert os.waitpid(child, 0)[1] == 0
    session.add_item("Hi").wait()
    session.close(3000)
"""
    process = start(house, tmp_path, code)
    _, errors = process.communicate(timeout=45)
    assert process.returncode == 0, errors
    assert house.server.sessions[0].wait_until_closed() == 3000


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_child_that_is_forked_while_the_parent_is_busy_can_still_close(plain: House, tmp_path: pathlib.Path) -> None:
    code = """
import itertools, warnings
warnings.simplefilter("ignore", DeprecationWarning)
busy = {"type": "busy"}
threading.Thread(target=lambda: [session.send_message(busy) for _ in itertools.count()], daemon=True).start()
threading.Thread(target=lambda: list(session.updates()), daemon=True).start()
for _ in range(20):
    child = os.fork()
    if child == 0:
        repr(session)
        session.close()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
assert not session.closed
session.close()
os._exit(0)
"""
    plain.serve(record=False)
    process = start(plain, tmp_path, code)
    _, errors = process.communicate(timeout=45)
    assert process.returncode == 0, errors


@pytest.mark.parametrize("hand_on", [pickle.dumps, copy.copy])
def test_a_session_cannot_be_handed_on_and_says_what_to_do(plain: House, hand_on: Callable[[Any], Any]) -> None:
    with pytest.raises(UsageError, match="start one there"):
        hand_on(plain.open())


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks for the C library by its handle")
def test_a_child_of_a_fork_that_python_is_not_told_of_raises_too(plain: House, tmp_path: pathlib.Path) -> None:
    """As uWSGI's workers are, by default: no after-fork hook runs in them."""
    code = """
import ctypes
from realtime_sync import ForkedSessionError
child = ctypes.PyDLL(None).fork()
if child == 0:
    told = 0
    for call in (lambda: session.add_item("Hi"), lambda: next(session.updates())):
        try:
            call()
        except ForkedSessionError:
            told += 1
    session.close()
    os._exit(told)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 2
session.add_item("from the parent").wait()
"""
    process = start(plain, tmp_path, code)
    _, errors = process.communicate(timeout=45)
    assert process.returncode == 0, errors


def test_a_session_can_be_closed_by_a_thread_that_outlives_its_opener(plain: House) -> None:
    session = Running(lambda: plain.client().start_conversation_session()).result()
    Running(session.close).result()
    assert session.closed

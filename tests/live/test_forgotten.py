"""Live sessions that nobody closes: they are billed by the second, so a program that ends says ``session.close``."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.live.harness import LiveHouse, until

pytestmark = pytest.mark.medium

ROOT = Path(__file__).parents[2]
OPEN = """
import sys, threading, time
from realtime_sync import OpenAIClient
client = OpenAIClient("any-key", endpoint=sys.argv[1], ca_file=sys.argv[2] or None)
client = client.get_realtime_conversation_client("gpt-realtime-2.1")
session = client.start_live_session(delegate=lambda request: time.sleep(3.5) or "Found.")
print("begun", flush=True)
sys.stdin.readline()
"""


def forget(house: LiveHouse, tmp_path: Path, code: str = "") -> subprocess.Popen[str]:
    """A script of another process that has a live session with the house's server, and goes on to its end."""
    ca_file = ""
    if house.secure:
        ca_file = str(tmp_path / "ca.pem")
        house.ca.cert_pem.write_to_path(ca_file)
    command = [sys.executable, "-c", OPEN + code, house.server.url, ca_file]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )
    house.stack.callback(process.communicate, timeout=10)
    house.stack.callback(process.kill)
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    return process


def test_a_program_that_ends_closes_the_session_that_it_forgot(house: LiveHouse, tmp_path: Path) -> None:
    process = forget(house, tmp_path)
    _, told = process.communicate("\n", timeout=20)
    assert (process.returncode, told) == (0, "")
    house.twin.wait_for_message("session.close")


def test_a_thread_that_waits_for_a_session_in_which_nobody_speaks_does_not_keep_the_program(
    plain: LiveHouse, tmp_path: Path
) -> None:
    """The silence that keeps the clock, and the track that comes for it, are no sign of life."""
    process = forget(plain, tmp_path, 'threading.Thread(target=lambda: session.wait_for("never")).start()')
    process.communicate("\n", timeout=20)
    plain.twin.wait_for_message("session.close")


@pytest.mark.slow
def test_a_thread_that_sends_audio_is_not_cut_short(plain: LiveHouse, tmp_path: Path) -> None:
    code = "threading.Thread(target=lambda: (session.send_audio(bytes(48000 * 4)), session.close())).start()"
    process = forget(plain, tmp_path, code)
    process.communicate("\n", timeout=20)
    sent = [each["audio"] for each in plain.twin.received if each["type"] == "session.input_audio.append"]
    assert sum(len(audio) * 3 // 4 for audio in sent) >= 48000 * 4


@pytest.mark.slow
def test_a_delegate_that_works_is_not_cut_short(plain: LiveHouse, tmp_path: Path) -> None:
    process = forget(plain, tmp_path, 'threading.Thread(target=lambda: session.wait_for("never", 8)).start()')
    until(lambda: plain.twin.timeline_ms > 0)
    plain.twin.delegate(after_last_fragment=False)
    process.communicate("\n", timeout=20)
    assert plain.twin.wait_for_message("session.commentary.append")["content"] == "Found."


def test_an_exception_that_ends_the_program_does_it_too(plain: LiveHouse, tmp_path: Path) -> None:
    process = forget(plain, tmp_path, "raise SystemExit(3)")
    process.communicate("\n", timeout=20)
    assert process.returncode == 3
    plain.twin.wait_for_message("session.close")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_that_ends_does_not_end_its_parents_session(plain: LiveHouse, tmp_path: Path) -> None:
    process = forget(
        plain, tmp_path, 'import os; os.fork() or os._exit(0); os.wait(); print("alive", flush=True); input()'
    )
    assert process.stdin is not None
    assert process.stdout is not None
    print(file=process.stdin, flush=True)
    assert process.stdout.readline() == "alive\n"
    assert not any(each["type"] == "session.close" for each in plain.twin.received)

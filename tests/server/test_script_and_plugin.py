"""Sessions by script; the pytest plugin; translation sessions."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest

from realtime_sync.errors import UsageError
from realtime_sync.server import RealtimeServer, Script, Turn, expect, faults
from realtime_sync.server.session import ServerSession
from tests.server.conftest import TIMEOUT, Peer
from tests.server.sounds import silence, tone

ROOT = Path(__file__).resolve().parents[2]


def test_a_script_sends_exactly_its_steps_and_waits_where_it_says(open_peer: Callable[..., Peer]) -> None:
    def echo(session: ServerSession) -> dict[str, Any]:
        return {"type": "echo", "of": session.received[-1]["type"]}

    steps = [
        {"type": "first", "event_id": "e1"},
        expect("response.create"),
        echo,
        expect(lambda told: told.get("label") == "go on"),
        '{"type": "raw",   "spaces": true}',
        faults.close(4000, "the end"),
    ]
    script = Script(steps)
    with RealtimeServer(responder=script) as server:
        peer = open_peer(server, checked=False)
        assert [peer.recv()["type"] for _ in range(2)] == ["session.created", "first"]
        peer.say("conversation.item.create", item={})  # nobody answers, nobody checks
        peer.say("response.create")
        assert peer.recv() == {"type": "echo", "of": "response.create"}
        peer.say("anything", label="go on")
        assert peer.ws.recv() == '{"type": "raw",   "spaces": true}'
        assert peer.close_frame() == (4000, "the end")
    assert script.failures == []


def is_friendly(message: dict[str, Any]) -> bool:
    return False


VAIN: dict[str, tuple[list[Any], list[str], str]] = {
    "a type": (
        [expect("foo", timeout=0.3)],
        ["conversation.item.create", "response.create"],
        "step 1 expected 'foo' within 0.3 s; received: conversation.item.create, response.create",
    ),
    "nothing came": ([expect("foo", timeout=0.1)], [], "step 1 expected 'foo' within 0.1 s; received nothing"),
    "nothing more came": (
        [expect("session.update"), {"type": "seen"}, expect("response.create", timeout=0.1)],
        ["session.update"],
        "step 3 expected 'response.create' within 0.1 s; received nothing more",
    ),
    "a predicate": (
        [expect(is_friendly, timeout=0.1)],
        [],
        "step 1 expected a message that is_friendly() accepts within 0.1 s; received nothing",
    ),
}


@pytest.mark.parametrize("name", VAIN)
def test_a_script_that_waits_in_vain_says_for_what_and_what_came(
    open_peer: Callable[..., Peer], caplog: pytest.LogCaptureFixture, name: str
) -> None:
    steps, said, told = VAIN[name]
    script = Script(steps)
    with RealtimeServer(responder=script, first_update=None) as server:
        peer = open_peer(server, checked=False)
        for kind in said:
            peer.say(kind)
        assert peer.close_frame() == (1002, told)
    assert script.failures == [told]
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("WARNING", f"a script failed: {told}")
    ]


def test_what_a_script_waited_for_in_vain_fits_a_close_frame_where_it_is_long(open_peer: Callable[..., Peer]) -> None:
    script = Script([expect("\u00e9" * 100, timeout=0.1)])
    with RealtimeServer(responder=script) as server:
        code, reason = open_peer(server, checked=False).close_frame()
        assert (code, len(reason.encode())) == (1002, 123)
        server.sessions[0].wait_until_closed()
        assert server.sessions[0].close_reason == reason
    assert script.failures[0].startswith(reason)
    assert script.failures[0].endswith("within 0.1 s; received nothing")


def test_a_script_whose_client_hangs_up_says_for_what_it_waited(open_peer: Callable[..., Peer]) -> None:
    script = Script([expect("foo", timeout=60)])
    with RealtimeServer(responder=script) as server:
        peer = open_peer(server, checked=False)
        assert peer.recv()["type"] == "session.created"
        peer.ws.close()
        session = server.sessions[0]
        session.wait_until_closed()
        for thread in session.threads:
            thread.join(TIMEOUT)
    assert script.failures == ["step 1 expected 'foo' before the connection ended with 1000; received nothing"]


def test_a_script_shows_its_steps_and_what_failed() -> None:
    script = Script([{"type": "first"}, expect("foo")])
    assert repr(script) == "<Script of 2 steps>"
    script.failures.append("step 1 failed")
    assert repr(script) == "<Script of 2 steps, failures: ['step 1 failed']>"


def test_a_step_that_raises_is_a_failure_of_the_script(open_peer: Callable[..., Peer]) -> None:
    def check(session: ServerSession) -> None:
        raise AssertionError(f"{len(session.received)} messages")

    script = Script([{"type": "first"}, check])
    with RealtimeServer(responder=script) as server:
        assert open_peer(server, checked=False).close_frame() == (1011, "a step of the script failed")
    assert script.failures == ["step 2 failed: AssertionError: 0 messages"]


def test_without_a_record_nothing_is_waited_for_in_vain(
    open_peer: Callable[..., Peer], caplog: pytest.LogCaptureFixture
) -> None:
    with RealtimeServer(responder=Script([expect("session.update", timeout=60)]), record=False) as server:
        peer = open_peer(server)
        assert peer.close_frame() == (1011, "a step of the script failed")
        assert "record=False" in caplog.text
        with pytest.raises(UsageError, match="record=False"):
            server.wait_for_session().wait_for_sent("session.created", timeout=60)


def test_the_plugin_gives_a_server_and_costs_nothing_before(tmp_path: Path) -> None:
    test = tmp_path / "test_theirs.py"
    test.write_text(
        "import sys\n"
        "def test_nothing_is_loaded():\n    assert 'wsproto' not in sys.modules\n"
        "def test_it_runs(realtime_server):\n    assert realtime_server.url.startswith('http://127.0.0.1:')\n"
    )
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": str(ROOT)}
    arguments = [sys.executable, "-m", "pytest", "-q", "-p", "realtime_sync.testing.plugin", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*arguments, str(test)], capture_output=True, text=True, timeout=60, cwd=tmp_path, env=environment, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout


def test_a_translation_session_translates_what_was_said(open_peer: Callable[..., Peer]) -> None:
    with RealtimeServer(responder=lambda turn: "Bonjour le monde.", transcriber=lambda pcm, rate: "Hello.") as server:
        peer = open_peer(server, "/v1/realtime/translations?model=gpt-realtime-translate", dialect="translation")
        created = peer.until("session.created")["session"]
        assert (created["type"], created["audio"]["output"]) == ("translation", {"language": "en"})
        audio = {"input": {"transcription": {"model": "gpt-realtime-whisper"}}, "output": {"language": "fr"}}
        peer.say("session.update", session={"audio": audio})
        assert peer.until("session.updated")["session"]["audio"]["output"] == {"language": "fr"}
        speech = tone(900) + silence(600)
        peer.say("session.input_audio_buffer.append", audio=base64.b64encode(speech).decode())
        peer.until("session.output_audio.delta")
        peer.say("response.create", event_id="mine")
        assert peer.error()["event_id"] == "mine"
        peer.say("session.close")
        peer.until("session.closed")
        assert peer.close_frame()[0] == 1000
    said = "".join(event["delta"] for event in peer.seen if event["type"] == "session.output_transcript.delta")
    heard = [event["delta"] for event in peer.seen if event["type"] == "session.input_transcript.delta"]
    assert (said, heard) == ("Bonjour le monde.", ["Hello."])


def test_a_translation_that_fails_is_told_and_the_session_goes_on(open_peer: Callable[..., Peer]) -> None:
    answers: Iterator[str] = iter(["Bonjour."])

    def transcriber(pcm: bytes, rate: int) -> str:
        return f"{len(pcm) / 2 / rate:.1f} s"

    def responder(turn: Turn) -> str:
        if turn.audio_ms.popitem()[1] > 3000:  # type: ignore[attr-defined]
            raise ValueError("too long")
        return next(answers)

    with RealtimeServer(responder=responder, transcriber=transcriber) as server:
        peer = open_peer(server, "/v1/realtime/translations?model=gpt-realtime-translate", dialect="translation")
        for seconds in (4, 1):
            speech = tone(1000 * seconds) + silence(600)
            peer.say("session.input_audio_buffer.append", audio=base64.b64encode(speech).decode())
        assert peer.error()["type"] == "server_error"
        assert peer.until("session.output_transcript.delta")["delta"] == "Bonjour."
        peer.say("session.close")
        peer.until("session.closed")


def test_a_translation_session_keeps_no_silence(open_peer: Callable[..., Peer]) -> None:
    lengths: list[float] = []

    def transcriber(pcm: bytes, rate: int) -> str:
        lengths.append(len(pcm) / 2 / rate)
        return "Hello."

    with RealtimeServer(responder=lambda turn: "Bonjour.", transcriber=transcriber) as server:
        peer = open_peer(server, "/v1/realtime/translations?model=gpt-realtime-translate", dialect="translation")
        peer.say("session.update", session={"audio": {"input": {"transcription": {"model": "gpt-realtime-whisper"}}}})
        for audio in (silence(20_000), silence(20_000) + tone(1000) + silence(600)):
            peer.say("session.input_audio_buffer.append", audio=base64.b64encode(audio).decode())
        peer.until("session.output_transcript.delta")
    assert 1.4 <= lengths[0] <= 2.0  # the tone, the silence that ended it, and 300 ms before

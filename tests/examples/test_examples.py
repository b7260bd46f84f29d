"""Every example runs, as a user would run it: a process of its own, in an empty folder."""

from __future__ import annotations

import ast
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from realtime_sync import Conversation, write_wav
from realtime_sync.server import RealtimeServer, Script, ServerSession, Turn, expect, faults
from realtime_sync.server.speech.recorded import recording_of
from realtime_sync.server.speech.sentences import sentences
from realtime_sync.server.voice import speak
from tests.core.harness import Running, until
from tests.harness import within

pytestmark = pytest.mark.medium

EXAMPLES = Path(__file__).parents[2] / "examples"


def command(name: str, *arguments: str) -> list[str]:
    return [sys.executable, "-W", "error", str(EXAMPLES / name), *arguments]


def environment(env: dict[str, str] | None = None) -> dict[str, str]:
    return {**os.environ, **(env or {})}


def finish(
    name: str, cwd: Path, *arguments: str, env: dict[str, str] | None = None, typed: str = ""
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(name, *arguments),
        cwd=cwd,
        env=environment(env),
        input=typed,
        capture_output=True,
        text=True,
        timeout=40,
        check=False,
    )


def run(name: str, cwd: Path, *arguments: str, env: dict[str, str] | None = None, typed: str = "") -> str:
    finished = finish(name, cwd, *arguments, env=env, typed=typed)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert finished.stderr == ""
    return finished.stdout


def refused(name: str, cwd: Path, *arguments: str, env: dict[str, str] | None = None) -> str:
    """What the example says before it gives up, which is no traceback."""
    finished = finish(name, cwd, *arguments, env=env)
    assert finished.returncode in (1, 2), finished.stdout + finished.stderr
    assert "Traceback" not in finished.stderr
    return f"{finished.stdout}\n{finished.stderr}"


def one_line(name: str, cwd: Path, *arguments: str, env: dict[str, str], typed: str = "") -> str:
    """All that the example writes to the standard error before it gives up."""
    finished = finish(name, cwd, *arguments, env=env, typed=typed)
    assert finished.returncode == 1, finished.stdout + finished.stderr
    assert finished.stderr.count("\n") == 1, finished.stderr
    return finished.stderr


def environments(server: RealtimeServer) -> dict[str, dict[str, str]]:
    azure = {
        "AZURE_OPENAI_ENDPOINT": server.azure_endpoint,
        "AZURE_OPENAI_API_KEY": "any-key",
        "AZURE_OPENAI_DEPLOYMENT": "my-deployment",
    }
    return {
        "openai": {"OPENAI_API_KEY": "any-key", "OPENAI_BASE_URL": server.url},
        "azure": azure,
        "azure-preview": {**azure, "AZURE_OPENAI_API_VERSION": "2025-04-01-preview"},
    }


@contextmanager
def started(name: str, cwd: Path, env: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        command(name),
        cwd=cwd,
        env=environment(env),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def loudness(path: Path) -> tuple[float, int]:
    """Seconds, and the loudest sample."""
    with wave.open(str(path)) as file:
        assert (file.getframerate(), file.getsampwidth(), file.getnchannels()) == (24000, 2, 1)
        frames = file.readframes(file.getnframes())
        samples = memoryview(frames).cast("h")
        return file.getnframes() / 24000, max(abs(sample) for sample in samples)


HYPERION = "The tallest tree is Hyperion, a coast redwood in California. It is 116 metres tall."


@pytest.fixture
def without_voice(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment as where the extra voice is not installed."""
    folder = tmp_path_factory.mktemp("without-voice")
    code = "import sys\nsys.modules.update(dict.fromkeys(['faster_whisper', 'hibari', 'onnxruntime', 'soxr']))\n"
    (folder / "sitecustomize.py").write_text(code)
    return {"PYTHONPATH": os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")]))}


def test_console_from_file_understands_a_sample_and_answers_it_in_recorded_speech(
    tmp_path: Path, without_voice: dict[str, str]
) -> None:
    told = run("console_from_file.py", tmp_path, env=without_voice)
    assert "No key in the environment" in told
    assert "It knows the three sample recordings by heart" in told
    assert 'pip install -e ".[voice]"' in told
    assert "Heard   What is the tallest tree in the world?\n" in told
    assert f"Answer  {HYPERION}\n" in told
    recordings = [recording_of(sentence) or b"" for sentence in sentences([HYPERION])]
    with wave.open(str(tmp_path / "answer.wav")) as file:
        assert file.readframes(file.getnframes()) == b"".join(recordings)


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="which have a player of their own")
def test_console_from_file_says_how_to_hear_the_answer(tmp_path: Path, without_voice: dict[str, str]) -> None:
    players = tmp_path / "bin"
    players.mkdir()
    env = {**without_voice, "PATH": str(players)}
    told = run("console_from_file.py", tmp_path, "-o", "my answer.wav", env=env)
    assert f"\nHear it open {tmp_path.as_uri()}/my%20answer.wav in a browser\n" in told
    (players / "aplay").touch(mode=0o755)
    told = run("console_from_file.py", tmp_path, "-o", "my answer.wav", env=env)
    assert told.endswith("\nHear it aplay 'my answer.wav'\n")


def test_console_from_file_says_why_it_does_not_understand_another_recording(
    tmp_path: Path, without_voice: dict[str, str]
) -> None:
    write_wav(tmp_path / "question.wav", speak("Which is the oldest tree?"))
    told = run("console_from_file.py", tmp_path, "question.wav", env=without_voice)
    assert re.search(r"Heard   \[\d\.\d seconds of audio\]\n", told)
    assert "Answer  I did not understand any words. Only the three sample recordings are known here" in told
    assert loudness(tmp_path / "answer.wav")[1] > 3000


@pytest.mark.slow
def test_console_from_file_hears_and_speaks_with_the_extra_voice(tmp_path: Path) -> None:
    for package in ("faster_whisper", "hibari"):
        pytest.importorskip(package, reason="needs the extra voice")
    told = run("console_from_file.py", tmp_path)
    assert re.search(r"It hears and speaks with models on this machine, which load now: \d+\.\d s\.\n", told)
    assert "Heard   What is the tallest tree in the world?\n" in told
    assert f"Answer  {HYPERION}\n" in told
    seconds, loudest = loudness(tmp_path / "answer.wav")
    assert seconds > 5
    assert loudest > 3000


PARTS = (
    "__init__.py",
    "asgi_voice.py",
    "demo_client.py",
    "gunicorn_conf.py",
    "voice.py",
    "weather.py",
    "web_service.py",
)
WHOLE = [path for path in sorted(EXAMPLES.rglob("*.py")) if path.name not in PARTS]


@pytest.mark.parametrize("path", WHOLE, ids=lambda path: path.name)
def test_the_head_of_an_example_says_how_to_install_and_run_it_from_a_clone(path: Path) -> None:
    head = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    extra = re.search(r"^ +\.venv/bin/pip install -e \"\.\[([a-z,]+)\]\"", head, re.MULTILINE)
    assert extra is not None
    setup = (EXAMPLES.parent / "setup.cfg").read_text(encoding="utf-8")
    assert all(f"\n{name} =" in setup for name in extra[1].split(","))
    commands = re.findall(r"^ +(?:\S+=\S+ )*(?:\.\./)?\.venv/bin/(?!pip).*", head, re.MULTILINE)
    assert commands
    assert any(path.stem in command for command in commands)


@pytest.mark.parametrize(
    ("env", "told"),
    [
        ({"AZURE_OPENAI_ENDPOINT": "https://r.example", "AZURE_OPENAI_API_KEY": "k"}, "AZURE_OPENAI_DEPLOYMENT"),
        ({"OPENAI_API_KEY": "two words"}, "U+0020"),
    ],
)
def test_a_mistake_in_the_environment_is_told_and_no_demonstration_takes_its_place(
    tmp_path: Path, env: dict[str, str], told: str
) -> None:
    said = refused("console_from_file.py", tmp_path, env=env)
    assert told in said
    assert "embedded server answers" not in said


def test_what_goes_wrong_in_an_example_is_told_without_the_missing_key(tmp_path: Path) -> None:
    said = refused("console_from_file.py", tmp_path, "nowhere.wav")
    assert "nowhere.wav" in said
    assert "ConfigurationError" not in said


@pytest.mark.parametrize("kind", ["openai", "azure", "azure-preview"])
def test_console_from_file_talks_to_whatever_the_environment_tells(tmp_path: Path, kind: str) -> None:
    with RealtimeServer() as server:
        question = EXAMPLES / "audio" / "hello.wav"
        told = run("console_from_file.py", tmp_path, str(question), "-o", "out.wav", env=environments(server)[kind])
        paths = [session.path for session in server.sessions]
    assert "No key" not in told
    assert "Answer  I heard 3.0 seconds of audio." in told
    assert loudness(tmp_path / "out.wav")[1] > 3000
    assert paths == [{"openai": "/v1/realtime", "azure": "/openai/v1/realtime"}.get(kind, "/openai/realtime")]


def test_console_from_file_prints_what_was_heard_though_that_comes_behind_the_answer(tmp_path: Path) -> None:
    def late(pcm: bytes, rate: int) -> str:
        server.sessions[-1].wait_for_sent("response.done", 20)
        return "It is late."

    with RealtimeServer(transcriber=late) as server:
        told = run("console_from_file.py", tmp_path, env=environments(server)["openai"])
    assert "Heard   It is late.\nAnswer  I heard 3.4 seconds of audio.\n" in told


def test_console_from_file_answers_though_nobody_writes_down_what_was_heard(tmp_path: Path) -> None:
    def deaf(pcm: bytes, rate: int) -> str:
        raise RuntimeError("no ears")

    with RealtimeServer(transcriber=deaf) as server:
        example = Running(lambda: run("console_from_file.py", tmp_path, env=environments(server)["openai"]))
        until(lambda: server.sessions, 40, "no session came")
        server.sessions[0].wait_for_sent("response.done", 20)
        with within(4):  # it is told that there will be no transcript, and waits for none
            server.sessions[0].wait_until_closed(20)
        told = example.result(40)
    assert "Heard   (the service did not write it down)\nAnswer  I heard 3.4 seconds of audio.\n" in told


def test_text_chat_answers_each_line_until_an_empty_one(tmp_path: Path) -> None:
    told = run("text_chat.py", tmp_path, typed="Good morning\nHow are you\n\nnot read\n")
    assert told.endswith("you> Hello! How can I help you?\nyou> I am fine, thank you.\nyou> ")


def test_ask_prints_the_answer_and_what_it_cost(tmp_path: Path) -> None:
    told = run("ask.py", tmp_path, "Is", "it", "so?")
    assert "You asked: Is it so? I do not know. I only follow rules.\n" in told
    assert re.search(r"\d+ tokens read, \d+ written: about \$0\.\d{6}$", told.strip())


@pytest.mark.parametrize("kind", ["openai", "azure", "azure-preview"])
def test_ask_asks_whatever_the_environment_tells(tmp_path: Path, kind: str) -> None:
    with RealtimeServer(responder=lambda turn: "word " * 3) as server:
        told = run("ask.py", tmp_path, env=environments(server)[kind])
        asked = [message for message in server.sessions[0].received if message["type"] == "conversation.item.create"]
    assert "No key" not in told
    assert told.startswith("word word word")
    assert asked[0]["item"]["content"][0]["text"] == "What is the tallest tree?"


@pytest.mark.parametrize(
    "name", ["console_from_file.py", "text_chat.py", "manual_turns.py", "function_call_by_hand.py"]
)
def test_an_example_says_why_there_is_no_answer(tmp_path: Path, name: str) -> None:
    def has_no_quota(turn: Turn) -> str:
        raise RuntimeError("no quota")

    with RealtimeServer(responder=has_no_quota) as server:
        told = run(name, tmp_path, env=environments(server)["openai"], typed="Good morning\n")
    assert "[the response is failed: " in told
    assert "server_error" in told


def test_manual_turns_answers_each_file(tmp_path: Path, without_voice: dict[str, str]) -> None:
    told = run("manual_turns.py", tmp_path, env=without_voice)
    assert told.count("is item item_") == 2
    assert "answer: Hello! Yes, I can hear you.\n" in told
    assert "answer: I do not know the weather: I have no tool for it.\n" in told


def test_raw_messages_shows_every_message_and_the_refusal(tmp_path: Path) -> None:
    told = run("raw_messages.py", tmp_path)
    assert "session.created" in told
    assert "response.done" in told
    assert "The service on mine_1: invalid_value" in told


def test_function_call_by_hand_calls_and_says_the_result(tmp_path: Path) -> None:
    told = run("function_call_by_hand.py", tmp_path)
    assert 'The model calls get_weather({"city": "Paris"})' in told
    assert "21" in told.partition("The model says:")[2]


def stand_in_for_azure_identity(folder: Path) -> None:
    """Microsoft's package would ask Microsoft; this stands in for it, and nothing of ours is replaced."""
    package = folder / "azure"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "identity.py").write_text(
        "class DefaultAzureCredential: pass\n"
        "def get_bearer_token_provider(credential, scope):\n"
        "    assert scope == 'https://cognitiveservices.azure.com/.default'\n"
        "    return lambda: 'entra-token'\n"
    )


@pytest.mark.parametrize("version", ["v1", "2025-04-01-preview"])
def test_azure_entra_sends_the_token_and_no_key(tmp_path: Path, version: str) -> None:
    stand_in_for_azure_identity(tmp_path)
    with RealtimeServer() as server:
        env = {
            "PYTHONPATH": str(tmp_path),
            "AZURE_OPENAI_ENDPOINT": server.azure_endpoint,
            "AZURE_OPENAI_DEPLOYMENT": "my-deployment",
            "AZURE_OPENAI_API_VERSION": version,
        }
        told = run("azure_entra.py", tmp_path, env=env)
        headers = {name.lower(): value for name, value in server.sessions[0].headers.items()}
    assert "Good morning" in told
    assert headers["authorization"] == "Bearer entra-token"
    assert "api-key" not in headers


def test_azure_entra_says_what_to_set(tmp_path: Path) -> None:
    assert one_line("azure_entra.py", tmp_path, env={}).startswith("Set AZURE_OPENAI_ENDPOINT first; see ")


def test_voice_turns_prints_each_turn_with_its_timeline(tmp_path: Path, without_voice: dict[str, str]) -> None:
    told = run("voice_turns.py", tmp_path, str(EXAMPLES / "audio" / "hello.wav"), env=without_voice)
    assert "You    Hello, can you hear me?\nModel  Hello! Yes, I can hear you.\n" in told
    moments = ["speech_started", "speech_stopped", "committed", "response_created", "first_text", "first_audio", "done"]
    assert sorted(moments, key=told.index) == moments
    assert "ms after the end of speech was noticed" in told


def test_interrupt_shows_that_the_model_knows_what_was_heard(tmp_path: Path, without_voice: dict[str, str]) -> None:
    told = run("interrupt.py", tmp_path, env=without_voice)
    assert HYPERION in told
    heard = float(told.partition("Heard     ")[2].split()[0])
    assert 0.1 <= heard <= 1.6
    assert "Shortened yes" in told
    assert f"knows that it said {heard:.1f} s" in told


def test_tools_are_called_and_answered_with(tmp_path: Path) -> None:
    told = run("tools.py", tmp_path)
    assert "(get_weather was called for Paris)" in told
    assert "Here is the answer: city: Paris, sky: clear, degrees: 21, unit: celsius.\n" in told


def test_mcp_approval_asks_before_each_call(tmp_path: Path) -> None:
    told = run("mcp_approval.py", tmp_path)
    assert "(docs.search{'query': 'Please search: what is the tallest tree?'}: approved)" in told
    assert "Here is the answer: one result for" in told


def test_mcp_approval_rejects_what_does_more_than_read(tmp_path: Path) -> None:
    with RealtimeServer(mcp_servers={"docs": ["delete"]}) as server:
        told = run("mcp_approval.py", tmp_path, "Please delete it all", env=environments(server)["openai"])
    assert "(docs.delete{'query': 'Please delete it all'}: rejected)" in told
    assert "this user allows reading only" in told


def test_long_conversation_survives_a_loss_and_goes_on_tomorrow(tmp_path: Path) -> None:
    def lose() -> None:
        live = server.wait_for_session(20)
        live.wait_for_sent("rate_limits.updated", 20)
        live.inject(faults.drop())

    with RealtimeServer() as server:
        losing = threading.Thread(target=lose, daemon=True)
        losing.start()
        env = environments(server)["openai"]
        told = run("long_conversation.py", tmp_path, env=env, typed="one\n" + "more\n" * 60)
        losing.join(5)
        # The loss may come in the middle of any answer, the first one, too; it is told then.
        assert told.count("You said: ") + told.count("[the answer was cut off; ask again]") == 61
        assert told.count("[reconnected after") == 1
        held = len(Conversation.from_json((tmp_path / "conversation.json").read_text()).items)
        assert held >= 121
        told = run("long_conversation.py", tmp_path, env=env, typed="and now\n")
        assert f"(going on with {held} items from conversation.json)" in told
        assert len(list(server.sessions[-1].conversation)) == held + 2


# What goes wrong -----------------------------------------------------------------------------------------------------

SIX = [
    "console_from_file.py",
    "text_chat.py",
    "manual_turns.py",
    "raw_messages.py",
    "function_call_by_hand.py",
    "azure_entra.py",
]


@pytest.mark.parametrize("name", SIX)
def test_help_tells_what_an_example_does_and_connects_nowhere(tmp_path: Path, name: str) -> None:
    told = run(name, tmp_path, "--help")
    assert told.startswith(f"usage: {name}")
    assert "embedded server" not in told


@pytest.mark.parametrize("name", [name for name in SIX if name not in ("console_from_file.py", "manual_turns.py")])
def test_an_argument_that_means_nothing_is_refused(tmp_path: Path, name: str) -> None:
    assert "unrecognized arguments: --voice" in refused(name, tmp_path, "--voice")


@pytest.mark.parametrize("name", ["console_from_file.py", "manual_turns.py"])
@pytest.mark.parametrize("question", ["nowhere.wav", "folder", "notes.txt"])
def test_a_question_that_is_no_recording_is_told_before_a_session_is_paid_for(
    tmp_path: Path, name: str, question: str
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "notes.txt").write_text("What is the tallest tree?")
    with RealtimeServer() as server:
        told = refused(name, tmp_path, question, env=environments(server)["openai"])
        assert server.sessions == []
    assert re.search(rf"{name}: error: .*{question}", told)


def test_an_answer_that_cannot_be_written_is_told_before_a_session_is_paid_for(tmp_path: Path) -> None:
    with RealtimeServer() as server:
        told = refused("console_from_file.py", tmp_path, "-o", "nodir/answer.wav", env=environments(server)["openai"])
        assert server.sessions == []
    assert re.search(r"console_from_file.py: error: .*nodir/answer\.wav", told)


def test_where_nothing_was_answered_an_earlier_answer_stays_and_no_empty_one_is_left(tmp_path: Path) -> None:
    (tmp_path / "earlier.wav").write_text("what was answered before")
    with RealtimeServer(faults=faults.Faults(acts=[faults.drop(after_received=3)])) as server:
        env = environments(server)["openai"]
        assert "ConnectionLostError" in one_line("console_from_file.py", tmp_path, env=env)
        assert "ConnectionLostError" in one_line("console_from_file.py", tmp_path, "-o", "earlier.wav", env=env)
    assert [path.name for path in tmp_path.iterdir()] == ["earlier.wav"]
    assert (tmp_path / "earlier.wav").read_text() == "what was answered before"


NOBODY_SIGNED_IN = {
    "AZURE_OPENAI_ENDPOINT": "http://127.0.0.1:9",
    "AZURE_OPENAI_DEPLOYMENT": "d",
    "AZURE_TOKEN_CREDENTIALS": "AzureCliCredential",  # the others would ask the network
}
# Each starts an interpreter, so one is tried quickly, and all in CI.
FAILING = [
    "text_chat.py",
    *(
        pytest.param(name, marks=pytest.mark.slow)
        for name in ("console_from_file.py", "manual_turns.py", "raw_messages.py", "function_call_by_hand.py")
    ),
]


@pytest.mark.parametrize("name", FAILING)
def test_a_key_that_is_refused_is_one_line(tmp_path: Path, name: str) -> None:
    with RealtimeServer(api_keys=["another"]) as server:
        told = one_line(name, tmp_path, env=environments(server)["openai"], typed="Good morning\n")
    assert told.startswith("AuthenticationError: ")


@pytest.mark.parametrize("name", FAILING)
def test_a_loss_in_the_middle_is_one_line(tmp_path: Path, name: str) -> None:
    with RealtimeServer(faults=faults.Faults(acts=[faults.drop(after_received=2)])) as server:
        told = one_line(name, tmp_path, env=environments(server)["openai"], typed="Good morning\n")
    assert told.startswith("ConnectionLostError: ")


def test_a_port_where_nobody_listens_is_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    told = one_line("raw_messages.py", tmp_path, env={"OPENAI_BASE_URL": f"http://127.0.0.1:{port}/v1"})
    assert told.startswith("ConnectionFailedError: ")


@pytest.mark.parametrize("name", [*FAILING, pytest.param("azure_entra.py", marks=pytest.mark.slow)])
def test_ctrl_c_while_connecting_is_130_and_no_traceback(tmp_path: Path, name: str) -> None:
    stand_in_for_azure_identity(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as hanging:
        hanging.settimeout(30)
        url = f"http://127.0.0.1:{hanging.getsockname()[1]}"
        env = {"OPENAI_BASE_URL": f"{url}/v1"}
        if name == "azure_entra.py":
            env = {"AZURE_OPENAI_ENDPOINT": url, "AZURE_OPENAI_DEPLOYMENT": "d", "PYTHONPATH": str(tmp_path)}
        with started(name, tmp_path, env) as process:
            peer, _ = hanging.accept()
            with peer, peer.makefile("rb") as request:
                while request.readline().strip():
                    pass
                # An interrupt in a constructor of http.client, just before, would have the interpreter complain.
                until(lambda: waits(process))
                process.send_signal(signal.SIGINT)
                _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (130, "")


def waits(process: subprocess.Popen[str]) -> bool:
    """True where its main thread sleeps, as far as this system tells."""
    state = Path(f"/proc/{process.pid}/stat")
    return not state.exists() or state.read_text().rpartition(")")[2].split()[0] == "S"


def test_ctrl_c_at_the_prompt_of_text_chat_is_130_and_no_traceback(tmp_path: Path) -> None:
    with RealtimeServer() as server, started("text_chat.py", tmp_path, environments(server)["openai"]) as process:
        assert process.stdout is not None
        assert process.stdout.read(5) == "you> "
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (130, "")


def test_text_chat_without_a_standard_input_ends_as_at_its_end(tmp_path: Path) -> None:
    finished = subprocess.run(
        ["sh", "-c", 'exec "$@" <&-', "sh", *command("text_chat.py")],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=40,
        check=False,
    )
    assert (finished.returncode, finished.stderr) == (0, "")


@pytest.mark.parametrize("name", FAILING)
def test_an_output_that_nobody_reads_is_no_traceback(tmp_path: Path, name: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        finished = subprocess.run(
            command(name),
            cwd=tmp_path,
            env=environment(),
            input="Good morning\n",
            stdout=writing,
            stderr=subprocess.PIPE,
            text=True,
            timeout=40,
            check=False,
        )
    finally:
        os.close(writing)
    assert (finished.returncode, finished.stderr) == (141, "")


def refusal_of_the_latest(session: ServerSession) -> dict[str, Any]:
    refused = {"type": "invalid_request_error", "code": "odd", "message": "That is too odd.", "param": None}
    return {"type": "error", "event_id": "e", "error": {**refused, "event_id": session.received[-1]["event_id"]}}


def session_updated(session: ServerSession) -> dict[str, Any]:
    return {"type": "session.updated", "event_id": "e", "session": session.received[-1]["session"]}


def item_added(session: ServerSession) -> dict[str, Any]:
    item = session.received[-1]["item"]
    return {"type": "conversation.item.added", "event_id": "e", "previous_item_id": None, "item": item}


def response(wire_type: str, status: str) -> dict[str, Any]:
    return {"type": wire_type, "event_id": "e", "response": {"id": "r", "status": status, "output": []}}


def delta(text: str) -> dict[str, Any]:
    where = {"response_id": "r", "item_id": "i", "output_index": 0, "content_index": 0}
    return {"type": "response.output_text.delta", "event_id": "e", "delta": text, **where}


@pytest.mark.parametrize("refused_command", ["conversation.item.create", "response.create"])
def test_text_chat_goes_on_in_step_after_a_refusal(tmp_path: Path, refused_command: str) -> None:
    steps: list[Any] = [expect("session.update"), session_updated, expect("conversation.item.create")]
    if refused_command == "response.create":
        steps += [item_added, expect("response.create")]
    script = Script(
        [
            *steps,
            refusal_of_the_latest,
            expect("conversation.item.create"),
            item_added,
            expect("response.create"),
            response("response.created", "in_progress"),
            delta("the second answer"),
            response("response.done", "completed"),
        ]
    )
    with RealtimeServer(responder=script) as server:
        told = run("text_chat.py", tmp_path, env=environments(server)["openai"], typed="one\ntwo\n")
    assert script.failures == []
    assert told.startswith("you> [the service refused: That is too odd.]\nyou> the second answer\n")
    assert told.count("too odd") == 1


def test_text_chat_stays_in_step_after_an_error_that_is_no_answer(tmp_path: Path) -> None:
    odd = '{"type": "error", "event_id": "e", "error": {"type": "server_error", "message": "Something else."}}'
    with RealtimeServer(faults=faults.Faults(acts=[faults.send(odd, after_received=3)])) as server:
        told = run("text_chat.py", tmp_path, env=environments(server)["openai"], typed="one\ntwo\nthree\n")
    first, second, third = told.split("you> ")[1:4]
    assert "[error: Something else.]" in first
    assert "You said: one" in first.replace("[error: Something else.]\n", "")
    assert second == "You said: two\n"
    assert third == "You said: three\n"


def test_raw_messages_ends_where_its_response_is_refused(tmp_path: Path) -> None:
    steps: list[Any] = [
        expect("response.create"),
        refusal_of_the_latest,
        expect("anything.at.all"),
        refusal_of_the_latest,
    ]
    with RealtimeServer(responder=Script(steps)) as server:
        told = run("raw_messages.py", tmp_path, env=environments(server)["openai"])
    assert "The service on mine_1: odd" in told


def test_raw_messages_reads_on_after_an_error_about_something_else(tmp_path: Path) -> None:
    with RealtimeServer() as server:  # which does not know session.type in this dialect, as the service
        told = run("raw_messages.py", tmp_path, env=environments(server)["azure-preview"])
    assert "\nerror " in told
    assert "\nresponse.done " in told
    assert "The service on mine_1: " in told


@pytest.mark.parametrize("name", FAILING)
def test_an_orderly_end_before_the_answer_is_one_line(tmp_path: Path, name: str) -> None:
    with RealtimeServer(faults=faults.Faults(acts=[faults.close(1000, after_sent=4)])) as server:
        told = one_line(name, tmp_path, env=environments(server)["openai"], typed="Good morning\n")
    assert "ended the session" in told or "closed" in told


@pytest.mark.slow  # importing azure-identity takes seconds
def test_nobody_signed_in_is_one_line_where_the_environment_asks_for_entra(tmp_path: Path) -> None:
    env = {**NOBODY_SIGNED_IN, "AZURE_OPENAI_USE_ENTRA": "true", "PATH": str(tmp_path)}
    assert one_line("raw_messages.py", tmp_path, env=env).endswith(" Signed in? az login\n")


@pytest.mark.slow  # importing azure-identity takes seconds
def test_azure_entra_says_what_to_install_after_what_to_set(tmp_path: Path) -> None:
    (tmp_path / "azure").mkdir()
    (tmp_path / "azure" / "__init__.py").touch()  # as where Microsoft's package is not installed
    env = {"PYTHONPATH": str(tmp_path)}
    assert "Set AZURE_OPENAI_ENDPOINT first" in one_line("azure_entra.py", tmp_path, env=env)
    env |= {"AZURE_OPENAI_ENDPOINT": "http://127.0.0.1:9", "AZURE_OPENAI_DEPLOYMENT": "d"}
    told = one_line("azure_entra.py", tmp_path, env=env)
    assert told == 'This example needs azure-identity: pip install -e ".[azure]"\n'


def test_azure_entra_where_nobody_is_signed_in_is_one_line(tmp_path: Path) -> None:
    env = {**NOBODY_SIGNED_IN, "PATH": str(tmp_path)}
    assert one_line("azure_entra.py", tmp_path, env=env).endswith(" Signed in? az login\n")


# GPT-Live -------------------------------------------------------------------------------------------------------------

AUDIO = EXAMPLES / "audio"


@pytest.mark.slow
def test_live_talk_does_what_is_delegated_and_prints_both_sides(tmp_path: Path, without_voice: dict[str, str]) -> None:
    questions = [str(AUDIO / name) for name in ("hello.wav", "what_is_the_weather.wav")]
    told = run("live_talk.py", tmp_path, *questions, env=without_voice)
    assert re.search(r"^ +\d\.\d s  user       Hello, can you hear me\?$", told, re.MULTILINE), told
    assert re.search(r"^\(delegated: .*What is the weather like in Paris today\?\)$", told, re.MULTILINE), told
    assert "The weather in Paris: sunny, 21 degrees." in told
    seconds, loudest = loudness(tmp_path / "answer.wav")
    assert (seconds > 8, loudest > 1000) == (True, True), (seconds, loudest)


def test_live_talk_without_devices_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "sounddevice.py").write_text("raise ImportError('as if it were not installed')\n")
    here = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")]))
    env = {"OPENAI_API_KEY": "any-key", "OPENAI_BASE_URL": "http://127.0.0.1:9/v1", "PYTHONPATH": here}
    told = one_line("live_talk.py", tmp_path, env=env)
    assert "realtime-sync[devices]" in told
    assert "examples/audio/what_is_the_weather.wav" in told


@pytest.mark.slow
def test_live_backend_has_a_function_called_and_says_what_it_returned(
    tmp_path: Path, without_voice: dict[str, str]
) -> None:
    told = run("live_backend.py", tmp_path, env=without_voice)
    assert "  (get_weather was called for Paris)\n" in told
    assert "user       What is the weather like in Paris today?\n" in told
    assert "degrees: 21" in told
    assert re.search(r"^\d+ seconds were counted\.$", told, re.MULTILINE)


@pytest.mark.parametrize("name", ["live_backend.py", "live_talk.py"])
def test_a_live_session_with_a_key_that_is_refused_is_one_line(tmp_path: Path, name: str) -> None:
    question = str(AUDIO / "hello.wav")
    with RealtimeServer(api_keys=["another"]) as server:
        assert one_line(name, tmp_path, question, env=environments(server)["openai"]).startswith(
            "AuthenticationError: "
        )

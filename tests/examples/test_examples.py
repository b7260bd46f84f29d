"""Every example runs, as a user would run it: a process of its own, in an empty folder."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import wave
from pathlib import Path

import pytest

from realtime_sync import Conversation
from realtime_sync.server import RealtimeServer, Turn, faults

EXAMPLES = Path(__file__).parents[2] / "examples"
OURS = ("OPENAI_", "AZURE_OPENAI_")


def run(name: str, cwd: Path, *arguments: str, env: dict[str, str] | None = None, typed: str = "") -> str:
    clean = {key: value for key, value in os.environ.items() if not key.startswith(OURS)}
    finished = subprocess.run(
        [sys.executable, "-W", "error", str(EXAMPLES / name), *arguments],
        cwd=cwd,
        env={**clean, **(env or {})},
        input=typed,
        capture_output=True,
        text=True,
        timeout=40,
        check=False,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert finished.stderr == ""
    return finished.stdout


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


def refused(name: str, cwd: Path, env: dict[str, str]) -> str:
    """What the example says before it gives up, which is no traceback."""
    with pytest.raises(AssertionError) as caught:
        run(name, cwd, env=env)
    assert "Traceback" not in str(caught.value)
    return str(caught.value)


def loudness(path: Path) -> tuple[float, int]:
    """Seconds, and the loudest sample."""
    with wave.open(str(path)) as file:
        assert (file.getframerate(), file.getsampwidth(), file.getnchannels()) == (24000, 2, 1)
        frames = file.readframes(file.getnframes())
        samples = memoryview(frames).cast("h")
        return file.getnframes() / 24000, max(abs(sample) for sample in samples)


def test_console_from_file_answers_without_a_key_and_leaves_an_audible_wav(tmp_path: Path) -> None:
    told = run("console_from_file.py", tmp_path)
    assert "No key in the environment" in told
    assert "Heard   [3.4 seconds of audio]" in told
    assert "Answer  I heard 3.4 seconds of audio." in told
    seconds, loudest = loudness(tmp_path / "answer.wav")
    assert seconds > 1
    assert loudest > 3000


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
    said = refused("console_from_file.py", tmp_path, env)
    assert told in said
    assert "embedded server answers" not in said


def test_what_goes_wrong_in_an_example_is_told_without_the_missing_key(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=r"nowhere\.wav") as caught:
        run("console_from_file.py", tmp_path, "nowhere.wav")
    assert "ConfigurationError" not in str(caught.value)


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


def test_text_chat_answers_each_line_until_an_empty_one(tmp_path: Path) -> None:
    told = run("text_chat.py", tmp_path, typed="Good morning\nHow are you\n\nnot read\n")
    assert "Good morning" in told
    assert "How are you" in told
    assert "not read" not in told


def test_ask_prints_the_answer_and_what_it_cost(tmp_path: Path) -> None:
    told = run("ask.py", tmp_path, "Is", "it", "so?")
    assert "You said: Is it so?\n" in told
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


def test_manual_turns_answers_each_file(tmp_path: Path) -> None:
    told = run("manual_turns.py", tmp_path)
    assert told.count("is item item_") == 2
    assert "I heard 3.0 seconds" in told
    assert "I heard 3.6 seconds" in told


def test_raw_messages_shows_every_message_and_the_refusal(tmp_path: Path) -> None:
    told = run("raw_messages.py", tmp_path)
    assert "session.created" in told
    assert "response.done" in told
    assert "The service on mine_1: invalid_value" in told


def test_function_call_by_hand_calls_and_says_the_result(tmp_path: Path) -> None:
    told = run("function_call_by_hand.py", tmp_path)
    assert 'The model calls get_weather({"city": "Paris"})' in told
    assert "21" in told.partition("The model says:")[2]


@pytest.mark.parametrize("version", ["v1", "2025-04-01-preview"])
def test_azure_entra_sends_the_token_and_no_key(tmp_path: Path, version: str) -> None:
    # Microsoft's package would ask Microsoft; this stands in for it, and nothing of ours is replaced.
    package = tmp_path / "azure"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "identity.py").write_text(
        "class DefaultAzureCredential: pass\n"
        "def get_bearer_token_provider(credential, scope):\n"
        "    assert scope == 'https://cognitiveservices.azure.com/.default'\n"
        "    return lambda: 'entra-token'\n"
    )
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
    with pytest.raises(AssertionError, match="Set 'AZURE_OPENAI_ENDPOINT' first"):
        run("azure_entra.py", tmp_path)


def test_voice_turns_prints_each_turn_with_its_timeline(tmp_path: Path) -> None:
    told = run("voice_turns.py", tmp_path, str(EXAMPLES / "audio" / "hello.wav"))
    assert "Model  I heard" in told
    moments = ["speech_started", "speech_stopped", "committed", "response_created", "first_text", "first_audio", "done"]
    assert sorted(moments, key=told.index) == moments
    assert "ms after the end of speech was noticed" in told


def test_interrupt_shows_that_the_model_knows_what_was_heard(tmp_path: Path) -> None:
    told = run("interrupt.py", tmp_path)
    heard = float(told.partition("Heard     ")[2].split()[0])
    assert 0.1 <= heard <= 1.6
    assert "Shortened yes" in told
    assert f"knows that it said {heard:.1f} s" in told


def test_tools_are_called_and_answered_with(tmp_path: Path) -> None:
    told = run("tools.py", tmp_path)
    assert "(get_weather was called for Paris)" in told
    assert '"degrees": 21' in told


def test_mcp_approval_asks_before_each_call(tmp_path: Path) -> None:
    told = run("mcp_approval.py", tmp_path)
    assert "(docs.search{'query': 'Please search: what is the tallest tree?'}: approved)" in told
    assert "docs says: one result for" in told


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
        told = run("long_conversation.py", tmp_path, env=env, typed="one\n" + "more\n" * 200)
        losing.join(5)
        # The loss may come in the middle of any answer, the first one, too; it is told then.
        assert told.count("You said: ") + told.count("[the answer was cut off; ask again]") == 201
        assert told.count("[reconnected after") == 1
        held = len(Conversation.from_json((tmp_path / "conversation.json").read_text()).items)
        assert held >= 401
        told = run("long_conversation.py", tmp_path, env=env, typed="and now\n")
        assert f"(going on with {held} items from conversation.json)" in told
        assert len(list(server.sessions[-1].conversation)) == held + 2

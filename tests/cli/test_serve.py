"""``realtime-sync serve`` as a person starts it: a process, a terminal, signals."""

from __future__ import annotations

import importlib.util
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import websocket

from realtime_sync import AuthenticationError, ConversationSessionOptions, OpenAIClient, RealtimeConversationClient
from realtime_sync.transport.tls import CA_VARIABLES
from tests.cli.serving import Serving, run

pytestmark = pytest.mark.medium

TEXT = ConversationSessionOptions(content_modalities=["text"])


@pytest.fixture(autouse=True)
def _no_authorities_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in CA_VARIABLES:
        monkeypatch.delenv(name, raising=False)


def client(serving: Serving, key: str = "any-key") -> RealtimeConversationClient:
    return OpenAIClient(key, endpoint=serving.url, proxy=False).get_realtime_conversation_client("gpt-realtime-2.1")


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_logs_each_session_and_ends_with_a_goodbye(how: signal.Signals) -> None:
    with Serving() as serving, client(serving) as ours, ours.start_conversation_session(TEXT) as session:
        assert session.ask("Hello").text == "Hello! How can I help you?"
        code, terminal = serving.stop(how)
        list(session.updates())  # to its end
        assert session.close_info is not None
        assert (code, session.close_info.code) == (0, 1001)
    began = re.search(r"(sess_\w+) began: gpt-realtime-2.1, realtime session\n", terminal)
    assert began is not None
    assert re.search(
        began[1] + r" ended: gpt-realtime-2.1, \d+\.\d s, 1 turn, closed by the server with 1001\n", terminal
    )
    assert "Traceback" not in terminal


def _console_from_file(serving: Serving, folder: Path) -> str:
    """What the example says that asks this server a recorded question."""
    example = Path(__file__).parents[2] / "examples" / "console_from_file.py"
    env = {**os.environ, "OPENAI_BASE_URL": serving.url, "OPENAI_API_KEY": "any-key", "NO_PROXY": "*"}
    asked = [sys.executable, str(example)]
    return subprocess.run(asked, env=env, cwd=folder, capture_output=True, text=True, timeout=50, check=True).stdout


def test_it_knows_the_sample_recordings_by_heart_without_the_extra_voice(tmp_path: Path) -> None:
    with Serving() as serving:
        told = _console_from_file(serving, tmp_path)
    assert "Heard   What is the tallest tree in the world?\n" in told
    assert "Answer  The tallest tree is Hyperion" in told


def test_it_reads_aloud_what_it_is_told_to_read() -> None:
    reading = ConversationSessionOptions(instructions="Read the user's text aloud, word for word.")
    with Serving() as serving, client(serving) as ours, ours.start_conversation_session(reading) as session:
        assert session.ask("What is your name?").transcript == "What is your name?"


def test_what_it_prints_is_what_a_client_needs() -> None:
    code = (
        "from realtime_sync import RealtimeConversationClient\n"
        "with RealtimeConversationClient.from_env() as client, client.start_conversation_session() as session:\n"
        "    print(session.ask('Hello').transcript)"
    )
    with Serving("--log-level", "error") as serving:
        for names in (("OPENAI_BASE_URL", "OPENAI_API_KEY"), ("AZURE_OPENAI_ENDPOINT", "AZURE_OPENAI_API_KEY")):
            deployment = {"AZURE_OPENAI_DEPLOYMENT": "gpt-realtime-2.1"} if names[0].startswith("AZURE") else {}
            env = {**{name: serving.exported[name] for name in names}, **deployment, "NO_PROXY": "*"}
            told = subprocess.run(
                [sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=50, check=True
            )
            assert told.stdout == "Hello! How can I help you?\n"
        _, terminal = serving.stop()
    assert "began" not in terminal


def test_a_key_is_required_and_never_shown() -> None:
    keys = {"REALTIME_SYNC_SERVER_KEY": "from-the-environment, another"}
    with Serving("--api-key", "from-the-argument", "--log-level", "debug", **keys) as serving:
        for key in ("from-the-environment", "another", "from-the-argument"):
            with client(serving, key) as ours, ours.start_conversation_session(TEXT) as session:
                assert session.ask("Hello").text
        with client(serving, "wrong-and-secret") as ours, pytest.raises(AuthenticationError):
            ours.start_conversation_session(TEXT)
        _, terminal = serving.stop()
    assert terminal.count("began") == 3
    for key in ("from-the", "another", "wrong-and-secret"):
        assert key not in terminal


def test_a_made_certificate_is_trusted_by_who_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with Serving("--tls") as serving:
        assert serving.url.startswith("https://127.0.0.1:")
        authority = re.search(r"SSL_CERT_FILE=(\S+)", serving.next_line())
        assert authority is not None
        monkeypatch.setenv("SSL_CERT_FILE", authority[1])
        with client(serving) as ours, ours.start_conversation_session(TEXT) as session:
            assert session.ask("Hello").text == "Hello! How can I help you?"
        serving.stop()
    assert not Path(authority[1]).exists()


def test_a_given_certificate_is_served(ca: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = ca.issue_cert("127.0.0.1")  # type: ignore[attr-defined]
    made.private_key_pem.write_to_path(tmp_path / "key.pem")
    made.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    ca.cert_pem.write_to_path(tmp_path / "authority.pem")  # type: ignore[attr-defined]
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    with Serving("--certificate", str(tmp_path / "cert.pem"), "--key", str(tmp_path / "key.pem")) as serving:
        with client(serving) as ours, ours.start_conversation_session(TEXT) as session:
            assert session.ask("Hello").text
        serving.stop()


def test_a_line_break_in_a_model_makes_no_line_of_the_log() -> None:
    with Serving() as serving:
        url = serving.url.replace("http", "ws", 1) + "/realtime?model=gpt%0Asess_forged%20began"
        raw = websocket.create_connection(url, timeout=30)
        raw.recv()
        raw.close()
        _, terminal = serving.stop()
    assert "gpt?sess_forged began" in terminal


def test_a_port_in_use_is_one_line_and_debug_shows_the_rest() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        plain, debug = run("serve", "--port", port), run("serve", "--port", port, "--debug")
    assert plain.returncode == 1
    assert plain.stderr.startswith(f"realtime-sync: error: cannot listen on 127.0.0.1 port {port}: ")
    assert plain.stderr.count("\n") == 1
    assert "Traceback" in debug.stderr


def test_a_port_in_use_is_told_before_the_models_are_loaded() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ended = run("serve", "--voice", "--port", str(taken.getsockname()[1]))
    assert ended.returncode == 1
    assert ended.stderr.startswith("realtime-sync: error: cannot listen on 127.0.0.1 port ")
    assert ended.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--certificate", "cert.pem"], "--certificate and --key belong together"),
        (["--certificate", "absent.pem", "--key", "absent.pem"], "absent.pem"),
        (["--tls", "--certificate", "cert.pem", "--key", "key.pem"], "--tls makes a certificate"),
        (["--api-key", ""], "--api-key is empty"),
        (["--port", "65536"], "0 to 65535"),
    ],
)
def test_wrong_settings_are_told_in_a_line(arguments: list[str], told: str) -> None:
    ended = run("serve", *arguments)
    assert ended.returncode == 2
    assert told in ended.stderr
    assert "Traceback" not in ended.stderr


def test_the_help_names_every_option_and_gives_examples() -> None:
    told = run("serve", "--help").stdout
    for word in ("--host", "--port", "--voice", "--api-key", "--certificate", "--key", "--tls", "examples:", "Ctrl-C"):
        assert word in told
    assert "serve" in run("--help").stdout


@pytest.mark.slow
def test_with_voice_it_holds_a_spoken_exchange(tmp_path: Path) -> None:
    for package in ("onnxruntime", "faster_whisper"):
        if importlib.util.find_spec(package) is None:
            pytest.skip("needs the extra voice")
    with Serving("--voice") as serving:
        told = _console_from_file(serving, tmp_path)
        serving.stop()
    assert "Heard   What is the tallest tree in the world?\n" in told
    assert "Answer  The tallest tree is Hyperion" in told
    assert (tmp_path / "answer.wav").stat().st_size > 48_000


@pytest.mark.parametrize(
    ("package", "arguments", "told"),
    [
        ("trustme", ["--tls"], "pip install 'realtime-sync[tls]'"),
        ("wsproto", [], "pip install 'realtime-sync[server]'"),
    ],
)
def test_a_missing_package_is_told_with_its_command(package: str, arguments: list[str], told: str) -> None:
    code = (
        f"import sys; sys.modules[{package!r}] = None; from realtime_sync.cli import main; "
        f"sys.exit(main(['serve', '--port', '0', *{arguments!r}]))"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=50, check=False)
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1)
    assert told in ended.stderr

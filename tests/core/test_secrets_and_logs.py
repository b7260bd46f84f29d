"""What is told to people: reprs, messages and logs, all without secrets; quiet unless asked."""

from __future__ import annotations

import base64
import json
import logging
import os
import subprocess
import sys
from typing import Any

import pytest

from realtime_sync import (
    AuthenticationError,
    AzureOpenAIClient,
    ConversationSessionOptions,
    ConversationTool,
    OpenAIClient,
    RealtimeConversationClient,
)
from realtime_sync.recording.wire_log import shown
from realtime_sync.server import Script, faults
from tests.core.harness import KEY, House

ROOT = __file__.rsplit("/tests/", 1)[0]
MCP_TOKEN = "mcp-token-that-nobody-may-see"
SECRETS = (KEY, MCP_TOKEN, "header-that-nobody-may-see", "query-that-nobody-may-see")


def told(text: str) -> list[str]:
    return [secret for secret in SECRETS if secret in text]


def converse(house: House, **options: Any) -> Any:
    """A session in which all that is secret has been used."""
    session = house.open(headers={"X-Extra": SECRETS[2]}, query={"extra": SECRETS[3]}, **options)
    tool = ConversationTool.create_mcp_tool(
        "label", "https://example.com", authorization=MCP_TOKEN, headers={"X-Key": MCP_TOKEN}
    )
    session.configure_session(ConversationSessionOptions(tools=[tool])).wait()
    session.send_audio(bytes(range(256)) * 20)
    session.send_message({"type": "input_audio_buffer.append", "audio": base64.b64encode(b"short one").decode()})
    session.add_item("Hello").wait()
    session.start_response().wait()
    session.wait_for("response.done", timeout=5)
    return session


def test_nothing_is_logged_at_the_default_level(house: House, caplog: pytest.LogCaptureFixture) -> None:
    session = converse(house)
    session.close()
    lost = house.open()
    house.live.inject(faults.drop())
    with pytest.raises(ConnectionError):
        list(lost.updates())
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_nothing_is_printed_by_a_program_that_configures_no_logging(plain: House) -> None:
    code = """
import sys
from realtime_sync import OpenAIClient
with OpenAIClient("k", endpoint=sys.argv[1]).get_realtime_conversation_client("m").start_conversation_session() as s:
    s.delete_item("item_none")
    s.add_item("Hi").wait()
"""
    done = subprocess.run(
        [sys.executable, "-c", code, plain.server.url],
        capture_output=True,
        text=True,
        timeout=45,
        env={**os.environ, "PYTHONPATH": ROOT},
        check=True,
    )
    assert (done.stdout, done.stderr) == ("", "")


def test_the_wire_is_logged_at_debug_without_secrets_and_audio_as_a_length(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, "realtime_sync"):
        session = converse(house)
        session.close()
    text = caplog.text
    assert told(text) == []
    assert "session.created" in text
    assert "conversation.item.create" in text
    assert "Hello" in text
    assert "authorization" not in text.lower() or '"authorization": "***"' in text
    assert base64.b64encode(bytes(range(256)))[:40].decode() not in text
    assert base64.b64encode(b"short one").decode() not in text
    assert "characters>" in text
    assert max(len(record.getMessage()) for record in caplog.records if record.name == "realtime_sync.wire") < 6000


def test_frames_that_are_not_json_are_logged_as_a_length(plain: House, caplog: pytest.LogCaptureFixture) -> None:
    plain.serve(responder=Script([f"not JSON {KEY}", faults.close(1000)]))
    with caplog.at_level(logging.DEBUG, "realtime_sync"):
        list(plain.open().updates())
    assert told(caplog.text) == []
    assert "not JSON>" in caplog.text


def test_reprs_tell_no_secret_and_what_one_wants_to_know(house: House) -> None:
    session = converse(house)
    client = house.client(headers={"X-Extra": SECRETS[2]}, query={"extra": SECRETS[3]})
    handle = session.configure_session(
        ConversationSessionOptions(tools=[ConversationTool.create_mcp_tool("x", "https://x", authorization=MCP_TOKEN)])
    )
    handle.wait()
    shown = [
        repr(thing)
        for thing in (
            session,
            client,
            handle,
            handle.update,
            session.session,
            session.subscribe(),
            session.start_sending_audio(bytes(4800)),
            OpenAIClient(KEY, headers={"X-Extra": SECRETS[2]}, query={"extra": SECRETS[3]}),
            AzureOpenAIClient("https://example.com", KEY, headers={"X-Extra": SECRETS[2]}),
            RealtimeConversationClient("m", KEY),
            client.endpoint,
            client.settings,
        )
    ]
    assert [told(text) for text in shown if told(text)] == []
    assert session.id in shown[0]
    assert "open" in shown[0]
    session.close()
    assert "closed here (1000)" in repr(session)


def test_errors_tell_no_secret(house: House) -> None:
    house.serve(api_keys=["another"])
    with pytest.raises(AuthenticationError) as caught:
        house.open(headers={"X-Extra": SECRETS[2]})
    error: BaseException | None = caught.value
    while error is not None:
        assert told(str(error) + repr(error) + str(vars(error))) == []
        error = error.__cause__ or error.__context__


def test_a_key_that_a_server_repeats_in_its_refusal_is_not_shown(plain: House) -> None:
    error = {"type": "error", "error": {"code": "invalid_api_key", "message": "Incorrect key: sk-proj-abcdef123456."}}
    plain.serve(first_update=None, responder=Script([error, faults.close(3000, "invalid_api_key")]))
    with pytest.raises(AuthenticationError) as caught:
        plain.open()
    assert "abcdef123456" not in str(caught.value)


def test_what_an_mcp_server_is_called_with_is_not_shown() -> None:
    tool = ConversationTool.create_mcp_tool(
        "label", f"https://user:{KEY}@example.com/mcp?token={KEY}", extra={"authorization": KEY}
    )
    assert KEY not in repr(tool)
    assert "https://example.com/mcp" in repr(tool)
    message = {"session": {"tools": [{"type": "mcp", "server_url": f"https://{KEY}@example.com/mcp?token={KEY}"}]}}
    assert KEY not in shown(json.dumps(message))


def test_a_message_with_half_a_character_can_be_logged() -> None:
    assert shown('{"half": "\\ud83c"}').encode()


def test_a_message_that_is_nested_deeply_can_be_logged(plain: House, caplog: pytest.LogCaptureFixture) -> None:
    deep = '{"type": "deep", "x": ' + "[" * 700 + "]" * 700 + "}"
    plain.serve(responder=Script([faults.send(deep)]))
    with caplog.at_level(logging.DEBUG, "realtime_sync.wire"):
        session = plain.open()
        assert session.wait_for("deep", timeout=5).raw_content == deep
    assert not session.closed

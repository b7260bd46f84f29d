"""Objects that hold secrets: what they show, what they let through, and what cannot be made."""

from __future__ import annotations

import base64
import copy
import enum
import importlib
import inspect
import json
import pickle
import pkgutil
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

import realtime_sync
from realtime_sync import (
    AzureOpenAIClient,
    AzureVoiceLiveClient,
    Conversation,
    ConversationFunctionTool,
    ConversationSessionOptions,
    ConversationTool,
    ConversationUpdate,
    OpenAIClient,
    RealtimeConversationClient,
    RealtimeSession,
    RealtimeSyncError,
)
from realtime_sync.protocol.registry import Comparable
from realtime_sync.protocol.resources import ClientSecret
from realtime_sync.recording import Recording
from realtime_sync.rest.client_secrets import SessionClientSecret
from realtime_sync.secret import Redactor, Secret
from realtime_sync.server import RealtimeServer
from realtime_sync.transport.urls import redactor
from realtime_sync.values import Value
from realtime_sync.web.webhooks import WebhookVerifier
from tests import canaries
from tests.test_canaries import canary, greeting, openai, variants, webhook_secret


def holders(secret: str) -> list[Any]:
    quoted = urllib.parse.quote(secret, safe="")
    tool = ConversationTool.create_mcp_tool("x", f"https://u:{quoted}@x", authorization=secret, headers={"X": secret})
    return [
        OpenAIClient(secret, headers={"X": secret}, query={"x": secret}, proxy=f"http://u:{quoted}@h"),
        OpenAIClient(None, endpoint=f"https://h/v1?key={quoted}"),
        AzureOpenAIClient("https://x.openai.azure.com", secret),
        AzureVoiceLiveClient("https://x.services.ai.azure.com", secret),
        OpenAIClient(secret).endpoint,
        OpenAIClient(secret).endpoint.target(model="m"),
        RealtimeConversationClient("m", secret),
        RealtimeConversationClient("m", secret).calls,
        tool,
        ConversationTool.create_mcp_tool("x", extra={"client_secret": {"value": secret}, "headers": {"X": secret}}),
        ConversationSessionOptions(tools=[tool]),
        SessionClientSecret(
            value=secret, expires_at=0, session=RealtimeSession(client_secret=ClientSecret(value=secret))
        ),
        WebhookVerifier(webhook_secret(secret)),
        Secret(secret),
        [{"x": Secret(secret)}],
    ]


def test_what_holds_secrets_shows_none_and_is_not_pickled() -> None:
    secret = canary()
    for thing in holders(secret):
        texts = list(canaries.of_object(thing))
        assert canaries.leaks([*variants(secret), webhook_secret(secret)], texts) == []
        with pytest.raises((RealtimeSyncError, TypeError), match=r"another process|pickle") as caught:
            pickle.dumps(thing)
        assert canaries.leaks(variants(secret), canaries.of_error(caught.value)) == []


def test_a_secret_is_a_text_as_any_other() -> None:
    secret = Secret("key-of-mine")
    assert (f"{secret}", str(secret), secret + "!") == ("key-of-mine", "key-of-mine", "key-of-mine!")
    assert json.dumps({"value": secret}) == '{"value": "key-of-mine"}'
    assert copy.deepcopy([secret]) == copy.copy([secret]) == ["key-of-mine"]
    assert pickle.loads(pickle.dumps(str(secret))) == "key-of-mine"
    assert repr([secret]) == "['***']"


def test_an_exported_conversation_holds_no_secret_of_its_session_and_can_be_read_again() -> None:
    secret = canary()
    tools = [
        {"type": "mcp", "server_label": "a", "server_url": f"https://u:{secret}@h/?token={secret}", **auth}
        for auth in ({"authorization": secret}, {"headers": {"X-Key": secret}}, {"odd": {"api_key": secret}})
    ]
    conversation = Conversation()
    conversation.apply(
        ConversationUpdate.from_json(
            json.dumps(greeting("told", tools=tools, client_secret={"value": secret, "expires_at": 1}))
        )
    )
    text = conversation.to_json()
    assert canaries.leaks([secret], [text, repr(conversation), repr(conversation.session)]) == []
    again = Conversation.from_json(text)
    assert [tool.server_label for tool in again.session.tools] == ["a", "a", "a"]  # type: ignore[union-attr]
    assert again.session.client_secret.expires_at == 1  # type: ignore[union-attr]


def test_a_parameter_of_a_tool_that_is_named_as_a_secret_stays_described(tmp_path: Path) -> None:
    named = {
        name: {"type": "string", "description": f"The {name} to send with the request"}
        for name in ("headers", "authorization", "api_key", "server_url")
    }
    schema = {"type": "object", "properties": {**named, "more": {"type": "object", "properties": named}}}
    tool = ConversationFunctionTool(name="fetch", parameters=schema)
    file = tmp_path / "r.jsonl"
    with (
        RealtimeServer() as server,
        openai(server.url).start_conversation_session(
            ConversationSessionOptions(tools=[tool]), recording=file
        ) as session,
    ):
        told = session.conversation.to_json()
        assert session.session is not None
        assert session.session.tools[0].parameters == schema  # type: ignore[index, union-attr]
    assert Conversation.from_json(told).session.tools[0].parameters == schema  # type: ignore[union-attr, index]
    sent = [
        json.loads(str(entry.text)) for entry in Recording.read(file).entries if "session.update" in str(entry.text)
    ]
    assert [message["session"]["tools"][0]["parameters"] for message in sent] == [schema, schema]
    assert "***" not in repr(tool)


@pytest.mark.parametrize("secret", ['a-long/"quoted"\\password', "a-long-passw\u00f6rd-of-mine"])
def test_a_secret_is_replaced_however_json_spells_it(secret: str) -> None:
    hides = Redactor([secret])
    for text in (json.dumps([secret]), json.dumps([secret], ensure_ascii=False)):
        assert json.loads(hides.anywhere(text)) == ["***"]


def test_a_proxy_s_user_without_a_password_is_a_token() -> None:
    hides = redactor(["http://token-of-a-proxy-service@proxy:80"], [])
    sent = base64.b64encode(b"token-of-a-proxy-service:").decode()
    assert hides.anywhere(f"not token-of-a-proxy-service, {sent}") == "not ***, ***"


def test_a_redactor_that_learns_the_same_again_and_again_does_not_grow() -> None:
    first = Redactor(["a/long+credential/of+mine"], ["X" * 20])
    for _ in range(5):
        second = Redactor(["another/long+credential"])
        second.learn(first)
        assert (
            second.anywhere("told: a\\/long+credential\\/of+mine, a%2Flong%2Bcredential%2Fof%2Bmine")
            == "told: ***, ***"
        )
        assert second.all("X" * 20) == "***"
        first.learn(second)
        size = repr(first)
    second.learn(first)
    assert repr(second) == size


def test_every_object_that_could_not_be_made_has_a_repr() -> None:
    for cls in classes():
        made = attrs.has(cls) and not any(field.converter for field in attrs.fields(cls))  # nothing can fail in between
        ours = "realtime_sync" in (getattr(cls.__repr__, "__module__", None) or "")
        odd = inspect.isabstract(cls) or issubclass(cls, enum.Enum) or cls in (Comparable, Value)
        if ours and not made and not odd:
            assert repr(cls.__new__(cls)), cls


def classes() -> Iterator[Any]:
    for module in pkgutil.walk_packages(realtime_sync.__path__, "realtime_sync."):
        if not module.name.endswith("__main__"):
            things = vars(importlib.import_module(module.name)).values()
            yield from (each for each in things if isinstance(each, type) and each.__module__ == module.name)

"""Audio in the base64 that other languages write: it is heard, and what cannot be heard is told."""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Callable

import pytest

from realtime_sync import Conversation, ConversationUpdate
from realtime_sync.protocol.items import base64_size, decode_base64
from tests.core.harness import House
from tests.core.imitator import Imitator, added, created, done, piece

SAMPLES = bytes(range(255, 0, -1)) * 2  # not a multiple of 3, and with both of the letters that differ
SPELLINGS: dict[str, Callable[[bytes], str]] = {
    "the standard": lambda data: base64.b64encode(data).decode(),
    "without padding": lambda data: base64.b64encode(data).decode().rstrip("="),
    "safe in URLs": lambda data: base64.urlsafe_b64encode(data).decode(),
    "safe in URLs, without padding": lambda data: base64.urlsafe_b64encode(data).decode().rstrip("="),
    "in lines": lambda data: base64.encodebytes(data).decode(),
    "in lines that end as in mail": lambda data: base64.encodebytes(data).decode().replace("\n", "\r\n"),
    "in lines of 64": lambda data: "\n".join(base64.b64encode(data).decode()[at : at + 64] for at in range(0, 999, 64)),
}


@pytest.mark.parametrize("name", SPELLINGS)
@pytest.mark.parametrize("size", [0, 1, 2, 3, 57, 64, 120, 510])
def test_base64_of_other_languages_is_decoded_and_measured(name: str, size: int) -> None:
    text = SPELLINGS[name](SAMPLES[:size])
    assert decode_base64(text) == SAMPLES[:size]
    assert base64_size(text) == size


@pytest.mark.parametrize("name", SPELLINGS)
def test_an_answer_spoken_in_any_base64_is_heard(plain: House, name: str) -> None:
    spoken = piece(SPELLINGS[name](SAMPLES), kind="output_audio")
    server = Imitator(
        {"conversation.item.create": added, "response.create": [created(conversation_id="c"), spoken, spoken, done()]}
    )
    session = plain.raw(server)
    with session.respond("Speak", timeout=5) as response:
        assert b"".join(response.audio_chunks(5)) == SAMPLES * 2
        assert response.wait(5).audio == SAMPLES * 2


@pytest.mark.parametrize("name", SPELLINGS)
def test_a_conversation_keeps_audio_of_any_base64(name: str) -> None:
    talk = Conversation(keep_audio=True)
    for message in (created(), piece(SPELLINGS[name](SAMPLES), kind="output_audio")):
        talk.apply(ConversationUpdate.from_json(json.dumps(message)))
    assert talk.audio("item_of_resp_1") == SAMPLES
    assert talk.audio_bytes("item_of_resp_1") == len(SAMPLES)


@pytest.mark.parametrize("text", ["<480 bytes>", "a", "AAAA=AAAA", "ünlesbar", "A AB!"])
def test_audio_that_cannot_be_read_is_told(plain: House, text: str, caplog: pytest.LogCaptureFixture) -> None:
    said = [created(), piece(text, kind="output_audio"), done()]
    session = plain.raw(Imitator({"conversation.item.create": added, "response.create": said}))
    with caplog.at_level(logging.WARNING, "realtime_sync"):
        assert session.ask("Speak", timeout=5).audio == b""
    assert "is not base64 and cannot be heard" in caplog.text

"""Items and content parts as one makes them."""

from __future__ import annotations

import base64
import json
import math
from pathlib import Path
from typing import Any

import pytest

from realtime_sync.errors import InvalidInputError
from realtime_sync.protocol.codec import encode
from realtime_sync.protocol.commands import ConversationItemCreateCommand
from realtime_sync.protocol.items import ConversationContentPart, ConversationItem

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 20
JPEG = b"\xff\xd8\xff\xe0" + b"\0" * 20
WEBP = b"RIFF\x10\0\0\0WEBPVP8 "
GIF = b"GIF89a" + b"\0" * 20


def sent(item: ConversationItem) -> Any:
    return json.loads(encode(ConversationItemCreateCommand(item=item)))["item"]


@pytest.mark.parametrize(
    ("make", "role", "part_type"),
    [
        (ConversationItem.create_user_message, "user", "input_text"),
        (ConversationItem.create_system_message, "system", "input_text"),
        (ConversationItem.create_assistant_message, "assistant", "output_text"),
    ],
)
def test_a_message_takes_a_text_a_part_or_several(make: Any, role: str, part_type: str) -> None:
    text = {"type": part_type, "text": "Hi"}
    assert sent(make("Hi")) == {"type": "message", "role": role, "content": [text]}
    assert sent(make(["Hi", "Hi"]))["content"] == [text, text]
    assert sent(make(part for part in ["Hi"]))["content"] == [text]
    part = ConversationContentPart.from_input_audio(b"ab")
    assert sent(make(part))["content"] == [{"type": "input_audio", "audio": "YWI="}]
    assert sent(make(["Hi", part], id="mine"))["id"] == "mine"


def test_an_empty_text_is_sent() -> None:
    assert sent(ConversationItem.create_user_message(""))["content"] == [{"type": "input_text", "text": ""}]


@pytest.mark.parametrize("content", [5, None, [], [5], [None], b"text", ["a", b"b"]])
def test_what_is_no_content_is_refused(content: Any) -> None:
    with pytest.raises(InvalidInputError, match="content"):
        ConversationItem.create_user_message(content)


@pytest.mark.parametrize(
    ("output", "text"),
    [
        ("", ""),
        ("sunny", "sunny"),
        ('{"a": 1}', '{"a": 1}'),
        (0, "0"),
        (0.0, "0.0"),
        (False, "false"),
        (None, "null"),
        ([], "[]"),
        ({}, "{}"),
        ({"grad": "ö"}, '{"grad": "ö"}'),
    ],
)
def test_a_functions_result_is_sent_whatever_its_truth(output: Any, text: str) -> None:
    item = ConversationItem.create_function_call_output("c", output)
    assert sent(item) == {"type": "function_call_output", "call_id": "c", "output": text}


@pytest.mark.parametrize("output", [math.nan, object(), b"bytes", {1, 2}])
def test_a_result_that_json_cannot_say_is_refused(output: Any) -> None:
    with pytest.raises(InvalidInputError, match="JSON"):
        ConversationItem.create_function_call_output("c", output)


def test_a_result_that_is_nested_too_deeply_is_refused() -> None:
    output: Any = []
    for _ in range(100_000):
        output = [output]
    with pytest.raises(InvalidInputError, match="JSON"):
        ConversationItem.create_function_call_output("c", output)


def test_a_call_takes_its_arguments_as_text_or_as_a_dict() -> None:
    call = ConversationItem.create_function_call
    assert sent(call("f", "c", "{}")) == {"type": "function_call", "name": "f", "call_id": "c", "arguments": "{}"}
    assert sent(call("f", "c", {"a": 0}))["arguments"] == '{"a": 0}'
    assert sent(call("f", "c", ""))["arguments"] == ""


def test_a_refused_approval_says_so() -> None:
    item = ConversationItem.create_mcp_approval_response("a", False)
    assert sent(item) == {"type": "mcp_approval_response", "approval_request_id": "a", "approve": False}


@pytest.mark.parametrize("audio", [b"", b"\0\0", bytearray(b"\1\2"), memoryview(b"\1\2")])
def test_audio_is_sent_as_base64_and_read_back(audio: Any) -> None:
    part = ConversationContentPart.from_input_audio(audio, transcript="")
    assert part.audio_bytes == bytes(audio)
    content = sent(ConversationItem.create_user_message(part))["content"]
    assert content == [{"type": "input_audio", "audio": base64.b64encode(audio).decode(), "transcript": ""}]


@pytest.mark.parametrize("audio", [b"RIFF\x24\0\0\0WAVEfmt ", memoryview(b"RIFF\x24\0\0\0WAVEfmt ")])
def test_a_wav_file_is_not_taken_for_samples(audio: Any) -> None:
    with pytest.raises(InvalidInputError, match="WAV"):
        ConversationContentPart.from_input_audio(audio)


@pytest.mark.parametrize("audio", ["text", None, 5, [1, 2]])
def test_audio_that_is_no_bytes_is_refused(audio: Any) -> None:
    with pytest.raises(InvalidInputError, match="bytes"):
        ConversationContentPart.from_input_audio(audio)


def test_the_models_words_are_made_for_history() -> None:
    parts = [
        ConversationContentPart.from_output_text("A"),
        ConversationContentPart.from_output_audio("B"),
        ConversationContentPart.from_output_audio(audio=b""),
    ]
    assert sent(ConversationItem.create_assistant_message(parts))["content"] == [
        {"type": "output_text", "text": "A"},
        {"type": "output_audio", "transcript": "B"},
        {"type": "output_audio", "audio": ""},
    ]


@pytest.mark.parametrize(
    ("data", "media_type"), [(PNG, "png"), (JPEG, "jpeg"), (WEBP, "webp"), (GIF, "gif"), (bytearray(PNG), "png")]
)
def test_a_pictures_kind_is_told_by_its_bytes(data: Any, media_type: str) -> None:
    part = ConversationContentPart.from_input_image(data, detail="low")
    assert part.image_url == f"data:image/{media_type};base64,{base64.b64encode(data).decode()}"
    assert part.detail == "low"


def test_a_picture_is_read_from_a_file_by_path(tmp_path: Path) -> None:
    misnamed = tmp_path / "picture.jpg"
    misnamed.write_bytes(PNG)
    expected = ConversationContentPart.from_input_image(PNG)
    assert ConversationContentPart.from_input_image(misnamed) == expected
    assert ConversationContentPart.from_input_image(str(misnamed)) == expected


def test_a_pictures_unknown_bytes_are_told_by_the_files_name(tmp_path: Path) -> None:
    bitmap = tmp_path / "picture.bmp"
    bitmap.write_bytes(b"BM")
    part = ConversationContentPart.from_input_image(bitmap)
    assert part.image_url is not None
    assert part.image_url.startswith("data:image/")


@pytest.mark.parametrize(
    "url", ["https://example.com/a.png", "http://[::1]/a", "data:image/png;base64,AAAA", "HTTPS://X"]
)
def test_a_url_is_sent_as_it_is(url: str) -> None:
    assert ConversationContentPart.from_input_image(url).image_url == url


@pytest.mark.parametrize("image", [b"", b"words", "/no/such/file.png", "a\0b", 5, None])
def test_what_is_no_picture_is_refused(image: Any) -> None:
    with pytest.raises(InvalidInputError):
        ConversationContentPart.from_input_image(image)


def test_a_file_of_words_is_refused(tmp_path: Path) -> None:
    words = tmp_path / "words.txt"
    words.write_text("words")
    with pytest.raises(InvalidInputError, match="PNG or a JPEG"):
        ConversationContentPart.from_input_image(words)


def test_no_repr_shows_audio_or_pictures() -> None:
    audio = ConversationContentPart.from_input_audio(bytes(30_000))
    picture = ConversationContentPart.from_input_image(PNG * 900)
    shown = repr(ConversationItem.create_user_message([audio, picture]))
    assert "<40000 base64 characters>" in shown
    assert len(shown) < 1000


def test_a_messages_text_is_all_that_was_said_and_written() -> None:
    item = ConversationItem.create_assistant_message(["A", ConversationContentPart.from_output_audio("B")])
    assert item.text == "AB"

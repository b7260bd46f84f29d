"""The JSON reader's short ways give what ``json.loads`` gives."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from realtime_sync import ConversationUpdate, ResponseOutputAudioDeltaUpdate
from realtime_sync.protocol.parsing import parse

AUDIO = base64.b64encode(bytes(range(256)) * 12).decode()
TYPES = ("response.output_audio.delta", "response.audio.delta", "session.output_audio.delta", "response.done")

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20) | st.just(AUDIO) | st.just(""),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["delta", "a", 'x"delta']), inner),
    max_leaves=6,
)
messages = st.dictionaries(st.sampled_from(["delta", 'x"delta', "item_id", "nested"]), values, max_size=4)


def read(text: str) -> Any:
    """What a reader makes of a text: the value, or the words of its error."""
    try:
        return parse(text)
    except ValueError as error:
        return str(error)


def loaded(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        return str(error)


@given(
    message=messages,
    wire_type=st.sampled_from(TYPES),
    last=st.booleans(),
    separators=st.sampled_from([(",", ":"), (", ", ": "), (" ,", " : ")]),
    cut=st.integers(0, 60),
    around=st.sampled_from(["", " ", "\n", "\ufeff", "x"]),
)
@example(message={"delta": AUDIO}, wire_type=TYPES[0], last=False, separators=(",", ":"), cut=0, around="")
def test_a_text_is_read_as_json_loads_reads_it(
    message: dict[str, Any], wire_type: str, last: bool, separators: tuple[str, str], cut: int, around: str
) -> None:
    whole = {**message, "type": wire_type} if last else {"type": wire_type, **message}
    text = around + json.dumps(whole, separators=separators) + around
    for told in (text, text[: len(text) - cut]):
        assert read(told) == loaded(told)


@pytest.mark.parametrize(
    "text",
    [
        f'{{"type":"response.output_audio.delta","delta":"{AUDIO}","delta":"{AUDIO[4:]}"}}',
        f'{{"type":"response.output_audio.delta","delta":"{AUDIO}","delta":""}}',
        f'{{"type":"response.output_audio.delta","delta":"","delta":"{AUDIO}"}}',
        f'{{"type":"response.output_audio.delta","delta":"{AUDIO}\\u0041\\/"}}',
        f'{{"type":"response.output_audio.delta","delta":"{AUDIO}\\""}}',
        f'{{"type":"response.output_audio.delta","x\\"delta":"{AUDIO}","delta":""}}',
        f'{{"type":"response.output_audio.delta","x":{{"delta":"{AUDIO}"}},"delta":""}}',
        f'{{"type": "response.output_audio.delta", "x":"{AUDIO}", "delta" : ""}}',
        f'{{"type":"response.output_audio.delta","delta":"{AUDIO}","d\\u0065lta":""}}',
        f'{{"x":{{"delta":"{AUDIO}"}},"d\\u0065lta":"","type":"response.output_audio.delta"}}',
        f'["audio.delta","delta":"{AUDIO}"]',
        f'["response.output_audio.delta", "{AUDIO}"]',
        f'{{"type":"response.output_audio.delta","delta":"{AUDIO}',
        "[" * 100_000 + f'"audio.delta"{AUDIO}',
    ],
)
def test_what_a_piece_of_audio_cannot_look_like_is_read_all_the_same(text: str) -> None:
    try:
        expected = loaded(text)
    except RecursionError:
        with pytest.raises(RecursionError):
            read(text)
    else:
        assert read(text) == expected


@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")])
def test_the_audio_of_a_piece_and_its_text_are_whole(separators: tuple[str, str]) -> None:
    fields = {"response_id": "r", "item_id": "i", "output_index": 0, "content_index": 0, "event_id": "e"}
    text = json.dumps({"type": TYPES[0], **fields, "delta": AUDIO}, separators=separators)
    update = ConversationUpdate.from_json(text)
    assert isinstance(update, ResponseOutputAudioDeltaUpdate)
    assert (update.delta, update.raw_content, update.oddities) == (AUDIO, text, ())

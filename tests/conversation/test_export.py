"""Taking a conversation elsewhere: snapshots, JSON, history, HTML; any updates in any order; linear costs."""

from __future__ import annotations

import base64
import gc
import io
import json
import re
import time
from typing import Any, Callable

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realtime_sync import (
    ConversationContentPart,
    ConversationItem,
    ConversationItemCreateCommand,
    ConversationUpdate,
    ConversationUpdateKind,
    InvalidInputError,
    MessageItem,
)
from realtime_sync.audio import read_wav_header
from realtime_sync.conversation import Conversation
from realtime_sync.conversation.order import ItemOrder
from realtime_sync.protocol.codec import decode_command, encode
from realtime_sync.server.shapes import check_message
from realtime_sync.server.wire import Json
from tests.conversation.conversation_wire import (
    EMPTY_ANSWER,
    SPOKEN_USER,
    added,
    done,
    message,
    output_item,
    response,
    session,
    streamed,
    told,
    transcription,
    update,
)
from tests.protocol.recorded import all_lines

pytestmark = pytest.mark.medium

CALL: Json = {"id": "f", "type": "function_call", "name": "look", "call_id": "c1", "arguments": "{}"}
OUTPUT: Json = {"id": "o", "type": "function_call_output", "call_id": "c1", "output": "0"}


def spoken_answer(item_id: str = "a", chunk: bytes = bytes(480)) -> list[ConversationUpdate]:
    delta = base64.b64encode(chunk).decode()
    return [
        added({**EMPTY_ANSWER, "id": item_id}),
        streamed("output_audio_transcript.delta", item_id, delta="Said <aloud>"),
        streamed("output_audio.delta", item_id, delta=delta),
    ]


# Snapshots and JSON -----------------------------------------------------------------------------------------


def test_a_snapshot_stays_as_it_is_and_can_go_its_own_way() -> None:
    updates = [session(), added(SPOKEN_USER, None), response("created"), *spoken_answer()]
    conversation = told(updates, keep_audio=True)
    snapshot = conversation.snapshot()
    before = snapshot.to_json()
    assert snapshot == conversation
    later = [
        *spoken_answer(),
        transcription("delta", delta="x"),
        added("new", "u"),
        response("done"),
        update("conversation.item.truncated", item_id="a", content_index=0, audio_end_ms=1),
        update("conversation.item.deleted", item_id="u"),
    ]
    for one in later:
        conversation.apply(one)
    assert snapshot.to_json() == before
    assert snapshot != conversation
    for one in later:
        snapshot.apply(one)
    assert snapshot == conversation


def test_a_saved_conversation_can_be_gone_on_with() -> None:
    updates = [session(), added(SPOKEN_USER, None), response("created"), output_item("added", EMPTY_ANSWER)]
    updates += [*spoken_answer(), transcription("delta", delta="Hel")]
    later = [transcription("delta", delta="lo"), streamed("output_audio_transcript.delta", delta="!"), response("done")]
    whole = told(updates + later, keep_audio=True)
    resumed = Conversation.from_json(told(updates, keep_audio=True).to_json())
    for one in later:
        resumed.apply(one)
    assert resumed == whole
    assert [getattr(item, "text", "") for item in resumed.items] == ["Hello", "Said <aloud>!"]
    assert resumed.audio("a") == bytes(480)


@pytest.mark.parametrize(
    "damage",
    [
        lambda saved: "not JSON",
        lambda saved: "[]",
        lambda saved: "{}",
        lambda saved: saved.replace('"version": 1', '"version": 2'),
        lambda saved: saved.replace('"items"', '"itens"'),
        lambda saved: saved.replace('"type": "message"', '"type": 5'),
        lambda saved: saved.replace('"usage": {', '"usage": [{').replace("}}", "}]}"),
        lambda saved: saved.replace('"audio": "', '"audio": "!'),
        lambda saved: saved.replace('"responses": 0', '"responses": "0"'),
        lambda saved: saved.replace('"audio_bytes": 480', '"audio_bytes": null'),
        lambda saved: saved.replace('"heard_text": null', '"heard_text": 5'),
    ],
)
def test_a_damaged_file_is_refused_in_words(damage: Callable[[str], str]) -> None:
    saved = told([session(), *spoken_answer()], keep_audio=True).to_json()
    assert damage(saved) != saved
    with pytest.raises(InvalidInputError, match=r"saved|not a|expected"):
        Conversation.from_json(damage(saved))


# Any updates in any order -----------------------------------------------------------------------------------

ID = st.sampled_from(["a", "a", "u", "u", "r", "r", "root", "", None, 7])
INDEX = st.sampled_from([0, 0, 1, -1, None, "0", 10**400])
TEXT = st.sampled_from(["", "Hi", "AAAA", "<b>", "\ud800", None, 5])
PART = st.fixed_dictionaries(
    {
        "type": st.sampled_from(["text", "audio", "input_audio", "input_text", "input_image", "x", None]),
        "text": TEXT,
        "transcript": TEXT,
        "audio": TEXT,
    },
    optional={"new": TEXT, "image_url": TEXT},
)
PARTS = st.one_of(st.lists(PART, max_size=3), st.none(), st.just([None]))
ITEM = st.fixed_dictionaries(
    {
        "id": ID,
        "type": st.sampled_from(
            ["message", "message", "function_call", "function_call_output", "mcp_call", "odd", None]
        ),
        "role": st.sampled_from(["user", "assistant", "system", "odd", None]),
        "status": st.sampled_from(["in_progress", "completed", "odd", None]),
    },
    optional={"content": PARTS, "call_id": ID, "name": TEXT, "arguments": TEXT, "output": TEXT, "extra": TEXT},
)
NUMBERS = st.dictionaries(st.sampled_from(["input_tokens", "output_tokens", "seconds"]), INDEX, max_size=3)
FORMAT = st.sampled_from(
    [
        None,
        "pcm16",
        "opus",
        {"type": "audio/pcmu"},
        {"type": "audio/pcm", "rate": 0},
        {"type": "audio/pcm", "rate": 10**12},
    ]
)
SESSION = {"id": ID, "model": TEXT, "output_audio_format": FORMAT, "input_audio_format": FORMAT}
RESPONSE: dict[str, Any] = {"id": ID, "conversation_id": ID, "status": TEXT, "output": st.lists(ITEM, max_size=2)}
IDS: dict[str, Any] = {"item_id": ID, "response_id": ID, "previous_item_id": ID, "call_id": ID}
INDEXES: dict[str, Any] = {"output_index": INDEX, "content_index": INDEX, "audio_end_ms": INDEX}
TEXTS: dict[str, Any] = {"delta": TEXT, "text": TEXT, "transcript": TEXT, "arguments": TEXT, "name": TEXT}
OBJECTS: dict[str, Any] = {
    "item": ITEM,
    "part": PART,
    "usage": NUMBERS,
    "logprobs": st.sampled_from([None, [{"token": "t", "logprob": -1}]]),
    "error": st.sampled_from([None, {"code": "c"}]),
    "session": st.fixed_dictionaries({}, optional=SESSION),
    "conversation": st.fixed_dictionaries({}, optional={"id": ID}),
    "response": st.fixed_dictionaries(RESPONSE, optional={"usage": NUMBERS, "output_audio_format": FORMAT}),
}
TYPES = [kind.value for kind in ConversationUpdateKind if kind.value.startswith(("conv", "resp", "session."))]
NEEDED = {"item": ("conversation.item.", "response.output_item"), "response": ("response.created", "response.done")}


def message_of(wire_type: str) -> st.SearchStrategy[Json]:
    """A message of a type: what may be missing is missing half of the time, so that much is taken over, too."""
    needed = {name: OBJECTS[name] for name, heads in NEEDED.items() if wire_type.startswith(heads)}
    optional = {name: one for name, one in OBJECTS.items() if name not in needed}
    return st.fixed_dictionaries(
        {"type": st.just(wire_type), **IDS, **needed}, optional={**INDEXES, **TEXTS, **optional}
    )


MESSAGE = st.sampled_from(TYPES).flatmap(message_of)


def holds_together(conversation: Conversation) -> None:
    assert len(conversation.items) == len({id(item) for item in conversation.items})
    saved = conversation.to_json()
    loaded = Conversation.from_json(saved)
    assert loaded == conversation == conversation.snapshot()
    assert loaded.items == conversation.items
    assert loaded.responses == conversation.responses
    assert loaded.to_json() == saved
    for item in conversation.history():
        check_message(json.loads(encode(ConversationItemCreateCommand(item=item))))
    assert (repr(conversation), conversation._repr_html_()) == (repr(loaded), loaded._repr_html_())
    for item in conversation.items:
        assert conversation.audio_ms(str(item.id), 0) == loaded.audio_ms(str(item.id), 0)
    conversation.history_losses()
    conversation.cost()


@settings(max_examples=100, deadline=None)
@given(st.lists(MESSAGE, max_size=25), st.booleans())
def test_no_updates_in_no_order_raise_and_all_survive_a_round_trip(messages: list[Json], keep_audio: bool) -> None:
    conversation = Conversation(keep_audio=keep_audio)
    for one in messages:
        conversation.apply(ConversationUpdate.from_json(json.dumps(one)))
    holds_together(conversation)


def test_half_of_a_surrogate_pair_in_an_image_can_be_sent_again() -> None:
    item = {"id": "1", "type": "message", "role": "user"}
    image = {"type": "input_image", "image_url": "data:\ud800"}
    holds_together(told([added({**item, "content": [image]}, None)]))


@settings(max_examples=15, deadline=None)
@given(st.randoms(use_true_random=False))
def test_recorded_messages_in_any_order_are_survived(random: Any) -> None:
    lines = all_lines()
    updates = [ConversationUpdate.from_json(line) for line in random.sample(lines, min(len(lines), 150))]
    holds_together(told(updates, keep_audio=True))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abcde"), st.sampled_from(["a", "b", "c", "x", None]), st.booleans())))
def test_the_order_loses_and_doubles_nothing(steps: list[tuple[str, Any, bool]]) -> None:
    order, here = ItemOrder(), set()
    for item_id, previous, removes in steps:
        if removes:
            order.remove(item_id)
            here.discard(item_id)
        else:
            order.add(item_id, previous)
            here.add(item_id)
        assert sorted(order) == sorted(order.copy()) == sorted(here)
        assert len(order) == len(here)


# Costs ------------------------------------------------------------------------------------------------------


def took(updates: list[ConversationUpdate]) -> float:
    """CPU seconds: other processes do not count, nor does the collector, which walks all that this one has loaded."""
    conversation = Conversation(keep_audio=True)
    gc.collect()
    gc.disable()
    try:
        started = time.process_time()
        for one in updates:
            conversation.apply(one)
        assert conversation.items
        return time.process_time() - started
    finally:
        gc.enable()


def appended(count: int) -> list[ConversationUpdate]:
    return [added(f"i{number}", f"i{number - 1}" if number else None) for number in range(count)]


def grown(count: int) -> list[ConversationUpdate]:
    text, audio = "word " * 50, base64.b64encode(bytes(4800)).decode()
    pieces = [streamed("output_text.delta", delta=text), streamed("output_audio.delta", delta=audio)]
    return [added(EMPTY_ANSWER, None), *pieces * (count // 2)]


@pytest.mark.slow  # it measures time
@pytest.mark.parametrize(("make", "count"), [(appended, 5_000), (grown, 4_000)])
def test_twice_as_much_takes_about_twice_as_long(make: Callable[[int], list[ConversationUpdate]], count: int) -> None:
    half, whole = make(count), make(2 * count)
    ratios = []
    for _ in range(5):  # the machine may be busy with other things during one
        ratios.append(took(whole) / took(half))
        if ratios[-1] < 3:
            return
    pytest.fail(f"not linear: {ratios}")


def test_an_item_that_did_not_change_is_not_built_again() -> None:
    conversation = told([*appended(3), added(EMPTY_ANSWER, "i2")])
    before = conversation.items
    conversation.apply(streamed("output_text.delta", delta="x"))
    assert [old is new for old, new in zip(before, conversation.items, strict=True)] == [True, True, True, False]


# History ----------------------------------------------------------------------------------------------------


def test_history_is_what_the_service_takes() -> None:
    audio = [added({**SPOKEN_USER, "id": "u2"}), transcription("completed", "u2", transcript="Spoken")]
    picture = {"type": "input_image", "image_url": "data:image/png;base64,AA==", "detail": "low"}
    updates = [added(message("s", "Be kind", role="system")), added(message("u1", "Look", picture)), *audio]
    updates += [*spoken_answer(), added(CALL), added(OUTPUT), added(message("x" * 33, "long id"))]
    conversation = told(updates)
    assert conversation.history() == [
        ConversationItem.create_system_message("Be kind", id="s"),
        MessageItem(
            id="u1",
            role="user",
            content=[
                ConversationContentPart.from_input_text("Look"),
                ConversationContentPart(type="input_image", image_url=picture["image_url"], detail="low"),
            ],
        ),
        ConversationItem.create_user_message("Spoken", id="u2"),
        ConversationItem.create_assistant_message("Said <aloud>", id="a"),
        ConversationItem.create_function_call("look", "c1", "{}", id="f"),
        ConversationItem.create_function_call_output("c1", "0", id="o"),
        ConversationItem.create_user_message("long id"),
    ]
    assert conversation.history_losses() == []
    assert told(done_again(conversation.history())).history() == conversation.history()


def done_again(items: list[ConversationItem]) -> list[ConversationUpdate]:
    """What a server that was given these items tells of them."""
    commands = [json.loads(encode(ConversationItemCreateCommand(item=item))) for item in items]
    assert all(decode_command(json.dumps(command)) for command in commands)
    return [done({"status": "completed", **command["item"]}) for command in commands]


@pytest.mark.parametrize(
    ("updates", "loss"),
    [
        ([added(SPOKEN_USER)], "audio without transcript"),
        ([added(EMPTY_ANSWER)], "still in progress"),
        ([added(CALL)], "has no output"),
        ([added(OUTPUT), added(CALL)], "has no output"),
        ([added(OUTPUT)], "its call is not carried over"),
        ([added({"id": "m", "type": "mcp_call", "name": "t"})], "cannot be sent"),
        ([added({"id": "m", "type": "hologram"})], "cannot be sent"),
        ([added(message("d", "x", role="developer"))], "role 'developer'"),
        (
            [*spoken_answer(), update("conversation.item.truncated", item_id="a", content_index=0, audio_end_ms=1)],
            "trunc",
        ),
        ([added(message("u", {"type": "input_file", "file_id": "f"}))], "input_file"),
    ],
)
def test_what_cannot_be_carried_over_is_named(updates: list[ConversationUpdate], loss: str) -> None:
    conversation = told(updates)
    assert conversation.history() == []
    losses = conversation.history_losses()
    assert any(loss in line for line in losses)
    assert all(str(item.id) in " ".join(losses) for item in conversation.items)


def test_what_the_user_said_goes_as_audio_where_it_was_kept_and_not_written_down() -> None:
    conversation = told([session(), added(SPOKEN_USER)], keep_audio=True)
    conversation.add_audio("u", bytes(4800))
    (item,) = conversation.history()
    assert isinstance(item, MessageItem)
    assert (item.content[0].type, item.content[0].audio_bytes) == ("input_audio", bytes(4800))


def test_an_answer_that_still_comes_is_carried_over_as_far_as_it_came() -> None:
    conversation = told([added(EMPTY_ANSWER), streamed("output_text.delta", delta="So far")])
    assert conversation.history() == [ConversationItem.create_assistant_message("So far", id="a")]


# Looking at it ----------------------------------------------------------------------------------------------


def test_its_repr_fits_to_read() -> None:
    conversation = told([session(), *appended(8), added(message("long", "line\n" * 50), "i7"), response("created")])
    lines = repr(conversation).splitlines()
    assert lines[0] == "<Conversation c: 9 items, 1 response (1 in progress), 0 tokens>"
    assert lines[1:3] == ["  ... 3 before", "  user: i3"]
    assert all(len(line) <= 80 for line in lines)


def test_its_html_is_escaped_and_plays_what_was_kept() -> None:
    updates = [session(), added(message("u", "<script>")), *spoken_answer(chunk=b"\1\0" * 240)]
    page = told(updates, keep_audio=True)._repr_html_()
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert "Said &lt;aloud&gt;" in page
    (player,) = re.findall(r'<audio controls src="data:audio/wav;base64,([^"]+)">', page)
    stream = io.BytesIO(base64.b64decode(player))
    info, _ = read_wav_header(stream)
    assert info is not None
    assert (info.rate, info.data_bytes, stream.read()) == (24000, 480, b"\1\0" * 240)
    assert "<audio" not in told(updates)._repr_html_()


def test_it_is_equal_to_its_like_alone_and_cannot_be_a_key() -> None:
    assert Conversation() == Conversation()
    assert Conversation() != attrs.NOTHING
    with pytest.raises(TypeError):
        {Conversation(): 1}

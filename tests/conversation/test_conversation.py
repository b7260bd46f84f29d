"""The accumulator: items in order, content, responses, usage, whatever comes and whenever."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from realtime_sync import (
    ConversationContentPart,
    ConversationUpdate,
    FunctionCallItem,
    MessageItem,
    UnknownItem,
    UnreadableUpdate,
)
from realtime_sync.audio import MULAW, PCM
from realtime_sync.conversation import Conversation
from realtime_sync.conversation.pricing import PRICES, ModelPrices
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
from tests.protocol.recorded import SESSIONS, fixture_lines


def ids(conversation: Conversation) -> list[Any]:
    return [item.id for item in conversation.items]


def texts(conversation: Conversation) -> list[str]:
    return [item.text if isinstance(item, MessageItem) else "" for item in conversation.items]


def answer_part(conversation: Conversation, item_id: str = "a") -> ConversationContentPart:
    item = conversation.item(item_id)
    assert isinstance(item, MessageItem)
    return item.content[0]


# Order ------------------------------------------------------------------------------------------------------


def test_items_stand_where_the_server_says() -> None:
    updates = [added("1", None), added("3", "1"), added("2", "1"), added("4", "3"), added("0", None)]
    assert ids(told(updates)) == ["0", "1", "2", "3", "4"]
    assert ids(told([*updates, added("-1", "root")])) == ["-1", "0", "1", "2", "3", "4"]


def test_a_server_that_tells_no_previous_item_appends() -> None:
    assert ids(told([added("1"), added("2"), added("3")])) == ["1", "2", "3"]
    assert ids(told([added("1", None), added("2", None), added("3", None)])) == ["1", "2", "3"]


def test_null_means_the_beginning_as_soon_as_the_server_is_known_to_name_ids() -> None:
    updates = [added("1", None), added("0", None), added("2", "1")]
    assert ids(told(updates)) == ["0", "1", "2"]


def test_what_a_resumed_session_brings_back_goes_to_the_end() -> None:
    first = [session(), added("1", None), added("2", "1")]
    assert ids(told([*first, session(), added("3", None), added("4", "3")])) == ["1", "2", "3", "4"]


def test_an_item_whose_predecessor_comes_later_ends_up_behind_it() -> None:
    assert ids(told([added("1", None), added("3", "2"), added("9", "3"), added("2", "1")])) == ["1", "2", "3", "9"]
    assert ids(told([added("2", "1"), added("1", None)])) == ["1", "2"]


def test_both_names_of_one_message_are_one_item() -> None:
    for names in (("created", "added"), ("added", "created")):
        updates = [added("1", None, name=name) for name in names] + [added("2", "1", name=name) for name in names]
        assert ids(told([*updates, done("1", None), done("2", None)])) == ["1", "2"]


def test_an_end_without_a_beginning_is_an_item_and_its_null_is_no_place() -> None:
    assert ids(told([added("1", None), added("2", "1"), done("3", None), done("4", "1")])) == ["1", "4", "2", "3"]


def test_deleted_items_are_gone_and_stay_gone() -> None:
    gone = [added("1", None), added("2", "1"), update("conversation.item.deleted", item_id="1")]
    late = [done("1", None), transcription("delta", "1", delta="late"), streamed("output_text.delta", "1", delta="x")]
    assert ids(told([*gone, *late, update("conversation.item.deleted", item_id="never seen")])) == ["2"]
    assert ids(told([*gone, added("1", "2")])) == ["2", "1"]


def test_items_without_an_id_are_items() -> None:
    conversation = told([added(message(None, "one")), done(message(None, "one")), added(message(None, "two"))])
    assert texts(conversation) == ["one", "two"]


def test_a_retrieved_item_is_known_from_then_on() -> None:
    audio = base64.b64encode(bytes(960)).decode()
    item = message("u", {"type": "input_audio", "transcript": "Hi", "audio": audio})
    conversation = told([update("conversation.item.retrieved", item=item)], keep_audio=True)
    assert texts(conversation) == ["Hi"]
    assert (conversation.audio("u"), conversation.audio_ms("u")) == (bytes(960), 20)
    assert answer_part(conversation, "u").audio is None


# Content ----------------------------------------------------------------------------------------------------


def test_text_grows_with_its_deltas_and_its_end_replaces_them() -> None:
    updates = [added(EMPTY_ANSWER, None), update_part("added", {"type": "text", "text": ""})]
    conversation = told(updates)
    for delta in ("Good", " mor", "ning"):
        conversation.apply(streamed("output_text.delta", delta=delta))
    assert answer_part(conversation) == ConversationContentPart(type="output_text", text="Good morning")
    conversation.apply(streamed("output_text.done", text="Good morning!"))
    conversation.apply(streamed("output_text.delta", delta=" late"))
    assert texts(conversation) == ["Good morning!"]
    conversation.apply(done(message("a", {"type": "output_text", "text": "Good evening."}, role="assistant"), None))
    conversation.apply(added(EMPTY_ANSWER, None))
    assert texts(conversation) == ["Good evening."]
    assert conversation.items[0].status == "completed"


def update_part(step: str, part: Any) -> ConversationUpdate:
    fields = {} if part is None else {"part": part}
    return streamed(f"content_part.{step}", **fields)


@pytest.mark.parametrize("part", [None, {"type": "text", "text": ""}])
def test_an_empty_end_takes_nothing_away(part: Any) -> None:
    updates = [added(EMPTY_ANSWER, None), streamed("output_text.delta", delta="All of it")]
    ends = [update_part("done", part), output_item("done", {"id": "a", "type": "message", "role": "assistant"})]
    assert texts(told(updates + ends)) == ["All of it"]


def test_deltas_for_an_item_that_was_not_seen_are_kept_for_it() -> None:
    conversation = told([streamed("output_text.delta", delta="early")])
    assert conversation.items == []
    conversation.apply(added(EMPTY_ANSWER, None))
    assert texts(conversation) == ["early"]


def test_the_arguments_of_a_call_grow_and_end() -> None:
    call = {"id": "a", "type": "function_call", "status": "in_progress", "name": "f", "call_id": "c1", "arguments": ""}
    pieces = [
        streamed("function_call_arguments.delta", content=None, call_id="c1", delta=text) for text in ('{"x"', ": 1}")
    ]
    conversation = told([added(call, None), *pieces])
    assert conversation.items == [
        FunctionCallItem(id="a", status="in_progress", name="f", call_id="c1", arguments='{"x": 1}')
    ]
    conversation.apply(streamed("function_call_arguments.done", content=None, call_id="c1", arguments='{"x":1}'))
    assert getattr(conversation.item("a"), "arguments", None) == '{"x":1}'


def test_what_the_user_said_is_written_down_with_what_is_known_of_it() -> None:
    logprobs = [{"token": "Hel", "logprob": -0.1, "bytes": [72]}]
    conversation = told([added(SPOKEN_USER, None), done(SPOKEN_USER, None)])
    assert conversation.transcription("u") is None
    conversation.apply(transcription("delta", delta="Hel", logprobs=logprobs))
    conversation.apply(transcription("delta", delta="lo"))
    growing = conversation.transcription("u")
    assert growing is not None
    assert (growing.status, growing.text, growing.logprobs[0].token) == ("in_progress", "Hello", "Hel")
    segment: dict[str, Any] = {"text": "Hello.", "id": "s1", "speaker": "A", "start": 0.0, "end": 0.4}
    usage = {"type": "duration", "seconds": 3}
    conversation.apply(transcription("segment", **segment))
    conversation.apply(transcription("completed", transcript="Hello.", usage=usage, languages=[{"code": "en"}]))
    conversation.apply(transcription("completed", transcript="Hello.", usage=usage))
    final = conversation.transcription("u")
    assert final is not None
    assert (final.status, final.text, final.segments[0].speaker, final.languages[0].code) == (
        "completed",
        "Hello.",
        "A",
        "en",
    )
    assert (growing.status, growing.text) == ("in_progress", "Hello")
    assert texts(conversation) == ["Hello."]
    assert (conversation.usage.transcriptions, conversation.usage.transcription_seconds) == (1, 3.0)


def test_a_failed_transcription_says_why() -> None:
    error = {"type": "transcription_error", "code": "audio_unintelligible", "message": "It could not be understood."}
    failed = told([added(SPOKEN_USER, None), transcription("failed", error=error)]).transcription("u")
    assert failed is not None
    assert failed.error is not None
    assert (failed.status, failed.error.code, failed.text) == ("failed", "audio_unintelligible", None)


def test_an_empty_final_transcript_takes_back_what_was_noise() -> None:
    noise = [added(SPOKEN_USER, None), transcription("delta", delta="hallucinated")]
    assert texts(told([*noise, transcription("completed", transcript="")])) == [""]
    assert texts(told([*noise, transcription("completed")])) == ["hallucinated"]


# Audio ------------------------------------------------------------------------------------------------------


def spoken(chunk: bytes, count: int) -> list[ConversationUpdate]:
    delta = base64.b64encode(chunk).decode()
    words = [streamed("output_audio_transcript.delta", delta="More than was heard.")]
    return [added(EMPTY_ANSWER, None), *words, *[streamed("output_audio.delta", delta=delta)] * count]


def test_of_audio_the_length_is_kept_and_the_samples_only_where_wanted() -> None:
    for size in (479, 480, 481):
        conversation = told([session(), *spoken(b"x" * size, 10)])
        assert (conversation.audio_bytes("a"), conversation.audio_ms("a")) == (size * 10, size * 10 // 48)
        assert (conversation.audio("a"), conversation.audio_format("a")) == (None, PCM)
    assert told(spoken(b"abc", 3), keep_audio=True).audio("a") == b"abcabcabc"
    assert (conversation.audio_ms("nobody"), conversation.audio_bytes("nobody")) == (None, 0)


@pytest.mark.parametrize("format", ["g711_ulaw", {"type": "audio/pcmu"}])
def test_its_length_in_milliseconds_is_by_its_format(format: Any) -> None:
    audio = {"output": {"format": format}}
    options = {"output_audio_format": format} if isinstance(format, str) else {"audio": audio}
    conversation = told([session(**options), *spoken(bytes(80), 4)])
    assert (conversation.audio_format("a"), conversation.audio_ms("a")) == (MULAW, 40)
    by_response = [response("created", audio=audio)] if isinstance(format, dict) else []
    if by_response:
        assert told([session(), *by_response, *spoken(bytes(80), 4)]).audio_ms("a") == 40
    unknown = told([session(audio={"output": {"format": {"type": "audio/opus"}}}), *spoken(bytes(80), 1)])
    assert (unknown.audio_format("a"), unknown.audio_ms("a"), unknown.audio_bytes("a")) == (None, None, 80)


def test_a_truncated_part_has_no_transcript_and_only_what_was_heard() -> None:
    cut = update("conversation.item.truncated", item_id="a", content_index=0, audio_end_ms=15)
    conversation = told([*spoken(bytes(480), 4), cut], keep_audio=True)
    late = message("a", {"type": "output_audio", "transcript": "More than was heard."}, role="assistant")
    for one in (*spoken(bytes(480), 1)[1:], streamed("output_audio_transcript.done", transcript="More"), done(late)):
        conversation.apply(one)
    assert answer_part(conversation) == ConversationContentPart(type="output_audio", transcript="")
    assert (conversation.heard_ms("a"), conversation.audio_ms("a")) == (15, 15)
    assert conversation.audio("a") == bytes(15 * 48)
    assert (conversation.heard_ms("b"), conversation.heard_ms("a", 7)) == (None, None)


def test_what_is_truncated_again_has_the_words_of_what_was_heard_last() -> None:
    said = message("a", {"type": "output_audio", "transcript": "one two three four"}, role="assistant")
    conversation = told([*spoken(bytes(9600), 1), done(said)])
    for heard_ms, words in ((100, "one two"), (50, "one")):
        conversation.apply(update("conversation.item.truncated", item_id="a", content_index=0, audio_end_ms=heard_ms))
        (carried,) = conversation.history()
        assert isinstance(carried, MessageItem)
        assert [part.text for part in carried.content] == [words]


def test_what_the_user_said_is_handed_in_by_whoever_sent_it() -> None:
    conversation = told([session(), added(SPOKEN_USER, None)], keep_audio=True)
    conversation.add_audio("u", bytes(4800))
    conversation.add_audio("nobody", bytes(4800))
    assert (conversation.audio_ms("u"), conversation.audio("u")) == (100, bytes(4800))


# Responses and usage ----------------------------------------------------------------------------------------

USAGE = {
    "total_tokens": 30,
    "input_tokens": 20,
    "output_tokens": 10,
    "input_token_details": {"text_tokens": 15, "audio_tokens": 5, "cached_tokens": 8},
    "output_token_details": {"text_tokens": 4, "audio_tokens": 6},
}
SAID = message("a", {"type": "output_text", "text": "Said"}, role="assistant")


def test_a_response_is_there_while_it_comes_and_when_it_is_done() -> None:
    conversation = told([response("created", metadata={"k": "v"}), output_item("added", EMPTY_ANSWER)])
    conversation.apply(streamed("output_text.delta", delta="So far"))
    (live,) = conversation.responses
    assert (live.status, live.metadata, getattr(live.output[0], "text", None)) == ("in_progress", {"k": "v"}, "So far")
    conversation.apply(response("done", output=[SAID], usage=USAGE))
    (final,) = conversation.responses
    assert (final.status, getattr(final.output[0], "text", None)) == ("completed", "Said")
    assert (live.status, getattr(live.output[0], "text", None)) == ("in_progress", "So far")


def test_an_answer_out_of_band_is_in_its_response_and_not_in_the_conversation() -> None:
    conversation = told(
        [added("1", None), response("created", conversation_id=None), output_item("added", EMPTY_ANSWER)]
    )
    conversation.apply(streamed("output_text.delta", delta="Aside"))
    assert (ids(conversation), len(conversation.responses[0].output)) == (["1"], 1)
    conversation.apply(response("done", conversation_id=None))
    conversation.apply(streamed("output_text.delta", delta=" late"))
    assert (ids(conversation), getattr(conversation.responses[0].output[0], "text", None)) == (["1"], "Aside")
    assert conversation.item("a") is None


def test_an_answer_that_only_its_response_tells_of_is_in_the_conversation_all_the_same() -> None:
    assert texts(told([added("1", None), response("done", output=[SAID])])) == ["1", "Said"]
    gone = update("conversation.item.deleted", item_id="a")
    assert texts(told([added("1", None), added(EMPTY_ANSWER, "1"), gone, response("done", output=[SAID])])) == ["1"]


def test_each_response_is_counted_once() -> None:
    updates = [session(), response("done", usage=USAGE), response("done", usage=USAGE)]
    conversation = told([*updates, response("created"), response("done", "r2", usage=USAGE)])
    usage = conversation.usage
    assert (usage.responses, usage.input_tokens, usage.output_tokens, usage.cached_tokens) == (2, 40, 20, 16)
    assert (usage.input_text_tokens, usage.input_audio_tokens, usage.output_audio_tokens) == (30, 10, 12)
    assert conversation.cost() == pytest.approx(2 * (7 * 4 + 8 * 0.4 + 5 * 32 + 4 * 24 + 6 * 64) / 1e6)
    assert conversation.cost(PRICES.with_model("gpt-realtime-2.1", ModelPrices())) is None
    assert [one.status for one in conversation.responses] == ["completed", "completed"]


def test_cost_is_none_where_the_model_or_a_usage_is_not_told() -> None:
    assert told([response("done", usage=USAGE)]).cost() is None
    assert told([session(), response("done", usage=USAGE), response("done", "r2")]).cost() is None
    assert told([session()]).cost() == 0.0


def test_what_was_used_before_the_model_was_told_costs_what_that_model_costs() -> None:
    known = told([session(), response("done", usage=USAGE)]).cost()
    late = told([response("done", usage=USAGE), session()])
    assert known
    assert (late.cost(), late.cost_note()) == (known, None)


def test_responses_without_an_id_are_responses() -> None:
    updates = [response("created", None), response("done", None, usage=USAGE), response("done", None, usage=USAGE)]
    assert told(updates).usage.responses == len(told(updates).responses) == 2


def test_the_session_and_the_id_are_the_last_that_were_told() -> None:
    conversation = told([session(), update("conversation.created", conversation={"id": "conv_1"})])
    assert (conversation.id, conversation.session and conversation.session.id) == ("conv_1", "s")
    conversation.apply(update("session.updated", session={"type": "realtime", "model": "other"}))
    conversation.apply(response("created"))
    assert (conversation.id, conversation.session and conversation.session.model) == ("c", "other")


# Whole recordings -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", sorted(SESSIONS.glob("*.jsonl")), ids=lambda path: path.stem)
def test_a_recorded_conversation_ends_as_its_server_says(path: Any) -> None:
    frames = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    updates = [ConversationUpdate.from_json(frame["raw"]) for frame in frames if frame["dir"] == "s2c"]
    conversation = told(updates)
    final: dict[str, str] = {}
    order: list[str] = []
    for one in updates:
        raw = one.json()
        if one.type in ("conversation.item.added", "conversation.item.created"):
            order.append(raw["item"]["id"])
        whole = raw["response"]["output"] if one.type == "response.done" else [raw.get("item")]
        for item in [item for item in whole if item and (item.get("content") or item["type"] != "message")]:
            final[item["id"]] = wire_text(item)
        if one.type.endswith("input_audio_transcription.completed"):
            final[raw["item_id"]] = raw["transcript"]
    assert ids(conversation) == order
    assert {str(item.id): wire_text(as_wire(item)) for item in conversation.items} == final
    assert all(item.status in ("completed", None) for item in conversation.items)
    assert conversation.history_losses() == []
    assert Conversation.from_json(conversation.to_json()) == conversation == conversation.snapshot()


def wire_text(item: dict[str, Any]) -> str:
    parts = item.get("content") or []
    said = "".join(part.get("text") or part.get("transcript") or "" for part in parts)
    return said + str(item.get("arguments") or "") + str(item.get("output") or "")


def as_wire(item: Any) -> dict[str, Any]:
    parts = [{"text": part.text, "transcript": part.transcript} for part in getattr(item, "content", [])]
    return {"content": parts, "arguments": getattr(item, "arguments", None), "output": getattr(item, "output", None)}


def test_what_odd_servers_say_is_survived() -> None:
    conversation = told(ConversationUpdate.from_json(line) for line in fixture_lines())
    assert conversation.items
    assert Conversation.from_json(conversation.to_json()) == conversation


def test_what_is_no_message_changes_nothing() -> None:
    conversation = told([added("1", None)])
    before = conversation.to_json()
    for one in (
        ConversationUpdate.from_json("not JSON"),
        UnreadableUpdate(type=""),
        update("from.the.future", item={}),
    ):
        conversation.apply(one)
    assert conversation.to_json() == before


def test_an_item_of_an_unknown_type_is_an_item() -> None:
    item = {"id": "1", "type": "hologram", "depth": 3}
    conversation = told([added(item, None)])
    assert conversation.items == [UnknownItem(id="1", type="hologram", extra={"depth": 3})]
    assert Conversation.from_json(conversation.to_json()).items == conversation.items

"""Turns made of updates alone: what belongs together, when a turn is finished, and when things happened."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_sync import ConversationUpdate, Timeline, Turn, TurnTracker
from tests.conversation.conversation_wire import (
    added,
    message,
    output_item,
    response,
    session,
    streamed,
    transcription,
    update,
)
from tests.protocol.recorded import SESSIONS, all_lines

TRANSCRIBED = {"audio": {"input": {"transcription": {"model": "gpt-transcribe"}}}}


def turns_of(updates: Iterable[ConversationUpdate], tracker: TurnTracker | None = None) -> list[Turn]:
    """Each update comes a second after the one before it."""
    tracker = tracker or TurnTracker()
    return [turn for at, one in enumerate(updates, 100) for turn in tracker.apply(one, float(at))]


def speech(step: str, item_id: str = "u") -> ConversationUpdate:
    times = {"started": {"audio_start_ms": 0}, "stopped": {"audio_end_ms": 900}}[step]
    return update(f"input_audio_buffer.speech_{step}", item_id=item_id, **times)


def committed(item_id: str = "u") -> ConversationUpdate:
    return update("input_audio_buffer.committed", item_id=item_id, previous_item_id=None)


def spoken(item_id: str = "u") -> list[ConversationUpdate]:
    item = message(item_id, {"type": "input_audio", "transcript": None})
    return [speech("started", item_id), speech("stopped", item_id), committed(item_id), added(item)]


def answer(response_id: str = "r", item_id: str = "a", text: str = "Yes.", **end: Any) -> list[ConversationUpdate]:
    said = message(item_id, {"type": "output_audio", "transcript": text}, role="assistant")
    return [
        response("created", response_id),
        output_item("added", message(item_id, role="assistant", status="in_progress"), response_id),
        added(message(item_id, role="assistant", status="in_progress")),
        streamed("output_audio_transcript.delta", item_id, response_id, delta=text),
        streamed("output_audio.delta", item_id, response_id, delta="AAAA"),
        response("done", response_id, output=[said], **end),
    ]


def call(response_id: str = "r", item_id: str = "f", **end: Any) -> list[ConversationUpdate]:
    wire = {"id": item_id, "type": "function_call", "name": "look", "call_id": f"c_{item_id}", "arguments": "{}"}
    return [response("created", response_id), response("done", response_id, output=[wire], **end)]


def test_a_spoken_turn_has_its_transcript_its_answer_and_its_timeline() -> None:
    (turn,) = turns_of([*spoken(), transcription("completed", transcript="Is it?"), *answer()])
    assert (turn.user_transcript, turn.user_text, turn.transcript, turn.text) == ("Is it?", "", "Yes.", "")
    assert (turn.user_item_ids, turn.item_ids, turn.response_ids) == (("u",), ("a",), ("r",))
    assert (turn.status, turn.interrupted, turn.started) == ("completed", False, 100.0)
    assert turn.timeline == Timeline(
        speech_started=0,
        speech_stopped=1,
        committed=2,
        response_created=5,
        first_text=8,
        first_audio=9,
        done=10,
    )
    assert turn.timeline.speech_seconds == 1
    assert turn.timeline.speech_stopped_to_first_audio == 8
    assert turn.timeline.response_created_to_done == 5
    assert turn.timeline.speech_stopped_to_first_played is None
    assert str(turn) == "Is it? -> Yes."


def test_a_written_turn_begins_with_its_item() -> None:
    (turn,) = turns_of([added(message("u", "Is it?")), *answer()])
    assert (turn.user_text, turn.user_transcript, turn.timeline.speech_started) == ("Is it?", None, None)
    assert (turn.timeline.committed, turn.timeline.committed_to_first_audio) == (0, 5)


def test_an_item_told_by_both_names_is_said_once() -> None:
    (turn,) = turns_of([added(message("u", "Hi")), added(message("u", "Hi"), name="created"), *answer()])
    assert turn.user_text == "Hi"


@pytest.mark.parametrize("end", ["completed", "failed"])
def test_a_turn_waits_for_a_transcript_that_comes_after_the_answer(end: str) -> None:
    tracker = TurnTracker()
    assert turns_of([session(**TRANSCRIBED), *spoken(), *answer()], tracker) == []
    told = {"transcript": "Late."} if end == "completed" else {"error": {"code": "noise"}}
    (turn,) = turns_of([transcription("delta", delta="La"), transcription(end, **told)], tracker)
    assert turn.user_transcript == {"completed": "Late.", "failed": "La"}[end]
    assert (turn.transcription_error is None) == (end == "completed")


def test_a_tracker_that_begins_in_the_middle_knows_the_settings() -> None:
    settings = session(**TRANSCRIBED)
    tracker = TurnTracker(settings.session)  # type: ignore[attr-defined]
    assert turns_of([*spoken(), *answer()], tracker) == []
    assert len(turns_of([transcription("completed", transcript="x")], tracker)) == 1


def test_a_transcript_that_never_comes_holds_no_more_than_two_later_turns_up() -> None:
    said = [
        one
        for number in range(3)
        for one in (*spoken(f"u{number}"), *answer(f"r{number}", f"a{number}", f"Answer {number}"))
    ]
    late = [transcription("completed", f"u{number}", transcript=f"Question {number}") for number in (1, 2)]
    turns = turns_of([session(**TRANSCRIBED), *said, *late])
    assert [str(turn) for turn in turns] == ["... -> Answer 0", "Question 1 -> Answer 1", "Question 2 -> Answer 2"]


def test_a_deleted_item_has_no_transcript_to_wait_for() -> None:
    deleted = update("conversation.item.deleted", item_id="u")
    assert len(turns_of([session(**TRANSCRIBED), *spoken(), *answer(), deleted])) == 1


def test_a_tool_round_is_one_turn() -> None:
    output = {"id": "o", "type": "function_call_output", "call_id": "c_f", "output": "0"}
    (turn,) = turns_of([added(message("u", "Look")), *call("r1"), added(output), *answer("r2")])
    assert [each.name for each in turn.function_calls] == ["look"]
    assert (turn.response_ids, turn.transcript, turn.status) == (("r1", "r2"), "Yes.", "completed")
    assert (turn.timeline.response_created, turn.timeline.done) == (1, 9)


def test_the_answer_to_a_slow_tool_goes_to_its_turn_while_the_user_speaks_again() -> None:
    first = [added(message("u", "Look")), *call("r1"), speech("started", "v"), *answer("r2")]
    second = [speech("stopped", "v"), committed("v"), *answer("r3", "b", "Well.")]
    looked, well = turns_of([*first, *second])
    assert (looked.response_ids, well.response_ids) == (("r1", "r2"), ("r3",))
    assert (looked.user_text, well.user_item_ids) == ("Look", ("v",))


def test_cancelled_calls_are_not_waited_for() -> None:
    (turn,) = turns_of([added(message("u", "Look")), *call("r1", status="cancelled")])
    assert turn.interrupted


def test_out_of_band_answers_make_no_turn() -> None:
    aside = [one for one in answer("aside", "x") if "conversation.item" not in one.type]
    aside[0] = response("created", "aside", conversation_id=None)
    assert turns_of(aside) == []
    (turn,) = turns_of([added(message("u", "Hi")), *aside, *answer()])
    assert turn.response_ids == ("r",)


def test_preview_servers_do_not_tell_the_conversation() -> None:
    created = update("response.created", response={"id": "r", "status": "in_progress", "output": []})
    (turn,) = turns_of([added(message("u", "Hi")), created, *answer()[1:]])
    assert turn.transcript == "Yes."


def test_history_is_no_turn() -> None:
    history = [
        added(message("h1", "My name is Ada.")),
        added(message("h2", {"type": "output_text", "text": "Hi!"}, role="assistant")),
    ]
    (turn,) = turns_of([*history, added(message("u", "Who am I?")), *answer()])
    assert (turn.user_text, turn.timeline.committed) == ("Who am I?", 0)


def test_what_the_user_adds_before_the_answer_is_one_turn() -> None:
    (turn,) = turns_of([added(message("u", "Look")), added(message("v", "there")), *spoken("w"), *answer()])
    assert (turn.user_text, turn.user_item_ids) == ("Look\nthere", ("u", "v", "w"))


def test_a_barge_in_ends_one_turn_and_begins_another() -> None:
    cut = {"status": "cancelled", "status_details": {"type": "cancelled", "reason": "turn_detected"}}
    first = answer("r1", "a1", "I think tha", **cut)
    truncated = update("conversation.item.truncated", item_id="a1", content_index=0, audio_end_ms=10)
    updates = [*spoken("u1"), *first[:-1], speech("started", "u2"), first[-1], truncated]
    turns = turns_of([*updates, speech("stopped", "u2"), committed("u2"), *answer("r2", "a2", "Sorry.")])
    assert [(turn.interrupted, turn.reason, turn.transcript) for turn in turns] == [
        (True, "turn_detected", "I think tha"),
        (False, None, "Sorry."),
    ]


def test_a_noise_that_came_to_nothing_is_no_turn() -> None:
    cleared = update("input_audio_buffer.cleared")
    for nothing in ([speech("started", "n"), cleared], [speech("started", "n")]):
        (turn,) = turns_of([*nothing, *spoken(), *answer()])
        assert (turn.timeline.speech_started, turn.timeline.speech_stopped) == (0, 1)


def test_an_answer_that_nobody_asked_for_is_a_turn_without_a_user() -> None:
    (turn,) = turns_of(answer())
    assert (turn.user_item_ids, turn.transcript) == ((), "Yes.")


def test_an_answer_that_had_begun_before_is_left_out() -> None:
    assert turns_of(answer()[1:]) == []


def test_the_service_tells_when_it_plays_itself() -> None:
    started = update("output_audio_buffer.started", response_id="r")
    (turn,) = turns_of([added(message("u", "Hi")), *answer()[:-1], started, answer()[-1]])
    assert turn.timeline.first_played == 6


def test_the_rest_has_what_was_being_answered() -> None:
    tracker = TurnTracker()
    turns_of([added(message("u", "Hi")), *answer()[:-1]], tracker)
    (turn,) = tracker.rest()
    assert (turn.transcript, turn.status, turn.timeline.done) == ("Yes.", None, None)
    assert tracker.rest() == []


@pytest.mark.parametrize("count", [1_000, pytest.param(10_000, marks=pytest.mark.slow)])
def test_thousands_of_unanswered_turns_fill_no_memory(count: int) -> None:
    tracker = TurnTracker()
    said = [one for n in range(count) for one in (*spoken(f"u{n}"), response("created", f"r{n}"))]
    finished = turns_of(said, tracker)
    assert len(finished) + len(tracker.rest()) == count
    assert len(finished) >= count - 100


# What real services sent ----------------------------------------------------------------------------------------------

ORDERS = {
    "azure_voice_live_ws-tool_call_round": [(2, "What is the weather in London?")],
    "azure_ws-audio_in_server_vad_transcribes": [(1, "Hello, my name is Marcelo.")],
    "azure_ws-text_in_audio_out_turn": [(1, "Say a short greeting.")],
    "openai_ws-audio_in_server_vad_turn": [(1, "Hello, my name is Marcelo.")],
    "openai_ws-tool_call_round": [(2, "What is the weather in London?")],
    "openai_ws_sideband-webrtc_sideband_text_turn": [(1, "Say hello.")],
    "parity_ws-history_seeding_parity-openai-previous": [(1, "What is my name and favorite color?")],
    "parity_ws-text_tool_round_parity-azure-current": [(2, "What is the weather in London?")],
    "xai_ws-text_in_audio_out_turn": [(1, "Say a short greeting.")],
    "xai_ws-session_resumption_after_drop": [
        (1, "Remember exactly: the code word is cobalt. Briefly acknowledge it."),
        (1, "What code word did I ask you to remember?"),
    ],
}


@pytest.mark.parametrize("name", ORDERS)
def test_recorded_sessions_are_the_turns_that_they_were(name: str) -> None:
    lines = (SESSIONS / f"{name}.jsonl").read_text("utf-8").split("\n")
    frames = [json.loads(line) for line in lines if line]
    tracker = TurnTracker()
    turns = turns_of((ConversationUpdate.from_json(f["raw"]) for f in frames if f["dir"] == "s2c"), tracker)
    assert tracker.rest() == []
    assert [(len(turn.response_ids), turn.user_transcript or turn.user_text) for turn in turns] == ORDERS[name]
    for turn in turns:
        assert turn.status == "completed"
        assert turn.text or turn.transcript
        times = turn.timeline
        order = [times.speech_started, times.speech_stopped, times.committed, times.response_created, times.first_text]
        happened = [moment for moment in order if moment is not None]
        assert happened == sorted(happened)
        assert happened[0] == 0
        assert times.done is not None
        assert times.done > happened[-1]


ANY = st.lists(st.sampled_from(all_lines()), max_size=60).map(lambda lines: [*map(ConversationUpdate.from_json, lines)])
IDS = st.sampled_from(["a", "b", "r", ""])
OURS = st.one_of(
    st.builds(speech, st.sampled_from(["started", "stopped"]), IDS),
    st.builds(committed, IDS),
    st.builds(lambda item, role: added(message(item, "text", role=role)), IDS, st.sampled_from(["user", "assistant"])),
    st.builds(transcription, st.sampled_from(["completed", "failed", "delta"]), IDS),
    st.builds(lambda step, key: response(step, key), st.sampled_from(["created", "done"]), IDS),
    st.builds(lambda item, key: streamed("output_text.delta", item, key, delta="x"), IDS, IDS),
    st.builds(lambda item, key: output_item("done", {"id": item, "type": "function_call"}, key), IDS, IDS),
    st.builds(lambda item: update("conversation.item.deleted", item_id=item), IDS),
)


@given(st.one_of(ANY, st.lists(OURS, max_size=60)))
def test_any_updates_in_any_order_raise_nothing_and_no_answer_is_told_twice(updates: list[ConversationUpdate]) -> None:
    tracker = TurnTracker()
    turns = [*turns_of([session(**TRANSCRIBED), *updates], tracker), *tracker.rest()]
    begun = sum(one.type == "response.created" for one in updates)
    assert sum(len(turn.response_ids) for turn in turns) <= begun
    for turn in turns:
        assert str(turn)
        assert all(getattr(turn.timeline, name) is None or getattr(turn.timeline, name) >= 0 for name in TIMES)


TIMES = ("speech_started", "speech_stopped", "committed", "response_created", "first_text", "first_audio", "done")

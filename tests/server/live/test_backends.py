"""Delegation to Responses and to Decisions."""

from __future__ import annotations

import base64
import json
from typing import Any, Callable

import pytest

from realtime_sync.server import FunctionCall, LiveFaults, LiveRules, Reply, RulesBrain, Turn
from tests.server.live.conftest import Call
from tests.server.live.schemas import server_event_types
from tests.server.sounds import tone

Json = dict[str, Any]
OpenCall = Callable[..., Call]
WEATHER = {
    "type": "function",
    "name": "lookup_forecast",
    "description": "Tomorrow's weather in a city.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
# A call, its result, and the answer, as captured on 2026-09-23; runs of deltas as one.
ROUND = [
    "created",
    "in_progress",
    "output_item.added",
    "function_call_arguments.delta",
    "function_call_arguments.done",
    "output_item.done",
    "completed",
    "created",
    "in_progress",
    "output_item.added",
    "content_part.added",
    "output_text.delta",
    "output_text.done",
    "content_part.done",
    "output_item.done",
    "completed",
]
# ... and what the events hold beside their type and number.
FIELDS = {
    "created": "response",
    "in_progress": "response",
    "output_item.added": "item output_index",
    "function_call_arguments.delta": "delta item_id obfuscation output_index",
    "function_call_arguments.done": "arguments item_id output_index",
    "output_item.done": "item output_index",
    "completed": "response",
    "content_part.added": "content_index item_id output_index part",
    "output_text.delta": "content_index delta item_id logprobs obfuscation output_index",
    "output_text.done": "content_index item_id logprobs output_index text",
    "content_part.done": "content_index item_id output_index part",
}


def responses(*tools: Json, **fields: Any) -> Json:
    return {"type": "responses", "responses": {"model": "gpt-6-luna", "tools": list(tools), **fields}}


def backend_kinds(events: list[Json]) -> list[str]:
    """The nested types, runs of deltas as one."""
    kinds = [each["event"]["type"] for each in events if each["type"] == "response.event"]
    return [kind for index, kind in enumerate(kinds) if not index or kinds[index - 1] != kind]


def asked(call: Call, text: str = "What will the weather be in Amsterdam tomorrow?") -> str:
    """Hear a question, delegate it, and let time pass until the backend has said all that it says for now."""
    call.twin.hear(text)
    delegation_id = call.twin.delegate()
    call.silence(6.0)
    return delegation_id


def until_done(call: Call, count: int = 1) -> Json:
    """The snapshot of the count-th completed response."""
    done: Json = call.twin.wait_for_sent(lambda each: nested(each) == "response.completed", count=count)
    return done["event"]["response"]  # type: ignore[no-any-return]


def nested(event: Json) -> str | None:
    return event["event"]["type"] if event["type"] == "response.event" else None


def weather(turn: Turn) -> FunctionCall | str:
    last = turn.last
    assert last is not None
    if last["type"] == "function_call_output":
        return f"Tomorrow: {last['output']}"
    return FunctionCall("lookup_forecast", {"city": "Amsterdam"})


def test_the_whole_round_is_that_of_the_capture(open_call: OpenCall) -> None:
    call = open_call(LiveRules(backend=weather), delegation=responses(WEATHER))
    delegation_id = asked(call)
    first = until_done(call)
    done = call.twin.wait_for_sent(lambda each: nested(each) == "response.output_item.done")
    called = done["event"]["item"]
    assert (called["name"], called["status"]) == ("lookup_forecast", "completed")
    assert json.loads(called["arguments"]) == {"city": "Amsterdam"}
    output = {"type": "function_call_output", "call_id": called["call_id"], "output": "14 degrees, light rain."}
    call.send("response.item.create", item=output)
    call.send("response.create")
    second = until_done(call, 2)
    call.silence(6.0)
    call.hang_up()
    events = call.peer.events
    assert backend_kinds(events) == [f"response.{kind}" for kind in ROUND]
    created = next(each for each in events if each["type"] == "session.delegation.created")
    assert created["delegation"]["target"] == "responses"
    assert created["delegation"]["response_id"] == first["id"]
    assert second["previous_response_id"] == first["id"]
    assert second["output"] == []
    assert {each["delegation_id"] for each in events if each["type"] == "response.event"} == {delegation_id}
    assert sum(each["type"] == "session.delegation.created" for each in events) == 1
    assert call.peer.text("output").endswith("Tomorrow: 14 degrees, light rain.")
    numbers = [each["event"]["sequence_number"] for each in events if each["type"] == "response.event"]
    start = numbers.index(0, 1)
    assert numbers == [*range(start), *range(len(numbers) - start)]


def test_each_nested_event_has_the_fields_of_the_captured_one(open_call: OpenCall) -> None:
    call = open_call(LiveRules(backend=weather), delegation=responses(WEATHER))
    asked(call)
    until_done(call)
    call.hang_up()
    fields = {f"response.{kind}": {"type", "sequence_number", *names.split()} for kind, names in FIELDS.items()}
    told = [each for each in call.peer.events if each["type"] == "response.event"]
    assert told
    assert all(set(each["event"]) == fields[nested(each)] for each in told)


def test_all_open_calls_want_an_output_before_the_backend_goes_on(open_call: OpenCall) -> None:
    def both(turn: Turn) -> Reply | str:
        assert turn.last is not None
        if turn.last["type"] == "function_call_output":
            return "Both are known."
        return Reply(function_calls=[("first", {}), ("second", {})])

    call = open_call(LiveRules(backend=both), delegation=responses())
    asked(call)
    until_done(call)
    calls = [each["event"]["item"] for each in call.twin.sent if nested(each) == "response.output_item.done"]
    assert [each["name"] for each in calls] == ["first", "second"]
    call.send("response.create", event_id="too_soon")
    error = call.peer.error()
    assert error["client_event_id"] == "too_soon"
    assert calls[0]["call_id"] in error["message"]
    for number, each in enumerate(calls):
        item = {"type": "function_call_output", "call_id": each["call_id"], "output": "5"}
        call.send("response.item.create", item=item)
        call.send("response.item.create", item=item)  # a repeated one is tolerated
        if not number:
            call.send("response.create")
            assert calls[1]["call_id"] in call.peer.error()["message"]
    call.send("response.create")
    until_done(call, 2)
    item = {"type": "function_call_output", "call_id": "call_unknown", "output": "5"}
    call.send("response.item.create", item=item)
    assert call.peer.error()["param"] == "item.call_id"


def test_the_backend_is_the_server_s_responder_unless_another_is_given(open_call: OpenCall) -> None:
    call = open_call(server={"responder": RulesBrain()}, delegation=responses({**WEATHER, "name": "get_weather"}))
    asked(call, "What is the weather in Amsterdam?")
    until_done(call)
    done = call.twin.wait_for_sent(lambda each: nested(each) == "response.output_item.done")
    assert json.loads(done["event"]["item"]["arguments"]) == {"city": "Amsterdam"}


def test_typed_text_is_answered_for_no_delegation_and_spoken_only_if_the_model_was_told(open_call: OpenCall) -> None:
    call = open_call(LiveRules(backend=lambda turn: "It is five."), delegation=responses())
    call.silence(1.0)

    def ask(count: int) -> None:
        item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "2 plus 3?"}]}
        call.send("response.item.create", item=item)
        call.send("response.create")
        until_done(call, count)
        call.silence(3.0)

    call.send("session.thinking.append", content="The user typed: 2 plus 3?", delegation_id=None)
    ask(1)
    assert "".join(each["delta"] for each in call.twin.sent if "transcript" in each["type"]) == "It is five."
    ask(2)
    call.hang_up()
    assert call.peer.text("output") == "It is five."
    assert {each["delegation_id"] for each in call.peer.events if each["type"] == "response.event"} == {None}


def test_a_backend_takes_every_item_of_the_responses_api(open_call: OpenCall) -> None:
    call = open_call(LiveRules(backend=lambda turn: turn.text_of(turn.items[0])), delegation=responses())
    for item in (
        {"role": "user", "content": "As chat has it."},  # no type
        {"role": "assistant", "content": "Well.", "phase": "commentary"},
        {"type": "reasoning", "id": "rs_1", "summary": []},
    ):
        call.send("response.item.create", item=item)
    call.send("response.create")
    until_done(call)
    done = call.twin.wait_for_sent(lambda each: nested(each) == "response.output_text.done")
    assert done["event"]["text"] == "As chat has it."
    for wrong, param in (
        ({"type": "messag"}, "item.type"),
        ({"content": ""}, "item.type"),
        ({"role": "x"}, "item.content"),
    ):
        call.send("response.item.create", item=wrong)
        assert call.peer.error()["param"] == param


def test_a_delegation_while_one_is_worked_on_waits_for_it(open_call: OpenCall) -> None:
    call = open_call(LiveRules(backend=lambda turn: Reply("Done.", delay=5.0)), delegation=responses())
    call.silence(1.0)
    first = call.twin.delegate(after_last_fragment=False)
    second = call.twin.delegate(after_last_fragment=False)
    assert call.clock.wait_for_timers(5)
    call.silence(5.1)
    until_done(call)
    assert call.clock.wait_for_timers(5)
    call.silence(5.1)
    until_done(call, 2)
    call.hang_up()
    order = [each["delegation_id"] for each in call.peer.events if each["type"] == "response.event"]
    assert order == sorted(order, key=[first, second].index)


@pytest.mark.parametrize(
    ("rules", "settings"),
    [
        (LiveRules(backend=weather, faults=LiveFaults(handoff_incomplete=True)), {}),
        (LiveRules(backend=lambda turn: "word " * 100), {"max_output_tokens": 16}),
        (LiveRules(backend=lambda turn: 1 / 0), {}),  # type: ignore[arg-type,return-value]
    ],
)
def test_a_backend_that_fails_is_told_by_an_error_alone(open_call: OpenCall, rules: LiveRules, settings: Json) -> None:
    call = open_call(rules, delegation=responses(WEATHER, **settings))
    asked(call)
    error = call.peer.error()
    assert error["message"] == "Responses handoff incomplete."
    assert "client_event_id" not in error
    assert backend_kinds(call.peer.events) == ["response.created", "response.in_progress"]
    call.silence(1.0)
    assert not call.twin.is_over


def test_an_append_with_responses_delegation_names_no_delegation(open_call: OpenCall) -> None:
    call = open_call(delegation=responses())
    call.commentary("Hello.", delegation_id="item_1")
    assert call.peer.error()["param"] == "delegation_id"
    call.commentary("Hello.")
    assert call.twin.appends.are_pending


# Decisions -----------------------------------------------------------------------------------------------------------

CHOICES = [{"value": "warmer"}, {"value": "colder"}]
QUESTIONS = [
    {"type": "choice", "name": "cabin", "instructions": "What is wanted?", "choices": CHOICES},
    {"type": "predicate", "name": "urgent", "instructions": "Is it about temperature?"},
    {"type": "score", "instructions": "How calm?", "levels": [{"label": "calm"}, {"label": "angry"}]},
]
DECISIONS = {"type": "decisions", "decisions": {"model": "decider", "questions": QUESTIONS}}


def decided(event: Json) -> list[object]:
    answers = event["event"]["decision"]["answers"]
    return [each.get("choice", each.get("probability", each.get("score"))) for each in answers]


def test_a_delegation_is_decided_at_once(open_call: OpenCall) -> None:
    call = open_call(delegation=DECISIONS)
    delegation_id = asked(call, "Make it warmer, the temperature is low.")
    event = call.peer.until("decision.event")
    assert event["delegation_id"] == delegation_id
    assert event["trigger_id"] is None
    assert event["event"]["decision"]["model"] == "decider"
    assert decided(event) == ["warmer", 0.9, 0.0]
    call.twin.hear("Colder.")
    call.send("decision.create", event_id="d_1")
    call.silence(0.1)
    event = call.peer.until("decision.event")
    assert (event["delegation_id"], event["source_event_id"]) == (None, "d_1")
    call.send("decision.create", event_id="d_1")
    assert call.peer.error()["param"] == "event_id"


def test_items_are_context_for_decisions(open_call: OpenCall) -> None:
    call = open_call(delegation=DECISIONS)
    call.send("decision.item.create", item={"role": "user", "content": "The caller is angry."}, event_id="i_1")
    created = call.peer.until("decision.item.created")
    assert created["client_event_id"] == "i_1"
    assert created["item"]["content"] == "The caller is angry."
    call.send("decision.create", event_id="d_1")
    assert decided(call.peer.until("decision.event"))[2] == 1.0
    call.send("decision.item.delete", item_id=created["item"]["id"])
    assert call.peer.until("decision.item.deleted")["item_id"] == created["item"]["id"]
    call.send("decision.create", event_id="d_2")
    assert decided(call.peer.until("decision.event"))[2] == 0.0
    call.send("decision.item.delete", item_id="nothing")
    assert call.peer.error()["param"] == "item_id"


def test_a_trigger_decides_at_each_piece_of_the_words_without_delegation(open_call: OpenCall) -> None:
    kind = "session.input_transcript.delta"
    trigger = {"type": "decisions", "event_type": kind, "decisions": {"questions": QUESTIONS}}
    call = open_call(triggers=[trigger])
    call.twin.hear("Make it warmer.")
    call.twin.say("I do.")
    call.silence(3.0)
    call.hang_up()
    assert call.peer.text("output") == "I do."
    words = [each for each in call.peer.events if each["type"] == kind]
    events = [each for each in call.peer.events if each["type"] == "decision.event"]
    assert len(words) > 1
    assert [each["source_event_id"] for each in events] == [each["event_id"] for each in words]
    assert len({each["trigger_id"] for each in events}) == len(events)
    assert all(each["delegation_id"] is None and each["source_event_type"] == kind for each in events)


def test_two_triggers_of_one_kind_are_refused(open_call: OpenCall) -> None:
    call = open_call()
    trigger = {"type": "decisions", "event_type": "session.input_transcript.delta", "decisions": {"questions": []}}
    call.send("session.update", session={"triggers": [trigger, trigger]})
    assert call.peer.error()["param"] == "session.triggers"


# All -----------------------------------------------------------------------------------------------------------------

# Those of calls are in test_doors.py. A browser's session pauses here never; nothing is known of when info comes.
UNSENT = {"session.paused", "session.resumed", "info", "session.input_audio.append"}


def test_every_event_that_a_socket_may_be_sent_is_sent(open_call: OpenCall) -> None:
    first = open_call(LiveRules(backend=lambda turn: "Done."), delegation=responses())
    first.twin.hear("Please check it.")
    first.twin.delegate()
    for kind in ("commentary", "thinking", "instructions"):
        first.send(f"session.{kind}.append", content="Hello.", delegation_id=None)
    first.send("session.input_audio.mute")
    first.send("session.input_audio.unmute")
    first.send("session.update", session={})
    first.silence(15.0)
    first.send("session.output_audio.fixture.play", audio=base64.b64encode(tone(500)).decode())
    first.silence(1.0)
    first.send("session.update", session={"instructions": "New."})
    first.hang_up()
    second = open_call(delegation=DECISIONS)
    second.send("decision.create", event_id="d_1")
    second.send("decision.item.create", item={"id": "i_1", "role": "user", "content": "Hello."})
    second.send("decision.item.delete", item_id="i_1")
    second.hang_up()
    seen = {event["type"] for call in (first, second) for event in call.peer.seen}
    of_calls = {kind for kind in server_event_types() if kind.startswith("transport.")}
    assert server_event_types() - seen == UNSENT | of_calls

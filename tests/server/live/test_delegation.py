"""Appends and delegations: when they land, what is said of them, and what becomes of them when no audio flows."""

from __future__ import annotations

from typing import Any, Callable

import pytest

from realtime_sync.server import LiveFaults, LiveRules
from tests.server.live.conftest import Call, LivePeer, until_planned

Json = dict[str, Any]
OpenCall = Callable[..., Call]
KINDS = ("commentary", "thinking", "instructions")


def told(call: Call, wire_type: str) -> list[Json]:
    return [each for each in call.twin.sent if each["type"] == wire_type]


@pytest.mark.parametrize("kind", KINDS)
def test_an_append_is_acknowledged_three_quarters_of_a_second_of_timeline_later(open_call: OpenCall, kind: str) -> None:
    call = open_call()
    call.silence(1.05)
    call.send(f"session.{kind}.append", content="Hello.", delegation_id=None, event_id="a_1")
    call.silence(0.6)
    assert not told(call, f"session.{kind}.appended")
    call.silence(0.3)
    assert call.peer.until(f"session.{kind}.appended")["client_event_id"] == "a_1"
    (appended,) = told(call, f"session.{kind}.appended")
    assert (appended["start_ms"], appended["end_ms"]) == (1200, 1400)


def test_commentary_is_spoken_from_a_moment_before_it_is_acknowledged(open_call: OpenCall) -> None:
    call = open_call()
    call.silence(1.0)
    call.commentary("Done: all is well.")
    call.silence(3.0)
    call.hang_up()
    assert call.peer.text("output") == "Done: all is well."
    assert call.peer.types()[1:3] == ["session.output_transcript.delta", "session.commentary.appended"]
    assert call.peer.events[1]["start_ms"] == call.peer.events[2]["start_ms"] - 200


@pytest.mark.parametrize("kind", ["thinking", "instructions"])
def test_what_is_no_commentary_is_not_spoken(open_call: OpenCall, kind: str) -> None:
    call = open_call()
    call.send(f"session.{kind}.append", content="Not for the ears.", delegation_id=None)
    call.silence(5.0)
    call.hang_up()
    assert call.peer.text("output") == ""


def test_commentary_is_said_in_the_model_s_own_words(open_call: OpenCall) -> None:
    call = open_call(LiveRules(in_own_words=lambda content: f"So: {content}"))
    call.commentary("Done.")
    until_planned(call)
    call.silence(3.0)
    call.hang_up()
    assert call.peer.text("output") == "So: Done."


def test_own_words_that_fail_are_those_of_the_commentary(open_call: OpenCall, caplog: pytest.LogCaptureFixture) -> None:
    call = open_call(LiveRules(in_own_words=lambda content: content[100]))
    call.commentary("Done.")
    until_planned(call)
    call.silence(3.0)
    call.hang_up()
    assert call.peer.text("output") == "Done."
    assert "in_own_words failed" in caplog.text


def test_without_a_clock_nothing_lands_and_the_close_tells_of_it(open_call: OpenCall) -> None:
    call = open_call()
    call.silence(1.0)
    call.advance(10)
    call.commentary("Nobody hears this.")
    call.advance(100)
    assert not told(call, "session.commentary.appended")
    call.send("session.close")
    call.advance(0.19)
    assert not told(call, "error")
    call.advance(0.02)
    call.advance(0.5)
    call.peer.rest()
    error, closed = call.peer.events[-2:]
    assert error["error"]["code"] == "context_injection_incomplete"
    assert error["error"]["type"] == "server_error"
    assert closed["type"] == "session.closed"
    assert closed["usage"] == {"seconds": 3}
    assert call.peer.text("output") == ""


def test_nothing_is_said_of_what_came_just_as_the_clock_stood(open_call: OpenCall) -> None:
    call = open_call()
    call.silence(1.0)
    call.advance(2.95)
    assert call.twin.stands
    assert call.twin.model_ms < call.twin.timeline_ms
    call.commentary("Nobody hears this.")
    call.advance(10)
    assert not told(call, "session.output_transcript.delta")
    assert not told(call, "session.commentary.appended")


def test_what_was_sent_while_the_clock_stood_lands_when_audio_comes_again(open_call: OpenCall) -> None:
    call = open_call()
    call.silence(1.0)
    call.advance(60)
    call.commentary("I am back.")
    call.silence(2.5)
    assert told(call, "session.commentary.appended")[0]["start_ms"] == 4000
    call.hang_up()
    assert call.peer.text("output") == "I am back."


def test_an_append_before_any_audio_waits_for_it(open_call: OpenCall) -> None:
    call = open_call()
    call.commentary("Welcome.")
    call.advance(5)
    assert not told(call, "session.commentary.appended")
    call.silence(2.0)
    assert told(call, "session.commentary.appended")


def test_an_append_that_is_too_long_is_refused(open_call: OpenCall) -> None:
    call = open_call()
    call.commentary("a" * 1500)
    call.commentary("語" * 500)
    assert call.twin.appends.are_pending
    for wrong in ("a" * 1501, "語" * 501):
        call.commentary(wrong, event_id="long")
        error = call.peer.error()
        assert (error["code"], error["param"], error["client_event_id"]) == ("invalid_value", "content", "long")


def test_an_append_must_name_its_delegation_or_say_that_there_is_none(open_call: OpenCall) -> None:
    call = open_call()
    call.send("session.commentary.append", content="Hello.")
    assert call.peer.error()["param"] == "delegation_id"


def test_a_delegation_follows_the_last_word_and_names_its_place(open_call: OpenCall) -> None:
    call = open_call()
    call.twin.hear("Please check the status.")
    delegation_id = call.twin.delegate()
    call.silence(5.0)
    call.hang_up()
    kinds = call.peer.types()
    assert kinds[1:4] == [
        "session.input_transcript.delta",
        "session.delegation.created",
        "session.output_transcript.delta",
    ]
    place = next(index for index, each in enumerate(call.peer.events) if "delegation" in each)
    created, word = call.peer.events[place], call.peer.events[place - 1]
    assert created["delegation"] == {"id": delegation_id, "type": "delegation", "target": "client"}
    assert created["offset_ms"] == word["start_ms"]
    assert call.peer.text("output") == "Sure, checking that now."
    assert word["start_ms"] + 200 <= call.peer.events[place + 1]["start_ms"] <= word["start_ms"] + 600


def test_a_delegation_may_come_at_once(open_call: OpenCall) -> None:
    call = open_call()
    call.silence(1.0)
    call.twin.delegate(after_last_fragment=False)
    assert call.peer.until("session.delegation.created")["offset_ms"] == 1000


def test_an_append_takes_the_word_from_the_model_before_it_says_that_it_is_checking(open_call: OpenCall) -> None:
    call = open_call(delegation={"type": "client", "acknowledgement_delay_ms": 3000})
    call.silence(1.0)
    delegation_id = call.twin.delegate(after_last_fragment=False)
    call.send("session.thinking.append", content="It is 5.", delegation_id=delegation_id)
    call.silence(6.0)
    assert not told(call, "session.output_transcript.delta")
    call.twin.delegate(after_last_fragment=False)
    call.silence(3.0)
    assert not told(call, "session.output_transcript.delta")
    call.silence(3.0)
    call.hang_up()
    assert call.peer.text("output") == "Sure, checking that now."


@pytest.mark.parametrize("seconds", [3, 45, 90])
def test_a_result_is_spoken_however_late_it_comes(open_call: OpenCall, seconds: int) -> None:
    call = open_call(LiveRules(acknowledgement=""))
    call.twin.hear("Please check.")
    delegation_id = call.twin.delegate()
    call.silence(1.0 + seconds)
    call.commentary("Done.", delegation_id=delegation_id)
    call.silence(2.0)
    call.hang_up()
    assert call.peer.text("output") == "Done."


def test_a_responses_command_is_refused_where_the_client_is_asked(open_call: OpenCall) -> None:
    call = open_call()
    call.send("response.create")
    assert call.peer.error()["message"] == "response.create requires Responses delegation."
    item = {"type": "message", "role": "user", "content": "Hello."}
    call.send("response.item.create", item=item)
    assert call.peer.error()["message"] == "response.item.create requires Responses delegation."
    call.send("decision.create", event_id="d_1")
    assert call.peer.error()["message"] == "decision.create requires Decisions delegation."


# Faults --------------------------------------------------------------------------------------------------------------


def test_a_delegation_may_come_before_its_words(open_call: OpenCall) -> None:
    call = open_call(LiveRules(faults=LiveFaults(delegation_before_words=True), acknowledgement=""))
    call.silence(1.0)
    call.twin.hear("Please check.")
    call.twin.delegate()
    call.silence(3.0)
    call.hang_up()
    assert call.peer.types()[1:3] == ["session.delegation.created", "session.input_transcript.delta"]
    assert call.peer.events[1]["offset_ms"] == call.peer.events[-2]["start_ms"]


def test_a_second_delegation_may_follow_within_two_seconds(open_call: OpenCall) -> None:
    call = open_call(LiveRules(faults=LiveFaults(delegates_again_ms=2200)))
    call.twin.hear("Please check.")
    call.twin.delegate()
    call.silence(8.0)
    first, second = told(call, "session.delegation.created")
    assert second["offset_ms"] - first["offset_ms"] == 2200
    assert first["delegation"]["id"] != second["delegation"]["id"]


def test_words_may_be_told_late_with_the_times_that_they_had(open_call: OpenCall) -> None:
    call = open_call(LiveRules(faults=LiveFaults(late_words_ms=1000)))
    call.twin.hear("Hello.")
    call.silence(1.9)
    assert not told(call, "session.input_transcript.delta")
    call.silence(0.1)
    assert told(call, "session.input_transcript.delta")[0]["start_ms"] == 200


def test_the_start_may_fail(open_call: OpenCall) -> None:
    error = {"type": "invalid_request_error", "code": "credit_balance_exhausted", "message": "You have no credits."}
    rules = LiveRules(faults=LiveFaults(start_error=error))
    call = open_call()
    call.server.live.rules = rules
    with LivePeer(call.server) as other:
        other.say("session.start", session={"model": "gpt-live-1"})
        assert other.error() == error
        assert other.rest() == 1008


def test_an_error_may_be_a_bare_string(open_call: OpenCall) -> None:
    call = open_call(LiveRules(faults=LiveFaults(string_errors=True)))
    call.peer.checked = False
    call.send("session.update", session={"instructions": "New."})
    assert call.peer.until("error")["error"] == "'session.instructions' cannot be changed once the session has started."


def test_the_connection_may_be_lost_in_the_middle_of_a_word(open_call: OpenCall) -> None:
    call = open_call(LiveRules(faults=LiveFaults(drop_after_words=2)))
    call.twin.say("This is not said to its end.")
    call.silence(3.0)
    assert call.peer.rest() == 1011
    assert len(call.peer.text("output").split()) == 2
    assert "session.closed" not in call.peer.types()


def test_the_sound_may_stall_and_come_at_once(open_call: OpenCall) -> None:
    call = open_call()
    call.silence(1.0)
    before = call.twin.sent_count
    call.twin.stall(300)
    call.silence(0.2)
    assert call.twin.sent_count == before
    call.silence(0.1)
    assert call.twin.sent_count == before + 3


def test_moderation_may_cut_what_is_said_or_end_the_session(open_call: OpenCall) -> None:
    call = open_call()
    call.twin.say("This is not said to its end.")
    call.silence(1.5)
    call.twin.moderate()
    call.silence(2.0)
    assert call.peer.error()["type"] == "server_error"
    call.twin.moderate(ends=True)
    assert call.peer.rest() == 1005
    assert call.peer.events[-1]["reason"] == "content"
    assert "end." not in call.peer.text("output")


def test_any_event_may_be_sent(open_call: OpenCall) -> None:
    call = open_call()
    call.peer.checked = False
    call.twin.emit({"type": "session.hologram.shown", "size": 3})
    assert call.peer.recv()["size"] == 3

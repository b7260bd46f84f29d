"""``reconnect=`` of a live session: it goes on over a new connection, and what is lost with the old one is told."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from realtime_sync import (
    ConnectionClosedError,
    ConnectionReplacedError,
    LiveHistoryItem,
    LiveSessionDetails,
    LiveSessionOptions,
    LiveSessionOutputTranscriptDeltaUpdate,
    LiveSessionStartedUpdate,
    Reconnect,
    ReconnectFailedError,
    SessionDisconnectedUpdate,
    SessionExpiredError,
    SessionNotOpenError,
    SessionReconnectedUpdate,
)
from realtime_sync.live.delegation_requests import DelegationRequest
from realtime_sync.server import Faults, LiveFaults, LiveRules, Refusal, faults
from tests.live.harness import LiveHouse, Running, until

pytestmark = pytest.mark.medium

QUICKLY = Reconnect(base_delay=0.05, max_delay=0.1, give_up_after=10, renew_before=None)
SOUND = bytes(range(1, 241)) * 20  # a tenth of a second


def surviving(house: LiveHouse, *arguments: Any, policy: Any = QUICKLY, **options: Any) -> Any:
    return house.start(*arguments, reconnect=policy, **options)


def come_back(stream: Any) -> SessionReconnectedUpdate:
    found: SessionReconnectedUpdate = stream.wait_for(SessionReconnectedUpdate, 10)
    return found


def lost(house: LiveHouse, session: Any) -> SessionReconnectedUpdate:
    """Lose the connection, and go on."""
    with session.subscribe() as stream:
        house.twin.drop()
        return come_back(stream)


def clock_runs(house: LiveHouse) -> None:
    until(lambda: house.twin.timeline_ms > 0)


# What goes on --------------------------------------------------------------------------------------------------------


def test_a_session_goes_on_after_its_connection_was_lost(house: LiveHouse) -> None:
    session = surviving(house, LiveSessionOptions(instructions="Be kind.", voice="cedar"), model="gpt-live-1")
    stream = session.subscribe()
    first = session.id
    house.twin.drop()
    assert stream.wait_for(SessionDisconnectedUpdate, 5)
    told = come_back(stream)
    assert isinstance(told.reason, ConnectionClosedError)
    assert told.losses == ()
    assert isinstance(told.session, LiveSessionDetails)
    assert stream.wait_for(LiveSessionStartedUpdate, 5).session.id == session.id == told.session.id != first
    assert house.twin.options["instructions"] == "Be kind."
    assert house.twin.options["audio"]["output"]["voice"] == "cedar"
    session.append_commentary("Hello.").wait(5)  # so the clock is kept, too


def told_history(house: LiveHouse) -> list[tuple[str, str]]:
    """The history that the newest session was begun with."""
    return [(each["role"], each["content"][0]["text"]) for each in house.twin.received[0]["session"].get("input", [])]


def test_a_connection_lost_in_mid_word_goes_on_with_its_history(house: LiveHouse) -> None:
    before = [LiveHistoryItem.message("user", "My name is Ann.")]
    session = surviving(house, LiveSessionOptions(history=before))
    assert told_history(house) == [("user", "My name is Ann.")]
    clock_runs(house)
    house.twin.hear("What do dogs do?")
    until(lambda: "dogs do" in str(session.conversation))
    house.twin.say("Dogs bark at night and sleep all day long.")
    until(lambda: "Dogs bark" in str(session.conversation))
    told = lost(house, session)
    assert any(loss.startswith("the model was speaking: 'Dogs bark") for loss in told.losses)
    name, question, answer = told_history(house)
    assert (name, question) == (("user", "My name is Ann."), ("user", "What do dogs do?"))
    assert answer[0] == "assistant"
    assert answer[1].startswith("Dogs bark")
    lost(house, session)
    assert told_history(house) == [name, question, answer]


def test_turns_go_on_over_an_end_that_is_survived(plain: LiveHouse) -> None:
    session = surviving(plain)
    clock_runs(plain)
    turns, stream = session.turns(timeout=10), session.subscribe()
    plain.twin.hear("Before the end.")
    until(lambda: "the end" in str(session.conversation))
    plain.twin.end("expired")
    come_back(stream)
    clock_runs(plain)
    plain.twin.say("After it.")
    until(lambda: "After it" in str(session.conversation))
    assert [turn.reason for turn in session.conversation.turns] == ["reset", "open"]
    assert [next(turns).text, next(turns).text] == ["Before the end.", "After it."]


def test_history_for_which_there_is_no_room_is_told(plain: LiveHouse) -> None:
    before = [LiveHistoryItem.message("user", f"{number} " + "a? " * 40) for number in range(120)]
    session = surviving(plain, LiveSessionOptions(history=before))
    told = lost(plain, session)
    kept = [text for _, text in told_history(plain) if not text.startswith("[The beginning is left out.]")]
    assert told.losses == (f"history: {120 - len(kept)} messages, the oldest, for which the new session has no room",)
    assert kept[-1].startswith("119 ")
    assert 60 < len(kept) < 120


def told_histories(house: LiveHouse) -> list[int]:
    """How many messages each session was begun with."""
    return [len(each.received[0]["session"].get("input", ())) for each in house.server.live_sessions]


@pytest.mark.parametrize(("most", "begun_with"), [(99, [100, 100, 50]), (7, [100, 100, 50, 0])])
def test_a_service_that_refuses_the_history_is_told_less_of_it(
    plain: LiveHouse, most: int, begun_with: list[int]
) -> None:
    before = [LiveHistoryItem.message("user", f"Number {number}.") for number in range(100)]
    session = surviving(plain, LiveSessionOptions(history=before))
    plain.server.live.rules = LiveRules(faults=LiveFaults(most_history=most))
    told = lost(plain, session)
    assert told_histories(plain) == begun_with
    assert told.losses == (
        f"history: {100 - begun_with[-1]} messages, the oldest, with which the service has refused to start",
    )
    plain.server.live.rules = LiveRules()
    assert lost(plain, session).losses == ()
    assert told_histories(plain)[-1] == 100  # it may have been of this one server


@pytest.mark.parametrize("error", [{"code": "server_error"}, {"code": "rate_limit_exceeded"}, None])
def test_a_new_session_that_is_refused_for_passing_reasons_has_all_of_the_history(plain: LiveHouse, error: Any) -> None:
    before = [LiveHistoryItem.message("user", f"Number {number}.") for number in range(10)]
    session = surviving(plain, LiveSessionOptions(history=before))
    stream = session.subscribe()
    if error is None:
        plain.server.faults = Faults(refuse=Refusal(503))
    else:
        plain.server.live.rules = LiveRules(faults=LiveFaults(start_error={"message": "Later.", **error}))
    plain.twin.drop()
    until(lambda: session._engine.recovery._attempt > 3)
    plain.server.faults, plain.server.live.rules = Faults(), LiveRules()
    assert come_back(stream).losses == ()
    assert told_histories(plain)[-1] == 10


def test_a_connection_that_is_lost_at_once_again_is_replaced_again(house: LiveHouse) -> None:
    session = surviving(house)
    stream = session.subscribe()
    for _ in range(2):
        house.twin.drop()
        come_back(stream)
    assert len(house.server.live_sessions) == 3
    session.append_commentary("Hello.").wait(5)


def test_a_start_that_fails_on_the_way_is_followed_by_the_next(plain: LiveHouse) -> None:
    session = surviving(plain)
    stream = session.subscribe()
    plain.server.faults = Faults(refuse=Refusal(503))
    plain.twin.drop()
    until(lambda: session._engine.recovery._attempt > 2)
    plain.server.faults = Faults()
    assert come_back(stream).attempts > 2


def test_a_service_that_refuses_the_new_session_for_good_ends_it(plain: LiveHouse) -> None:
    plain.serve()
    session = surviving(plain)
    refused = {"type": "invalid_request_error", "code": "credit_balance_exhausted", "message": "No credits."}
    plain.server.live.rules = LiveRules(faults=LiveFaults(start_error=refused))
    plain.twin.drop()
    with pytest.raises(ReconnectFailedError, match="No credits"):
        session.wait_for("never", 10)
    assert len(plain.server.live_sessions) == 2


def test_instructions_and_the_muting_are_in_force_on_the_new_connection(house: LiveHouse) -> None:
    session = surviving(house)
    session.append_instructions("Be brief.").wait(5)
    session.append_instructions("Speak German.").wait(5)
    session.mute_input().wait(5)
    assert lost(house, session).losses == ()
    appended = [house.twin.wait_for_message("session.instructions.append", count=count) for count in (1, 2)]
    assert [each["content"] for each in appended] == ["Be brief.", "Speak German."]
    house.twin.wait_for_message("session.input_audio.mute")
    assert house.twin.ears.muted
    lost(house, session)
    house.twin.wait_for_message("session.input_audio.mute")
    assert sum(each["type"] == "session.instructions.append" for each in house.twin.received) == 2


def test_a_rule_for_work_that_is_lost_is_one_for_the_session(plain: LiveHouse) -> None:
    session = surviving(plain)
    clock_runs(plain)
    name = plain.twin.delegate(after_last_fragment=False)
    session.append_instructions("Be brief.", delegation_id=name).wait(5)
    lost(plain, session)
    again = plain.twin.wait_for_message("session.instructions.append")
    assert (again["content"], again["delegation_id"]) == ("Be brief.", None)


def test_a_microphone_that_is_heard_again_stays_so(plain: LiveHouse) -> None:
    session = surviving(plain)
    session.mute_input().wait(5)
    session.unmute_input().wait(5)
    lost(plain, session)
    session.append_commentary("Hello.").wait(5)
    assert not any("mute" in each["type"] for each in plain.twin.received)


def test_a_change_of_the_backend_is_in_force_on_the_new_connection(plain: LiveHouse) -> None:
    session = surviving(plain)
    change = {"type": "session.update", "event_id": "e", "session": {"delegation": {"acknowledgement_delay_ms": 700}}}
    session.send_message(change).wait(5)
    lost(plain, session)
    plain.twin.wait_for_message("session.update")
    assert plain.twin.options["delegation"]["acknowledgement_delay_ms"] == 700


def test_a_rule_that_was_refused_is_not_sent_again(plain: LiveHouse) -> None:
    session = surviving(plain)
    long = {"type": "session.instructions.append", "event_id": "e", "delegation_id": None, "content": "word " * 2000}
    with pytest.raises(Exception, match="tokens"):
        session.send_message(long).wait(5)
    lost(plain, session)
    session.append_commentary("Hello.").wait(5)
    assert not any(each["type"] == "session.instructions.append" for each in plain.twin.received)


# What is lost --------------------------------------------------------------------------------------------------------


def test_a_command_in_flight_is_not_sent_again_and_says_so(house: LiveHouse) -> None:
    session = surviving(house)
    clock_runs(house)
    handle = session.append_commentary("The result.")
    house.twin.wait_for_message("session.commentary.append")
    told = lost(house, session)
    with pytest.raises(ConnectionReplacedError, match="send this again"):
        handle.wait(5)
    assert not handle.error.sent_again
    assert told.losses == ("session.commentary.append: it was not acknowledged, and is not sent again",)
    session.append_commentary("Hello.").wait(5)
    assert [each["content"] for each in house.twin.received if "content" in each] == ["Hello."]


def test_a_rule_in_flight_is_sent_again_and_says_so(house: LiveHouse) -> None:
    session = surviving(house)
    clock_runs(house)
    handle = session.append_instructions("Be brief.")
    house.twin.wait_for_message("session.instructions.append")
    told = lost(house, session)
    with pytest.raises(ConnectionReplacedError, match="is sent again"):
        handle.wait(5)
    assert handle.error.sent_again
    assert until(lambda: handle.sent_again).wait(5)
    assert (told.losses, told.sent_again) == ((), ("session.instructions.append",))


def test_the_sentence_in_the_air_is_told(house: LiveHouse) -> None:
    session = surviving(house)
    clock_runs(house)
    house.twin.say("Dogs bark at night, and cats sleep all day long, which is why nobody here ever sleeps.")
    session.wait_for(LiveSessionOutputTranscriptDeltaUpdate, 5)
    told = lost(house, session)
    assert told.losses[0].startswith("the model was speaking: 'Dogs")


def test_what_was_only_thought_is_told_where_the_new_session_does_not_know_it(plain: LiveHouse) -> None:
    session = surviving(plain)
    session.append_thinking("The user is called Ann.").wait(5)
    assert lost(plain, session).losses == ("thinking: 1 text that the new session does not know",)
    assert lost(plain, session).losses == ()


def test_delegated_work_is_cancelled_and_told(patient: LiveHouse) -> None:
    waits = threading.Event()

    def work(request: DelegationRequest) -> str:
        waits.set()
        assert request.cancelled.wait(10)
        return "Too late."

    session = surviving(patient, delegate=work)
    clock_runs(patient)
    patient.twin.hear("Look it up.")
    name = patient.twin.delegate()
    assert waits.wait(10)
    told = lost(patient, session)
    assert f"delegation {name}: it was cancelled" in told.losses
    session.append_commentary("Hello.").wait(5)
    said = [each["content"] for each in patient.twin.received if each["type"] == "session.commentary.append"]
    assert said == ["Hello."]


def test_work_that_is_delegated_after_the_loss_is_done(plain: LiveHouse) -> None:
    session = surviving(plain, delegate=lambda request: f"You said: {request.text}")
    clock_runs(plain)
    lost(plain, session)
    clock_runs(plain)
    plain.twin.hear("Look it up.")
    plain.twin.delegate()
    answer = plain.twin.wait_for_message("session.commentary.append", 10)
    assert answer["content"] == "You said: Look it up."


def test_a_clip_that_was_playing_is_told(plain: LiveHouse) -> None:
    session = surviving(plain)
    clock_runs(plain)
    session.play_clip(bytes(96_000)).wait(5)
    assert lost(plain, session).losses == ("clip: the rest of it was not played",)


def test_sound_that_has_no_connection_is_dropped_and_told_and_silence_is_not(plain: LiveHouse) -> None:
    session = surviving(plain)
    clock_runs(plain)
    stream = session.subscribe()
    plain.server.faults = Faults(refuse=Refusal(503))
    with session.audio_writer() as writer:
        plain.twin.drop()
        stream.wait_for(SessionDisconnectedUpdate, 5)
        for _ in range(3):
            writer.write(SOUND)
            writer.write(bytes(len(SOUND)))
        plain.server.faults = Faults()
        told = come_back(stream)
    assert told.losses == ("audio: 0.3 s of sound that came while there was no connection",)
    session.append_commentary("Hello.").wait(5)
    heard = [each for each in plain.twin.received if each["type"] == "session.input_audio.append"]
    assert all(set(each["audio"]) <= {"A", "="} for each in heard)


# What is survived ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reason", ["expired", "connection_lost"])
def test_an_end_that_another_session_does_not_have_is_survived(plain: LiveHouse, reason: str) -> None:
    session = surviving(plain)
    clock_runs(plain)
    stream = session.subscribe()
    plain.twin.end(reason)
    assert reason in str(come_back(stream).reason)
    session.append_commentary("Hello.").wait(5)


@pytest.mark.parametrize("reason", ["close_requested", "client_request", "remote_hangup"])
def test_an_orderly_end_is_the_end(plain: LiveHouse, reason: str) -> None:
    session = surviving(plain)
    clock_runs(plain)
    plain.twin.end(reason)
    list(session.updates())
    assert session.close_info.reason == reason
    assert len(plain.server.live_sessions) == 1


def test_an_end_because_of_what_was_said_is_the_end_and_says_so(plain: LiveHouse) -> None:
    session = surviving(plain)
    clock_runs(plain)
    plain.twin.moderate(ends=True)
    with pytest.raises(ConnectionClosedError, match="because of what was said in it"):
        list(session.updates())
    assert len(plain.server.live_sessions) == 1


def test_a_session_that_was_never_sent_any_audio_is_not_begun_again_and_again(plain: LiveHouse) -> None:
    plain.serve(live=LiveRules(silence_seconds=0.2))
    session = surviving(plain, keep_clock=False)
    with pytest.raises(SessionExpiredError):
        list(session.updates())
    assert len(plain.server.live_sessions) == 1


@pytest.mark.parametrize(
    ("error", "code", "survives"),
    [
        (None, 1011, True),
        (None, 1012, True),
        (None, 1006, True),
        (None, 1000, True),
        (None, 1008, False),
        ({"type": "server_error", "code": "overloaded"}, 1011, True),
        ({"type": "invalid_request_error", "code": "insufficient_quota"}, 1011, False),
        ({"type": "credit_balance_exhausted", "code": None}, 1011, False),
    ],
)
def test_a_connection_without_a_last_word_is_survived_unless_it_is_a_verdict(
    plain: LiveHouse, error: Any, code: int, survives: bool
) -> None:
    session = surviving(plain, keep_clock=False)
    if error is not None:
        plain.twin.emit({"type": "error", "error": {"message": "Told.", **error}})
    if code == 1006:
        plain.twin.inject(faults.drop())
    else:
        plain.twin.drop(code)
    if survives:
        come_back(session)
    else:
        with pytest.raises(ConnectionClosedError):
            list(session.updates())
    assert len(plain.server.live_sessions) == 1 + survives


def test_a_session_that_is_closed_on_its_way_back_stays_closed(plain: LiveHouse) -> None:
    session = surviving(plain)
    stream = session.subscribe()
    plain.server.faults = Faults(refuse=Refusal(503))
    plain.twin.drop()
    stream.wait_for(SessionDisconnectedUpdate, 5)
    waiting = Running(lambda: session.append_commentary("Hello."))
    session.close()
    assert isinstance(waiting.join(), SessionNotOpenError)
    assert session.closed

"""A live session from its start to its end: what starts it, what runs it, what it tells, and how it ends."""

from __future__ import annotations

import base64
import json
from typing import Any, Callable

import pytest

from realtime_sync.errors import ConfigurationError, UsageError
from realtime_sync.server import LiveFaults, LiveRules, RealtimeServer, Script, TwinSession, expect
from realtime_sync.server.faults import close
from realtime_sync.testing import ManualClock
from tests.harness import until
from tests.server.conftest import server_threads
from tests.server.live.conftest import Call, LivePeer
from tests.server.rest_peer import post
from tests.server.sounds import silence, tone

Json = dict[str, Any]
OpenCall = Callable[..., Call]
AZURE = "/openai/v1/live/sessions"


def message(role: str, text: str, kind: str = "input_text", **fields: Any) -> Json:
    return {"role": role, "content": [{"type": kind, "text": text}], **fields}


@pytest.mark.parametrize(
    "make",
    [
        lambda: LiveRules(words_ahead_ms=-1),
        lambda: LiveRules(brain="Hello."),  # type: ignore[arg-type]
        lambda: LiveRules(in_own_words="Hello."),  # type: ignore[arg-type]
        lambda: LiveFaults(late_words_ms=-1),
        lambda: RealtimeServer(live=LiveFaults()),  # type: ignore[arg-type]
    ],
)
def test_rules_that_make_no_sense_are_told_at_once(make: Callable[[], object]) -> None:
    with pytest.raises(ConfigurationError):
        make()


# The start ---------------------------------------------------------------------------------------------------------


def test_nothing_is_said_before_the_client_starts_the_session(server: RealtimeServer) -> None:
    with LivePeer(server) as peer:
        server.wait_for_live_session()
        peer.ws.ping("still there?")
        peer.say("session.start", session={"model": "gpt-live-1.1"})
        assert peer.recv()["type"] == "session.started"


def test_started_tells_the_settings_resolved(open_call: OpenCall) -> None:
    settings = dict(open_call().settings)
    assert str(settings.pop("id")).startswith("live_")
    assert settings.pop("expires_at") > 1.7e9
    assert settings == {
        "model": "gpt-live-1",
        "instructions": None,
        "audio": {"output": {"voice": "marin"}, "format": {"type": "audio/pcm", "rate": 24000}},
        "delegation": {"type": "client"},
        "status": "active",
        "input": [],
    }


def test_what_was_asked_for_is_told_back(open_call: OpenCall) -> None:
    asked: Json = {
        "instructions": "Be brief.",
        "audio": {"format": {"type": "audio/pcmu", "rate": 8000}, "output": {"voice": {"id": "voice_1"}}},
        "input": [message("developer", "The caller is Ada."), message("assistant", "Hello.", "output_text")],
        "store": True,
        "safety_identifier": "user_1",
    }
    settings = open_call(**asked).settings
    assert {name: settings[name] for name in asked} == asked


def test_a_responses_backend_is_told_with_its_tools_and_their_choice(open_call: OpenCall) -> None:
    settings = open_call(delegation={"type": "responses", "responses": {"model": "gpt-6-luna"}}).settings
    assert settings["delegation"]["responses"] == {"model": "gpt-6-luna", "tools": [], "tool_choice": "auto"}


def test_an_answer_names_the_message_that_it_answers(server: RealtimeServer) -> None:
    with LivePeer(server) as peer:
        peer.start("start_1")
        assert peer.seen[-1]["client_event_id"] == "start_1"


@pytest.mark.parametrize(
    "too_early",
    [
        lambda twin: twin.options,
        lambda twin: twin.voice,
        lambda twin: twin.say("Hello."),
        lambda twin: twin.hear("Hello."),
        lambda twin: twin.delegate(),
    ],
)
def test_what_a_test_asks_of_a_session_too_early_is_told_so(
    server: RealtimeServer, too_early: Callable[[TwinSession], object]
) -> None:
    with LivePeer(server) as peer:
        twin = server.wait_for_live_session()
        with pytest.raises(UsageError, match="has not started"):
            too_early(twin)
        peer.start()
        too_early(twin)


WRONG: list[tuple[Json, str, str | None]] = [
    ({"type": "session.update", "session": {}}, "invalid_event", "type"),
    ({"type": "response.cancel"}, "invalid_event", "type"),
    ({"type": ["session.start"]}, "invalid_event", "type"),
    ({"type": "session.start"}, "missing_required_parameter", "session"),
    ({"type": "session.start", "session": {}}, "missing_required_parameter", "session.model"),
    ({"session": {"model": "gpt-live-1"}}, "missing_required_parameter", "type"),
    ({"type": "session.start", "session": {"model": "gpt-live-1", "x": 1}}, "unknown_parameter", "session.x"),
    ({"type": "session.start", "session": {"model": "gpt-9"}}, "model_not_found", "session.model"),
]
WRONG_SETTINGS: list[tuple[Json, str, str]] = [
    ({"type": "live"}, "unknown_parameter", "session.type"),
    ({"audio": {"output": {"voice": "nova"}}}, "forbidden", "session.audio.output.voice"),
    ({"audio": {"output": {"voice": "nobody"}}}, "invalid_value", "session.audio.output.voice"),
    ({"audio": {"format": {"type": "audio/pcm", "rate": 8000}}}, "invalid_value", "session.audio.format.rate"),
    ({"audio": {"format": {"type": "audio/opus"}}}, "invalid_value", "session.audio.format.type"),
    ({"input": [message("system", "Hello.")]}, "invalid_value", "session.input[0].role"),
    ({"input": [message("user", "Hello.", "output_text")]}, "invalid_value", "session.input[0].content[0].type"),
    ({"input": [message("user", "Hello.")] * 129}, "invalid_value", "session.input"),
    ({"input": [message("user", "a" * 3 * 403)] * 20}, "invalid_value", "session.input"),
    ({"instructions": "a" * 3 * 16_385}, "invalid_value", "session.instructions"),
    ({"delegation": {"type": "nobody"}}, "invalid_value", "session.delegation.type"),
    ({"delegation": {"type": "responses"}}, "missing_required_parameter", "session.delegation.responses"),
    ({"delegation": {"type": "client", "acknowledgement_delay_ms": -1}}, "integer_below_min_value", ""),
]


def started_with(settings: Json) -> Json:
    return {"type": "session.start", "session": {"model": "gpt-live-1", **settings}}


@pytest.mark.parametrize(
    ("first", "code", "param"), [*WRONG, *((started_with(told), code, param) for told, code, param in WRONG_SETTINGS)]
)
def test_before_the_start_every_error_is_the_end(first: Json, code: str, param: str | None) -> None:
    with RealtimeServer(models=["gpt-live-1"]) as server, LivePeer(server) as peer:
        peer.send(json.dumps({**first, "event_id": "first"}))
        peer.say("session.start", session={"model": "gpt-live-1"})  # which is too late
        error = peer.error()
        assert error["code"] == code
        assert error["client_event_id"] == "first"
        assert param == "" or error["param"] == param
        assert peer.rest() == 1008
        assert len(peer.seen) == 1
        assert server.wait_for_live_session().session is None


def test_as_much_history_as_the_service_takes_is_taken(open_call: OpenCall) -> None:
    assert len(open_call(input=[message("user", "a" * 3 * 402)] * 20).settings["input"]) == 20
    assert len(open_call(input=[message("user", "a")] * 128).settings["input"]) == 128


def test_a_wrong_key_is_told_as_an_error_or_by_azure_over_http() -> None:
    with RealtimeServer(api_keys=["right"]) as server:
        with LivePeer(server) as peer:
            assert peer.error()["code"] == "invalid_api_key"
            assert peer.rest() == 1008
        with pytest.raises(Exception, match="401"):
            LivePeer(server, AZURE)
        LivePeer(server, headers=("Authorization: Bearer right",)).ws.shutdown()
        LivePeer(server, AZURE, headers=("api-key: right",)).ws.shutdown()


def test_a_client_secret_opens_no_live_session(server: RealtimeServer) -> None:
    secret = post(server, "/v1/realtime/client_secrets", {}).json["value"]
    with LivePeer(server, headers=(f"Authorization: Bearer {secret}",)) as peer:
        assert peer.error()["code"] == "invalid_api_key"


def test_a_script_plays_a_session_with_no_word_before_it() -> None:
    script = Script([expect("session.start"), {"type": "error", "error": "nobody is at home"}, close(1013)])
    with RealtimeServer(responder=script) as server, LivePeer(server, checked=False) as peer:
        peer.say("session.start", session={"nothing": "is checked"})
        assert peer.recv() == {"type": "error", "error": "nobody is at home"}
        assert peer.rest() == 1013
    assert script.failures == []


# The clock ---------------------------------------------------------------------------------------------------------


def test_the_track_begins_seven_tenths_of_a_second_after_the_first_audio_in_pieces_of_a_tenth(
    open_call: OpenCall,
) -> None:
    call = open_call()
    call.silence(0.6)
    assert call.twin.sent_count == 1
    call.silence(0.1)
    call.peer.until("session.output_audio.delta")
    assert call.twin.sent_count == 2
    call.silence(2.0)
    assert call.twin.sent_count == 22
    deltas = [base64.b64decode(each["delta"]) for each in call.twin.sent if "delta" in each]
    assert deltas == [bytes(4800)] * 21


def test_the_track_runs_two_point_eight_seconds_beyond_the_audio_and_ends_with_a_short_piece(
    open_call: OpenCall,
) -> None:
    call = open_call()
    call.audio(silence(4450), piece_ms=50)
    call.advance(90)
    assert call.hang_up() == 1005
    assert len(call.peer.sound) == 7250 * 48
    assert [len(each["delta"]) for each in call.twin.sent if "delta" in each][-1] == 3200  # 2,400 bytes
    assert call.peer.events[-1]["usage"] == {"seconds": 7}


def test_audio_after_a_stop_goes_on_without_a_jump(open_call: OpenCall) -> None:
    call = open_call()
    call.silence(1.0)
    call.advance(60)
    assert call.twin.stands
    assert call.twin.timeline_ms == 3800
    call.silence(1.0)
    assert call.twin.timeline_ms == 4800
    call.hang_up()
    assert len(call.peer.sound) == pytest.approx(4800 * 48, abs=600 * 48)


def test_a_clip_sent_at_once_pushes_the_timeline_but_not_the_track(open_call: OpenCall) -> None:
    call = open_call()
    call.silence(1.0)
    for _ in range(30):
        call.append(silence(100))
    assert call.twin.timeline_ms == pytest.approx(3900, abs=100)
    call.silence(1.0)
    assert call.twin.timeline_ms == pytest.approx(4900, abs=100)
    call.advance(10)
    call.hang_up()
    assert len(call.peer.sound) < (call.twin.timeline_ms - 2500) * 48


@pytest.mark.parametrize(
    ("told", "size", "quiet"),
    [
        ({"type": "audio/pcm", "rate": 16000}, 32, b"\0"),
        ({"type": "audio/pcmu", "rate": 8000}, 8, b"\xff"),
        ({"type": "audio/pcma", "rate": 8000}, 8, b"\xd5"),
    ],
)
def test_both_ways_are_in_the_session_s_format(open_call: OpenCall, told: Json, size: int, quiet: bytes) -> None:
    call = open_call(audio={"format": told})
    call.twin.say("Hello.")
    call.audio(quiet * size * 2000, bytes_per_ms=size)
    call.hang_up()
    sound = bytes(call.peer.sound)
    assert sound[: size * 200] == quiet * size * 200
    speech = sound[size * 200 : size * (200 + 6 * 65)]  # five letters and a pause
    assert speech.count(quiet) < len(speech) / 2
    after = sound[size * (200 + 5 * 65 + 10) :]
    assert after == quiet * len(after)


def test_wrong_audio_is_refused_and_the_session_goes_on(open_call: OpenCall) -> None:
    call = open_call()
    for wrong in ("!", "", base64.b64encode(bytes(3)).decode()):
        call.send("session.input_audio.append", audio=wrong, event_id="wrong")
        error = call.peer.error()
        assert (error["code"], error["client_event_id"]) == ("invalid_audio", "wrong")
    assert not call.twin.timeline.has_begun


# What is heard and said ---------------------------------------------------------------------------------------------


def test_the_user_s_words_are_told_half_a_second_after_their_end(open_call: OpenCall) -> None:
    call = open_call()
    call.twin.hear("Please check it.")
    call.silence(0.9)
    assert call.twin.sent_count == 1 + 3
    call.silence(0.1)  # the timeline is at 1,000: what ended at 400 was told at 950
    assert call.peer.until("session.input_transcript.delta")["delta"] == "Please"
    call.silence(1.0)
    words = [each for each in call.twin.sent if each["type"] == "session.input_transcript.delta"]
    assert [(each["delta"], each["start_ms"], each["end_ms"]) for each in words] == [
        ("Please", 200, 400),
        (" check", 600, 800),
        (" it.", 1000, 1200),
    ]


def test_the_model_s_words_are_told_with_their_sound(open_call: OpenCall) -> None:
    call = open_call()
    call.silence(1.0)
    call.twin.say("Hello there.")
    call.silence(2.5)
    call.hang_up()
    track = bytearray()
    for each in call.peer.seen:
        if each["type"] == "session.output_audio.delta":
            track += base64.b64decode(each["delta"])
        elif each["type"] == "session.output_transcript.delta":
            assert -98 <= len(track) / 48 - each["start_ms"] <= 142, "as in a capture"
    first = next(each for each in call.peer.events if each["type"] == "session.output_transcript.delta")
    assert not any(call.peer.sound[: first["start_ms"] * 48])
    assert any(call.peer.sound[first["start_ms"] * 48 :][: 100 * 48])


def test_what_is_said_one_after_the_other_does_not_overlap(open_call: OpenCall) -> None:
    call = open_call()
    call.twin.say("One.")
    call.twin.say("Two.")
    call.silence(3.0)
    call.hang_up()
    assert call.peer.text("output") == "One.Two."
    places = [each["start_ms"] for each in call.peer.events if each["type"] == "session.output_transcript.delta"]
    assert places[1] >= places[0] + 4 * 65


def test_a_muted_session_hears_nothing_and_runs_on(open_call: OpenCall) -> None:
    call = open_call()
    call.send("session.input_audio.mute", event_id="mute_1")
    assert call.peer.until("session.input_audio.muted")["client_event_id"] == "mute_1"
    call.twin.hear("Nobody hears this.")
    call.silence(3.0)
    assert call.twin.timeline_ms == 3000
    call.send("session.input_audio.unmute")
    call.peer.until("session.input_audio.unmuted")
    call.twin.hear("Hello.")
    call.silence(3.0)
    call.hang_up()
    assert call.peer.text("input") == "Hello."


def test_a_fixture_interrupts_the_model_and_closes_its_ears(open_call: OpenCall) -> None:
    call = open_call()
    call.twin.say("This is a long sentence that is not said to its end.")
    call.silence(2.0)
    clip = base64.b64encode(tone(500)).decode()
    call.send("session.output_audio.fixture.play", audio=clip, event_id="clip_1")
    assert call.peer.until("session.output_audio.fixture.playing")["client_event_id"] == "clip_1"
    call.send("session.output_audio.fixture.play", audio=clip)
    assert call.peer.error()["message"] == "A fixture is playing already."
    call.commentary("Not now.")
    assert "fixture" in call.peer.error()["message"]
    call.silence(0.6)
    assert call.peer.until("session.output_audio.fixture.played")["client_event_id"] == "clip_1"
    call.commentary("Now.")
    call.silence(2.0)
    call.hang_up()
    assert "said" not in call.peer.text("output")
    assert "Now." in call.peer.text("output")
    assert tone(500) in call.peer.sound


def test_what_is_hushed_is_not_heard_any_more_nor_what_was_to_follow(open_call: OpenCall) -> None:
    call = open_call()
    call.twin.say("This is a sentence that is long enough.")
    call.twin.say("And another one.")
    call.silence(1.5)
    call.twin.hush()
    call.silence(4.0)
    call.hang_up()
    assert call.peer.text("output").startswith("This")
    assert "enough" not in call.peer.text("output")
    assert "And" not in call.peer.text("output")
    assert any(call.peer.sound[: 1000 * 48])
    assert not any(call.peer.sound[1100 * 48 :])


# Updates -------------------------------------------------------------------------------------------------------------


def test_an_update_is_sparse_and_an_empty_one_reports(open_call: OpenCall) -> None:
    backend = {"model": "gpt-6-luna", "instructions": "Use the tools."}
    call = open_call(delegation={"type": "responses", "responses": backend})
    call.send("session.update", session={"delegation": {"responses": {"model": "gpt-6-sol"}}}, event_id="u_1")
    updated = call.peer.until("session.updated")
    assert updated["client_event_id"] == "u_1"
    assert updated["session"]["delegation"]["responses"]["model"] == "gpt-6-sol"
    assert updated["session"]["delegation"]["responses"]["instructions"] == "Use the tools."
    call.send("session.update", session={})
    assert call.peer.until("session.updated")["session"] == updated["session"]


def test_azure_replaces_the_delegation_as_a_whole(open_call: OpenCall) -> None:
    backend = {"model": "gpt-6-luna", "instructions": "Use the tools."}
    call = open_call(path=AZURE, delegation={"type": "responses", "responses": backend})
    call.send("session.update", session={"delegation": {"type": "responses", "responses": {"model": "gpt-6-sol"}}})
    told = call.peer.until("session.updated")["session"]["delegation"]["responses"]
    assert told == {"model": "gpt-6-sol", "tools": [], "tool_choice": "auto"}


@pytest.mark.parametrize(
    ("session", "code", "param"),
    [
        ({"instructions": "New."}, "immutable_field_update", "session.instructions"),
        ({"audio": {"output": {"voice": "cedar"}}}, "immutable_field_update", "session.audio"),
        ({"delegation": {"type": "decisions"}}, "immutable_field_update", "session.delegation.type"),
        ({"nothing": 1}, "unknown_parameter", "session.nothing"),
        ({"delegation": {"responses": {}}}, "unknown_parameter", "session.delegation.responses"),
    ],
)
def test_what_cannot_be_changed_is_refused(open_call: OpenCall, session: Json, code: str, param: str) -> None:
    call = open_call()
    call.send("session.update", session=session)
    error = call.peer.error()
    assert (error["code"], error["param"]) == (code, param)
    assert not call.twin.is_over


def test_a_second_start_is_refused_and_the_session_goes_on(open_call: OpenCall) -> None:
    call = open_call()
    call.send("session.start", session={"model": "gpt-live-1"})
    assert call.peer.error()["code"] == "invalid_event"
    call.silence(1.0)
    assert call.hang_up() == 1005


# Usage and the end ---------------------------------------------------------------------------------------------------


def test_usage_is_told_each_quarter_of_a_minute_also_while_the_clock_stands(open_call: OpenCall) -> None:
    call = open_call()
    call.silence(10.0)
    call.advance(40)
    usage = [each["usage"]["seconds"] for each in call.twin.sent if each["type"] == "session.usage.updated"]
    assert usage == [12, 12, 12]
    assert 0 < call.peer.until("session.usage.updated")["context_window"]["usage_ratio"] < 0.1


def test_usage_may_never_come(open_call: OpenCall) -> None:
    call = open_call(LiveRules(usage_seconds=0))
    call.silence(20.0)
    call.hang_up()
    assert "session.usage.updated" not in call.peer.types()
    assert call.peer.events[-1]["usage"] == {"seconds": 20}


def test_a_close_needs_no_audio_and_ends_without_a_code(open_call: OpenCall) -> None:
    call = open_call()
    call.send("session.close", event_id="close_1")
    call.advance(0.69)
    assert call.twin.ended_by is None
    call.advance(0.02)
    assert call.peer.rest() == 1005
    closed = call.peer.events[-1]
    assert (closed["reason"], closed["client_event_id"]) == ("close_requested", "close_1")
    assert closed["session"] == call.settings
    assert closed["usage"] == {"seconds": 0}
    assert call.twin.ended_by == "close_requested"
    assert call.twin.wait_until_closed() == 1005


def test_the_last_sound_is_sent_before_the_close(open_call: OpenCall) -> None:
    call = open_call()
    call.silence(2.0)
    call.advance(0.03)
    call.hang_up()
    assert len(call.peer.sound) == (2030 + 700 - 600) * 48


def test_nothing_is_done_any_more_once_the_close_was_asked_for(open_call: OpenCall) -> None:
    call = open_call()
    call.silence(2.0)
    call.send("session.close")
    call.send("session.update", session={})
    call.send("session.update", session={"instructions": "Wrong."})
    call.send("nobody.knows.this")
    call.advance(1.0)
    call.peer.rest()
    assert call.peer.types() == ["session.started", "session.closed"]


def test_the_track_goes_on_until_the_close(open_call: OpenCall) -> None:
    call = open_call()
    call.silence(2.0)
    call.send("session.close")
    before = call.twin.sent_count
    call.advance(0.7)
    call.peer.rest()
    assert 3 <= sum("delta" in each for each in call.twin.sent[before:]) <= 8


def test_a_session_that_never_gets_audio_expires_after_half_a_minute(open_call: OpenCall) -> None:
    call = open_call()
    call.advance(30.9)
    assert call.twin.ended_by is None
    call.advance(0.2)
    assert call.peer.rest() == 1005
    assert call.peer.events[-1]["reason"] == "expired"


def test_a_session_that_had_audio_once_does_not_expire_by_silence(open_call: OpenCall) -> None:
    call = open_call()
    call.silence(0.1)
    call.advance(600)
    assert call.twin.ended_by is None


def test_a_session_lasts_two_hours(open_call: OpenCall) -> None:
    call = open_call()
    call.silence(0.1)
    call.advance(7200)
    call.peer.rest()
    assert call.peer.events[-1]["reason"] == "expired"


def test_a_close_is_not_answered_if_so_told(open_call: OpenCall) -> None:
    call = open_call(LiveRules(faults=LiveFaults(no_closed=True)))
    call.silence(1.0)
    call.send("session.close")
    call.advance(60)
    assert call.twin.ended_by is None
    assert not call.twin.is_over


def test_a_lost_client_ends_the_session_and_all_of_its_timers() -> None:
    clock = ManualClock()
    with RealtimeServer(clock=clock) as server:
        call = Call(server, clock)
        call.silence(1.0)
        call.peer.ws.shutdown()
        assert call.twin.wait_until_closed() == 1006
        clock.advance(100)
        assert call.twin.is_over
        assert clock.wait_for_timers(1, timeout=0) is False


def test_azure_names_no_messages_times_its_sound_and_tells_usage_each_minute(open_call: OpenCall) -> None:
    call = open_call(path=AZURE)
    call.commentary("Hello.", event_id="c_1")
    call.silence(59.0)
    assert not any(each["type"] == "session.usage.updated" for each in call.twin.sent)
    call.silence(2.0)
    call.hang_up()
    deltas = [each for each in call.peer.seen if each["type"] == "session.output_audio.delta"]
    assert [(each["start_ms"], each["end_ms"]) for each in deltas[:3]] == [(0, 100), (100, 200), (200, 300)]
    assert not any("client_event_id" in each for each in call.peer.events)
    assert "session.commentary.appended" in call.peer.types()
    assert "session.usage.updated" in call.peer.types()


def test_a_hundred_sessions_run_at_once_on_one_clock() -> None:
    clock = ManualClock()
    with RealtimeServer(clock=clock, record=False, ping_interval=None) as server:
        peers = [LivePeer(server, checked=False) for _ in range(100)]
        pcm = base64.b64encode(silence(1000)).decode()
        for peer in peers:
            peer.say("session.start", session={"model": "gpt-live-1"})
            peer.say("session.input_audio.append", audio=pcm)
            assert peer.until("session.started")
        until(lambda: all(session.received_count == 2 for session in server.live_sessions))
        clock.advance(1.0)
        assert {session.seconds for session in server.live_sessions} == {1}
        for peer in peers:
            peer.until("session.output_audio.delta")
            peer.ws.shutdown()
    assert server_threads() == []

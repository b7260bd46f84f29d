"""Other doors to a live session: a sideband of one that goes on, a fork of one that has ended, keys of a telephone."""

from __future__ import annotations

import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import attrs
import pytest

from realtime_sync import (
    AzureOpenAIClient,
    ConnectCancelledError,
    ConnectionLostError,
    HandshakeError,
    InvalidInputError,
    LiveSession,
    LiveSessionClosedUpdate,
    LiveSessionInputTranscriptDeltaUpdate,
    LiveSessionOptions,
    LiveSessionOutputAudioDeltaUpdate,
    LiveSessionOutputTranscriptDeltaUpdate,
    LiveSessionStartedUpdate,
    NotFoundError,
    SipTrunk,
    UsageError,
    WaitTimeoutError,
)
from realtime_sync.audio.formats import MULAW, PCM
from realtime_sync.live.responses_backend import ResponsesBackend
from realtime_sync.protocol.live.commands import LiveSessionCommentaryAppendCommand, LiveSessionInputAudioMuteCommand
from realtime_sync.protocol.live.updates import LiveSessionInputAudioAppendUpdate
from realtime_sync.recording import Recording, RecordingWriter
from realtime_sync.server import Faults, FunctionCall, LiveRules, faults
from realtime_sync.timeline.tracks import Tracks
from tests.live.harness import CALM, LiveHouse, Running, until, within
from tests.server.rest_peer import OFFER

pytestmark = pytest.mark.medium

SILENCE = bytes(4800)


def attached(house: LiveHouse, session_id: str, **options: Any) -> LiveSession:
    session: LiveSession = house.stack.enter_context(house.client().attach_live(session_id, **options))
    return session


def called(house: LiveHouse) -> str:
    """The id of a telephone's session that was accepted."""
    session_id = house.server.place_live_call()
    house.client().live_calls.accept(session_id)
    return session_id


# Sidebands -----------------------------------------------------------------------------------------------------------


def test_who_is_attached_sees_and_hears_both_and_knows_the_settings(house: LiveHouse) -> None:
    call = house.client().live_calls.create(OFFER, LiveSessionOptions(instructions="Be brief."))
    session = attached(house, call.id)
    assert session.id == call.id
    assert session.session is not None
    assert session.session.instructions == "Be brief."
    stream = session.subscribe()
    house.twin.say("Hello.")
    house.twin.hear("Good morning.")
    assert "Hello" in stream.wait_for(LiveSessionOutputTranscriptDeltaUpdate, 10).delta
    assert "Good" in session.wait_for(LiveSessionInputTranscriptDeltaUpdate, 10).delta
    assert session.wait_for(LiveSessionInputAudioAppendUpdate, 10).audio_bytes == SILENCE
    sound = session.wait_for(LiveSessionOutputAudioDeltaUpdate, 10)
    assert (sound.start_ms, sound.end_ms) == (0, 100)


def test_the_last_seconds_are_told_again_under_their_own_ids(plain: LiveHouse) -> None:
    session_id = called(plain)
    plain.twin.say("Hello.")
    said = plain.twin.wait_for_sent("session.output_transcript.delta", timeout=10)
    session = attached(plain, session_id)
    assert session.wait_for(LiveSessionStartedUpdate, 5).event_id == plain.twin.sent[0]["event_id"]
    assert session.wait_for(LiveSessionOutputTranscriptDeltaUpdate, 5).event_id == said["event_id"]


def test_whoever_is_attached_may_command_but_not_send_audio(plain: LiveHouse) -> None:
    session = attached(plain, called(plain))
    append = LiveSessionCommentaryAppendCommand(content="Greet the caller.", delegation_id=None)
    assert session.send_message(append).wait(10).type == "session.commentary.appended"
    assert session.send_message(LiveSessionInputAudioMuteCommand()).wait(5).type == "session.input_audio.muted"
    audio: tuple[Callable[[], object], ...] = (
        lambda: session.send_audio(SILENCE),
        lambda: session.start_sending_audio(SILENCE),
        session.audio_writer,
        session.talk,
    )
    for send in audio:
        with pytest.raises(UsageError, match="cannot be sent audio"):
            send()


def test_closing_a_sideband_does_not_end_the_session(house: LiveHouse) -> None:
    session_id = called(house)
    with within(3):
        attached(house, session_id).close()
    assert house.server.live_call(session_id).state == "active"
    assert "session.close" not in [each["type"] for each in house.twin.received]
    session = attached(house, session_id)
    session.close()
    assert session.close_info is not None
    assert session.close_info.reason == ""  # nothing is unconfirmed: the session was not to end


def test_a_sideband_ends_with_its_session_and_says_why(house: LiveHouse) -> None:
    session = attached(house, called(house))
    house.server.live_call(str(session.id)).hang_up()
    updates = list(session.updates())
    assert isinstance(updates[-1], LiveSessionClosedUpdate)
    assert updates[-1].reason == "remote_hangup"
    assert session.closed


def test_a_sideband_of_a_connection_that_was_lost_says_so(plain: LiveHouse) -> None:
    primary = plain.start()
    sideband = attached(plain, str(primary.id))
    plain.server.live_sessions[0].drop(1011)
    closed = sideband.wait_for(LiveSessionClosedUpdate, 5)
    assert closed.reason == "connection_lost"


def test_who_has_lost_a_sideband_attaches_again(plain: LiveHouse) -> None:
    session_id = called(plain)
    plain.server.faults = Faults(acts=[faults.drop(after_sent=4)])
    with pytest.raises(ConnectionLostError):
        list(attached(plain, session_id).updates())
    plain.server.faults = Faults()
    assert attached(plain, session_id).id == session_id
    assert plain.server.live_call(session_id).state == "active"


def test_several_may_be_attached_to_one_session(plain: LiveHouse) -> None:
    session_id = called(plain)
    first, second = attached(plain, session_id), attached(plain, session_id)
    plain.twin.emit({"type": "info", "code": "x", "message": "for all"})
    assert first.wait_for("info", 5).type == second.wait_for("info", 5).type == "info"
    first.close()
    plain.twin.emit({"type": "session.input_audio.muted"})
    assert second.wait_for("session.input_audio.muted", 5)


@pytest.mark.parametrize("flavour", ["openai", "azure"])
def test_there_is_nothing_to_attach_to_once_a_session_has_ended(plain: LiveHouse, flavour: str) -> None:
    client = plain.client()
    if flavour == "azure":
        azure = AzureOpenAIClient(plain.server.azure_endpoint, "a-key")
        client = plain.stack.enter_context(azure.get_realtime_conversation_client("talks"))
    session_id = called(plain)
    with client.attach_live(session_id) as session:
        assert session.id == session_id
    client.live_calls.hangup(session_id)
    for gone in (session_id, "live_nobody"):
        with pytest.raises(NotFoundError, match="The session is over") as caught:
            client.attach_live(gone)
        assert caught.value.code == "session_id_not_found"


def test_a_sideband_asks_for_an_orderly_end_and_takes_more_in_its_query(plain: LiveHouse) -> None:
    session = attached(plain, called(plain), query={"mine": "1"})
    (sideband,) = [watcher for watcher in plain.twin.watchers if watcher is not plain.twin]
    assert sideband.query == {"graceful_close": "true", "mine": "1"}  # type: ignore[attr-defined]
    assert sideband.received[0]["session"] == {}  # type: ignore[attr-defined]
    assert not session.closed


def test_a_service_that_does_not_answer_a_sideband_is_given_up(plain: LiveHouse) -> None:
    client = plain.silent(timeouts=attrs.evolve(CALM, greeting=0.2, close=0.2))
    with within(4), pytest.raises(WaitTimeoutError, match=r"Timeouts\.greeting"):
        client.attach_live("live_1")


def test_closing_the_client_ends_sidebands_and_leaves_sessions(plain: LiveHouse) -> None:
    session_id = called(plain)
    client = plain.client()
    session = client.attach_live(session_id)
    client.close()
    assert session.closed
    assert plain.server.live_call(session_id).state == "active"
    with pytest.raises(ConnectCancelledError):
        client.attach_live(session_id)


@pytest.mark.parametrize("session_id", ["", " ", None, 5, "..", "live_\xe4"])
def test_what_is_no_id_is_refused_here(plain: LiveHouse, session_id: Any) -> None:
    client = plain.client()
    for ask in (client.attach_live, client.fork_live):
        with pytest.raises(InvalidInputError, match="session_id"):
            ask(session_id)


# Keys ----------------------------------------------------------------------------------------------------------------


def test_keys_go_both_ways_on_a_telephone(plain: LiveHouse) -> None:
    session = attached(plain, called(plain))
    call = plain.server.live_call(str(session.id))
    for key in "12#":
        assert session.send_dtmf(key).wait(5).type == "transport.dtmf.sent"
    assert call.keys == "12#"
    call.press("*")
    assert session.wait_for("transport.dtmf.received", 5).event == "*"  # type: ignore[attr-defined]


@pytest.mark.parametrize("key", ["", "12", "a", "+", None, 5])
def test_what_is_no_key_is_refused_here(plain: LiveHouse, key: Any) -> None:
    with pytest.raises(InvalidInputError, match="0 to 9"):
        attached(plain, called(plain)).send_dtmf(key)


def test_a_session_of_ones_own_has_no_keys(plain: LiveHouse) -> None:
    with pytest.raises(UsageError, match="attach_live"):
        plain.start().send_dtmf("5")


# Calls that are dialled ----------------------------------------------------------------------------------------------

TRUNK = SipTrunk(provider_url="sips:sip.example.com", caller_number="+14155550100")


def test_a_call_rings_and_is_answered(plain: LiveHouse) -> None:
    call = plain.client().live_calls.dial("+14155550123", TRUNK)
    assert (call.sdp, plain.server.live_call(call.id).number) == ("", "+14155550123")
    session = attached(plain, call.id)
    assert session.wait_for("transport.ringing", 5)
    assert session.wait_for("transport.answered", 5)
    assert session.wait_for(LiveSessionOutputAudioDeltaUpdate, 5)


def test_a_call_that_is_not_answered_fails(plain: LiveHouse) -> None:
    plain.serve(live=LiveRules(answers_calls=False))
    session = attached(plain, plain.client().live_calls.dial("+14155550123", TRUNK).id)
    assert session.wait_for("transport.ringing", 5)
    plain.server.live_call(str(session.id)).fail("busy", "The line is busy.")
    failed = session.wait_for("transport.failed", 5)
    assert failed.error.code == "busy"  # type: ignore[attr-defined]
    assert isinstance(list(session.updates())[-1], LiveSessionClosedUpdate)


# Forks ---------------------------------------------------------------------------------------------------------------


def test_a_fork_goes_on_with_a_stored_session(house: LiveHouse) -> None:
    first = house.start(LiveSessionOptions(instructions="Be brief.", store=True, voice="cedar"))
    first.close()
    with house.client().fork_live(str(first.id)) as second:
        assert second.session is not None
        assert second.id != first.id
        assert (second.session.instructions, second.session.voice) == ("Be brief.", "cedar")
        assert (second.session.input, second.session.store) == ([], True)
        assert house.twin.received[0] == {**house.twin.received[0], "type": "session.start", "session": {}}


def test_a_fork_may_differ_in_a_few_things(plain: LiveHouse) -> None:
    first = plain.start(LiveSessionOptions(store=True))
    first.close()
    with plain.client().fork_live(str(first.id), store=False, audio_format="audio/pcmu") as second:
        assert second.session is not None
        assert second.session.audio_format is not None
        assert (second.session.audio_format.type, bool(second.session.store)) == ("audio/pcmu", False)
    with pytest.raises(InvalidInputError, match="no audio format"):
        plain.client().fork_live(str(first.id), audio_format="audio/mp3")


def test_a_session_whose_connection_was_lost_can_be_forked(plain: LiveHouse) -> None:
    first = plain.start(LiveSessionOptions(store=True))
    plain.twin.drop(1011)
    until(lambda: first.closed)
    with plain.client().fork_live(str(first.id)) as second:
        assert second.id != first.id


def test_what_was_not_stored_or_goes_on_cannot_be_forked(plain: LiveHouse) -> None:
    plain_session, stored = plain.start(), plain.start(LiveSessionOptions(store=True))
    with pytest.raises(HandshakeError, match="has not ended"):
        plain.client().fork_live(str(stored.id))
    plain_session.close()
    for unknown in (str(plain_session.id), "live_nobody"):
        with pytest.raises(NotFoundError):
            plain.client().fork_live(unknown)


def test_a_fork_is_ended_by_the_client_while_it_starts(plain: LiveHouse) -> None:
    client = plain.silent()
    with within(20):
        start = Running(lambda: client.fork_live("live_1"))
        until(lambda: len(client._sessions._engines))
        client.close()
        with pytest.raises(ConnectCancelledError):
            start.result(20)


def test_a_fork_has_a_delegate_of_its_own(plain: LiveHouse) -> None:
    first = plain.start(LiveSessionOptions(store=True))
    first.close()
    with plain.client().fork_live(str(first.id), delegate=lambda request: "Done.") as second:
        plain.twin.delegate(after_last_fragment=False)
        append = plain.twin.wait_for_message("session.commentary.append", timeout=10)
        assert append["content"] == "Done."
        assert not second.closed


def test_whoever_is_attached_works_for_the_session(plain: LiveHouse) -> None:
    session_id = called(plain)
    attached(plain, session_id, delegate=lambda request: "It is on its way.")
    call = plain.server.live_call(session_id)
    told = plain.twin.delegate(after_last_fragment=False)
    appended = plain.twin.wait_for_sent("session.commentary.appended", timeout=10)
    (command,) = [
        message
        for watcher in plain.twin.watchers
        for message in getattr(watcher, "received", ())
        if message["type"] == "session.commentary.append"
    ]
    assert (command["content"], command["delegation_id"]) == ("It is on its way.", told)
    assert appended["type"]
    until(lambda: any(call.heard))


def test_the_functions_of_a_browsers_backend_are_called_beside_it(plain: LiveHouse) -> None:
    asked: list[int] = []

    def get_order(number: int) -> str:
        """Looks up an order."""
        asked.append(number)
        return "on its way"

    backend = ResponsesBackend(model="gpt-5.6-luna", tools=[get_order])
    plain.serve(responder=lambda turn: FunctionCall("get_order", '{"number": 7}') if not asked else "It is coming.")
    call = plain.client().live_calls.create(OFFER, delegate=backend)
    attached(plain, call.id, delegate=backend)
    plain.twin.delegate(after_last_fragment=False)
    until(lambda: asked == [7], 10)


# Recordings ----------------------------------------------------------------------------------------------------------


def test_the_recording_of_a_stored_session_is_saved(house: LiveHouse, tmp_path: Path) -> None:
    session = house.start(LiveSessionOptions(store=True))
    session.send_audio(bytes(48_000))
    house.twin.say("Hello.")
    house.twin.wait_for_sent("session.output_transcript.delta", timeout=10)
    with pytest.raises(HandshakeError, match="has not ended"):
        house.client().download_live_recording(str(session.id), tmp_path / "call.wav")
    session.close()
    house.client().download_live_recording(str(session.id), tmp_path / "call.wav")
    with wave.open(str(tmp_path / "call.wav")) as file:
        assert (file.getnchannels(), file.getframerate()) == (2, 24_000)
        assert file.getnframes() >= 24_000


def test_a_sideband_s_sound_is_pcm_whatever_the_session_s_own_format_is(plain: LiveHouse) -> None:
    primary = plain.start(LiveSessionOptions(audio_format="audio/pcmu"))
    sideband = attached(plain, str(primary.id))
    assert primary.sample_format is MULAW
    assert sideband.sample_format is PCM
    turns = sideband.turns(keep_audio=True)
    plain.twin.say("Hello there.")
    turn = next(turn for turn in turns if turn.speaker == "assistant")
    assert turn.audio_format == PCM
    assert turn.audio is not None
    assert len(turn.audio) / 48 > 400


@pytest.mark.parametrize("mode", ["keep", "beside"])
def test_what_a_sideband_records_has_each_side_on_a_track_of_its_own(
    plain: LiveHouse, tmp_path: Path, mode: Literal["keep", "beside"]
) -> None:
    writer = RecordingWriter(tmp_path / "r.jsonl", audio=mode)
    session = attached(plain, called(plain), recording=writer)
    plain.server.live_call(str(session.id)).say(b"\x11\x22" * 4800)
    plain.twin.say("Hello.")
    session.wait_for(lambda update: getattr(update, "audio_bytes", b"") == b"\x11\x22" * 2400, 10)
    session.wait_for(LiveSessionOutputTranscriptDeltaUpdate, 10)
    until(lambda: plain.twin.timeline_ms > 2500)
    session.close()
    recording = Recording.read(tmp_path / "r.jsonl")
    assert recording.faults == ()
    tracks = Tracks.of(recording)
    user, model = (b"".join(piece.pcm() for piece in side) for side in (tracks.user, tracks.model))
    assert b"\x11\x22" * 4800 in user
    assert b"\x11\x22" * 100 not in model
    assert any(model)
    if mode == "beside":
        with wave.open(str(tmp_path / "r.jsonl.user.wav")) as file:
            assert b"\x11\x22" * 4800 in file.readframes(file.getnframes())

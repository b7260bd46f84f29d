"""Interruption: what the service keeps of an answer is what was heard of it. And turns, as a session gives them."""

from __future__ import annotations

import queue
import random
import threading
from collections.abc import Iterator
from typing import Any

import attrs
import pytest

from realtime_sync import (
    ConnectionClosedError,
    ConsumerTooSlowError,
    ConversationContentPart,
    ConversationItem,
    ConversationResponseOptions,
    ConversationSessionOptions,
    InputTranscriptionOptions,
    Interruption,
    InvalidInputError,
    PlaybackPosition,
    QueueLimits,
    ResponseDoneUpdate,
    ResponseOutputAudioDeltaUpdate,
    SessionNotOpenError,
    TurnDetectionOptions,
    WaitTimeoutError,
)
from realtime_sync.core.realtime import owes_answer
from realtime_sync.server import RealtimeServer, Reply, Turn
from realtime_sync.server.voice import speak
from tests.core.answers import Gate, errors, received, sent_audio
from tests.core.harness import House, Running, client_threads, threads_waiting_in, until

LONG = "A long answer that nobody wants to hear to its end, because it goes on and on and on."
BY_HAND = ConversationSessionOptions(turn_detection_options=TurnDetectionOptions.disabled())
QUICK_VAD = ConversationSessionOptions(
    turn_detection_options=TurnDetectionOptions.server_vad(silence_duration_ms=200, prefix_padding_ms=0),
    input_transcription_options=InputTranscriptionOptions(model="gpt-transcribe"),
)
SPEECH = speak("hello there") + bytes(48 * 600)


def slow(turn: Turn) -> Reply:
    return Reply(LONG, delta_delay=0.01)


class Endless:
    """A responder that says so much, and then waits until it is cancelled."""

    def __init__(self, ms: int) -> None:
        self.ms = ms

    def __call__(self, turn: Turn) -> Iterator[Reply]:
        yield Reply("Well, " * 20, audio=speak("well")[: 48 * self.ms].ljust(48 * self.ms, b"\0"))
        turn.cancelled.wait(20)


def played(item_id: str, ms: int) -> PlaybackPosition:
    position = PlaybackPosition()
    position.played(item_id, ms * 24)
    return position


def kept_ms(server: RealtimeServer, item_id: str) -> int:
    """What the service has of the item."""
    item = server.sessions[-1].conversation.get(item_id)
    assert item is not None
    return item.audio_ms()


def first_audio(reader: Any) -> ResponseOutputAudioDeltaUpdate:
    """``reader``: a session, or a subscription, which is given what ``respond`` takes, too."""
    update = reader.wait_for(ResponseOutputAudioDeltaUpdate, 5)
    assert isinstance(update, ResponseOutputAudioDeltaUpdate)
    return update


def is_pending(line: Any, wire_type: str) -> bool:
    """Whether such a command has had its turn on the wire."""
    return any(entry.handle.type == wire_type for entry in list(line.commands._pending.values()))


def received_ms(session: Any, item_id: str, ms: int) -> None:
    until(lambda: (session.conversation.audio_ms(item_id) or 0) >= ms)


# By hand --------------------------------------------------------------------------------------------------------------


def test_the_service_keeps_what_the_player_played(house: House) -> None:
    server = house.serve(responder=Endless(1000))
    session = house.open()
    stream = session.subscribe()
    response = session.respond("Go on")
    item_id = first_audio(stream).item_id
    received_ms(session, item_id, 1000)
    told = session.interrupt(position=played(item_id, 470))
    assert told == Interruption(
        response_id=response.id, item_id=item_id, audio_end_ms=470, truncated=True, unheard=(), reason=None
    )
    assert kept_ms(server, item_id) == 470
    assert session.conversation.heard_ms(item_id) == 470
    assert response.wait(5).status == "cancelled"


def test_heard_ms_is_clamped_to_what_has_come(plain: House) -> None:
    server = plain.serve(responder=slow)
    session = plain.open()
    session.start_response()
    item_id = first_audio(session).item_id
    received_ms(session, item_id, 300)
    told = session.interrupt(60_000)
    assert told.truncated
    assert 300 <= told.audio_end_ms <= len(sent_audio(plain.live, str(told.response_id))) // 48
    assert kept_ms(server, item_id) == told.audio_end_ms
    assert errors(plain.live) == []


def test_before_the_first_audio_the_answer_is_cancelled_and_nothing_else(plain: House) -> None:
    plain.serve(responder=lambda turn: Reply(LONG, delay=20))
    session = plain.open()
    response = session.respond("Go on")
    told = session.interrupt(0)
    assert (told.response_id, told.item_id, told.truncated) == (response.id, None, False)
    assert told.reason == "no audio of the answer has come"
    assert received(plain.live, "conversation.item.truncate") == []
    again = session.interrupt(position=PlaybackPosition())
    assert (again.response_id, again.truncated) == (None, False)
    assert errors(plain.live) == []


def test_before_the_first_audio_the_answer_before_it_stays_as_it_is(plain: House) -> None:
    replies = [Reply("The first."), Reply(LONG, delay=20)]
    server = plain.serve(responder=lambda turn: replies.pop(0))
    session = plain.open()
    first = session.ask("One").items[0].id
    whole = kept_ms(server, first)
    session.respond("Two")
    assert session.interrupt(100).reason == "no audio of the answer has come"
    assert kept_ms(server, first) == whole


@pytest.mark.parametrize("position", [None, PlaybackPosition()], ids=["by milliseconds", "by position"])
def test_an_answer_that_was_asked_for_and_has_not_begun_is_cancelled(
    plain: House, position: PlaybackPosition | None
) -> None:
    replies = [Reply("The first."), Reply(LONG, delay=20)]
    server = plain.serve(responder=lambda turn: replies.pop(0))
    session = plain.open()
    first = session.ask("One").items[0].id
    whole = kept_ms(server, first)
    connection = session._engine.connection
    with plain.live.lock:  # the server handles nothing meanwhile
        asking = Running(lambda: session.ask("Two"))
        until(lambda: owes_answer(connection))
        interrupting = Running(lambda: session.interrupt(None if position else 100, position=position))
        until(lambda: is_pending(connection, "response.cancel"))
    told, answer = interrupting.result(), asking.result()
    assert (answer.status, answer.id) == ("cancelled", told.response_id)
    assert told.reason == "no audio of the answer has come"
    assert kept_ms(server, first) == whole
    assert errors(plain.live) == []


def test_what_came_and_was_not_played_at_all_was_not_heard(plain: House) -> None:
    server = plain.serve(responder=Endless(300))
    session = plain.open()
    session.start_response()
    item_id = first_audio(session).item_id
    told = session.interrupt(position=PlaybackPosition())
    assert (told.audio_end_ms, told.truncated, kept_ms(server, item_id)) == (0, True, 0)


def test_an_answer_that_waits_behind_another_is_shortened_too(plain: House) -> None:
    server = plain.serve(responder=lambda turn: Reply(LONG))
    session = plain.open()
    first, second = (session.ask(question).items[0].id for question in ("One", "Two"))
    told = session.interrupt(position=played(first, 300))
    assert (told.item_id, told.audio_end_ms, told.unheard) == (first, 300, (second,))
    assert (kept_ms(server, first), kept_ms(server, second)) == (300, 0)


def test_an_answer_that_was_heard_to_its_end_keeps_its_transcript(plain: House) -> None:
    plain.serve(responder=lambda turn: Reply("Short."))
    session = plain.open()
    answer = session.ask("Go on")
    told = session.interrupt(answer.audio_seconds * 1000)
    assert (told.response_id, told.truncated, told.reason) == (None, False, "all of it was heard")
    item = plain.live.conversation.get(answer.items[0].id)
    assert item is not None
    assert item.wire["content"][0]["transcript"] == "Short."


def test_interrupting_twice_does_nothing_twice(plain: House) -> None:
    plain.serve(responder=Endless(500))
    session = plain.open()
    session.start_response()
    position = played(first_audio(session).item_id, 90)
    first, second = session.interrupt(position=position), session.interrupt(position=position)
    assert first.truncated
    assert (second.response_id, second.truncated, second.reason) == (None, False, "it was shortened already")
    assert len(received(plain.live, "conversation.item.truncate")) == 1
    assert len(received(plain.live, "response.cancel")) == 1


def test_from_eight_threads_at_once_it_is_shortened_to_one_length(plain: House) -> None:
    server = plain.serve(responder=Endless(500))
    session = plain.open()
    session.start_response()
    item_id = first_audio(session).item_id
    position = played(item_id, 90)
    calls = [Running(lambda: session.interrupt(position=position)) for _ in range(8)]
    told = [call.result() for call in calls]
    assert {each.audio_end_ms for each in told} == {90}
    assert any(each.truncated for each in told)
    assert sum(each.response_id is not None for each in told) >= 1
    assert kept_ms(server, item_id) == 90


def test_an_item_that_was_deleted_is_told_not_raised(plain: House) -> None:
    plain.serve(responder=Endless(500))
    session = plain.open()
    session.start_response()
    item_id = first_audio(session).item_id
    session.cancel_response().wait()
    session.delete_item(item_id).wait()
    told = session.interrupt(position=played(item_id, 90))
    assert (told.truncated, told.reason) == (False, f"{item_id} is not in the conversation")


def test_an_item_that_the_service_has_lost_is_told_not_raised(plain: House) -> None:
    plain.serve(responder=Endless(500))
    session = plain.open()
    session.start_response()
    item_id = first_audio(session).item_id
    session.cancel_response().wait()
    with plain.live.lock:
        plain.live.conversation.delete(item_id)  # and says nothing of it
    told = session.interrupt(position=played(item_id, 90))
    assert (told.truncated, told.audio_end_ms) == (False, 90)
    assert "does not exist" in str(told.reason)


def test_an_answer_that_ends_by_itself_meanwhile_is_no_error(plain: House) -> None:
    plain.serve(responder=lambda turn: Reply(LONG))
    session = plain.open()
    for _ in range(20):
        response = session.respond("Go on")
        told = session.interrupt(0)  # the answer is over in some milliseconds: one of the two comes first
        status = response.wait(5).status
        assert (told.response_id == response.id) == (status == "cancelled")


def test_an_answer_that_the_service_no_longer_makes_is_no_error(plain: House) -> None:
    plain.serve(responder=Endless(500))
    session = plain.open()
    session.start_response()
    item_id = first_audio(session).item_id
    plain.live.wait_for_sent("response.output_item.done", 10)  # only a whole message has audio to be shortened
    with plain.live.lock:
        running = dict(plain.live._responses)
        plain.live._responses.clear()  # it has ended, and the news of it is still on its way
    told = session.interrupt(position=played(item_id, 90))
    assert errors(plain.live) == ["response_cancel_not_active"]
    assert (told.response_id, told.truncated, told.reason) == (None, True, None)
    with plain.live.lock:
        plain.live._responses.update(running)  # so that the server's end ends it


def test_without_a_position_the_answer_is_cancelled_and_the_reason_told(plain: House) -> None:
    plain.serve(responder=Endless(500))
    session = plain.open()
    stream = session.subscribe()
    response = session.respond("Go on")
    first_audio(stream)
    told = session.interrupt()
    assert (told.response_id, told.truncated) == (response.id, False)
    assert "give heard_ms or position" in str(told.reason)
    assert response.wait(5).status == "cancelled"


def test_out_of_band_answers_are_not_interrupted(plain: House) -> None:
    plain.serve(responder=slow)
    session = plain.open()
    aside = session.respond("Aside", options=ConversationResponseOptions(conversation="none"))
    assert session.interrupt(0).response_id is None
    assert aside.wait(10).completed


def test_the_service_is_asked_to_stop_playing_only_when_told(plain: House) -> None:
    plain.serve(responder=Endless(200))
    session = plain.open()
    session.start_response()
    first_audio(session)
    session.interrupt(10)
    assert received(plain.live, "output_audio_buffer.clear") == []
    session.interrupt(10, clear_output=True)
    assert len(received(plain.live, "output_audio_buffer.clear")) == 1


def test_what_makes_no_sense_is_refused_before_anything_is_sent(plain: House) -> None:
    session = plain.open()
    both = {"heard_ms": 1, "position": PlaybackPosition()}
    for arguments in ({"heard_ms": -1}, {"heard_ms": "all"}, {"position": 300}, both):
        with pytest.raises(InvalidInputError):
            session.interrupt(**arguments)
    session.close()
    with pytest.raises(SessionNotOpenError):
        session.interrupt(0)


def test_a_telephone_is_interrupted_by_its_own_clock(plain: House) -> None:
    server = plain.serve(responder=Endless(1000))
    session = plain.open(start={"options": ConversationSessionOptions(output_audio_format="audio/pcmu")})
    session.start_response()
    item_id = first_audio(session).item_id
    received_ms(session, item_id, 1000)
    position = PlaybackPosition(rate=8000)
    position.played(item_id, 8 * 333)
    assert session.interrupt(position=position).audio_end_ms == 333
    assert kept_ms(server, item_id) == 333


def test_fifty_random_moments_leave_what_was_heard(plain: House) -> None:
    chance = random.Random(20261122)
    server = plain.serve(responder=lambda turn: Reply("On and on and on and on.", delta_delay=0.001))
    session = plain.open()
    stream = session.subscribe()
    for _ in range(50):
        position = PlaybackPosition()
        response = session.respond("Go on")
        for _ in range(chance.randint(0, 12)):
            update = stream.receive(5)
            if isinstance(update, ResponseOutputAudioDeltaUpdate) and update.response_id == response.id:
                position.played(update.item_id, chance.randint(0, len(update.audio_bytes or b"") // 2))
        came = {item.id: session.conversation.audio_ms(item.id) or 0 for item in session.conversation.items}
        told = session.interrupt(position=position)
        answer = response.wait(5)
        if told.truncated:
            heard = position.of_item(str(told.item_id))
            assert told.audio_end_ms == (heard.ms if heard else 0)
            assert kept_ms(server, str(told.item_id)) == told.audio_end_ms
            assert told.audio_end_ms <= len(sent_audio(plain.live, str(answer.id))) // 48
            assert came.get(told.item_id, 0) >= told.audio_end_ms
    assert errors(plain.live).count("invalid_value") == 0
    assert set(errors(plain.live)) <= {"response_cancel_not_active"}


def test_an_item_that_is_named_is_shortened_and_no_other(plain: House) -> None:
    server = plain.serve(responder=lambda turn: Reply(LONG))
    session = plain.open()
    first, second = (session.ask(question).items[0].id for question in ("One", "Two"))
    whole = kept_ms(server, second)
    assert session.interrupt(300, item_id=first).unheard == ()
    assert (kept_ms(server, first), kept_ms(server, second)) == (300, whole)
    assert session.interrupt(100, item_id=first).truncated  # less was heard after all
    assert session.interrupt(200, item_id=first).audio_end_ms == 100
    assert kept_ms(server, first) == 100
    assert session.interrupt(100, item_id="nobody").reason == "nobody is not in the conversation"
    assert errors(plain.live) == []


# The player -----------------------------------------------------------------------------------------------------------


def test_a_position_grows_and_begins_anew_with_another_item() -> None:
    position: Any = PlaybackPosition(rate=48_000)

    def current() -> Any:
        return attrs.astuple(position.current)[:3]

    assert repr(position) == "<PlaybackPosition nothing played>"
    position.played("a", 4800)
    position.report("a", 50)
    assert current() == ("a", 0, 100)
    position.report("a", 250)
    position.played("b", 48, content_index=1)
    assert current() == ("b", 1, 1)
    assert position.of_item("a").ms == 250
    assert position.of_item("b") is None
    for wrong in (-1, 1.5, True, None):
        with pytest.raises(InvalidInputError):
            position.played("a", wrong)


def test_milliseconds_come_back_as_they_were_reported() -> None:
    position: Any = PlaybackPosition(rate=44_100)
    for ms in range(3000):
        position.report("a", ms)
        assert position.current.ms == ms


def test_what_is_cut_off_is_neither_playable_nor_counted(plain: House) -> None:
    plain.serve(responder=Endless(500))
    session = plain.open()
    session.start_response()
    update = first_audio(session)
    position = played(update.item_id, 50)
    assert position.playable(update)
    session.interrupt(position=position)
    assert not position.playable(update)
    position.played(update.item_id, 24_000)
    assert position.current is not None
    assert position.current.ms == 50


def test_eight_threads_lose_no_sample() -> None:
    position = PlaybackPosition()
    ready = threading.Barrier(8)

    def play() -> None:
        ready.wait(5)
        for _ in range(3000):
            position.played("a", 24)

    for call in [Running(play) for _ in range(8)]:
        call.result()
    assert position.current is not None
    assert position.current.ms == 24_000


# When the user speaks -------------------------------------------------------------------------------------------------


def test_speech_shortens_an_answer_that_had_come_whole(house: House) -> None:
    server = house.serve(responder=lambda turn: Reply(LONG))
    session = house.open(start={"options": QUICK_VAD})
    position, stopped, told = PlaybackPosition(), threading.Event(), []
    done = threading.Event()

    def callback(interruption: Interruption) -> None:
        assert stopped.is_set()
        told.append(interruption)
        done.set()

    with session.interrupt_on_speech(position, callback, stop_playing=stopped.set):
        answer = session.ask("Go on")
        position.played(answer.items[0].id, 24 * 700)
        session.send_audio(speak("wait"))
        assert done.wait(5)
        assert session.id  # it goes on
    assert (told[0].item_id, told[0].audio_end_ms, told[0].truncated) == (answer.items[0].id, 700, True)
    assert kept_ms(server, answer.items[0].id) == 700


def test_where_the_service_cancels_by_itself_shortening_is_left_to_do(plain: House) -> None:
    server = plain.serve(responder=Endless(800))
    session = plain.open(start={"options": QUICK_VAD})
    position, told = PlaybackPosition(), queue.SimpleQueue[Interruption]()
    with session.interrupt_on_speech(position, told.put):
        session.start_response()
        item_id = first_audio(session).item_id
        received_ms(session, item_id, 800)
        position.report(item_id, 123)
        session.send_audio(speak("wait"))
        interruption = told.get(timeout=5)
    assert (interruption.audio_end_ms, interruption.truncated, kept_ms(server, item_id)) == (123, True, 123)
    ended = session.wait_for(ResponseDoneUpdate, 5)
    assert (ended.response.status, ended.response.status_details.reason) == ("cancelled", "turn_detected")
    assert set(errors(plain.live)) <= {"response_cancel_not_active"}


def test_an_interruption_that_comes_late_spares_the_answer_to_what_was_said(house: House) -> None:
    """The player took its time to fall silent, or the machine to run the thread; meanwhile the service answers."""
    house.serve(responder=Gate(after=LONG))
    session = house.open(start={"options": QUICK_VAD})
    silent = threading.Event()
    position, told = PlaybackPosition(), queue.SimpleQueue[Interruption]()
    with session.interrupt_on_speech(position, told.put, stop_playing=lambda: silent.wait(5)):
        session.send_audio(SPEECH)
        session.wait_for("response.created", 5)
        session.cancel_response().wait(5)
        session.send_audio(SPEECH)  # a second start of speech behind the first; the thread has not come to either
        answer = session.wait_for("response.created", 5)
        silent.set()
        interruptions = [told.get(timeout=5) for _ in range(2)]
        assert session.cancel_response().wait(5).response_id == answer.response_id  # it went on all the while
    assert [each.response_id for each in interruptions] == [None, None]


def test_what_of_the_spared_answer_was_played_already_stays(plain: House) -> None:
    server = plain.serve(responder=Endless(800))
    session = plain.open(start={"options": QUICK_VAD})
    silent = threading.Event()
    position, told = PlaybackPosition(), queue.SimpleQueue[Interruption]()
    with session.interrupt_on_speech(position, told.put, stop_playing=lambda: silent.wait(5)):
        session.send_audio(SPEECH)
        item_id = first_audio(session).item_id
        received_ms(session, item_id, 800)
        position.report(item_id, 100)
        silent.set()
        interruption = told.get(timeout=5)
    assert not interruption.truncated
    assert position.current.ms == 100
    assert kept_ms(server, item_id) == 800


def test_what_a_callback_raises_is_raised_when_the_block_is_left(plain: House) -> None:
    plain.serve(responder=lambda turn: Reply(LONG))
    session = plain.open(start={"options": QUICK_VAD})
    called = threading.Event()

    def callback(interruption: Interruption) -> None:
        called.set()
        raise KeyError("mine")

    def run() -> None:
        with session.interrupt_on_speech(PlaybackPosition(), callback):
            session.send_audio(speak("wait"))
            assert called.wait(5)

    warned = pytest.warns(RuntimeWarning, match="a callback of interrupt_on_speech raised KeyError: 'mine'")
    with warned, pytest.raises(KeyError, match="mine"):
        run()
    session.close()
    until(lambda: not client_threads())


def test_the_watching_thread_ends_with_the_session(plain: House) -> None:
    session = plain.open()
    with session.interrupt_on_speech(PlaybackPosition()):
        session.close()
        until(lambda: not client_threads())


# Turns ----------------------------------------------------------------------------------------------------------------


def test_spoken_turns_come_with_transcript_answer_and_timeline(house: House) -> None:
    house.serve(transcriber=lambda pcm, rate: "Hello there")
    session = house.open(start={"options": QUICK_VAD})
    position = PlaybackPosition()
    turns = session.turns(10, position=position)
    for _ in range(2):
        session.send_audio(SPEECH)
        update = session.wait_for(
            lambda update: isinstance(update, ResponseOutputAudioDeltaUpdate) and not position.of_item(update.item_id),
            5,
        )
        position.played(update.item_id, 10)
        turn = next(turns)
        assert (turn.user_transcript, turn.status) == ("Hello there", "completed")
        assert turn.transcript.startswith("I heard")
        times = turn.timeline
        order = [times.speech_started, times.speech_stopped, times.committed, times.response_created, times.first_audio]
        assert None not in order
        assert order == sorted(order)
        assert order[0] == 0
        assert times.done is not None
        assert times.first_played is not None
        assert times.speech_stopped_to_first_audio is not None
        assert turn.item_ids == (update.item_id,)


def test_a_turn_is_timed_when_it_happens_not_when_it_is_taken(plain: House) -> None:
    session = plain.open()
    turns = session.turns()
    for number in range(20):
        session.ask(f"Question {number}", options=ConversationResponseOptions(content_modalities=["text"]))
    taken = [next(turns) for _ in range(20)]
    assert [turn.user_text for turn in taken] == [f"Question {number}" for number in range(20)]
    assert [turn.started for turn in taken] == sorted(turn.started for turn in taken)
    assert len({turn.started for turn in taken}) == 20


def test_turns_end_with_the_session_and_raise_with_the_connection(plain: House) -> None:
    session = plain.open()
    turns = session.turns()
    waiting = Running(lambda: list(turns))
    session.ask("Hello")
    session.close()
    assert [turn.user_text for turn in waiting.result()] == ["Hello"]
    assert list(turns) == []
    session = plain.open()
    waiting = Running(lambda: list(session.turns(10)))
    session.ask("Hello")
    plain.server.close()
    assert isinstance(waiting.join(), ConnectionClosedError)


def test_a_turn_that_does_not_come_is_a_time_out_and_the_next_goes_on(plain: House) -> None:
    session = plain.open()
    with session.turns(0.01) as turns:
        with pytest.raises(WaitTimeoutError):
            next(turns)
        session.ask("Hello")
        assert next(turns).user_text == "Hello"
    assert list(turns) == []
    with pytest.raises(InvalidInputError):
        session.turns(-1)
    with pytest.raises(InvalidInputError, match="PlaybackPosition"):
        session.turns(position=300)


def test_turns_that_nobody_refers_to_are_listened_to_no_more(plain: House) -> None:
    session = plain.open()
    before = len(session._engine._listeners)
    turns = session.turns()
    assert len(session._engine._listeners) == before + 1
    del turns
    session.ask("Hello")
    assert len(session._engine._listeners) == before


def test_turns_that_nobody_takes_end_the_session_at_the_bound_and_are_not_lost(plain: House) -> None:
    session = plain.open(limits=QueueLimits(queued=60_000))
    turns = session.turns()
    answers = (session.ask("x" * 1000, ConversationResponseOptions(content_modalities=["text"])) for _ in range(100))
    answered: list[Any] = []
    with pytest.raises(ConsumerTooSlowError, match="60000 bytes"):
        answered.extend(iter(answers.__next__, None))
    assert 1 < len(answered) < 10
    taken = [next(turns) for _ in answered]
    assert {turn.user_text for turn in taken} == {"x" * 1000}
    with pytest.raises(ConsumerTooSlowError):
        list(turns)


def test_all_who_wait_for_a_turn_are_released_by_the_end(plain: House) -> None:
    session = plain.open()
    turns = session.turns()
    waiting = [Running(lambda: list(turns)) for _ in range(4)]
    until(lambda: len(threads_waiting_in(turns._updates._queue)) == 1)  # the other three wait for that one
    turns.close()
    assert [each.result() for each in waiting] == [[], [], [], []]


def test_an_interrupted_turn_says_so(plain: House) -> None:
    plain.serve(responder=Endless(500))
    session = plain.open(start={"options": BY_HAND})
    turns = session.turns(5)
    session.add_item(ConversationItem.create_user_message(ConversationContentPart.from_input_text("Go on")))
    session.start_response()
    session.interrupt(position=played(first_audio(session).item_id, 100))
    turn = next(turns)
    assert (turn.user_text, turn.interrupted, turn.reason) == ("Go on", True, "client_cancelled")


def test_a_position_that_is_none_is_refused_at_the_call(plain: House) -> None:
    wrong: Any = 5
    with pytest.raises(InvalidInputError, match="position must be a PlaybackPosition"):
        plain.open().interrupt_on_speech(wrong)

"""Turns of a live session: what belongs together, when a turn is over, and how it sounds."""

from __future__ import annotations

import io
import json
import wave
from typing import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_sync.conversation.live.fragments import FragmentReader
from realtime_sync.conversation.live.turns import LiveTurn, LiveTurnCollector
from realtime_sync.errors import ConnectionClosedError, InvalidInputError
from realtime_sync.protocol.connection_updates import SessionReconnectedUpdate
from realtime_sync.protocol.live.codec import live_decode
from tests.conversation.live.scenes import (
    BEGIN_MS,
    LAG_MS,
    SCENES,
    Scene,
    collected,
    delegated_question,
    microphone_stops,
    texts,
    time_stands_between,
    turns_of,
)

Made = Callable[[], tuple[Scene, list[tuple[str, str]]]]


@pytest.mark.parametrize("made", SCENES, ids=lambda made: made.__name__)
def test_each_utterance_is_one_turn(made: Made) -> None:
    scene, said = made()

    turns = sorted(turns_of(scene), key=lambda turn: turn.start_ms)

    assert texts(turns) == said
    assert not any(turn.continues for turn in turns)


@pytest.mark.parametrize("made", SCENES, ids=lambda made: made.__name__)
def test_the_first_turn_is_given_out_while_the_session_goes_on(made: Made) -> None:
    scene, _ = made()
    last = max(at for at, _ in scene.came)

    given = collected(scene.updates())

    assert given[0][0] < last


def test_a_turn_is_given_out_two_seconds_after_its_last_word_came() -> None:
    scene = Scene().started().track(1700, 9000).say("user", 600, "Good", " day.")

    [(at, turn)] = collected(scene.updates())

    assert at == pytest.approx(BEGIN_MS + 1000 + LAG_MS + 1200 + 800, abs=0.1)
    assert (turn.start_ms, turn.end_ms, turn.reason) == (600, 1000, "gap")
    assert turn.started == pytest.approx((BEGIN_MS + 800 + LAG_MS) / 1000)


def test_a_turn_is_given_out_when_the_timeline_stands_for_a_second() -> None:
    scene, _ = microphone_stops()

    given = collected(scene.updates())

    assert [turn.reason for _, turn in given] == ["gap", "stood_still"]
    assert given[1][0] == pytest.approx(5900 + 1000)  # not at the end of the session


def test_what_was_over_before_the_timeline_stood_ended_by_a_gap() -> None:
    collector = LiveTurnCollector()
    given: list[LiveTurn] = []
    for at, one in Scene().started().track(1700, 4000).say("user", 600, "Hello.").closed(9000).updates():
        given += collector.apply(one, at / 1000)  # nobody asks in between, as with a recording

    assert [turn.reason for turn in given] == ["gap"]


def test_without_a_track_the_timeline_goes_on_with_the_clock() -> None:
    scene = Scene().started().say("user", 600, "One", "", "", "", "", " two.")

    [(_, turn)] = collected(scene.updates())

    assert (turn.text, turn.reason) == ("One two.", "gap")


def test_what_the_timeline_stood_between_is_a_turn_that_continues() -> None:
    scene = Scene().started().track(1700, 3000).say("user", 600, "Please", " call")
    scene.shift = 4000
    scene.say("user", 1000, " my", " brother.").track(7000, 12000)

    first, second = turns_of(scene)

    assert (first.text, first.reason, first.continues) == ("Please call", "stood_still", False)
    assert (second.text, second.reason, second.continues) == ("my brother.", "gap", True)


def test_what_the_user_says_after_the_timeline_stood_is_a_turn_of_its_own() -> None:
    turns = turns_of(time_stands_between()[0])

    assert [turn.reason for turn in turns] == ["gap", "gap", "gap", "gap"]


def test_the_length_of_the_silence_can_be_chosen() -> None:
    scene = Scene().started().track(1700, 9000).say("user", 600, "One", "", "", " two")

    assert texts(turns_of(scene, LiveTurnCollector(400))) == [("user", "One"), ("user", "two")]
    assert texts(turns_of(scene, LiveTurnCollector(500))) == [("user", "One two")]


def test_words_that_come_late_stand_where_they_were_said() -> None:
    scene = Scene().started().track(1700, 9000).say("user", 600, "Not", "", " now", ".")
    scene.fragment("user", 800, " just", lag=1600)

    [turn] = turns_of(scene)

    assert turn.text == "Not just now."


def test_words_that_join_two_turns_make_them_one() -> None:
    scene = Scene().started().track(1700, 9000).fragment("user", 600, "Up").fragment("user", 2400, " down")
    scene.fragment("user", 1600, " and", lag=1100)

    [turn] = turns_of(scene)

    assert turn.text == "Up and down"


def test_words_that_come_too_late_are_a_turn_that_says_so() -> None:
    scene = Scene().started().track(1700, 12000).say("user", 600, "Not", "", " now.")
    scene.fragment("user", 800, " just", lag=5000)

    turns = turns_of(scene)

    assert texts(turns) == [("user", "Not now."), ("user", "just")]
    assert [turn.continues for turn in turns] == [False, True]


def test_words_that_come_too_late_together_are_one_turn() -> None:
    scene = Scene().started().track(1700, 12000).say("user", 600, "Not", "", "", " now.")
    scene.fragment("user", 800, " just", lag=5000).fragment("user", 1000, " right", lag=5100)

    assert texts(turns_of(scene)) == [("user", "Not now."), ("user", "just right")]


def test_late_words_set_no_clock_back() -> None:
    scene = Scene().started().track(1700, 12000).say("user", 4600, "Good", " day.")
    scene.fragment("assistant", 600, "Hm.", lag=5600)

    given = {turn.speaker: at for at, turn in collected(scene.updates())}

    assert given["user"] == pytest.approx(BEGIN_MS + 5000 + LAG_MS + 2000, abs=0.1)


def test_words_far_ahead_give_out_what_is_over_at_once() -> None:
    """Nobody has to ask what is due: a recording is read by its updates alone."""
    collector = LiveTurnCollector()
    given: list[LiveTurn] = []
    for at, one in Scene().started().say("user", 600, "One.").fragment("user", 6000, "Two.", lag=-4000).updates():
        given += collector.apply(one, at / 1000)

    assert [turn.text for turn in given] == ["One."]


def test_the_first_update_after_time_has_stood_gives_out_what_was_open() -> None:
    scene = Scene().started().track(1700, 3000).say("user", 600, "Please", " call")
    scene.shift = 4000
    collector = LiveTurnCollector()
    given: list[LiveTurn] = []
    for at, one in scene.say("user", 1000, " my", " brother.").updates():
        given += collector.apply(one, at / 1000)

    assert [(turn.text, turn.reason) for turn in given] == [("Please call", "stood_still")]


def test_time_in_which_the_timeline_stood_does_not_count() -> None:
    scene = Scene().started().track(1700, 3000).say("user", 600, "Hello.")
    scene.shift = 5000
    scene.track(8000, 16000).say("user", 3000, "Well", "", "", "", "", "", " then.")

    assert texts(turns_of(scene)) == [("user", "Hello."), ("user", "Well then.")]


def test_a_longer_speech_keeps_no_earlier_turn_waiting() -> None:
    scene = Scene().started().track(1700, 20000).say("user", 600, "First.")
    scene.say("user", 2400, *[" and"] * 40)

    given = collected(scene.updates())

    assert given[0][1].text == "First."
    assert given[0][0] < BEGIN_MS + 5000


def test_what_is_told_again_changes_nothing() -> None:
    scene, said = delegated_question()
    again = [each for each in scene.updates() for _ in range(2)]

    turns = [turn for _, turn in collected(again)]

    assert texts(turns) == said


def test_another_session_begins_another_timeline() -> None:
    scene = Scene().started(session_id="live_1").track(1700, 3000).say("user", 600, "My", " name", " is")
    scene.shift = 2500
    scene.started(3400, session_id="live_2").track(4200, 9000).say("user", 600, " Ann.")

    turns = turns_of(scene)

    assert texts(turns) == [("user", "My name is"), ("user", "Ann.")]
    assert [(turn.reason, turn.timeline, turn.continues) for turn in turns] == [("reset", 1, False), ("gap", 2, False)]


def test_the_same_session_attached_once_more_is_the_same_timeline() -> None:
    scene = Scene().started().track(1700, 9000).say("user", 600, "My", " name", " is", " Ann.").started(2600)

    assert texts(turns_of(scene)) == [("user", "My name is Ann.")]


def test_a_session_that_was_reconnected_begins_one_other_timeline_which_names_its_messages_anew() -> None:
    collector = LiveTurnCollector()
    first = Scene().started(session_id="live_1").say("user", 600, "Before.")
    second = Scene().started(session_id="live_2").say("user", 800, "After.")  # with the same event ids
    reconnected = SessionReconnectedUpdate(reason=ConnectionClosedError("lost"), arrived_at=4.0)
    came = [*first.updates(), (4000.0, reconnected), *((at + 4000, one) for at, one in second.updates())]

    turns = [turn for _, turn in collected(came, collector)]

    assert texts(turns) == [("user", "Before."), ("user", "After.")]
    assert [(turn.reason, turn.timeline) for turn in turns] == [("reset", 1), ("gap", 2)]


def test_names_of_messages_are_not_remembered_for_ever() -> None:
    reader = FragmentReader()
    for _, one in Scene().say("user", 600, *[" la"] * 3000).updates():
        assert reader.read(one, 0.0) is not None

    assert len(reader._seen) == 1024


def test_a_start_far_back_begins_another_timeline() -> None:
    scene = Scene().started().track(1700, 40000).say("user", 30000, "Late.")
    scene.shift = 31000
    scene.say("user", 600, "Early.")

    turns = turns_of(scene)

    assert [(turn.text, turn.timeline) for turn in turns] == [("Late.", 1), ("Early.", 2)]


def test_the_end_of_the_session_gives_out_what_is_open() -> None:
    scene = Scene().started().track(1700, 2000).say("user", 600, "Bye").closed(2500)

    [(at, turn)] = collected(scene.updates())

    assert (at, turn.reason) == (2500, "closed")


def test_the_end_of_the_connection_gives_out_what_is_open() -> None:
    collector = LiveTurnCollector()
    for at, one in Scene().started().say("user", 600, "Bye").updates():
        collector.apply(one, at / 1000)

    assert [(turn.text, turn.reason) for turn in collector.rest()] == [("Bye", "closed")]
    assert collector.rest() == []


def test_silence_alone_is_no_turn() -> None:
    assert turns_of(Scene().started().track(1700, 9000).say("assistant", 600, " ")) == []


@pytest.mark.parametrize(
    ("pieces", "text"),
    [
        (("Put", " that", " up.", "It's", " mine."), "Put that up. It's mine."),  # a sentence begins a segment
        (("in", "credible"), "incredible"),  # part of a word
        (("the", "", "", "", "end"), "the end"),  # a pause
        (("what", "", "", "", "?"), "what?"),
        (("version", " 3.", "5"), "version 3.5"),
        (("你好", "", "", "", "吗"), "你好吗"),
        (("about", " 14", "°C"), "about 14°C"),
        (("he", " said", "", "", "", "(softly)"), "he said (softly)"),
    ],
)
def test_a_space_is_added_where_a_segment_lacks_it(pieces: tuple[str, ...], text: str) -> None:
    scene = Scene().started().track(1700, 9000).say("user", 600, *pieces)

    assert [turn.text for turn in turns_of(scene)] == [text]


def test_a_space_is_added_where_the_other_side_begins_to_speak() -> None:
    scene = Scene().started().track(1700, 9000).say("user", 600, "Answer", " me", "with", " one", " word")
    scene.say("assistant", 1000, "Yes")

    assert texts(turns_of(scene))[1] == ("user", "Answer me with one word")


def test_halves_of_a_character_are_put_together() -> None:
    scene = Scene().started().track(1700, 9000).say("user", 600, "Ha \ud83d", "\ude00")

    assert [turn.text for turn in turns_of(scene)] == ["Ha 😀"]


# Sound ----------------------------------------------------------------------------------------------------------------


def test_a_turn_of_the_model_has_its_sound() -> None:
    scene = Scene().started(rate=16000).track(1000, 3000).track(3100, 4000, sample=7).track(4100, 9000)
    scene.say("assistant", 1600, "Yes", ",", " of", " course.", lag=400)  # told from 3,200 to 3,800 ms

    [turn] = turns_of(scene, LiveTurnCollector(keep_audio=True))

    assert turn.audio is not None
    assert turn.audio_format is not None
    samples = memoryview(turn.audio).cast("h").tolist()
    assert samples.count(7) == 10 * 2400  # all of it
    assert len(samples) <= 16 * 2400  # and little of the silence
    assert turn.audio_format.rate == 16000
    file = io.BytesIO()
    turn.save_audio(file)
    file.seek(0)
    with wave.open(file) as wav:
        assert (wav.getframerate(), wav.getnframes()) == (16000, len(samples))


def test_a_turn_that_is_cut_off_at_once_has_none_of_the_silence_before() -> None:
    scene = Scene().started().track(1000, 3000).fragment("assistant", 1200, "Yes.", lag=600).closed(3010)

    [turn] = turns_of(scene, LiveTurnCollector(keep_audio=True))

    assert len(turn.audio or b"") == 3 * 4800


def test_the_users_turns_have_no_sound_and_say_why() -> None:
    scene = Scene().started().track(1700, 9000).say("user", 600, "Hello.")

    [turn] = turns_of(scene, LiveTurnCollector(keep_audio=True))

    assert turn.audio is None
    with pytest.raises(InvalidInputError, match="What was sent is in a recording"):
        turn.save_audio(io.BytesIO())


def test_sound_is_kept_only_if_it_is_wanted() -> None:
    scene = Scene().started().track(1700, 9000, sample=7).say("assistant", 600, "Hello.")

    [turn] = turns_of(scene)

    assert turn.audio is None
    with pytest.raises(InvalidInputError, match="it was not kept"):
        turn.save_audio(io.BytesIO())


def test_an_hour_of_silence_is_not_kept() -> None:
    collector = LiveTurnCollector(keep_audio=True)
    for at, one in Scene().started().track(1000, 61_000).updates():
        collector.apply(one, at / 1000)

    assert collector._track is not None
    assert collector._track.size <= 12 * 6400


def test_a_turn_that_is_too_large_goes_on_in_another_and_nothing_is_lost() -> None:
    scene = Scene().started().track(1700, 30_000, sample=7).say("assistant", 600, *[" la"] * 100)

    turns = turns_of(scene, LiveTurnCollector(keep_audio=True, most_bytes=300_000))

    assert len(turns) > 3
    assert " ".join(turn.text for turn in turns) == " ".join(["la"] * 100)
    assert {turn.reason for turn in turns[:-1]} == {"full"}
    assert [turn.continues for turn in turns] == [False] + [True] * (len(turns) - 1)
    assert all(len(turn.audio or b"") < 300_000 for turn in turns)


# Anything may come ----------------------------------------------------------------------------------------------------

FRAGMENTS = st.lists(
    st.tuples(st.sampled_from(["user", "assistant"]), st.integers(0, 100), st.floats(0, 4000)), max_size=40
)


@given(FRAGMENTS)
def test_no_word_is_lost_and_none_comes_twice_whatever_the_order(fragments: list[tuple[str, int, float]]) -> None:
    scene = Scene().started().track(1700, 30_000)
    words = []
    for index, (speaker, place, lag) in enumerate(fragments):
        words.append((speaker, f"w{index}"))
        scene.fragment(speaker, 200.0 * place, f" w{index}", lag=lag)

    turns = turns_of(scene)

    assert sorted((turn.speaker, word) for turn in turns for word in turn.text.split()) == sorted(words)


@given(st.lists(st.integers(0, 30), unique=True), st.randoms(use_true_random=False))
def test_words_that_are_in_time_stand_in_their_order_whatever_the_order_in_which_they_come(
    places: list[int], random: object
) -> None:
    scene = Scene().started()
    for place in places:  # all of it comes within a tenth of a second
        at = 9000 + random.random() * 100  # type: ignore[attr-defined]
        scene.fragment("user", 200.0 * place, f" {place}", lag=at - BEGIN_MS - 200 * place - 200)
    collector = LiveTurnCollector(6001)

    turns = turns_of(scene, collector)

    assert " ".join(turn.text for turn in turns).split() == [str(place) for place in sorted(places)]


NUMBERS = st.sampled_from(["0", "-5", "1e308", "-1e308", "NaN", "Infinity", "null", '"x"', "[]", "100000", "1.5"])


@given(st.lists(st.tuples(st.sampled_from(["input", "output"]), NUMBERS, NUMBERS, st.text(max_size=5)), max_size=20))
def test_no_update_raises_whatever_it_holds(messages: list[tuple[str, str, str, str]]) -> None:
    collector = LiveTurnCollector(keep_audio=True)
    turns: list[LiveTurn] = []
    for at, (side, start, end, text) in enumerate(messages):
        wire = f'"delta": {json.dumps(text)}, "start_ms": {start}, "end_ms": {end}'
        turns += collector.apply(live_decode(f'{{"type": "session.{side}_transcript.delta", {wire}}}'), float(at))
        due = collector.next_due
        assert due is None or due >= 0
    turns += collector.rest()
    assert all(turn.text for turn in turns)

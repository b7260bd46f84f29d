"""A microphone and a speaker elsewhere: what is played, cleared and told of it, in whatever order it comes."""

from __future__ import annotations

import itertools
import threading
from collections import deque
from typing import Any, Callable, Optional

import pytest

from realtime_sync import AudioDeviceError, InvalidInputError, WaitTimeoutError
from realtime_sync.audio import MULAW, PCM
from realtime_sync.voice import Microphone, RemoteMicrophone, RemoteSpeaker, Speaker
from tests.core.harness import Running, until


class Far:
    """The other side: keeps what it is sent, and plays and answers when the test says so."""

    def __init__(self, **options: Any) -> None:
        self.told: list[tuple[Any, ...]] = []
        self.clears: list[int] = []
        self.on_clear: Callable[[int], object] = lambda number: None
        self.speaker = RemoteSpeaker(self, **options)

    def play(self, item_id: str, content_index: int, samples: bytes) -> None:
        self.told.append((item_id, content_index, len(samples)))

    def clear(self, number: int) -> None:
        self.told.append(("clear", number))
        self.clears.append(number)
        self.on_clear(number)

    def heard(self, item_id: str) -> Optional[int]:
        """Samples; at 24,000 Hz, where 24 are a millisecond."""
        played = self.speaker.position.of_item(item_id)
        return None if played is None else played.ms * 24


# --- what was heard


def test_what_was_heard_is_known_to_the_sample() -> None:
    far = Far()
    speaker: Speaker = far.speaker
    speaker.start()
    assert not speaker.playing
    speaker.write("a", 0, bytes(4800))
    assert speaker.playing
    assert speaker.position.current is None
    far.speaker.heard("a", 0, 2376)
    assert far.heard("a") == 2376
    assert speaker.playing
    far.speaker.heard("a", 0, 2400)
    assert far.heard("a") == 2400
    assert not speaker.playing
    speaker.wait(0)
    assert far.told == [("a", 0, 4800)]


def test_telephone_audio_is_counted_in_samples_of_its_own() -> None:
    far = Far(format=MULAW)
    far.speaker.write("a", 0, bytes(800))
    far.speaker.heard("a", 0, 400)
    assert far.speaker.position.current is not None
    assert far.speaker.position.current.ms == 50
    far.speaker.heard("a", 0, 800)
    assert not far.speaker.playing


@pytest.mark.parametrize(
    ("item_id", "content_index", "samples"),
    [
        ("a", 0, 10**12),
        ("a", 0, -1),
        ("a", 0, 0),
        ("a", 0, 2.5),
        ("a", 0, float("nan")),
        ("a", 0, "2400"),
        ("a", 0, None),
        ("a", 1, 2400),
        ("a", None, 2400),
        ("another", 0, 2400),
        (None, None, None),
        (["a"], {}, 2400),
    ],
)
def test_no_more_was_heard_than_was_sent_whatever_is_said(item_id: Any, content_index: Any, samples: Any) -> None:
    far = Far()
    far.speaker.write("a", 0, bytes(4800))
    far.speaker.heard(item_id, content_index, samples, cleared=samples)
    heard = far.heard("a")
    assert heard == (2400 if samples == 10**12 else None)
    assert set(far.speaker.position._samples) <= {("a", 0)}


def test_what_is_repeated_or_comes_late_changes_nothing() -> None:
    far = Far()
    for item_id in ("a", "b"):
        far.speaker.write(item_id, 0, bytes(4800))
    for samples in (1200, 480, 1200):
        far.speaker.heard("a", 0, samples)
        assert far.heard("a") == 1200
    far.speaker.heard("b", 0, 240)
    far.speaker.heard("a", 0, 1800)  # of before
    current = far.speaker.position.current
    assert current is not None
    assert (current.item_id, current.ms) == ("b", 10)


def test_what_is_played_behind_an_item_tells_that_the_item_was_heard() -> None:
    far = Far()
    for part in (("a", 0), ("a", 1), ("b", 0)):
        far.speaker.write(*part, bytes(4800))
    far.speaker.heard("b", 0, 24)
    position = far.speaker.position
    assert [position.of_item("a", 0).ms, position.of_item("a", 1).ms, position.of_item("b").ms] == [100, 100, 1]  # type: ignore[union-attr]


def test_two_answers_that_are_sent_in_turns_are_counted_each() -> None:
    far = Far()
    for item_id in ("a", "b", "a", "b"):
        far.speaker.write(item_id, 0, bytes(4800))
    far.speaker.heard("a", 0, 2400)
    assert (far.heard("a"), far.heard("b")) == (2400, None)
    far.speaker.heard("a", 0, 2400)  # repeated: the second piece of it has not begun
    assert far.heard("b") is None
    far.speaker.heard("a", 0, 2424)
    assert (far.heard("a"), far.heard("b")) == (2424, 2400)
    far.speaker.heard("b", 0, 4800)
    assert (far.heard("a"), far.heard("b")) == (4800, 4800)
    assert not far.speaker.playing
    for item_id in ("c", "d", "c"):
        far.speaker.write(item_id, 0, bytes(4800))
    far.speaker.heard("c", 0, 2424)  # of the second piece, and nothing was said of what is before it
    assert (far.heard("c"), far.heard("d")) == (2424, 2400)


def test_an_item_that_goes_on_for_hours_is_counted_on() -> None:
    far = Far()
    for count in range(1, 1001):
        far.speaker.write("track", 0, bytes(4800))
        if count % 3:
            far.speaker.heard("track", 0, count * 2400)
    assert far.heard("track") == 2_400_000
    assert len(far.speaker._sound._stretches) == 0


# --- clear


def test_what_is_told_until_a_clear_is_answered_counts_and_what_comes_behind_it_does_not() -> None:
    far = Far()
    far.speaker.write("a", 0, bytes(48_000))
    far.speaker.heard("a", 0, 2400)

    def answer(number: int) -> None:
        far.speaker.heard("a", 0, 4800)  # was on its way
        assert far.heard("a") == 4800
        far.speaker.heard("a", 0, 6000, cleared=number)
        far.speaker.heard("a", 0, 7200)

    far.on_clear = answer
    played = far.speaker.stop()
    assert played is not None
    assert (played.item_id, played.ms) == ("a", 250)
    assert not far.speaker.playing
    far.speaker.wait(0)


def test_the_rest_of_what_was_cleared_is_not_sent_and_the_next_answer_is() -> None:
    far = Far()
    far.on_clear = lambda number: far.speaker.heard(None, None, None, cleared=number)
    for item_id in ("a", "b"):
        far.speaker.write(item_id, 0, bytes(4800))
    far.speaker.heard("a", 0, 2400)
    far.speaker.stop()
    for item_id in ("a", "b", "c"):
        far.speaker.write(item_id, 0, bytes(4800))
    assert far.told == [("a", 0, 4800), ("b", 0, 4800), ("clear", 1), ("c", 0, 4800)]
    assert (far.heard("a"), far.heard("b")) == (2400, None)  # a was heard, and nothing of b
    far.speaker.heard("c", 0, 24)
    assert (far.heard("a"), far.heard("b"), far.heard("c")) == (2400, None, 24)


def test_an_item_that_was_played_so_far_is_dropped_too() -> None:
    far = Far()
    far.speaker.write("a", 0, bytes(4800))
    far.speaker.heard("a", 0, 2400)
    far.speaker.stop()  # waits for nothing: what was heard is known
    far.speaker.write("a", 0, bytes(4800))
    assert far.told == [("a", 0, 4800), ("clear", 1)]


def test_a_clear_that_is_never_answered_is_waited_for_so_long_and_what_was_known_counts(
    caplog: pytest.LogCaptureFixture,
) -> None:
    far = Far(clear_seconds=0.05)
    far.speaker.write("a", 0, bytes(48_000))
    far.speaker.heard("a", 0, 2400)
    played = far.speaker.stop()
    assert played is not None
    assert played.ms == 100
    assert "has not told within 0.05 s" in caplog.text
    far.speaker.heard("a", 0, 24_000, cleared=1)  # too late: the conversation was shortened meanwhile
    assert far.heard("a") == 2400


def test_a_word_on_what_follows_a_clear_tells_that_it_was_done() -> None:
    far = Far()
    far.speaker.write("a", 0, bytes(4800))
    stopping = Running(far.speaker.stop)
    until(lambda: far.clears)
    far.speaker.write("b", 0, bytes(4800))
    assert stopping.alive
    far.speaker.heard("b", 0, 24)
    assert stopping.result() is not None
    assert (far.heard("a"), far.heard("b")) == (None, 24)


def test_several_threads_may_stop_it_at_once() -> None:
    far = Far(clear_seconds=20)
    far.speaker.write("a", 0, bytes(48_000))
    stopping = [Running(far.speaker.stop) for _ in range(5)]
    until(lambda: len(far.clears) == 5)
    assert far.clears == [1, 2, 3, 4, 5]
    far.speaker.heard("a", 0, 2400, cleared=1)
    assert [thread.result().ms for thread in stopping] == [100] * 5


def test_a_number_that_no_clear_had_answers_none_of_the_future() -> None:
    far = Far(clear_seconds=0.05)
    far.speaker.heard("a", 0, 0, cleared=1000)
    far.speaker.write("a", 0, bytes(4800))
    far.speaker.heard("a", 0, 24, cleared=1000)
    assert far.speaker.playing


def test_close_clears_what_is_left_and_waits_for_nobody() -> None:
    far = Far(clear_seconds=1000)
    far.speaker.close()
    far.speaker.write("a", 0, bytes(4800))
    far.speaker.close()
    far.speaker.close()
    assert far.told == [("a", 0, 4800), ("clear", 1)]


# --- order, and players that wait


class Slow(Far):
    """A player that holds the thread that calls it, until it is told to go on."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.calls = 0
        self.within = threading.Event()
        self.go_on = threading.Event()

    def play(self, item_id: str, content_index: int, samples: bytes) -> None:
        self.calls += 1
        assert self.calls == 1, "two at once"
        self.within.set()
        assert self.go_on.wait(20)
        super().play(item_id, content_index, samples)
        self.calls -= 1


def test_nothing_is_played_behind_the_clear_that_ends_it_and_stop_waits_for_no_player() -> None:
    far = Slow(clear_seconds=0.05)
    writing = Running(lambda: far.speaker.write("a", 0, bytes(4800)))
    assert far.within.wait(20)
    assert far.speaker.stop() is None  # though the player hangs
    far.speaker.write("a", 0, bytes(4800))
    far.speaker.write("b", 0, bytes(2400))
    assert far.told == []
    far.go_on.set()
    writing.result()
    assert far.told == [("a", 0, 4800), ("clear", 1), ("b", 0, 2400)]


def test_many_threads_that_write_stop_and_tell_leave_one_order() -> None:
    far = Far(clear_seconds=20)
    answers: deque[int] = deque()
    far.on_clear = answers.append
    over = threading.Event()

    def answer() -> None:
        while not over.is_set() or answers:
            if answers:
                far.speaker.heard(None, None, None, cleared=answers.popleft())

    def write(name: str) -> None:
        for number in range(300):
            far.speaker.write(f"{name} {number}", 0, bytes(48))

    def stop() -> None:
        for _ in range(30):
            far.speaker.stop()

    answering = Running(answer)
    threads = [Running(lambda name=name: write(name)) for name in "ab"] + [Running(stop) for _ in range(2)]  # type: ignore[misc]
    for thread in threads:
        thread.result(60)
    over.set()
    answering.result()
    assert [told[1] for told in far.told if told[0] == "clear"] == list(range(1, 61))
    for name in "ab":
        numbers = [int(told[0].split()[1]) for told in far.told if told[0].startswith(name)]
        assert numbers == list(range(300))


def test_what_is_asked_of_the_player_while_another_thread_is_about_to_leave_it_is_not_forgotten() -> None:
    class Late(RemoteSpeaker):
        def _next_call(self) -> Optional[Callable[[], object]]:
            call = super()._next_call()
            if call is None and not far.told[1:]:
                self.write("late", 0, bytes(48))  # as by another thread: this one's turn is not over
            return call

    far = Far()
    far.speaker = Late(far)
    far.speaker.write("a", 0, bytes(48))
    assert [told[0] for told in far.told] == ["a", "late"]


# --- the other side goes away


def test_a_player_whose_socket_has_died_is_a_device_that_went_away() -> None:
    far = Far(name="the browser")

    def play(*told: object) -> None:
        raise BrokenPipeError("[Errno 32] Broken pipe")

    far.play = play  # type: ignore[method-assign]
    with pytest.raises(AudioDeviceError, match=r"'the browser' has gone.*Broken pipe") as caught:
        far.speaker.write("a", 0, bytes(4800))
    assert isinstance(caught.value.__cause__, BrokenPipeError)
    assert not far.speaker.playing
    assert far.speaker.stop() is None
    far.speaker.close()
    for call in (far.speaker.start, far.speaker.wait, lambda: far.speaker.write("b", 0, b"ab")):
        with pytest.raises(AudioDeviceError):
            call()


def test_a_clear_that_cannot_be_sent_is_no_error_of_stop() -> None:
    far = Far(clear_seconds=1000)
    far.speaker.write("a", 0, bytes(4800))
    far.speaker.heard("a", 0, 24)
    far.on_clear = lambda number: (_ for _ in ()).throw(OSError("gone"))
    played = far.speaker.stop()
    assert played is not None
    assert played.ms == 1


@pytest.mark.parametrize("waiting", ["stop", "wait"])
def test_the_end_wakes_whoever_waits(waiting: str) -> None:
    far = Far(clear_seconds=1000)
    far.speaker.write("a", 0, bytes(4800))
    far.speaker.heard("a", 0, 24)
    thread = Running(getattr(far.speaker, waiting))
    until(lambda: far.speaker._changed._waiting)
    far.speaker.end()
    far.speaker.end()
    problem = thread.join()
    assert isinstance(problem, AudioDeviceError) if waiting == "wait" else problem is None
    far.speaker.heard("a", 0, 2400)
    assert far.heard("a") == 24


def test_nothing_is_asked_of_a_player_behind_the_end() -> None:
    far = Slow()
    writing = Running(lambda: far.speaker.write("a", 0, bytes(4800)))
    assert far.within.wait(20)
    far.speaker.write("b", 0, bytes(4800))
    far.speaker.end()
    far.go_on.set()
    assert isinstance(writing.join(), AudioDeviceError)
    assert far.told == [("a", 0, 4800)]


def test_waiting_has_an_end() -> None:
    far = Far()
    far.speaker.write("a", 0, bytes(4800))
    with pytest.raises(WaitTimeoutError, match=r"not told within 0\.01 s"):
        far.speaker.wait(0.01)


# --- the microphone


def test_a_microphone_gives_what_it_hears_to_its_end() -> None:
    microphone = RemoteMicrophone()
    known: Microphone = microphone
    microphone.hear(b"before it was started")
    known.start()
    known.start()
    microphone.hear(bytearray(b"ab"))
    microphone.hear(b"")
    microphone.end()
    microphone.end()
    microphone.hear(b"behind the end")
    assert list(known) == [b"before it was started", b"ab"]
    known.stop()
    known.start()
    assert list(known) == []


def test_a_microphone_that_is_stopped_forgets_what_waits_and_can_be_started_again() -> None:
    microphone = RemoteMicrophone()
    microphone.hear(b"ab")
    microphone.stop()
    microphone.hear(b"cd")
    assert list(microphone) == []
    microphone.start()
    microphone.hear(b"ef")
    pieces = iter(microphone)
    assert next(pieces) == b"ef"
    taking = Running(lambda: list(pieces))
    assert taking.alive
    microphone.stop()
    assert taking.result() == []


def test_only_so_much_sound_waits_to_be_taken() -> None:
    microphone = RemoteMicrophone(keep_seconds=0.1)
    pieces = itertools.islice(microphone, 2)
    for _ in range(3):
        microphone.hear(bytes(PCM.bytes_for(0.05)))
        microphone.hear(bytes(PCM.bytes_for(0.05)))
        with pytest.raises(WaitTimeoutError, match=r"0\.1 s of sound from 'remote' wait"):
            microphone.hear(b"ab")
        assert len(list(pieces)) == 2
        pieces = itertools.islice(microphone, 2)


@pytest.mark.parametrize("how", ["end", "stop"])
def test_the_end_is_told_to_all_who_iterate_and_again(how: str) -> None:
    microphone = RemoteMicrophone()
    listening = [Running(lambda: list(microphone)) for _ in range(2)]
    getattr(microphone, how)()
    assert [each.result() for each in listening] == [[], []]
    assert list(microphone) == []


@pytest.mark.parametrize("how", ["end", "stop"])
def test_what_comes_too_late_is_not_kept(how: str) -> None:
    microphone = RemoteMicrophone(keep_seconds=0.1)
    getattr(microphone, how)()
    for _ in range(10):
        microphone.hear(bytes(PCM.bytes_for(0.05)))


def test_what_is_no_sound_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="samples must be bytes, not str"):
        RemoteMicrophone().hear("sound")  # type: ignore[arg-type]

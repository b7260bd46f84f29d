"""Spoken conversations with the embedded server, on devices that are files: faster than speech, and to the sample."""

from __future__ import annotations

import io
import signal
import subprocess
import sys
import threading
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable, Optional

import numpy as np
import numpy.typing as npt
import pytest

from realtime_sync import (
    AudioDeviceError,
    AudioFormatError,
    ConnectionLostError,
    ConversationSessionOptions,
    InputAudioBufferClearedUpdate,
    InputAudioBufferSpeechStartedUpdate,
    InvalidInputError,
    TurnDetectionOptions,
    UsageError,
)
from realtime_sync.audio import MULAW, g711
from realtime_sync.server import FunctionCall, Reply, Turn, faults
from realtime_sync.server.voice import speak
from realtime_sync.tools import function_tool
from realtime_sync.voice import (
    FileMicrophone,
    FileSpeaker,
    HalfDuplex,
    SoundDeviceMicrophone,
    SoundDeviceSpeaker,
)
from realtime_sync.voice import talk as talking_room
from realtime_sync.voice.talk import talk as talk_with_audio
from tests.core.answers import errors, received, sent_audio
from tests.core.harness import House, Running, until, within
from tests.devices.fake_sounddevice import FakeSoundDevice

pytestmark = pytest.mark.medium

QUESTION = speak("hello there")
# So much faster than speech; slow enough that a busy machine keeps up.
PACE = 4.0
BLOCK_MS = 20


def talk(session: Any, *devices: Any, **options: Any) -> None:
    talk_with_audio(session, session._audio, *devices, **options)


def vad(**options: Any) -> ConversationSessionOptions:
    detection = TurnDetectionOptions.server_vad(silence_duration_ms=200, prefix_padding_ms=0)
    return ConversationSessionOptions(turn_detection_options=detection, **options)


def loud(seconds: float) -> bytes:
    """Sound without a sample of silence, so that what was played of it can be counted."""
    return b"\x00\x20" * round(24_000 * seconds)


def heard(file: io.BytesIO) -> npt.NDArray[np.int16]:
    """The samples that a speaker sounded, without silence."""
    with wave.open(io.BytesIO(file.getvalue())) as wav:
        samples = np.frombuffer(wav.readframes(10**9), "<i2")
    return samples[samples != 0]


def microphone(*sources: Any, **options: Any) -> FileMicrophone:
    return FileMicrophone(*sources, **{"pace": PACE, "pause_ms": 600, **options})


def answers(live: Any) -> list[str]:
    """The ids of the responses that the server finished."""
    return [event["response"]["id"] for event in live.sent if event["type"] == "response.done"]


# --- a conversation


def test_a_question_is_heard_and_its_answer_played_to_the_last_sample(plain: House) -> None:
    plain.serve(responder=lambda turn: Reply("Good morning to you."))
    session = plain.open(start={"options": vad()})
    file, updates = io.BytesIO(), []
    talk(session, microphone(QUESTION, endless=False), FileSpeaker(file, pace=PACE), on_update=updates.append)
    (response_id,) = answers(plain.live)
    said = np.frombuffer(sent_audio(plain.live, response_id), "<i2")
    assert np.array_equal(heard(file), said[said != 0])
    assert sum(isinstance(update, InputAudioBufferSpeechStartedUpdate) for update in updates) == 1
    assert errors(plain.live) == []
    assert not session.closed


def test_several_questions_are_answered_one_after_the_other(plain: House) -> None:
    plain.serve(responder=lambda turn: Reply("Yes."))
    session = plain.open(start={"options": vad()})
    source, speaker = microphone(QUESTION), FileSpeaker(pace=PACE)
    stop = threading.Event()
    talking = Running(lambda: talk(session, source, speaker, stop=stop))
    for count in (1, 2, 3):
        until(lambda: played_out(plain, session, speaker) == count, 20, f"answer {count} was not played")  # noqa: B023
        source.say(QUESTION)
    stop.set()
    talking.result()


def played_out(house: House, session: Any, speaker: FileSpeaker) -> int:
    """How many answers the server finished, if they were played to the end."""
    done = answers(house.live)
    responses = {response.id: response.output for response in session.conversation.responses}
    for response_id in done:
        items = responses.get(response_id)
        position = speaker.position.of_item(items[0].id) if items else None
        if position is None or position.ms * 48 < len(sent_audio(house.live, response_id)) - 48:
            return 0
    return len(done)


def test_telephone_audio_goes_both_ways(plain: House) -> None:
    plain.serve(responder=lambda turn: Reply("Good morning."))
    options = vad(input_audio_format="g711_ulaw", output_audio_format="g711_ulaw")
    session = plain.open(start={"options": options})
    file = io.BytesIO()
    source = microphone(speak_at_8000("hello there"), format=MULAW, endless=False)
    talk(session, source, FileSpeaker(file, format=MULAW, pace=PACE))
    (response_id,) = answers(plain.live)
    said = np.frombuffer(g711.decode(sent_audio(plain.live, response_id), "audio/pcmu"), "<i2")
    assert np.array_equal(heard(file), said[said != 0])


def speak_at_8000(text: str) -> bytes:
    every_third = np.frombuffer(speak(text), "<i2")[::3]
    return g711.encode(every_third.tobytes(), "audio/pcmu")


def test_who_hangs_up_in_the_middle_of_a_word_is_not_waited_for(plain: House) -> None:
    plain.serve()
    session = plain.open(start={"options": vad()})
    with within(5):  # and not for as long as it may linger
        talk(session, microphone(QUESTION, endless=False, pause_ms=0), FileSpeaker(pace=PACE))
    assert answers(plain.live) == []


def test_an_answer_that_takes_longer_than_lingering_is_played_to_its_end(
    plain: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(talking_room, "_END_SECONDS", 0.5)
    plain.serve(responder=lambda turn: Reply("Well, " * 20, audio=loud(11)))
    session = plain.open(start={"options": vad()})
    speaker = FileSpeaker(pace=PACE)
    talk(session, microphone(QUESTION, endless=False), speaker, linger=2)
    current = speaker.position.current
    assert current is not None
    assert current.ms == 11_000


def test_the_answer_to_a_tools_result_is_awaited_when_the_microphone_has_ended(plain: House) -> None:
    at_end, over = threading.Event(), threading.Event()

    @function_tool
    def clock() -> str:
        """Tells the time, so late that the conversation would be over if nobody waited."""
        assert at_end.wait(20)
        over.wait(0.4)
        return "noon"

    def answer(turn: Turn) -> Reply:
        assert turn.last is not None
        done = turn.last["type"] == "function_call_output"
        return Reply("It is noon.") if done else Reply(function_calls=[FunctionCall("clock")])

    def see(update: object) -> None:
        if isinstance(update, InputAudioBufferClearedUpdate):
            at_end.set()

    plain.serve(responder=answer)
    session = plain.open(start={"options": vad()})
    tools = Running(lambda: session.run_tools([clock]))
    file = io.BytesIO()
    talk(session, microphone(QUESTION, endless=False), FileSpeaker(file, pace=PACE), on_update=see)
    over.set()
    _, spoken = answers(plain.live)
    said = np.frombuffer(sent_audio(plain.live, spoken), "<i2")
    assert np.array_equal(heard(file), said[said != 0])
    session.close()
    tools.join()


# --- interruption


class Talkative:
    """Says so much at first, and yes to what comes then."""

    def __init__(self, seconds: float) -> None:
        self.replies = [Reply("Well, " * 20, audio=loud(seconds))]

    def __call__(self, turn: Turn) -> Iterator[Reply]:
        if not self.replies:
            yield Reply("Yes?", audio=speak("yes"))
            return
        yield self.replies.pop()
        turn.cancelled.wait(30)  # goes on until it is interrupted


@pytest.mark.parametrize("by_service", [True, False])
def test_an_interrupted_answer_is_shortened_to_the_samples_that_were_played(plain: House, by_service: bool) -> None:
    plain.serve(responder=Talkative(120))
    options = vad()
    assert isinstance(options.turn_detection_options, TurnDetectionOptions)
    options.turn_detection_options.interrupt_response = by_service
    session = plain.open(start={"options": options})
    file, told = io.BytesIO(), []
    source, speaker, stop = microphone(QUESTION), FileSpeaker(file, pace=PACE, block_ms=BLOCK_MS), threading.Event()
    talking = Running(lambda: talk(session, source, speaker, stop=stop, on_interruption=told.append))
    until(lambda: (current := speaker.position.current) and current.ms >= 300, 20, "the answer was not played")
    source.say(speech_until(lambda: any(each.truncated for each in told)))
    until(lambda: any(each.truncated for each in told), 20, "no answer was shortened")
    until(lambda: len(answers(plain.live)) == 2, 20, "what was said meanwhile was not answered")
    stop.set()
    talking.result()
    (interruption,) = (each for each in told if each.truncated)
    played_ms = np.count_nonzero(heard(file) == 0x2000) / 24
    item = plain.live.conversation.get(interruption.item_id)
    assert item is not None
    assert item.audio_ms() == interruption.audio_end_ms
    assert abs(item.audio_ms() - played_ms) <= BLOCK_MS
    assert 300 <= played_ms < 120_000
    position = speaker.position.of_item(interruption.item_id)
    assert position is not None
    assert position.ms == interruption.audio_end_ms == session.conversation.heard_ms(interruption.item_id)
    assert [error for error in errors(plain.live) if error != "response_cancel_not_active"] == []


def speech_until(condition: Callable[[], bool]) -> Iterator[bytes]:
    """Speech that goes on until then: a turn that ends while the answer is still being made is not answered."""
    yield QUESTION
    while not condition():
        yield loud(0.02)


class SlowSpeaker(FileSpeaker):
    """Falls silent only when the server has said all of the next answer."""

    def __init__(self, house: House, file: io.BytesIO) -> None:
        super().__init__(file, pace=PACE)
        self._house = house

    def stop(self) -> Any:
        self._house.live.wait_for_sent("response.output_audio.done", 10)
        return super().stop()


def test_a_speaker_that_is_slow_to_fall_silent_loses_nothing_of_the_next_answer(plain: House) -> None:
    plain.serve(responder=lambda turn: Reply("Good morning to you."))
    session = plain.open(start={"options": vad()})
    file = io.BytesIO()
    talk(session, microphone(QUESTION, endless=False), SlowSpeaker(plain, file))
    (response_id,) = answers(plain.live)
    said = np.frombuffer(sent_audio(plain.live, response_id), "<i2")
    assert np.array_equal(heard(file), said[said != 0])


def test_a_half_duplex_microphone_does_not_let_the_model_interrupt_itself(plain: House) -> None:
    plain.serve(responder=lambda turn: Reply("Hm.", audio=loud(8)))
    session = plain.open(start={"options": vad()})
    source, speaker = microphone(QUESTION), FileSpeaker(pace=PACE)
    stop, told = threading.Event(), []
    talking = Running(
        lambda: talk(session, HalfDuplex(source, speaker), speaker, stop=stop, on_interruption=told.append)
    )
    until(lambda: speaker.playing, 20)
    source.say(loud(1))  # the model's own voice, in the room
    until(lambda: played_out(plain, session, speaker) == 1, 20)
    stop.set()
    talking.result()
    assert [each.item_id for each in told] == [None]  # the question, when nothing was being said
    (answer,) = session.conversation.responses
    assert answer.status == "completed"
    current = speaker.position.current
    assert current is not None
    assert current.ms == 8000


# --- its end


class Told:
    """A microphone or speaker that tells what was done to it."""

    def __init__(self, device: Any) -> None:
        self._device = device
        self.ended = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._device, name)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._device)

    def stop(self) -> Any:
        self.ended = self.ended or isinstance(self._device, (FileMicrophone, SoundDeviceMicrophone))
        return self._device.stop()

    def close(self) -> None:
        self.ended = True
        self._device.close()


class Talking:
    """A conversation in the background with an endless microphone."""

    def __init__(self, session: Any, source: Any = None, speaker: Any = None, **options: Any) -> None:
        self.microphone = Told(source or microphone())
        self.speaker = Told(speaker or FileSpeaker(pace=PACE))
        self.stop = threading.Event()
        self.call = Running(lambda: talk(session, self.microphone, self.speaker, stop=self.stop, **options))

    def result(self) -> Optional[BaseException]:
        error = self.call.join()
        assert self.microphone.ended
        assert self.speaker.ended
        return error


def under_way(house: House) -> None:
    until(lambda: house.server.sessions and received(house.live, "input_audio_buffer.append"), 20)


def test_it_ends_when_told_to_and_leaves_the_session_open(plain: House) -> None:
    session = plain.open(start={"options": vad()})
    for _ in range(3):
        talking = Talking(session)
        under_way(plain)
        talking.stop.set()
        assert talking.result() is None
    assert not session.closed
    assert session.ask("Still there?").completed
    session.send_audio(bytes(480))  # nobody holds the right to send


def test_told_to_stop_beforehand_it_ends_at_once(plain: House) -> None:
    session = plain.open(start={"options": vad()})
    stop = threading.Event()
    stop.set()
    talk(session, microphone(), FileSpeaker(), stop=stop)


def test_it_ends_with_the_session(plain: House) -> None:
    session = plain.open(start={"options": vad()})
    talking = Talking(session)
    under_way(plain)
    session.close()
    assert talking.result() is None


def test_a_lost_connection_is_raised(plain: House) -> None:
    session = plain.open(start={"options": vad()})
    talking = Talking(session)
    under_way(plain)
    plain.server.inject(faults.drop())
    assert isinstance(talking.result(), ConnectionLostError)


def test_a_microphone_that_goes_away_is_raised_and_the_session_goes_on(plain: House) -> None:
    session, backend = plain.open(start={"options": vad()}), FakeSoundDevice()
    talking = Talking(session, SoundDeviceMicrophone(backend=backend))
    assert backend.opened.wait(10)
    backend.streams[0].feed(bytes(960 * 10))
    backend.streams[0].vanish()
    assert isinstance(talking.result(), AudioDeviceError)
    assert backend.streams[0].calls[-1] == "close"
    assert not session.closed


def test_a_speaker_that_goes_away_is_raised_and_the_session_goes_on(plain: House) -> None:
    plain.serve(responder=lambda turn: Reply("Well."))
    session, backend = plain.open(start={"options": vad()}), FakeSoundDevice()
    source = microphone()
    talking = Talking(session, source, SoundDeviceSpeaker(backend=backend))
    assert backend.opened.wait(10)
    backend.streams[0].vanish()
    source.say(QUESTION)
    assert isinstance(talking.result(), AudioDeviceError)
    assert not session.closed


def test_a_speaker_that_cannot_be_opened_leaves_nothing_open(plain: House) -> None:
    session, backend = plain.open(start={"options": vad()}), FakeSoundDevice()
    backend.refuses = "Device unavailable"
    with pytest.raises(AudioDeviceError, match="Device unavailable"):
        talk(session, microphone(), SoundDeviceSpeaker(backend=backend))
    session.send_audio(bytes(480))


def test_what_a_callback_raises_ends_the_conversation(plain: House) -> None:
    session = plain.open(start={"options": vad()})

    def fail(update: object) -> None:
        raise KeyError("mine")

    talking = Talking(session, microphone(QUESTION), on_update=fail)
    assert isinstance(talking.result(), KeyError)
    assert not session.closed


def test_a_recording_without_an_answer_ends_after_a_while(plain: House) -> None:
    plain.serve(responder=lambda turn: Reply("Never.", delay=60))
    session = plain.open(start={"options": vad()})
    talk(session, microphone(QUESTION, endless=False), FileSpeaker(pace=PACE), linger=0.3)
    assert answers(plain.live) == []


CTRL_C = """
import threading
from realtime_sync import ConversationSessionOptions, OpenAIClient, TurnDetectionOptions
from realtime_sync.voice import FileMicrophone, FileSpeaker
from realtime_sync.server import RealtimeServer
from realtime_sync.server.voice import speak
from realtime_sync.voice.talk import talk

updates = []

def see(update):  # on the thread that talks
    if not updates:
        print("talking", flush=True)
    updates.append(update)

with RealtimeServer() as server:
    client = OpenAIClient("key", endpoint=server.url).get_realtime_conversation_client("m")
    options = ConversationSessionOptions(turn_detection_options=TurnDetectionOptions.server_vad())
    with client, client.start_conversation_session(options) as session:
        talk(session, session._audio, FileMicrophone(speak("hello there")), FileSpeaker(), on_update=see)
        print("still open:", not session.closed)
print("left:", [t.name for t in threading.enumerate() if t.name.startswith("realtime-sync")])
"""


@pytest.mark.skipif(sys.platform == "win32", reason="sends a signal")
def test_ctrl_c_ends_it_as_being_told_to_does() -> None:
    child = subprocess.Popen([sys.executable, "-c", CTRL_C], stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == "talking\n"
        child.send_signal(signal.SIGINT)
        told, _ = child.communicate(timeout=40)
    finally:
        child.kill()
        child.wait(10)
    assert told == "still open: True\nleft: []\n"
    assert child.returncode == 0


# --- what makes no sense


def test_without_turn_detection_nobody_would_ever_answer(plain: House) -> None:
    for off in (None, TurnDetectionOptions.disabled()):
        session = plain.open(start={"options": ConversationSessionOptions(turn_detection_options=off)})
        until(lambda session=session: session.session is not None)  # type: ignore[misc]
        with pytest.raises(UsageError, match=r"server_vad\(\)"):
            talk(session, microphone(), FileSpeaker())


def test_devices_in_another_format_are_refused_before_anything_is_opened(plain: House, tmp_path: Path) -> None:
    session = plain.open(start={"options": vad()})
    path = tmp_path / "heard.wav"
    with pytest.raises(AudioFormatError, match=r"input_audio_format is 16-bit PCM.*format=SampleFormat.of"):
        talk(session, microphone(format=MULAW), FileSpeaker(path))
    with pytest.raises(AudioFormatError, match="output_audio_format"):
        talk(session, microphone(), FileSpeaker(path, format=MULAW))
    with pytest.raises(InvalidInputError, match="linger"):
        talk(session, microphone(), FileSpeaker(path), linger=-1)
    assert not path.exists()
    session.send_audio(bytes(480))

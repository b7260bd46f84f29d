"""Spoken conversations with devices elsewhere: what comes is heard, what is said is played, and told to the sample."""

from __future__ import annotations

import threading
from typing import Any, Optional

import pytest

from realtime_sync import AudioDeviceError, Interruption
from realtime_sync.audio import MULAW, PCM, SampleFormat, g711
from realtime_sync.server import Reply
from realtime_sync.server.voice import speak
from realtime_sync.voice import RemoteMicrophone, RemoteSpeaker
from tests.core.answers import errors, sent_audio
from tests.core.harness import House, Running, until
from tests.voice.test_talk import loud, speak_at_8000, vad

QUESTION = speak("hello there") + bytes(48 * 400)


class Far:
    """Plays at once what it is sent, up to so many samples of each item, and says so."""

    def __init__(self, format: SampleFormat = PCM, most: Optional[int] = None) -> None:
        self.microphone = RemoteMicrophone(format)
        self.speaker = RemoteSpeaker(self, format, clear_seconds=20)
        self.heard: dict[str, bytes] = {}
        self.most = None if most is None else most * format.sample_bytes
        self.told: Optional[tuple[str, int]] = None

    def play(self, item_id: str, content_index: int, samples: bytes) -> None:
        heard = (self.heard.get(item_id, b"") + samples)[: self.most]
        self.heard[item_id] = heard
        self.told = item_id, len(heard) // self.speaker.format.sample_bytes
        self.speaker.heard(item_id, content_index, self.told[1])

    def clear(self, number: int) -> None:
        item_id, samples = self.told or (None, None)
        self.speaker.heard(item_id, 0, samples, cleared=number)


@pytest.mark.parametrize("format", [PCM, MULAW], ids=["pcm", "mulaw"])
def test_a_question_from_elsewhere_is_answered_there_to_the_last_sample(plain: House, format: SampleFormat) -> None:
    plain.serve(responder=lambda turn: Reply("Good morning to you."))
    wire: dict[str, Any] = {"input_audio_format": "g711_ulaw", "output_audio_format": "g711_ulaw"}
    session = plain.open(start={"options": vad(**(wire if format is MULAW else {}))})
    far = Far(format)
    question = QUESTION if format is PCM else speak_at_8000("hello there") + g711.encode(bytes(6400), "audio/pcmu")
    for start in range(0, len(question), 333):  # not even whole samples
        far.microphone.hear(question[start : start + 333])
    far.microphone.end()
    session.talk(far.microphone, far.speaker)
    (response_id,) = (event["response"]["id"] for event in plain.live.sent if event["type"] == "response.done")
    assert list(far.heard.values()) == [sent_audio(plain.live, response_id)]
    assert errors(plain.live) == []
    assert not session.closed


def test_an_answer_that_is_interrupted_is_shortened_to_what_was_heard_elsewhere(plain: House) -> None:
    plain.serve(responder=lambda turn: Reply("Well, " * 20, audio=loud(11)))
    session = plain.open(start={"options": vad()})
    far, stop, told = Far(most=12_345), threading.Event(), list[Interruption]()
    talking = Running(lambda: session.talk(far.microphone, far.speaker, stop=stop, on_interruption=told.append))
    far.microphone.hear(QUESTION)
    until(lambda: far.told and far.told[1] == 12_345, 20)
    far.microphone.hear(QUESTION)
    truncation = plain.live.wait_for_message("conversation.item.truncate", 20)
    assert (truncation["item_id"], truncation["audio_end_ms"]) == (next(iter(far.heard)), 12_345 // 24)
    until(lambda: any(each.truncated for each in told), 20)
    stop.set()
    far.microphone.end()
    talking.result(20)
    assert errors(plain.live) == []


def test_a_side_that_goes_away_in_an_answer_ends_the_conversation(plain: House) -> None:
    plain.serve(responder=lambda turn: Reply("Well, " * 20, audio=loud(11)))
    session = plain.open(start={"options": vad()})
    far = Far()

    def play(*told: object) -> None:
        raise ConnectionResetError("gone")

    far.play = play  # type: ignore[method-assign]
    talking = Running(lambda: session.talk(far.microphone, far.speaker))
    far.microphone.hear(QUESTION)
    with pytest.raises(AudioDeviceError, match="'remote' has gone"):
        talking.result(20)
    assert not session.closed
    assert session.ask("Still there?", timeout=20).status == "completed"

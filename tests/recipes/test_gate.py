"""The gate of the guide: what it lets through, what it refuses, and the moments in which the user goes on."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from realtime_sync import ConversationSessionOptions, RealtimeConversationSession, TurnDetectionOptions
from realtime_sync.server import Script, ServerSession, Turn
from realtime_sync.server.script import expect
from realtime_sync.server.voice import speak
from realtime_sync.voice import FileMicrophone, FileSpeaker
from tests.core.answers import received
from tests.core.harness import House, Running, until
from tests.recipes.guide import recipe

OPTIONS = ConversationSessionOptions(
    input_transcription_options="gpt-transcribe",  # type: ignore[arg-type]
    turn_detection_options=TurnDetectionOptions.server_vad(
        create_response=False, silence_duration_ms=200, prefix_padding_ms=0
    ),
)
Transcribed = Callable[[bytes, int], str]


class Model:
    """Answers each turn by its number, and remembers what it was given."""

    def __init__(self) -> None:
        self.given: list[list[str]] = []
        self.instructions: list[str] = []

    def __call__(self, turn: Turn) -> str:
        self.given.append([turn.text_of(item) for item in turn.items])
        self.instructions.append(turn.instructions)
        return f"Answer {len(self.given)}."


def writing(*words: str) -> Transcribed:
    each = iter(words)
    return lambda samples, rate: next(each)


def gated(house: House, model: Model, transcriber: Transcribed) -> tuple[RealtimeConversationSession, ServerSession]:
    house.serve(responder=model, transcriber=transcriber)
    session = house.open(start={"options": OPTIONS})
    guard(session)
    return session, house.live


def guard(session: RealtimeConversationSession) -> None:
    updates = session.subscribe()
    Running(lambda: recipe("gate").gate(session, updates))


def say(session: RealtimeConversationSession) -> None:
    session.send_audio(speak("hello there"), trailing_silence_ms=400)


def done(live: ServerSession, count: int) -> list[dict[str, Any]]:
    def ends() -> list[dict[str, Any]]:
        return [message for message in list(live.sent) if message["type"] == "response.done"]

    until(lambda: len(ends()) >= count)
    return ends()


def test_words_that_are_refused_never_reach_the_model(plain: House) -> None:
    model = Model()
    session, live = gated(plain, model, writing("How is the weather?", "How are you?"))
    say(session)
    done(live, 1)
    assert "may not speak" in model.instructions[0]
    say(session)
    done(live, 2)
    assert model.given == [[], ["Answer 1.", "How are you?"]]
    assert len(received(live, "conversation.item.delete")) == 1


def test_answers_that_the_gate_asks_for_are_played_in_a_conversation(plain: House) -> None:
    model = Model()
    session, _ = gated(plain, model, writing("How are you?"))
    speaker = FileSpeaker(pace=8.0)
    session.talk(FileMicrophone(speak("how are you"), pace=8.0, endless=False), speaker, linger=5)
    assert speaker.position.current is not None
    assert [item.text for item in session.conversation.items][-1] == "Answer 1."  # type: ignore[attr-defined]


def test_what_could_not_be_written_down_is_refused(plain: House) -> None:
    def fails(samples: bytes, rate: int) -> str:
        raise RuntimeError("no transcript today")

    model = Model()
    session, live = gated(plain, model, fails)
    say(session)
    done(live, 1)
    assert "may not speak" in model.instructions[0]
    assert model.given == [[]]


def test_noise_is_answered_by_nobody(plain: House) -> None:
    model = Model()
    session, live = gated(plain, model, writing("", "How are you?"))
    say(session)
    until(lambda: any("transcription.completed" in message["type"] for message in list(live.sent)))
    say(session)
    done(live, 1)
    assert [given[-1] for given in model.given] == ["How are you?"]


def test_who_stops_in_the_middle_of_a_sentence_is_answered_once(plain: House) -> None:
    """The words before the pause are written down while the others are being said."""
    went_on, words = threading.Event(), iter(["I would like", "to know how you are."])

    def late(samples: bytes, rate: int) -> str:
        said = next(words)
        went_on.wait(5)
        return said

    model = Model()
    session, live = gated(plain, model, late)
    say(session)
    session.send_audio(speak("going on"))
    until(lambda: sum(message["type"].endswith("speech_started") for message in list(live.sent)) == 2)
    went_on.set()  # the first part is known now, and the user still speaks
    until(lambda: any("transcription.completed" in message["type"] for message in list(live.sent)))
    session.send_audio(bytes(48_000))
    done(live, 1)
    assert model.given == [["I would like", "to know how you are."]]
    assert len(received(live, "response.create")) == 1


def test_who_begins_to_speak_as_the_answer_is_asked_for_is_not_talked_over(plain: House) -> None:
    """The service does not cancel by itself: when it noticed the speech, there was no answer yet."""

    def answering(status: str) -> Callable[[ServerSession], Iterator[dict[str, Any]]]:
        def events(live: ServerSession) -> Iterator[dict[str, Any]]:
            asked = received(live, "response.create")[-1]
            response = {"id": f"resp_{status}", "output": [], "metadata": asked["response"]["metadata"]}
            if status == "in_progress":
                yield from speech("item_2")
            yield {"type": "response.created", "response": {**response, "status": "in_progress"}}
            if status == "completed":
                yield {"type": "response.done", "response": {**response, "status": status}}

        return events

    cancelled = {"type": "response.done", "response": {"id": "resp_in_progress", "output": [], "status": "cancelled"}}
    script = Script(
        [
            expect("go"),
            *speech("item_1"),
            written("item_1", "How are you"),
            expect("response.create", 5),
            answering("in_progress"),
            expect("response.cancel", 5),
            cancelled,
            written("item_2", "today?"),
            expect("response.create", 5),
            answering("completed"),
        ]
    )
    plain.serve(responder=script)
    session = plain.open()
    guard(session)
    session.send_message({"type": "go"})
    done(plain.live, 2)
    assert script.failures == []
    assert [message["response_id"] for message in received(plain.live, "response.cancel")] == ["resp_in_progress"]


def speech(item_id: str) -> list[dict[str, Any]]:
    return [{"type": "input_audio_buffer.speech_started", "audio_start_ms": 0, "item_id": item_id}]


def written(item_id: str, words: str) -> dict[str, Any]:
    kind = "conversation.item.input_audio_transcription.completed"
    return {"type": kind, "item_id": item_id, "content_index": 0, "transcript": words}


@pytest.mark.parametrize("verdict", ["No.", "I am not sure.", ""])
def test_in_writing_whatever_is_no_yes_is_a_no(plain: House, verdict: str) -> None:
    asked: list[list[str]] = []

    def judge(turn: Turn) -> str:
        asked.append([turn.text_of(item) for item in turn.items])
        return verdict

    plain.serve(responder=judge)
    session = plain.open(start={"options": ConversationSessionOptions(content_modalities=["text"])})
    assert recipe("gated").gated(session, "How is the weather?") == "I may speak of trees only."
    assert session.conversation.items == []
    assert asked == [["How is the weather?"]]


def test_in_writing_a_yes_is_answered_with_the_conversation(plain: House) -> None:
    def judge(turn: Turn) -> str:
        return "Yes." if turn.params.get("conversation") == "none" else f"Tree number {len(turn.items)}."

    plain.serve(responder=judge)
    session = plain.open(start={"options": ConversationSessionOptions(content_modalities=["text"])})
    assert [recipe("gated").gated(session, "Which tree?") for _ in range(2)] == ["Tree number 1.", "Tree number 3."]

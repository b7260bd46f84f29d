"""Whole spoken conversations between our own client and the server, with real speech both ways."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Callable, Optional

import pytest

from realtime_sync import ConversationSessionOptions, OpenAIClient, RealtimeConversationSession, Timeouts
from realtime_sync.server import RealtimeServer, Reply, Turn
from realtime_sync.server.speech import HibariSynthesizer, RulesBrain, Speech, WhisperRecognizer
from tests.server.speech.spoken import Tongue, silence, word_error_rate, word_errors

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]
CALM = Timeouts(connect=30, greeting=30, acknowledge=30, ping_interval=60, ping=60)
WAIT = 200.0
CONVERSATIONS = 50


@contextmanager
def conversing(server: RealtimeServer, audio_type: str = "audio/pcm", **audio_input: Any) -> Iterator[Any]:
    client = OpenAIClient("any-key", endpoint=server.url, timeouts=CALM).get_realtime_conversation_client(
        "gpt-realtime-2.1"
    )
    form: dict[str, Any] = {"type": audio_type, **({"rate": 24_000} if audio_type == "audio/pcm" else {})}
    detection = {"type": "server_vad", "silence_duration_ms": 500}
    told = {"format": form, "transcription": {"model": "gpt-transcribe"}, "turn_detection": detection, **audio_input}
    options = ConversationSessionOptions(extra={"audio": {"input": told, "output": {"format": form}}})
    with client, client.start_conversation_session(options) as session:
        yield session


class Heard:
    """What came back for one utterance."""

    def __init__(self, session: RealtimeConversationSession, answers: int = 1) -> None:
        self.question, self.answer, self.audio = "", "", b""
        self.first_audio: Optional[float] = None
        stopped = 0.0
        done = transcribed = 0
        deadline = time.monotonic() + WAIT
        while done < answers or transcribed < answers:
            assert time.monotonic() < deadline, "no answer came"
            update: Any = session.receive_update(WAIT)
            if update.type == "input_audio_buffer.speech_stopped":
                stopped = time.monotonic()
            elif update.type == "conversation.item.input_audio_transcription.completed":
                self.question, transcribed = update.transcript, transcribed + 1
            elif update.type == "response.output_audio.delta":
                self.first_audio = self.first_audio or time.monotonic() - stopped
                self.audio += update.audio_bytes
            elif update.type == "response.output_audio_transcript.done":
                self.answer = update.transcript
            elif update.type == "response.done":
                done += 1
            assert update.type != "error", update.raw_content


@pytest.mark.parametrize("kind", ["audio/pcm", "audio/pcmu", "audio/pcma"])
def test_a_spoken_question_gets_the_right_spoken_answer(kind: str, tongue: Tongue) -> None:
    exchanges = [
        ("My name is Ada.", "Nice to meet you, Ada."),
        ("What is seven times eight?", "7 times 8 is 56."),
        ("What is my name?", "Your name is Ada."),
    ]
    questions: list[tuple[str, str]] = []
    answers: list[tuple[str, str]] = []
    with RealtimeServer(speech=Speech()) as server, conversing(server, kind) as session:
        for question, answer in exchanges:
            session.send_audio(tongue.say(question, kind) + silence(900, kind))
            heard = Heard(session)
            questions.append((question, heard.question))
            assert word_errors(answer, heard.answer) == 0
            answers.append((answer, tongue.understand(heard.audio, kind)))
    assert word_error_rate(questions) <= 0.1, questions
    assert word_error_rate(answers) <= 0.1, answers


def test_three_utterances_are_three_turns(tongue: Tongue) -> None:
    spoken = [tongue.say(f"What is {number} plus one?") + silence(900) for number in ("two", "three", "four")]
    with RealtimeServer(speech=Speech()) as server, conversing(server) as session:
        for part in spoken:
            session.send_audio(part)
            Heard(session)
        texts = [event["transcript"] for event in sent(server, "response.output_audio_transcript.done")]
        assert [text.split()[-1] for text in texts] == ["3.", "4.", "5."]
        assert len(sent(server, "input_audio_buffer.speech_started")) == 3


def sent(server: RealtimeServer, wire_type: str) -> list[dict[str, Any]]:
    return [event for event in server.sessions[-1].sent if event["type"] == wire_type]


def test_who_interrupts_is_heard_and_what_was_not_heard_is_forgotten(tongue: Tongue) -> None:
    counting = " ".join(
        f"{word} is a number."
        for word in ["One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine", "Ten"]
    )
    rules = RulesBrain()

    def brain(turn: Turn) -> Any:
        return Reply(counting) if turn.last and "count" in turn.text_of(turn.last).lower() else rules(turn)

    with RealtimeServer(speech=Speech(), responder=brain, audio_pace=1.0) as server, conversing(server) as session:
        session.send_audio(tongue.say("Please count for me.") + silence(900))
        played, item_id = 0, ""
        while played < 2500:
            update = session.wait_for("response.output_audio.delta", WAIT)
            played, item_id = played + len(update.audio_bytes) // 48, update.item_id
        session.send_audio(tongue.say("What did you say?"))
        assert session.wait_for("response.done", WAIT).response.status == "cancelled"
        session.send_message(
            {"type": "conversation.item.truncate", "item_id": item_id, "content_index": 0, "audio_end_ms": 2000}
        )
        session.send_audio(silence(900))
        answer = Heard(session).answer
        assert answer.startswith("Before you interrupted me, I said: One is")
        assert "Four" not in answer


def test_semantic_detection_waits_for_the_end_of_a_sentence(tongue: Tongue) -> None:
    detection = {"type": "semantic_vad", "eagerness": "high"}
    with RealtimeServer(speech=Speech()) as server, conversing(server, turn_detection=detection) as session:
        session.send_audio(tongue.say("What is two plus two?") + silence(1500))
        assert word_errors("2 plus 2 is 4.", Heard(session).answer) == 0


def test_the_first_audio_of_a_short_answer_comes_within_400_ms(tongue: Tongue) -> None:
    question = tongue.say("What is seven times eight?") + silence(900)
    needed = min(duration(lambda: tongue.understand(question)) for _ in range(5))
    needed += min(duration(lambda: tongue.say("7 times 8 is 56.")) for _ in range(5))
    took: list[float] = []
    with RealtimeServer(speech=Speech()) as server, conversing(server) as session:
        for _ in range(8):
            session.send_audio(question)
            first = Heard(session).first_audio
            assert first is not None
            took.append(first)
    # The best of some runs: what the code costs, not what else the machine does; more where the machine is slow itself.
    assert min(took) < max(0.4, 2.5 * needed), took


def duration(work: Callable[[], object]) -> float:
    started = time.monotonic()
    work()
    return time.monotonic() - started


def test_fifty_spoken_conversations_at_once_end_right(tongue: Tongue, record_property: Any) -> None:
    """Each introduces itself, asks a sum of its own and asks for its name, in the same time as all others.

    Measured on two shared cores (2026-11): see the README. The bound here is that all end, rightly.
    """
    names = ("Ada", "Grace", "John", "Mary", "Peter")
    numbers = ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven")
    spoken = {text: tongue.say(text) for text in [*(f"My name is {name}." for name in names), "What is my name?"]}
    spoken.update({text: tongue.say(text) for text in (f"What is {word} plus one?" for word in numbers)})
    wrong: list[str] = []
    took: list[float] = []

    def converse(server: RealtimeServer, number: int) -> None:
        name, word = names[number % len(names)], numbers[number % len(numbers)]
        expected = {
            f"My name is {name}.": f"Nice to meet you, {name}.",
            f"What is {word} plus one?": f"{word} plus 1 is {number % len(numbers) + 3}.",
            "What is my name?": f"Your name is {name}.",
        }
        try:
            with conversing(server) as session:
                for question, answer in expected.items():
                    session.send_audio(spoken[question] + silence(700))
                    heard = Heard(session)
                    took.append(heard.first_audio or 0.0)
                    if word_errors(answer, heard.answer):
                        wrong.append(f"{number}: {question} -> {heard.question} -> {heard.answer}")
        except Exception as error:
            wrong.append(f"{number}: {error!r}")

    patient = Speech(recognizer=WhisperRecognizer(timeout=WAIT), synthesizer=HibariSynthesizer(timeout=WAIT))
    with RealtimeServer(speech=patient, record=False) as server:
        threads = [
            threading.Thread(target=converse, args=(server, number), name=f"test-conversation-{number}", daemon=True)
            for number in range(CONVERSATIONS)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(300)
    took.sort()
    record_property("first_audio_seconds", [took[0], took[len(took) // 2], took[-1]])
    assert not any(thread.is_alive() for thread in threads)
    assert wrong == []
    assert len(took) == 3 * CONVERSATIONS

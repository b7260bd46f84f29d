"""A recording that is asked in a session that transcribes: what the service heard in it stands in the answer."""

from __future__ import annotations

import base64
import io
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Callable, Optional

import attrs
import pytest

from realtime_sync import (
    ConversationResponseOptions,
    ConversationSessionOptions,
    InputTranscriptionOptions,
    RealtimeSyncError,
    Reconnect,
    ServerError,
    TranscriptionSessionOptions,
    TurnDetectionOptions,
    UsageError,
    WaitTimeoutError,
    function_tool,
)
from realtime_sync.server import FunctionCall, Turn, faults
from realtime_sync.server.voice import speak
from tests.core.answers import ASIDE, Gate, received
from tests.core.harness import QUICK, House, Running, until
from tests.core.imitator import Imitator, Message, created, done

HEARD = InputTranscriptionOptions(model="gpt-transcribe")
OFF = TurnDetectionOptions.disabled()
SPOKEN = ConversationSessionOptions(
    input_transcription_options=HEARD, turn_detection_options=OFF, content_modalities=["text"]
)
QUESTION = speak("what is the tallest tree")


def opened(house: House, options: ConversationSessionOptions = SPOKEN, **start: Any) -> Any:
    return house.open(start={"options": options, **start})


@contextmanager
def at_calls_of(function: str, act: Callable[[], object]) -> Iterator[None]:
    """In the block, this thread does ``act()`` where it calls a function of this name."""

    def look(frame: Any, event: str, argument: object) -> None:
        if event == "call" and frame.f_code.co_name == function:
            act()  # if it raises, Python looks no more

    sys.setprofile(look)
    try:
        yield
    finally:
        sys.setprofile(None)


def thrown(error: Any) -> None:
    raise error


def is_somebody_in(function: str) -> bool:
    """Whether a thread is in a function of this name."""
    stacks = [traceback.extract_stack(frame) for frame in sys._current_frames().values()]
    return any(frame.name == function for stack in stacks for frame in stack)


def heard(samples: bytes, rate: int) -> str:
    return f"I heard {len(samples) / 2 / rate:.1f} s"


EXPECTED = heard(QUESTION, 24_000)


@pytest.mark.parametrize("kind", [bytes, io.BytesIO])
def test_what_was_heard_in_a_recording_stands_in_the_answer(house: House, kind: Any) -> None:
    house.serve(transcriber=heard, responder=lambda turn: "A redwood.")
    session = opened(house)
    answer = session.ask(kind(QUESTION))
    assert (answer.text, answer.user_transcript) == ("A redwood.", EXPECTED)
    assert not received(house.live, "conversation.item.create")
    assert session.ask("And the oldest?").user_transcript is None
    assert session.ask(QUESTION).user_transcript == EXPECTED
    assert [type(item).__name__ for item in session.conversation.items] == ["MessageItem"] * 6


def test_a_transcript_that_comes_after_the_answer_is_waited_for(plain: House) -> None:
    answered = threading.Event()

    def late(samples: bytes, rate: int) -> str:
        answered.wait(10)
        return heard(samples, rate)

    plain.serve(transcriber=late)
    session = opened(plain)
    asking = Running(lambda: session.ask(QUESTION))
    plain.live.wait_for_sent("response.done", 10)
    until(lambda: is_somebody_in("transcript"))
    answered.set()
    assert asking.result().user_transcript == EXPECTED


def test_a_transcript_that_does_not_come_costs_no_more_than_the_time_that_is_left(plain: House) -> None:
    never = threading.Event()
    plain.serve(transcriber=lambda samples, rate: str(never.wait(20)))
    session = opened(plain)
    begun = time.monotonic()
    answer = session.ask(QUESTION, timeout=1.5)
    assert answer.completed
    assert answer.user_transcript is None
    assert time.monotonic() - begun < 4
    never.set()


def test_what_could_not_be_understood_has_no_transcript(plain: House) -> None:
    def fails(samples: bytes, rate: int) -> str:
        raise ValueError("nothing but noise")

    plain.serve(transcriber=fails)
    answer = opened(plain).ask(QUESTION)
    assert answer.completed
    assert answer.user_transcript is None


@pytest.mark.parametrize(
    ("options", "of_response"),
    [
        (attrs.evolve(SPOKEN, input_transcription_options=None), None),
        (attrs.evolve(SPOKEN, turn_detection_options=TurnDetectionOptions.server_vad()), None),
        (SPOKEN, ASIDE),
    ],
    ids=["not transcribed", "turns are detected", "out of band"],
)
def test_otherwise_a_recording_is_asked_as_an_item_and_not_transcribed(
    plain: House, options: ConversationSessionOptions, of_response: Optional[ConversationResponseOptions]
) -> None:
    plain.serve(transcriber=heard)
    answer = opened(plain, options).ask(QUESTION, of_response)
    assert answer.completed
    assert answer.user_transcript is None
    assert not received(plain.live, "input_audio_buffer.append")
    assert str(list(plain.live.received)).count("'input_audio'") == 1


def test_a_recording_does_not_join_what_is_in_the_buffer_already(plain: House) -> None:
    plain.serve(transcriber=heard)
    session = opened(plain)
    session.send_audio(bytes(4800))
    assert session.ask(QUESTION).user_transcript is None
    assert len(received(plain.live, "conversation.item.create")) == 1
    session.commit_pending_audio().wait()
    assert session.ask(QUESTION).user_transcript == EXPECTED


def test_less_than_the_service_commits_is_asked_as_an_item(plain: House) -> None:
    plain.serve(transcriber=heard)
    assert opened(plain).ask(bytes(1000)).completed
    assert not received(plain.live, "input_audio_buffer.commit")


def test_the_answer_after_calls_of_tools_has_it_too(plain: House) -> None:
    @function_tool
    def height(tree: str) -> str:
        """How high a tree is."""
        return "116 m"

    def answer(turn: Turn) -> Any:
        last = turn.last
        called = last is not None and last["type"] == "function_call_output"
        return last["output"] if called and last is not None else FunctionCall("height", {"tree": "redwood"})

    plain.serve(transcriber=heard, responder=answer)
    told = opened(plain).ask(QUESTION, tools=[height])
    assert (told.text, told.user_transcript) == ("116 m", EXPECTED)


def test_the_acknowledgement_of_the_recording_is_the_askers(plain: House) -> None:
    plain.serve(transcriber=heard)
    session = opened(plain)
    session.ask(QUESTION)
    session.close()
    assert "input_audio_buffer.committed" not in [update.type for update in session.updates()]


def test_a_recording_is_asked_again_on_the_next_connection(plain: House) -> None:
    plain.serve(transcriber=heard, responder=lambda turn: f"{len(turn.items)} items")
    session = opened(plain, reconnect=True)
    plain.live.inject(faults.drop(after_received=len(plain.live.received) + 3))  # append, commit, response.create
    answer = session.ask(QUESTION)
    assert answer.completed
    assert answer.text == "1 items"
    until(lambda: len(plain.server.sessions) == 2)


def buffered(house: House) -> int:
    """Bytes of audio that the server has in its input buffer, by what it was sent."""
    size = 0
    for message in list(house.live.received):
        size += len(base64.b64decode(message.get("audio", "")))
        if message["type"] in ("input_audio_buffer.clear", "input_audio_buffer.commit"):
            size = 0
    return size


def behind_another_answer(house: House, gate: Gate, session: Any, then: Callable[[], object]) -> Any:
    """The answer to a recording that waits for its turn while ``then`` is done."""
    with session.respond("Hi"):
        asking = Running(lambda: session.ask(QUESTION))
        until(lambda: is_somebody_in("request"))
        then()
        gate.opened.set()
        return asking.result()


def test_audio_that_is_sent_while_a_recording_waits_for_its_turn_is_not_mixed_with_it(plain: House) -> None:
    gate = Gate()
    plain.serve(transcriber=heard, responder=gate)
    session = opened(plain)
    answer = behind_another_answer(plain, gate, session, lambda: session.send_audio(bytes(9600)))
    assert answer.user_transcript is None
    assert buffered(plain) == 9600
    assert not received(plain.live, "input_audio_buffer.commit")


def test_a_recording_is_asked_as_an_item_if_turn_detection_is_switched_on_meanwhile(plain: House) -> None:
    gate = Gate()
    plain.serve(transcriber=heard, responder=gate)
    session = opened(plain)
    detecting = ConversationSessionOptions(turn_detection_options=TurnDetectionOptions.server_vad())
    answer = behind_another_answer(plain, gate, session, lambda: session.configure_session(detecting).wait())
    assert answer.completed
    assert not received(plain.live, "input_audio_buffer.append")


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_a_recording_that_was_interrupted_before_its_commit_leaves_no_audio(plain: House, error: Any) -> None:
    plain.serve(transcriber=heard)
    session = opened(plain)
    with pytest.raises(error), at_calls_of("commit", lambda: thrown(error)):
        session.ask(QUESTION)
    assert session.ask(QUESTION).user_transcript == EXPECTED
    assert buffered(plain) == 0
    session.close()
    assert "input_audio_buffer.cleared" not in [update.type for update in session.updates()]


def test_a_commit_that_is_refused_leaves_no_audio(house: House) -> None:
    def refused(message: Message) -> list[Message]:
        error = {"type": "invalid_request_error", "message": "no room", "event_id": message["event_id"]}
        return [{"type": "error", "error": error}]

    told = {"type": "realtime", "audio": {"input": {"transcription": {"model": "gpt-transcribe"}}}}
    greeting = {"type": "session.created", "session": {"id": "sess_1", **told}}
    answers: dict[str, Any] = {
        "session.update": [{"type": "session.updated", "session": {"id": "sess_1", **told}}],
        "input_audio_buffer.commit": refused,
        "response.create": [created(), done()],
    }
    server = Imitator(answers, greeting=[greeting])
    session = house.raw(server)
    with pytest.raises(ServerError, match="no room"):
        session.ask(QUESTION)
    until(lambda: "input_audio_buffer.clear" in server.types())


def test_audio_that_was_cleared_is_in_nobodys_way(plain: House) -> None:
    plain.serve(transcriber=heard)
    session = opened(plain)
    session.send_audio(bytes(9600))
    session.clear_input_audio()
    assert session.ask(QUESTION).user_transcript == EXPECTED
    session.send_audio(bytes(9600))
    session.clear_input_audio()
    with pytest.raises(UsageError, match="Only 0 ms"):
        session.commit_pending_audio()


def test_a_recording_that_a_new_connection_would_not_be_given_whole_is_asked_as_an_item(plain: House) -> None:
    plain.serve(transcriber=heard, responder=lambda turn: f"{len(turn.items)} items")
    session = opened(plain, reconnect=Reconnect(hold_audio=len(QUESTION) / 48_000 - 0.1))
    plain.live.inject(faults.drop(after_received=len(plain.live.received) + 1))
    assert session.ask(QUESTION).text == "1 items"
    assert not received(plain.live, "input_audio_buffer.append")


@pytest.mark.parametrize("fault", [faults.drop, faults.silence], ids=["lost before the commit", "lost behind it"])
def test_what_a_new_connection_has_heard_is_in_the_answer(plain: House, fault: Any) -> None:
    answered = threading.Event()

    def late(samples: bytes, rate: int) -> str:
        answered.wait(10)
        return heard(samples, rate)

    plain.serve(transcriber=late)
    session = plain.open(start={"options": SPOKEN, "reconnect": True}, timeouts=QUICK)
    plain.live.inject(fault(after_received=len(plain.live.received) + 1))  # the first append
    asking = Running(lambda: session.ask(QUESTION))
    until(lambda: is_somebody_in("transcript"))
    answered.set()
    assert asking.result().user_transcript == EXPECTED
    assert len(plain.server.sessions) == 2


@pytest.mark.parametrize("kind", ["transcription", "translation"])
def test_in_a_session_that_does_not_answer_nothing_is_put_into_the_buffer(plain: House, kind: str) -> None:
    plain.serve(transcriber=heard)
    client = plain.client()
    start: dict[str, Any] = {"target_language": "es"} if kind == "translation" else {}
    with getattr(client, f"start_{kind}_session")(**start) as session:
        if kind == "transcription":
            options = TranscriptionSessionOptions(turn_detection_options=OFF, input_transcription_options=HEARD)
            session.configure_session(options).wait()
        with pytest.raises(RealtimeSyncError):
            session.ask(QUESTION, timeout=2)
    assert not [told for told in plain.live.received if told["type"].endswith("append")]


@pytest.mark.parametrize("messages", [1, 2])
def test_a_recording_as_an_item_is_asked_again_on_the_next_connection(plain: House, messages: int) -> None:
    plain.serve(responder=lambda turn: f"{len(turn.items)} items")
    session = opened(plain, attrs.evolve(SPOKEN, input_transcription_options=None), reconnect=True)
    plain.live.inject(faults.drop(after_received=len(plain.live.received) + messages))
    assert session.ask(QUESTION).text == "1 items"


def test_a_transcript_of_what_was_said_before_is_no_turn(plain: House) -> None:
    told = threading.Event()

    def late(samples: bytes, rate: int) -> str:
        told.wait(10)
        return heard(samples, rate)

    plain.serve(transcriber=late)
    session = opened(plain)
    session.send_audio(QUESTION)
    session.commit_pending_audio().wait()
    session.ask()
    with session.turns(timeout=5) as turns:
        told.set()
        session.wait_for("conversation.item.input_audio_transcription.completed", 5)
        session.ask("And now?")
        turn = next(turns)
    assert (turn.user_text, turn.user_transcript) == ("And now?", None)


def test_a_recording_is_not_sent_beyond_the_time_that_the_question_may_take(plain: House) -> None:
    plain.serve(transcriber=heard)
    session = opened(plain)
    late = pytest.raises(WaitTimeoutError, match=r"could not be sent within 0\.4 s")
    with late, at_calls_of("append_frame", lambda: threading.Event().wait(0.5)):
        session.ask(QUESTION * 5, timeout=0.4)
    assert session.ask(QUESTION).user_transcript == EXPECTED
    assert buffered(plain) == 0


def test_audio_whose_sending_was_interrupted_and_that_was_cleared_is_in_nobodys_way(plain: House) -> None:
    plain.serve(transcriber=heard)
    session = opened(plain)
    with pytest.raises(KeyboardInterrupt), at_calls_of("append_frame", lambda: thrown(KeyboardInterrupt)):
        session.send_audio(bytes(9600))
    session.clear_input_audio()
    assert session.ask(QUESTION).user_transcript == EXPECTED

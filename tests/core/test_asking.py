"""``session.ask()``: one call, one finished answer, whatever is asked, by however many threads."""

from __future__ import annotations

import base64
import functools
import io
import threading
import wave
from pathlib import Path
from typing import Any

import attrs
import pytest

from realtime_sync import (
    AzureOpenAIClient,
    ConversationContentPart,
    ConversationItem,
    ConversationResponseOptions,
    ConversationSessionOptions,
    FunctionCallItem,
    InvalidInputError,
    ResponseFailedError,
    ServerError,
    WaitTimeoutError,
)
from realtime_sync.audio import Samples, g711
from realtime_sync.audio.formats import ALAW, MULAW
from realtime_sync.core.acknowledgements import METADATA_KEY
from realtime_sync.server import FunctionCall, Piece, Reply, Script, Turn, expect
from tests.core.answers import ACTIVE, ASIDE, WRITTEN, Gate, errors, idle, received, sent, sent_audio, sent_text
from tests.core.harness import House, Running, until, within

SECOND = bytes(48_000)
ITEM = ConversationItem.create_user_message("What is the tallest tree?")


def wav(path: Path) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(24_000)
        file.writeframes(SECOND)
    return path


def echo(turn: Turn) -> str:
    return f"You said: {turn.text_of(turn.last or {})}"


# What is asked, and what is answered ---------------------------------------------------------------------------------


def test_a_text_is_answered_with_all_that_the_server_said(house: House) -> None:
    session = house.open()
    answer = session.ask("Do you hear me, dear tree?")
    assert answer.completed
    assert (answer.status, answer.reason, answer.text) == ("completed", None, "")
    assert answer.transcript == str(answer) == "You said: Do you hear me, dear tree?"
    assert answer.transcript == sent_text(house.live, answer.id, "output_audio_transcript")
    assert answer.audio == sent_audio(house.live, answer.id)
    assert len(answer.audio) > 10_000
    assert answer.audio_seconds == len(answer.audio) / 48_000
    (done,) = sent(house.live, "response.done")
    assert [item.id for item in answer.items] == [item["id"] for item in done["response"]["output"]]
    assert answer.usage.total_tokens == done["response"]["usage"]["total_tokens"] > 0
    assert answer.function_calls == []
    assert idle(session)


def test_a_written_answer_has_its_text(house: House) -> None:
    session = house.open()
    answer = session.ask("How do you do", WRITTEN)
    assert answer.text == str(answer) == sent_text(house.live, answer.id) == "You said: How do you do"
    assert (answer.transcript, answer.audio, answer.audio_seconds) == ("", b"", 0)
    assert answer.timings.first_audio is None


def test_items_are_asked_one_or_several(house: House) -> None:
    session = house.open()
    assert session.ask(ITEM, WRITTEN).text.endswith("tallest tree?")
    several = [ConversationItem.create_system_message("Be brief."), ConversationItem.create_user_message("Why so")]
    assert session.ask(several, WRITTEN).text == "You said: Why so"
    assert session.ask(tuple(several), WRITTEN).text == "You said: Why so"
    assert len(received(house.live, "conversation.item.create")) == 5
    with pytest.raises(InvalidInputError):
        session.ask(3)
    assert idle(session)


def test_nothing_asks_for_an_answer_to_the_conversation_as_it_stands(plain: House) -> None:
    session = plain.open()
    session.add_item("Is it so")
    assert session.ask(options=WRITTEN).text == "You said: Is it so"


def test_audio_is_asked_as_bytes_or_path_or_file_and_goes_as_an_item(house: House, tmp_path: Path) -> None:
    session = house.open()
    path = wav(tmp_path / "question.wav")
    with path.open("rb") as file:
        for question in (SECOND, path, file, io.BytesIO(SECOND)):
            assert session.ask(question, WRITTEN).text == "I heard 1.0 seconds of audio."
    parts = [message["item"]["content"] for message in received(house.live, "conversation.item.create")]
    assert [[part["type"] for part in content] for content in parts] == [["input_audio"]] * 4
    assert not received(house.live, "input_audio_buffer.append")


def test_text_and_sound_in_one_question(plain: House) -> None:
    part = ConversationContentPart.from_input_audio(SECOND)
    question = ConversationItem.create_user_message(["Listen:", part])
    assert plain.open().ask(question, WRITTEN).text == "I heard 1.0 seconds of audio."


def test_the_calls_of_functions_are_told_apart_from_the_rest(plain: House) -> None:
    reply = Reply("One moment.", function_calls=[FunctionCall("weather", {"city": "Rome"}), FunctionCall("time")])
    plain.serve(responder=lambda turn: reply)
    answer = plain.open().ask("Weather?", WRITTEN)
    assert answer.text == "One moment."
    assert [type(item).__name__ for item in answer.items] == ["MessageItem", "FunctionCallItem", "FunctionCallItem"]
    assert [(call.name, call.arguments) for call in answer.function_calls] == [
        ("weather", '{"city": "Rome"}'),
        ("time", "{}"),
    ]
    assert all(isinstance(call, FunctionCallItem) and call.call_id for call in answer.function_calls)


def test_times_are_in_order(plain: House) -> None:
    times = plain.open().ask("Hello").timings
    assert 0 < times.created <= times.first_text <= times.first_audio <= times.done < 10


def test_what_an_answer_cost_is_told_where_the_model_has_a_price(plain: House) -> None:
    client = plain.client()
    with client.start_conversation_session() as session:
        unpriced = session.ask("Hello", WRITTEN)
    assert unpriced.cost is None
    assert "the model 'm' has no price" in unpriced.cost_note
    assert session.conversation.cost_note() == unpriced.cost_note
    plain.live.options["model"] = "gpt-realtime-2.1"
    session = plain.open()
    plain.live.options["model"] = "gpt-realtime-2.1"
    session.configure_session(ConversationSessionOptions(instructions="Be brief")).wait()
    priced = session.ask("Hello", WRITTEN)
    assert 0 < priced.cost < 0.01
    assert priced.cost_note is None


def test_the_name_of_a_recording_that_is_there_is_not_asked_as_a_text(
    plain: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("question.wav").touch()
    session = plain.open()
    for call in (session.ask, session.respond, session.add_item, lambda name: session.ask(["Listen:", name])):
        with pytest.raises(InvalidInputError, match=r"To ask it, pass Path\('question.wav'\)"):
            call("question.wav")
    assert not plain.live.received
    meant = ConversationItem.create_user_message("question.wav")
    assert session.ask(meant, WRITTEN).text == "You said: question.wav"
    assert session.ask("missing.wav", WRITTEN).text == "You said: missing.wav"
    assert session.ask("Play question.wav\nor\nquestion.wav", WRITTEN).text.endswith("question.wav")


def test_an_array_can_be_asked(plain: House) -> None:
    np = pytest.importorskip("numpy", reason="needs the extra audio")
    session = plain.open()
    assert "2.0 seconds" in session.ask(Samples(np.zeros(2 * 24_000, np.int16), 24_000), WRITTEN).text


def test_a_repr_is_short_however_long_the_answer(plain: House) -> None:
    plain.serve(responder=lambda turn: "many words " * 500)
    answer = plain.open().ask("Hello")
    assert len(repr(answer)) < 400
    assert "many words many words" in repr(answer)
    assert "completed" in repr(answer)
    assert f"{len(answer.audio)} bytes" in repr(answer)


@pytest.mark.parametrize("name", ["pcm16", "g711_ulaw", "g711_alaw"])
def test_audio_is_saved_in_the_format_that_it_came_in(plain: House, tmp_path: Path, name: str) -> None:
    session = plain.open()
    session.configure_session(ConversationSessionOptions(output_audio_format=name)).wait()
    answer = session.ask("Hello")
    path = tmp_path / "answer.wav"
    answer.save_audio(path)
    data = path.read_bytes()
    assert answer.audio == sent_audio(plain.live, answer.id)
    assert data[:4] == b"RIFF"
    tag, channels, rate = (int.from_bytes(data[at : at + n], "little") for at, n in ((20, 2), (22, 2), (24, 4)))
    assert (channels, data.endswith(answer.audio)) == (1, True)
    assert (tag, rate) == {"pcm16": (1, 24_000), "g711_ulaw": (7, 8000), "g711_alaw": (6, 8000)}[name]
    assert answer.audio_seconds == pytest.approx(len(answer.audio) / (48_000 if name == "pcm16" else 8000))


def test_a_format_for_one_answer_is_that_answers_alone(plain: House) -> None:
    session = plain.open()
    mulaw = session.ask("Hello", ConversationResponseOptions(output_audio_format="g711_ulaw"))
    assert mulaw.audio_format.type == MULAW.wire_type != ALAW.wire_type
    assert mulaw.audio == sent_audio(plain.live, mulaw.id)
    assert g711.decode(mulaw.audio, MULAW.wire_type)
    assert session.ask("Hello").audio_format.type == "audio/pcm"


@pytest.mark.parametrize("dialect", ["preview", "ga"])
def test_both_dialects_answer_alike(plain: House, dialect: str) -> None:
    version = "2025-04-01-preview" if dialect == "preview" else "v1"
    azure = AzureOpenAIClient(plain.server.azure_endpoint, "any-key", api_version=version)
    client = plain.stack.enter_context(azure.get_realtime_conversation_client("m"))
    with client.start_conversation_session() as session:
        spoken = session.ask("Is it so")
        assert (spoken.transcript, spoken.status) == ("You said: Is it so", "completed")
        assert spoken.audio == b"".join(
            base64.b64decode(message["delta"])
            for message in plain.live.sent
            if message["type"] in ("response.audio.delta", "response.output_audio.delta")
        )
        assert session.ask("And now", WRITTEN).text == "You said: And now"
        assert idle(session)


# How it may end otherwise --------------------------------------------------------------------------------------------


def test_a_failed_answer_raises_with_its_code_and_what_had_come(house: House) -> None:
    def fail(turn: Turn) -> Any:
        yield "So far "
        if "fail" in turn.text_of(turn.last or {}):
            raise RuntimeError

    house.serve(responder=fail)
    session = house.open()
    with pytest.raises(ResponseFailedError, match="could not answer: the responder failed: RuntimeError") as caught:
        session.ask("Please fail", WRITTEN)
    assert caught.value.code == "server_error"
    assert (caught.value.answer.status, caught.value.answer.text) == ("failed", "So far ")
    assert idle(session)
    assert session.ask("Go on", WRITTEN).text == "So far "


def test_an_answer_that_hit_its_limit_is_returned_and_says_so(plain: House) -> None:
    plain.serve(responder=lambda turn: "word " * 100)
    options = attrs.evolve(WRITTEN, max_output_tokens=20)
    answer = plain.open().ask("Talk", options)
    assert (answer.status, answer.reason, answer.completed) == ("incomplete", "max_output_tokens", False)
    assert answer.text.startswith("word word ")


def test_an_answer_that_was_cancelled_is_returned_and_says_by_whom(plain: House) -> None:
    plain.serve(responder=Gate())
    session = plain.open()
    asking = Running(lambda: session.ask("Talk", WRITTEN))
    plain.live.wait_for_sent("response.output_text.delta")
    session.cancel_response().wait()
    answer = asking.result()
    assert (answer.status, answer.reason, answer.text) == ("cancelled", "client_cancelled", "one ")
    assert idle(session)


def test_an_answer_that_the_user_interrupts_is_returned_and_says_so(plain: House) -> None:
    plain.serve(responder=Gate())
    session = plain.open()
    asking = Running(lambda: session.ask("Talk", WRITTEN))
    plain.live.wait_for_sent("response.output_text.delta")
    with plain.live.lock:
        plain.live.active_response.cancel("turn_detected")  # type: ignore[union-attr]
    answer = asking.result()
    assert (answer.status, answer.reason) == ("cancelled", "turn_detected")


def test_out_of_time_the_answer_is_cancelled_and_the_next_one_works_at_once(house: House) -> None:
    gate = Gate()
    house.serve(responder=gate)
    session = house.open()
    with within(3), pytest.raises(WaitTimeoutError):
        session.ask("Talk", WRITTEN, timeout=0.3)
    house.live.wait_for_message("response.cancel")
    gate.opened.set()
    with within(3):
        assert session.ask("Talk", WRITTEN).text == "one two"
    assert errors(house.live) == []


def test_an_answer_that_begins_after_time_was_up_is_cancelled_then(plain: House) -> None:
    """The server's create is held back: the caller is long gone when the response begins."""
    gate = Gate()
    plain.serve(responder=gate)
    session = plain.open()
    with plain.live.lock:  # the server handles nothing meanwhile
        with pytest.raises(WaitTimeoutError, match="begin"):
            session.ask("Talk", WRITTEN, timeout=0.5)
        with pytest.raises(WaitTimeoutError, match="in progress"):  # it may begin yet: no second one is sent
            session.ask("Talk", WRITTEN, timeout=0.1)
    plain.live.wait_for_message("response.cancel")
    gate.opened.set()
    assert session.ask("Talk", WRITTEN).text == "one two"
    until(lambda: idle(session))
    assert errors(plain.live) == []
    statuses = [message["response"]["status"] for message in sent(plain.live, "response.done")]
    assert statuses == ["cancelled", "completed"]


# Refusals ------------------------------------------------------------------------------------------------------------


def test_a_refused_item_raises_what_the_service_has_against_it_and_nothing_is_answered(house: House) -> None:
    session = house.open()
    bad = ConversationItem.create_user_message("Hi")
    bad.extra["foo"] = 1
    with pytest.raises(ServerError, match="foo"):
        session.ask(bad, WRITTEN)
    until(lambda: idle(session))
    assert session.ask("Still there", WRITTEN).text == "You said: Still there"


def test_a_refused_request_raises_and_leaves_no_claim(house: House) -> None:
    session = house.open()
    bad = attrs.evolve(WRITTEN, extra={"nonsense": True})
    with pytest.raises(ServerError, match="nonsense"):
        session.ask("Hi", bad)
    assert idle(session)
    with pytest.raises(ServerError):
        session.respond("Hi", bad)
    assert session.ask("Still there", WRITTEN).text == "You said: Still there"


def test_what_cannot_be_sent_leaves_no_claim(plain: House) -> None:
    session = plain.open()
    with pytest.raises(InvalidInputError):
        session.ask(b"\0")  # half a sample
    with pytest.raises(InvalidInputError):
        session.ask("Hi", attrs.evolve(WRITTEN, extra={"foo": object()}))
    assert idle(session)
    assert session.ask("Still there", WRITTEN).text == "You said: Still there"


# Beside the conversation ---------------------------------------------------------------------------------------------


def test_twenty_out_of_band_at_once_each_have_their_own_answer(house: House) -> None:
    house.serve(responder=echo)
    session = house.open()
    together = threading.Barrier(20)

    def ask(number: int) -> str:
        together.wait(5)
        return str(session.ask(f"Question {number}", ASIDE).text)

    asking = [Running(functools.partial(ask, number)) for number in range(20)]
    assert [one.result(20) for one in asking] == [f"You said: Question {number}" for number in range(20)]
    assert list(house.live.conversation) == []
    assert not received(house.live, "conversation.item.create")
    assert idle(session)


def test_an_out_of_band_answer_comes_beside_one_in_the_conversation(house: House) -> None:
    gate = Gate("You said: ", "so")

    def answer(turn: Turn) -> Any:
        return gate(turn) if turn.params.get("conversation") != "none" else echo(turn)

    house.serve(responder=answer)
    session = house.open()
    with session.respond("Say so", WRITTEN) as response:
        assert session.ask("Aside", ASIDE).text == "You said: Aside"
        assert not response.done
        gate.opened.set()
        assert response.wait(5).text == "You said: so"
    assert [item.wire["role"] for item in house.live.conversation] == ["user", "assistant"]


def test_input_items_of_the_options_come_before_the_question(plain: House) -> None:
    plain.serve(responder=lambda turn: " / ".join(turn.text_of(item) for item in turn.items))
    session = plain.open()
    session.add_item("not for this")
    options = attrs.evolve(ASIDE, input_items=[ConversationItem.create_user_message("first")])
    assert session.ask("second", options).text == "first / second"
    assert [item.id for item in options.input_items or []] == [None]  # the caller's own list is as it was


def test_the_callers_metadata_is_kept_and_ours_is_added(plain: House) -> None:
    session = plain.open()
    options = attrs.evolve(ASIDE, metadata={"topic": "trees"})
    answer = session.ask("Hi", options)
    assert answer.response.metadata["topic"] == "trees"
    assert set(answer.response.metadata) == {"topic", METADATA_KEY}
    (create,) = received(plain.live, "response.create")
    assert create["response"]["metadata"] == {"topic": "trees", METADATA_KEY: create["event_id"]}
    assert options.metadata == {"topic": "trees"}


# Whose turn it is ----------------------------------------------------------------------------------------------------


def test_threads_that_ask_at_once_take_turns_and_each_has_its_own_answer(house: House) -> None:
    house.serve(responder=echo)
    session = house.open()
    together = threading.Barrier(8)

    def ask(thread: int) -> list[str]:
        together.wait(5)
        return [session.ask(f"Thread {thread} number {number}", WRITTEN).text for number in range(5)]

    asking = [Running(functools.partial(ask, thread)) for thread in range(8)]
    for thread, one in enumerate(asking):
        assert one.result(30) == [f"You said: Thread {thread} number {number}" for number in range(5)]
    assert errors(house.live) == []
    assert idle(session)


def test_a_question_waits_for_the_answer_that_voice_activity_detection_began(plain: House) -> None:
    gate = Gate()
    plain.serve(responder=gate)
    session = plain.open()
    stream = session.subscribe()
    with plain.live.lock:
        plain.live.create_response({})
    stream.wait_for("response.created", 5)
    asking = Running(lambda: session.ask("Me too", WRITTEN))
    with pytest.raises(WaitTimeoutError, match="another answer is in progress"):
        session.ask("Not for long", WRITTEN, timeout=0.1)
    assert not received(plain.live, "response.create")
    gate.opened.set()
    assert asking.result().text == "one two"
    assert errors(plain.live) == []


def test_an_answer_that_voice_activity_detection_begins_in_that_very_moment_costs_a_second_try(plain: House) -> None:
    begun: list[bool] = []

    def answer(turn: Turn) -> Piece:
        if turn.params:
            return "asked for"
        until(lambda: errors(plain.live) == [ACTIVE])  # what is said before would show whose answer it is
        return "by itself"

    plain.serve(responder=answer)
    session = plain.open()
    create = plain.live.create_response

    def first_the_others(params: Any) -> None:
        if not begun:
            begun.append(True)
            create({})
        create(params)

    plain.live.create_response = first_the_others  # type: ignore[method-assign]
    assert session.ask("Me", WRITTEN).text == "asked for"
    assert errors(plain.live) == [ACTIVE]
    assert len(received(plain.live, "conversation.item.create")) == 1  # said once
    assert idle(session)


def test_answers_that_are_asked_for_by_hand_meanwhile_do_no_harm(house: House) -> None:
    house.serve(responder=echo)
    session = house.open()
    over, refusals, stream = threading.Event(), set(), session.subscribe()

    def by_hand() -> int:
        count = 0
        while count == 0 or not over.is_set():
            try:
                session.start_response(WRITTEN).wait(5)
                count += 1
            except ServerError as error:
                refusals.add(error.code)
            stream.wait_for("response.done", 5)
        return count

    hand = Running(by_hand)
    for number in range(20):
        session.add_item("x").wait()
        answer = session.ask(f"Question {number}", attrs.evolve(WRITTEN, metadata={"n": str(number)}))
        assert answer.response.metadata["n"] == str(number)
    over.set()
    session.ask("The last, so that the other is not left waiting", WRITTEN)
    assert hand.result() > 0
    assert refusals | set(errors(house.live)) <= {ACTIVE}
    until(lambda: idle(session))


def test_once_an_answer_by_hand_is_acknowledged_a_question_waits_for_it(plain: House) -> None:
    session = plain.open()
    for _ in range(50):
        session.start_response(WRITTEN).wait()
        assert session.ask("So", WRITTEN).text == "You said: So"
    assert errors(plain.live) == []


def test_a_service_that_never_gets_free_is_asked_until_time_is_up(plain: House) -> None:
    """Its active response is one that we were never told of."""

    def refuse(live: Any) -> Any:
        named = received(live, "response.create")[-1]["event_id"]
        return {"type": "error", "error": {"code": ACTIVE, "message": "not now", "event_id": named}}

    plain.serve(responder=Script([expect("response.create"), refuse] * 50))
    session = plain.open()
    with within(3), pytest.raises((ServerError, WaitTimeoutError)):
        session.ask(timeout=0.5)
    until(lambda: idle(session))
    assert 2 <= len(errors(plain.live)) <= 10

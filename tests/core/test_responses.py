"""``session.respond()``: an answer while it is made, read from any thread, in any order, and how it may end."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import threading
import types
from collections.abc import Callable, Iterator
from typing import Any

import attrs
import pytest

from realtime_sync import (
    ConnectionClosedError,
    ConversationResponseOptions,
    ForkedSessionError,
    QueueLimits,
    ResponseFailedError,
    ResponseOutputTextDeltaUpdate,
    ServerError,
    SessionNotOpenError,
    WaitTimeoutError,
)
from realtime_sync.core.acknowledgements import METADATA_KEY
from realtime_sync.server import FunctionCall, Reply, Script, Turn, expect, faults
from tests.core.answers import ASIDE, WRITTEN, Gate, errors, idle, received, sent, sent_audio, sent_text
from tests.core.harness import CALM, House, Running, until, within

STREAMS: dict[str, Callable[[Any], Iterator[Any]]] = {
    "text_deltas": lambda response: response.text_deltas(),
    "transcript_deltas": lambda response: response.transcript_deltas(),
    "audio_chunks": lambda response: response.audio_chunks(),
    "items": lambda response: response.items(),
}
LONG = "Trees are tall, and the tallest of them all is a coast redwood that somebody has named Hyperion."


# The streams ---------------------------------------------------------------------------------------------------------


def test_the_next_answer_is_not_taken_to_have_ended_when_an_earlier_cancel_is_overdue(plain: House) -> None:
    gate = Gate()
    plain.serve(responder=gate)
    session = plain.open(timeouts=attrs.evolve(CALM, acknowledge=1))  # as long is a cancelled answer's end awaited
    first = session.respond("First", options=WRITTEN)
    next(first.text_deltas())
    first.cancel()
    assert first.wait(10).status == "cancelled"
    second = session.respond("Second", options=WRITTEN)
    next(second.text_deltas())
    with pytest.raises(WaitTimeoutError):
        session.ask("Third", options=WRITTEN, timeout=2)
    gate.opened.set()
    assert second.wait(10).text == "one two"
    assert errors(plain.live) == []


def test_text_comes_while_it_is_written(house: House) -> None:
    gate = Gate()
    house.serve(responder=gate)
    session = house.open()
    with session.respond("Talk", WRITTEN) as response:
        deltas = response.text_deltas()
        assert next(deltas) == "one "
        assert not response.done
        gate.opened.set()
        assert list(deltas) == ["two"]
    assert response.wait(5).completed
    assert not received(house.live, "response.cancel")


def test_the_text_of_an_answer_that_speaks_is_told_where_it_is(plain: House) -> None:
    plain.serve(responder=lambda turn: "Paris.")
    session = plain.open()
    with pytest.warns(UserWarning, match=r"the model spoke: transcript_deltas\(\) gives the words") as told:
        assert list(session.respond("Where?").text_deltas()) == []
    assert told[0].filename == __file__
    # A warning would be an error here: of what is written, and of who reads what is spoken, too.
    with session.respond("Where?") as response:
        spoken = response.transcript_deltas()
        assert list(response.text_deltas()) == []
        assert "".join(spoken) == "Paris."
    with session.respond("Where?", ConversationResponseOptions(content_modalities=["text"])) as response:
        assert "".join(response.text_deltas()) == "Paris."
        assert "".join(map(str, response.deltas())) == "Paris."


@pytest.mark.filterwarnings("ignore:text_deltas")
@pytest.mark.parametrize("order", [list(STREAMS), list(reversed(STREAMS))])
def test_the_streams_are_complete_in_either_order_and_twice(house: House, order: list[str]) -> None:
    calls = [FunctionCall("first", {"a": 1}), FunctionCall("second")]
    house.serve(responder=lambda turn: Reply(LONG, function_calls=calls))
    session = house.open()
    with session.respond("Talk") as response:
        for _ in range(2):
            came = {name: list(STREAMS[name](response)) for name in order}
            assert came["text_deltas"] == []
            assert "".join(came["transcript_deltas"]) == LONG
            assert b"".join(came["audio_chunks"]) == sent_audio(house.live, response.id)
            assert [item.type for item in came["items"]] == ["message", "function_call", "function_call"]
    answer = response.wait()
    assert (answer.transcript, answer.audio) == (LONG, b"".join(came["audio_chunks"]))
    assert [item.id for item in answer.items] == [item.id for item in came["items"]]


def test_several_threads_read_the_same_answer_each_completely(house: House) -> None:
    house.serve(responder=lambda turn: LONG)
    with house.open().respond("Talk") as response:
        reading = [
            Running(lambda name=name: list(STREAMS[name](response)))  # type: ignore[misc]
            for name in ("transcript_deltas", "audio_chunks")
            for _ in range(4)
        ]
        waiting = Running(response.wait)
        said, heard = [one.result() for one in reading[:4]], [one.result() for one in reading[4:]]
    assert ["".join(pieces) for pieces in said] == [LONG] * 4
    assert [b"".join(pieces) for pieces in heard] == [waiting.result().audio] * 4


def test_what_has_come_so_far_can_be_looked_at(plain: House) -> None:
    gate = Gate()
    plain.serve(responder=gate)
    with plain.open().respond("Talk", WRITTEN) as response:
        next(response.text_deltas())
        assert (response.answer().status, response.answer().text) == ("in_progress", "one ")
        assert "in progress, 4 characters" in repr(response)
        assert plain.live.active_response is not None
        assert response.id == plain.live.active_response.id
        gate.opened.set()
        response.wait(5)
    assert "completed, 7 characters" in repr(response)


def test_waiting_ends_in_time_and_the_answer_goes_on(plain: House) -> None:
    gate = Gate()
    plain.serve(responder=gate)
    with plain.open().respond("Talk", WRITTEN) as response:
        deltas = response.text_deltas(timeout=0.1)
        assert next(deltas) == "one "
        with within(2), pytest.raises(WaitTimeoutError, match="goes on"):
            next(deltas)
        with within(2), pytest.raises(WaitTimeoutError, match="goes on"):
            response.wait(0.1)
        with pytest.raises(WaitTimeoutError):
            response.wait(0)
        with pytest.raises(WaitTimeoutError):
            list(response.items(timeout=0))
        gate.opened.set()
        assert response.wait(5).text == "one two"
        assert list(response.text_deltas(timeout=0)) == ["one ", "two"]


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_of_a_failed_answer_gives_what_came_and_then_raises(plain: House, name: str) -> None:
    """Whoever only prints the pieces must not take a failure for the end."""

    def fail(turn: Turn) -> Iterator[str]:
        yield "So far "
        raise RuntimeError

    plain.serve(responder=fail)
    with plain.open().respond("Talk", WRITTEN) as response:
        came: list[Any] = []
        with pytest.raises(ResponseFailedError) as caught:
            came.extend(iter(STREAMS[name](response).__next__, None))
    assert caught.value.code == "server_error"
    assert caught.value.answer.text == "So far "
    if name == "text_deltas":
        with pytest.raises(ResponseFailedError):
            list(response.text_deltas())
    assert not received(plain.live, "response.cancel")


# Leaving early -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [WRITTEN, ASIDE], ids=["in the conversation", "out of band"])
def test_break_cancels_and_the_next_question_works_at_once(house: House, options: Any) -> None:
    gate = Gate()
    house.serve(responder=gate)
    session = house.open()
    first = session.respond("Not even read", options)
    for _ in first.text_deltas():
        break  # without a block, nothing is cancelled
    assert not received(house.live, "response.cancel")
    session.cancel_response(first.id)
    with session.respond("Talk", options) as response:
        for _ in response.text_deltas():
            break
    cancel = house.live.wait_for_message(lambda message: message.get("response_id") == response.id)
    assert cancel["type"] == "response.cancel"
    gate.opened.set()
    with within(3):
        assert session.ask("Again", options).text == "one two"
    answer = response.wait(5)
    assert (answer.status, answer.reason, answer.text) == ("cancelled", "client_cancelled", "one ")
    assert errors(house.live) == []


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_exception_in_the_block_cancels(plain: House, error: type[BaseException]) -> None:
    plain.serve(responder=Gate())
    session = plain.open()
    with pytest.raises(error), session.respond("Talk", WRITTEN) as response:
        raise error
    assert response.wait(5).status == "cancelled"
    assert idle(session)


def test_cancel_stops_it_and_what_came_stays(plain: House) -> None:
    plain.serve(responder=Gate())
    session = plain.open()
    response = session.respond("Talk", WRITTEN)
    next(response.text_deltas())
    response.cancel()
    assert list(response.text_deltas()) == ["one "]
    assert response.wait(5).reason == "client_cancelled"
    response.cancel()  # once done, it is no error, nor is anything sent
    assert len(received(plain.live, "response.cancel")) == 1
    assert errors(plain.live) == []


@pytest.mark.parametrize("moment", ["while it is said", "before it has begun"])
def test_ctrl_c_in_ask_cancels(plain: House, moment: str) -> None:
    gate = Gate()
    early = moment == "before it has begun"
    plain.serve(responder=gate)
    session = plain.open()
    live = plain.live
    free = threading.Event()

    def interrupt() -> None:
        if early:
            with live.lock:  # the request is not even looked at
                free.set()
                until(lambda: session._engine.responses._requested)
                interrupted.wait(0.2)  # for the main thread to wait in earnest; nothing hangs on it
                os.kill(os.getpid(), signal.SIGINT)
                assert interrupted.wait(5)
        else:
            free.set()
            live.wait_for_sent("response.output_text.delta")
            os.kill(os.getpid(), signal.SIGINT)
            while not interrupted.wait(2):  # Python may miss one just before a call that blocks; people press again
                os.kill(os.getpid(), signal.SIGINT)

    interrupted = threading.Event()
    interrupting = Running(interrupt)
    assert free.wait(5)
    with pytest.raises(KeyboardInterrupt):
        session.ask("Talk", WRITTEN)
    interrupted.set()
    interrupting.result()
    live.wait_for_message("response.cancel")
    gate.opened.set()
    assert session.ask("Again", WRITTEN).text == "one two"
    # A cancel that comes just when the answer has finished by itself is refused, which is nobody's fault.
    assert set(errors(live)) <= {"response_cancel_not_active"}


def test_ctrl_c_just_as_the_answer_begins_cancels(plain: House) -> None:
    """The request is acknowledged, and the response is not yet known to have begun."""
    gate = Gate()
    plain.serve(responder=gate)
    moments = iter([True])

    def in_between(frame: types.FrameType, event: str, arg: object) -> None:
        in_router = frame.f_globals["__name__"] == "realtime_sync.core.response_router"
        if event == "call" and in_router and frame.f_code.co_name == "_begin" and next(moments, False):  # once
            os.kill(os.getpid(), signal.SIGINT)
            with contextlib.suppress(AssertionError):  # it is not to take the request for one that was not sent
                until(lambda: not requested, 0.5)

    threading.setprofile(in_between)  # of the reader of the next connection
    try:
        session = plain.open()
    finally:
        threading.setprofile(None)
    requested = session._engine.responses._requested
    with pytest.raises(KeyboardInterrupt):
        session.ask("Talk", WRITTEN)
    plain.live.wait_for_message("response.cancel")
    gate.opened.set()
    assert session.ask("Again", WRITTEN).text == "one two"


# The end of the connection -------------------------------------------------------------------------------------------


CREATED: dict[str, Any] = {
    "type": "response.created",
    "response": {"id": "r", "status": "in_progress", "conversation_id": "c"},
}
DONE = {"type": "response.done", "response": {"id": "r", "status": "completed", "conversation_id": "c", "output": []}}
PLACE = {"response_id": "r", "item_id": "i", "output_index": 0, "content_index": 0}
ANSWER: list[dict[str, Any]] = [
    CREATED,
    {"type": "response.output_text.delta", **PLACE, "delta": "Hel"},
    {"type": "response.output_text.delta", **PLACE, "delta": "lo"},
    {"type": "response.output_audio_transcript.delta", **PLACE, "delta": "Hel"},
    {"type": "response.output_audio.delta", **PLACE, "delta": "AAAA"},
    {"type": "response.output_audio.delta", **PLACE, "delta": "AAAA"},
    {"type": "response.output_item.done", "response_id": "r", "output_index": 0, "item": {"id": "i", "type": "m"}},
    DONE,
]
ENDS = {"drop": faults.drop, "eof": faults.eof, "close": lambda: faults.close(1011, "overloaded")}


@pytest.mark.parametrize("how", ENDS)
@pytest.mark.parametrize("said", range(len(ANSWER)))
def test_whenever_the_connection_ends_everyone_is_released(plain: House, said: int, how: str) -> None:
    released_at = threading.Event()
    steps: list[Any] = [expect("response.create"), *ANSWER[:said], lambda live: released_at.wait(5) and None]
    plain.serve(responder=Script([*steps, ENDS[how]()]))
    session = plain.open()
    asking: list[Running] = []
    if said == 0:
        asking = [Running(lambda: session.ask()), Running(lambda: session.respond("second in the queue"))]
        plain.live.wait_for_message("response.create")
    else:
        response = session.respond()
        asking = [Running(lambda read=read: list(read(response))) for read in STREAMS.values()]  # type: ignore[misc]
        asking += [Running(response.wait), Running(lambda: session.ask("next in the queue"))]
        came = "Hello"[: 3 if said == 2 else 5 if said > 2 else 0]
        until(lambda: response.answer().text == came)  # a reset may overtake what was sent before it
    released_at.set()
    for one in asking:
        assert isinstance(one.join(5), ConnectionClosedError)
    with pytest.raises(ConnectionClosedError):
        session.ask("too late")
    assert idle(session)
    if said:
        assert response.answer().text == came


@pytest.mark.parametrize("moment", ["drop", "eof"])
def test_the_connection_ends_mid_audio(house: House, moment: str) -> None:
    house.serve(responder=lambda turn: Reply(LONG, delta_delay=0.01))
    session = house.open()
    response = session.respond("Talk")
    reading = Running(lambda: list(response.audio_chunks()))
    until(lambda: len(response.answer().audio) >= 4800)  # at the client: a reset overtakes what was sent before it
    house.live.inject(ENDS[moment]())
    assert isinstance(reading.join(5), ConnectionClosedError)
    with pytest.raises(ConnectionClosedError):
        response.wait(5)
    assert len(response.answer().audio) >= 4800
    with pytest.raises(ConnectionClosedError), session.respond("Again"):
        pass


def test_closing_releases_everyone_who_reads_waits_or_asks(house: House) -> None:
    house.serve(responder=Gate())
    session = house.open()
    with session.respond("Talk", WRITTEN) as response:
        stream = response.text_deltas()
        assert next(stream) == "one "
        reading, waiting = Running(lambda: list(stream)), Running(response.wait)
        queueing = Running(lambda: session.ask("Me too", WRITTEN))
        house.live.wait_for_message("response.create")
        with within(4):
            session.close()
            assert isinstance(reading.join(), ConnectionClosedError)
            assert isinstance(waiting.join(), ConnectionClosedError)
            assert isinstance(queueing.join(), (ConnectionClosedError, SessionNotOpenError))
    with pytest.raises(SessionNotOpenError):
        session.respond("Again")


def test_an_answer_that_is_complete_outlives_the_connection(plain: House) -> None:
    session = plain.open()
    response = session.respond("Hello")
    response.wait(5)
    plain.live.inject(faults.drop())
    until(lambda: session.closed)
    assert response.wait().completed
    assert b"".join(response.audio_chunks()) == response.answer().audio


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_after_a_fork_the_child_is_told_at_once(plain: House) -> None:
    gate = Gate()
    plain.serve(responder=gate)
    session = plain.open()
    response = session.respond("Talk", WRITTEN)
    stream = response.text_deltas()
    next(stream)
    child = os.fork()
    if child == 0:
        told = 0
        for use in (lambda: session.ask("x"), response.wait, response.answer, lambda: list(response.text_deltas())):
            try:
                use()
            except ForkedSessionError:
                told += 1
        response.__exit__()
        os._exit(told)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 4
    gate.opened.set()
    assert response.wait(5).text == "one two"


# Servers that do otherwise -------------------------------------------------------------------------------------------


def test_a_server_that_knows_no_metadata_answers_in_order(plain: House) -> None:
    def answered(number: int) -> list[Any]:
        text = json.dumps([CREATED, *ANSWER[1:3], DONE]).replace('"r"', f'"r{number}"').replace("Hel", f"{number}Hel")
        return [expect("response.create"), *json.loads(text)]

    plain.serve(responder=Script([step for number in range(3) for step in answered(number)]))
    session = plain.open()
    asking = [Running(lambda: session.ask("Hi").text) for _ in range(3)]
    assert sorted(one.result() for one in asking) == ["0Hello", "1Hello", "2Hello"]
    assert idle(session)


def test_without_metadata_an_answer_asked_for_by_hand_is_not_taken_for_ours(plain: House) -> None:
    def refuse_the_second(live: Any) -> Any:
        named = received(live, "response.create")[1]["event_id"]
        return {"type": "error", "error": {"code": "no", "message": "not now", "event_id": named}}

    created, done = (json.loads(json.dumps(message).replace('"r"', '"by hand"')) for message in (CREATED, DONE))
    both: list[Any] = [expect("response.create"), expect("response.create")]
    plain.serve(responder=Script([*both, created, refuse_the_second, done]))
    session = plain.open()
    by_hand = session.start_response()
    with pytest.raises(ServerError, match="not now"):
        session.respond(options=ASIDE)
    assert by_hand.wait(5).response_id == "by hand"
    until(lambda: idle(session))


def test_a_server_that_makes_strings_of_metadata_is_understood(plain: House) -> None:
    def created(live: Any) -> Any:
        metadata = received(live, "response.create")[0]["response"]["metadata"]
        told = {**CREATED["response"], "metadata": {key: str(value) for key, value in metadata.items()}}
        return {**CREATED, "response": told}

    plain.serve(responder=Script([expect("response.create"), created, *ANSWER[1:]]))
    options = ConversationResponseOptions(metadata={"n": 1})  # type: ignore[dict-item]
    assert plain.open().ask(options=options, timeout=5).text == "Hello"


def test_a_piece_that_is_not_base64_is_told_and_the_rest_is_heard(
    plain: House, caplog: pytest.LogCaptureFixture
) -> None:
    broken = {**ANSWER[4], "delta": "!?"}
    plain.serve(responder=Script([expect("response.create"), CREATED, ANSWER[4], broken, ANSWER[5], DONE]))
    assert plain.open().ask().audio == b"\0" * 6
    assert "not base64" in caplog.text


# Beside updates() ----------------------------------------------------------------------------------------------------


def test_a_subscription_sees_everything_meanwhile(house: House) -> None:
    session = house.open()
    with session.subscribe() as stream:
        answer = session.ask("Hello")
        deltas = []
        for update in stream:
            if update.type == "response.output_audio.delta":
                deltas.append(update.audio_bytes)
            if update.type == "response.done":
                break
    assert b"".join(deltas) == answer.audio


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if record.levelno >= logging.WARNING]


def test_who_only_asks_has_nothing_waiting_and_no_warning(plain: House, caplog: pytest.LogCaptureFixture) -> None:
    plain.serve(responder=lambda turn: LONG * 10)
    session = plain.open(limits=QueueLimits(queued=100_000, unread=100_000))
    for _ in range(10):
        assert session.ask("Talk", WRITTEN).text == LONG * 10
    assert not session.closed
    assert next(session.updates()).type == "session.created"  # nothing had to be dropped
    assert warnings(caplog) == []


def test_a_subscription_that_is_read_on_another_thread_loses_nothing(plain: House) -> None:
    """However slow it is."""
    plain.serve(responder=lambda turn: LONG * 10)
    session = plain.open(limits=QueueLimits(queued=10_000_000, unread=20_000))
    stream, go_on = session.subscribe(), threading.Event()

    def read() -> list[str]:
        taken: list[str] = []
        dones = 0
        while dones < 8:
            update = next(stream)
            assert go_on.wait(10)
            if isinstance(update, ResponseOutputTextDeltaUpdate):
                taken.append(update.delta)
            dones += update.type == "response.done"
        return taken

    reading = Running(read)
    answers = [session.ask("Talk", WRITTEN).text for _ in range(8)]
    go_on.set()
    assert "".join(reading.result()) == "".join(answers)


def test_metadata_and_order_are_the_same_for_all_who_look(plain: House) -> None:
    session = plain.open()
    with session.subscribe() as stream:
        response = session.respond("Hi", attrs.evolve(WRITTEN, metadata={"a": "b"}))
        created = stream.wait_for("response.created", 5)
    assert created.response.metadata["a"] == "b"
    assert created.response.metadata[METADATA_KEY] == received(plain.live, "response.create")[0]["event_id"]
    assert sent_text(plain.live, response.wait(5).id) == response.answer().text
    assert len(sent(plain.live, "response.created")) == 1

"""Iteration, waiting and independent streams."""

from __future__ import annotations

import gc
import math
import sys
from typing import Any, Callable

import pytest

from realtime_sync import (
    ConversationItem,
    ConversationUpdateKind,
    InvalidInputError,
    ResponseDoneUpdate,
    ServerError,
    SessionCreatedUpdate,
    UnreadableUpdate,
    UsageError,
    WaitTimeoutError,
)
from realtime_sync.server import Script, expect, faults
from tests.core.harness import House, Running, delta, numbers, waits_for_updates, within


def test_a_session_that_has_started_knows_what_the_server_has_greeted_it_with(plain: House) -> None:
    plain.serve()
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # seconds; so that the reader is interrupted in whatever it does with the greeting
    try:
        for _ in range(60):
            with plain.open() as session:
                assert session.session is not None
    finally:
        sys.setswitchinterval(usual)


def streaming(count: int, *more: Any) -> Script:
    return Script([delta(number) for number in range(count)] + list(more))


def test_updates_come_in_order_from_the_first_one_on(house: House) -> None:
    house.serve(responder=streaming(200, faults.close(1000)))
    created, *updates = house.open().updates()
    assert isinstance(created, SessionCreatedUpdate)
    assert numbers(updates) == list(range(200))


def test_break_closes_nothing_and_loses_nothing(house: House) -> None:
    house.serve(responder=streaming(30, expect("more"), delta(30), faults.close(1000)), first_update=None)
    session = house.open()
    taken: list[Any] = []
    for wanted in (1, 7, 20):
        for update in session.updates():
            taken.append(update)
            if len(taken) >= wanted:
                break
        gc.collect()  # the iterator that was left is gone; what it stood on is not
        assert not session.closed
    session.send_message({"type": "more"})
    taken += session.updates()
    assert numbers(taken) == list(range(31))


def test_one_iterator_can_be_left_and_gone_on_with(plain: House) -> None:
    plain.serve(responder=streaming(10, faults.close(1000)), first_update=None)
    updates = plain.open().updates()
    first = [next(updates) for _ in range(4)]
    assert numbers(first + list(updates)) == list(range(10))
    assert list(updates) == []


def test_wait_for_takes_one_and_leaves_the_others(house: House) -> None:
    house.serve(responder=streaming(5, {"type": "rate_limits.updated", "rate_limits": []}, faults.close(1000)))
    session = house.open()
    found = session.wait_for(ConversationUpdateKind.RATE_LIMITS_UPDATED, timeout=5)
    assert found.type == "rate_limits.updated"
    assert numbers([session.wait_for(lambda update: getattr(update, "delta", "").startswith("3"), timeout=5)]) == [3]
    assert session.wait_for(SessionCreatedUpdate, timeout=5).session_id == session.id
    assert session.wait_for("response.output_text.delta", timeout=5).event_id == "event_0"
    assert numbers(list(session.updates())) == [1, 2, 4]


def test_wait_for_finds_a_type_that_this_version_does_not_know(plain: House) -> None:
    plain.serve(faults=faults.Faults(acts=[faults.unknown_event()]))
    assert plain.open().wait_for("response.from_the_future", timeout=5).extra["answer"] == 42


def test_a_condition_may_use_the_session(plain: House) -> None:
    session = plain.open()

    def wanted(update: Any) -> bool:
        if update.kind is ConversationUpdateKind.SESSION_CREATED:
            session.add_item("Hello").wait()  # the reader goes on while the condition is asked
            return False
        return update.kind is ConversationUpdateKind.CONVERSATION_ITEM_ADDED

    assert session.wait_for(wanted, timeout=5).item.content[0].text == "Hello"
    assert session.receive_update(timeout=5).kind is ConversationUpdateKind.SESSION_CREATED


def test_what_a_condition_raises_loses_nothing(plain: House) -> None:
    session = plain.open()
    with pytest.raises(ZeroDivisionError):
        session.wait_for(lambda update: bool(1 / 0), timeout=5)
    assert session.receive_update(timeout=5).kind is ConversationUpdateKind.SESSION_CREATED


@pytest.mark.parametrize("wanted", [None, 5, int, object(), [ConversationUpdateKind.ERROR]])
def test_waiting_for_nonsense_is_refused(plain: House, wanted: Any) -> None:
    session = plain.open()
    with pytest.raises(InvalidInputError, match="kind"):
        session.wait_for(wanted, timeout=1)
    with pytest.raises(InvalidInputError, match="kind"):
        session.on(wanted, print)


def test_two_consumers_share_and_each_update_goes_to_one(house: House) -> None:
    house.serve(responder=streaming(2000, faults.close(1000)), first_update=None)
    session = house.open()
    consumers = [Running(lambda: list(session.updates())) for _ in range(2)]
    taken = [numbers(consumer.result()) for consumer in consumers]
    assert sorted(taken[0] + taken[1]) == list(range(2000))
    assert all(part == sorted(part) for part in taken)


def test_two_threads_may_share_one_iterator(plain: House) -> None:
    plain.serve(responder=Script([expect("go"), *streaming(500, faults.close(1000)).steps]))
    session = plain.open()
    session.wait_for("session.created")
    updates = session.updates()
    consumers = [Running(lambda: list(updates)) for _ in range(2)]
    waits_for_updates(session, 2)
    session.send_message({"type": "go"})
    taken = [numbers(consumer.result()) for consumer in consumers]
    assert sorted(taken[0] + taken[1]) == list(range(500))


def test_a_subscription_is_independent_of_other_consumers(house: House) -> None:
    house.serve(responder=Script([expect("go"), *streaming(50, faults.close(1000)).steps]))
    session = house.open()
    with session.subscribe() as stream:
        session.send_message({"type": "go"})
        assert numbers(list(stream)) == list(range(50))
    assert len(list(session.updates())) == 51


def test_a_subscription_after_the_end_ends_at_once(plain: House) -> None:
    session = plain.open()
    session.close()
    assert list(session.subscribe()) == []


def test_closing_a_stream_releases_who_waits_in_it_and_nobody_else(plain: House) -> None:
    session = plain.open()
    stream = session.subscribe()
    ends = [
        Running(lambda: list(stream)),
        Running(lambda: stream.receive()),
        Running(lambda: stream.wait_for("response.done")),
    ]
    stream.close()
    stream.close()
    assert ends[0].result() == []
    for end in ends[1:]:
        with pytest.raises(UsageError, match="stream"):
            end.result()
    assert session.add_item("still here").wait().type == "conversation.item.added"


def test_a_closed_stream_costs_nothing_more(plain: House) -> None:
    session = plain.open()
    for _ in range(50):
        session.subscribe().close()
    session.add_item("x").wait()
    assert len(session._engine._listeners) == 1


@pytest.mark.parametrize("timeout", [0, 0.05])
def test_a_wait_whose_time_is_up_says_so_and_the_session_goes_on(plain: House, timeout: float) -> None:
    session = plain.open()
    assert session.receive_update(timeout=timeout).kind is ConversationUpdateKind.SESSION_CREATED
    with within(1), pytest.raises(WaitTimeoutError, match="goes on") as caught:
        session.receive_update(timeout=timeout)
    assert isinstance(caught.value, TimeoutError)
    with within(1), pytest.raises(WaitTimeoutError, match=r"response\.done"):
        session.wait_for("response.done", timeout=timeout)
    with within(1), pytest.raises(WaitTimeoutError, match="ResponseDoneUpdate"):
        session.wait_for(ResponseDoneUpdate, timeout=timeout)
    assert session.add_item("Hi").wait().type == "conversation.item.added"


@pytest.mark.parametrize("timeout", [None, math.inf, 1e12])
def test_without_a_limit_it_waits_until_something_comes(plain: House, timeout: Any) -> None:
    session = plain.open()
    session.wait_for("session.created")
    waiting = Running(lambda: session.receive_update(timeout=timeout))
    waits_for_updates(session)
    handle = session.add_item("Hi")
    assert waiting.result().type == "conversation.item.added"
    assert handle.wait(timeout=timeout).type == "conversation.item.added"


@pytest.mark.parametrize("timeout", [-1, -0.001, math.nan, "5", True, b"", [1]])
def test_a_time_out_that_is_no_number_of_seconds_is_refused(plain: House, timeout: Any) -> None:
    session = plain.open()
    handle = session.add_item("Hi")
    sending = session.start_sending_audio(bytes(480))
    waits: list[Callable[[], Any]] = [
        lambda: session.receive_update(timeout=timeout),
        lambda: session.wait_for("response.done", timeout=timeout),
        lambda: handle.wait(timeout=timeout),
        lambda: sending.wait(timeout=timeout),
    ]
    for wait in waits:
        with pytest.raises(InvalidInputError, match="seconds"):
            wait()


def test_an_error_event_is_an_update_like_others(house: House) -> None:
    session = house.open()
    session.delete_item("item_that_is_not_there")
    update = session.wait_for("error", timeout=5)
    assert update.error.code == "item_delete_invalid_item_id"
    assert not session.closed


def test_errors_may_be_asked_for_as_exceptions_and_iteration_goes_on(plain: House) -> None:
    session = plain.open()
    session.delete_item("item_that_is_not_there")
    session.add_item("Hi").wait()
    updates = session.updates(raise_errors=True)
    assert next(updates).type == "session.created"
    with pytest.raises(ServerError) as caught:
        next(updates)
    assert caught.value.update is not None
    assert (caught.value.code, caught.value.update.type) == ("item_delete_invalid_item_id", "error")
    assert next(updates).type == "conversation.item.added"


def test_frames_that_are_no_messages_arrive_as_such(house: House) -> None:
    house.serve(responder=Script([b"\x00binary", "no {json", "[1]", '{"type": 7}', faults.close(1000)]))
    _, *updates = house.open().updates()
    assert [type(update) for update in updates] == [UnreadableUpdate] * 4
    assert (updates[0].raw_bytes, updates[1].raw_content) == (b"\x00binary", "no {json")


def test_callbacks_get_what_they_asked_for(plain: House) -> None:
    session = plain.open()
    seen: list[str] = []
    session.on(SessionCreatedUpdate, lambda update: seen.append(update.type))
    session.on("conversation.item.added", lambda update: seen.append(update.item.content[0].text))
    session.on(lambda update: update.type == "conversation.item.done", lambda update: session.close())
    session.add_item(ConversationItem.create_user_message("Hi"))
    session.run()
    assert seen == ["session.created", "Hi"]


def test_what_a_callback_raises_ends_run_and_nothing_else(plain: House) -> None:
    session = plain.open()
    session.on("session.created", lambda update: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        session.run()
    assert session.add_item("Hi").wait().type == "conversation.item.added"

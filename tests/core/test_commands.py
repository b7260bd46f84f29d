"""Commands and their handles: acknowledged, refused, timed out, lost."""

from __future__ import annotations

import gc
import json
import threading
import weakref
from typing import Any, Callable

import pytest

from realtime_sync import (
    ConnectionLostError,
    ConnectionReplacedError,
    ConversationItem,
    ConversationResponseOptions,
    ConversationSessionOptions,
    ConversationUpdate,
    ServerError,
    Timeouts,
    TurnDetectionOptions,
    UsageError,
    WaitTimeoutError,
)
from realtime_sync.core.commands import CommandHandle, PendingCommands
from realtime_sync.core.realtime import realtime_vocabulary
from realtime_sync.protocol.dialects import Dialect
from realtime_sync.reconnect.state import error_of_loss
from realtime_sync.server import Script, expect, faults
from realtime_sync.session import RealtimeConversationSession as Session
from tests.core.harness import House, Running, within

TEXT_ONLY = ConversationResponseOptions(content_modalities=["text"])
MANUAL = ConversationSessionOptions(turn_detection_options=None)


def say(session: Session, text: str = "Hi") -> str:
    """An item of the model's with audio; its id."""
    session.add_item(text).wait()
    session.start_response().wait()
    done: Any = session.wait_for("response.done", timeout=5)
    return str(done.response.output[0].id)


def append_and_commit(session: Session) -> Any:
    session.configure_session(MANUAL)
    session.send_audio(bytes(24_000))
    return session.commit_pending_audio()


COMMANDS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "configure_session": (
        lambda s: s.configure_session(ConversationSessionOptions(instructions="x")),
        "session.updated",
    ),
    "add_item": (lambda s: s.add_item("Hello"), "conversation.item.added"),
    "add_item_with_id": (
        lambda s: s.add_item(ConversationItem.create_user_message("Hello", id="item_mine")),
        "conversation.item.added",
    ),
    "retrieve_item": (lambda s: s.retrieve_item(say(s)), "conversation.item.retrieved"),
    "truncate_item": (lambda s: s.truncate_item(say(s), audio_end_ms=10), "conversation.item.truncated"),
    "delete_item": (lambda s: s.delete_item(say(s)), "conversation.item.deleted"),
    "commit_pending_audio": (append_and_commit, "input_audio_buffer.committed"),
    "clear_input_audio": (lambda s: s.clear_input_audio(), "input_audio_buffer.cleared"),
    "start_response": (lambda s: s.start_response(TEXT_ONLY), "response.created"),
    "send_message": (lambda s: s.send_message({"type": "input_audio_buffer.clear"}), "input_audio_buffer.cleared"),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_acknowledged_by_its_update(house: House, name: str) -> None:
    call, acknowledged_by = COMMANDS[name]
    session = house.open()
    handle = call(session)
    update = handle.wait()
    assert update.type == acknowledged_by
    assert handle.done
    assert handle.update is update
    assert handle.error is None
    assert handle.wait(0) is update
    assert acknowledged_by in repr(handle)
    assert session.wait_for(acknowledged_by, timeout=1).type == acknowledged_by  # also an update like all others


def test_an_item_is_acknowledged_by_its_own_id(plain: House) -> None:
    session = plain.open()
    items = [ConversationItem.create_user_message(str(n), id=f"item_{n}") for n in range(20)]
    handles = [session.add_item(item) for item in items]
    for number, handle in reversed(list(enumerate(handles))):
        update: Any = handle.wait()
        assert (update.item.id, update.item.content[0].text) == (f"item_{number}", str(number))


def test_an_item_without_an_id_is_given_one_so_that_it_can_be_told_from_others(plain: House) -> None:
    session = plain.open()
    session.send_message({"type": "conversation.item.create", "item": "nonsense", "event_id": "raw"})
    update: Any = session.add_item("mine").wait()
    sent = plain.live.wait_for_message("conversation.item.create", count=2)
    assert update.item.id == sent["item"]["id"]
    assert len(update.item.id) <= 32


def test_an_error_is_for_the_command_that_it_names_alone(house: House) -> None:
    session = house.open()
    first = session.configure_session(ConversationSessionOptions(extra={"no_such_thing": 1}))
    second = session.configure_session(ConversationSessionOptions(instructions="second"))
    third = session.delete_item("item_none", event_id="the_third")
    update: Any = second.wait()
    assert update.session.instructions == "second"
    with pytest.raises(ServerError, match="Unknown parameter") as caught:
        first.wait()
    assert caught.value.code == "unknown_parameter"
    assert caught.value.param == "session.no_such_thing"
    assert caught.value.event_id == first.event_id
    assert caught.value.update is not None
    assert caught.value.update.raw_content
    with pytest.raises(ServerError) as caught:
        third.wait()
    assert caught.value.event_id == "the_third"
    assert "refused" in repr(third)
    assert not session.closed


def test_two_updates_in_flight_of_which_the_first_is_refused_late(plain: House) -> None:
    """The service answers in its own time: the second's acknowledgement may come before the first's error."""
    steps: list[Any] = [
        expect("session.update"),
        lambda s: {"type": "error", "error": {"type": "t", "message": "no", "event_id": s.received[0]["event_id"]}},
        expect("session.update"),
        {"type": "session.updated", "session": {"instructions": "b"}},
    ]
    plain.serve(responder=Script(steps))
    session = plain.open()
    handles = [session.configure_session(ConversationSessionOptions(instructions=word)) for word in "ab"]
    with pytest.raises(ServerError, match="no"):
        handles[0].wait()
    assert handles[1].wait().type == "session.updated"


def test_an_error_that_names_nobody_refuses_nobody(plain: House) -> None:
    steps: list[Any] = [
        expect("conversation.item.create"),
        {"type": "error", "error": {"type": "server_error", "message": "somewhere", "event_id": None}},
        {"type": "error", "error": {"type": "server_error", "message": "somewhere", "event_id": "of_another"}},
        lambda s: {"type": "conversation.item.added", "item": s.received[0]["item"]},
    ]
    plain.serve(responder=Script(steps))
    assert plain.open().add_item("Hi").wait().type == "conversation.item.added"


def test_responses_in_flight_are_told_apart_by_their_metadata(plain: House) -> None:
    made = [
        {"type": "response.created", "response": {"id": f"resp_{word}", "metadata": metadata}}
        for word, metadata in (("vad", None), ("b", {"which": "b"}), ("a", {"which": "a"}))
    ]
    plain.serve(responder=Script([expect("response.create"), expect("response.create"), *made]))
    session = plain.open()
    handles = [session.start_response(ConversationResponseOptions(metadata={"which": word})) for word in "ab"]
    assert [handle.wait().response.id for handle in handles] == ["resp_a", "resp_b"]


def test_out_of_band_responses_of_the_real_machine_are_told_apart(house: House) -> None:
    session = house.open()
    options = [
        ConversationResponseOptions(conversation="none", content_modalities=["text"], metadata={"n": str(n)})
        for n in range(5)
    ]
    handles = [session.start_response(option) for option in options]
    told: list[Any] = [handle.wait() for handle in handles]
    assert [update.response.metadata["n"] for update in told] == list("01234")
    assert len({update.response.id for update in told}) == 5


def test_a_second_response_is_refused_while_one_is_active(plain: House) -> None:
    release = threading.Event()

    def responder(turn: Any) -> str:
        release.wait(5)
        return "done"

    plain.serve(responder=responder)
    session = plain.open()
    session.start_response(TEXT_ONLY).wait()
    with pytest.raises(ServerError) as caught:
        session.start_response(TEXT_ONLY).wait()
    assert caught.value.code == "conversation_already_has_active_response"
    release.set()
    assert session.wait_for("response.done", timeout=5).response.status == "completed"


def test_a_cancelled_response_is_acknowledged_by_its_end(house: House) -> None:
    def endless(turn: Any) -> Any:
        while not turn.cancelled.wait(0.005):
            yield "more "

    house.serve(responder=endless)
    session = house.open()
    created: Any = session.start_response(TEXT_ONLY).wait()
    done: Any = session.cancel_response(created.response.id).wait()
    assert (done.response.id, done.response.status) == (created.response.id, "cancelled")
    with pytest.raises(ServerError) as caught:
        session.cancel_response().wait()
    assert caught.value.code == "response_cancel_not_active"


def test_an_acknowledgement_that_does_not_come_times_out_and_may_come_later(plain: House) -> None:
    steps: list[Any] = [
        expect("input_audio_buffer.clear"),
        expect("now"),
        {"type": "input_audio_buffer.cleared"},
    ]
    plain.serve(responder=Script(steps))
    session = plain.open()
    handle = session.clear_input_audio()
    with within(1), pytest.raises(WaitTimeoutError, match=r"input_audio_buffer\.clear was not acknowledged"):
        handle.wait(0.05)
    with pytest.raises(WaitTimeoutError):
        handle.wait(0)
    assert not handle.done
    assert "in flight" in repr(handle)
    session.send_message({"type": "now"})
    assert handle.wait().type == "input_audio_buffer.cleared"


def test_without_a_time_out_the_clients_holds(plain: House) -> None:
    plain.serve(responder=Script([]))
    session = plain.open(timeouts=Timeouts(acknowledge=0.05))
    with within(2), pytest.raises(WaitTimeoutError, match=r"0\.05 s"):
        session.clear_input_audio().wait()


def test_who_waits_learns_that_the_connection_was_lost(house: House) -> None:
    house.serve(responder=Script([]))
    session = house.open()
    handles = [session.clear_input_audio() for _ in range(3)]
    waiting = [Running(handle.wait) for handle in handles]
    house.live.inject(faults.drop())
    for one in waiting:
        with pytest.raises(ConnectionLostError):
            one.result(5)
    with pytest.raises(ConnectionLostError):
        handles[0].wait()
    with pytest.raises(ConnectionLostError):
        session.clear_input_audio()


def test_ignored_handles_are_forgotten_once_acknowledged(plain: House) -> None:
    session = plain.open()
    gone = [weakref.ref(session.clear_input_audio()) for _ in range(200)]
    session.add_item("last").wait()
    gc.collect()
    assert not any(ref() for ref in gone)
    assert not session._engine.connection.commands._pending


def test_commands_that_nobody_can_acknowledge_are_not_remembered_for_ever(plain: House) -> None:
    session = plain.open()
    for _ in range(50):
        session.send_message({"type": "input_audio_buffer.append", "audio": "AAAA"})
    session.add_item("last").wait()
    assert not session._engine.connection.commands._pending


def test_a_server_that_never_acknowledges_fills_no_memory(house: House) -> None:
    house.serve(responder=Script([expect("last", timeout=20), {"type": "input_audio_buffer.cleared"}]))
    session = house.open()
    handles = [session.clear_input_audio() for _ in range(2000)]
    assert len(session._engine.connection.commands._pending) <= 1024
    with pytest.raises(UsageError, match="1024"):
        handles[0].wait()
    session.send_message({"type": "last"})
    assert handles[2000 - 1024].wait().type == "input_audio_buffer.cleared"  # of those that are left, the oldest
    assert not handles[-1].done


def test_of_commands_alike_the_oldest_is_acknowledged_first(plain: House) -> None:
    steps: list[Any] = [expect("session.update"), expect("session.update"), {"type": "session.updated", "session": {}}]
    plain.serve(responder=Script(steps))
    session = plain.open()
    first, second = session.configure_session(MANUAL), session.configure_session(MANUAL)
    assert first.wait().type == "session.updated"
    assert not second.done


def test_what_cannot_be_sent_leaves_nothing_behind(plain: House) -> None:
    session = plain.open()
    with pytest.raises(ValueError, match=r"voice|JSON|sent"):
        session.configure_session(ConversationSessionOptions(extra={"x": object()}))
    assert not session._engine.connection.commands._pending


def test_turn_detection_comes_back_as_it_was_set(plain: House) -> None:
    session = plain.open()
    wanted = TurnDetectionOptions.server_vad(threshold=0.25, silence_duration_ms=300)
    update: Any = session.configure_session(ConversationSessionOptions(turn_detection_options=wanted)).wait()
    assert update.session.turn_detection_options.threshold == 0.25
    assert session.session is not None
    assert session.session.turn_detection_options == update.session.turn_detection_options


# Order --------------------------------------------------------------------------------------------------------------


def test_several_threads_each_get_the_acknowledgement_of_their_own_command(house: House) -> None:
    """Fails where commands are remembered in another order than they are written in."""
    session = house.open()

    def configure(thread: int) -> list[str]:
        wrong = []
        for number in range(150):
            wanted = f"{thread}-{number}"
            update: Any = session.configure_session(ConversationSessionOptions(instructions=wanted)).wait()
            if update.session.instructions != wanted:
                wrong.append(f"{wanted} got {update.session.instructions}")
        return wrong

    configuring = [Running(lambda thread=thread: configure(thread)) for thread in range(4)]  # type: ignore[misc]
    assert [running.result(30) for running in configuring] == [[], [], [], []]


def test_a_refused_message_without_a_name_does_not_take_the_next_acknowledgement(plain: House) -> None:
    session = plain.open()
    nameless = session.send_message({"type": "session.update", "session": {"type": "realtime", "nonsense": 1}})
    for number in range(3):
        options = ConversationSessionOptions(instructions=str(number))
        update: Any = session.configure_session(options).wait()
        assert update.session.instructions == str(number)
    with pytest.raises(ServerError, match="nonsense"):
        nameless.wait()


def test_appends_by_hand_crowd_nobody_out(plain: House) -> None:
    plain.serve(responder=Script([expect("last", timeout=20), {"type": "input_audio_buffer.cleared"}]))
    session = plain.open()
    first = session.clear_input_audio()
    for number in range(1500):
        session.send_message({"type": "input_audio_buffer.append", "event_id": f"a{number}", "audio": "AAAA"})
    session.send_message({"type": "last"})
    assert first.wait().type == "input_audio_buffer.cleared"
    assert len(session._engine.connection.commands._pending) <= 1024


def test_an_append_by_hand_learns_that_it_was_refused(plain: House) -> None:
    message = {"type": "input_audio_buffer.append", "event_id": "mine", "audio": "no base64!"}
    with pytest.raises(ServerError, match="audio") as caught:
        plain.open().send_message(message).wait()
    assert caught.value.event_id == "mine"


def test_the_end_of_an_out_of_band_answer_acknowledges_no_cancellation_of_the_one_in_the_conversation() -> None:
    acknowledgements = PendingCommands(realtime_vocabulary(Dialect.GA))
    cancel = CommandHandle("response.cancel", "event_1", 1, lambda: None)
    acknowledgements.expect(cancel, {"response_id": None})
    for conversation, handle in ((None, None), ("conv_1", cancel)):
        response = {"id": "resp_1", "conversation_id": conversation, "status": "completed"}
        done = ConversationUpdate.from_json(json.dumps({"type": "response.done", "response": response}))
        assert acknowledgements.match(done) is handle


@pytest.mark.parametrize("again", [True, False])
def test_a_command_whose_turn_is_in_the_moment_of_the_end_is_told_what_becomes_of_it(again: bool) -> None:
    """It was kept to be sent again, and only then is it expected here: who hears otherwise sends it twice."""
    late = CommandHandle("conversation.item.create", "event_1", 1, lambda: None)
    error_of = error_of_loss(ConnectionLostError("gone"), [late] if again else [])
    acknowledgements = PendingCommands(realtime_vocabulary(Dialect.GA))
    acknowledgements.end(error_of(None), error_of)
    acknowledgements.expect(late, {})
    assert isinstance(late.error, ConnectionReplacedError)
    assert late.error.sent_again is again

"""``send_message``: what it takes, and that the server gets it byte for byte."""

from __future__ import annotations

import json
import queue
from typing import Any

import pytest

from realtime_sync import ConversationItem, ConversationItemCreateCommand, InvalidInputError, TurnDetectionOptions
from tests.core.harness import House
from tests.transport.peer import TEXT, Link, frame

LITERAL = (
    '{ "type":"anything.at.all",\n\t"label" : "sent as it is, Gr\\u00fc\u00dfe \U0001f3a7",  "n": 1.50, "n": 1e2 }'
)


def reading(heard: queue.Queue[tuple[int, bytes]]) -> Any:
    def script(link: Link) -> None:
        link.send(frame(TEXT, '{"type": "session.created", "session": {}}'))
        while True:
            heard.put(link.read_frame())

    return script


@pytest.mark.filterwarnings("ignore:send_message")
@pytest.mark.parametrize(
    "message", [LITERAL, LITERAL.encode(), bytearray(LITERAL.encode()), "not JSON at all", "[1, 2]", "", "x" * 200_000]
)
def test_text_and_bytes_arrive_byte_for_byte(house: House, message: Any) -> None:
    heard: queue.Queue[tuple[int, bytes]] = queue.Queue()
    peer_errors = (EOFError, ConnectionError)

    def script(link: Link) -> None:
        try:
            reading(heard)(link)
        except peer_errors:
            pass

    house.raw(script).send_message(message)
    assert heard.get(timeout=5) == (TEXT, message.encode() if isinstance(message, str) else bytes(message))


def test_a_dict_arrives_as_it_is(house: House) -> None:
    message = {"type": "anything.at.all", "label": "Grüße 🎧", "none": None, "zero": 0.0, "nested": [{"a": [True]}]}
    session = house.open()
    handle = session.send_message(message)
    assert house.live.wait_for_message("anything.at.all") == message
    assert handle.event_id is None
    assert handle.type == "anything.at.all"


def test_a_message_that_is_named_can_be_refused(house: House) -> None:
    session = house.open()
    for message in ({"type": "nonsense", "event_id": "mine"}, '{"type": "nonsense", "event_id": "mine"}'):
        with pytest.raises(Exception, match="nonsense"):
            session.send_message(message).wait()


def test_a_command_object_is_sent_and_acknowledged(plain: House) -> None:
    session = plain.open()
    command = ConversationItemCreateCommand(item=ConversationItem.create_user_message("Hi", id="item_1"))
    assert session.send_message(command).wait().item_id == "item_1"


def test_extra_fields_of_options_are_sent(plain: House) -> None:
    session = plain.open()
    session.send_message(
        ConversationItemCreateCommand(item=ConversationItem.create_user_message("Hi"), extra={"x": [1]})
    )
    assert plain.live.wait_for_message("conversation.item.create")["x"] == [1]


@pytest.mark.parametrize(
    "message", [None, 5, ["list"], b"\xff\xfe", "\ud800", {"type": object()}, {"type": "x", "n": float("nan")}, {1, 2}]
)
def test_what_cannot_be_sent_is_refused_and_the_session_goes_on(plain: House, message: Any) -> None:
    session = plain.open()
    with pytest.raises(InvalidInputError):
        session.send_message(message)
    assert session.add_item("Hi").wait().type == "conversation.item.added"
    assert all(json.dumps(m) for m in plain.live.received)


@pytest.mark.parametrize("item", [None, 5, {"type": "message"}, b"Hi"])
def test_an_item_that_is_none_is_refused(plain: House, item: Any) -> None:
    with pytest.raises(InvalidInputError, match="item"):
        plain.open().add_item(item)


@pytest.mark.parametrize("ms", [-1, 0.5, "5", None, True, float("nan"), float("inf")])
def test_a_length_without_sense_is_refused(plain: House, ms: Any) -> None:
    with pytest.raises(InvalidInputError, match="milliseconds"):
        plain.open().truncate_item("item_1", audio_end_ms=ms)


@pytest.mark.parametrize("index", [-1, "0", None, True, 1.5])
def test_a_part_that_is_no_number_is_refused(plain: House, index: Any) -> None:
    with pytest.raises(InvalidInputError, match="content_index"):
        plain.open().truncate_item("item_1", audio_end_ms=5, content_index=index)


@pytest.mark.parametrize("name", [5, "", b"event_1", ["event_1"]])
def test_what_can_be_no_name_is_refused_at_the_call(plain: House, name: Any) -> None:
    """The service's error could not be told to belong to the command."""
    session = plain.open()
    calls: list[tuple[str, Any]] = [
        ("event_id", lambda: session.add_item("Hi", event_id=name)),
        ("event_id", lambda: session.clear_input_audio(event_id=name)),
        ("previous_item_id", lambda: session.add_item("Hi", name)),
        ("response_id", lambda: session.cancel_response(name)),
    ]
    for told, call in calls:
        with pytest.raises(InvalidInputError, match=told):
            call()
    assert plain.live.received == []


@pytest.mark.parametrize(
    ("method", "argument"),
    [
        ("configure_session", {"voice": "ash"}),
        ("configure_session", None),
        ("configure_session", TurnDetectionOptions.disabled()),
        ("start_response", "say hi"),
        ("delete_item", None),
        ("retrieve_item", ""),
        ("add_history", "a text is no list of letters"),
        ("add_history", None),
        ("add_history", {"items": []}),
        ("respond", 5),
    ],
)
def test_what_is_no_argument_is_refused_at_the_call(plain: House, method: str, argument: object) -> None:
    session = plain.open()
    with pytest.raises(InvalidInputError):
        getattr(session, method)(argument)
    assert plain.live.received == []


def test_what_are_no_options_of_a_response_are_refused_at_the_call(plain: House) -> None:
    session = plain.open()
    for ask in (session.ask, session.respond):
        with pytest.raises(InvalidInputError, match="ConversationResponseOptions"):
            ask("Hello", {"content_modalities": ["text"]})
    assert plain.live.received == []


def test_what_is_no_callback_is_refused_at_the_call(plain: House) -> None:
    with pytest.raises(InvalidInputError, match="callback"):
        plain.open().on("response.done", None)

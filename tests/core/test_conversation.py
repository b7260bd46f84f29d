"""A conversation gathered from a live session is the one that the server holds."""

from __future__ import annotations

import json
from typing import Any

import attrs
import pytest

from realtime_sync import (
    AzureOpenAIClient,
    ConversationFunctionTool,
    ConversationItem,
    ConversationItemAddedUpdate,
    ConversationItemRetrievedUpdate,
    ConversationResponseOptions,
    ConversationSessionOptions,
    ConversationUpdate,
    FunctionCallItem,
    InputTranscriptionOptions,
    MessageItem,
    ResponseDoneUpdate,
    TurnDetectionOptions,
)
from realtime_sync.conversation import Conversation
from realtime_sync.core.realtime import RealtimeState
from realtime_sync.protocol.dialects import Dialect
from realtime_sync.server import Reply
from tests.core.harness import House
from tests.server.sounds import tone

OPTIONS = ConversationSessionOptions(
    turn_detection_options=TurnDetectionOptions.disabled(),
    input_transcription_options=InputTranscriptionOptions(model="gpt-transcribe"),
    tools=[ConversationFunctionTool(name="get_weather", parameters={"type": "object", "properties": {}})],
)


class Listener:
    """A session and the conversation that its updates make."""

    def __init__(self, session: Any, **options: Any) -> None:
        self.session = session
        self.conversation = Conversation(**options)

    def until(self, wanted: str) -> ConversationUpdate:
        while True:
            update: ConversationUpdate = self.session.receive_update(timeout=5)
            self.conversation.apply(update)
            if update.type == wanted:
                return update

    def answer(self, options: Any = None) -> ResponseDoneUpdate:
        self.session.start_response(options)
        update = self.until("response.done")
        assert isinstance(update, ResponseDoneUpdate)
        return update


def held_by_server(house: House) -> list[ConversationItem]:
    """The server's own items, read as a client reads them."""
    read = []
    for item in house.live.conversation:
        update = ConversationUpdate.from_json(json.dumps({"type": "conversation.item.done", "item": item.wire}))
        read.append(getattr(update, "item", None))
    return read  # type: ignore[return-value]


def without_kind(items: list[ConversationItem]) -> list[ConversationItem]:
    """Preview tells ``object`` with each item, which the server itself does not keep."""
    return [attrs.evolve(item, object=None) for item in items]


def test_a_conversation_of_all_kinds_is_as_the_server_has_it(house: House) -> None:
    listener = Listener(house.open(start={"options": OPTIONS}), keep_audio=True)
    session = listener.session
    session.add_item("Hello")
    listener.answer(ConversationResponseOptions(content_modalities=["text"]))
    session.add_item("What is the weather in London?")
    call = listener.answer().response.output[0]
    assert isinstance(call, FunctionCallItem)
    session.add_item(ConversationItem.create_function_call_output(str(call.call_id), {"sky": "grey"}))
    spoken = listener.answer().response.output[0]
    session.add_item(ConversationItem.create_system_message("Be brief", id="first"), "root")
    session.send_audio(iter([tone(300)]))
    session.commit_pending_audio()
    listener.until("conversation.item.input_audio_transcription.completed")
    listener.answer(ConversationResponseOptions(conversation="none", content_modalities=["text"]))
    session.truncate_item(spoken.id, audio_end_ms=120)
    listener.until("conversation.item.truncated")
    session.delete_item(call.id)
    listener.until("conversation.item.deleted")

    conversation = listener.conversation
    assert conversation.items == held_by_server(house)
    assert conversation.items[0].id == "first"
    assert len(conversation.responses) == 4
    server_item = house.live.conversation.get(str(spoken.id))
    assert server_item is not None
    assert conversation.audio(str(spoken.id)) == server_item.audio[0]
    assert (conversation.heard_ms(str(spoken.id)), conversation.audio_ms(str(spoken.id))) == (120, 120)
    assert Conversation.from_json(conversation.to_json()) == conversation


def test_each_item_is_what_retrieving_it_tells(plain: House) -> None:
    listener = Listener(plain.open(start={"options": OPTIONS}))
    listener.session.add_item("Hello")
    listener.answer()
    told = listener.conversation.items
    for item in told:
        listener.session.retrieve_item(str(item.id))
        update = listener.until("conversation.item.retrieved")
        assert isinstance(update, ConversationItemRetrievedUpdate)
        assert isinstance(update.item, MessageItem)
        for part in update.item.content:
            part.audio = None
        assert update.item == item
    assert listener.conversation.items == told


def test_an_interrupted_answer_is_as_far_as_it_came(plain: House) -> None:
    plain.serve(responder=lambda turn: Reply("One two three four five six seven eight nine ten", delta_delay=0.02))
    listener = Listener(plain.open())
    listener.session.add_item("Count")
    listener.session.start_response()
    listener.until("response.output_audio_transcript.delta")
    listener.session.cancel_response()
    listener.until("response.done")
    assert listener.conversation.items == held_by_server(plain)
    assert listener.conversation.items[-1].status == "incomplete"
    assert listener.conversation.responses[0].status == "cancelled"


def test_usage_is_the_sum_of_what_the_server_told(plain: House) -> None:
    listener = Listener(plain.open(start={"options": OPTIONS}))
    for text in ("Hello", "How do you do? " * 30, "Goodbye"):
        listener.session.add_item(text)
        listener.answer()
    usages = [event["response"]["usage"] for event in plain.live.sent if event["type"] == "response.done"]
    told = listener.conversation.usage
    assert told.responses == len(usages) == 3
    assert told.total_tokens == sum(usage["total_tokens"] for usage in usages)
    assert told.cached_tokens == sum(usage["input_token_details"]["cached_tokens"] for usage in usages) > 0
    assert told.output_audio_tokens == sum(usage["output_token_details"]["audio_tokens"] for usage in usages) > 0
    assert listener.conversation.cost() is None  # the house's model is called "m"


def test_history_makes_the_same_conversation_in_another_session(plain: House) -> None:
    first = Listener(plain.open(start={"options": OPTIONS}))
    first.session.add_item("What is the weather in London?")
    call = first.answer().response.output[0]
    assert isinstance(call, FunctionCallItem)
    first.session.add_item(ConversationItem.create_function_call_output(str(call.call_id), "Grey"))
    first.answer()
    second = Listener(plain.open())
    history = first.conversation.history()
    for item in history:
        second.session.add_item(item).wait()
    second.answer(ConversationResponseOptions(content_modalities=["text"]))
    assert [item.id for item in second.conversation.items[:-1]] == [item.id for item in first.conversation.items]
    assert second.conversation.history()[:-1] == history
    assert first.conversation.history_losses() == []


@pytest.mark.parametrize("api_version", ["v1", "2025-04-01-preview"])
def test_both_dialects_tell_the_same_conversation(plain: House, api_version: str) -> None:
    client = AzureOpenAIClient(plain.server.azure_endpoint, "any-key", api_version=api_version)
    with client.get_realtime_conversation_client("my-deployment") as realtime:
        listener = Listener(plain.stack.enter_context(realtime.start_conversation_session()))
        listener.session.add_item("Hello")
        listener.answer()
        listener.session.add_item(ConversationItem.create_user_message("Before", id="first"), "root")
        listener.session.add_item("After")
        listener.answer()
        assert without_kind(listener.conversation.items) == held_by_server(plain)
        assert listener.conversation.items[0].id == "first"


def test_an_update_that_cannot_be_taken_over_is_not_tried_again() -> None:
    """There is none, by the rules; a defect should cost one batch, not all that comes."""
    state = RealtimeState(Dialect.GA, 1)
    state.apply(ConversationItemAddedUpdate(item=None, raw_content="{}"))  # type: ignore[arg-type]
    with pytest.raises(AttributeError):
        state.conversation()
    state.apply(ConversationItemAddedUpdate(item=ConversationItem.create_user_message("Hi", id="next")))
    assert [item.id for item in state.conversation().items] == ["next"]

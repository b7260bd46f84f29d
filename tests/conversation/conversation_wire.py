"""Server messages for the tests of the conversation, short to write."""

from __future__ import annotations

import json
from typing import Any, Iterable, Optional

from realtime_sync import ConversationUpdate
from realtime_sync.conversation import Conversation


def update(wire_type: str, **fields: Any) -> ConversationUpdate:
    return ConversationUpdate.from_json(json.dumps({"type": wire_type, "event_id": "event_1", **fields}))


def told(updates: Iterable[ConversationUpdate], **options: Any) -> Conversation:
    conversation = Conversation(**options)
    for one in updates:
        conversation.apply(one)
    return conversation


def message(item_id: Optional[str], *parts: Any, role: str = "user", status: str = "completed") -> dict[str, Any]:
    content = [{"type": "input_text", "text": part} if isinstance(part, str) else part for part in parts]
    return {"id": item_id, "type": "message", "status": status, "role": role, "content": content}


def added(item: Any, *previous: Optional[str], name: str = "added") -> ConversationUpdate:
    """``previous``: nothing at all leaves ``previous_item_id`` out; None is a null."""
    place = {"previous_item_id": previous[0]} if previous else {}
    item = message(item, str(item)) if isinstance(item, str) else item
    return update(f"conversation.item.{name}", item=item, **place)


def done(item: Any, *previous: Optional[str]) -> ConversationUpdate:
    return added(item, *previous, name="done")


def streamed(
    wire_type: str,
    item_id: str = "a",
    response_id: str = "r",
    index: int = 0,
    content: Optional[int] = 0,
    **fields: Any,
) -> ConversationUpdate:
    place = {} if content is None else {"content_index": content}
    return update(
        f"response.{wire_type}", response_id=response_id, item_id=item_id, output_index=index, **place, **fields
    )


def output_item(step: str, item: Any, response_id: str = "r", index: int = 0) -> ConversationUpdate:
    return update(f"response.output_item.{step}", response_id=response_id, output_index=index, item=item)


def response(step: str, response_id: Optional[str] = "r", **fields: Any) -> ConversationUpdate:
    status = "in_progress" if step == "created" else "completed"
    fields = {"id": response_id, "status": status, "output": [], "conversation_id": "c", **fields}
    return update(f"response.{step}", response=fields)


def transcription(step: str, item_id: str = "u", **fields: Any) -> ConversationUpdate:
    kind = f"conversation.item.input_audio_transcription.{step}"
    return update(kind, **{"item_id": item_id, "content_index": 0, **fields})


def session(**fields: Any) -> ConversationUpdate:
    return update("session.created", session={"type": "realtime", "id": "s", "model": "gpt-realtime-2.1", **fields})


SPOKEN_USER = message("u", {"type": "input_audio", "transcript": None})
EMPTY_ANSWER = message("a", role="assistant", status="in_progress")

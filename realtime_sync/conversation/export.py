"""A conversation as JSON text, and back.

The format, version 1, is one object:

- ``format``: ``"realtime_sync.conversation"``; ``version``: 1.
- ``id``, ``session``: as told by the server, or null; ``keep_audio``: true or false.
- ``items``: the items in order; ``aside``: items that are not in the conversation, of responses under way. Each has
  ``key`` (the id), ``item`` (without content and arguments), ``guessed``, ``final``, ``arguments`` (a text, or null),
  ``arguments_closed``, ``format`` (of its audio: ``type`` and ``rate``, or null), ``parts`` and ``transcriptions``.
- a part: ``index``, ``part`` (with text and transcript), ``text_closed``, ``transcript_closed``, ``heard_ms``,
  ``heard_text``, ``audio_bytes``, ``audio_closed``, ``audio`` (base64 of the samples that were kept, or null).
- a transcription: ``index``, ``transcription``.
- ``responses``: each ``key``, ``done``, ``response``, and ``outputs``: pairs of output index and item key.
- ``deleted``: keys of deleted items; ``nameless``: how many things came without an id; ``usage``: the totals;
  ``forgotten``: how many items were left out for want of room (absent: none).

Secrets are not in it: ``***`` stands in the place of a remote tool's authorization, headers and the like.
Items, parts, responses and the session have this library's names for their fields (``output_audio_format``, ...).
A reader of version 1 refuses other versions, and takes no notice of names that it does not know.
"""

from __future__ import annotations

import base64
import json
from typing import Any, Optional

import attrs

from realtime_sync.audio.formats import SampleFormat
from realtime_sync.conversation.accumulator import Accumulator
from realtime_sync.conversation.drafts import ItemDraft, ItemTranscription, PartDraft, ResponseDraft
from realtime_sync.conversation.pieces import TextPieces
from realtime_sync.conversation.pricing import UsageTotals
from realtime_sync.errors import AudioFormatError, InvalidInputError
from realtime_sync.protocol.hiding import hide_fields
from realtime_sync.protocol.items import ConversationContentPart, ConversationItem
from realtime_sync.protocol.options import AudioFormat
from realtime_sync.protocol.plain import from_plain, to_plain
from realtime_sync.protocol.registry import UNSET
from realtime_sync.protocol.resources import ConversationResponse, RealtimeSession

FORMAT, VERSION = "realtime_sync.conversation", 1
Json = dict[str, Any]


def to_json(state: Accumulator) -> str:
    """The conversation as text, without the secrets of its session, such as those of remote tools."""
    return json.dumps(hide_fields(to_state(state)))


def from_json(text: str, state: Accumulator) -> None:
    """Fill an empty conversation with what a text holds. Raises ``InvalidInputError`` if it holds none."""
    try:
        told = json.loads(text)
    except (ValueError, TypeError, RecursionError) as error:
        raise InvalidInputError(f"this is not a saved conversation: it is not JSON ({error})") from error
    if not isinstance(told, dict) or told.get("format") != FORMAT:
        raise InvalidInputError(f"this is not a saved conversation: it is not of the format {FORMAT!r}")
    if told.get("version") != VERSION:
        raise InvalidInputError(f"this conversation is saved as version {told.get('version')!r}; {VERSION} can be read")
    try:
        _fill(state, told)
    except (KeyError, TypeError, ValueError, AttributeError, AudioFormatError) as error:
        raise InvalidInputError(f"this saved conversation is damaged: {type(error).__name__}: {error}") from error


def to_state(state: Accumulator) -> Json:
    """All that is told of a conversation, as plain JSON values."""
    ordered = set(state._order)
    return {
        "format": FORMAT,
        "version": VERSION,
        "id": state.id,
        "session": None if state.session is None else to_plain(state.session),
        "keep_audio": state.keep_audio,
        "items": [_item_state(key, state._drafts[key]) for key in state._order],
        "aside": [_item_state(key, draft) for key, draft in state._drafts.items() if key not in ordered],
        "responses": [_response_state(key, response) for key, response in state._responses.items()],
        "deleted": sorted(state._deleted),
        "nameless": state._named,
        "forgotten": state.forgotten,
        "usage": attrs.asdict(state.usage),
    }


def _fill(state: Accumulator, told: Json) -> None:
    state.keep_audio, state.id = bool(told["keep_audio"]), told["id"]
    state.session = None if told["session"] is None else from_plain(told["session"], RealtimeSession)
    for item in told["items"]:
        state._drafts[item["key"]] = _item_from(item)
        state._order.add(item["key"], UNSET)
    state._order.new_connection()
    for item in told["aside"]:
        state._drafts[item["key"]] = _item_from(item)
    for response in told["responses"]:
        state._responses[response["key"]] = _response_from(response, state)
    state._deleted, state._named = dict.fromkeys(told["deleted"]), int(told["nameless"])
    state.forgotten = int(told.get("forgotten", 0))
    known = {field.name for field in attrs.fields(UsageTotals)}
    usage = {name: _checked(value, int, float) for name, value in told["usage"].items() if name in known}
    state._add_usage(UsageTotals(**usage))  # which model has used it is not told, but for the last one


def _checked(value: Any, *types: type[Any]) -> Any:
    if not isinstance(value, types) or isinstance(value, bool):
        raise TypeError(f"expected {types[0].__name__}, got {value!r:.40}")
    return value


def _item_state(key: str, draft: ItemDraft) -> Json:
    shown = {index: draft.parts[index].shown_transcription() for index in sorted(draft.parts)}
    return {
        "key": key,
        "item": to_plain(draft.without_pieces()),
        "guessed": draft.guessed,
        "final": draft.final,
        "arguments": draft.arguments.value,
        "arguments_closed": draft.arguments.closed,
        "format": None if draft.format is None else {"type": draft.format.wire_type, "rate": draft.format.rate},
        "parts": [_part_state(index, draft.parts[index]) for index in sorted(draft.parts)],
        "transcriptions": [
            {"index": index, "transcription": to_plain(told)} for index, told in shown.items() if told is not None
        ],
    }


def _item_from(told: Json) -> ItemDraft:
    draft = ItemDraft(from_plain(told["item"], ConversationItem))
    draft.guessed, draft.final = bool(told["guessed"]), bool(told["final"])
    draft.arguments = TextPieces(told["arguments"], closed=bool(told["arguments_closed"]))
    if told["format"] is not None:
        draft.format = SampleFormat.of(AudioFormat(type=told["format"]["type"], rate=told["format"]["rate"]))
    draft.parts = {part["index"]: _part_from(part) for part in told["parts"]}
    for entry in told["transcriptions"]:
        part = draft.part(entry["index"], "input_audio")
        part.told_transcription = from_plain(entry["transcription"], ItemTranscription)
        for number, segment in enumerate(part.told_transcription.segments):
            part.segments[segment.id or f"segment {number}"] = segment
    return draft


def _part_state(index: int, part: PartDraft) -> Json:
    samples = part.audio.samples
    return {
        "index": index,
        "part": to_plain(part.part()),
        "text_closed": part.text.closed,
        "transcript_closed": part.transcript.closed,
        "heard_ms": part.heard_ms,
        "heard_text": part.heard_text,
        "audio_bytes": part.audio.size,
        "audio_closed": part.audio.closed,
        "audio": None if samples is None else base64.b64encode(samples).decode("ascii"),
    }


def _part_from(told: Json) -> PartDraft:
    shown = from_plain(told["part"], ConversationContentPart)
    part = PartDraft(shown.type)
    part.base = attrs.evolve(shown, text=None, transcript=None)
    part.text = TextPieces(shown.text, closed=bool(told["text_closed"]))
    part.transcript = TextPieces(shown.transcript, closed=bool(told["transcript_closed"]))
    part.heard_ms = _checked(told["heard_ms"], int, type(None))
    part.heard_text = _checked(told.get("heard_text"), str, type(None))
    samples: Optional[bytes] = None if told["audio"] is None else base64.b64decode(told["audio"], validate=True)
    part.audio.replace(_checked(told["audio_bytes"], int), samples)
    part.audio.closed = bool(told["audio_closed"])
    return part


def _response_state(key: str, response: ResponseDraft) -> Json:
    outputs = [list(pair) for pair in sorted(response.outputs.items())]
    return {"key": key, "done": response.done, "response": to_plain(response.told), "outputs": outputs}


def _response_from(told: Json, state: Accumulator) -> ResponseDraft:
    response = ResponseDraft(
        from_plain(told["response"], ConversationResponse), state._drafts, keep_audio=state.keep_audio
    )
    response.done = bool(told["done"])
    response.outputs = {_checked(index, int): _checked(key, str) for index, key in told["outputs"]}
    return response

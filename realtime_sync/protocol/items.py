"""Conversation items and their content parts, as sent and as received. ``None`` means absent."""

from __future__ import annotations

import base64
import json
import logging
import mimetypes
import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal, Optional, Union

import attrs

from realtime_sync.boundary import public_call
from realtime_sync.errors import InvalidInputError
from realtime_sync.protocol.registry import WireObject, public_classes


def audio_repr(audio: Optional[str]) -> str:
    """Base64 for a repr: its length."""
    return f"<{len(audio)} base64 characters>" if audio else repr(audio)


def text_repr(text: Optional[str]) -> str:
    """A text for a repr: its beginning, and how long it is."""
    return repr(text) if text is None or len(text) <= 200 else f"{text[:200]!r}... ({len(text)} characters)"


logger = logging.getLogger(__name__)

_LONGEST_LINE = 80  # characters of base64 that is written in lines, with their ends

ItemStatus = Union[Literal["completed", "incomplete", "in_progress"], str]
Role = Union[Literal["user", "assistant", "system"], str]
PartType = Union[
    Literal["input_text", "input_audio", "input_image", "input_file", "output_text", "output_audio", "item_reference"],
    str,
]
ImageDetail = Union[Literal["auto", "low", "high", "original"], str]


@attrs.define(kw_only=True, repr=False, eq=False)
class PromptCacheBreakpoint(WireObject):
    """Where the service may cut its prompt cache; ``ttl`` is the least time to keep it, ``"30m"`` or ``"12h"``."""

    mode: Optional[str] = None
    ttl: Optional[str] = None


@attrs.define(kw_only=True, repr=False, eq=False)
class ConversationContentPart(WireObject):
    """A piece of a message: text, audio, an image or a file, told apart by ``type``.

    ``input_text``, ``input_audio``, ``input_image`` come from the user, ``output_text`` and ``output_audio`` from the
    model (both dialects' spellings are read as these). ``audio`` is base64 of samples in the session's format;
    ``audio_bytes`` has it decoded.
    """

    type: PartType = "input_text"
    text: Optional[str] = attrs.field(default=None, repr=text_repr)
    audio: Optional[str] = attrs.field(default=None, repr=audio_repr)
    transcript: Optional[str] = attrs.field(default=None, repr=text_repr)
    image_url: Optional[str] = attrs.field(default=None, repr=lambda url: repr(url if not url else url[:60]))
    detail: Optional[ImageDetail] = None
    id: Optional[str] = None
    file_id: Optional[str] = None
    file_url: Optional[str] = None
    filename: Optional[str] = None
    file_data: Optional[str] = attrs.field(default=None, repr=audio_repr)
    prompt_cache_breakpoint: Optional[PromptCacheBreakpoint] = None

    @property
    def audio_bytes(self) -> Optional[bytes]:
        """The samples as bytes in the session's format; None if the part has no audio (or none that is base64)."""
        return decode_base64(self.audio)

    @classmethod
    def from_input_text(cls, text: str) -> ConversationContentPart:
        """What the user wrote, or a system message's text."""
        return cls(type="input_text", text=text)

    @classmethod
    def from_input_audio(
        cls, audio: Union[bytes, bytearray, memoryview], transcript: Optional[str] = None
    ) -> ConversationContentPart:
        """What the user said: raw samples in the session's input format (no WAV header)."""
        if not isinstance(audio, (bytes, bytearray, memoryview)):
            raise InvalidInputError(f"audio must be bytes, not {type(audio).__name__}")
        if bytes(audio[:4]) == b"RIFF":
            raise InvalidInputError("from_input_audio takes raw samples; strip the WAV header (or use send_audio)")
        return cls(type="input_audio", audio=base64.b64encode(audio).decode("ascii"), transcript=transcript)

    @classmethod
    def from_input_image(
        cls, image: Union[str, bytes, bytearray, memoryview, os.PathLike[str]], detail: Optional[str] = None
    ) -> ConversationContentPart:
        """A picture: bytes of a PNG or JPEG, a path, or a URL (``https:``, ``data:``). ``detail``: auto, low, high."""
        return cls(type="input_image", image_url=_image_url(image), detail=detail)

    @classmethod
    def from_output_text(cls, text: str) -> ConversationContentPart:
        """What the model wrote, for history."""
        return cls(type="output_text", text=text)

    @classmethod
    def from_output_audio(
        cls, transcript: Optional[str] = None, audio: Optional[bytes] = None
    ) -> ConversationContentPart:
        """What the model said, for history; ``audio`` is raw samples. The services take only text back (2026-02)."""
        encoded = base64.b64encode(audio).decode("ascii") if audio is not None else None
        return cls(type="output_audio", transcript=transcript, audio=encoded)


Content = Union[str, ConversationContentPart, Iterable[Union[str, ConversationContentPart]]]


@attrs.define(kw_only=True, repr=False, eq=False)
class ConversationItem(WireObject):
    """One entry of a conversation. Make one with a ``create_...`` method; received ones are of the subclasses.

    ``id`` may be chosen by the caller (up to 32 characters); None lets the library or the service choose.
    """

    type: str
    id: Optional[str] = None
    object: Optional[str] = None
    status: Optional[ItemStatus] = None

    def _repr_html_(self) -> str:
        import html

        speaker, words = speaker_and_words(self)
        return f"<p><b>{html.escape(speaker)}</b> {html.escape(words)}</p>"

    @staticmethod
    @public_call
    def create_user_message(content: Content, *, id: Optional[str] = None) -> MessageItem:
        """What the user says: text, or content parts."""
        return MessageItem(role="user", content=_parts(content, "input_text"), id=id)

    @staticmethod
    @public_call
    def create_system_message(content: Content, *, id: Optional[str] = None) -> MessageItem:
        """An instruction in the middle of a conversation."""
        return MessageItem(role="system", content=_parts(content, "input_text"), id=id)

    @staticmethod
    @public_call
    def create_assistant_message(content: Content, *, id: Optional[str] = None) -> MessageItem:
        """What the model is to have said, for history."""
        return MessageItem(role="assistant", content=_parts(content, "output_text"), id=id)

    @staticmethod
    @public_call
    def create_function_call(
        name: str, call_id: str, arguments: Union[str, Mapping[str, Any]], *, id: Optional[str] = None
    ) -> FunctionCallItem:
        """A call that the model is to have made, for history. ``arguments``: JSON text, or a dict that becomes it."""
        return FunctionCallItem(name=name, call_id=call_id, arguments=_json_text(arguments), id=id)

    @staticmethod
    @public_call
    def create_function_call_output(call_id: str, output: Any, *, id: Optional[str] = None) -> FunctionCallOutputItem:
        """The result of a call. A ``str`` is sent as it is; anything else (0, None, a dict, ...) as JSON text."""
        return FunctionCallOutputItem(call_id=call_id, output=_json_text(output), id=id)

    @staticmethod
    @public_call
    def create_mcp_approval_response(
        approval_request_id: str, approve: bool, *, reason: Optional[str] = None, id: Optional[str] = None
    ) -> MCPApprovalResponseItem:
        """Allow or refuse an MCP tool call that asked for approval."""
        return MCPApprovalResponseItem(approval_request_id=approval_request_id, approve=approve, reason=reason, id=id)

    @staticmethod
    @public_call
    def create_reference(item_id: str) -> ItemReference:
        """An item of this conversation, as input of an out-of-band response."""
        return ItemReference(id=item_id)


@attrs.define(kw_only=True, repr=False, eq=False)
class MessageItem(ConversationItem):
    """What somebody said or wrote; ``role`` is ``user``, ``assistant`` or ``system``."""

    type: str = "message"
    role: Optional[Role] = None
    content: list[ConversationContentPart] = attrs.field(factory=list)

    @property
    def text(self) -> str:
        """All its text and transcripts, joined; empty if there is none yet."""
        return "".join(part.text or part.transcript or "" for part in self.content)


@attrs.define(kw_only=True, repr=False, eq=False)
class FunctionCallItem(ConversationItem):
    """The model's wish to call a function; ``arguments`` is JSON text as the model wrote it."""

    type: str = "function_call"
    call_id: Optional[str] = None
    name: Optional[str] = None
    arguments: Optional[str] = attrs.field(default=None, repr=text_repr)


@attrs.define(kw_only=True, repr=False, eq=False)
class FunctionCallOutputItem(ConversationItem):
    """The result of a function call, as text."""

    type: str = "function_call_output"
    call_id: Optional[str] = None
    output: Optional[str] = attrs.field(default=None, repr=text_repr)


@attrs.define(kw_only=True, repr=False, eq=False)
class MCPToolDescription(WireObject):
    """A tool that an MCP server has."""

    name: Optional[str] = None
    description: Optional[str] = None
    input_schema: Optional[dict[str, Any]] = None
    annotations: Optional[dict[str, Any]] = None


@attrs.define(kw_only=True, repr=False, eq=False)
class MCPListToolsItem(ConversationItem):
    """The tools of an MCP server, as the service read them."""

    type: str = "mcp_list_tools"
    server_label: Optional[str] = None
    tools: list[MCPToolDescription] = attrs.field(factory=list)


@attrs.define(kw_only=True, repr=False, eq=False)
class MCPCallError(WireObject):
    """Why an MCP call failed; ``type`` is ``protocol_error``, ``tool_execution_error`` or ``http_error``."""

    type: Optional[Union[Literal["protocol_error", "tool_execution_error", "http_error"], str]] = None
    code: Optional[int] = None
    message: Optional[str] = None


@attrs.define(kw_only=True, repr=False, eq=False)
class MCPCallItem(ConversationItem):
    """A call of an MCP tool by the service, and its result or error."""

    type: str = "mcp_call"
    server_label: Optional[str] = None
    name: Optional[str] = None
    arguments: Optional[str] = attrs.field(default=None, repr=text_repr)
    approval_request_id: Optional[str] = None
    output: Optional[str] = attrs.field(default=None, repr=text_repr)
    error: Optional[MCPCallError] = None


@attrs.define(kw_only=True, repr=False, eq=False)
class MCPApprovalRequestItem(ConversationItem):
    """The service asks whether it may call an MCP tool."""

    type: str = "mcp_approval_request"
    server_label: Optional[str] = None
    name: Optional[str] = None
    arguments: Optional[str] = attrs.field(default=None, repr=text_repr)


@attrs.define(kw_only=True, repr=False, eq=False)
class MCPApprovalResponseItem(ConversationItem):
    """The caller's answer to an approval request."""

    type: str = "mcp_approval_response"
    approval_request_id: Optional[str] = None
    approve: Optional[bool] = None
    reason: Optional[str] = None


@attrs.define(kw_only=True, repr=False, eq=False)
class ItemReference(ConversationItem):
    """An item by its id, as input of a response."""

    type: str = "item_reference"


@attrs.define(kw_only=True, repr=False, eq=False)
class UnknownItem(ConversationItem):
    """An item of a type that this version does not know; its fields are in ``extra``."""

    type: str = ""


def speaker_and_words(item: ConversationItem) -> tuple[str, str]:
    """Who an item is of, and what it says in one line of text."""
    if isinstance(item, MessageItem):
        words = (part.text or part.transcript or f"[{part.type}]" for part in item.content)
        return item.role or "message", " ".join(words)
    if isinstance(item, (FunctionCallItem, MCPCallItem, MCPApprovalRequestItem)):
        return item.type, f"{item.name}({item.arguments or ''})"
    if isinstance(item, FunctionCallOutputItem):
        return item.type, item.output or ""
    if isinstance(item, MCPApprovalResponseItem):
        return item.type, "approved" if item.approve else f"rejected: {item.reason or 'no reason given'}"
    return item.type or "item", ""


def decode_base64(text: Optional[str]) -> Optional[bytes]:
    """The bytes; None if there is no text, or, with a warning, if it is not base64 (some servers send placeholders)."""
    if text is None:
        return None
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        pass
    try:
        return base64.b64decode(_as_standard(text), validate=True)
    except ValueError:
        logger.warning("a piece of audio (%d characters) is not base64 and cannot be heard", len(text))
        return None


def base64_size(text: str) -> int:
    """How many bytes a base64 text stands for, without decoding it."""
    end = text[-2:]
    if len(text) % 4 or "\n" in end or "\n" in text[:_LONGEST_LINE]:
        text = _as_standard(text)
        end = text[-2:]
    return len(text) // 4 * 3 - end.count("=")


def _as_standard(text: str) -> str:
    """Base64 as other languages write it (without padding, safe in URLs, in lines) as the standard has it."""
    text = "".join(text.split()).rstrip("=").replace("-", "+").replace("_", "/")
    return text + "=" * (-len(text) % 4)


def _parts(content: Content, text_type: str) -> list[ConversationContentPart]:
    if isinstance(content, (str, ConversationContentPart)):
        content = [content]
    if not isinstance(content, Iterable):
        raise InvalidInputError(f"content must be a text or content parts, not {type(content).__name__}")
    pieces = list(content)
    if not pieces:
        raise InvalidInputError("a message needs content: a text, or at least one content part")
    parts = [ConversationContentPart(type=text_type, text=p) if isinstance(p, str) else p for p in pieces]
    for part in parts:
        if not isinstance(part, ConversationContentPart):
            raise InvalidInputError(f"content must be a text or ConversationContentParts, not {type(part).__name__}")
    return parts


def _json_text(value: Any) -> str:
    if isinstance(value, str):
        return value
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidInputError(f"this value cannot be sent as JSON: {error}") from error


def _image_url(image: Union[str, bytes, bytearray, memoryview, os.PathLike[str]]) -> str:
    if isinstance(image, str) and image.partition(":")[0].lower() in ("http", "https", "data"):
        return image
    if isinstance(image, (bytes, bytearray, memoryview)):
        data, name = bytes(image), ""
    elif not isinstance(image, (str, os.PathLike)):  # open() would take a number for a descriptor, and close it
        raise InvalidInputError(f"an image must be bytes, a path or a URL, not {type(image).__name__}")
    else:
        try:
            with open(image, "rb") as file:
                data, name = file.read(), os.fspath(image)
        except (OSError, ValueError) as error:
            raise InvalidInputError(f"cannot read the image {image!r}: {error}") from error
    media_type = _image_type(data) or mimetypes.guess_type(name)[0]
    if not media_type or not media_type.startswith("image/"):
        raise InvalidInputError("the image is of a kind that cannot be sent; give a PNG or a JPEG image")
    return f"data:{media_type};base64,{base64.b64encode(data).decode('ascii')}"


def _image_type(data: bytes) -> Optional[str]:
    if data.startswith(b"\x89PNG\r\n"):
        return "image/png"
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    return "image/gif" if data.startswith(b"GIF8") else None


if not TYPE_CHECKING:  # checkers, which read no such expression, take all names without an underscore
    __all__ = ["Content", *public_classes(globals())]

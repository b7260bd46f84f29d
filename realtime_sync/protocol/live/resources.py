"""What the server describes beside the session: delegations, usage, errors, items of decisions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Optional, Union

import attrs

from realtime_sync.protocol.items import ItemStatus, text_repr
from realtime_sync.protocol.live.parts import LiveContent
from realtime_sync.protocol.registry import WireObject, public_classes
from realtime_sync.protocol.resources import ErrorDetails


@attrs.define(kw_only=True, repr=False, eq=False)
class LiveDelegationInfo(WireObject):
    """Work that the model has handed over. What is wanted is not said: the transcripts tell it.

    Attributes:
        id: Its name; what is appended for it repeats it.
        type: ``"delegation"``.
        target: Who is to do it: ``"client"`` (the application), ``"responses"`` or ``"decisions"``.
        response_id: Of a Responses backend: its first answer.
    """

    id: str
    type: Optional[Union[Literal["delegation"], str]] = None
    target: Union[Literal["client", "responses", "decisions"], str]
    response_id: Optional[str] = None


@attrs.define(kw_only=True, repr=False, eq=False)
class LiveUsage(WireObject):
    """The seconds that a session has used so far: of its own timeline, which stands still while no audio comes.

    A field that the server did not send is None.

    Attributes:
        seconds: All that is billed.
        active_seconds: Of these, in which it listened and spoke.
        paused_seconds: Of these, in which it was paused (WebRTC), at a lower price.
    """

    seconds: Optional[float] = None
    active_seconds: Optional[float] = None
    paused_seconds: Optional[float] = None


@attrs.define(kw_only=True, repr=False, eq=False)
class LiveContextWindow(WireObject):
    """How full the model's memory is.

    Attributes:
        usage_ratio: 0.0 to 1.0; beyond 0.9 the service goes on with the newest part alone. None: not told.
    """

    usage_ratio: Optional[float] = None


@attrs.define(kw_only=True, repr=False, eq=False)
class LiveErrorDetails(ErrorDetails):
    """What went wrong in a live session. A field that the server did not send is None.

    Attributes:
        client_event_id: The client message that was refused, if it was one.
    """

    client_event_id: Optional[str] = None


@attrs.define(kw_only=True, repr=False, eq=False)
class LiveTransportError(WireObject):
    """Why a telephone call failed. A field that the server did not send is None.

    Attributes:
        type: ``"call_error"``.
        code: The cause, for programs, such as ``"busy"``.
        message: The cause, for people.
        param: The field that was wrong.
    """

    type: Optional[Union[Literal["call_error"], str]] = None
    code: Optional[str] = None
    message: Optional[str] = None
    param: Optional[str] = None


@attrs.define(kw_only=True, repr=False, eq=False)
class LiveDecisionItem(WireObject):
    """What decisions are to know: a message, or a call of a tool and its output. A field that is None is absent.

    Attributes:
        type: ``"message"``, ``"function_call"``, ``"function_call_output"``, ``"custom_tool_call"`` or
            ``"custom_tool_call_output"``; None is a message.
        id: Its name.
        role: Of a message: ``"user"``, ``"developer"``, ``"system"`` or ``"assistant"``.
        content: Of a message: a text, or parts.
        phase: Of the assistant's message: ``"commentary"`` or ``"final_answer"``.
        status: Of a call or an output: ``"in_progress"``, ``"completed"`` or ``"incomplete"``.
        call_id: Of a call or an output: the call's name.
        name: Of a call: the tool.
        namespace: Of a call: the tool's namespace.
        arguments: Of a function's call: JSON text.
        input: Of a custom tool's call: its input.
        output: Of an output: a text, or parts.
    """

    type: Optional[
        Union[
            Literal["message", "function_call", "function_call_output", "custom_tool_call", "custom_tool_call_output"],
            str,
        ]
    ] = None
    id: Optional[str] = None
    role: Optional[Union[Literal["user", "developer", "system", "assistant"], str]] = None
    content: Optional[LiveContent] = None
    phase: Optional[Union[Literal["commentary", "final_answer"], str]] = None
    status: Optional[ItemStatus] = None
    call_id: Optional[str] = None
    name: Optional[str] = None
    namespace: Optional[str] = None
    arguments: Optional[str] = attrs.field(default=None, repr=text_repr)
    input: Optional[str] = attrs.field(default=None, repr=text_repr)
    output: Optional[LiveContent] = None


if not TYPE_CHECKING:  # checkers, which read no such expression, take all names without an underscore
    __all__ = public_classes(globals())

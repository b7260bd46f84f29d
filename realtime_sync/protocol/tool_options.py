"""Settings of tools: what the model may call, and whether it must."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Callable, Literal, Optional, Protocol, Union, cast

import attrs

from realtime_sync.errors import InvalidInputError
from realtime_sync.protocol.hiding import secret_text, secret_url, secret_values, url_repr
from realtime_sync.protocol.registry import UNSET, Options, Setting, UnsetType
from realtime_sync.secret import discreet

Connector = Union[
    Literal["connector_dropbox", "connector_gmail", "connector_googlecalendar", "connector_googledrive"],
    Literal["connector_microsoftteams", "connector_outlookcalendar", "connector_outlookemail", "connector_sharepoint"],
    str,
]
Caller = Union[Literal["direct", "programmatic"], str]


def _callers(value: Setting[Sequence[Caller]]) -> Setting[list[Caller]]:
    return value if value is None or isinstance(value, UnsetType) else as_list("allowed_callers", value)


@attrs.define(kw_only=True, repr=False, eq=False)
class ConversationTool(Options):
    """What the model may call. Use ``create_function_tool`` or ``create_mcp_tool``.

    Attributes:
        type: The kind of tool: ``"function"``, ``"mcp"``, or one that this version does not know.
    """

    type: str

    @staticmethod
    def create_function_tool(
        name: str, description: Setting[str] = UNSET, parameters: Setting[Mapping[str, Any]] = UNSET
    ) -> ConversationFunctionTool:
        """A function that the caller runs; ``parameters`` is a JSON schema (a dict)."""
        known = parameters if parameters is UNSET or parameters is None else dict(parameters)
        return ConversationFunctionTool(name=name, description=description, parameters=known)

    @staticmethod
    @discreet
    def create_mcp_tool(server_label: str, server_url: Setting[str] = UNSET, **settings: Any) -> ConversationMCPTool:
        """A remote MCP server whose tools the service runs; ``settings``: ``ConversationMCPTool``'s fields."""
        return ConversationMCPTool(server_label=server_label, server_url=server_url, **settings)


@attrs.define(kw_only=True, repr=False, eq=False)
class ConversationFunctionTool(ConversationTool):
    """A function that the caller runs when the model asks for it.

    Attributes:
        type: ``"function"``.
        name: 1 to 64 of the characters a-z, A-Z, 0-9, ``_`` and ``-``.
        description: What the function does, for the model. UNSET: no description.
        parameters: The arguments, as a JSON schema (a dict). UNSET: the function takes none.
    """

    type: str = "function"
    name: str
    description: Setting[str] = UNSET
    parameters: Setting[dict[str, Any]] = UNSET


@attrs.define(kw_only=True, repr=False, eq=False)
class MCPToolFilter(Options):
    """Some of an MCP server's tools.

    Attributes:
        tool_names: The tools of these names. UNSET: of any name.
        read_only: True: the tools that change nothing. UNSET: both kinds.
    """

    tool_names: Setting[list[str]] = UNSET
    read_only: Setting[bool] = UNSET


@attrs.define(kw_only=True, repr=False, eq=False)
class MCPApprovalPolicy(Options):
    """Which of an MCP server's tools need the caller's approval.

    Attributes:
        always: These tools always need it. UNSET: none is named.
        never: These tools never need it. UNSET: none is named.
    """

    always: Setting[MCPToolFilter] = UNSET
    never: Setting[MCPToolFilter] = UNSET


@attrs.define(kw_only=True, repr=False, eq=False)
class ConversationMCPTool(ConversationTool):
    """A remote MCP server, by URL, connector or tunnel; the service calls its tools.

    A field that is UNSET (the default) is not sent.

    Attributes:
        type: ``"mcp"``.
        server_label: The caller's name for the server; updates repeat it.
        server_url: The server's URL; without user, password and query in reprs.
        connector_id: One of the service's own connectors, such as ``"connector_gmail"``, in place of a URL. For models
            that came after 2026-09-01 the service has none.
        tunnel_id: One of the service's tunnels, in place of a URL.
        authorization: The token that the server wants; a secret, which reprs do not show.
        server_description: What the server is for; the model reads it.
        headers: HTTP headers for the server; reprs show their names only.
        allowed_tools: The names of the tools that the model may call, or a filter. UNSET: all.
        allowed_callers: Who may use the tools: ``"direct"`` (the model itself), ``"programmatic"`` (programs that it
            writes), or both, as a list. UNSET: the service chooses.
        require_approval: ``"always"`` (what the service does if it is UNSET), ``"never"``, or a policy by tool.
        defer_loading: True: the server's list of tools is fetched only when the model looks for a tool.
    """

    type: str = "mcp"
    server_label: str
    server_url: Setting[str] = attrs.field(default=UNSET, converter=secret_url, repr=url_repr)
    connector_id: Setting[Connector] = UNSET
    tunnel_id: Setting[str] = UNSET
    authorization: Setting[str] = attrs.field(default=UNSET, converter=secret_text)
    server_description: Setting[str] = UNSET
    headers: Setting[dict[str, str]] = attrs.field(default=UNSET, converter=secret_values)
    allowed_tools: Setting[Union[list[str], MCPToolFilter]] = UNSET
    allowed_callers: Setting[list[Caller]] = attrs.field(default=UNSET, converter=_callers)
    require_approval: Setting[Union[Literal["always", "never"], str, MCPApprovalPolicy]] = UNSET
    defer_loading: Setting[bool] = UNSET


@attrs.define(kw_only=True, repr=False, eq=False)
class UnknownTool(ConversationTool):
    """A tool of a type that this version does not know; its fields are in ``extra``.

    Attributes:
        type: As the server wrote it.
    """

    type: str = ""


@attrs.define(kw_only=True, repr=False, eq=False)
class ConversationToolChoice(Options):
    """Whether the model must call a tool, and which. Use ``auto()``, ``none()``, ``required()``, ``function(...)`` or
    ``mcp(...)``.

    Attributes:
        type: ``"auto"`` (the default), ``"none"``, ``"required"``, ``"function"`` or ``"mcp"``.
        name: The function, or the tool of the MCP server. UNSET: any.
        server_label: The MCP server. UNSET: none.
    """

    type: Union[Literal["auto", "none", "required", "function", "mcp"], str] = "auto"
    name: Setting[str] = UNSET
    server_label: Setting[str] = UNSET

    @classmethod
    def auto(cls) -> ConversationToolChoice:
        """The model decides."""
        return cls(type="auto")

    @classmethod
    def none(cls) -> ConversationToolChoice:
        """No call."""
        return cls(type="none")

    @classmethod
    def required(cls) -> ConversationToolChoice:
        """At least one call."""
        return cls(type="required")

    @classmethod
    def function(cls, name: str) -> ConversationToolChoice:
        """This function."""
        return cls(type="function", name=name)

    @classmethod
    def mcp(cls, server_label: str, name: Setting[str] = UNSET) -> ConversationToolChoice:
        """This MCP server, or this tool of it."""
        return cls(type="mcp", server_label=server_label, name=name)


def as_tool_choice(value: Setting[Union[ConversationToolChoice, str]]) -> Setting[ConversationToolChoice]:
    """``"auto"``, ``"none"``, ``"required"`` as a ``ConversationToolChoice``."""
    return ConversationToolChoice(type=value) if isinstance(value, str) else value


class _DescribedTool(Protocol):
    """A function that was made a tool (``@function_tool``)."""

    @property
    def definition(self) -> ConversationFunctionTool:
        """What the service is told of it."""


GivenTool = Union[ConversationTool, _DescribedTool, Callable[..., object], Mapping[str, Any]]
"""What may stand among tools: a definition, also as JSON of the wire, or a function, with ``@function_tool`` or not."""

describe: Optional[Callable[[Callable[..., object]], ConversationFunctionTool]] = None
"""Makes the definition of a plain function: ``tools/``, which stands above this folder, puts itself here."""


def as_tools(value: Setting[Sequence[GivenTool]]) -> Setting[list[ConversationTool]]:
    """A field's tools as a list. Raises InvalidInputError."""
    if value is None or isinstance(value, UnsetType):
        return value
    tools = [as_tool(tool) for tool in as_list("tools", value)]
    return cast("list[ConversationTool]", tools)  # converters.py has the definitions of functions sent


def as_tool(tool: object) -> object:
    """One tool, of JSON what it says. Raises InvalidInputError for what is none."""
    if isinstance(tool, Mapping):
        from realtime_sync.protocol.codec import decode_tool  # the codec imports this module

        return decode_tool(tool, ConversationTool)
    if not isinstance(tool, ConversationTool) and not callable(tool) and not hasattr(tool, "definition"):
        raise InvalidInputError(f"a tool is a function, or made by ConversationTool.create_..., not {tool!r:.60}")
    return tool


def definition_of(function: Callable[..., object]) -> ConversationFunctionTool:
    """What the service is told of a plain function. Raises ConfigurationError if it cannot be described."""
    if describe is None:  # nothing of this library that could run it is imported
        raise InvalidInputError(f"{function!r:.60} is a plain function; make it a tool by @function_tool before it")
    return describe(function)


def as_list(name: str, value: object) -> list[Any]:
    """The value of the field of this name as a list. Raises InvalidInputError for what is none."""
    if not isinstance(value, Sequence) or isinstance(value, (str, bytes, bytearray)):
        raise InvalidInputError(f"{name} must be a list, not {type(value).__name__}; put a single one in brackets")
    return list(value)

"""Tools of a Responses backend: what it may call, and whether it must."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Union, cast

import attrs

from realtime_sync.protocol.codec import decode_tool
from realtime_sync.protocol.converters import add_family
from realtime_sync.protocol.hiding import secret_text, secret_url, secret_values, url_repr
from realtime_sync.protocol.registry import UNSET, Options, Setting, UnsetType, public_classes
from realtime_sync.protocol.tool_options import (
    Caller,
    Connector,
    ConversationToolChoice,
    GivenTool,
    MCPApprovalPolicy,
    MCPToolFilter,
    as_list,
    as_tool,
)
from realtime_sync.secret import Secret


@attrs.define(kw_only=True, repr=False, eq=False)
class LiveTool(Options):
    """What a Responses backend may call. A field that is UNSET (the default) is not sent.

    Attributes:
        type: The kind of tool, such as ``"function"``, ``"mcp"`` or ``"web_search"``.
    """

    type: str


@attrs.define(kw_only=True, repr=False, eq=False)
class LiveFunctionTool(LiveTool):
    """A function that the caller runs when the backend asks for it.

    Attributes:
        type: ``"function"``.
        name: 1 to 64 of the characters a-z, A-Z, 0-9, ``_`` and ``-``.
        description: What the function does, for the model.
        parameters: The arguments, as a JSON schema (a dict).
        strict: True: the arguments are as the schema demands.
    """

    type: str = "function"
    name: str
    description: Setting[str] = UNSET
    parameters: Setting[dict[str, Any]] = UNSET
    strict: Setting[bool] = UNSET


@attrs.define(kw_only=True, repr=False, eq=False)
class LiveMCPTool(LiveTool):
    """A remote MCP server, by URL, connector or tunnel; the service calls its tools.

    Attributes:
        type: ``"mcp"``.
        server_label: The caller's name for the server.
        server_url: The server's URL; without user, password and query in reprs.
        connector_id: One of the service's own connectors, in place of a URL.
        tunnel_id: One of the service's tunnels, in place of a URL.
        authorization: The token that the server wants; a secret, which reprs do not show.
        server_description: What the server is for; the model reads it.
        headers: HTTP headers for the server; reprs show their names only.
        allowed_tools: The names of the tools that the model may call, or a filter. UNSET: all.
        allowed_callers: ``"direct"``, ``"programmatic"`` or both, as a list. UNSET: the service chooses.
        require_approval: ``"always"``, ``"never"``, or a policy by tool.
        defer_loading: True: the server's list of tools is fetched only when the model looks for a tool.
    """

    type: str = "mcp"
    server_label: Setting[str] = UNSET
    server_url: Setting[str] = attrs.field(default=UNSET, converter=secret_url, repr=url_repr)
    connector_id: Setting[Connector] = UNSET
    tunnel_id: Setting[str] = UNSET
    authorization: Setting[str] = attrs.field(default=UNSET, converter=secret_text)
    server_description: Setting[str] = UNSET
    headers: Setting[dict[str, str]] = attrs.field(default=UNSET, converter=secret_values)
    allowed_tools: Setting[Union[list[str], MCPToolFilter]] = UNSET
    allowed_callers: Setting[list[Caller]] = UNSET
    require_approval: Setting[Union[Literal["always", "never"], str, MCPApprovalPolicy]] = UNSET
    defer_loading: Setting[bool] = UNSET


@attrs.define(kw_only=True, repr=False, eq=False)
class LiveSkillSource(Options):
    """A skill's files.

    Attributes:
        type: ``"base64"``.
        media_type: ``"application/zip"``.
        data: The archive, as base64.
    """

    type: str = "base64"
    media_type: str = "application/zip"
    data: str = attrs.field(repr=lambda data: f"<{len(data)} base64 characters>")


@attrs.define(kw_only=True, repr=False, eq=False)
class LiveSkill(Options):
    """What a shell can do more: a skill that the service keeps, one that is sent along, or one on the caller's disk.

    Attributes:
        type: ``"skill_reference"`` or ``"inline"``; one on the caller's disk has none.
        skill_id: Of one that the service keeps.
        version: Its version. UNSET: the newest.
        name: Of one that is sent along, or on the caller's disk.
        description: What it is for.
        source: Its files, if they are sent along.
        path: Where it is on the caller's disk.
    """

    type: Setting[Union[Literal["skill_reference", "inline"], str]] = UNSET
    skill_id: Setting[str] = UNSET
    version: Setting[str] = UNSET
    name: Setting[str] = UNSET
    description: Setting[str] = UNSET
    source: Setting[LiveSkillSource] = UNSET
    path: Setting[str] = UNSET


@attrs.define(kw_only=True, repr=False, eq=False)
class LiveDomainSecret(Options):
    """What a shell tells one server, and does not see itself.

    Attributes:
        domain: The server's.
        name: By which the shell knows it.
        value: The secret, which reprs do not show.
    """

    domain: str
    name: str
    value: str = attrs.field(converter=Secret)


@attrs.define(kw_only=True, repr=False, eq=False)
class LiveNetworkPolicy(Options):
    """What a shell may reach.

    Attributes:
        type: ``"disabled"`` or ``"allowlist"``.
        allowed_domains: Of an allowlist.
        domain_secrets: What it tells some of them.
    """

    type: Union[Literal["disabled", "allowlist"], str]
    allowed_domains: Setting[list[str]] = UNSET
    domain_secrets: Setting[list[LiveDomainSecret]] = UNSET


@attrs.define(kw_only=True, repr=False, eq=False)
class LiveShellEnvironment(Options):
    """Where a shell runs.

    Attributes:
        type: ``"container_auto"``, ``"container_reference"`` or ``"local"``.
        container_id: Of a container that is there.
        file_ids: Files for a new one.
        memory_limit: ``"1g"``, ``"4g"``, ``"16g"`` or ``"64g"``.
        network_policy: What it may reach.
        skills: What it can do more.
    """

    type: Union[Literal["container_auto", "container_reference", "local"], str]
    container_id: Setting[str] = UNSET
    file_ids: Setting[list[str]] = UNSET
    memory_limit: Setting[Union[Literal["1g", "4g", "16g", "64g"], str]] = UNSET
    network_policy: Setting[LiveNetworkPolicy] = UNSET
    skills: Setting[list[LiveSkill]] = UNSET


@attrs.define(kw_only=True, repr=False, eq=False)
class LiveShellTool(LiveTool):
    """A shell.

    Attributes:
        type: ``"shell"``.
        environment: Where it runs. UNSET: the service chooses.
    """

    type: str = "shell"
    environment: Setting[LiveShellEnvironment] = UNSET


SERVICE_TOOLS = (
    *("web_search", "file_search", "code_interpreter", "image_generation", "custom", "namespace", "tool_search"),
    *("programmatic_tool_calling", "computer", "apply_patch"),
)


@attrs.define(kw_only=True, repr=False, eq=False)
class LiveServiceTool(LiveTool):
    """A tool of the service's own, which its type alone names; settings that it may have are given as ``extra``.

    Attributes:
        type: ``"web_search"``, ``"file_search"``, ``"code_interpreter"``, ``"image_generation"``, ``"custom"``,
            ``"namespace"``, ``"tool_search"``, ``"programmatic_tool_calling"``, ``"computer"`` or ``"apply_patch"``.
    """


@attrs.define(kw_only=True, repr=False, eq=False)
class UnknownLiveTool(LiveTool):
    """A tool of a type that this version does not know; its fields are in ``extra``.

    Attributes:
        type: As the server wrote it.
    """

    type: str = ""


@attrs.define(kw_only=True, repr=False, eq=False)
class LiveAllowedTool(Options):
    """One of the tools among which the backend may choose.

    Attributes:
        type: The kind of tool.
        name: The function, or the tool of the MCP server.
        server_label: The MCP server.
    """

    type: str
    name: Setting[str] = UNSET
    server_label: Setting[str] = UNSET


@attrs.define(kw_only=True, repr=False, eq=False)
class LiveToolChoice(Options):
    """Which tool the backend must call. ``"auto"``, ``"none"`` and ``"required"`` are said by these words alone.

    A tool that must be called is called again and again: each answer of the backend calls it anew.

    Attributes:
        type: The kind of tool, or ``"allowed_tools"``.
        name: The function, the custom tool, or the tool of the MCP server.
        server_label: The MCP server.
        mode: Of ``"allowed_tools"``: ``"auto"``, ``"none"`` or ``"required"``.
        tools: Of ``"allowed_tools"``: among which to choose.
    """

    type: str
    name: Setting[str] = UNSET
    server_label: Setting[str] = UNSET
    mode: Setting[Union[Literal["auto", "none", "required"], str]] = UNSET
    tools: Setting[list[LiveAllowedTool]] = UNSET


def as_live_tools(value: Setting[Sequence[Union[LiveTool, GivenTool]]]) -> Setting[list[LiveTool]]:
    """A field's tools as a list. Raises InvalidInputError."""
    if value is None or isinstance(value, UnsetType):
        return value
    return cast("list[LiveTool]", [_as_live_tool(tool) for tool in as_list("tools", value)])


def _as_live_tool(tool: object) -> object:
    if isinstance(tool, LiveTool):
        return tool
    return decode_tool(tool, LiveTool) if isinstance(tool, Mapping) else as_tool(tool)


def as_live_tool_choice(
    value: Setting[Union[str, LiveToolChoice, ConversationToolChoice]],
) -> Setting[Union[str, LiveToolChoice]]:
    """A choice of the realtime protocol's kind as one of this protocol."""
    if not isinstance(value, ConversationToolChoice):
        return value
    if value.type in ("auto", "none", "required"):
        return value.type
    return LiveToolChoice(type=value.type, name=value.name, server_label=value.server_label, extra=value.extra)


add_family(
    LiveTool,
    {
        **dict.fromkeys(SERVICE_TOOLS, LiveServiceTool),
        **{"function": LiveFunctionTool, "mcp": LiveMCPTool, "shell": LiveShellTool},
    },
    UnknownLiveTool,
)

if not TYPE_CHECKING:  # checkers, which read no such expression, take all names without an underscore
    __all__ = public_classes(globals())

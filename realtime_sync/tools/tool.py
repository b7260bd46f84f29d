"""``@function_tool``: a Python function as a tool that the model may call."""

from __future__ import annotations

import copy
import functools
import inspect
import json
import re
from typing import Any, Callable, Generic, Optional, ParamSpec, TypeVar, Union, get_type_hints, overload

from realtime_sync.errors import ConfigurationError, ToolArgumentError
from realtime_sync.protocol.characters import all_joined
from realtime_sync.protocol.options import ConversationFunctionTool
from realtime_sync.protocol.registry import UNSET
from realtime_sync.tools.cancellation import ToolContext, is_context
from realtime_sync.tools.docstrings import Docstring, read_docstring
from realtime_sync.tools.fields import NO_DEFAULT, Field, UndescribableError
from realtime_sync.tools.hints import MismatchError, json_type, object_kind
from realtime_sync.tools.results import result_text

P = ParamSpec("P")
R_co = TypeVar("R_co", covariant=True)

# What the service takes as a function's name (2026-08).
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")


class FunctionTool(Generic[P, R_co]):
    """A function that the model may call; made by ``function_tool``, and still callable as the function it is.

    It holds no state of a call, so threads and sessions may share it.

    Attributes:
        function: the plain function.
        name: the name by which the model calls it.
        description: the description for the model; may be empty.
        parameters: a JSON schema of the parameters.
        strict: sent as it is in the definition; None is not sent.
        timeout: seconds that a call may take; None means the time-out of the ``ToolRunner``.
    """

    __name__: str

    def __init__(
        self,
        function: Callable[P, R_co],
        *,
        name: Optional[str] = None,
        description: Optional[str] = None,
        strict: Optional[bool] = None,
        timeout: Optional[float] = None,
    ) -> None:
        self.function = function
        self.name = _checked_name(function, name)
        self.strict = strict
        self.timeout = checked_timeout(timeout, f"the tool {self.name}")
        docstring = read_docstring(_called(function).__doc__)
        hinted = _hinted_parameters(function, self.name)
        self._contexts = [parameter.name for parameter, hint in hinted if is_context(hint)]
        fields = [_field(each, hint, docstring) for each, hint in hinted if each.name not in self._contexts]
        try:
            self._arguments = object_kind(fields, unknown="is not a parameter")
        except UndescribableError as error:
            raise ConfigurationError(f"the tool {self.name}: parameter {error}") from error
        self.description = docstring.description if description is None else description
        self.parameters = copy.deepcopy(self._arguments.schema)
        functools.update_wrapper(self, function, updated=())  # its __dict__ might overwrite what is set above
        self.__name__ = self.name

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Call the function, as if it were no tool."""
        return self.function(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<FunctionTool {self.name}({', '.join(self.parameters['properties'])})>"

    @property
    def definition(self) -> ConversationFunctionTool:
        """The function as the service gets it; a new object each time."""
        return ConversationFunctionTool(
            name=self.name,
            description=self.description or UNSET,
            parameters=copy.deepcopy(self.parameters),
            extra={} if self.strict is None else {"strict": self.strict},
        )

    def call(self, arguments_json: str, context: Optional[ToolContext] = None) -> str:
        """Call the function with what the model wrote.

        Args:
            arguments_json: the arguments, as a JSON object.
            context: for the function's parameter of that type; None makes one up.

        Returns:
            The function's result as text: a ``str`` as it is, everything else as JSON.

        Raises:
            ToolArgumentError: the arguments do not fit; the message is for the model.
            TypeError, ValueError: JSON has no form for the result.
            Exception: whatever the function raises.
        """
        try:
            arguments = self._arguments.read(_parsed(arguments_json))
            if not arguments_json.strip() and self.parameters["properties"]:  # lost on their way, as likely as not
                raise MismatchError("no arguments have come; without any, write {}")
        except MismatchError as error:
            faults = "; ".join(fault.removeprefix(".") for fault in error.faults)
            known = ", ".join(self.parameters["properties"]) or "none"
            raise ToolArgumentError(f"{self.name} was not called: {faults}. Its parameters: {known}.") from None
        given = context or ToolContext(name=self.name)
        arguments.update(dict.fromkeys(self._contexts, given))
        function: Callable[..., object] = self.function
        return result_text(function(**arguments))


@overload
def function_tool(
    function: Callable[P, R_co],
    /,
    *,
    name: Optional[str] = None,
    description: Optional[str] = None,
    strict: Optional[bool] = None,
    timeout: Optional[float] = None,
) -> FunctionTool[P, R_co]: ...


@overload
def function_tool(
    *,
    name: Optional[str] = None,
    description: Optional[str] = None,
    strict: Optional[bool] = None,
    timeout: Optional[float] = None,
) -> Callable[[Callable[P, R_co]], FunctionTool[P, R_co]]: ...


def function_tool(
    function: Optional[Callable[P, R_co]] = None,
    /,
    *,
    name: Optional[str] = None,
    description: Optional[str] = None,
    strict: Optional[bool] = None,
    timeout: Optional[float] = None,
) -> Union[FunctionTool[P, R_co], Callable[[Callable[P, R_co]], FunctionTool[P, R_co]]]:
    """Make a tool of a function (or a bound method): ``@function_tool`` or ``@function_tool(name=..., ...)``.

    Args:
        function: what to call. Each parameter needs a type hint: str, int, float, bool, None, Literal, Enum, datetime
            and date (ISO 8601), unions, lists, tuples, dict[str, T], TypedDict, attrs classes, dataclasses, Any;
            ``Annotated[T, "description"]`` describes it. One with the hint ``ToolContext`` gets that, unseen.
        name: the name by which the model calls it, of letters, digits, ``_`` and ``-``; None means the function's name.
        description: the description for the model; None means the docstring's text before its first section.
        strict: sent as it is in the tool's definition, for services that know it; None is not sent.
        timeout: seconds that a call may take; None means the time-out of the ``ToolRunner``.

    Returns:
        The tool; or a decorator that makes one, if no function is given.

    Raises:
        ConfigurationError: the function cannot be described to the model, or its name is refused by the service.
    """

    def made(function: Callable[P, R_co]) -> FunctionTool[P, R_co]:
        plain = function.function if isinstance(function, FunctionTool) else function
        return FunctionTool(plain, name=name, description=description, strict=strict, timeout=timeout)

    return made if function is None else made(function)


def checked_timeout(timeout: Optional[float], whose: str) -> Optional[float]:
    """``timeout`` if it is None or a positive number of seconds, else ``ConfigurationError``."""
    if timeout is None or (not isinstance(timeout, bool) and isinstance(timeout, (int, float)) and timeout > 0):
        return timeout
    raise ConfigurationError(f"the timeout of {whose} must be a positive number of seconds or None, not {timeout!r}")


def _checked_name(function: object, name: Optional[str]) -> str:
    if isinstance(function, type) or not callable(function):
        raise ConfigurationError(f"function_tool takes a function or a bound method, not {function!r}")
    found = name if name is not None else getattr(function, "__name__", "")
    if not _NAME.fullmatch(found):
        raise ConfigurationError(
            f"{found!r} cannot be the name of a tool, which has 1 to 64 of a-z, A-Z, 0-9, _ and -; give it name=..."
        )
    return found


def _field(parameter: inspect.Parameter, hint: Any, docstring: Docstring) -> Field:
    default = parameter.default
    # 3.10 made a hint with the default None an Optional, and later versions do not.
    hint = Optional[hint] if default is None else hint
    description = docstring.parameters.get(parameter.name, "")
    return Field(parameter.name, hint, default is NO_DEFAULT, default, description)


def _parsed(text: str) -> Any:
    """Parse the object that the model wrote. Raises ``MismatchError``."""
    if not text.strip():
        return {}  # some models write nothing if a function has no parameters
    try:
        value = all_joined(json.loads(text, parse_constant=_refused_constant))
    except (ValueError, RecursionError) as error:
        raise MismatchError(f"the arguments are not JSON: {error}") from error
    if not isinstance(value, dict):
        raise MismatchError(f"the arguments must be a JSON object, not {json_type(value)}")
    return value


def _refused_constant(name: str) -> Any:
    raise ValueError(f"{name} is not in JSON")


def _hinted_parameters(function: Callable[..., object], name: str) -> list[tuple[inspect.Parameter, Any]]:
    """Every parameter with its resolved hint; raises ``ConfigurationError`` for what a model cannot call."""
    called = _called(function)
    if inspect.iscoroutinefunction(called) or inspect.isasyncgenfunction(called):
        raise ConfigurationError(
            f"the tool {name} is an async function, and tools run on threads here: make it a plain one that blocks"
        )
    if inspect.isgeneratorfunction(called):
        raise ConfigurationError(f"the tool {name} is a generator: make it return its result, as a list for instance")
    try:
        parameters = inspect.signature(function).parameters.values()
        hints = get_type_hints(called, include_extras=True)
    except Exception as error:  # an annotation may be any expression, and fail in any way
        raise ConfigurationError(
            f"the tool {name}: its type hints cannot be resolved ({error}); define what they name at module level"
        ) from error
    for parameter in parameters:
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise ConfigurationError(
                f"the tool {name}: parameter {parameter} is {parameter.kind.description}, and the model gives "
                "arguments by name only"
            )
        if parameter.name not in hints:
            method = "; for a method, use function_tool(obj.method)" if parameter.name in ("self", "cls") else ""
            raise ConfigurationError(f"the tool {name}: parameter {parameter.name} has no type hint{method}")
    return [(parameter, hints[parameter.name]) for parameter in parameters]


def _called(function: Any) -> Any:
    """The plain function that holds the hints: below ``functools.partial`` and ``wraps``, or a class's ``__call__``."""
    while isinstance(function, functools.partial):
        function = function.func
    if not inspect.isroutine(function):
        function = type(function).__call__
    return inspect.unwrap(function)

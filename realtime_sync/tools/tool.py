"""``@function_tool``: a Python function as a tool that the model may call."""

from __future__ import annotations

import copy
import functools
import inspect
import re
from typing import (
    Annotated,
    Any,
    Callable,
    Generic,
    Optional,
    ParamSpec,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    overload,
)

import attrs

from realtime_sync.errors import ConfigurationError, ToolArgumentError
from realtime_sync.protocol.options import ConversationFunctionTool
from realtime_sync.protocol.registry import UNSET
from realtime_sync.tools.arguments import MismatchError, Structure, faults, parse_object, structure_for
from realtime_sync.tools.cancellation import ToolContext
from realtime_sync.tools.docstrings import read_docstring
from realtime_sync.tools.results import result_text
from realtime_sync.tools.schema import (
    NO_DEFAULT,
    Field,
    Schema,
    UndescribableError,
    in_words,
    is_union,
    object_schema,
)

P = ParamSpec("P")
R_co = TypeVar("R_co", covariant=True)

# What the service takes as a function's name (2026-08).
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")


class FunctionTool(Generic[P, R_co]):
    """A function that the model may call; made by ``function_tool``, and still callable as the function it is.

    It holds no state of a call, so threads and sessions may share it.

    Attributes:
        name: what the model calls it.
        description: what the model reads about it; may be empty.
        parameters: a JSON schema.
        strict: sent as it is in the definition; None is not sent.
        timeout: seconds that a call may take; None is the runner's.
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
        signature = _Signature.of(function, self.name)
        self.description = signature.description if description is None else description
        self.parameters = signature.schema
        self._signature = signature
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
        arguments = self._signature.arguments(arguments_json, self.name)
        given = context or ToolContext(name=self.name)
        arguments.update(dict.fromkeys(self._signature.contexts, given))
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
        name: what the model calls it; None takes the function's name. Letters, digits, ``_`` and ``-``.
        description: what the model reads; None takes the docstring's text before its first section.
        strict: sent as it is in the tool's definition, for services that know it; None is not sent.
        timeout: seconds that a call may take; None is the runner's.

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
            f"{found!r} cannot be the name of a tool: it takes 1 to 64 of a-z, A-Z, 0-9, _ and -; give name=..."
        )
    return found


@attrs.frozen
class _Signature:
    """A function's parameters: as a schema, and as what makes its arguments."""

    description: str
    schema: Schema
    structures: dict[str, Structure]
    contexts: tuple[str, ...]
    """Parameters that take the ``ToolContext``."""

    @classmethod
    def of(cls, function: Callable[..., object], name: str) -> _Signature:
        docstring = read_docstring(_called(function).__doc__)
        fields: list[Field] = []
        contexts: list[str] = []
        for parameter, hint in _hinted_parameters(function, name):
            if _is_context(hint):
                contexts.append(parameter.name)
                continue
            default = parameter.default
            # 3.10 made a hint with the default None an Optional, and later versions do not.
            hint = Optional[hint] if default is None else hint
            required = default is NO_DEFAULT
            fields.append(Field(parameter.name, hint, required, default, docstring.parameters.get(parameter.name, "")))
        try:
            schema = object_schema(fields)
            structures = {field.name: structure_for(field.hint) for field in fields}
        except UndescribableError as error:
            raise ConfigurationError(f"the tool {name}: parameter {error}") from error
        return cls(docstring.description, schema, structures, tuple(contexts))

    def arguments(self, text: str, name: str) -> dict[str, Any]:
        """The model's arguments as Python values, or ``ToolArgumentError``."""
        try:
            given = parse_object(text)
        except MismatchError as error:
            raise ToolArgumentError(f"{name} was not called: {error}") from None
        missing = [key for key in self.schema["required"] if key not in given]
        wrong = [f"{key} is missing, expected {in_words(self.schema['properties'][key])}" for key in missing]
        made: dict[str, Any] = {}
        for key, value in given.items():
            if key not in self.structures:
                wrong.append(f"{key} is not a parameter")
                continue
            try:
                made[key] = self.structures[key](value)
            except Exception as error:  # a class of the user's may raise anything
                wrong += faults(error, key)
        if wrong:
            known = ", ".join(self.structures) or "none"
            raise ToolArgumentError(f"{name} was not called: {'; '.join(wrong)}. Its parameters: {known}.")
        return made


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


def _is_context(hint: Any) -> bool:
    if get_origin(hint) is Annotated or is_union(hint):
        return any(_is_context(member) for member in get_args(hint))
    return hint is ToolContext

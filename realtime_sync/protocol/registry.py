"""UNSET, the base classes of the vocabulary, and the tables from a wire type to its class."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from typing import Any, Callable, ClassVar, Final, Literal, TypeVar, Union

import attrs

from realtime_sync.advice import NamedFields
from realtime_sync.protocol.dialects import Dialect, Json, read, write
from realtime_sync.protocol.hiding import hide_fields, secret_extra
from realtime_sync.protocol.kinds import PREVIEW_SPELLINGS, UpdateKind
from realtime_sync.protocol.spellings import SettingNames

T = TypeVar("T")


class UnsetType(enum.Enum):
    """The type of ``UNSET``."""

    UNSET = "UNSET"

    def __bool__(self) -> Literal[False]:
        return False

    def __repr__(self) -> str:
        return "UNSET"


UNSET: Final = UnsetType.UNSET
"""Not mentioned on the wire, so the service keeps or chooses the value. ``None`` is sent as ``null``."""

Setting = Union[T, None, UnsetType]
"""An option's type: a value, ``None`` (sent as ``null``, which switches some things off) or ``UNSET`` (not sent)."""


def extra_repr(extra: dict[str, Any]) -> str:
    """``extra`` for a repr: by its names alone where it is large, as an unknown message's audio would be."""
    text = plain_repr(extra)
    return text if 0 < len(text) <= 400 else f"<{', '.join(map(str, extra))}>"


def plain_repr(value: object) -> str:
    """A JSON value for a repr, without the secrets in it; empty if it is nested too deeply to be shown."""
    try:
        return repr(hide_fields(value))
    except RecursionError:  # the JSON reader goes a little deeper
        return ""


def public_classes(module: dict[str, Any]) -> list[str]:
    """The classes that a module defines, by its globals: its ``__all__``, which the package re-exports."""
    own = ((name, value) for name, value in module.items() if getattr(value, "__module__", None) == module["__name__"])
    return [name for name, value in own if isinstance(value, type) and not name.startswith("_")]


class Comparable:
    """Equality and a repr that is fit to read, for all attrs classes of the vocabulary.

    Written once here because attrs would compile both for each of a hundred classes, a third of the import's time.
    """

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        names = [field.name for field in attrs.fields(type(self)) if field.eq]  # type: ignore[arg-type]
        return all(getattr(self, name) == getattr(other, name) for name in names)

    def __repr__(self) -> str:
        """Without what is absent, and as each field wants to be shown."""
        shown = []
        for field in attrs.fields(type(self)):  # type: ignore[arg-type]
            value = getattr(self, field.name, UNSET)  # of an object that could not be made, it may be missing
            if field.repr and value is not UNSET and value is not field.default and value != {} and value != ():
                text = field.repr(value) if callable(field.repr) else plain_repr(value) or "<nested too deeply>"
                shown.append(f"{field.name}={text}")
        return f"{type(self).__name__}({', '.join(shown)})"


@attrs.define(kw_only=True, repr=False, eq=False)
class WireObject(Comparable, metaclass=NamedFields):
    """A JSON object of the wire. Fields that are ``None`` are not sent.

    Attributes:
        extra: What has no field here, by name: sent as it is, and filled on reading with what the server added.
    """

    # A converter would hook into each assignment, and attrs then makes an object at half the speed.
    extra: dict[str, Any] = attrs.field(factory=dict, repr=extra_repr)

    def __attrs_post_init__(self) -> None:
        if self.extra:
            self.extra = secret_extra(self.extra)


@attrs.define(kw_only=True, repr=False, eq=False)
class Options(WireObject, metaclass=SettingNames):
    """A JSON object of settings: ``UNSET`` is not sent, ``None`` is sent as ``null``."""

    extra: dict[str, Any] = attrs.field(factory=dict, converter=secret_extra, repr=extra_repr)


@attrs.define(kw_only=True, repr=False, eq=False)
class Command(WireObject):
    """A client message. ``event_id`` is the client's name for it, which an error's ``event_id`` repeats."""

    wire_type: ClassVar[str]
    extra: dict[str, Any] = attrs.field(factory=dict, converter=secret_extra, repr=extra_repr)
    event_id: str | None = None


C = TypeVar("C", bound=type[Any])


class Registry:
    """The classes of one protocol by wire type; in another protocol the same names may mean other things.

    ``updates``: in either dialect's spelling. ``commands``: as GA spells them. The readers are the codec's, by type.

    Args:
        read: Makes of a message, as any server or client of this protocol may spell it, what the classes say.
        write: The other way round. Raises what the dialect cannot say.
        rewritten: The fields of updates inside of which ``read`` may change something.
    """

    def __init__(
        self,
        read: Callable[[Json, Dialect], Json],
        write: Callable[[Json, Dialect], Json | None],
        rewritten: frozenset[str],
    ) -> None:
        self.read = read
        self.write = write
        self.rewritten = rewritten
        self.updates: dict[str, type[Any]] = {}
        self.commands: dict[str, type[Command]] = {}
        self.ga_readers: dict[str, Any] = {}
        self.preview_readers: dict[str, Any] = {}

    def register_updates(self, module: dict[str, Any], kinds: Iterable[UpdateKind], prefix: str = "") -> None:
        """Register the classes ``...Update`` that a module defines, by its globals, each for the kind of its name.

        ``prefix``: what stands before the kind in a class's name. A class whose name is no kind's is a KeyError.
        """
        by_name = {f"{prefix}{kind.name.replace('_', '')}Update".lower(): kind for kind in kinds}
        for name, cls in list(module.items()):
            if name.endswith("Update") and cls.__module__ == module["__name__"]:
                self.register_update(by_name[name.lower()], cls)

    def register_update(self, kind: UpdateKind, cls: type[Any]) -> None:
        """Register an update class for its kind, in both dialects' spellings."""
        own = vars(cls)
        if "__slots__" in own or (cls.__annotations__ and "__attrs_attrs__" not in own):
            raise TypeError(f"{cls.__name__} has fields, so it must be @attrs.frozen(..., slots=False)")
        cls.kind = kind
        previews = [preview for preview, ga in PREVIEW_SPELLINGS.items() if ga == kind.value]
        self.updates.update(dict.fromkeys([kind.value, *previews], cls))

    def client_message(self, wire_type: str) -> Callable[[C], C]:
        """Register a command class for its wire type."""

        def register(cls: C) -> C:
            cls.wire_type = wire_type
            self.commands.setdefault(wire_type, cls)
            return cls

        return register


REALTIME: Final = Registry(read, write, frozenset({"session", "response", "item", "part", "error"}))
"""The realtime protocol."""

client_message = REALTIME.client_message

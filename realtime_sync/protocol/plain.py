"""Wire objects as plain JSON values and back, for what this library keeps in files of its own."""

from __future__ import annotations

from typing import Any, TypeVar

import cattrs

from realtime_sync.errors import InvalidInputError
from realtime_sync.protocol.converters import careful_converter, quick_converter
from realtime_sync.protocol.registry import WireObject
from realtime_sync.secret import discreet

W = TypeVar("W", bound=WireObject)


def to_plain(thing: WireObject) -> dict[str, Any]:
    """The object's fields under this library's names, with what is in ``extra``; without what is absent."""
    plain: dict[str, Any] = quick_converter.unstructure(thing)
    return plain


@discreet
def from_plain(plain: object, cls: type[W]) -> W:
    """What ``to_plain`` made of an object of this class. Raises ``InvalidInputError``."""
    try:
        thing: W = careful_converter().structure(plain, cls)
    except cattrs.BaseValidationError as error:
        raise InvalidInputError("; ".join(cattrs.transform_error(error))) from error
    except (TypeError, ValueError) as error:
        raise InvalidInputError(f"not a {cls.__name__}: {error}") from error
    return thing

"""What every module of the server needs of the wire: JSON, identifiers, and errors in the service's words."""

from __future__ import annotations

import json
import random
import string as letters
from typing import Any, Iterable, Mapping, NoReturn, Optional, Union

import attrs

Json = dict[str, Any]
_ID_LETTERS = letters.ascii_letters + letters.digits


@attrs.define(eq=False)
class Refused(Exception):
    """What the service answers with an error: a client message with an ``error`` event, after which the session goes
    on; a request with an HTTP answer of this ``status``.
    """

    code: Optional[str]
    message: str
    param: Optional[str] = None
    kind: str = "invalid_request_error"
    status: int = 400

    @property
    def error(self) -> Json:
        """The error as the wire has it."""
        return {"message": self.message, "type": self.kind, "param": self.param, "code": self.code}

    def event(self, client_event_id: Optional[str] = None) -> Json:
        """The ``error`` event, naming the client's message by the ``event_id`` it had, if any."""
        return {"type": "error", "error": {**self.error, "event_id": client_event_id}}

    def answer(self) -> HttpAnswer:
        """The HTTP answer."""
        return HttpAnswer(self.status, {"error": self.error})


@attrs.frozen
class Download:
    """A large body: so many bytes, in pieces."""

    length: int
    pieces: Iterable[bytes] = attrs.field(repr=False)


@attrs.frozen
class HttpAnswer:
    """An HTTP answer; ``body`` is JSON, text or a download of the type that ``headers`` says, or nothing."""

    status: int
    body: Json | str | Download = ""
    headers: Mapping[str, str] = attrs.field(factory=dict)


def new_id(prefix: str, length: int = 21) -> str:
    """An identifier in the service's form, such as ``item_E6U0xpLmn5e80rVGpEeKv``."""
    return prefix + "_" + "".join(random.choices(_ID_LETTERS, k=length))


def server_error() -> Refused:
    """What the service says of a defect of its own."""
    return Refused(None, "The server had an error while processing your request.", kind="server_error", status=500)


def read_json(text: Union[str, bytes]) -> object:
    """The value of a JSON text. Raises ``ValueError`` if it is none, or nested too deeply to be read."""
    try:
        return json.loads(text, parse_constant=_no_json)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def given(told: Any) -> Any:
    """What a value says: without the nulls of the objects in it, which say no more than nothing does.

    A function's parameters stay as they are: in a JSON schema, a null may mean something.
    """
    if isinstance(told, list):
        return [given(entry) for entry in told]
    if not isinstance(told, dict):
        return told
    return {key: value if key == "parameters" else given(value) for key, value in told.items() if value is not None}


def _no_json(constant: str) -> NoReturn:
    # Python's reader takes NaN and Infinity; told back to a client, they would be no JSON there.
    raise ValueError(f"{constant} is no JSON")

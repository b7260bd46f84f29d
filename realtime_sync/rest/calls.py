"""Calls by WebRTC and SIP: made, accepted, rejected, transferred and ended by REST. Their audio never comes here."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Optional

import attrs

from realtime_sync.boundary import public_call
from realtime_sync.endpoint.model_kinds import check_is_not_live
from realtime_sync.endpoint.retirement import warn_of_ends
from realtime_sync.errors import UnsupportedByDialectError
from realtime_sync.protocol.codec import to_text
from realtime_sync.protocol.dialects import Dialect
from realtime_sync.protocol.options import ConversationSessionOptions
from realtime_sync.rest.call_checks import check_reject_status, check_target, check_text, quoted_id
from realtime_sync.rest.client_secrets import session_object
from realtime_sync.rest.http import Json, RestAnswer, RestClient
from realtime_sync.secret import discreet, reportable
from realtime_sync.transport import Cancellation
from realtime_sync.transport.urls import show_url


@attrs.frozen
class Call:
    """A call that was made. ``id``: for ``client.attach(id)`` and ``client.calls``; ``sdp``: the answer to the offer.

    The answer goes to the browser as it is (``application/sdp``); it holds the call's passwords and is not shown.
    """

    id: str
    sdp: str = attrs.field(repr=False)


@reportable
class Calls:
    """``client.calls``: the calls of the client's endpoint. Needs the GA protocol; holds no connection.

    All methods raise ``InvalidInputError``, ``UnsupportedByDialectError`` on a preview endpoint, and
    ``ConnectionFailedError`` with its kinds: ``NotFoundError`` if the call is over, or not in the state for it.
    """

    def __init__(
        self, rest: RestClient, model: Optional[str], cancellable: Callable[[], AbstractContextManager[Cancellation]]
    ) -> None:
        self._rest, self._model, self._cancellable = rest, model, cancellable

    def __repr__(self) -> str:
        return f"<Calls at {show_url(self._rest.endpoint.base_url)}>"

    @public_call
    @discreet
    def create(self, sdp: str, options: Optional[ConversationSessionOptions] = None) -> Call:
        """Let a browser talk to the model: ``sdp`` is its WebRTC offer, the call's ``sdp`` the answer for it.

        ``options``: the session's settings, None: the service's defaults; the model is the client's.
        """
        check_text(sdp, "sdp")
        session = to_text(self._session(options))
        parts = {"sdp": ("application/sdp", sdp), "session": ("application/json", session)}
        answer = self._post("calls", parts=parts)
        call_id = answer.headers.get("location", "").rstrip("/").rpartition("/")[2]
        if not call_id:
            raise answer.unusable("it names no call in its Location header, so the call could not be attached to")
        return Call(call_id, answer.body.decode("utf-8", "replace"))

    @public_call
    def accept(self, call_id: str, options: Optional[ConversationSessionOptions] = None) -> None:
        """Take an incoming call: the caller is connected to the model, with these settings (None: the defaults)."""
        self._command(call_id, "accept", self._session(options))

    @public_call
    def reject(self, call_id: str, status_code: int = 603) -> None:
        """Decline an incoming call, with a SIP status from 300 to 699: 603 is "decline", 486 "busy here"."""
        check_reject_status(status_code)
        self._command(call_id, "reject", {"status_code": status_code})

    @public_call
    def refer(self, call_id: str, target_uri: str) -> None:
        """Transfer a running SIP call, to ``"tel:+14155550123"`` or ``"sip:agent@example.com"``; it ends here."""
        check_target(target_uri)
        self._command(call_id, "refer", {"target_uri": target_uri})

    @public_call
    def hangup(self, call_id: str) -> None:
        """End a running call."""
        self._command(call_id, "hangup", None)

    def _session(self, options: Optional[ConversationSessionOptions]) -> Json:
        session = session_object(options, self._model, Dialect.GA)
        check_is_not_live(self._rest.endpoint, session.get("model"))
        warn_of_ends(self._rest.endpoint, self._model, options)
        return session

    @discreet
    def _command(self, call_id: str, verb: str, body: Optional[Json]) -> None:
        self._post(f"calls/{quoted_id(call_id, 'call_id')}/{verb}", body)

    def _post(self, path: str, body: Optional[Json] = None, **content: Any) -> RestAnswer:
        if self._rest.endpoint.dialect is Dialect.PREVIEW:
            raise UnsupportedByDialectError(
                "The preview protocol has no calls. Azure OpenAI has, with api_version='v1' (GA)."
            )
        with self._cancellable() as cancellation:
            return self._rest.post(path, body, cancellation=cancellation, **content)

"""Live sessions whose sound goes another way: by WebRTC (a browser's) or by SIP (a telephone's). It never comes here.

They are made, accepted, rejected, transferred, forked and ended by REST; ``client.attach_live(id)`` steers one.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Optional, Protocol, Union

import attrs

from realtime_sync.boundary import public_call
from realtime_sync.checks import check_whole
from realtime_sync.endpoint.live_models import with_live_model
from realtime_sync.errors import InvalidInputError
from realtime_sync.protocol.live.options import LiveSessionOptions
from realtime_sync.protocol.live.questions import LiveDecisionsSettings
from realtime_sync.protocol.live.settings import (
    LiveBrowser,
    LiveDataChannel,
    LiveDecisionsDelegation,
    LiveDelegation,
    LiveResponsesDelegation,
    LiveResponsesSettings,
    LiveSessionSettings,
    LiveWakePolicy,
)
from realtime_sync.protocol.plain import to_plain
from realtime_sync.protocol.registry import UNSET, Setting
from realtime_sync.rest.call_checks import check_reject_status, check_target, check_text, quoted_id
from realtime_sync.rest.http import Json, RestAnswer, RestClient
from realtime_sync.secret import Secret, discreet, reportable
from realtime_sync.transport import Cancellation
from realtime_sync.transport.urls import show_url
from realtime_sync.values import Value


@attrs.frozen
class LiveCall:
    """A live session that was made. ``id``: for ``client.attach_live(id)`` and ``client.live_calls``.

    ``sdp``: the answer to a browser's offer, which goes to it as it is (``application/sdp``); it holds the call's
    passwords and is not shown. Empty for a telephone's call.
    """

    id: str
    sdp: str = attrs.field(default="", repr=False)


@attrs.frozen(kw_only=True, repr=False, eq=False, init=False)
class SipTrunk(Value):
    """Who carries the calls that are dialled.

    Attributes:
        provider_url: The provider's server: ``"sips:sip.example.com"``; its port is 5061 if none is named.
        caller_number: The number that is shown to whom is called, such as ``"+14155550100"``.
        username: How the provider knows you (digest). None: it does not ask.
        password: The password for it, which is not shown.
    """

    provider_url: str
    caller_number: str
    username: Optional[str] = None
    password: Optional[str] = attrs.field(default=None, converter=attrs.converters.optional(Secret))

    @discreet
    def __init__(
        self, *, provider_url: str, caller_number: str, username: Optional[str] = None, password: Optional[str] = None
    ) -> None:
        """Refuse now what cannot be sent."""
        check_text(provider_url, "provider_url")
        check_text(caller_number, "caller_number")
        if (username is None) != (password is None):
            raise InvalidInputError("a trunk has a username and a password, or neither")
        self.__attrs_init__(
            provider_url=provider_url, caller_number=caller_number, username=username, password=password
        )

    def wire(self) -> Json:
        """As the request has it."""
        trunk: Json = {"provider_url": self.provider_url, "caller_number": self.caller_number}
        if self.username is not None and self.password is not None:
            trunk["auth"] = {"type": "digest", "username": self.username, "password": self.password}
        return trunk


class LiveBackend(Protocol):
    """A ``ResponsesBackend`` or a ``DecisionsBackend``."""

    @property
    def settings(self) -> Union[LiveResponsesSettings, LiveDecisionsSettings]:
        """What the service is told of it."""


@reportable
class LiveCalls:
    """``client.live_calls``: live sessions of browsers and telephones. Holds no connection.

    All methods raise ``InvalidInputError``, ``ConfigurationError``,
    ``UnsupportedByDialectError`` on a preview endpoint, and ``ConnectionFailedError`` with its kinds:
    ``NotFoundError`` if the session is over, or not in the state for it.
    """

    def __init__(self, rest: RestClient, cancellable: Callable[[], AbstractContextManager[Cancellation]]) -> None:
        self._rest, self._cancellable = rest, cancellable

    def __repr__(self) -> str:
        return f"<LiveCalls at {show_url(self._rest.endpoint.base_url)}>"

    @public_call
    @discreet
    def create(
        self,
        sdp: str,
        options: Optional[LiveSessionOptions] = None,
        *,
        model: Optional[str] = None,
        delegate: Optional[LiveBackend] = None,
        data_channel: Optional[LiveDataChannel] = None,
        idle_timeout_s: Optional[int] = None,
        wake_policy: Optional[LiveWakePolicy] = None,
    ) -> LiveCall:
        """Let a browser talk to the model. The session starts at once, and its time is billed.

        Args:
            sdp: The browser's WebRTC offer.
            options: Settings, but for ``audio_format``, which the browser negotiates; None: the service's defaults.
            model: As in ``start_live_session``.
            delegate: A ``ResponsesBackend`` or ``DecisionsBackend`` that does the work which the model hands over; its
                functions are called by whom attaches with it, ``client.attach_live(id, delegate=backend)``. None: the
                application does the work, likewise.
            data_channel: What the page may send and see there. None: all of it, so restrict it for strangers.
            idle_timeout_s: Seconds without speech until the session pauses, which costs less. None: it never does.
            wake_policy: What wakes it. None: speech, if ``idle_timeout_s`` is given.

        Returns:
            The session, and the answer for the browser.
        """
        check_text(sdp, "sdp")
        check_whole("idle_timeout_s", idle_timeout_s, "seconds", at_least=1, optional=True)
        if wake_policy is None and idle_timeout_s is not None:
            wake_policy = LiveWakePolicy()
        settings = attrs.evolve(
            self._settings(options, model, delegate),
            client=_browser(data_channel),
            idle_timeout_s=UNSET if idle_timeout_s is None else idle_timeout_s,
            wake_policy=wake_policy or UNSET,
        )
        return self._made("", {"session": to_plain(settings), "transport": _webrtc(sdp)}, options)

    @public_call
    @discreet
    def fork(
        self,
        session_id: str,
        sdp: str,
        *,
        store: Optional[bool] = None,
        delegate: Optional[LiveBackend] = None,
        data_channel: Optional[LiveDataChannel] = None,
    ) -> LiveCall:
        """Go on with a session that was stored and has ended, in a new one of a browser's.

        Args:
            session_id: The one that has ended.
            sdp: The browser's WebRTC offer.
            store: Whether the new one is stored. None: as the old one.
            delegate: A ``ResponsesBackend``, whose settings are laid over the old ones. None: as in the old one.
            data_channel: As in ``create``.

        Returns:
            The new session, and the answer for the browser.
        """
        check_text(sdp, "sdp")
        settings = LiveSessionSettings(
            store=UNSET if store is None else store,
            delegation=_delegation(delegate) or UNSET,
            client=_browser(data_channel),
        )
        body = {"session": to_plain(settings), "transport": _webrtc(sdp)}
        return self._made(f"{quoted_id(session_id, 'session_id')}/fork", body)

    @public_call
    @discreet
    def dial(
        self,
        number: str,
        trunk: SipTrunk,
        options: Optional[LiveSessionOptions] = None,
        *,
        model: Optional[str] = None,
        delegate: Optional[LiveBackend] = None,
    ) -> LiveCall:
        """Call somebody by telephone; it does not wait for an answer. Each call of this method is a new call.

        ``client.attach_live(call.id)`` tells whether it rings, is answered, or fails.

        Args:
            number: Whom to call, such as ``"+14155550123"``.
            trunk: Who carries the call.
            options: Settings, but for ``audio_format``, which is negotiated; None: the service's defaults.
            model: As in ``start_live_session``.
            delegate: As in ``create``.

        Returns:
            The session.
        """
        check_text(number, "number")
        if not isinstance(trunk, SipTrunk):
            raise InvalidInputError(f"trunk must be a SipTrunk(...), not {type(trunk).__name__}")
        settings = self._settings(options, model, delegate)
        transport = {"type": "sip", "destination": number, "trunk": trunk.wire()}
        return self._made("", {"session": to_plain(settings), "transport": transport}, options)

    @public_call
    @discreet
    def accept(
        self,
        session_id: str,
        options: Optional[LiveSessionOptions] = None,
        *,
        model: Optional[str] = None,
        delegate: Optional[LiveBackend] = None,
    ) -> None:
        """Take an incoming call: the caller is connected to the model, with these settings.

        Args:
            session_id: The webhook's.
            options: Settings, but for ``audio_format``, which is negotiated; None: the service's defaults.
            model: As in ``start_live_session``.
            delegate: As in ``create``.
        """
        settings = attrs.evolve(self._settings(options, model, delegate), type="live")
        self._command(session_id, "accept", {"session": to_plain(settings)}, options)

    @public_call
    def reject(self, session_id: str, status_code: int = 603) -> None:
        """Decline an incoming call, with a SIP status from 300 to 699: 603 is "decline", 486 "busy here"."""
        check_reject_status(status_code)
        self._command(session_id, "reject", {"status_code": status_code})

    @public_call
    def refer(self, session_id: str, target_uri: str) -> None:
        """Transfer a running telephone call, to ``"tel:+14155550123"`` or ``"sip:agent@example.com"``; it ends here."""
        check_target(target_uri)
        self._command(session_id, "refer", {"target_uri": target_uri})

    @public_call
    def hangup(self, session_id: str) -> None:
        """End a running session of a browser's or a telephone's."""
        self._command(session_id, "hangup", None)

    def _settings(
        self, options: Optional[LiveSessionOptions], model: Optional[str], delegate: Optional[LiveBackend]
    ) -> LiveSessionSettings:
        options = with_live_model(options, model, self._rest.endpoint)
        if options.audio_format is not None:
            raise InvalidInputError("leave out audio_format: a browser or a telephone negotiates it with the service")
        return options.wire_session(_delegation(delegate))

    @discreet
    def _command(
        self, session_id: str, verb: str, body: Optional[Json], options: Optional[LiveSessionOptions] = None
    ) -> None:
        self._post(f"{quoted_id(session_id, 'session_id')}/{verb}", body, options)

    @discreet
    def _made(self, door: str, body: Json, options: Optional[LiveSessionOptions] = None) -> LiveCall:
        answer = self._post(door, body, options)
        told = answer.json()
        session, transport = told.get("session"), told.get("transport")
        session_id = session.get("id") if isinstance(session, dict) else None
        sdp = transport.get("sdp", "") if isinstance(transport, dict) else ""
        if not isinstance(session_id, str) or not session_id:
            raise answer.unusable("it names no session, so that it could not be attached to")
        if not isinstance(sdp, str) or ("sdp" in body["transport"] and not sdp):
            raise answer.unusable("it holds no answer for the browser")
        return LiveCall(session_id, sdp)

    @discreet
    def _post(self, door: str, body: Optional[Json], options: Optional[LiveSessionOptions]) -> RestAnswer:
        tier = options.service_tier if options is not None else None
        headers = {"OpenAI-Service-Tier": tier} if tier else None
        with self._cancellable() as cancellation:
            return self._rest.post_live(door, body, cancellation, headers=headers)


def _delegation(delegate: Optional[LiveBackend]) -> Optional[LiveDelegation]:
    if delegate is None:
        return None
    settings = getattr(delegate, "settings", None)
    if isinstance(settings, LiveResponsesSettings):
        return LiveResponsesDelegation(responses=settings)
    if isinstance(settings, LiveDecisionsSettings):
        return LiveDecisionsDelegation(decisions=settings)
    raise InvalidInputError(
        "delegate must be a ResponsesBackend or a DecisionsBackend, which the service runs. A function works where the "
        "session is attached to: client.attach_live(session_id, delegate=...)"
    )


def _webrtc(sdp: str) -> Json:
    return {"type": "webrtc", "sdp": sdp}


def _browser(data_channel: Optional[LiveDataChannel]) -> Setting[LiveBrowser]:
    return UNSET if data_channel is None else LiveBrowser(data_channel=data_channel)

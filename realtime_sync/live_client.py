"""The half of a client that speaks GPT-Live: it starts such sessions, joins them, goes on with them, and makes calls.

All of GPT-Live is imported where it is asked for; see ``lazy.py``.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Optional, Union

from realtime_sync.boundary import public_call
from realtime_sync.endpoint.endpoint import Additions, Endpoint
from realtime_sync.open_sessions import OpenSessions
from realtime_sync.protocol.audio_options import AudioFormat
from realtime_sync.secret import discreet
from realtime_sync.starting import ConnectionSettings, Provisions, Recorded

if TYPE_CHECKING:
    from realtime_sync.budget import Budget
    from realtime_sync.fallback.chain import Chain
    from realtime_sync.fallback.service import Service
    from realtime_sync.fallback.ways import FallbackWays
    from realtime_sync.live.delegated_work import GivenDelegate
    from realtime_sync.live.session import LiveSession
    from realtime_sync.protocol.live.options import LiveSessionOptions
    from realtime_sync.reconnect.policy import Reconnect
    from realtime_sync.rest.http import RestClient
    from realtime_sync.rest.live import LiveCalls


class LiveClient:
    """See the module. ``client.py`` has the other half, which makes the attributes."""

    endpoint: Endpoint
    settings: ConnectionSettings
    _sessions: OpenSessions
    _chain: Optional[Chain]

    @public_call
    @discreet
    def start_live_session(
        self,
        options: Optional[LiveSessionOptions] = None,
        *,
        model: Optional[str] = None,
        delegate: Optional[GivenDelegate] = None,
        delegate_concurrency: int = 1,
        delegate_timeout: Optional[float] = 120.0,
        reconnect: Union[bool, Reconnect] = False,
        budget: Union[float, Budget, None] = None,
        recording: Optional[Recorded] = None,
        keep_clock: bool = True,
        headers: Optional[Additions] = None,
        query: Optional[Additions] = None,
    ) -> LiveSession:
        """Start a GPT-Live session: the model listens while it speaks, and takes and leaves the turn by itself.

        Args:
            options: Settings, all fixed from the start on, such as ``LiveSessionOptions(instructions="Be brief.")``;
                None: the service's defaults.
            model: The model (Azure: the deployment), before that of ``options``. None: that of ``options``, else
                ``OPENAI_LIVE_MODEL``, else ``"gpt-live-1.1"``. The client's own model, which converses in another
                protocol, is not used.
            delegate: Does the work that the model hands over: a function that takes a ``DelegationRequest``, on a
                thread of its own, and whose text the model says; a ``ResponsesBackend``; or a ``DecisionsBackend``.
                None: you do, by ``session.delegations()``.
            delegate_concurrency: For how many delegations at once the function is called; the others wait, because the
                next one is often a continuation of the sentence before.
            delegate_timeout: Seconds that the function may take; then the model says that it could not be done, and
                what the function returns is dropped. None: no limit.
            reconnect: As in ``start_conversation_session``, but for how: a session that is stored is forked, and knows
                all that was said; else a new one begins with the newest words as its history. Commands in flight are
                not sent again, and sound is not held; ``SessionReconnectedUpdate.losses`` tells what is lost.
            budget: As there. The session is billed by the second, also while nobody speaks, and where the service
                reports no usage, time since the first audio counts.
            recording: As there.
            keep_clock: True sends silence whenever nobody sends audio, because the service works only while audio
                comes. False: you send audio all the time, or nothing happens.
            headers: As there.
            query: As there.

        Returns:
            The session; close it, or use it in a ``with``.

        Raises:
            WaitTimeoutError: The service did not start the session in time.
            RealtimeSyncError: As ``start_conversation_session``.
        """
        from realtime_sync.endpoint.live_models import with_live_model
        from realtime_sync.live.delegated_work import Delegating
        from realtime_sync.live.start import LiveStart

        provisions = Provisions.of(reconnect, budget, recording)
        delegating = Delegating(delegate, delegate_concurrency, delegate_timeout)

        def start_at(where: Union[LiveClient, Service], ways: Optional[FallbackWays] = None) -> LiveStart:
            ours = where.endpoint is self.endpoint  # what the caller gave may be a secret: it is for this service alone
            return LiveStart(
                open_sessions=self._sessions,
                endpoint=where.endpoint,
                settings=where.settings,
                options=with_live_model(options, model, where.endpoint),
                provisions=provisions,
                delegating=delegating,
                keep_clock=keep_clock,
                headers=headers if ours else None,
                query=query if ours else None,
                ways=ways,
            )

        if self._chain is None:
            return start_at(self).run()
        return self._chain.start_live(start_at, provisions)

    @public_call
    @discreet
    def attach_live(
        self,
        session_id: str,
        *,
        delegate: Optional[GivenDelegate] = None,
        delegate_concurrency: int = 1,
        delegate_timeout: Optional[float] = 120.0,
        recording: Optional[Recorded] = None,
        headers: Optional[Additions] = None,
        query: Optional[Additions] = None,
    ) -> LiveSession:
        """Join a GPT-Live session of a browser's or a telephone's, to watch it, to steer it and to work for it.

        The session is told the last seconds again, and hears both sides. It cannot be sent audio; all its other methods
        work. It ends with the one that it has joined; closing it does not end that one (``live_calls.hangup`` does).

        Args:
            session_id: The id (``live_...``): that of ``live_calls.create`` or ``dial``, or the webhook's, after
                ``live_calls.accept``.
            delegate: As in ``start_live_session``, and so are all other arguments. If the session was made with a
                backend (``live_calls.create(..., delegate=backend)``), that one: its functions are called here.
            delegate_concurrency: As there.
            delegate_timeout: As there.
            recording: As there.
            headers: As there.
            query: As there.

        Returns:
            The session; close it, or use it in a ``with``.

        Raises:
            NotFoundError: There is no such session, or it has ended.
            InvalidInputError: ``session_id`` cannot be one.
            RealtimeSyncError: As ``start_live_session``.
        """
        from realtime_sync.live.delegated_work import Delegating
        from realtime_sync.live.doors import LiveAttach

        return LiveAttach.of(
            session_id,
            open_sessions=self._sessions,
            endpoint=self.endpoint,
            settings=self.settings,
            provisions=Provisions.of(False, None, recording),
            delegating=Delegating(delegate, delegate_concurrency, delegate_timeout),
            headers=headers,
            query=query,
        ).run()

    @public_call
    @discreet
    def fork_live(
        self,
        session_id: str,
        *,
        store: Optional[bool] = None,
        audio_format: Union[AudioFormat, str, None] = None,
        delegate: Optional[GivenDelegate] = None,
        delegate_concurrency: int = 1,
        delegate_timeout: Optional[float] = 120.0,
        reconnect: Union[bool, Reconnect] = False,
        budget: Union[float, Budget, None] = None,
        recording: Optional[Recorded] = None,
        keep_clock: bool = True,
        headers: Optional[Additions] = None,
        query: Optional[Additions] = None,
    ) -> LiveSession:
        """Go on with a GPT-Live session that was stored (``store=True``) and has ended, in a new one.

        The new session knows what was said, and has the old one's settings. What was worked on at its end is lost. The
        service keeps a stored session for 30 days.

        Args:
            session_id: The id of the old session.
            store: Whether the new one is stored, too. None: as the old one.
            audio_format: As in ``LiveSessionOptions``. None: as in the old one.
            delegate: As in ``start_live_session``, and so are all other arguments; of the kind that the old one had.
                The settings of a ``ResponsesBackend`` are laid over the old ones.
            delegate_concurrency: As there.
            delegate_timeout: As there.
            reconnect: As there.
            budget: As there.
            recording: As there.
            keep_clock: As there.
            headers: As there.
            query: As there.

        Returns:
            The session; close it, or use it in a ``with``.

        Raises:
            NotFoundError: No such session was stored.
            InvalidInputError: ``session_id`` cannot be one.
            RealtimeSyncError: As ``start_live_session``.
        """
        from realtime_sync.live.delegated_work import Delegating
        from realtime_sync.live.doors import LiveFork

        return LiveFork.of(
            session_id,
            store,
            audio_format,
            open_sessions=self._sessions,
            endpoint=self.endpoint,
            settings=self.settings,
            provisions=Provisions.of(reconnect, budget, recording),
            delegating=Delegating(delegate, delegate_concurrency, delegate_timeout),
            keep_clock=keep_clock,
            headers=headers,
            query=query,
        ).run()

    @property
    def live_calls(self) -> LiveCalls:
        """GPT-Live sessions of browsers (WebRTC) and telephones (SIP): make, accept, reject, transfer, end them."""
        from realtime_sync.rest.live import LiveCalls

        return LiveCalls(self._rest(), self._sessions.cancellable)

    @public_call
    @discreet
    def download_live_recording(self, session_id: str, path: Union[str, os.PathLike[str]]) -> None:
        """Save the recording of a GPT-Live session that was stored and has ended: WAV, left the user, right the model.

        The file is new or replaces an older one, once all of it is there; only its owner may read it. ``Timeouts.rest``
        is for each piece of it.

        Args:
            session_id: The id of the session.
            path: The file.

        Raises:
            NotFoundError: The service has no recording of such a session.
            InvalidInputError: The file cannot be written, or ``session_id`` cannot be one.
            ConnectionFailedError: The request failed, as at a session's start.
        """
        from realtime_sync.live.downloads import download_recording

        with self._sessions.cancellable() as cancellation:
            download_recording(self._rest(), session_id, path, cancellation)

    def _rest(self) -> RestClient:
        from realtime_sync.rest.http import RestClient

        return RestClient(endpoint=self.endpoint, timeouts=self.settings.timeouts, retries=self.settings.retries)

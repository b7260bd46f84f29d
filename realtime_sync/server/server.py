"""``RealtimeServer``: the service's side of the realtime protocol, in this process, on one port.

Threads: one accepts; one serves each connection, from its TLS handshake to its end (``http.py``, ``connection.py``);
each session starts others for responses, recognitions and scripts (``session.py``); the clock has one. ``close()``
ends them all, and joins them within two seconds.

Locks: ``_lock`` guards the lists of sessions, connections and sockets, and the faults. The order is: a call's,
the server's, a session's, a connection's; nothing is sent or received under any of them.
"""

from __future__ import annotations

import itertools
import socket
import ssl
import threading
import time
from typing import Callable, Iterable, Mapping, Optional, Sequence, Union

from realtime_sync.errors import ConfigurationError, InvalidInputError, NoMoreThreadsError, WaitTimeoutError
from realtime_sync.secret import discreet, reportable
from realtime_sync.server.auth import Flavour, LiveDoor, Policy
from realtime_sync.server.calls import Call, CallRegistry, CallSession, CallView
from realtime_sync.server.certificates import context_from_files
from realtime_sync.server.client_secrets import Configuration, IssuedSecrets
from realtime_sync.server.clock import Clock, SystemClock
from realtime_sync.server.connection import Handler, ServerConnection
from realtime_sync.server.faults import Act, Faults, Refusal
from realtime_sync.server.http import HttpListener
from realtime_sync.server.live.calls import TwinCall
from realtime_sync.server.live.faults import LiveRules
from realtime_sync.server.live.rest import LiveRest
from realtime_sync.server.live.session import TwinSession
from realtime_sync.server.live.sessions import LiveSessions
from realtime_sync.server.remote_tools import MCPServers
from realtime_sync.server.responder import Responder, Transcriber
from realtime_sync.server.rest import Rest
from realtime_sync.server.script import Script
from realtime_sync.server.session import ServerSession
from realtime_sync.server.settings import SessionSettings, who_answers
from realtime_sync.server.speech.speech import Speech
from realtime_sync.server.traffic import Upgrade
from realtime_sync.server.translation import TranslationSession
from realtime_sync.server.wire import Refused
from realtime_sync.threads import aside_if_nested, start_thread
from realtime_sync.web.origins import foreign

_THIS_MACHINE = ("localhost", "127.0.0.1", "::1")  # its pages may use the server, whatever port they come from
_KEPT = 1000  # past sessions that a server without a record remembers
_SIP_HEADERS = {
    "From": "sip:+14155550100@sip.example.com",
    "To": "sip:+14155550123@sip.example.com",
    "Call-ID": "embedded-server",
}
_OF_CONNECTIONS = {
    *("calls", "closing", "live", "new_handler", "policy", "rest", "serve"),
    *("start_connection", "take_refusal", "why_foreign"),
}


@reportable
class RealtimeServer:
    """An embedded server that speaks the realtime protocol as OpenAI's and Azure's services do. No key, no model.

    It listens from construction on; ``close()``, or leaving the ``with`` block, ends every thread and socket.

    What a client can cost it is bounded: a request must be there within 30 s, its body has at most 1 MiB; a message has
    at most 32 MiB, in 16,384 frames, else the connection is closed with 1009; while more than 16 MiB wait for a client,
    nothing is read from it, and if it takes nothing for 60 s it is dropped. A session lasts ``session_seconds``, or
    until a ping is not answered; it keeps its conversation with all audio, and with ``record`` all messages. The number
    of connections is not bounded: each takes a thread and four descriptors.

    Args:
        host: The address to listen on.
        port: The port; 0 takes a free one.
        responder: Answers, see ``Responder``; or a ``Script`` of exact messages. None: it echoes; with
            ``speech``, ``RulesBrain``.
        transcriber: Says what user audio says, see ``Transcriber``. None: a placeholder that says the length.
        speech: Ears and a voice, see ``speech.Speech`` (real ones) and ``speech.recorded_speech``; the responder then
            is ``RulesBrain`` unless another is given. None: turns by loudness, the transcriber, and a voice that only
            sounds of syllables.
        api_keys: The keys that are let in. None lets in every client, with a key or without.
        models: The models and deployments that exist. None has them all.
        ssl_context: Serves wss with it. None: no TLS, unless ``tls`` is given.
        tls: The same from ``(certfile, keyfile)``, paths of PEM files.
        clock: Time for expiry, pings, pacing and delays, see ``testing.ManualClock``. None: the real time.
        ping_interval: Seconds between pings. None sends none.
        pong_timeout: Real seconds that a client has to answer a ping; then it is closed with 1011.
        session_seconds: Seconds that a session may last, by the clock.
        faults: What goes wrong, see ``Faults``; may be set at any time. None: nothing does.
        first_update: The type of the first event of a session. None sends none.
        audio_pace: Audio is sent so many times as fast as it plays, by the clock. None: as fast as the client reads.
        rate_limits: Whether ``rate_limits.updated`` follows ``response.done`` (it came in 2025, mostly not in 2026).
        mcp_servers: The tools of remote MCP servers by server label, see ``MCPServers``; a server that is not in it
            cannot be asked for its tools. None: each server has the tools that the session allows it.
        live: How live sessions (GPT-Live) behave, see ``live.faults.LiveRules``. None: as the service's do.
        record: Whether sessions keep what they sent and received; False for load tests.
        allowed_hosts: The hosts whose pages a browser may show beside those of this machine, and the names of this
            server that a stranger could own, see ``web.origins.foreign``; pages of other sites are refused with 403.

    Raises:
        ConfigurationError: If settings make no sense, alone or together.
        OSError: If the port cannot be had.
        NoMoreThreadsError: If no thread can be started.
    """

    @discreet
    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        responder: Union[Responder, Script, None] = None,
        transcriber: Optional[Transcriber] = None,
        speech: Optional[Speech] = None,
        api_keys: Optional[Sequence[str]] = None,
        models: Optional[Sequence[str]] = None,
        ssl_context: Optional[ssl.SSLContext] = None,
        tls: Optional[tuple[str, str]] = None,
        clock: Optional[Clock] = None,
        ping_interval: Optional[float] = 20.0,
        pong_timeout: float = 20.0,
        session_seconds: float = 3600.0,
        faults: Optional[Faults] = None,
        first_update: Optional[str] = "session.created",
        audio_pace: Optional[float] = None,
        rate_limits: bool = True,
        mcp_servers: Optional[MCPServers] = None,
        live: Optional[LiveRules] = None,
        record: bool = True,
        allowed_hosts: Sequence[str] = (),
    ) -> None:
        if any(isinstance(given, str) for given in (api_keys, models, allowed_hosts)):
            # A part of the one string, even none of it, would be "in" it, and let in.
            raise ConfigurationError(
                "api_keys, models and allowed_hosts must be lists of strings: put a single one in brackets."
            )
        if not 0 <= port <= 65535:
            raise ConfigurationError(f"The port is {port}, but must be from 0 (takes a free one) to 65535.")
        self._own_clock = SystemClock() if clock is None else None
        self.settings = SessionSettings(
            clock=clock or self._own_clock or SystemClock(),
            **who_answers(responder, transcriber, speech),
            first_update=first_update,
            ping_interval=ping_interval,
            pong_timeout=pong_timeout,
            session_seconds=session_seconds,
            audio_pace=audio_pace,
            rate_limits=rate_limits,
            mcp_servers=mcp_servers,
            record=record,
        )
        self.policy = Policy(api_keys, models, IssuedSecrets(self.settings.clock))
        self.calls = CallRegistry(self._begin_call)
        self.live = LiveSessions(self.policy, self.settings, live)
        self.rest = Rest(self.policy, self.calls, LiveRest(self.live))
        self._allowed_hosts = (*allowed_hosts, *_THIS_MACHINE)
        self._faults = _checked_faults(faults or Faults())
        self._lock = threading.Lock()  # guards all lists below, _faults and _refused
        self._changed = threading.Condition(self._lock)
        self._refused = 0
        self._sessions: list[ServerSession] = []
        self._sockets: dict[threading.Thread, socket.socket] = {}
        self._connections: set[ServerConnection] = set()
        self._numbers = itertools.count(1)
        self.closing = threading.Event()
        """Set once ``close()`` has begun."""
        self._listen((host, port), _tls_context(ssl_context, tls))
        self._loaders: list[threading.Thread] = []
        if speech is not None:
            try:
                self._loaders.append(speech.load_beside())
            except NoMoreThreadsError:
                self.close()
                raise

    def _listen(self, address: tuple[str, int], context: Optional[ssl.SSLContext]) -> None:
        self._scheme = "http" if context is None else "https"
        self._listener = HttpListener(address, self, context)
        name, self.port = str(self._listener.server_address[0]), int(self._listener.server_address[1])
        self._authority = f"[{name}]" if ":" in name else name
        self._is_local = name == "::1" or name.startswith("127.")
        serve, called = self._listener.serve_forever, f"realtime-server-{self.port}"
        try:
            self._thread = start_thread(lambda: serve(0.05), called)
        except NoMoreThreadsError:
            self._listener.server_close()
            raise

    def __repr__(self) -> str:
        return f"<RealtimeServer {self.azure_endpoint} {'closed' if self.closing.is_set() else 'open'}>"

    def __dir__(self) -> list[str]:
        """What completion offers: what is for people, and not what connections call."""
        return sorted({*super().__dir__()} - _OF_CONNECTIONS)

    def __enter__(self) -> RealtimeServer:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @property
    def url(self) -> str:
        """The base URL, as ``OpenAIClient(endpoint=...)`` takes it: ``http://127.0.0.1:PORT/v1``."""
        return f"{self.azure_endpoint}/v1"

    @property
    def azure_endpoint(self) -> str:
        """The resource's URL, as ``AzureOpenAIClient(endpoint)`` takes it: ``http://127.0.0.1:PORT``."""
        return f"{self._scheme}://{self._authority}:{self.port}"

    @property
    def sessions(self) -> list[ServerSession]:
        """Every session so far, live or past, oldest first. Refused handshakes are not among them.

        Without ``record``, the oldest are forgotten once there are more than a thousand.
        """
        with self._lock:
            return list(self._sessions)

    @property
    def live_sessions(self) -> list[TwinSession]:
        """Every live session (GPT-Live) so far, live or past, oldest first; see ``sessions``."""
        return self.live.all

    @property
    def faults(self) -> Faults:
        """What goes wrong; setting it concerns live sessions and later ones."""
        with self._lock:
            return self._faults

    @faults.setter
    def faults(self, faults: Faults) -> None:
        with self._lock:
            self._faults, self._refused = _checked_faults(faults), 0
        for session in (*self.sessions, *self.live_sessions):
            session.set_faults(faults)

    def inject(self, act: Act) -> None:
        """Have a fault happen to every live session, now or when it is due there; later sessions are spared."""
        for session in (*self.sessions, *self.live_sessions):
            session.inject(act)

    def wait_for_session(self, timeout: float = 5.0, *, count: int = 1) -> ServerSession:
        """The ``count``-th session since the start; waits for it. Raises ``WaitTimeoutError``."""
        with self._lock:
            if not self._changed.wait_for(lambda: len(self._sessions) >= count, timeout):
                told = f"Only {len(self._sessions)} of {count} sessions were opened within {timeout} s."
                raise WaitTimeoutError(told)
            return self._sessions[count - 1]

    def wait_for_live_session(self, timeout: float = 5.0, *, count: int = 1) -> TwinSession:
        """The ``count``-th live session since the start; waits for it. Raises ``WaitTimeoutError``."""
        return self.live.wait_for(count, timeout)

    def place_call(self, sip_headers: Optional[Mapping[str, str]] = None) -> str:
        """Have somebody call: returns the id (``rtc_...``) of a call that waits to be accepted or rejected.

        ``sip_headers``: what the webhook would tell, None: a caller's usual ones. ``server.call(call_id)`` is the
        caller's side.
        """
        return self.calls.place(_SIP_HEADERS if sip_headers is None else sip_headers).id

    def call(self, call_id: str) -> Call:
        """The call with this id, placed here or made over REST. Raises ``InvalidInputError`` if there is none."""
        try:
            return self.calls.get(call_id)
        except Refused as refused:
            raise InvalidInputError(f"This server has no call {call_id!r}.") from refused

    def place_live_call(self, sip_headers: Optional[Mapping[str, str]] = None) -> str:
        """Have somebody call a live session: returns the id (``live_...``) of a call that waits to be accepted.

        ``sip_headers``: what the webhook would tell, None: a caller's usual ones. ``server.live_call(id)`` is the
        caller's side, and has what the webhook is sent.
        """
        return self.live.new_call(sip_headers=_SIP_HEADERS if sip_headers is None else sip_headers).id

    def live_call(self, session_id: str) -> TwinCall:
        """The call of a live session, placed here or made over REST. Raises ``InvalidInputError`` if there is none."""
        try:
            return self.live.call(session_id)
        except Refused as refused:
            raise InvalidInputError(f"This server has no live call {session_id!r}.") from refused

    def shut_down(self, timeout: float = 2.0) -> None:
        """Close in an orderly way: no new connection is let in, and every session is closed with 1001 after what is
        queued for it, and has ``timeout`` seconds to take that and to answer. Then ``close()``.
        """
        self._listener.shutdown()
        self._listener.server_close()
        self.calls.close()
        self.live.close()
        with self._lock:
            for connection in self._connections:
                connection.close(1001, "the server is shutting down")
            self._changed.wait_for(lambda: not self._connections, timeout)
        self.close()

    @aside_if_nested
    def close(self) -> None:
        """Drop every connection, and end every thread and socket, within two seconds. May be called twice.

        A responder that does not return keeps its (daemon) thread.
        """
        if self.closing.is_set():
            return
        self.closing.set()
        deadline = time.monotonic() + 2.0
        self._listener.shutdown()
        self._listener.server_close()
        with self._lock:
            connections, sockets = list(self._connections), dict(self._sockets)
        for connection in connections:
            connection.abort()
        self.calls.close()
        self.live.close()
        for accepted in sockets.values():
            _shut_down(accepted)
        if self._own_clock is not None:
            self._own_clock.close()
        self._join((self._thread, *sockets), deadline)
        self.live.close()  # again: what a connection has begun meanwhile
        # Only now: the connections, which begin such threads, have ended.
        sessions = (*self.sessions, *self.live_sessions)
        self._join((*(thread for session in sessions for thread in session.threads), *self._loaders), deadline)

    def _join(self, threads: Iterable[threading.Thread], deadline: float) -> None:
        for thread in threads:
            if thread is not threading.current_thread():
                thread.join(max(0.0, deadline - time.monotonic()))

    # For the HTTP side ------------------------------------------------------------------------------------------

    def start_connection(self, serve: Callable[[], None], accepted: socket.socket) -> None:
        """Serve an accepted socket on a thread of its own."""

        def run() -> None:
            try:
                serve()
            finally:
                with self._lock:
                    self._sockets.pop(threading.current_thread(), None)

        name = f"realtime-server-{self.port}-{next(self._numbers)}"
        with self._lock:  # which the thread waits for before it takes itself out
            self._sockets[start_thread(run, name)] = accepted

    def why_foreign(self, headers: Mapping[str, str]) -> Optional[str]:
        """Why a request may come from another site's page; None if it does not.

        A server in a network is reached by whatever name it has there: a program, which sends no Origin, may use any.
        """
        host, origin = headers.get("host"), headers.get("origin")
        return foreign(host, origin, self._allowed_hosts) if self._is_local or origin is not None else None

    def take_refusal(self) -> Optional[Refusal]:
        """The refusal that the next handshake gets, counted; None if it is to be served."""
        with self._lock:
            refusal = self._faults.refuse
            if refusal is None or (refusal.times is not None and self._refused >= refusal.times):
                return None
            self._refused += 1
            return refusal

    def new_handler(self, flavour: Union[Flavour, LiveDoor], upgrade: Upgrade) -> Handler:
        """What serves a handshake that has been let in. Raises ``Refused`` if it is for a call that is not active."""
        if isinstance(flavour, LiveDoor):
            return self.live.open(flavour, upgrade, self.faults)
        if flavour.call_id is None:
            kind = TranslationSession if flavour.session_type == "translation" else ServerSession
            opened = kind(flavour, self.settings, upgrade)
            opened.set_faults(self.faults)
            return opened
        return CallView(self.calls.get(flavour.call_id).active_session(), upgrade)

    def _begin_call(self, call_id: str, told: Configuration) -> CallSession:
        flavour = Flavour(told.session_type, told.model, settings=told.settings, call_id=call_id)
        session = CallSession(flavour, self.settings, Upgrade("/v1/realtime", {"call_id": call_id}, {}))
        session.set_faults(self.faults)
        with self._lock:
            self._sessions.append(session)
            self._changed.notify_all()
        session.begin()
        return session

    def serve(self, handler: Handler, connection: ServerConnection) -> None:
        """Run the connection until it ends; not at all once the server closes."""
        with self._lock:
            # close() sets the flag before it takes the list, so one of the two sees the other.
            if self.closing.is_set():
                connection.discard()
                return
            self._connections.add(connection)
            if isinstance(handler, ServerSession):
                self._sessions.append(handler)
                self._changed.notify_all()
        if isinstance(handler, TwinSession):
            self.live.add(handler)
        try:
            connection.run()
        finally:
            with self._lock:
                self._connections.discard(connection)
                self._changed.notify_all()
                over = [] if self.settings.record else [session for session in self._sessions if session.is_over]
                for session in over[: max(0, len(over) - _KEPT)]:
                    self._sessions.remove(session)


def _checked_faults(faults: object) -> Faults:
    if not isinstance(faults, Faults):
        told = f"faults is {faults!r}, but must be a Faults: Faults(refuse=...) or Faults(acts=[...])."
        raise ConfigurationError(told)
    return faults


def _tls_context(context: Optional[ssl.SSLContext], files: Optional[tuple[str, str]]) -> Optional[ssl.SSLContext]:
    if files is None:
        return context
    if context is not None:
        raise ConfigurationError("Give ssl_context or tls=(certfile, keyfile), not both.")
    return context_from_files(*files)


def _shut_down(accepted: socket.socket) -> None:
    """Wake a thread that is still in its handshake; the connection's own thread closes the socket."""
    try:
        socket.socket.shutdown(accepted, socket.SHUT_RDWR)
    except OSError:
        pass  # closed already

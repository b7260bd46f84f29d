"""A session of the server: the state machine behind one WebSocket of the realtime protocol.

``served.py`` has its threads, and what ``lock`` guards: conversation, input audio, responses and remote tools, too.
"""

from __future__ import annotations

import copy
import logging
import time
from typing import Callable, Optional

from realtime_sync.server.auth import Flavour
from realtime_sync.server.input_audio import InputAudio
from realtime_sync.server.items import Item, ServerConversation, item_from_client
from realtime_sync.server.preview import PreviewEdge
from realtime_sync.server.remote_tools import RemoteTools
from realtime_sync.server.responses import ResponseRun
from realtime_sync.server.served import ServedSession, printable
from realtime_sync.server.session_options import check_voice, new_session, updated_session
from realtime_sync.server.settings import SessionSettings
from realtime_sync.server.shapes import check_message
from realtime_sync.server.traffic import Upgrade
from realtime_sync.server.voice_live import VoiceLiveEdge
from realtime_sync.server.wire import Json, Refused, given, new_id

# One line when a session begins and one when it ends. Never a key or a text.
_sessions_log = logging.getLogger("realtime_sync.server.sessions")
_TOKEN_LIMIT = 40_000


class ServerSession(ServedSession):
    """One connection's session, live or past; also the record of what it has sent and received."""

    def __init__(self, flavour: Flavour, settings: SessionSettings, upgrade: Upgrade) -> None:
        super().__init__(settings, upgrade)
        self.flavour = flavour
        self.id = new_id("sess")
        expires_at = int(time.time() + settings.session_seconds)
        self.options = new_session(flavour.session_type, self.id, flavour.model, expires_at)
        if flavour.settings is not None:  # of a client secret or a call
            self.options = updated_session(self.options, flavour.settings, audio_has_been_said=False)
        self.conversation = ServerConversation()
        self.audio_has_been_said = False
        self.read_tokens = 0
        self._tokens_left = _TOKEN_LIMIT
        self._responses: dict[str, ResponseRun] = {}
        self._hearing = InputAudio(self)
        self.remote_tools = RemoteTools(self, settings.mcp_servers)
        edge = VoiceLiveEdge if flavour.voice_live else PreviewEdge
        self._preview = edge() if flavour.preview else None

    # For tests, from any thread --------------------------------------------------------------------------------

    def emit(self, event: Json) -> None:
        """Send an event in GA spelling (a preview client sees it in preview's); an ``event_id`` is added."""
        with self.lock:
            event = {"type": event["type"], "event_id": new_id("event"), **event}
            shown = event if self._preview is None else self._preview.event(event)
            if shown is not None:
                self.send_as_it_is(shown)

    # The connection's thread -----------------------------------------------------------------------------------

    def on_open(self) -> None:
        """See ``Handler``."""
        assert self.connection is not None
        with self.lock:
            self.connection.delay = self._delay
            self.begin(self.settings.first_update)

    def begin(self, first_update: Optional[str] = None) -> None:
        """Start the timers, the first event if one is told (a call has none), and the script."""
        dialect = ", preview dialect" if self.flavour.preview else ""
        call = f" of the call {self.query['call_id']}" if self.flavour.call_id else ""
        kind = f"{self.flavour.session_type} session{call}{dialect}"
        _sessions_log.info("%s began: %s, %s", self.id, self._model, kind)
        with self.lock:
            self._timers["expiry"] = self.clock.call_later(self.settings.session_seconds, self._expire)
            self._schedule_ping()
            if first_update is not None:
                self.emit({"type": first_update, "session": self.options})
            self.remote_tools.list_tools(self.options.get("tools", ()))  # those of a client secret or a call
            self._run_due_acts()
        script = self.settings.script
        if script is not None:
            self.start_thread(lambda: script.run(self), "script")

    def on_end(self, code: int, reason: str, *, by_client: bool) -> None:
        """See ``Handler``."""
        with self.lock:
            self.is_over = True
            self._cancel_timers()
            for response in self._responses.values():
                response.abandon()
            self._responses.clear()
            self.remote_tools.abandon()
            self._hearing.end()
            if not self._keep:  # of past sessions a server remembers a thousand: not with all of their audio
                self.conversation = ServerConversation()
        seconds = time.monotonic() - self.opened_at
        turns = f"{self.turns} turn{'' if self.turns == 1 else 's'}"
        how = "connection lost" if code == 1006 else f"closed by the {'client' if by_client else 'server'} with {code}"
        _sessions_log.info("%s ended: %s, %.1f s, %s, %s", self.id, self._model, seconds, turns, how)
        self.note_closed(code, reason, by_client)

    @property
    def _model(self) -> str:
        return printable(self.flavour.model)  # the client's own word, from the query

    def _refuse(self, refusal: Refused, event_id: Optional[str]) -> None:
        self.emit(refusal.event(event_id))

    # Client messages, under the lock -----------------------------------------------------------------------------

    def _handle(self, message: Json) -> None:
        if self._preview is not None:
            message = self._preview.message(message)
        check_message(message)
        handlers: dict[str, Callable[[Json], None]] = {
            "session.update": self._update,
            "input_audio_buffer.append": lambda told: self._hearing.append(told["audio"]),
            "input_audio_buffer.commit": lambda told: self._hearing.commit(),
            "input_audio_buffer.clear": lambda told: self._hearing.clear(),
            "conversation.item.create": self._create_item,
            "conversation.item.retrieve": self._retrieve_item,
            "conversation.item.truncate": self._truncate_item,
            "conversation.item.delete": self._delete_item,
            "response.create": lambda told: self.create_response(given(told.get("response") or {})),
            "response.cancel": self._cancel_response,
        }
        handler = handlers.get(str(message["type"]))
        if handler is None:
            raise Refused("invalid_event", f"'{message['type']}' is not supported in this kind of session.", "type")
        handler(message)

    def _update(self, message: Json) -> None:
        self.options = updated_session(self.options, message["session"], audio_has_been_said=self.audio_has_been_said)
        self._hearing.configure()
        self.emit({"type": "session.updated", "session": self.options})
        self.remote_tools.list_tools(self.options.get("tools", ()))

    def _create_item(self, message: Json) -> None:
        item = item_from_client(message["item"], self.input_audio_type)
        call_id = item.wire.get("call_id")
        if item.wire["type"] == "function_call_output" and not self.conversation.has_call(str(call_id)):
            raise Refused("invalid_tool_call_id", f"Tool call ID '{call_id}' not found in conversation.")
        is_approval = item.wire["type"] == "mcp_approval_response"
        if is_approval:
            self.remote_tools.check_answer(item.wire)
        self.add_item(item, message.get("previous_item_id"))
        if is_approval:
            self.remote_tools.answer(item.wire)

    def _retrieve_item(self, message: Json) -> None:
        item = self.conversation.require(message["item_id"], "item_retrieve_invalid_item_id", "retrieving")
        self.emit({"type": "conversation.item.retrieved", "item": item.with_audio()})

    def _truncate_item(self, message: Json) -> None:
        told = {key: message[key] for key in ("item_id", "content_index", "audio_end_ms")}
        self.conversation.truncate(**told)
        self.emit({"type": "conversation.item.truncated", **told})

    def _delete_item(self, message: Json) -> None:
        self.conversation.delete(message["item_id"])
        self.emit({"type": "conversation.item.deleted", "item_id": message["item_id"]})

    def _cancel_response(self, message: Json) -> None:
        told_id = message.get("response_id")
        response = self._responses.get(told_id) if told_id else self.active_response
        if response is None:
            raise Refused("response_cancel_not_active", "Cancellation failed: no active response found", None)
        response.cancel("client_cancelled")

    # Items and responses, under the lock -------------------------------------------------------------------------

    @property
    def input_audio_type(self) -> str:
        """The format of the audio that comes in."""
        return str(self.options["audio"]["input"]["format"]["type"])

    @property
    def active_response(self) -> Optional[ResponseRun]:
        """The response of the default conversation that is being said, or None."""
        return next((run for run in self._responses.values() if run.in_conversation), None)

    def add_item(self, item: Item, previous_item_id: Optional[str] = None) -> None:
        """Add a finished item and tell it. Raises ``Refused``."""
        previous = self.conversation.add(item, previous_item_id)
        self.emit_item("conversation.item.added", previous, item.wire)
        self.emit_item("conversation.item.done", previous, item.wire)

    def emit_item(self, wire_type: str, previous: Optional[str], wire: Json) -> None:
        """Emit an event that tells an item and its place."""
        # A copy: the record keeps what was told now, whatever becomes of the item.
        self.emit({"type": wire_type, "previous_item_id": previous, "item": copy.deepcopy(wire)})

    def create_response(self, params: Json) -> None:
        """Begin a response. Raises ``Refused`` if one is active, or if the parameters contradict the state."""
        if self.flavour.session_type != "realtime":
            raise Refused("invalid_event", "Responses cannot be created in a transcription session.", "type")
        in_conversation = params.get("conversation", "auto") != "none"
        active = self.active_response
        if in_conversation and active is not None:
            message = (
                f"Conversation already has an active response in progress: {active.id}. "
                "Wait until the response is finished before creating a new one."
            )
            raise Refused("conversation_already_has_active_response", message)
        voice = params.get("audio", {}).get("output", {}).get("voice")
        check_voice(self.options, voice, audio_has_been_said=self.audio_has_been_said and in_conversation)
        self.remote_tools.list_tools(params.get("tools", ()))
        told = params.get("input")
        items = list(self.conversation) if told is None else [self._input_item(entry) for entry in told]
        run = ResponseRun(self, params, items, in_conversation)
        self._responses[run.id] = run
        run.start(self.settings.responder)

    def response_is_done(self, run: ResponseRun) -> None:
        """Tell the end of a response; called by the response."""
        self._responses.pop(run.id, None)
        self.emit({"type": "response.done", "response": run.wire})
        self._tokens_left = max(0, self._tokens_left - run.wire["usage"]["total_tokens"])
        if self.settings.rate_limits:
            reset = round((_TOKEN_LIMIT - self._tokens_left) * 60 / _TOKEN_LIMIT, 3)
            limits = {"name": "tokens", "limit": _TOKEN_LIMIT, "remaining": self._tokens_left, "reset_seconds": reset}
            self.emit({"type": "rate_limits.updated", "rate_limits": [limits]})
        if run.in_conversation:
            self._hearing.response_was_said(run.audio_ms)
        self.remote_tools.make_calls()

    def _input_item(self, told: Json) -> Item:
        if told["type"] != "item_reference":
            return item_from_client(told, self.input_audio_type)
        item = self.conversation.get(told["id"])
        if item is None:
            raise Refused("invalid_value", f"Item with id '{told['id']}' does not exist.", "response.input")
        return item

    def _expire(self) -> None:
        with self.lock:
            minutes = round(self.settings.session_seconds / 60)
            text = f"Your session hit the maximum duration of {minutes} minutes."
            self.emit(Refused("session_expired", text).event())
            self.close(1001, "")

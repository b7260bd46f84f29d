"""A recording played by a server: the same traffic to any client."""

from __future__ import annotations

import contextlib
import itertools
import json
import logging
import re
import time
from typing import Any, Optional

import attrs

from realtime_sync.checks import check_number
from realtime_sync.errors import WaitTimeoutError
from realtime_sync.protocol.items import base64_size
from realtime_sync.recording import Entry, Recording
from realtime_sync.server import RealtimeServer, Script, ServerSession, faults

_log = logging.getLogger("realtime_sync.server")
_APPENDS = ("input_audio_buffer.append", "session.input_audio_buffer.append", "session.input_audio.append")
_STRING = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"')  # of JSON, its quotes included
_ADDED = ("conversation.item.added", "conversation.item.created")


class ReplayMismatch(Exception):
    """The client did something else than the recorded one. Told in ``failures``; it never comes out of here."""


class ReplayScript(Script):
    """Plays a recording's server to each session: the recorded frames, and before those that the recorded client had
    sent something first, waits for this client to send a message of the same type.

    ``speed``: None sends as fast as the client takes it; 1.0 in the recorded pace, 2.0 twice as fast. ``timeout``:
    seconds to wait for a message of the client's. Audio may come in pieces of any size, and as much as one likes: for
    what the server said in the middle of it, as many bytes of it are waited for. Ids that the client chooses (of
    messages and items) are put in place of the recorded ones. A recording of several connections plays them to one
    session after the other.

    What the client does otherwise closes the connection with code 1002; ``failures`` tells what, where in the
    recording. ``strict=False`` lets the client go its own way: a message is answered as the next recorded one of its
    type was, and one that was not recorded is passed over; each ``response.create`` gets the next recorded response to
    its end, also one that voice activity detection began. So any recording can answer an ``ask``. Use
    ``replay_server``, or a server with ``first_update=None``.
    """

    def __init__(
        self, recording: Recording, *, speed: Optional[float] = None, timeout: float = 10.0, strict: bool = True
    ) -> None:
        super().__init__(())
        check_number("speed", speed, above=0, optional=True)
        self.recording = recording
        self.speed = speed
        self.timeout = timeout
        self.strict = strict
        self._numbers = itertools.count()

    def run(self, session: ServerSession) -> None:
        """Play one connection; on a thread of the session's."""
        connections = sorted({entry.connection for entry in self.recording.entries}) or [1]
        number = connections[next(self._numbers) % len(connections)]
        try:
            (_Replay if self.strict else _LooseReplay)(self, session, number).run()
        except ReplayMismatch as mismatch:
            self.failures.append(str(mismatch))
            _log.warning("a replay has ended: %s", mismatch)
            session.close(1002, "the client did not do what was recorded")
        except Exception as error:
            self.failures.append(f"the recording could not be replayed: {type(error).__name__}: {error}")
            _log.exception("a recording could not be replayed")
            session.close(1011, "the recording could not be replayed")


def replay_server(
    recording: Recording,
    *,
    speed: Optional[float] = None,
    timeout: float = 10.0,
    strict: bool = True,
    **options: Any,
) -> RealtimeServer:
    """A ``RealtimeServer`` that plays the recording to every client; ``server.settings.script.failures`` tells what a
    client did otherwise. ``speed``, ``timeout`` and ``strict`` as in ``ReplayScript``, ``options`` as in
    ``RealtimeServer``.
    """
    script = ReplayScript(recording, speed=speed, timeout=timeout, strict=strict)
    return RealtimeServer(responder=script, first_update=None, **options)


class _Replay:
    """One connection of the recording, played to one session."""

    def __init__(self, script: ReplayScript, session: ServerSession, number: int) -> None:
        self._script = script
        self._session = session
        self._number = number
        self._entries = [entry for entry in script.recording.entries if entry.connection == number]
        self._position = 0  # of the live client's next message
        self._audio = 0  # bytes that it has sent since its last other message
        self._begun = time.monotonic()
        self._renamed: dict[str, str] = {}  # recorded ids, quoted, to those of this client
        self._named_items: list[str] = []  # by this client, if the server of the recording had to name them
        self._metadata: list[tuple[Any, Any]] = []  # of the recorded requests, and of this client's

    def run(self) -> None:
        recorded_audio = 0  # bytes that the recorded client had sent since its last other message
        self._begun -= self._paced(self._entries[0].t) if self._entries else 0
        for index, entry in enumerate(self._entries):
            if self._session.is_over:
                return
            if entry.direction == "in":
                self._send(entry)
                continue
            message = _parsed(entry.text)
            if message.get("type") in _APPENDS:
                recorded_audio += _audio_size(message)
                self._wait_for_audio(recorded_audio, self._where(index, entry))
            else:
                recorded_audio = 0
                self._pair(message, self._wait_for(str(message.get("type")), self._where(index, entry)))
            # A client that is slower than the recorded one gets its answers as long after its message.
            self._begun = max(self._begun, time.monotonic() - self._paced(entry.t))
        self._close_as_recorded()

    def _pair(self, recorded: dict[str, Any], said: dict[str, Any]) -> None:
        """From now on what the server says about the recorded message is about this client's."""
        self._renamed.update(_renamed_ids(recorded, said))
        if recorded.get("type") == "conversation.item.create" and not _item_id(recorded) and _item_id(said):
            self._named_items.append(_item_id(said))
        metadata = _metadata(recorded), _metadata(said)
        if all(metadata) and metadata[0].keys() != metadata[1].keys():
            self._metadata.append(metadata)

    # What the live client says, in order -----------------------------------------------------------------------

    def _wait_for(self, wire_type: str, where: str) -> dict[str, Any]:
        """The next message, which is to be of this type; audio before it is passed over."""
        while True:
            message = self._next(f"a message of the type {wire_type}", where)
            self._position += 1
            if message.get("type") == wire_type:
                self._audio = 0
                return message
            if message.get("type") not in _APPENDS:
                raise ReplayMismatch(f"{where} the client sent {wire_type}; this client sent {message.get('type')}")

    def _wait_for_audio(self, size: int, where: str) -> None:
        """So many bytes of audio since the last other message; less if the client has gone on to another one."""
        while self._audio < size:
            message = self._next("audio", where)
            if message.get("type") not in _APPENDS:
                return
            self._position += 1
            self._audio += _audio_size(message)

    def _next(self, what: str, where: str) -> dict[str, Any]:
        try:
            self._session.wait_after(self._position, lambda message: True, self._script.timeout)
        except WaitTimeoutError as error:
            ended = "left before it sent one" if self._session.close_code is not None else "sent nothing more"
            told = f"{where} the client sent {what}; this client {ended} (waited at most {self._script.timeout} s)"
            raise ReplayMismatch(told) from error
        return self._session.received[self._position]

    # What the recording's server says ---------------------------------------------------------------------------

    def _paced(self, t: float) -> float:
        return t / self._script.speed if self._script.speed is not None else 0.0

    def _wait_until(self, t: float) -> None:
        """Wait for this moment of the recording, if its pace is kept, or until the client has left."""
        delay = self._begun + self._paced(t) - time.monotonic() if self._script.speed is not None else 0.0
        if delay > 0:
            with contextlib.suppress(WaitTimeoutError):
                self._session.wait_until_closed(delay)

    def _send(self, entry: Entry) -> None:
        self._wait_until(entry.t)
        self._session.wait_for_room()
        connection = self._session.connection
        if connection is None or self._session.is_over:
            return
        if entry.binary is not None:
            connection.send(entry.binary)
            return
        text = entry.text
        if self._named_items and '"conversation.item.' in text:
            self._rename_item(_parsed(text))
        if self._metadata and '"metadata"' in text:
            text = self._with_metadata(text)
        if self._renamed:  # all at once: the new name of one may be the old name of another
            text = _STRING.sub(lambda found: self._renamed.get(found[0], found[0]), text)
        self._session.note_sent(_parsed(text))  # before the client can know of it
        connection.send(text)

    def _with_metadata(self, text: str) -> str:
        """The message with the metadata that this client gave to the request, if it tells the recorded ones."""
        message = _parsed(text)
        given = next((live for recorded, live in self._metadata if recorded == _metadata(message)), None)
        if given is None:
            return text
        message["response"]["metadata"] = given
        return json.dumps(message)

    def _rename_item(self, message: dict[str, Any]) -> None:
        """The first message that tells a new item tells the one that the client has named first."""
        told = _item_id(message)
        if message.get("type") in _ADDED and told and json.dumps(told) not in self._renamed:
            self._renamed[json.dumps(told)] = json.dumps(self._named_items.pop(0))

    def _close_as_recorded(self) -> None:
        ends = [each for each in self._script.recording.connections if each.number == self._number]
        info = ends[0].info if ends else None
        if info is None or info.initiator == "local":
            return  # the client's to do
        self._wait_until(ends[0].closed or 0.0)
        if info.initiator == "lost":
            self._session.inject(attrs.evolve(faults.eof(), urgent=False))  # after what is queued
        else:
            self._session.close(1000 if info.code == 1005 else info.code, info.reason)

    def _where(self, index: int, entry: Entry) -> str:
        return f"at {entry.t:.3f} s of the recording (message {index + 1} of connection {self._number})"


class _LooseReplay(_Replay):
    """The same for a client that goes its own way."""

    def __init__(self, script: ReplayScript, session: ServerSession, number: int) -> None:
        super().__init__(script, session, number)
        self._place = 0  # of the next entry
        self._passed: list[dict[str, Any]] = []  # recorded messages of the client that this one has not sent yet

    def run(self) -> None:
        self._play_on()
        while self._place < len(self._entries) and not self._session.is_over:
            try:
                self._session.wait_after(self._position, lambda message: True, self._script.timeout)
            except WaitTimeoutError:
                continue  # it takes its time, or has left
            message = self._session.received[self._position]
            self._position += 1
            self._begun = time.monotonic() - self._paced(self._entries[self._place].t)
            self._answer(message)
        self._close_as_recorded()

    def _answer(self, message: dict[str, Any]) -> None:
        wire_type = message.get("type")
        place = self._next_place(str(wire_type))
        if place is not None:
            self._play_on(place)
            self._place += 1
            self._pair(_parsed(self._entries[place].text), message)
        else:
            recorded = next((each for each in self._passed if each.get("type") == wire_type), None)
            if recorded is not None:
                self._passed.remove(recorded)
                self._pair(recorded, message)
        if wire_type == "response.create":
            self._play_response()
        if place is not None or wire_type == "response.create":
            self._play_on()

    def _next_place(self, wire_type: str) -> Optional[int]:
        """Where the recorded client sent the next message of this type; None if it did not before its next request."""
        for place, entry in enumerate(self._entries[self._place :], self._place):
            recorded = _parsed(entry.text).get("type") if entry.direction == "out" else None
            if recorded == wire_type:
                return place
            if recorded == "response.create":
                return None
        return None

    def _play_on(self, until: Optional[int] = None) -> None:
        """Play what the server said up to this place, passing over the client; None: up to its next message."""
        while self._place < len(self._entries) and self._place != until:
            entry = self._entries[self._place]
            if entry.direction == "in":
                self._send(entry)
            elif until is None:
                return
            else:
                self._passed.append(_parsed(entry.text))
            self._place += 1

    def _play_response(self) -> None:
        """Play up to the end of the next response, passing over the client; nothing if there is none."""
        for place, entry in enumerate(self._entries[self._place :], self._place):
            if entry.direction == "in" and _parsed(entry.text).get("type") == "response.done":
                self._play_on(place + 1)
                return


def _metadata(message: dict[str, Any]) -> dict[str, Any]:
    response = message.get("response")
    metadata = response.get("metadata") if isinstance(response, dict) else None
    return metadata if isinstance(metadata, dict) else {}


def _parsed(text: str) -> dict[str, Any]:
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return message if isinstance(message, dict) else {}


def _item_id(message: dict[str, Any]) -> str:
    item = message.get("item")
    told = item.get("id") if isinstance(item, dict) else None
    return told if isinstance(told, str) else ""


def _audio_size(message: dict[str, Any]) -> int:
    audio = message.get("audio")
    return base64_size(audio) if isinstance(audio, str) else 0


def _renamed_ids(recorded: Any, live: Any, key: str = "") -> dict[str, str]:
    """What a client names itself, and its counterpart: ids, and the metadata by which it knows its responses."""
    if isinstance(recorded, dict) and isinstance(live, dict):
        inside = "metadata" if key == "metadata" else None
        shared = [name for name in recorded if name in live]
        found = [_renamed_ids(recorded[name], live[name], inside or name) for name in shared]
        return {old: new for each in found for old, new in each.items()}
    both = isinstance(recorded, str) and isinstance(live, str) and recorded and recorded != live
    named = key == "id" or key.endswith("_id") or key == "metadata"
    return {json.dumps(recorded): json.dumps(live)} if both and named else {}

"""What a call may go through beside ``session.talk``: the voice socket of a web application, a telephone's stream.

A line reads the application on a thread of its own, and sends on the caller's.
"""

from __future__ import annotations

import base64
import json
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Callable, Optional, Union

import attrs

from realtime_sync.audio.formats import MULAW, PCM, SampleFormat
from realtime_sync.errors import ConnectionClosedError, HandshakeError
from realtime_sync.interrupts import Flag
from realtime_sync.testing.calls.call import CallerMicrophone, CallerSpeaker
from realtime_sync.testing.calls.report import CallFailed
from realtime_sync.testing.calls.telephone_messages import Provider, TelephoneMessages
from realtime_sync.threads import start_thread
from realtime_sync.timeouts import Timeouts
from realtime_sync.transport import Connection, connect
from realtime_sync.transport.frames import client_frame

_BINARY = 0x2
_END_SECONDS = 5.0
_REPORT_SECONDS = 0.1  # of sound between two reports of what was played


class _Wire:
    """A WebSocket to the application under test."""

    def __init__(self, url: str, headers: Mapping[str, str], timeout: float) -> None:
        timeouts = Timeouts(connect=timeout)
        try:
            self._connection: Connection = connect(url, headers=headers, subprotocols=(), timeouts=timeouts)
        except HandshakeError as error:  # its advice is for a service's keys and models
            told = f"The application refused the WebSocket {url} with HTTP {error.status}."
            raise CallFailed(f"{told} Look at the path, the headers, and the application's log.") from error
        self.gone = Flag()
        """Set once it has ended."""

    def say(self, **message: object) -> None:
        """Send JSON."""
        try:
            self._connection.send_text(json.dumps(message))
        except ConnectionClosedError:
            self.gone.set()

    def send(self, samples: bytes) -> None:
        """Send a binary message."""
        frame, taken = client_frame(_BINARY, samples), False
        try:
            try:
                with self._connection.turn:
                    taken = True
                    self._connection.write(frame)
            finally:
                if taken:
                    self._connection.after_turn()
        except ConnectionClosedError:
            self.gone.set()

    def messages(self) -> Iterator[Union[str, bytes]]:
        """What comes, until the connection ends."""
        try:
            while True:
                yield self._connection.receive()
        except ConnectionClosedError:
            self.gone.set()

    def close(self, reader: threading.Thread) -> None:
        """Hang up; waits for the application to answer that, and for the reading thread."""
        self._connection.start_close()
        self.gone.wait(_END_SECONDS)
        self._connection.abort()
        reader.join(_END_SECONDS)
        self._connection.dispose()


@contextmanager
def _joined(wire: _Wire, side: Union[_Page, _Telephone], microphone: CallerMicrophone) -> Iterator[None]:
    """Reads the wire within the block, and hangs up at its end."""

    def read() -> None:
        try:
            side.read()
        except Exception as error:  # the application's: a message that makes no sense here
            microphone.hung_up(f"it has sent what cannot be understood: {type(error).__name__}: {error}")
        finally:
            wire.gone.set()
            microphone.stop()
            side.ready.set()

    reader = start_thread(read, "realtime-sync-caller")
    try:
        yield
    finally:
        wire.close(reader)


@attrs.frozen
class BrowserLine:
    """The voice socket of a web application, as a page of ``examples/web_page`` uses it.

    From the caller: samples as binary messages, and JSON that tells what was heard of which item. To the caller:
    samples, each behind an ``audio`` message that tells whose they are, ``stop``, and what a page shows.

    Args:
        url: Of the socket: ``ws://127.0.0.1:5000/talk``.
        headers: Of its request, such as a cookie.
        timeout: Seconds for the connection, and again until the application says that it is ready.
    """

    url: str
    headers: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    timeout: float = 20.0

    format = PCM

    def __call__(self, microphone: CallerMicrophone, speaker: CallerSpeaker) -> None:
        """Carry a call, until either side hangs up."""
        microphone.start()
        wire = _Wire(self.url, self.headers, self.timeout)
        page = _Page(wire, microphone, speaker)
        with _joined(wire, page, microphone):
            if not page.ready.wait(self.timeout):
                raise CallFailed(f"The application at {self.url} was not ready within {self.timeout:g} s.")
            for piece in microphone:
                wire.send(piece)
                page.tell_played()


class _Page:
    """The page's side of the socket."""

    def __init__(self, wire: _Wire, microphone: CallerMicrophone, speaker: CallerSpeaker) -> None:
        self.ready = Flag()
        self._wire, self._microphone, self._speaker = wire, microphone, speaker
        self._told = 0  # samples that the last report told of

    def read(self) -> None:
        """What the application says; on the line's thread."""
        item_id, index = "", 0
        for message in self._wire.messages():
            if isinstance(message, bytes):
                self._speaker.write(item_id, index, message)
                continue
            told = json.loads(message)
            kind = told.get("type")
            if kind == "ready":
                self.ready.set()
            elif kind == "audio":
                item_id, index = told["item_id"], told["content_index"]
            elif kind == "stop":
                self._speaker.stop()
                self._say_position("stopped", told["number"])
            elif kind == "failed":
                self._microphone.hung_up(str(told.get("message")))

    def tell_played(self) -> None:
        """Tell how much was heard, as often as a page does."""
        taken = self._speaker.taken
        if taken - self._told >= _REPORT_SECONDS * PCM.rate or (taken > self._told and not self._speaker.playing):
            self._told = taken
            self._say_position("played")

    def _say_position(self, kind: str, number: Optional[int] = None) -> None:
        played = self._speaker.position.current
        told: dict[str, object] = {} if number is None else {"number": number}
        if played is not None:
            samples = played.ms * PCM.rate // 1000
            told.update(item_id=played.item_id, content_index=played.content_index, samples=samples)
        self._wire.say(type=kind, **told)


@attrs.frozen
class TelephoneLine:
    """A telephone's media stream to an application: JSON frames of 8 kHz µ-law over a WebSocket.

    It answers each ``mark`` when the sound before it was heard, and all that wait at a ``clear``, as the service does.

    Args:
        url: Of the application's socket.
        parameters: What the application's document has passed on (``customParameters`` of ``start``).
        headers: Of the socket's request.
        timeout: Seconds for the connection.
        provider: Whose words it uses: ``"twilio"`` or ``"telnyx"``.
    """

    url: str
    parameters: Mapping[str, str] = attrs.field(factory=dict)
    headers: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    timeout: float = 20.0
    provider: Provider = "twilio"

    format: SampleFormat = attrs.field(default=MULAW, init=False, repr=False)
    has_keys = True

    def __call__(self, microphone: CallerMicrophone, speaker: CallerSpeaker) -> None:
        """Carry a call, until either side hangs up."""
        microphone.start()
        wire = _Wire(self.url, self.headers, self.timeout)
        telephone = _Telephone(wire, speaker, TelephoneMessages(self.provider, parameters=self.parameters))
        with _joined(wire, telephone, microphone):
            telephone.begin()
            for piece in microphone:
                telephone.send(piece, microphone.take_keys())
            telephone.end()


class _Telephone:
    """The telephone service's side of the socket."""

    def __init__(self, wire: _Wire, speaker: CallerSpeaker, messages: TelephoneMessages) -> None:
        self.ready = Flag()
        self._wire, self._speaker, self._messages = wire, speaker, messages
        self._marks: deque[tuple[int, str]] = deque()  # samples that come before it, its name
        self._dropped = self._clears = 0

    def begin(self) -> None:
        """Say what kind of stream it is."""
        self._say(self._messages.connected)
        self._say(self._messages.started)

    def send(self, samples: bytes, keys: str) -> None:
        """A piece of the caller's sound, the keys pressed in it, and the marks that were reached."""
        self._say(self._messages.media, samples)
        for key in keys:
            self._say(self._messages.pressed, key)
        while self._marks and self._marks[0][0] <= self._speaker.taken + self._dropped:
            self._say(self._messages.mark, self._marks.popleft()[1])

    def end(self) -> None:
        """The call is over."""
        self._say(self._messages.stopped)

    def read(self) -> None:
        """What the application says; on the line's thread."""
        for message in self._wire.messages():
            told: dict[str, Any] = json.loads(message)
            kind = told.get("event")
            if kind == "media":
                # What comes behind a clear belongs to another item, because a speaker drops the rest of a cut one.
                samples = base64.b64decode(told["media"]["payload"])
                self._speaker.write(f"after {self._clears} clears", 0, samples)
            elif kind == "mark":
                self._marks.append((self._speaker.written, told["mark"]["name"]))
            elif kind == "clear":
                self._speaker.stop()
                self._clears += 1
                self._dropped = self._speaker.written - self._speaker.taken  # whose marks count as reached

    def _say(self, message: Callable[..., dict[str, Any]], *told: Union[str, bytes]) -> None:
        self._wire.say(**message(*told))

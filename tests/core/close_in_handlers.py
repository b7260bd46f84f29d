"""``close()`` in a signal handler, at a random moment of each public call: nothing may hang, and the session must end.

A script, because a deadlock of the main thread can only be ended from outside::

    python -m tests.core.close_in_handlers [ROUNDS_OF_EACH_CALL]

It prints a line for each call, and exits with 1 (and all tracebacks) if a round takes longer than it may.
"""

from __future__ import annotations

import faulthandler
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Callable, ClassVar

from realtime_sync import (
    ConversationSessionOptions,
    InputTranscriptionOptions,
    OpenAIClient,
    PlaybackPosition,
    RealtimeConversationClient,
    RealtimeSyncError,
    Timeouts,
    TurnDetectionOptions,
    function_tool,
)
from realtime_sync.server import RealtimeServer, Turn
from realtime_sync.speaking import read_aloud
from realtime_sync.voice import FileSpeaker, OutgoingLink, RemoteSpeaker
from realtime_sync.web.sse import sse_events

TIMEOUTS = Timeouts(connect=5, greeting=3, send=3, acknowledge=5, close=1)
# A round: until the handler has returned, which waits half a second at most behind the call that it interrupts, and
# until the session has ended. For a machine that is busy with other things.
MOST_SECONDS = 15.0
TEXT = ConversationSessionOptions(
    content_modalities=["text"],
    input_transcription_options=InputTranscriptionOptions(model="gpt-transcribe"),
    turn_detection_options=TurnDetectionOptions.disabled(),
)
PCM = bytes(9600)


def look_up() -> str:
    """Look something up."""
    return "found"


TOOLS = [function_tool(look_up)]


def drain(things: Iterator[Any], most: int = 20) -> None:
    for number, _ in enumerate(things):
        if number >= most:
            break


def stream(session: Any) -> None:
    with session.respond("Hi") as response:
        drain(response.text_deltas(), 1000)


def write_audio(session: Any) -> None:
    with session.audio_writer() as writer:
        for _ in range(20):
            writer.write(PCM)


def subscribe(session: Any) -> None:
    with session.subscribe() as updates:
        session.add_item("Hi")
        drain(updates, 2)


def follow(things: Callable[[], Any], session: Any) -> None:
    with things() as open_things:
        session.add_item("Hi")
        del open_things


def interrupt_on_speech(session: Any) -> None:
    with session.interrupt_on_speech(PlaybackPosition()):
        session.add_item("Hi")


def approve(session: Any) -> None:
    with session.approve_mcp(lambda request: True):
        session.add_item("Hi")


def run(session: Any) -> None:
    session.start_response()
    session.run()


def cancel_audio(session: Any) -> None:
    sending = session.start_sending_audio(PCM * 20)
    sending.cancel()
    sending.wait(5)


def play(session: Any) -> None:
    with FileSpeaker(None, pace=100) as speaker:
        speaker.write("item", 0, PCM)
        speaker.stop()
        session.add_item("Hi")


class Elsewhere:
    """Plays nothing, and says that it has played all."""

    def __init__(self) -> None:
        self.speaker = RemoteSpeaker(self)
        self.link = OutgoingLink(len)

    def play(self, item_id: str, content_index: int, samples: bytes) -> None:
        self.link.put(samples, spare=True)
        self.speaker.heard(item_id, content_index, len(samples) // 2)

    def clear(self, number: int) -> None:
        self.link.drop()
        self.speaker.heard(None, None, None, cleared=number)


def play_elsewhere(session: Any) -> None:
    elsewhere = Elsewhere()
    try:
        elsewhere.speaker.write("item", 0, PCM)
        elsewhere.speaker.stop()
        session.add_item("Hi")
    finally:
        elsewhere.speaker.end()
        elsewhere.link.close()


CALLS: dict[str, Callable[[Any], object]] = {
    "add_item": lambda session: session.add_item("Hi"),
    "add_item(...).wait": lambda session: session.add_item("Hi").wait(),
    "add_history": lambda session: session.add_history(session.conversation),
    "ask": lambda session: session.ask("Hi"),
    "ask with tools": lambda session: session.ask("please look_up", tools=TOOLS),
    "ask a recording": lambda session: session.ask(PCM),
    "read_aloud": lambda session: read_aloud(session, "Good morning."),
    "respond": stream,
    "sse_events": lambda session: drain(sse_events(session.respond("Hi")), 1000),
    "start_response": lambda session: (session.start_response(), session.wait_for("response.done", 5)),
    "cancel_response": lambda session: session.cancel_response(),
    "delete_item": lambda session: session.delete_item("item_1"),
    "configure_session": lambda session: session.configure_session(TEXT).wait(),
    "configure_session with tools": lambda session: session.configure_session(ConversationSessionOptions(tools=TOOLS)),
    "run_tools": lambda session: session.run_tools(TOOLS),
    "send_message": lambda session: session.send_message({"type": "input_audio_buffer.clear"}),
    "send_audio": lambda session: session.send_audio(PCM * 20),
    "start_sending_audio": lambda session: session.start_sending_audio(PCM * 20).wait(),
    "AudioSend.cancel": cancel_audio,
    "audio_writer": write_audio,
    "commit_pending_audio": lambda session: (session.send_audio(PCM), session.commit_pending_audio()),
    "clear_input_audio": lambda session: session.clear_input_audio(),
    "interrupt": lambda session: (session.start_response(), session.interrupt(PlaybackPosition())),
    "interrupt_on_speech": interrupt_on_speech,
    "approve_mcp": approve,
    "updates": lambda session: (session.add_item("Hi"), drain(session.updates(), 2)),
    "receive_update": lambda session: (session.add_item("Hi"), session.receive_update(5)),
    "wait_for": lambda session: (session.add_item("Hi"), session.wait_for(lambda update: True, 5)),
    "subscribe": subscribe,
    "turns": lambda session: follow(session.turns, session),
    "transcripts": lambda session: follow(session.transcripts, session),
    "conversation": lambda session: (session.add_item("Hi"), session.conversation, repr(session)),
    "run": run,
    "FileSpeaker": play,
    "RemoteSpeaker": play_elsewhere,
    "close": lambda session: session.close(),
}


def beat(turn: Turn) -> Iterator[str]:
    yield from ["An ", "answer ", "in ", "pieces."]


class Rounds:
    """One server, and a session for each round."""

    calls: ClassVar = CALLS
    longest = 0.01  # seconds until the signal comes

    def __init__(self, folder: Path) -> None:
        self.server = RealtimeServer(responder=beat, record=False)
        openai = OpenAIClient("any-key", endpoint=self.server.url, timeouts=TIMEOUTS)
        self.openai, self.folder = openai, folder
        self.slowest = 0.0
        self.called = 0
        self.close: Callable[[], None] = lambda: None
        signal.signal(signal.SIGALRM, self.handle)

    def handle(self, *_: object) -> None:
        self.called += 1
        begun = time.monotonic()
        self.close()
        self.slowest = max(self.slowest, time.monotonic() - begun)

    def tell(self, name: str) -> None:
        sys.stdout.write(f"{name}: {self.called} closes so far, the slowest took {self.slowest:.2f} s\n")
        sys.stdout.flush()

    def round(self, call: Callable[[Any], object], number: int) -> None:
        faulthandler.dump_traceback_later(MOST_SECONDS, exit=True)
        client = self.openai.get_realtime_conversation_client("m")
        options = {} if number % 3 else {"recording": self.folder / f"{number}.jsonl"}
        session = self.begin(client, reconnect=number % 4 == 0, **options)
        self.close = session.close if number % 5 else client.close
        signal.setitimer(signal.ITIMER_REAL, random.uniform(0.0001, self.longest))
        while not session.closed:
            with suppress(RealtimeSyncError, StopIteration):  # refusals of the server, and in the end the session's end
                call(session)
        signal.setitimer(signal.ITIMER_REAL, 0)
        faulthandler.cancel_dump_traceback_later()

    def begin(self, client: RealtimeConversationClient, **options: Any) -> Any:
        return client.start_conversation_session(TEXT, **options)

    def start(self, number: int) -> None:
        """The client is closed while a session is being started."""
        faulthandler.dump_traceback_later(MOST_SECONDS, exit=True)
        client = self.openai.get_realtime_conversation_client("m")
        self.close = client.close
        signal.setitimer(signal.ITIMER_REAL, random.uniform(0.0001, self.longest))
        called, session = self.called, None
        try:
            while self.called == called:
                session = self.begin(client)
        except RealtimeSyncError:
            pass
        while session is not None and not session.closed:
            time.sleep(0.001)
        faulthandler.cancel_dump_traceback_later()


def main(kind: type[Rounds], rounds: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        every = kind(Path(folder))
        for name, call in every.calls.items():
            for number in range(rounds):
                every.round(call, number)
            every.tell(name)
        for number in range(rounds):
            every.start(number)
        every.tell("the start of a session")
    enough = rounds * len(every.calls) * 3 // 4  # the session may be closed before the signal comes
    os._exit(0 if every.called >= enough else 2)


if __name__ == "__main__":
    main(Rounds, int(sys.argv[1]) if len(sys.argv) > 1 else 10)

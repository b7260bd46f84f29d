"""Ctrl-C in every public call: ``python -m tests.ctrl_c everywhere|random|reconnecting|live SECONDS [CALL...]``.

A real Ctrl-C is handled in the main thread when a Python function is entered, when a call of a C function returns, and
when a loop jumps back. ``everywhere`` raises ``KeyboardInterrupt`` at each of the first two, one after the other in one
call after the other, in a random order until the time is up. ``random`` and ``reconnecting`` (with ``reconnect=True``)
have a timer send 2,000 signals. ``live`` is ``everywhere`` in a GPT-Live session, whose clock must be kept all the
while. After each interrupt the session must answer on another thread; or it must have ended
because a frame was cut, which is documented. Nothing of the call may be left: no thread, no claim, no listener, no
awaited command. What was opened is closed in time, and leaves no descriptor.
"""

from __future__ import annotations

import _thread
import faulthandler
import functools
import gc
import os
import random
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any, Callable, Optional

import attrs

from realtime_sync import (
    ConnectionClosedError,
    ConversationItem,
    ConversationSessionOptions,
    InputTranscriptionOptions,
    OpenAIClient,
    SessionNotOpenError,
    Timeouts,
    TurnDetectionOptions,
    function_tool,
)
from realtime_sync.audio.playback import PlaybackPosition
from realtime_sync.server import FunctionCall, RealtimeServer, Reply, Turn
from realtime_sync.speaking import say as read_out
from realtime_sync.voice import FileMicrophone, FileSpeaker, OutgoingLink, RemoteMicrophone, RemoteSpeaker
from tests.devices.fake_sounddevice import FakeSoundDevice, FakeStream
from tests.harness import Running, client_threads, descriptors, until

INTERRUPTS = 2000
say = functools.partial(print, flush=True)
AUDIO = bytes(48 * 40)
OTHERS: list[Any] = []
"""What calls have opened beside the loop's own session."""


@function_tool
def look() -> str:
    """Look."""
    return "seen"


WRITTEN = ConversationSessionOptions(
    content_modalities=["text"],
    input_transcription_options=InputTranscriptionOptions(model="gpt-transcribe"),
    turn_detection_options=TurnDetectionOptions.disabled(),
    tools=[look],
)


class Speaking(FakeSoundDevice):
    """A speaker that takes what it is given, on a thread of its own as PortAudio does."""

    def RawOutputStream(self, **settings: Any) -> FakeStream:
        stream = FakeStream(self, settings)
        self.streams.append(stream)
        _thread.start_new_thread(self._take, (stream,))  # no step of it is Python's, so none is interrupted
        return stream

    def _take(self, stream: FakeStream) -> None:
        for _ in range(2000):
            if {"stop", "abort", "close"}.intersection(stream.calls):
                break
            stream.pull(480)
            time.sleep(0.001)


MACHINE = Speaking()
sys.modules["sounddevice"] = MACHINE  # type: ignore[assignment]


def answer(turn: Turn) -> Any:
    last = turn.items[-1]
    looks = last["type"] == "message" and last["content"][0].get("text") == "Look"
    return Reply(function_calls=[FunctionCall("look")]) if looks else "Yes."


# The calls ------------------------------------------------------------------------------------------------------------


def adds_an_item(session: Any) -> None:
    session.add_item("Hi").wait()


def adds_history(session: Any) -> None:
    session.add_history([ConversationItem.create_user_message("Hi")])


def configures(session: Any) -> None:
    session.configure_session(WRITTEN).wait()


def sends_a_message(session: Any) -> None:
    session.send_message({"type": "input_audio_buffer.clear", "event_id": "event_1"}).wait()


def asks(session: Any) -> None:
    assert session.ask("Hi", timeout=5).text


def asks_with_deltas(session: Any) -> None:
    assert session.ask("Hi", on_delta=lambda delta: None, timeout=5).text


def asks_a_recording(session: Any) -> None:
    session.clear_input_audio()
    assert session.ask(AUDIO * 3, timeout=5).user_transcript


def reads_aloud(session: Any) -> None:
    OTHERS.append(client_of(session))
    assert read_out("Yes.", OTHERS[-1], timeout=5).audio


def plays(session: Any) -> None:
    attrs.evolve(session.ask("Hi", timeout=5), audio=AUDIO).play()


def asks_with_tools(session: Any) -> None:
    assert session.ask("Look", tools=[look], timeout=5).text


def has_a_response(session: Any) -> None:
    with session.respond("Hi", timeout=5) as response:
        list(response.text_deltas(5))


def starts_a_response(session: Any) -> None:
    created = session.start_response().wait()
    session.wait_for(lambda update: update.type == "response.done" and update.response_id == created.response_id, 5)


def receives(session: Any) -> None:
    session.add_item("Hi")
    for _ in range(2):
        session.receive_update(5)


def waits_for_an_update(session: Any) -> None:
    session.add_item("Hi")
    session.wait_for("conversation.item.added", 5)


def subscribes(session: Any) -> None:
    with session.subscribe() as updates:
        session.add_item("Hi")
        updates.receive(5)


class Stop(Exception):
    pass


def stop(update: object) -> None:
    raise Stop


def runs_callbacks(session: Any) -> None:
    session.add_item("Hi")
    session._callbacks.clear()
    session.on("conversation.item.added", stop)
    try:
        session.run()
    except Stop:
        pass


def iterates_over_turns(session: Any) -> None:
    with session.turns(timeout=5) as turns:
        session.ask("Hi", timeout=5)
        next(turns)


def reads_the_conversation(session: Any) -> None:
    assert session.conversation.items is not None
    repr(session)


def sends_audio(session: Any) -> None:
    session.send_audio(AUDIO, chunk_ms=20)


def starts_sending_audio(session: Any) -> None:
    session.start_sending_audio(AUDIO, chunk_ms=20).wait(5)


def writes_audio(session: Any) -> None:
    with session.audio_writer() as writer:
        writer.write(AUDIO)


def commits(session: Any) -> None:
    session.send_audio(bytes(4800))
    session.commit_pending_audio().wait()


def interrupts(session: Any) -> None:
    session.interrupt()


def interrupts_on_speech(session: Any) -> None:
    with session.interrupt_on_speech(PlaybackPosition()):
        pass


def approves(session: Any) -> None:
    with session.approve_mcp(lambda request: True):
        pass


def opened(session: Any) -> Any:
    OTHERS.append(client_of(session))  # which closes a session, too, that an interrupt has kept from being returned
    return OTHERS[-1].start_conversation_session()


def opens_a_session(session: Any) -> None:
    opened(session)


def opens_a_session_at_the_next_service(session: Any) -> None:
    nowhere = OpenAIClient("a-key", endpoint="http://127.0.0.1:9/v1").get_realtime_conversation_client("m")
    OTHERS.append(nowhere.with_fallbacks([client_of(session)]))
    OTHERS[-1].start_conversation_session()


def closes_a_session(session: Any) -> None:
    opened(session).close()


def talks(session: Any) -> None:
    OTHERS.append(speaker := FileSpeaker(pace=50))  # it plays on if the __exit__ of talk() is interrupted
    opened(session).talk(FileMicrophone(AUDIO, pace=50, pause_ms=20, endless=False), speaker, linger=0.1)


class Elsewhere:
    """Plays at once, and says so, over a link of its own."""

    def __init__(self) -> None:
        self.speaker, self.played = RemoteSpeaker(self), 0
        OTHERS.append(link := OutgoingLink(len))
        self.link = link

    def play(self, item_id: str, content_index: int, samples: bytes) -> None:
        self.link.put(samples, spare=True)
        self.played += len(samples) // 2
        self.speaker.heard(item_id, content_index, self.played)

    def clear(self, number: int) -> None:
        self.link.drop()
        self.speaker.heard(None, None, None, cleared=number)


def plays_elsewhere(session: Any) -> None:
    elsewhere = Elsewhere()
    for item_id in ("a", "b"):
        elsewhere.speaker.write(item_id, 0, AUDIO)
        elsewhere.speaker.stop()
    elsewhere.speaker.end()
    elsewhere.link.close()


def talks_from_elsewhere(session: Any) -> None:
    elsewhere, microphone = Elsewhere(), RemoteMicrophone()
    microphone.hear(AUDIO)
    microphone.end()
    opened(session).talk(microphone, elsewhere.speaker, linger=0.1)
    elsewhere.link.close()


def appends(session: Any) -> None:
    session.append_thinking("It rains. " * 200)


def mutes(session: Any) -> None:
    session.mute_input().wait()
    session.unmute_input().wait()


def plays_a_clip(session: Any) -> None:
    session.play_clip(AUDIO).wait_until_played()


def sends_audio_at_real_time(session: Any) -> None:
    session.send_audio(AUDIO)


def starts_sending_at_real_time(session: Any) -> None:
    session.start_sending_audio(AUDIO).wait(5)


def opened_live(session: Any) -> Any:
    OTHERS.append(client_of(session))
    return OTHERS[-1].start_live_session()


def opens_a_live_session(session: Any) -> None:
    opened_live(session).close()


def talks_in_full_duplex(session: Any) -> None:
    OTHERS.append(speaker := FileSpeaker())
    session.talk(FileMicrophone(AUDIO, pause_ms=20, endless=False), speaker, linger=0)


CALLS = (
    adds_an_item, adds_history, configures, sends_a_message, asks, asks_with_deltas, asks_a_recording, asks_with_tools,
    reads_aloud, plays, has_a_response,
    starts_a_response, receives, waits_for_an_update, subscribes, runs_callbacks, iterates_over_turns,
    reads_the_conversation, sends_audio, starts_sending_audio, writes_audio, commits, interrupts, interrupts_on_speech,
    approves, opens_a_session, opens_a_session_at_the_next_service, closes_a_session, talks,
    plays_elsewhere, talks_from_elsewhere,
)  # fmt: skip
LIVE_CALLS = (
    appends, mutes, plays_a_clip, sends_audio_at_real_time, starts_sending_at_real_time, writes_audio,
    opens_a_live_session, talks_in_full_duplex,
)  # fmt: skip

# The interrupts -------------------------------------------------------------------------------------------------------


class Interrupt:
    """``with Interrupt(number) as it: ...`` raises ``KeyboardInterrupt`` at that place, counted from 0.

    ``place``: where that was; None if the block has ended before.
    """

    def __init__(self, number: int) -> None:
        self.left = number
        self.place: Optional[str] = None

    def __enter__(self) -> Interrupt:
        sys.setprofile(self._see)
        return self

    def __exit__(self, *exc_info: object) -> None:
        sys.setprofile(None)

    def _see(self, frame: FrameType, event: str, argument: Any) -> None:
        code = frame.f_code
        goes_on = bool(code.co_flags & 0x20) and frame.f_lasti > 4  # a generator, whose own handlers would not run
        if code.co_filename == __file__ or not (event == "c_return" or (event == "call" and not goes_on)):
            return
        self.left -= 1
        if self.left < 0:
            sys.setprofile(None)
            what = f"behind {argument.__qualname__}" if event == "c_return" else "entered"
            self.place = f"{os.path.basename(code.co_filename)}:{frame.f_lineno} {code.co_name} {what}"
            raise KeyboardInterrupt


def client_of(session: Any) -> Any:
    url = (
        session._engine.connection.transport.url.partition("?")[0]
        .removesuffix("/realtime")
        .removesuffix("/live/sessions")
    )
    timeouts = Timeouts(connect=5, greeting=5, send=5, acknowledge=5, close=1)
    return OpenAIClient("a-key", endpoint=url, timeouts=timeouts).get_realtime_conversation_client("m")


def may_lose_a_descriptor(frame: traceback.FrameSummary) -> bool:
    """Whether an interrupt there may come between the making of a descriptor, a number, and that of its object."""
    makes_wake_up = frame.name == "__init__" and Path(frame.filename).name == "waiting.py"
    return makes_wake_up or frame.name in ("dup", "socketpair", "accept")


class Loop:
    """A server, a session of it, and what each interrupt must leave as it is."""

    _listeners = 2

    def __init__(self, reconnect: bool = False) -> None:
        self.faults = self.ends = self.checks = self._lost = 0
        self._reconnect = reconnect
        self._server = RealtimeServer(responder=answer, record=False)
        self._open()

    def _open(self) -> None:
        gc.collect()
        self._descriptors, self._lost = descriptors(), 0
        client = OpenAIClient("a-key", endpoint=self._server.url, timeouts=Timeouts(close=1, acknowledge=5))
        self.session = self._start(client.get_realtime_conversation_client("m"))
        self._threads = len(client_threads())

    def _start(self, client: Any) -> Any:
        return client.start_conversation_session(WRITTEN, reconnect=self._reconnect)

    def _ask(self) -> None:
        """Have the session show that it still works; on another thread than that of the interrupts."""
        self.session.ask("Still there?", timeout=5)

    def _close(self) -> None:
        session, self.session = self.session, None
        Running(session.close).result(3)
        del session
        until(lambda: not client_threads(), 3, "a thread is left")
        until(lambda: self._descriptors_left() <= 0, 3, "a descriptor is left")

    def _descriptors_left(self) -> int:
        gc.collect()
        return descriptors() - self._descriptors - self._lost

    def fault(self, where: str, error: BaseException) -> None:
        self.faults += 1
        say(f"FAULT {where}: {type(error).__name__}: {error}; threads: {client_threads()}")

    def check(self, call: str, frames: Sequence[traceback.FrameSummary]) -> None:
        """After an interrupt in these frames; none: the call came to its end first."""
        frames = [frame for frame in frames if frame.name != "_see"]
        where = f"{call} {frames[-1] if frames else 'at its end'}"
        self._lost += any(map(may_lose_a_descriptor, frames))
        in_exit = any(frame.name == "__exit__" for frame in frames)  # it may have done nothing yet
        self.checks += 1
        streams, MACHINE.streams = MACHINE.streams, []
        faulthandler.dump_traceback_later(60, exit=True)
        again = in_exit or self.checks % 100 == 0  # what is left then ends with the session
        try:
            while OTHERS:
                Running(OTHERS.pop().close).result(3)
            Running(self._ask).result(8)
            self._check_nothing_is_left(in_exit)
            if any(frame.name == "speak" and "sending" in frame.filename for frame in frames):
                assert self.session._audio._uncommitted.none, "audio of a question is left"
            if not any(frame.name in ("_opened", "closing") for frame in frames):  # else the device may be open
                assert all(stream.calls[-1:] == ["close"] for stream in streams), "the speaker is taken"
        except (ConnectionClosedError, SessionNotOpenError) as error:
            self.ends += 1
            again = True
            if "interrupted in the middle of a frame" not in str(error):
                self.fault(where, error)
        except BaseException as error:
            again = True
            self.fault(where, error)
        if again:
            self.reopen(where)
        faulthandler.cancel_dump_traceback_later()

    def reopen(self, where: str) -> None:
        try:
            self._close()
        except BaseException as error:
            self.fault(where, error)
        self._open()

    def _check_nothing_is_left(self, in_exit: bool) -> None:
        engine, claim = self.session._engine, self.session._audio._claim
        until(lambda: not claim, 2, "the audio is claimed")
        until(self._is_idle, 2, "a response is awaited")
        until(lambda: not engine.connection.commands._pending, 3, "a command is awaited")
        assert not engine._observers
        if not in_exit:
            until(lambda: len(client_threads()) <= self._threads, 3, "a thread is left")
            until(lambda: len(engine._listeners) <= self._listeners, 2, "a listener is left")

    def _is_idle(self) -> bool:
        return bool(self.session._engine.responses.idle)


class LiveLoop(Loop):
    """The same with a GPT-Live session."""

    def _start(self, client: Any) -> Any:
        session = client.start_live_session()
        self._twin = self._server.live_sessions[-1]
        until(lambda: self._twin.timeline_ms > 0, 3, "the clock is not kept")  # so the keeper listens
        self._listeners = len(session._engine._listeners)
        return session

    def _ask(self) -> None:
        self.session.unmute_input().wait(5)
        before = self._twin.timeline_ms
        until(lambda: self._twin.timeline_ms > before, 2, "the clock is not kept")

    def _is_idle(self) -> bool:
        clip = self.session._engine.clip
        return clip is None or not clip.playing


def everywhere(loop: Loop, seconds: float, calls: list[Callable[[Any], None]]) -> None:
    for call in calls:
        end = time.monotonic() + seconds / len(calls)
        call(loop.session)
        with Interrupt(10**9) as counter:
            call(loop.session)
        places = 10**9 - counter.left
        done = 0
        for number in random.Random(5).sample(range(places), places):
            if time.monotonic() > end:
                break
            done += 1
            interrupted(loop, call, number)
        say(f"{call.__name__}: {done} of {places} places")


def interrupted(loop: Loop, call: Callable[[Any], None], number: int) -> None:
    frames: Sequence[traceback.FrameSummary] = ()
    try:
        with Interrupt(number):
            call(loop.session)
    except KeyboardInterrupt as error:
        frames = traceback.extract_tb(error.__traceback__)
    except BaseException as error:
        loop.fault(f"{call.__name__} {number}", error)
    loop.check(f"{call.__name__} {number}", frames)


def at_random(loop: Loop, seconds: float, calls: list[Callable[[Any], None]]) -> None:
    signal.signal(signal.SIGALRM, signal.default_int_handler)
    chance, end, count = random.Random(7), time.monotonic() + seconds, 0
    while count < INTERRUPTS and time.monotonic() < end:
        call = chance.choice(calls)
        began = time.monotonic()
        call(loop.session)
        took, frames = time.monotonic() - began, []
        try:
            signal.setitimer(signal.ITIMER_REAL, chance.uniform(0.00001, took))
            call(loop.session)
            signal.setitimer(signal.ITIMER_REAL, 0)
        except KeyboardInterrupt as error:
            count += 1
            frames = traceback.extract_tb(error.__traceback__)
        except BaseException as error:
            signal.setitimer(signal.ITIMER_REAL, 0)
            loop.fault(call.__name__, error)
        loop.check(call.__name__, frames)
    say(f"{count} interrupts")


def main(how: str, seconds: str, *names: str) -> None:
    loop = LiveLoop() if how == "live" else Loop(reconnect=how == "reconnecting")
    calls = [call for call in (LIVE_CALLS if how == "live" else CALLS) if not names or call.__name__ in names]
    (everywhere if how in ("everywhere", "live") else at_random)(loop, float(seconds), calls)
    loop.reopen("at the end")
    say(f"{loop.checks} checks, {loop.ends} sessions ended, {loop.faults} faults")
    os._exit(1 if loop.faults else 0)


if __name__ == "__main__":
    main(*sys.argv[1:])

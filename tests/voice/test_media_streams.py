"""Telephone calls by media streams: over real sockets, in real time, late, and hung up in the middle."""

from __future__ import annotations

import json
import threading
import time
import warnings
from array import array
from base64 import b64decode
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Callable, Optional

import pytest
from flask import Flask
from flask_sock import Sock

from realtime_sync import (
    AudioDeviceError,
    AudioFormatError,
    ConversationSessionOptions,
    Interruption,
    InvalidInputError,
    LiveSessionOptions,
    LiveSessionOutputTranscriptDeltaUpdate,
    ResponseDoneUpdate,
    TurnDetectionOptions,
    UsageError,
    WaitTimeoutError,
)
from realtime_sync.audio import ALAW, MULAW, g711
from realtime_sync.server import Reply, Turn
from realtime_sync.server.voice import speak
from realtime_sync.voice import MediaStream
from tests.core.answers import errors, sent_audio
from tests.core.harness import House, client_threads, until, within
from tests.voice.phone import Lateness, Phone, jittery, punctual, serving, ulaw
from tests.voice.phone_line import PhoneLine, Provider, silence

pytestmark = pytest.mark.medium

QUESTION = ulaw(speak("hello there")) + silence(0.4)
MS = 8  # bytes
QUIET = frozenset(g711.encode(g711.pcm_of(array("h", range(-32, 33))), "audio/pcmu"))


def telephony(**options: Any) -> ConversationSessionOptions:
    detection = TurnDetectionOptions.server_vad(silence_duration_ms=200, prefix_padding_ms=0)
    return ConversationSessionOptions(
        turn_detection_options=detection, input_audio_format="g711_ulaw", output_audio_format="g711_ulaw", **options
    )


def loud(seconds: float) -> bytes:
    return b"\x00\x20" * round(24_000 * seconds)


class Bridge:
    """An application that answers calls; ``hold`` has the conversation with the call's session."""

    def __init__(self, open_session: Callable[[], Any], hold: Callable[[MediaStream, Any], object]) -> None:
        self.calls: list[MediaStream] = []
        self.sessions: list[Any] = []
        self.problems: list[BaseException] = []
        self.app = Flask("bridge")
        sock = Sock(self.app)

        @sock.route("/media")  # type: ignore[untyped-decorator, unused-ignore]
        def media(socket: Any) -> None:
            try:
                with MediaStream(socket.send, socket.receive) as call, open_session() as session:
                    self.calls.append(call)
                    self.sessions.append(session)
                    hold(call, session)
            except BaseException as problem:
                self.problems.append(problem)


@contextmanager
def answered(
    house: House,
    hold: Optional[Callable[[MediaStream, Any], object]] = None,
    open_session: Optional[Callable[[], Any]] = None,
) -> Iterator[tuple[Bridge, Callable[..., Phone]]]:
    """A bridge, and what calls it up."""
    client = house.client()
    bridge = Bridge(
        open_session or (lambda: client.start_conversation_session(telephony())),
        hold or (lambda call, session: call.talk(session)),
    )
    with serving(bridge.app) as address, ExitStack() as calls:

        def call_up(
            provider: Provider = "twilio",
            late: Lateness = punctual,
            lag: Lateness = punctual,
            **line: Any,
        ) -> Phone:
            phone = calls.enter_context(Phone(f"ws://{address}/media", PhoneLine(provider, **line), late, lag))
            answered = len(bridge.sessions)
            until(lambda: len(bridge.sessions) > answered, 20, "the call was not answered")
            return phone

        yield bridge, call_up
    until(lambda: not client_threads(), 20)
    assert bridge.problems == []


@pytest.mark.parametrize("provider", ["twilio", pytest.param("telnyx", marks=pytest.mark.slow)])
def test_a_question_is_heard_and_its_answer_played_to_the_last_sample(plain: House, provider: Provider) -> None:
    plain.serve(responder=lambda turn: Reply("Good morning to you."))
    with answered(plain) as (bridge, call_up):
        phone = call_up(provider, parameters={"ticket": "seven"})
        phone.say(QUESTION)
        plain.live.wait_for_sent("response.done", 20)
        (response_id,) = [event["response"]["id"] for event in plain.live.sent if event["type"] == "response.done"]
        said = sent_audio(plain.live, response_id)
        until(lambda: phone.heard >= len(said), 20)
        (call,) = bridge.calls
        until(lambda: not call.speaker.playing, 20)
        position = call.speaker.position.current
        assert position is not None
        assert position.ms == len(said) // MS
        assert call.start.parameters == {"ticket": "seven"}
        assert call.start.call_id.startswith("CA")
        assert call.start.format is MULAW
        assert bytes(phone.line.heard).rstrip(b"\xff") == said.rstrip(b"\xff")
        assert errors(plain.live) == []
    assert call.ended


class Talkative:
    """Says so much at first, and yes to what comes then."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def __call__(self, turn: Turn) -> Iterator[Reply]:
        if sum(item.get("role") == "assistant" for item in turn.items):
            yield Reply("Yes?", audio=speak("yes"))
            return
        yield Reply("Well, " * 20, audio=loud(self._seconds))
        turn.cancelled.wait(30)


def interrupt_after(seconds: float, phone: Phone, told: list[Interruption]) -> float:
    """Interrupt when so much was heard. Returns by how many ms what the service was told is beside what was heard."""
    before = phone.heard
    until(lambda: phone.heard - before >= seconds * 1000 * MS, 20)
    phone.say(QUESTION)
    until(lambda: any(each.truncated for each in told), 20, "no answer was shortened")
    (interruption,) = (each for each in told if each.truncated)
    assert interruption.audio_end_ms is not None
    return interruption.audio_end_ms - phone.line.clears[-1] / MS


@pytest.mark.parametrize(
    ("late", "buffer_seconds"),
    [
        pytest.param(punctual, 0.0, marks=pytest.mark.slow),
        pytest.param(jittery, 0.15, marks=pytest.mark.slow),
        pytest.param(lambda rng: 0.5, 0.1, marks=pytest.mark.slow),
        pytest.param(lambda rng: rng.choice([0.02] * 20 + [0.4]), 0.06, marks=pytest.mark.slow),
    ],
)
def test_the_service_is_told_what_an_interrupted_caller_has_heard(
    plain: House, late: Lateness, buffer_seconds: float
) -> None:
    plain.serve(responder=Talkative(60))
    told: list[Interruption] = []
    with answered(plain, lambda call, session: call.talk(session, on_interruption=told.append)) as (bridge, call_up):
        phone = call_up(late=late, lag=lambda rng: late(rng) / 10, buffer_seconds=buffer_seconds)
        phone.say(QUESTION)
        beside = interrupt_after(0.6, phone, told)
        assert abs(beside) <= 60
        (interruption,) = (each for each in told if each.truncated)
        truncated = plain.live.wait_for_message("conversation.item.truncate", 20)
        assert truncated["audio_end_ms"] == interruption.audio_end_ms
        item = plain.live.conversation.get(interruption.item_id)
        assert item is not None
        assert item.audio_ms() == interruption.audio_end_ms
        position = bridge.calls[0].speaker.position.of_item(str(interruption.item_id))
        assert position is not None
        assert position.ms == interruption.audio_end_ms
        heard = phone.heard
        until(lambda: phone.heard > heard + 100 * MS, 20, "the second answer was not played")


@pytest.mark.parametrize("politely", [True, False])
def test_a_caller_who_hangs_up_in_the_middle_of_an_answer_leaves_no_session(plain: House, politely: bool) -> None:
    plain.serve(responder=lambda turn: Reply("Well, " * 500, audio=loud(100), delta_delay=0.001))
    with answered(plain) as (bridge, call_up):
        phone = call_up()
        phone.say(QUESTION)
        until(lambda: phone.heard >= 200 * MS, 20)
        phone.hang_up(politely=politely)
        with within(3):
            plain.live.wait_until_closed(10)
        until(lambda: bridge.sessions[0].closed, 5)
        assert bridge.calls[0].ended


def test_keys_are_told_also_those_from_before_the_conversation(plain: House) -> None:
    plain.serve(responder=lambda turn: "Yes.")
    keys: list[str] = []
    may_talk = threading.Event()

    def hold(call: MediaStream, session: Any) -> None:
        assert may_talk.wait(20)
        call.talk(session, on_dtmf=press)

    def press(key: str) -> None:
        keys.append(key)
        if key == "#":
            raise ValueError("a fault of the application's")

    with answered(plain, hold) as (bridge, call_up):
        phone = call_up()
        for key in "12":
            phone.press(key)
        until(lambda: bridge.calls[0]._digits == ["1", "2"], 20)
        may_talk.set()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            for key in "3#4":
                phone.press(key)
            until(lambda: keys == list("123#4"), 20)
        assert any("on_dtmf raised ValueError" in str(each.message) for each in caught)


def test_keys_are_told_in_their_order_while_those_from_before_are_told(call: MediaStream) -> None:
    line, keys = PhoneLine(), list[str]()

    def press(key: str) -> None:
        if key == "1":
            call.feed(line.pressed("3"))  # as the thread that reads does meanwhile
        keys.append(key)

    class Session:
        def talk(self, *devices: object, **options: object) -> None:
            call.feed(line.pressed("4"))

    for key in ("1", "2"):
        call.feed(line.pressed(key))
    call.feed(json.dumps({"event": "dtmf", "dtmf": {}}))
    call.talk(Session(), on_dtmf=press)
    assert keys == list("1234")


def test_several_calls_at_once_have_each_their_own_session(plain: House) -> None:
    lengths = iter((0.3, 0.5, 0.7))
    plain.serve(responder=lambda turn: Reply("Well.", audio=loud(next(lengths))))
    with answered(plain) as (bridge, call_up):
        phones = [call_up(stream_id=f"MZ{number}", call_id=f"CA{number}") for number in range(3)]
        for phone in phones:
            phone.say(QUESTION)
        until(lambda: sum(phone.heard for phone in phones) == 1500 * MS, 20, "the answers were not played")
        assert sorted(phone.heard // MS for phone in phones) == [300, 500, 700]
        assert len({session.id for session in bridge.sessions}) == 3
        phones[1].hang_up()
        until(lambda: sum(session.closed for session in bridge.sessions) == 1, 20)
        assert bridge.calls[1].ended
        phones[0].say(QUESTION)  # the others go on


def test_the_model_speaks_first_if_it_is_asked_to_and_may_hang_up(plain: House) -> None:
    plain.serve(responder=lambda turn: Reply("Good morning.", audio=loud(0.4)))

    def hold(call: MediaStream, session: Any) -> None:
        def hang_up(update: Any) -> None:
            if isinstance(update, ResponseDoneUpdate):
                call.speaker.wait(10)
                call.close()

        call.talk(session, greet=session.start_response, on_update=hang_up)

    with answered(plain, hold) as (bridge, call_up):
        phone = call_up(late=jittery)
        until(lambda: phone.over, 20, "the call was not ended")
        assert phone.heard == 400 * MS
        assert bridge.calls[0].ended


def test_a_live_session_hears_the_caller_and_is_heard(plain: House) -> None:
    client = plain.serve() and plain.client()
    words: list[str] = []

    def hold(call: MediaStream, session: Any) -> None:
        call.talk(session, greet=lambda: session.append_commentary("Good morning to you all."), on_update=note)

    def note(update: Any) -> None:
        if isinstance(update, LiveSessionOutputTranscriptDeltaUpdate):
            words.append(update.delta)

    def open_session() -> Any:
        return client.start_live_session(LiveSessionOptions(audio_format="audio/pcmu"))

    with answered(plain, hold, open_session) as (_, call_up):
        phone = call_up(late=lambda rng: 0.4, lag=lambda rng: 0.1)
        phone.say(QUESTION)
        twin = plain.server.live_sessions[-1]
        until(lambda: "".join(words).strip() == "Good morning to you all.", 20)
        until(lambda: loudness(phone) >= 0.8 * loudness_of(twin), 20, "the model's voice was not played")
        assert QUESTION.strip(b"\xff")[:800] in appended(twin)
    until(lambda: twin.close_code is not None, 10)


def loudness(phone: Phone) -> int:
    """Samples that are no silence, of what the caller has heard."""
    return sum(each not in QUIET for each in bytes(phone.line.heard))


def loudness_of(twin: Any) -> int:
    """Likewise of what the model has said."""
    track = b"".join(b64decode(each["delta"]) for each in twin.sent if each["type"] == "session.output_audio.delta")
    return sum(each not in QUIET for each in track)


def appended(twin: Any) -> bytes:
    return b"".join(b64decode(each["audio"]) for each in twin.received if "audio" in each)


# What comes in -------------------------------------------------------------------------------------------------------


class Socket:
    """What a call's messages are sent to, in no time."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []

    def send(self, message: str) -> None:
        self.sent.append(json.loads(message))


@pytest.fixture
def socket() -> Socket:
    return Socket()


@pytest.fixture
def call(socket: Socket) -> Iterator[MediaStream]:
    """A call whose messages are fed by a test."""
    line = PhoneLine(parameters={"ticket": "a secret"})
    call = MediaStream(socket.send)
    call.feed(line.connected())
    call.feed(line.started())
    with call:
        yield call


def test_messages_may_be_fed_where_no_socket_can_be_read(call: MediaStream, socket: Socket) -> None:
    line = PhoneLine()
    said = [bytes([0x10 + number]) * 160 for number in range(3)]
    for frame in said:
        call.feed(line.media(frame))
    call.speaker.write("item", 0, b"\x42" * 800)
    until(lambda: len(socket.sent) == 6)
    assert [each["event"] for each in socket.sent] == ["media", "mark"] * 3
    assert all(each["streamSid"] == call.start.stream_id for each in socket.sent)
    assert b"".join(b64decode(each["media"]["payload"]) for each in socket.sent[::2]) == b"\x42" * 800
    for mark in socket.sent[1::2]:
        call.feed(json.dumps({"event": "mark", "mark": mark["mark"]}))
    assert not call.speaker.playing
    position = call.speaker.position.current
    assert position is not None
    assert position.ms == 100
    call.feed(line.stopped())
    assert call.ended
    with pytest.raises(AudioDeviceError, match="gone"):
        call.speaker.write("item", 0, b"\x42" * 800)
    assert list(call.microphone) == said
    call.feed(line.media(said[0]))
    call.feed(line.started())
    call.microphone.stop()
    call.microphone.start()
    assert list(call.microphone) == []


@pytest.mark.parametrize(
    "message",
    [
        None,
        "",
        "{",
        b"\xff\x00",
        "[" * 100_000,
        "[1]",
        "7",
        "{}",
        '{"event": 7}',
        '{"event": "media"}',
        '{"event": "media", "media": []}',
        '{"event": "media", "media": {"payload": "AAAA?", "timestamp": "x"}}',
        '{"event": "media", "media": {"payload": 7}}',
        '{"event": "media", "media": {"payload": "", "timestamp": Infinity}}',
        '{"event": "media", "media": {"payload": "", "timestamp": 1' + "0" * 400 + "}}",
        '{"event": "media", "media": {"payload": "AAAA", "track": "outbound"}}',
        '{"event": "mark"}',
        '{"event": "mark", "mark": {"name": "x"}}',
        '{"event": "mark", "mark": {"name": "99999999999999999999999999999999"}}',
        '{"event": "mark", "mark": {"name": "\\u0663"}}',
        '{"event": "start", "start": {"streamSid": "another"}}',
        '{"event": "what a new provider says"}',
    ],
)
def test_what_nobody_understands_changes_nothing(call: MediaStream, socket: Socket, message: Any) -> None:
    stream = call.start.stream_id
    call.feed(message)
    call.speaker.write("item", 0, b"\x42" * 320)
    until(lambda: len(socket.sent) == 2)
    assert call.speaker.playing
    assert call.start.stream_id == stream
    call.close()
    assert list(call.microphone) == []


@pytest.mark.parametrize(
    "sound", [{"encoding": "audio/x-l16", "sampleRate": 16000}, {"encoding": "PCMU", "sampleRate": 16000}]
)
def test_another_format_is_refused(socket: Socket, sound: dict[str, Any]) -> None:
    call = MediaStream(socket.send)
    call.feed(json.dumps({"event": "start", "streamSid": "MZ1", "start": {"mediaFormat": sound}}))
    with pytest.raises(AudioFormatError, match=r"8,000 Hz.*PCMU"), call:
        pass


def test_a_law_is_heard_as_a_law(socket: Socket) -> None:
    call = MediaStream(socket.send)
    sound = {"encoding": "PCMA", "sample_rate": 8000}
    call.feed(json.dumps({"event": "start", "stream_id": "7", "start": {"media_format": sound}}))
    with call:
        assert call.microphone.format is call.speaker.format is ALAW
        call.speaker.write("item", 0, b"\x42" * 100)  # less than any provider takes
        until(lambda: socket.sent)
        assert b64decode(socket.sent[0]["media"]["payload"]) == b"\x42" * 100 + b"\xd5" * 60
        assert socket.sent[0]["stream_id"] == "7"


def test_who_connects_and_does_not_say_for_which_call_is_not_waited_for(socket: Socket) -> None:
    call = MediaStream(socket.send, start_seconds=0.05)
    with pytest.raises(UsageError, match="wait_for_start"):
        _ = call.microphone
    with pytest.raises(WaitTimeoutError, match="which call"), call:
        pass
    gone = MediaStream(socket.send, lambda: None)
    with pytest.raises(AudioDeviceError, match="ended before"), gone:
        pass


def test_what_waits_for_a_slow_network_is_not_sent_behind_an_interruption() -> None:
    sent, free = [], threading.Event()

    def send(message: str) -> None:
        sent.append(json.loads(message)["event"])
        assert free.wait(20)

    line = PhoneLine()
    call = MediaStream(send)
    call.feed(line.started())
    with call:
        call.speaker.write("item", 0, b"\x42" * 8000)
        until(lambda: sent == ["media"])
        call.speaker.close()  # as the end of a conversation does, which does not wait for the answer
        free.set()
        until(lambda: sent == ["media", "mark", "clear"])


def test_a_start_that_comes_while_the_call_is_closed_leaves_no_thread(
    socket: Socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = MediaStream(socket.send)
    begin = call._begin

    def begin_late(told: Any) -> None:
        call.close()  # on another thread
        begin(told)

    monkeypatch.setattr(call, "_begin", begin_late)
    call.feed(PhoneLine().started())
    until(lambda: not client_threads(), 20)
    with pytest.raises(AudioDeviceError):
        call.speaker.write("item", 0, b"\x42" * 320)
    assert list(call.microphone) == []


def test_sound_is_sent_three_seconds_ahead_and_no_more(call: MediaStream, socket: Socket) -> None:
    began = time.monotonic()
    call.speaker.write("item", 0, b"\x42" * 80_000)
    until(lambda: len(socket.sent) >= 2 * 3 * 25)
    call.speaker.close()
    until(lambda: socket.sent[-1]["event"] == "clear")
    pieces = sum(each["event"] == "media" for each in socket.sent)
    assert pieces <= (3 + time.monotonic() - began) * 25 + 2


def test_a_socket_that_wakes_nobody_when_it_is_closed_keeps_no_thread(socket: Socket) -> None:
    line = PhoneLine()
    messages = [line.connected(), line.started()]

    def receive(timeout: Optional[float] = None) -> Optional[str]:
        if messages:
            return messages.pop(0)
        threading.Event().wait(timeout)
        return None

    with MediaStream(socket.send, receive) as call:
        time.sleep(1.1)  # one that was silent for a moment has not ended
        assert not call.ended
    until(lambda: not client_threads(), 5)


def test_a_reader_that_raises_when_nothing_comes_in_time_is_asked_again(socket: Socket) -> None:
    line = PhoneLine()
    messages: list[Any] = [TimeoutError(), line.connected(), line.started(), TimeoutError(), line.media(b"a"), "", None]

    def receive(timeout: Optional[float] = None) -> str:
        message = messages.pop(0)
        if isinstance(message, str):
            return message
        raise message or ConnectionError("it is over")

    with MediaStream(socket.send, receive) as call:
        assert list(call.microphone) == [b"a"]
        assert messages == []


def test_a_caller_whom_nobody_listens_to_is_hung_up_on(call: MediaStream) -> None:
    line = PhoneLine()
    for _ in range(100 * 60):
        call.feed(line.media(silence(0.02)))
        if call.ended:
            break
    assert call.ended


def test_a_secret_parameter_is_in_no_repr(call: MediaStream) -> None:
    assert call.start.parameters["ticket"] == "a secret"
    assert "a secret" not in repr(call) + repr(call.start) + repr(vars(call))


def test_what_is_no_function_is_refused(call: MediaStream) -> None:
    for wrong in ({"send": 7}, {"send": print, "receive": 7}, {"send": print, "start_seconds": "x"}):
        with pytest.raises(InvalidInputError):
            MediaStream(**wrong)  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match="greet"):
        call.talk(None, greet=7)  # type: ignore[arg-type]

"""A simulated caller at a telephone, and at the socket of a web page."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask_sock import Sock
from simple_websocket import ConnectionClosed
from werkzeug.serving import make_server

from realtime_sync import ConversationSessionOptions, OpenAIClient, TurnDetectionOptions, function_tool
from realtime_sync.server import FunctionCall, RealtimeServer, Reply, Turn
from realtime_sync.server.audio_formats import from_pcm
from realtime_sync.server.speech import recorded_speech
from realtime_sync.server.voice import narrow, speak
from realtime_sync.testing import (
    AwaitAnswer,
    AwaitHangUp,
    BrowserLine,
    CallFailed,
    FallSilent,
    HangUp,
    Interrupt,
    Press,
    Say,
    SimulatedCaller,
    TelephoneLine,
)
from realtime_sync.voice import MediaStream
from realtime_sync.web.browser_voice import BrowserVoice

pytestmark = pytest.mark.medium

AUDIO = Path(__file__).parents[2] / "examples" / "audio"
HELLO, TREE = AUDIO / "hello.wav", AUDIO / "what_is_the_tallest_tree.wav"
PACE = 4.0


@contextmanager
def serving(talk: Callable[[Any], object]) -> Iterator[str]:
    """An application whose socket does this; its URL."""
    app = Flask(__name__)
    over = threading.Event()

    def route(socket: Any) -> None:
        try:
            talk(socket)
        except ConnectionClosed:
            pass
        finally:
            over.set()

    Sock(app).route("/voice")(route)
    web = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=web.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"ws://127.0.0.1:{web.server_port}/voice"
        assert over.wait(10), "the application still talks"
    finally:
        web.shutdown()
        web.server_close()
        thread.join(10)
    assert not [each for each in threading.enumerate() if each.name == "realtime-sync-caller"]


def mulaw(text: str) -> bytes:
    """Tones of 65 ms a letter, as a telephone has them."""
    return from_pcm(narrow(speak(text)), "audio/pcmu")


def media(samples: bytes) -> str:
    return json.dumps({"event": "media", "streamSid": "MZ", "media": {"payload": base64.b64encode(samples).decode()}})


def test_an_application_that_refuses_the_socket_is_told_of_and_no_service_is_blamed() -> None:
    def listen(socket: Any) -> None:
        while True:
            socket.receive(10)

    with serving(listen) as url:
        for line in (BrowserLine(f"{url}/of/another"), TelephoneLine(f"{url}/of/another")):
            with pytest.raises(CallFailed, match=r"refused the WebSocket .*/voice/of/another.* HTTP 404") as caught:
                SimulatedCaller([HELLO], server=RealtimeServer()).call(line)
            assert "model" not in str(caught.value)
        SimulatedCaller([HangUp()], server=RealtimeServer()).call(TelephoneLine(url))


def test_a_telephone_answers_marks_when_they_are_heard_and_all_at_a_clear() -> None:
    told: list[dict[str, Any]] = []

    def answer(socket: Any) -> None:
        """Says 0.65 s and 10 s with a mark behind each, clears at the first one, and says 0.2 s with another."""
        while True:
            told.append(json.loads(socket.receive(10)))
            event = told[-1]["event"]
            if event == "start":
                for name, letters in (("begun", 10), ("end", 154)):
                    socket.send(media(mulaw("a" * letters)))
                    socket.send(json.dumps({"event": "mark", "mark": {"name": name}}))
            elif event == "mark" and told[-1]["mark"]["name"] == "begun":
                socket.send(json.dumps({"event": "clear"}))
                socket.send(media(mulaw("o" * 3)))
                socket.send(json.dumps({"event": "mark", "mark": {"name": "after"}}))
            elif event == "stop":
                return

    caller = SimulatedCaller([AwaitAnswer(quiet=6), Press("4#")], server=RealtimeServer(), pace=PACE)
    with serving(answer) as url:
        report = caller.call(TelephoneLine(url, parameters={"token": "x"}))
    assert [message["event"] for message in told[:2]] == ["connected", "start"]
    assert told[1]["start"]["customParameters"] == {"token": "x"}
    assert told[1]["start"]["mediaFormat"] == {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1}
    sound = [message["media"] for message in told if message["event"] == "media"]
    assert [int(each["timestamp"]) for each in sound[:4]] == [0, 20, 40, 60]
    assert {len(base64.b64decode(each["payload"])) for each in sound} == {160}
    assert [message["mark"]["name"] for message in told if message["event"] == "mark"] == ["begun", "end", "after"]
    assert [message["dtmf"]["digit"] for message in told if message["event"] == "dtmf"] == ["4", "#"]
    marks = [index for index, message in enumerate(told) if message["event"] == "mark"]
    frames = [sum(message["event"] == "media" for message in told[:index]) for index in marks]
    assert -0.04 < (frames[0] - 1) * 0.02 - (report.utterances[0].began + 0.65) < 3  # as soon as the mark has come
    assert frames[2] - frames[1] >= 0.18 / 0.02
    assert sum(each.seconds for each in report.utterances) < 9  # the clear was obeyed
    assert (report.keys, report.rate) == ("4#", 8000)


@pytest.mark.slow
def test_a_call_through_a_media_stream_is_understood_and_interrupted() -> None:
    keys: list[str] = []

    def hold(socket: Any) -> None:
        detection = TurnDetectionOptions.server_vad(silence_duration_ms=400)
        options = ConversationSessionOptions(
            input_audio_format="g711_ulaw", output_audio_format="g711_ulaw", turn_detection_options=detection
        )
        with MediaStream(socket.send, socket.receive) as call, client.start_conversation_session(options) as session:
            call.talk(session, on_dtmf=keys.append)

    with RealtimeServer(speech=recorded_speech()) as server, serving(hold) as url:
        model = OpenAIClient("any-key", endpoint=server.url, proxy=False)
        client = model.get_realtime_conversation_client("gpt-realtime-2.1")
        script = [Press("1"), Say(TREE), Interrupt(HELLO, after=1.5), AwaitAnswer(), Say(TREE), HangUp(after=1.5)]
        report = SimulatedCaller(script, server=server).call(TelephoneLine(url))
    first, hello, last = (each.words for each in report.utterances if each.who == "application")
    assert hello == "Hello! Yes, I can hear you."
    for each in (first, last):  # the second was not interrupted: the call was over
        assert each.startswith("The tallest tree")
        assert each.endswith(" ...")
    assert report.ended_by == "caller"
    report.assert_silent_within(1.0)
    report.assert_answered_within(2.0)
    assert keys == ["1"]


def test_what_was_said_and_done_in_other_calls_is_not_reported() -> None:
    calls: list[MediaStream] = []

    def answer(turn: Turn) -> Reply:
        number = len(calls)
        if turn.last is None and number == 1:
            return Reply(function_calls=[FunctionCall("look_up", {})])
        return Reply(f"This is answer {number}.", audio=speak("a" * 5))

    @function_tool
    def look_up() -> str:
        """Looks up."""
        return "found"

    options = ConversationSessionOptions(
        input_audio_format="g711_ulaw", output_audio_format="g711_ulaw", tools=[look_up]
    )

    def hold(socket: Any) -> None:
        with MediaStream(socket.send, socket.receive) as call, client.start_conversation_session(options) as session:
            calls.append(call)
            call.talk(session, greet=session.start_response)

    with RealtimeServer(responder=answer) as server, serving(hold) as url:
        model = OpenAIClient("any-key", endpoint=server.url, proxy=False)
        client = model.get_realtime_conversation_client("gpt-realtime-2.1")
        callers = [SimulatedCaller([AwaitAnswer()], server=server, pace=PACE) for _ in range(2)]
        reports = [caller.call(TelephoneLine(url)) for caller in callers]
    assert [[each.words for each in report.utterances] for report in reports] == [
        ["This is answer 1."],
        ["This is answer 2."],
    ]
    assert [[run.name for run in report.tools] for report in reports] == [["look_up"], []]


def test_a_page_that_is_told_that_the_conversation_has_failed_was_hung_up() -> None:
    def fail(socket: Any) -> None:
        socket.send(json.dumps({"type": "ready"}))
        assert len(socket.receive(10)) == 960
        socket.send(json.dumps({"type": "failed", "message": "No more today."}))
        socket.close()

    def call(script: Any, url: str) -> Any:
        return SimulatedCaller(script, server=RealtimeServer(), pace=PACE).call(BrowserLine(url))

    with serving(fail) as url:
        with pytest.raises(CallFailed, match=r"at FallSilent\(seconds=9\): No more today\.\n\nA call of"):
            call([FallSilent(9)], url)
        assert call([AwaitHangUp()], url).ended_by == "application"


def test_an_application_that_closes_its_socket_has_hung_up() -> None:
    with serving(lambda socket: [socket.receive(10) for _ in range(5)]) as url:
        report = SimulatedCaller([AwaitHangUp(5)], server=RealtimeServer(), pace=PACE).call(TelephoneLine(url))
    assert report.ended_by == "application"


@pytest.mark.parametrize(("line", "nonsense"), [(BrowserLine, "{"), (TelephoneLine, '{"event": "mark"}')])
def test_what_makes_no_sense_ends_the_call_and_is_told(line: Any, nonsense: str) -> None:
    def babble(socket: Any) -> None:
        socket.send(nonsense)
        while True:
            socket.receive(10)

    with serving(babble) as url, pytest.raises(CallFailed, match=r"before|at Fall(?s:.)*cannot be understood: [JK]"):
        SimulatedCaller([FallSilent(9)], server=RealtimeServer(), pace=PACE).call(line(url))


def test_a_page_that_is_never_ready_is_told() -> None:
    with serving(lambda socket: socket.receive(10)) as url:
        line = BrowserLine(url, timeout=1.5)
        with pytest.raises(CallFailed, match=r"was not ready within 1\.5 s"):
            SimulatedCaller([HELLO], server=RealtimeServer()).call(line)


def test_a_page_tells_what_it_has_played_and_where_it_was_stopped() -> None:
    told: list[dict[str, Any]] = []

    def play(socket: Any) -> None:
        socket.send(json.dumps({"type": "ready"}))
        for item in ("item_1", "item_2"):
            socket.send(json.dumps({"type": "audio", "item_id": item, "content_index": 0}))
            socket.send(speak("a" * 10))  # 650 ms
        while True:
            message = socket.receive(10)
            if isinstance(message, str):
                told.append(json.loads(message))
                if len(told) == 9:
                    socket.send(json.dumps({"type": "stop", "number": 3}))

    caller = SimulatedCaller([AwaitAnswer(), FallSilent(0.1)], server=RealtimeServer(), pace=PACE)
    with ExitStack() as stack:
        url = stack.enter_context(serving(play))
        report = caller.call(BrowserLine(url))
    assert [(each["item_id"], each["samples"]) for each in told[:2]] == [("item_1", 2400), ("item_1", 4800)]
    [stopped] = [each for each in told if each["type"] == "stopped"]
    assert (stopped["number"], stopped["item_id"]) == (3, "item_2")
    assert report.utterances[0].items == ["item_1", "item_2"]
    # What it says was played is what was heard, give or take the quiet edges of the sound.
    assert report.utterances[0].seconds == pytest.approx(0.65 + stopped["samples"] / 24_000, abs=0.05)


def test_a_page_tells_the_last_sample_that_it_has_played_too() -> None:
    def play(socket: Any) -> None:
        page = BrowserVoice(socket.send)
        page.say("ready")
        page.speaker.write("item_1", 0, speak("a") + bytes(2 * 13))  # no whole millisecond
        while page.speaker.playing:
            page.receive(socket.receive(10))
        page.close()

    with serving(play) as url:
        caller = SimulatedCaller([AwaitHangUp(5)], server=RealtimeServer(), pace=PACE)
        assert caller.call(BrowserLine(url)).ended_by == "application"

"""Streamlit's and Gradio's examples in headless Chromium: in writing, by a recording, by voice; what is left open."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from realtime_sync.server import RealtimeServer, Reply, Turn
from tests.core.answers import Gate, sent
from tests.core.harness import until
from tests.server.speech.conftest import PACKAGES
from tests.server.speech.spoken import recorded, silence, word_errors
from tests.web.applications import EXAMPLES, environment
from tests.web.chromium import chromium, needs_chromium, recording

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
MAKERS = ["streamlit", "gradio"]
COMMANDS = {
    "streamlit": [
        *("-m", "streamlit", "run", "streamlit_app.py", "--server.port=0", "--server.address=127.0.0.1"),
        *("--server.headless=true", "--browser.gatherUsageStats=false"),
    ],
    "gradio": ["gradio_app.py", "--port=0"],
}
BOXES = {"streamlit": "[data-testid=stChatInputTextArea]", "gradio": "textarea"}
MESSAGES = {"streamlit": "[data-testid=stChatMessageContent]", "gradio": "[data-testid=user], [data-testid=bot]"}
RECORD = {
    "streamlit": (["[data-testid=stChatInputMicButton]"], ["[data-testid=stChatInputApproveButton]"]),
    "gradio": (
        ["[data-testid=microphone-button]", ".record-button"],
        [".stop-button", "[aria-label='Attach audio']", "[data-testid=submit-button]"],
    ),
}
# Streamlit's button stands in a shadow.
FIND_LIVE = """
    const hosts = [document, ...[...document.querySelectorAll("*")].map((each) => each.shadowRoot).filter(Boolean)];
    return hosts.map((host) => host.querySelector(".live .%s")).find(Boolean);
"""
# Keeps what is played, and knows when the person at the microphone has said what there was to say.
WATCH = """
    window.played = [];
    const play = HTMLMediaElement.prototype.play;
    HTMLMediaElement.prototype.play = function () { window.played.push(this); return play.call(this); };
    window.quiet = NaN; // tenths of a second, behind the first word
    const devices = navigator.mediaDevices, ask = devices.getUserMedia.bind(devices);
    devices.getUserMedia = async (wanted) => {
      const stream = await ask(wanted), context = new AudioContext(), analyser = context.createAnalyser();
      context.createMediaStreamSource(stream).connect(analyser);
      const samples = new Float32Array(analyser.fftSize);
      setInterval(() => {
        analyser.getFloatTimeDomainData(samples);
        window.quiet = samples.some((sample) => Math.abs(sample) > 0.02) ? 0 : window.quiet + 1;
      }, 100);
      return stream;
    };
"""
PLAYS = "return [...played, ...document.querySelectorAll('audio')].some((each) => each.currentTime > 0.5)"
LONG = " ".join(f"{word} is a number." for word in ("One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight") * 3)


class MadePage:
    """The page of one of the two, as a person finds it."""

    def __init__(self, maker: str, driver: Any, port: int) -> None:
        self.maker, self.driver = maker, driver
        driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": WATCH})
        driver.get(f"http://127.0.0.1:{port}/")
        self.until(lambda: self._all(BOXES[maker]) and self.live("talk"))

    def ask(self, question: str) -> None:
        self._all(BOXES[self.maker])[0].send_keys(question + Keys.ENTER)

    @property
    def messages(self) -> list[str]:
        return [element.text.strip() for element in self._all(MESSAGES[self.maker])]

    def live(self, part: str) -> Any:
        """The talk button's parts: talk, interrupt, status, now, problem."""
        return self.driver.execute_script(FIND_LIVE % part)

    def press(self, selector: str) -> None:
        self.until(lambda: self._all(selector))
        self._all(selector)[0].click()

    def try_to_press(self, selector: str) -> None:
        with suppress(WebDriverException):  # it moves, or has gone
            for element in self._all(selector):
                element.click()

    def plays(self) -> bool:
        """Whether a sound plays that began by itself."""
        return bool(self.driver.execute_script(PLAYS))

    def until(self, condition: Any, seconds: float = 60) -> Any:
        try:
            return until(condition, seconds)
        except AssertionError as error:
            console = [entry["message"] for entry in self.driver.get_log("browser")]
            raise AssertionError(f"it did not come about; messages {self.messages}, console {console}") from error

    def _all(self, selector: str) -> list[Any]:
        return list(self.driver.find_elements(By.CSS_SELECTOR, selector))


class Opened:
    """Opens a server, an application and browsers for one test."""

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        self.stack, self.folder = stack, folder
        self.server: Any = None

    def serve(self, responder: Any = None, *, speech: bool = False) -> None:
        options: dict[str, Any] = {}
        if speech:
            missing = [package for package in PACKAGES if importlib.util.find_spec(package) is None]
            if missing:
                pytest.skip(f"needs the extra voice: {', '.join(missing)} missing")
            from realtime_sync.server.speech import Speech

            options["speech"] = Speech()
            options["speech"].load()
        self.server = self.stack.enter_context(RealtimeServer(responder=responder, **options))

    def page(self, maker: str, *microphone: bytes) -> MadePage:
        port = self.stack.enter_context(self._application(maker))
        heard = recording(self.folder / "microphone.wav", *microphone) if microphone else None
        return MadePage(maker, self.stack.enter_context(chromium(self.folder, heard)), port)

    def closed(self) -> bool:
        """Whether each session was ended in an orderly way; waits for it."""
        return all(live.wait_until_closed(30) == 1000 for live in self.server.sessions)

    @contextmanager
    def _application(self, maker: str) -> Iterator[int]:
        log = self.folder / "application.log"
        environ = environment(self.server, GRADIO_ANALYTICS_ENABLED="False", HOME=str(self.folder))
        with log.open("wb") as out:
            process = subprocess.Popen(
                [sys.executable, *COMMANDS[maker]], cwd=EXAMPLES, env=environ, stdout=out, stderr=out
            )

        def found() -> Any:
            assert process.poll() is None, log.read_text()
            return re.search(r"http://127\.0\.0\.1:(\d+)", log.read_text())

        try:
            yield int(until(found, 60)[1])
        finally:
            process.terminate()
            assert process.wait(30) in (0, -15), log.read_text()


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opened]:
    missing = [name for name in ("streamlit", "gradio") if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(f"needs the extra apps: {', '.join(missing)} missing")
    needs_chromium()
    with ExitStack() as stack:
        yield Opened(stack, tmp_path)


@pytest.mark.parametrize("maker", MAKERS)
def test_a_question_in_writing_is_answered_in_pieces_and_remembered(opened: Opened, maker: str) -> None:
    gate = Gate("one ", "two")
    opened.serve(gate)
    page = opened.page(maker)
    page.ask("Count")
    page.until(lambda: page.messages == ["Count", "one"])
    gate.opened.set()
    page.until(lambda: page.messages == ["Count", "one two"])
    opened.server.sessions[0].wait_until_closed(20)
    page.ask("Again")
    page.until(lambda: page.messages == ["Count", "one two", "Again", "one two"])
    told = [each["item"]["content"][0]["text"] for each in received_items(opened.server.sessions[1])]
    assert told == ["Count", "one two", "Again"]
    assert opened.closed()


def received_items(live: Any) -> list[dict[str, Any]]:
    return [event for event in live.received if event["type"] == "conversation.item.create"]


@pytest.mark.parametrize("maker", MAKERS)
def test_a_recorded_question_is_understood_and_its_answer_plays_by_itself(opened: Opened, maker: str) -> None:
    opened.serve(speech=True)
    # The recorder of a busy machine begins later than the microphone.
    page = opened.page(maker, silence(5000), recorded("what_is_the_tallest_tree.wav"), silence(60_000))
    begin, end = RECORD[maker]
    for selector in begin:
        page.press(selector)
    page.until(lambda: page.driver.execute_script("return quiet >= 15"))
    *others, send = end
    for selector in others:
        page.press(selector)
    page.until(lambda: page.messages or page.try_to_press(send))  # until the recording is uploaded, it does nothing
    page.until(lambda: len(page.messages) == 2 and "116 metres" in page.messages[1])
    assert word_errors("What is the tallest tree in the world?", page.messages[0]) <= 1
    page.until(page.plays)


@pytest.mark.parametrize("maker", MAKERS)
def test_a_conversation_is_interrupted_and_what_was_said_in_it_is_remembered(opened: Opened, maker: str) -> None:
    opened.serve(lambda turn: Reply(LONG), speech=True)
    page = opened.page(maker, silence(6000), recorded("hello.wav"), silence(60_000))
    page.live("talk").click()
    page.until(lambda: page.live("status").text == "Speaking")
    page.until(lambda: "One is" in page.live("now").text)
    page.live("interrupt").click()
    page.until(lambda: page.live("status").text == "Listening")
    live = opened.server.sessions[-1]
    told = live.wait_for_message("conversation.item.truncate", 30)
    said = sum(len(event["delta"]) * 3 // 4 // 48 for event in sent(live, "response.output_audio.delta"))
    assert 0 < told["audio_end_ms"] < said
    page.until(lambda: len(page.messages) == 2)
    assert word_errors("Hello, can you hear me?", page.messages[0]) <= 1
    assert LONG.startswith(page.messages[1])
    assert len(page.messages[1]) < len(LONG)
    page.live("talk").click()
    assert live.wait_until_closed(20) == 1000
    page.ask("And now?")
    page.until(lambda: len(page.messages) == 4)
    told_again = [each["item"]["content"][0]["text"] for each in received_items(opened.server.sessions[-1])]
    assert told_again == [*page.messages[:2], "And now?"]


def dripping(turn: Turn) -> Iterator[str]:
    """A long answer, slowly."""
    for number in range(1200):
        yield f"{number} "
        if turn.cancelled.wait(0.05):
            return


@pytest.mark.parametrize("maker", MAKERS)
def test_a_page_that_is_left_leaves_no_session(opened: Opened, maker: str) -> None:
    opened.serve(dripping)
    page = opened.page(maker)
    page.live("talk").click()
    page.until(lambda: page.live("status").text == "Listening")
    page.ask("Count")
    page.until(lambda: len(page.messages) == 2 and page.messages[1].startswith("0 1 2"))
    talking, writing = opened.server.sessions
    page.driver.get("about:blank")
    assert talking.wait_until_closed(20) == 1000
    assert writing.wait_until_closed(20) == 1000  # within a minute that the answer takes
    assert [each["type"] for each in writing.received][-1] == "response.cancel"


def test_a_rerun_of_streamlit_in_the_middle_of_an_answer_leaves_no_session(opened: Opened) -> None:
    opened.serve(dripping)
    page = opened.page("streamlit")
    page.ask("Count")
    page.until(lambda: len(page.messages) == 2 and page.messages[1].startswith("0 1 2"))
    page.ask("Again")
    assert opened.server.sessions[0].wait_until_closed(20) == 1000
    opened.server.wait_for_session(20, count=2)
    page.until(lambda: page.messages[-2:] and page.messages[-2] == "Again")
    assert len(opened.server.sessions) == 2

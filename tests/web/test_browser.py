"""The page in headless Chromium, against the embedded server: written answers, speech, interruption, errors."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from realtime_sync.server import RealtimeServer, Reply
from tests.core.answers import Gate, sent
from tests.server.speech.conftest import PACKAGES
from tests.server.speech.spoken import recorded, silence, word_errors
from tests.web.applications import DJANGO, FLASK, Application
from tests.web.chromium import Page, chromium, needs_chromium, recording

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
NUMBERS = ("One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine", "Ten", "Eleven", "Twelve")
COUNTING = " ".join(f"{word} is a number." for word in NUMBERS * 2)


class Opened:
    """Opens servers, applications and browsers for one test."""

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        self.stack, self.folder = stack, folder
        self.server: Any = None
        self.application: Any = None

    def page(self, name: str = FLASK, path: str = "/", *, microphone: Any = None, permitted: bool = True) -> Page:
        self.application = self.stack.enter_context(Application(name, self.server, self.folder))
        driver = self.stack.enter_context(chromium(self.folder, microphone, permitted=permitted))
        return Page(driver, self.application.port, path)

    def serve(self, **options: Any) -> None:
        self.server = self.stack.enter_context(RealtimeServer(**options))

    def serve_speech(self, responder: Any = None) -> None:
        missing = [package for package in PACKAGES if importlib.util.find_spec(package) is None]
        if missing:
            pytest.skip(f"needs the extra voice: {', '.join(missing)} missing")
        from realtime_sync.server.speech import Speech

        speech = Speech()
        speech.load()
        self.serve(speech=speech, responder=responder)

    def truncation(self) -> dict[str, Any]:
        told: dict[str, Any] = self.server.sessions[-1].wait_for_message("conversation.item.truncate", 30)
        return told


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opened]:
    needs_chromium()
    with ExitStack() as stack:
        yield Opened(stack, tmp_path)


# --- in writing


@pytest.mark.parametrize("name", [FLASK, DJANGO], ids=["flask", "django"])
def test_a_written_answer_appears_in_pieces(opened: Opened, name: str) -> None:
    gate = Gate("one <b>bold</b> ", "two")
    opened.serve(responder=gate)
    page = opened.page(name)
    page.ask("Count")
    page.until(lambda: page.entries[1:] == [("model", "one <b>bold</b> ", True)])
    assert page.status == "Answering"
    gate.opened.set()
    page.until(lambda: page.entries[1:] == [("model", "one <b>bold</b> two", False)])
    assert page.entries[0] == ("you", "Count", False)
    page.until(lambda: page.status == "Ready")
    assert page.console() == []


def test_escape_interrupts_a_written_answer_and_the_next_is_asked_without_a_mouse(opened: Opened) -> None:
    gate = Gate("one ", "two")
    opened.serve(responder=gate)
    page = opened.page()
    page.until(lambda: page.focused == "question")
    page.press("Count" + Keys.ENTER)
    page.until(lambda: page.entries[1:] == [("model", "one ", True)])
    page.press(Keys.ESCAPE)
    page.until(lambda: page.notes == ["Interrupted"])
    opened.server.sessions[0].wait_for_message("response.cancel", 40)
    gate.opened.set()
    page.press("Again" + Keys.ENTER)
    page.until(lambda: page.entries[-1] == ("model", "one two", False))
    assert page.alert == ""


def test_every_control_is_reached_by_tab_and_shows_its_focus(opened: Opened) -> None:
    opened.serve()
    page = opened.page()
    reached = {}
    for _ in range(8):
        page.press(Keys.TAB)
        style = "return getComputedStyle(document.activeElement).outlineStyle"
        reached[page.focused] = page.driver.execute_script(style)
    reached.pop("", None)  # the document itself, between the last and the first
    assert reached == dict.fromkeys(["skip", "scroll", "question", "send", "talk"], "solid")
    transcript = page.find("transcript")
    assert (transcript.get_attribute("role"), transcript.get_attribute("aria-live")) == ("log", "polite")


# --- by microphone


def test_a_recording_is_transcribed_and_answered_aloud(opened: Opened) -> None:
    opened.serve_speech()
    microphone = recording(opened.folder / "microphone.wav", silence(1500), recorded("hello.wav"))
    page = opened.page(microphone=microphone)
    page.find("talk").click()
    page.until(lambda: page.level("you") > 20)
    page.until(lambda: page.status == "Hearing you")
    page.until(lambda: page.level("model") > 20)
    page.until(lambda: len(page.entries) == 2 and not page.entries[1][2])
    (you, question, _), (model, answer, _) = page.entries
    assert (you, model) == ("you", "model")
    assert word_errors("Hello, can you hear me?", question) <= 1
    assert answer == "Hello! Yes, I can hear you."
    page.until(lambda: page.status == "Listening")
    page.find("talk").click()
    page.until(lambda: page.status == "Ready")
    assert opened.server.sessions[-1].wait_until_closed(20) == 1000
    assert page.console() == []


@pytest.mark.parametrize("how", ["button", "escape", "speech"])
def test_an_interruption_stops_the_sound_and_what_was_not_heard_is_not_shown(opened: Opened, how: str) -> None:
    opened.serve_speech(lambda turn: Reply(COUNTING))
    said = [silence(1500), recorded("hello.wav")]
    # The second time late enough for a busy machine to have begun its answer, and well before the end of the counting.
    again = [silence(12_000), *said] if how == "speech" else []
    microphone = recording(opened.folder / "microphone.wav", *said, *again)
    page = opened.page(microphone=microphone)
    page.find("talk").click()
    page.until(lambda: page.level("model") > 20)
    page.until(lambda: page.entries[1][1].startswith("One is"))
    if how == "button":
        page.find("interrupt").click()
    elif how == "escape":
        page.press(Keys.ESCAPE)
    page.until(lambda: page.notes and page.notes[0].startswith("Interrupted after"))
    if how != "speech":
        page.until(lambda: page.level("model") == 0)
        assert page.status == "Listening"
    told = opened.truncation()
    assert page.notes[0] == f"Interrupted after {told['audio_end_ms'] / 1000:.1f} s"
    who, shown, busy = page.entries[1]
    assert (who, busy) == ("model", False)
    assert COUNTING.startswith(shown)
    assert len(shown) < len(COUNTING)
    live = opened.server.sessions[-1]
    said_in_all = sum(len(event["delta"]) * 3 // 4 // 48 for event in sent(live, "response.output_audio.delta"))
    assert 0 < told["audio_end_ms"] < said_in_all


# --- what goes wrong


def test_errors_are_told_to_the_person(opened: Opened) -> None:
    opened.serve(api_keys=["sk-another"])
    page = opened.page()
    page.ask("So?")
    page.until(lambda: page.alert.startswith("The model service cannot be reached"))
    assert page.notes == ["Not finished"]
    page.find("dismiss").click()
    assert page.alert == ""
    page.find("talk").click()
    page.until(lambda: page.alert.startswith("The model service cannot be reached"))
    assert page.status == "Ready"
    opened.application.process.terminate()
    opened.application.process.wait(30)
    page.ask("Still there?")
    page.until(lambda: page.alert.startswith("The application cannot be reached"))
    page.find("dismiss").click()
    page.find("talk").click()
    page.until(lambda: page.alert.startswith("The application cannot be reached") and page.status == "Ready")


def test_a_microphone_that_is_not_allowed_is_told_with_what_to_do(opened: Opened) -> None:
    opened.serve()
    page = opened.page(permitted=False)
    descriptor = {"permission": {"name": "microphone"}, "setting": "denied"}
    page.driver.execute_cdp_cmd("Browser.setPermission", descriptor)
    page.find("talk").click()
    page.until(lambda: "Allow it in the address bar" in page.alert)
    assert page.status == "Ready"
    assert opened.server.sessions == []


PERMIT_LATER = """
    const devices = navigator.mediaDevices, ask = devices.getUserMedia.bind(devices);
    devices.getUserMedia = async (wanted) => {
      const stream = await ask(wanted);
      await new Promise((permit) => (window.permit = permit));
      window.given = stream.getTracks();
      return stream;
    };
"""


@pytest.mark.parametrize(("path", "button"), [("/", "talk"), ("/call", "call")])
def test_a_microphone_that_is_allowed_after_it_was_stopped_is_switched_off(
    opened: Opened, path: str, button: str
) -> None:
    opened.serve()
    page = opened.page(path=path)
    page.driver.execute_script(PERMIT_LATER)
    page.find(button).click()
    page.until(lambda: page.driver.execute_script("return Boolean(window.permit)"))
    page.find(button).click()
    page.driver.execute_script("window.permit()")
    page.until(lambda: page.driver.execute_script("return (window.given || [{}])[0].readyState") == "ended")
    assert page.status == "Ready"
    assert page.alert == ""
    assert opened.server.sessions == []


def test_a_restart_of_the_application_is_told_and_the_next_conversation_works(opened: Opened) -> None:
    opened.serve()
    page = opened.page()
    page.find("talk").click()
    page.until(lambda: page.status == "Listening")
    opened.application.reload()
    page.until(lambda: "Press start" in page.alert)
    assert opened.server.wait_for_session().wait_until_closed(20) == 1000
    opened.application.logged(r"Booting worker with pid", 2)
    page.find("talk").click()
    page.until(lambda: page.status == "Listening")
    assert page.alert == ""


# --- calls


@pytest.mark.parametrize("name", [FLASK, DJANGO], ids=["flask", "django"])
def test_a_call_is_answered_and_the_application_runs_its_tools(opened: Opened, name: str) -> None:
    opened.serve()
    page = opened.page(name, "/call")
    page.find("call").click()
    live = opened.server.wait_for_session(30)
    told = live.wait_for_message("session.update", 30)
    assert [tool["name"] for tool in told["session"]["tools"]] == ["local_time"]
    page.until(lambda: page.find("call").text == "Hang up")
    assert page.alert == ""  # Chromium took the answer to its offer
    page.find("call").click()
    assert page.find("call").text == "Call"
    assert page.driver.find_elements(By.CSS_SELECTOR, "#alert[hidden]")

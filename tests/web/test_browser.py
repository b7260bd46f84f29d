"""The page in headless Chromium, against the embedded server: written answers, speech, interruption, errors."""

from __future__ import annotations

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from realtime_sync.server import Reply
from tests.core.answers import Gate, sent
from tests.server.speech.spoken import recorded, silence, word_errors
from tests.web.applications import DJANGO, FLASK
from tests.web.chromium import recording
from tests.web.opened import FASTAPI, Opened

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
NUMBERS = ("One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine", "Ten", "Eleven", "Twelve")
COUNTING = " ".join(f"{word} is a number." for word in NUMBERS * 2)


# --- in writing


@pytest.mark.parametrize("name", [FLASK, DJANGO, FASTAPI], ids=["flask", "django", "fastapi"])
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
    for _ in range(12):
        page.press(Keys.TAB)
        style = "const it = document.activeElement; return getComputedStyle(it.matches('textarea') ? it.form : it)"
        reached[page.focused] = page.driver.execute_script(f"{style}.outlineStyle")
    reached.pop("", None)  # the document itself, between the last and the first
    examples = [button.text for button in page.driver.find_elements(By.CSS_SELECTOR, ".examples button")]
    wanted = ["skip", "Chat", "Call", "scroll", *examples, "question", "talk", "send"]
    assert reached == dict.fromkeys(wanted, "solid")


def test_an_answer_is_read_out_once_when_it_is_whole(opened: Opened) -> None:
    gate = Gate("one ", "two")
    opened.serve(responder=gate)
    page = opened.page()
    live = "return Boolean(document.getElementById('transcript').closest('[aria-live], [role=log], [role=status]'))"
    assert not page.driver.execute_script(live)  # else each piece of it would be
    page.ask("Count")
    page.until(lambda: page.entries[1:] == [("model", "one ", True)])
    said = "return document.getElementById('said').textContent.trim()"
    assert page.driver.execute_script(said) == ""
    gate.opened.set()
    page.until(lambda: page.driver.execute_script(said) == "Answer: one two")


# --- by microphone


@pytest.mark.parametrize("name", [FLASK, FASTAPI], ids=["flask", "fastapi"])
def test_a_recording_is_transcribed_and_answered_aloud(opened: Opened, name: str) -> None:
    opened.serve_speech()
    microphone = recording(opened.folder / "microphone.wav", silence(1500), recorded("hello.wav"))
    page = opened.page(name, microphone=microphone)
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


def test_a_spoken_conversation_with_an_interruption_outlives_a_reload(opened: Opened) -> None:
    answers = [COUNTING]
    opened.serve_speech(lambda turn: Reply(answers[0]))
    said = [silence(1500), recorded("hello.wav")]
    microphone = recording(opened.folder / "microphone.wav", *said, silence(12_000), *said, silence(60_000))
    page = opened.page(microphone=microphone)
    page.find("talk").click()
    page.until(lambda: page.notes and page.notes[0].startswith("Interrupted after"))
    told = opened.truncation()
    assert page.notes[0] == f"Interrupted after {told['audio_end_ms'] / 1000:.1f} s"
    page.until(lambda: len(page.entries) == 4 and page.entries[3][1] and not page.entries[2][2])
    page.find("talk").click()
    page.until(lambda: page.status == "Ready")
    kept = [(who, text, False) for who, text, _ in page.entries]
    page.reload()
    assert page.entries == kept
    assert page.notes[0] == f"Interrupted after {told['audio_end_ms'] / 1000:.1f} s"

    # What was said is told to who answers next, in writing and by voice.
    spoken = [("user" if who == "you" else "assistant", text) for who, text, _ in kept]
    answers[0] = "So it is."
    page.ask("And in writing?")
    page.until(lambda: page.entries[-1] == ("model", "So it is.", False))
    assert opened.told() == [*spoken, ("user", "And in writing?")]
    page.find("talk").click()
    page.until(lambda: opened.told() == [*spoken, ("user", "And in writing?"), ("assistant", "So it is.")])
    assert page.console() == []


def test_what_is_written_beside_a_spoken_conversation_is_told_to_it(opened: Opened) -> None:
    gate = Gate("So ", "it is.")
    opened.serve(responder=gate)
    page = opened.page(microphone=recording(opened.folder / "microphone.wav", silence(300_000)))
    page.find("talk").click()
    page.until(lambda: page.status == "Listening")
    voice = opened.server.wait_for_session()
    page.ask("Is it so?")
    page.until(lambda: page.entries[1:] == [("model", "So ", True)])
    assert opened.told(0) == []
    gate.opened.set()
    page.until(lambda: page.status == "Listening")
    voice.wait_for_message("conversation.item.create", 20)
    page.until(lambda: opened.told(0) == [("user", "Is it so?"), ("assistant", "So it is.")])


# --- what goes wrong


def test_errors_are_told_to_the_person(opened: Opened) -> None:
    opened.serve(api_keys=["sk-another"])
    page = opened.page()
    page.ask("So?")
    page.until(lambda: page.notes and page.notes[0].startswith("The model service cannot be reached"))
    assert page.alert == ""
    page.find("talk").click()
    page.until(lambda: page.alert.startswith("The model service cannot be reached"))
    assert page.status == "Ready"
    page.find("dismiss").click()
    assert page.alert == ""
    opened.application.process.terminate()
    opened.application.process.wait(30)
    page.find("question").clear()
    page.ask("Still there?")
    page.until(lambda: page.notes and page.notes[-1].startswith("The application cannot be reached"))
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
    page.until(lambda: "ended the conversation" in page.alert)
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


@pytest.mark.parametrize("name", [FLASK, DJANGO], ids=["flask", "django"])
def test_a_call_is_hung_up_at_the_service_when_its_page_is_left(opened: Opened, name: str) -> None:
    opened.serve()
    page = opened.page(name, "/call")

    def states() -> list[str]:
        return [call.state for call in opened.server.calls._calls.values()]

    page.find("call").click()
    page.until(lambda: states() == ["active"])
    page.driver.get("about:blank")
    page.until(lambda: states() == ["ended"])
    page.driver.back()  # whether the page was kept or is loaded again
    page.until(lambda: page.find("call").text == "Call")
    page.find("call").click()
    page.until(lambda: states() == ["ended", "active"])
    page.find("call").click()
    page.until(lambda: states() == ["ended", "ended"])
    assert page.console() == []

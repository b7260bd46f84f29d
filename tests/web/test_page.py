"""The page as a person finds it: at every size, after a reload, when something has failed, when nobody answers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from realtime_sync.server import Refusal, faults
from tests.core.answers import Gate
from tests.server.speech.spoken import silence
from tests.web.applications import DJANGO, FLASK
from tests.web.chromium import Page, recording
from tests.web.opened import FASTAPI, Opened

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
# A desktop, telephones, and the same on their side.
WINDOWS = [(1280, 800, False), (390, 844, True), (320, 568, True), (844, 390, True), (568, 320, True)]
LONG = "How tall may a tree grow? " * 120

# Of each text that is seen: the ratio of its lightness to that of what is behind it.
CONTRASTS = """
    const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
    const paint = (...colors) => {
      for (const color of ["white", ...colors]) { canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1); }
      const light = (part) => ((part /= 255) <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
      const [red, green, blue] = [...canvas.getImageData(0, 0, 1, 1).data].map(light);
      return 0.2126 * red + 0.7152 * green + 0.0722 * blue + 0.05;
    };
    const told = {};
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
      const element = walker.currentNode.parentElement;
      const text = walker.currentNode.textContent.trim();
      if (!text || !element.checkVisibility() || element.closest("script, noscript, .unseen, :disabled")) continue;
      const behind = [];
      for (let at = element; at; at = at.parentElement) behind.unshift(getComputedStyle(at).backgroundColor);
      const ratio = paint(...behind, getComputedStyle(element).color) / paint(...behind);
      told[text] = Math.max(ratio, 1 / ratio);
    }
    return told;
"""
# Of each control that is seen: its name, and whether it is wholly in the window and not covered by another.
CONTROLS = """
    return [...document.querySelectorAll("header a, header button, footer button, textarea")]
      .filter((element) => element.checkVisibility())
      .map((element) => {
        const { left, top, right, bottom, width, height } = element.getBoundingClientRect();
        const inside = left >= 0 && top >= 0 && right <= innerWidth && bottom <= innerHeight;
        const hit = document.elementFromPoint((left + right) / 2, (top + bottom) / 2);
        return [element.id || element.textContent, inside && element.contains(hit), width, height];
      });
"""
# How far the end of the last entry is above the end of what is seen of the transcript; below it, if negative.
LEFT = """
    const last = document.querySelector("#transcript li:last-child").getBoundingClientRect();
    return document.getElementById("scroll").getBoundingClientRect().bottom - last.bottom;
"""
OVERFLOW = """
    const page = document.documentElement, scroll = document.getElementById("scroll");
    const status = document.getElementById("status");
    return [page.scrollWidth - innerWidth, page.scrollHeight - innerHeight, scroll.scrollWidth - scroll.clientWidth,
      status.scrollWidth - status.clientWidth];
"""


def looked_at(page: Page) -> Iterator[str]:
    """In each window, light and dark."""
    for scheme in ("light", "dark"):
        for width, height, touch in WINDOWS:
            page.resize(width, height, touch=touch, scheme=scheme)
            yield f"{width}x{height} {scheme}"
    page.resize(900, 800)


def check_looks(page: Page, state: str) -> None:
    """Nothing is cut off or covered, all can be read, a finger finds what it wants, and one button stands out."""
    for window in looked_at(page):
        where = f"{state}, {window}"
        assert max(page.driver.execute_script(OVERFLOW)) <= 0, where
        least = 40 if "1280" not in window else 24
        for name, is_there, width, height in page.driver.execute_script(CONTROLS):
            assert is_there, f"{name} of {where}"
            assert min(width, height) >= least, f"{name} of {where}: {width} x {height}"
        for text, ratio in page.driver.execute_script(CONTRASTS).items():
            assert ratio >= 4.5, f"{text!r} of {where}: {ratio:.2f}"
        shown = [button for button in page.driver.find_elements(By.CSS_SELECTOR, ".primary") if button.is_displayed()]
        assert len(shown) == 1, where


def again(page: Page) -> Any:
    return page.driver.find_element(By.CSS_SELECTOR, ".again")


def stop(page: Page) -> None:
    """Interrupt the answer. Within half a second of "Send" the page takes a click for the second of a double click."""

    def pressed() -> bool:
        page.find("send").click()
        return bool(page.notes == ["Interrupted"])

    page.until(pressed)


# --- how it looks


def test_the_page_fits_each_window_in_each_state(opened: Opened) -> None:
    gate = Gate("one ", "two")
    opened.serve(responder=gate)
    page = opened.page(microphone=recording(opened.folder / "microphone.wav", silence(300_000)))
    check_looks(page, "empty")
    assert not page.find("talking").is_displayed()
    assert not page.find("new").is_displayed()
    page.ask("Count")
    page.until(lambda: page.entries[1:] == [("model", "one ", True)])
    check_looks(page, "answering")
    stop(page)
    gate.opened.set()
    opened.server.faults = faults.Faults(refuse=Refusal(401))
    page.ask("And now?")
    page.until(lambda: len(page.notes) == 2)
    check_looks(page, "failed")
    width = "return document.querySelector(arguments[0]).getBoundingClientRect().width"
    assert page.driver.execute_script(width, "li.failed") == page.driver.execute_script(width, "#transcript")
    opened.server.faults = faults.Faults()
    page.find("talk").click()
    page.until(lambda: page.status == "Listening")
    assert page.find("talking").is_displayed()
    check_looks(page, "talking")
    gate.opened.clear()
    page.ask("And beside it?")
    page.until(lambda: page.entries[-1] == ("model", "one ", True))
    check_looks(page, "talking and answering")
    assert page.find("talk-label").text != page.find("send").text  # which is all that a narrow window shows of them
    gate.opened.set()
    page.until(lambda: page.status == "Listening")
    page.find("talk").click()
    page.until(lambda: page.status == "Ready")
    assert not page.find("talking").is_displayed()
    page.find("new").click()
    check_looks(page, "new")
    page.driver.find_element(By.LINK_TEXT, "Call").click()
    page.until(lambda: page.find("call").text == "Call")
    check_looks(page, "call")
    page.driver.find_element(By.LINK_TEXT, "Chat").click()
    page.until(lambda: page.find("send").text == "Send")


def test_a_long_question_does_not_hide_its_answer_and_who_reads_further_up_is_left_in_peace(opened: Opened) -> None:
    opened.serve(responder=lambda turn: gate(turn))
    page = opened.page()
    driver = page.driver
    for window in looked_at(page):
        gate = Gate("one ", "two " * 400)
        driver.execute_script("document.getElementById('question').value = arguments[0]", LONG)
        page.find("send").click()
        page.until(lambda: page.entries and page.entries[-1] == ("model", "one ", True))
        assert driver.execute_script(LEFT) >= 0, window
        gate.opened.set()
        page.until(lambda: page.status == "Ready")
        assert driver.execute_script(LEFT) >= 0, window
    page.resize(390, 844, touch=True)
    page.until(lambda: driver.execute_script(LEFT) >= 0)
    assert not page.find("latest").is_displayed()

    gate = Gate("one ", "two " * 400)
    driver.execute_script("document.getElementById('scroll').scrollTop = 0")
    page.until(lambda: page.find("latest").is_displayed())
    page.ask("Once more")
    page.until(lambda: page.entries[-1] == ("model", "one ", True))
    assert driver.execute_script(LEFT) >= 0
    # A finger begins with a few pixels, and what comes meanwhile may not take it back.
    driver.execute_async_script(
        "const scroll = document.getElementById('scroll');"
        "const [done] = arguments; scroll.addEventListener('scroll', () => done(), { once: true });"
        "scroll.scrollTop -= 10;"
    )
    place = driver.execute_script("return document.getElementById('scroll').scrollTop")
    gate.opened.set()
    page.until(lambda: page.status == "Ready")
    assert driver.execute_script("return document.getElementById('scroll').scrollTop") == place
    page.until(lambda: page.find("latest").is_displayed())
    page.find("latest").click()
    page.until(lambda: driver.execute_script(LEFT) >= 0 and not page.find("latest").is_displayed())


def test_an_answer_that_comes_faster_than_it_can_be_seen_is_shown_in_fewer_steps(opened: Opened) -> None:
    opened.serve()
    page = opened.page()
    done = 'event: done\ndata: {"status": "completed"}\n\n'
    page.driver.execute_script(
        "window.steps = 0; new MutationObserver((all) => (steps += all.length)).observe("
        "document.getElementById('transcript'), { childList: true, subtree: true });"
        "const body = arguments[0]; window.fetch = async () => new Response(body)",
        'event: text\ndata: {"text": "word "}\n\n' * 1000 + done,
    )
    page.ask("Tell me all")
    page.until(lambda: page.entries[1:] == [("model", "word " * 1000, False)])
    assert page.driver.execute_script("return steps") < 200  # not one for each word, each with a layout of the page


@pytest.mark.parametrize("name", [FLASK, DJANGO, FASTAPI], ids=["flask", "django", "fastapi"])
def test_an_example_is_asked_and_it_is_said_who_answers(opened: Opened, name: str) -> None:
    page = opened.page(name)  # without a key
    empty = page.find("empty").text
    assert "the embedded server, by rules: it is no model" in empty
    assert ("press Talk" in empty) == page.find("talk").is_displayed() == (name != DJANGO)
    examples = page.driver.find_elements(By.CSS_SELECTOR, ".examples button")
    assert len(examples) == 3
    examples[0].click()
    page.until(lambda: page.entries[1:] and not page.entries[1][2])
    assert page.entries[0] == ("you", "What is the tallest tree?", False)
    assert page.entries[1][1].startswith("The tallest tree is Hyperion")
    assert not page.find("empty").is_displayed()
    brief = page.driver.find_element(By.CSS_SELECTOR, "header .by")
    assert brief.text == "Embedded server"
    page.resize(320, 568, touch=True)
    assert page.find("new").is_displayed()
    assert page.driver.execute_script("return arguments[0].scrollWidth - arguments[0].clientWidth", brief) <= 0


def test_where_a_person_goes_on_is_the_box_and_on_a_telephone_what_there_is_to_read(opened: Opened) -> None:
    opened.serve(responder=lambda turn: "Yes.")
    page = opened.page()
    page.until(lambda: page.focused == "question")
    page.find("question").send_keys("So?")
    page.find("send").click()
    page.until(lambda: page.entries[1:] == [("model", "Yes.", False)])
    assert page.focused == "question"
    page.find("new").click()
    assert page.focused == "question"
    page.resize(390, 844, touch=True)
    page.reload()
    assert page.focused == ""  # else the keyboard on the screen would hide the page
    page.driver.find_elements(By.CSS_SELECTOR, ".examples button")[0].click()
    page.until(lambda: page.entries[1:] == [("model", "Yes.", False)])
    assert page.focused == "scroll"
    page.find("new").click()
    assert page.focused == "scroll"
    page.find("alert-action").click()  # Undo
    assert page.focused == "scroll"
    page.find("new").click()
    page.find("dismiss").click()
    assert page.focused == "scroll"
    page.find("send").click()  # of nothing
    assert page.focused == "question"


# --- what stays


def test_the_conversation_and_what_was_being_written_outlive_a_reload(opened: Opened) -> None:
    opened.serve(responder=lambda turn: f"<img src=x onerror=alert(1)> {len(turn.items)}")
    page = opened.page()
    page.ask("<b>One</b>")
    page.until(lambda: page.entries[1:] and not page.entries[1][2])
    page.find("question").send_keys("Half a quest")
    kept = page.entries
    # A telephone may end a page without a word to it, so it is kept all the time.
    page.until(
        lambda: kept[1][1] in (page.driver.execute_script("return sessionStorage.getItem('conversation')") or "")
    )
    page.reload()
    assert page.entries == kept
    assert page.find("question").get_attribute("value") == "Half a quest"
    assert page.driver.find_elements(By.CSS_SELECTOR, "#transcript img, #transcript b") == []
    page.press("ion" + Keys.ENTER)
    page.until(lambda: len(page.entries) == 4 and not page.entries[3][2])
    assert page.entries[3][1].endswith(" 3")
    assert opened.told() == [
        ("user", "<b>One</b>"),
        ("assistant", "<img src=x onerror=alert(1)> 1"),
        ("user", "Half a question"),
    ]
    page.find("new").click()
    assert page.entries == []
    page.find("alert-action").click()  # Undo
    assert len(page.entries) == 4
    page.find("new").click()
    page.reload()
    assert page.entries == []
    assert page.find("question").get_attribute("value") == ""
    page.ask("Who am I?")
    page.until(lambda: page.entries[1:] and not page.entries[1][2])
    assert opened.told() == [("user", "Who am I?")]
    assert page.console() == []


@pytest.mark.parametrize("kept", ["{", "5", "null", '[{"who": "constructor", "text": "x"}]', '[null, {"who": "you"}]'])
def test_what_another_has_put_into_the_storage_does_not_keep_the_page_from_working(opened: Opened, kept: str) -> None:
    opened.serve(responder=lambda turn: "Yes.")
    page = opened.page()
    page.driver.execute_script(
        "const kept = arguments[0]; addEventListener('pagehide', () => sessionStorage.setItem('conversation', kept))",
        kept,
    )
    page.reload()
    assert page.entries == []
    page.ask("So?")
    page.until(lambda: page.entries[1:] == [("model", "Yes.", False)])
    assert page.console() == []


def test_an_answer_that_a_reload_has_cut_off_can_be_asked_again(opened: Opened) -> None:
    gate = Gate("one ", "two")
    opened.serve(responder=gate)
    page = opened.page()
    page.ask("Count")
    page.until(lambda: page.entries[1:] == [("model", "one ", True)])
    page.reload()
    assert page.entries == [("you", "Count", False), ("model", "one ", False)]
    assert page.notes == ["Not finished"]
    gate.opened.set()
    again(page).click()
    page.until(lambda: page.entries == [("you", "Count", False), ("model", "one two", False)])
    assert opened.told() == [("user", "Count")]


def test_a_conversation_goes_on_behind_what_is_too_long_to_be_told_in_whole(opened: Opened) -> None:
    opened.serve(responder=lambda turn: "Yes.")
    page = opened.page()
    kept = [{"who": "you", "text": "So?"}, {"who": "model", "text": "x" * 3999 + "\N{DECIDUOUS TREE} and more"}]
    page.driver.execute_script(
        "const kept = JSON.stringify(arguments[0]);"
        "addEventListener('pagehide', () => sessionStorage.setItem('conversation', kept))",
        kept,
    )
    page.reload()
    page.ask("And now?")
    page.until(lambda: page.entries[3:] == [("model", "Yes.", False)])
    assert opened.told()[1] == ("assistant", "x" * 3999)


# --- what goes wrong


@pytest.mark.parametrize("how", ["button", "enter", "another"])
def test_a_question_that_failed_stays_in_the_box_and_is_in_the_history_once(opened: Opened, how: str) -> None:
    opened.serve(responder=lambda turn: "Yes.")
    page = opened.page()
    opened.server.faults = faults.Faults(refuse=Refusal(401))
    for _ in range(2):
        page.find("question").clear()
        page.ask("Is it so?")
        page.until(lambda: page.notes and page.status == "Ready")
        assert page.find("question").get_attribute("value") == "Is it so?"
        assert page.entries == [("you", "Is it so?", False), ("model", "", False)]
        assert again(page).is_displayed()
    opened.server.faults = faults.Faults()
    if how == "another":
        page.find("question").clear()
        page.ask("Is it?")
        page.until(lambda: page.entries[-1] == ("model", "Yes.", False))
        assert opened.told() == [("user", "Is it?")]
        again(page).click()  # of the first one
        page.until(lambda: page.entries[2:] == [("you", "Is it so?", False), ("model", "Yes.", False)])
        assert page.entries[0] == ("you", "Is it?", False)
        assert opened.told() == [("user", "Is it?"), ("assistant", "Yes."), ("user", "Is it so?")]
        return
    if how == "button":
        again(page).click()
    else:
        page.press(Keys.ENTER)
    page.until(lambda: page.entries == [("you", "Is it so?", False), ("model", "Yes.", False)])
    assert page.find("question").get_attribute("value") == ""
    assert page.focused == "question"
    page.ask("Again?")
    page.until(lambda: len(page.entries) == 4 and not page.entries[3][2])
    assert opened.told() == [("user", "Is it so?"), ("assistant", "Yes."), ("user", "Again?")]


def test_a_question_that_is_too_long_is_told_until_it_is_shorter(opened: Opened) -> None:
    opened.serve()
    page = opened.page()
    page.until(lambda: page.focused == "question")  # its scripts have run
    written = "const box = document.getElementById('question'); box.value = 'x'.repeat(4000);"
    page.driver.execute_script(written + "box.dispatchEvent(new Event('input'))")
    page.until(lambda: page.alert == "A question can have 4,000 characters. Any more are left out.")
    page.press(Keys.BACKSPACE)
    page.until(lambda: page.alert == "")


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        ("max_output_tokens", "Not finished: this is as long as an answer may be"),
        ("content_filter", "Not finished: the model service's filter stopped it"),
        ("another_reason", "Not finished"),
    ],
)
def test_why_an_answer_is_not_finished_is_told_in_words(opened: Opened, reason: str, told: str) -> None:
    opened.serve()
    page = opened.page()
    done = f'event: done\ndata: {{"status": "incomplete", "reason": "{reason}"}}\n\n'
    events = f'event: text\ndata: {{"text": "One"}}\n\n{done}'
    page.driver.execute_script("const body = arguments[0]; window.fetch = async () => new Response(body)", events)
    page.ask("Count")
    page.until(lambda: page.entries[1:] == [("model", "One", False)])
    assert page.notes == [told]


def test_a_worker_that_stands_still_in_an_answer_is_noticed(opened: Opened) -> None:
    gate = Gate("one ", "two")
    opened.serve(responder=gate)
    page = opened.page()
    page.ask("Count")
    page.until(lambda: page.entries[1:] == [("model", "one ", True)])
    with opened.frozen():
        page.until(lambda: page.status == "Still waiting")
        page.until(lambda: page.notes)
    assert page.notes == ["Nothing has come from the application for 20 seconds. It may be stuck."]
    assert page.find("question").get_attribute("value") == "Count"
    gate.opened.set()
    again(page).click()
    page.until(lambda: page.entries == [("you", "Count", False), ("model", "one two", False)])


def test_a_model_that_thinks_for_long_is_no_worker_that_stands_still(opened: Opened) -> None:
    gate = Gate("one ", "two")
    opened.serve(responder=gate)
    page = opened.page()
    page.ask("Count")
    page.until(lambda: page.entries[1:] == [("model", "one ", True)])
    page.driver.execute_async_script("setTimeout(arguments[0], 25_000)")  # as long as that is the watch's to know
    assert page.status == "Answering"
    assert page.notes == []
    gate.opened.set()
    page.until(lambda: page.entries[1:] == [("model", "one two", False)])


def test_a_worker_that_stands_still_in_a_spoken_conversation_is_noticed(opened: Opened) -> None:
    opened.serve()
    page = opened.page(microphone=recording(opened.folder / "microphone.wav", silence(300_000)))
    page.find("talk").click()
    page.until(lambda: page.status == "Listening")
    page.driver.execute_async_script("setTimeout(arguments[0], 25_000)")  # nobody says anything: that is no such worker
    assert (page.status, page.alert) == ("Listening", "")
    with opened.frozen():
        page.until(lambda: page.status == "No answer")
        page.resize(320, 568, touch=True)
        assert max(page.driver.execute_script(OVERFLOW)) <= 0
        page.until(lambda: page.alert.startswith("Nothing has come from the application for 20 seconds"))
    assert page.status == "Ready"
    page.find("alert-action").click()  # Try again
    page.until(lambda: page.status == "Listening")
    assert page.alert == ""


def test_a_browser_without_a_network_is_told_so(opened: Opened) -> None:
    opened.serve(responder=lambda turn: "Yes.")
    page = opened.page()
    network = {"offline": True, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
    page.driver.execute_cdp_cmd("Network.enable", {})
    page.driver.execute_cdp_cmd("Network.emulateNetworkConditions", network)
    page.until(lambda: page.status == "Offline")
    page.ask("So?")
    page.until(lambda: page.notes and page.notes[0].startswith("There is no network"))
    page.driver.execute_cdp_cmd("Network.emulateNetworkConditions", {**network, "offline": False})
    page.until(lambda: page.status == "Ready")
    again(page).click()
    page.until(lambda: page.entries == [("you", "So?", False), ("model", "Yes.", False)])
    page.driver.execute_cdp_cmd("Network.emulateNetworkConditions", network)
    page.find("talk").click()  # no question, which could stay
    page.until(lambda: page.alert == "There is no network. Try again when you are online.")


def test_why_there_is_no_call_is_told_in_words(opened: Opened) -> None:
    opened.serve()
    page = opened.page(path="/call")
    page.find("call").click()
    page.until(lambda: page.find("call").text == "Hang up")
    page.find("call").click()
    opened.application.process.terminate()
    opened.application.process.wait(30)
    page.find("call").click()
    page.until(lambda: page.alert == "The application cannot be reached. Is it running?")
    none = "navigator.mediaDevices.getUserMedia = async () => { throw new DOMException('', 'NotFoundError'); }"
    page.driver.execute_script(none)
    page.find("call").click()
    page.until(lambda: page.alert.startswith("No microphone was found"))
    assert page.status == "Ready"


def test_a_second_click_on_send_does_not_stop_what_the_first_has_asked(opened: Opened) -> None:
    opened.serve(responder=lambda turn: "Yes.")
    page = opened.page()
    page.find("question").send_keys("So?")
    page.driver.execute_script("const send = document.getElementById('send'); send.click(); send.click();")
    page.until(lambda: page.entries[1:] == [("model", "Yes.", False)])
    assert page.notes == []

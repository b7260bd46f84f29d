"""A headless Chromium with a made microphone, and the page in it as a person finds it."""

from __future__ import annotations

import shutil
import wave
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Optional

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.core.harness import until

WAIT = 60.0
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-device-for-media-stream",
    "--window-size=900,800",
)


def needs_chromium() -> None:
    missing = [program for program in ("chromium", "chromedriver") if shutil.which(program) is None]
    if missing:
        pytest.skip(f"needs Debian's packages chromium and chromium-driver: {', '.join(missing)} missing")


@contextmanager
def chromium(folder: Path, microphone: Optional[Path] = None, *, permitted: bool = True) -> Iterator[webdriver.Chrome]:
    """A browser of its own. ``microphone``: the recording that it hears, once; None: nothing but beeps."""
    needs_chromium()
    options = webdriver.ChromeOptions()
    options.binary_location = str(shutil.which("chromium"))
    for flag in (*_FLAGS, f"--user-data-dir={folder / 'chromium'}"):
        options.add_argument(flag)
    if permitted:
        options.add_argument("--use-fake-ui-for-media-stream")
    if microphone is not None:
        options.add_argument(f"--use-file-for-fake-audio-capture={microphone}%noloop")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(str(shutil.which("chromedriver"))))
    try:
        driver.set_script_timeout(WAIT)
        yield driver
    finally:
        driver.quit()


def recording(path: Path, *parts: bytes) -> Path:
    """A file for the fake microphone."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(24_000)
        file.writeframes(b"".join(parts))
    return path


class Page:
    """The page, by what is seen and heard of it."""

    def __init__(self, driver: webdriver.Chrome, port: int, path: str = "/") -> None:
        self.driver = driver
        driver.get(f"http://127.0.0.1:{port}{path}")

    def find(self, id: str) -> Any:
        return self.driver.find_element(By.ID, id)

    def ask(self, question: str) -> None:
        self.find("question").send_keys(question + Keys.ENTER)

    def press(self, key: str) -> None:
        self.driver.switch_to.active_element.send_keys(key)

    def resize(self, width: int, height: int, *, touch: bool = False, scheme: str = "light") -> None:
        """Another window; ``touch``: a telephone's."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": touch}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        self.driver.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": touch})
        media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", media)

    def reload(self) -> None:
        """The page anew, as far as its scripts have run."""
        self.driver.refresh()
        self.until(lambda: self.driver.execute_script("return document.readyState") == "complete")

    @property
    def focused(self) -> str:
        """The id, the class or the words of what has the focus; empty where nothing has."""
        return str(
            self.driver.execute_script(
                "const it = document.activeElement;"
                " return it === document.body ? '' : it.id || it.className || it.textContent"
            )
        )

    @property
    def status(self) -> str:
        return str(self.find("status").text)

    @property
    def alert(self) -> str:
        """What the person is told of an error; empty where nothing is."""
        return str(self.find("alert-text").text) if self.find("alert").is_displayed() else ""

    @property
    def entries(self) -> list[tuple[str, str, bool]]:
        """Who, what, and whether it still fills; read at once, for it changes meanwhile."""
        told = self.driver.execute_script(
            "return [...document.querySelectorAll('#transcript li')].map((li) => [li.classList[0],"
            " li.querySelector('.said').textContent, li.getAttribute('aria-busy') === 'true'])"
        )
        return [(who, text, busy) for who, text, busy in told]

    @property
    def notes(self) -> list[str]:
        return [element.text for element in self.driver.find_elements(By.CSS_SELECTOR, "#transcript .note")]

    def level(self, who: str) -> int:
        return int(self.find(f"level-{who}").get_attribute("aria-valuenow"))

    def until(self, condition: Callable[[], Any], seconds: float = WAIT) -> Any:
        try:
            return until(condition, seconds)
        except AssertionError as error:
            raise AssertionError(
                f"it did not come about; status {self.status!r}, alert {self.alert!r}, entries {self.entries}, "
                f"console {self.console()}"
            ) from error

    def console(self) -> list[str]:
        """What the scripts complain of."""
        return [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] == "SEVERE"]

"""What a test of the page opens: a server, an application in front of it, a browser."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from realtime_sync.server import RealtimeServer
from tests.server.speech.conftest import PACKAGES
from tests.web.applications import FLASK, Application, Uvicorn
from tests.web.chromium import Page, chromium, needs_chromium

__all__ = ["FASTAPI", "Opened", "needs_chromium"]

FASTAPI = "fastapi_app:app"


class Opened:
    """Opens servers, applications and browsers for one test."""

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        self.stack, self.folder = stack, folder
        self.server: Any = None
        self.application: Any = None

    def page(self, name: str = FLASK, path: str = "/", *, microphone: Any = None, permitted: bool = True) -> Page:
        server = Uvicorn if name == FASTAPI else Application
        self.application = self.stack.enter_context(server(name, self.server, self.folder))
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

    def told(self, session: int = -1) -> list[tuple[str, str]]:
        """The messages that a session was told: of whom, and the text."""
        items = [
            message["item"]
            for message in list(self.server.sessions[session].received)
            if message["type"] == "conversation.item.create"
        ]
        return [(item["role"], item["content"][0]["text"]) for item in items]

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """The worker stands still, though its connections stay open."""
        listed = subprocess.run(
            ["pgrep", "-P", str(self.application.process.pid)], capture_output=True, text=True, check=True
        )
        workers = [int(pid) for pid in listed.stdout.split()]
        for worker in workers:
            os.kill(worker, signal.SIGSTOP)
        try:
            yield
        finally:
            for worker in workers:
                os.kill(worker, signal.SIGCONT)

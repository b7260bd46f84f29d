"""What a client costs beside its connection: importing it, and making an object of a message's text."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import timeit
from collections.abc import Callable
from typing import Any, cast

from events import EVENTS

IMPORTS = {
    "realtime_sync": "from realtime_sync import OpenAIClient",
    "realtime_sync, nothing of it asked for": "import realtime_sync",
    "openai-python": "from openai.resources.realtime import Realtime",
    "websocket-client": "import websocket",
}


def import_seconds(repeat: int) -> dict[str, float]:
    """Seconds by which an import lengthens a run of Python, best of ``repeat``."""
    # Users have byte code files, so these runs shall, whatever the environment says; the first one writes them.
    environ = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    runs = {"": "pass", **IMPORTS}
    best = dict.fromkeys(runs, float("inf"))
    for _ in range(repeat):
        for name, code in runs.items():
            begin = time.perf_counter()
            # With a pipe its end is waited for; without, looked for every 50 ms.
            subprocess.run([sys.executable, "-c", code], check=True, timeout=60, env=environ, stdout=subprocess.PIPE)
            best[name] = min(best[name], time.perf_counter() - begin)
    bare = best.pop("")
    return {name: seconds - bare for name, seconds in best.items()}


def decoders() -> dict[str, Callable[[str], object]]:
    from openai.resources.realtime.realtime import RealtimeConnection

    from realtime_sync import ConversationUpdate

    return {
        "realtime_sync": ConversationUpdate.from_json,
        "openai-python": lambda text: RealtimeConnection.parse_event(cast(Any, None), text),
        "json alone": json.loads,
    }


def decode_seconds(repeat: int) -> dict[str, dict[str, float]]:
    """Seconds for one message, by decoder and event, best of ``repeat``."""
    best: dict[str, dict[str, float]] = {name: dict.fromkeys(EVENTS, float("inf")) for name in decoders()}
    for _ in range(repeat):
        for name, decode in decoders().items():
            for event, text in EVENTS.items():
                decode(text)
                seconds = timeit.timeit(lambda: decode(text), number=500) / 500  # noqa: B023  called at once
                best[name][event] = min(best[name][event], seconds)
    return best

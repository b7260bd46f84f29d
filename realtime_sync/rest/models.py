"""What the service says of its models."""

from __future__ import annotations

import re
from typing import Optional
from urllib.parse import quote

from realtime_sync.rest.http import RestClient


def shutdown_date(rest: RestClient, model: str) -> Optional[str]:
    """When the service shuts the model down, as it writes it (YYYY-MM-DD); None: it has announced nothing.

    Raises:
        KeyError: It does not say: the field, which OpenAI has had since 2026, is missing.
        ConnectionFailedError: It knows no such model, or the request failed, as at a session's start.
    """
    told = rest.get(f"models/{quote(model, safe='')}").json()["shutdown_date"]
    return None if told is None else str(told)


def live_models(rest: RestClient) -> list[str]:
    """The GPT-Live models that the service lists, the newest first; listing them costs nothing.

    Raises:
        KeyError: The answer is no list of models.
        ConnectionFailedError: The request failed, as at a session's start.
    """
    names = [str(model["id"]) for model in rest.get("models").json()["data"]]
    return sorted((name for name in names if re.match(r"gpt-live-\d", name)), reverse=True)

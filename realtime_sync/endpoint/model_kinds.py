"""Live models and models of conversations are served at different places: one taken for another is told at once.

Only the names of OpenAI's own models say what they are: unknown ones and Azure's deployments are left to the service.
"""

from __future__ import annotations

from typing import Optional

from realtime_sync.endpoint.endpoint import Endpoint
from realtime_sync.endpoint.environment import DEFAULT_LIVE_MODEL, DEFAULT_MODEL
from realtime_sync.errors import ConfigurationError
from realtime_sync.models import find_model


def check_is_live(endpoint: Endpoint, model: Optional[str]) -> None:
    """Raise ``ConfigurationError`` for a model that no live session can be held with."""
    if _kind(endpoint, model) not in (None, "live"):
        raise ConfigurationError(
            f"The model {model!r} holds no live sessions (/v1/live/sessions); {DEFAULT_LIVE_MODEL!r} does. For "
            f"{model!r}, make the client with it and start a session by client.start_conversation_session(...)."
        )


def check_is_not_live(endpoint: Endpoint, model: Optional[str]) -> None:
    """Raise ``ConfigurationError`` for a model that only live sessions can be held with."""
    if _kind(endpoint, model) == "live":
        raise ConfigurationError(
            f"The model {model!r} holds live sessions only (/v1/live/sessions), and this would be one of /v1/realtime: "
            f"client.start_live_session(model={model!r}) starts one. For a conversation, make the client with another "
            f"model, such as {DEFAULT_MODEL!r}."
        )


def _kind(endpoint: Endpoint, model: Optional[str]) -> Optional[str]:
    known = find_model(model) if endpoint.flavour == "openai" else None
    return known.kind if known is not None else None

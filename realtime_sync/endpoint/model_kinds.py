"""A live model is served at ``/v1/live/sessions`` alone: who takes it for a conversation's is told so at once.

Only the names of OpenAI's own models say what they are: unknown ones and Azure's deployments are left to the service.
(``LiveSessionOptions`` has the word for the other way round.)
"""

from __future__ import annotations

from typing import Optional

from realtime_sync.endpoint.endpoint import Endpoint
from realtime_sync.endpoint.environment import DEFAULT_MODEL
from realtime_sync.errors import ConfigurationError
from realtime_sync.models import find_model


def check_is_not_live(endpoint: Endpoint, model: Optional[str]) -> None:
    """Raise ``ConfigurationError`` for a model that only live sessions can be held with."""
    known = find_model(model) if endpoint.flavour == "openai" else None
    if known is not None and known.kind == "live":
        raise ConfigurationError(
            f"The model {model!r} holds live sessions only (/v1/live/sessions), and this would be one of /v1/realtime: "
            f"client.start_live_session(model={model!r}) starts one. For a conversation, make the client with another "
            f"model, such as {DEFAULT_MODEL!r}."
        )

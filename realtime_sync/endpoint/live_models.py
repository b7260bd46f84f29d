"""Which model a live session is held with. Never the client's own, which converses in another protocol."""

from __future__ import annotations

from typing import Optional

import attrs

from realtime_sync.endpoint.endpoint import Endpoint
from realtime_sync.endpoint.environment import live_model
from realtime_sync.errors import InvalidInputError
from realtime_sync.protocol.live.options import LiveSessionOptions


def with_live_model(
    options: Optional[LiveSessionOptions], model: Optional[str], endpoint: Endpoint
) -> LiveSessionOptions:
    """The options with the model that is to be used: ``model``, else their own, else the environment's.

    Raises ``ConfigurationError`` if Azure's deployment is not named, ``InvalidInputError`` if it is no live model, or
    if the options are none.
    """
    options = LiveSessionOptions() if options is None else options
    if not isinstance(options, LiveSessionOptions):
        raise InvalidInputError(f"options must be LiveSessionOptions(...) or None, not {type(options).__name__}")
    return attrs.evolve(options, model=model or options.model or live_model(endpoint))

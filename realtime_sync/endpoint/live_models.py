"""Which model a live session is held with. Never the client's own, which converses in another protocol."""

from __future__ import annotations

from typing import Optional

import attrs

from realtime_sync.endpoint.endpoint import Endpoint
from realtime_sync.endpoint.environment import live_model
from realtime_sync.endpoint.model_kinds import check_is_live
from realtime_sync.protocol.live.options import LiveSessionOptions


def with_live_model(
    options: Optional[LiveSessionOptions], model: Optional[str], endpoint: Endpoint
) -> LiveSessionOptions:
    """The options with the model that is to be used: ``model``, else their own, else the environment's.

    Raises ``ConfigurationError`` if Azure's deployment is not named, or if it is no live model.
    """
    options = options or LiveSessionOptions()
    model = model or options.model or live_model(endpoint)
    check_is_live(endpoint, model)
    return attrs.evolve(options, model=model)

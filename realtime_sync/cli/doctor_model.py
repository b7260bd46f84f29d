"""What ``doctor`` says of models: until when the service keeps the chosen one, and which of GPT-Live there are."""

from __future__ import annotations

from typing import Literal, Optional

from realtime_sync.endpoint.connect import ConnectRetries
from realtime_sync.endpoint.endpoint import Endpoint
from realtime_sync.endpoint.retirement import WITHIN_DAYS
from realtime_sync.errors import RealtimeSyncError
from realtime_sync.models import DATE, days_until, find_model
from realtime_sync.rest.http import RestClient
from realtime_sync.rest.models import live_models, shutdown_date
from realtime_sync.timeouts import Timeouts

Verdict = tuple[Literal["ok", "warn", "skip"], str, Optional[str]]
"""The state, what was found, and what to do about it."""

_TIMEOUTS = Timeouts(connect=10.0, rest=10.0)


def about_model(endpoint: Endpoint, model: str, *, asks: bool) -> Verdict:
    """Look a model up in the table and, if ``asks``, at the service, whose word is newer; it may say nothing."""
    if endpoint.flavour != "openai":
        portal = "the Azure portal shows it beside the deployment"
        return "skip", "a deployment's model has a retirement date of Azure's, which is not looked at", portal
    known = find_model(model)
    ends, source = known.ends if known is not None else None, f"by the table of {DATE}"
    told = False
    if asks:
        try:
            ends, source, told = shutdown_date(_rest(endpoint), model), "by the service's own word", True
        except (RealtimeSyncError, KeyError):  # a server without a list of models, or an older one; the session tells
            pass
    if known is None and not told:
        return "skip", f"whether {model!r} ends is not known: it is not in the table of {DATE}", None
    if ends is None:
        return "ok", f"no end of {model!r} is announced ({source})", None
    return _verdict(model, ends, source, known.successor if known is not None else None)


def about_live(endpoint: Endpoint, *, asks: bool) -> Verdict:
    """Say which GPT-Live models this key may use: if ``asks``, those that the service lists, which costs nothing."""
    if endpoint.flavour != "openai":
        return "skip", "on Azure a GPT-Live model is a deployment of its own, which is not looked at", None
    if not asks:
        return "skip", "which GPT-Live models this key may use was not asked", None
    try:
        names = live_models(_rest(endpoint))
    except (RealtimeSyncError, LookupError, TypeError, ValueError):  # a server with another list of models, or none
        return "skip", "which GPT-Live models there are is not told by this service", None
    if not names:
        return "skip", "the service lists no GPT-Live model for this key", None
    return "ok", f"{', '.join(names)}: `realtime-sync talk --live`", None


def _rest(endpoint: Endpoint) -> RestClient:
    return RestClient(endpoint=endpoint, timeouts=_TIMEOUTS, retries=ConnectRetries(attempts=1))


def _verdict(model: str, ends: str, source: str, successor: Optional[str]) -> Verdict:
    try:
        days = days_until(ends)
    except (ValueError, OverflowError):  # a date that is none: it is shown as it was told
        return "warn", f"{model!r} ends on {ends} ({source})", None
    when = f"ends on {ends}, in {days} days" if days >= 0 else f"ended on {ends}"
    pages = "https://developers.openai.com/api/docs/deprecations says what to use instead"
    use = f"use {successor}: --model {successor}, or OPENAI_REALTIME_MODEL={successor}" if successor else pages
    return "ok" if days > WITHIN_DAYS else "warn", f"{model!r} {when} ({source})", use

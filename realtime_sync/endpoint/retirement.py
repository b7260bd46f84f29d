"""A warning where a session is started with what the service ends soon, or has ended: a model, or a kept prompt.

The dates are OpenAI's, of ``realtime_sync.models``. They hold behind a proxy, too, so the warning is given for any
server that speaks OpenAI's protocol, and says that another one may keep the model. Azure's deployments have names and
retirement dates of their own: for them there is no warning.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional
from urllib.parse import urlsplit

from realtime_sync.advice import warn_caller
from realtime_sync.endpoint.endpoint import OPENAI_URL, Endpoint
from realtime_sync.models import DATE, PROMPTS_END, ServiceEndsWarning, days_until, find_model

if TYPE_CHECKING:
    from realtime_sync.protocol.options import SessionOptions

WITHIN_DAYS = 90

_told: set[str] = set()  # in this process


def warn_of_ends(endpoint: Endpoint, model: Optional[str], options: Optional[SessionOptions]) -> None:
    """Warn (``ServiceEndsWarning``), once a process for each model, at the first caller outside of this package.

    Args:
        endpoint: Where the session is started.
        model: The model that is connected to; None: none is named.
        options: What the session is asked for, whose own model, transcription and prompt count, too; None: nothing.
    """
    if endpoint.flavour != "openai":
        return
    own = urlsplit(endpoint.base_url).hostname == urlsplit(OPENAI_URL).hostname
    transcription = getattr(options, "input_transcription_options", None)
    for name in (model, getattr(options, "model", None), getattr(transcription, "model", None)):
        known = find_model(name or None)
        if known is not None and known.ends is not None:
            beside = "" if own else "; a server of another maker may keep it"
            _warn(f"the model {name!r}", known.ends, f"use {known.successor!r}{beside}")
    if getattr(options, "prompt", None):
        _warn("prompts that are kept at the service (prompt=)", PROMPTS_END, "pass its text as instructions=")


def _warn(what: str, ends: str, advice: str) -> None:
    days = days_until(ends)
    if days > WITHIN_DAYS or what in _told:
        return
    when = f"ends {what} on {ends}, in {days} days" if days >= 0 else f"ended {what} on {ends}"
    warn_caller(f"OpenAI {when} (as known on {DATE}): {advice}", ServiceEndsWarning)
    _told.add(what)  # afterwards: if it was raised, as an error, it is raised at the next start, too

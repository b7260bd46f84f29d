"""``realtime-sync talk --live``: a spoken conversation with GPT-Live, which listens while it speaks."""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import ExitStack
from typing import Optional

from realtime_sync import voice
from realtime_sync.budget import Budget
from realtime_sync.cli import options, terminal
from realtime_sync.cli.colours import painted
from realtime_sync.errors import ConfigurationError

_BACKEND = "gpt-5.6-luna"
_NOBODY = "This cannot be looked up in this call."


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what only ``--live`` reads."""
    group = parser.add_argument_group("GPT-Live", "Full duplex: the model itself decides who speaks when.")
    model = "talk with GPT-Live (--model: gpt-live-1.1, or OPENAI_LIVE_MODEL; on Azure a deployment)"
    group.add_argument("--live", action="store_true", help=model)
    backend = f"the model that works for it, and calls the --tools (default: none; with --tools {_BACKEND})"
    group.add_argument("--backend", metavar="NAME", help=backend)


def check(arguments: argparse.Namespace) -> None:
    """Raise ``ConfigurationError`` if options contradict each other."""
    if not arguments.live and arguments.backend:
        raise ConfigurationError("--backend is for --live: give both.")
    if arguments.live and arguments.transcription_model:
        raise ConfigurationError("--transcription-model is not for --live: GPT-Live always writes down both sides.")

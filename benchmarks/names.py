"""The clients' names on command lines; tables.py has those in tables."""

from __future__ import annotations

OURS, SOURCE = "realtime_sync", "realtime_sync-source"
OPENAI, OPENAI_ASYNC = "openai-python", "openai-python-async"
WEBSOCKETS = "websockets"
BARE, AS_IT_COMES = "websocket-client-unvalidated", "websocket-client"

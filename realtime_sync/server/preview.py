"""The preview dialect at the server's edge: a client's messages into GA's, the server's events into preview's."""

from __future__ import annotations

from typing import Optional

from realtime_sync.protocol.dialects import Dialect, translate
from realtime_sync.server.checks import number
from realtime_sync.server.wire import Json, Refused


class PreviewEdge:
    """One preview connection's translation. It remembers what GA has no place for, to tell it back."""

    def __init__(self) -> None:
        self._temperature = 0.8

    def message(self, told: Json) -> Json:
        """A client's message in GA's spelling. Raises ``Refused``."""
        told = dict(told)
        session = told.get("session")
        if told.get("type") == "transcription_session.update" and isinstance(session, dict):
            told = {**told, "type": "session.update", "session": {**session, "type": "transcription"}}
        elif told.get("type") == "session.update" and isinstance(session, dict):
            if "type" in session:
                raise Refused("unknown_parameter", "Unknown parameter: 'session.type'.", "session.type")
            told["session"] = {**session, "type": "realtime"}
            if session.get("temperature") is not None:
                number(0.6, 1.2)(session["temperature"], "session.temperature")
                self._temperature = float(session["temperature"])
        message = translate(told, Dialect.PREVIEW, Dialect.GA)
        assert message is not None  # GA has a counterpart for each of preview's messages
        for key in ("session", "response"):
            holder = message.get(key)
            # Preview's audio answers are told as both modalities, in either order; GA's as audio alone.
            if isinstance(holder, dict) and holder.get("output_modalities") in (["audio", "text"], ["text", "audio"]):
                message[key] = {**holder, "output_modalities": ["audio"]}
        return message

    def event(self, event: Json) -> Optional[Json]:
        """A server's event in preview's spelling; None if preview has none."""
        shown = translate(event, Dialect.GA, Dialect.PREVIEW)
        if shown is None:
            return None
        if isinstance(shown.get("item"), dict):
            shown["item"] = _preview_item(shown["item"])
        if isinstance(shown.get("response"), dict):
            output = [_preview_item(item) for item in shown["response"]["output"]]
            shown["response"] = {**shown["response"], "output": output}
        session = shown.get("session")
        if isinstance(session, dict) and session.get("turn_detection") == {"type": "none"}:
            shown["session"] = {**session, "turn_detection": None}  # "none" is what a client says, not a server
        for key in ("session", "response"):
            holder = shown.get(key)
            if isinstance(holder, dict) and "modalities" in holder:
                audio = holder["modalities"] == ["audio"]
                modalities = ["audio", "text"] if audio else holder["modalities"]
                shown[key] = {**holder, "modalities": modalities, "temperature": self._temperature}
        return shown


def _preview_item(item: Json) -> Json:
    """Preview tells what kind of object an item is; GA stopped to (recorded in 2024-10 and 2026-07)."""
    return {"id": item["id"], "object": "realtime.item", **item}

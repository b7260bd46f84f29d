"""Azure Voice Live at the server's edge: the preview dialect with settings of its own, which are taken and told back.

They change nothing here: the server has one voice detector, no avatar, and OpenAI's voices.
"""

from __future__ import annotations

from typing import Any, Optional

from realtime_sync.server.preview import PreviewEdge
from realtime_sync.server.wire import Json

# As azure-ai-voicelive 1.3.1 has them.
_OF_SESSION = (
    "animation avatar include input_audio_echo_cancellation input_audio_sampling_rate interim_response metadata "
    "output_audio_timestamp_types parallel_tool_calls reasoning_effort"
)
_OF_RESPONSE = "cancel_previous commit interim_response invoke_input pre_generated_assistant_message reasoning_effort"
# Fields of objects that the preview dialect has, too.
_OF_DETECTION = "threshold prefix_padding_ms silence_duration_ms create_response interrupt_response"
_OF_TRANSCRIPTION = "model language prompt"


class VoiceLiveEdge(PreviewEdge):
    """One connection's translation. It remembers what the session has no place for, to tell it back."""

    def __init__(self) -> None:
        super().__init__()
        self._told: Json = {}

    def message(self, told: Json) -> Json:
        """See ``PreviewEdge``."""
        session, response = told.get("session"), told.get("response")
        if isinstance(session, dict):
            self._remember(session)
            told = {**told, "session": _of_preview(session, _OF_SESSION)}
        if isinstance(response, dict):
            told = {**told, "response": _of_preview(response, _OF_RESPONSE)}
        return super().message(told)

    def event(self, event: Json) -> Optional[Json]:
        """See ``PreviewEdge``."""
        shown = super().event(event)
        for key in ("session", "response"):
            if shown is not None and isinstance(shown.get(key), dict):
                voice = self._told.get("voice", {"name": shown[key].get("voice"), "type": "openai"})
                shown[key] = {**shown[key], **(self._told if key == "session" else {}), "voice": voice}
        return shown

    def _remember(self, session: Json) -> None:
        for key, value in session.items():
            if isinstance(value, dict) or key in _OF_SESSION.split():
                self._told[key] = value
            else:
                self._told.pop(key, None)


def _of_preview(settings: Json, foreign: str) -> Json:
    """What the preview dialect has of the settings."""
    return {key: _known(key, value) for key, value in settings.items() if key not in foreign.split()}


def _known(key: str, value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if key == "voice":
        return value.get("name") if value.get("type") == "openai" else None
    if key == "turn_detection" and value.get("type") != "none":
        return {"type": "server_vad", **{name: value[name] for name in _OF_DETECTION.split() if name in value}}
    if key == "input_audio_noise_reduction":
        return value if value.get("type") in ("near_field", "far_field") else None
    if key == "input_audio_transcription":
        return {name: value[name] for name in _OF_TRANSCRIPTION.split() if name in value}
    return value

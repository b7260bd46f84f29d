"""What settings are called elsewhere: on the wire, in either dialect, and by people. For hints alone."""

from __future__ import annotations

import functools
import inspect
from typing import Optional

from realtime_sync.advice import NamedFields, nearest

# What is neither on the wire nor so like the name here that it is found by that.
_BY_PEOPLE = {
    "functions": "tools",
    "input": "input_items",
    "system_prompt": "instructions",
    "transcription": "input_transcription_options",
    "vad": "turn_detection_options",
}


class SettingNames(NamedFields):
    """The class of classes of settings: it knows the wire's names, and the settings within settings."""

    def place_of(cls, name: str) -> Optional[str]:  # noqa: N805
        """As in ``NamedFields``."""
        fields = inspect.signature(cls).parameters
        if name in fields:
            return f"{name}=..."
        within = _within(cls, name)
        for known in _names_here(name):
            if known in fields:
                return f"{known}=..."
        if within is not None:
            return within
        if name == "audio" and "output_audio_format" in fields:  # GA nests these
            return ", ".join(f"{each}=..." for each in fields if each.startswith(("voice", "input_", "output_")))
        near = nearest(name, fields)
        return None if near is None else f"{near}=..."


def _within(cls: type, name: str) -> Optional[str]:
    """The setting of this name inside of another one: ``turn_detection_options=TurnDetectionOptions(...)``."""
    for field in inspect.signature(cls).parameters.values():
        for inner in _all_kinds():
            inside = inspect.signature(inner).parameters
            if inner.__name__ in str(field.annotation) and name in inside and name not in ("type", "extra"):
                return f"{field.name}={inner.__name__}({name}=...)"
    return None


@functools.cache
def _all_kinds() -> tuple[SettingNames, ...]:
    from realtime_sync.protocol import options

    return tuple(each for each in vars(options).values() if isinstance(each, SettingNames))


def _names_here(name: str) -> list[str]:
    """What a setting of the wire is called here; of a name that stands in several places, all."""
    from realtime_sync.protocol.dialects import RESPONSE_PLACES, SESSION_PLACES

    places = (*SESSION_PLACES, *RESPONSE_PLACES)
    found = [place.name for place in places if name in (place.preview, place.flat, *(place.ga or ())[-1:])]
    return [*found, *filter(None, [_BY_PEOPLE.get(name)])]

"""``LiveSessionOptions``: how a live session begins, flat, and checked where it is made."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Optional, TypeVar, Union

import attrs

from realtime_sync.advice import NamedFields
from realtime_sync.checks import check_whole
from realtime_sync.errors import InvalidInputError
from realtime_sync.models import LiveModelName, find_model
from realtime_sync.protocol.audio_options import AudioFormat, CustomVoice, as_audio_format
from realtime_sync.protocol.hiding import secret_extra
from realtime_sync.protocol.live.history import GivenMessage, LiveHistoryItem, as_history
from realtime_sync.protocol.live.parts import LiveAudio, LiveAudioOutput, LiveVoice
from realtime_sync.protocol.live.questions import LiveTrigger
from realtime_sync.protocol.live.settings import (
    LiveClientDelegation,
    LiveDelegation,
    LiveSessionSettings,
    ServiceTier,
)
from realtime_sync.protocol.plain import from_plain
from realtime_sync.protocol.registry import UNSET, Comparable, UnsetType, extra_repr, public_classes
from realtime_sync.protocol.tool_options import as_list

T = TypeVar("T")

# The rates in Hz that the service takes of each type of audio, its own choice first.
_RATES = {"audio/pcm": (24000, 16000), "audio/pcmu": (8000,), "audio/pcma": (8000,)}

# What these settings are called on the wire, in conversation sessions, and by people.
_ELSEWHERE = {
    "format": "audio_format",
    "input_audio_format": "audio_format",
    "output_audio_format": "audio_format",
    "input": "history",
    "input_items": "history",
    "messages": "history",
    "conversation": "history",
    "system_prompt": "instructions",
    "prompt": "instructions",
    "user": "safety_identifier",
}
_AT_THE_START = "who does the work is said at the start, start_live_session(options, delegate=...)"
_OF_THE_BACKEND = "tools belong to the backend, start_live_session(options, delegate=ResponsesBackend(tools=...))"
_NOT_HERE = {
    "tools": _OF_THE_BACKEND,
    "tool_choice": _OF_THE_BACKEND,
    "functions": _OF_THE_BACKEND,
    "delegation": _AT_THE_START,
    "delegate": _AT_THE_START,
    "turn_detection_options": "the model itself decides who speaks",
    "turn_detection": "the model itself decides who speaks",
    "vad": "the model itself decides who speaks",
    "input_transcription_options": "what both say is always written down",
    "transcription": "what both say is always written down",
    "content_modalities": "a live session always speaks, and always tells its words",
    "output_speed": "a live session speaks at the speed that its instructions ask for",
    "temperature": "no live session has one",
    "max_output_tokens": "what is said has no bound; a backend has one, LiveResponsesSettings(max_output_tokens=...)",
    "reasoning": "a backend has it, LiveResponsesSettings(reasoning=...)",
}


class _LiveNames(NamedFields):
    """The class of ``LiveSessionOptions``: it knows what the settings are called elsewhere, and which there are not."""

    def place_of(cls, name: str) -> Optional[str]:  # noqa: N805
        """As in ``NamedFields``."""
        known = _ELSEWHERE.get(name)
        return f"{known}=..." if known in inspect.signature(cls).parameters else super().place_of(name)

    def why_not(cls, name: str) -> Optional[str]:  # noqa: N805
        """As in ``NamedFields``."""
        return _NOT_HERE.get(name)


def _or_unset(value: Optional[T]) -> Union[T, UnsetType]:
    return UNSET if value is None else value


def _format(value: Union[AudioFormat, str, None]) -> Optional[AudioFormat]:
    """A format that the service takes, with its rate."""
    given = as_audio_format(value)
    if not given:
        return None
    if not isinstance(given, AudioFormat):
        raise InvalidInputError(f"audio_format must be a text or an AudioFormat, not {value!r:.60}")
    rates = _RATES.get(str(given.type))
    rate = given.rate or (rates[0] if rates else None)
    if rates is None or rate not in rates:
        at_rate = f" at {rate} Hz" if rate else ""
        raise InvalidInputError(
            f"a live session has no audio format {given.type!r}{at_rate}; it takes 'audio/pcm' at 24,000 or 16,000 Hz "
            "(AudioFormat(rate=16000)), and 'audio/pcmu' or 'audio/pcma' at 8,000 Hz"
        )
    return AudioFormat(type=given.type, rate=rate, extra=given.extra)


def _history(value: Optional[Sequence[GivenMessage]]) -> Optional[tuple[LiveHistoryItem, ...]]:
    return None if value is None else as_history(value)


def _triggers(value: Optional[Sequence[Union[LiveTrigger, Mapping[str, Any]]]]) -> Optional[tuple[LiveTrigger, ...]]:
    if value is None:
        return None
    given = as_list("triggers", list(value) if isinstance(value, tuple) else value)
    triggers = [from_plain(dict(each), LiveTrigger) if isinstance(each, Mapping) else each for each in given]
    for each in triggers:
        if not isinstance(each, LiveTrigger):
            raise InvalidInputError(f"triggers must be LiveTriggers, not {each!r:.60}")
    types = [each.event_type for each in triggers]
    twice = next((each for each in types if types.count(each) > 1), None)
    if twice is not None:
        raise InvalidInputError(f"triggers: a session takes one for each event_type, and {twice!r} has several")
    return tuple(triggers)


def _check_model(_: object, __: attrs.Attribute[Any], model: object) -> None:
    if model is None:
        return
    if not isinstance(model, str) or not model.strip():
        raise InvalidInputError(f"model must be the name of a live model, such as 'gpt-live-1.1', not {model!r:.60}")
    known = find_model(model)
    kind = known.kind if known is not None else "conversation" if model.startswith("gpt-realtime-") else "live"
    if kind != "live":
        what = "conversation" if kind == "preview" else kind
        raise InvalidInputError(
            f"{model!r} is a {what} model, and no live one: a session with it is client.start_{what}_session(...); "
            "live models are 'gpt-live-1.1' and 'gpt-live-1'"
        )


def _check_voice(_: object, __: attrs.Attribute[Any], voice: object) -> None:
    if voice is not None and not isinstance(voice, CustomVoice) and not (isinstance(voice, str) and voice.strip()):
        raise InvalidInputError(f"voice must be a name such as 'marin', or a CustomVoice, not {voice!r:.60}")


def _check_text(_: object, field: attrs.Attribute[Any], text: object) -> None:
    if text is not None and not isinstance(text, str):
        raise InvalidInputError(f"{field.name} must be a text, not {text!r:.60}")


def _check_flag(_: object, field: attrs.Attribute[Any], value: object) -> None:
    if value is not None and not isinstance(value, bool):
        raise InvalidInputError(f"{field.name} must be True, False or None, not {value!r:.60}")


def _check_delay(_: object, field: attrs.Attribute[Any], value: object) -> None:
    check_whole(field.name, value, "milliseconds", optional=True)


@attrs.frozen(kw_only=True, repr=False, eq=False)
class LiveSessionOptions(Comparable, metaclass=_LiveNames):
    """How a live session begins, for ``start_live_session``. Nothing of it can change while the session goes on.

    None (the default everywhere): not sent, the service chooses.

    Attributes:
        model: The model, or an Azure deployment. None: that of ``OPENAI_LIVE_MODEL``, else ``"gpt-live-1.1"``.
        instructions: What the model is to do and how it is to speak; 16,384 tokens at most. None: the service's own.
        voice: A name such as ``"marin"``, or a ``CustomVoice``.
        audio_format: Of what is heard and said: ``"audio/pcm"`` (24,000 Hz; ``AudioFormat(rate=16000)`` for 16,000),
            ``"audio/pcmu"`` or ``"audio/pcma"``; also ``"pcm16"``, ``"g711_ulaw"``, ``"g711_alaw"``. None: PCM at
            24,000 Hz.
        history: What was said before, as a list: messages of ``LiveHistoryItem.message(role, text)``, of a conversation
            session, or as JSON; 128 messages and 8,192 tokens at most. None: nothing.
        store: True: the service keeps the session, so that it can be forked after a loss, and its recording downloaded.
        safety_identifier: The user, by a name that tells nobody who it is.
        acknowledgement_delay_ms: After so many milliseconds of work that it has handed over, the model says that it is
            at work. None: the service chooses (0; for decisions 400).
        triggers: Questions that are asked by themselves when something was said, one for each kind of transcript.
        service_tier: ``"auto"``, ``"default"``, ``"flex"``, ``"priority"`` or ``"ultrafast"``; sent as a header.
        extra: What has no field here, by its name on the wire: laid over the ``session`` that is sent.
    """

    model: Optional[LiveModelName] = attrs.field(default=None, validator=_check_model)
    instructions: Optional[str] = attrs.field(default=None, validator=_check_text)
    voice: Optional[Union[LiveVoice, CustomVoice]] = attrs.field(default=None, validator=_check_voice)
    audio_format: Optional[AudioFormat] = attrs.field(default=None, converter=_format)
    history: Optional[tuple[LiveHistoryItem, ...]] = attrs.field(default=None, converter=_history)
    store: Optional[bool] = attrs.field(default=None, validator=_check_flag)
    safety_identifier: Optional[str] = attrs.field(default=None, validator=_check_text)
    acknowledgement_delay_ms: Optional[int] = attrs.field(default=None, validator=_check_delay)
    triggers: Optional[tuple[LiveTrigger, ...]] = attrs.field(default=None, converter=_triggers)
    service_tier: Optional[ServiceTier] = attrs.field(default=None, validator=_check_text)
    extra: dict[str, Any] = attrs.field(factory=dict, converter=secret_extra, repr=extra_repr)

    def wire_session(self, delegation: Optional[LiveDelegation] = None) -> LiveSessionSettings:
        """The ``session`` of ``session.start``.

        Args:
            delegation: Who does the work that the model hands over. None: the application.
        """
        return LiveSessionSettings(
            model=_or_unset(self.model),
            instructions=_or_unset(self.instructions),
            input=UNSET if self.history is None else list(self.history),
            audio=self._wire_audio() or UNSET,
            delegation=self._wire_delegation(delegation) or UNSET,
            store=_or_unset(self.store),
            triggers=UNSET if self.triggers is None else list(self.triggers),
            safety_identifier=_or_unset(self.safety_identifier),
            extra=self.extra,
        )

    def _wire_audio(self) -> Optional[LiveAudio]:
        output = UNSET if self.voice is None else LiveAudioOutput(voice=self.voice)
        if output is UNSET and self.audio_format is None:
            return None
        return LiveAudio(format=_or_unset(self.audio_format), output=output)

    def _wire_delegation(self, delegation: Optional[LiveDelegation]) -> Optional[LiveDelegation]:
        if self.acknowledgement_delay_ms is None:
            return delegation
        delegation = delegation or LiveClientDelegation()
        if delegation.acknowledgement_delay_ms is not UNSET:
            return delegation
        return attrs.evolve(delegation, acknowledgement_delay_ms=self.acknowledgement_delay_ms)


if not TYPE_CHECKING:  # checkers, which read no such expression, take all names without an underscore
    __all__ = public_classes(globals())

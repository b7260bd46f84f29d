"""The .NET library's names are names of our own classes."""

from __future__ import annotations

import attrs
import pytest

from realtime_sync import dotnet
from realtime_sync.protocol import items, options, resources, update_base, updates
from realtime_sync.protocol.registry import REALTIME

# Wire type to class name, as 2.1.0-beta.1 had them; the two that are also ours are not aliases.
CLASSES_OF_BETA_1 = {
    "session.created": "ConversationSessionStartedUpdate",
    "session.updated": "ConversationSessionConfiguredUpdate",
    "conversation.item.added": "ConversationItemAcknowledgedUpdate",
    "response.created": "ConversationResponseStartedUpdate",
    "response.done": "ConversationResponseFinishedUpdate",
    "rate_limits.updated": "ConversationRateLimitsUpdatedUpdate",
    "response.output_item.added": "ConversationItemStartedUpdate",
    "response.output_item.done": "ConversationItemFinishedUpdate",
    "response.content_part.added": "ConversationContentPartStartedUpdate",
    "response.content_part.done": "ConversationContentPartFinishedUpdate",
    "response.audio.delta": "ConversationAudioDeltaUpdate",
    "response.audio.done": "ConversationAudioDoneUpdate",
    "response.audio_transcript.delta": "ConversationOutputTranscriptionDeltaUpdate",
    "response.audio_transcript.done": "ConversationOutputTranscriptionFinishedUpdate",
    "response.text.delta": "ConversationTextDeltaUpdate",
    "response.text.done": "ConversationTextDoneUpdate",
    "response.function_call_arguments.delta": "ConversationFunctionCallArgumentsDeltaUpdate",
    "response.function_call_arguments.done": "ConversationFunctionCallArgumentsDoneUpdate",
    "input_audio_buffer.speech_started": "ConversationInputSpeechStartedUpdate",
    "input_audio_buffer.speech_stopped": "ConversationInputSpeechFinishedUpdate",
    "conversation.item.input_audio_transcription.completed": "ConversationInputTranscriptionFinishedUpdate",
    "conversation.item.input_audio_transcription.failed": "ConversationInputTranscriptionFailedUpdate",
    "input_audio_buffer.committed": "ConversationInputAudioBufferCommittedUpdate",
    "input_audio_buffer.cleared": "ConversationInputAudioBufferClearedUpdate",
    "error": "ConversationErrorUpdate",
}


@pytest.mark.parametrize("name", dotnet.__all__)
def test_each_alias_is_a_class_of_ours(name: str) -> None:
    cls = getattr(dotnet, name)
    assert attrs.has(cls)
    homes = (items, options, resources, update_base, updates)
    assert any(getattr(home, cls.__name__, None) is cls for home in homes)
    assert cls.__module__ != dotnet.__name__


def test_no_alias_hides_another_class_of_ours() -> None:
    homes = (items, options, resources, update_base, updates)
    assert [name for name in dotnet.__all__ for home in homes if hasattr(home, name)] == []


def test_no_alias_is_forgotten_in_all() -> None:
    ours = {name for home in (items, options, resources, update_base, updates) for name in vars(home)}
    aliases = {name for name, value in vars(dotnet).items() if isinstance(value, type) and name not in ours}
    assert aliases == set(dotnet.__all__)


@pytest.mark.parametrize(("wire_type", "name"), CLASSES_OF_BETA_1.items())
def test_each_class_of_the_first_beta_stands_for_the_same_message(wire_type: str, name: str) -> None:
    assert getattr(dotnet, name) is REALTIME.updates[wire_type]

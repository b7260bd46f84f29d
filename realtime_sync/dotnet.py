"""The .NET library's names (2.1.0-beta.1, and what later betas renamed) for the classes of this one.

For code and documents that are carried over; nothing here is a class of its own. The four classes that 2.1.0-beta.1
had for deltas are one each here too; ``ConversationItemStreamingPartDeltaUpdate`` (later betas) is their base.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from realtime_sync.protocol import options, resources, update_base, updates

# Updates, 2.1.0-beta.1. Its ConversationItemDeletedUpdate and ConversationItemTruncatedUpdate are ours, too.
ConversationSessionStartedUpdate = updates.SessionCreatedUpdate
ConversationSessionConfiguredUpdate = updates.SessionUpdatedUpdate
ConversationItemAcknowledgedUpdate = updates.ConversationItemAddedUpdate
ConversationResponseStartedUpdate = updates.ResponseCreatedUpdate
ConversationResponseFinishedUpdate = updates.ResponseDoneUpdate
ConversationRateLimitsUpdatedUpdate = updates.RateLimitsUpdatedUpdate
ConversationItemStartedUpdate = updates.ResponseOutputItemAddedUpdate
ConversationItemFinishedUpdate = updates.ResponseOutputItemDoneUpdate
ConversationContentPartStartedUpdate = updates.ResponseContentPartAddedUpdate
ConversationContentPartFinishedUpdate = updates.ResponseContentPartDoneUpdate
ConversationAudioDeltaUpdate = updates.ResponseOutputAudioDeltaUpdate
ConversationAudioDoneUpdate = updates.ResponseOutputAudioDoneUpdate
ConversationOutputTranscriptionDeltaUpdate = updates.ResponseOutputAudioTranscriptDeltaUpdate
ConversationOutputTranscriptionFinishedUpdate = updates.ResponseOutputAudioTranscriptDoneUpdate
ConversationTextDeltaUpdate = updates.ResponseOutputTextDeltaUpdate
ConversationTextDoneUpdate = updates.ResponseOutputTextDoneUpdate
ConversationFunctionCallArgumentsDeltaUpdate = updates.ResponseFunctionCallArgumentsDeltaUpdate
ConversationFunctionCallArgumentsDoneUpdate = updates.ResponseFunctionCallArgumentsDoneUpdate
ConversationInputSpeechStartedUpdate = updates.InputAudioBufferSpeechStartedUpdate
ConversationInputSpeechFinishedUpdate = updates.InputAudioBufferSpeechStoppedUpdate
ConversationInputTranscriptionFinishedUpdate = updates.ConversationItemInputAudioTranscriptionCompletedUpdate
ConversationInputTranscriptionFailedUpdate = updates.ConversationItemInputAudioTranscriptionFailedUpdate
ConversationInputAudioBufferCommittedUpdate = updates.InputAudioBufferCommittedUpdate
ConversationInputAudioBufferClearedUpdate = updates.InputAudioBufferClearedUpdate
ConversationErrorUpdate = updates.ErrorUpdate

# Updates, later betas. Their ConversationItemCreatedUpdate is our ConversationItemAddedUpdate; the name is taken here.
ConversationItemStreamingStartedUpdate = updates.ResponseOutputItemAddedUpdate
ConversationItemStreamingFinishedUpdate = updates.ResponseOutputItemDoneUpdate
ConversationItemStreamingPartDeltaUpdate = update_base.ItemStreamingPartDeltaUpdate
ConversationInputTranscriptionDeltaUpdate = updates.ConversationItemInputAudioTranscriptionDeltaUpdate

# Settings and what the server describes.
ConversationInputTranscriptionOptions = options.InputTranscriptionOptions
ConversationInputNoiseReductionOptions = options.InputNoiseReductionOptions
ConversationTurnDetectionOptions = options.TurnDetectionOptions
ConversationTokenUsage = resources.TokenUsage
ConversationInputTokenUsageDetails = resources.InputTokenDetails
ConversationOutputTokenUsageDetails = resources.OutputTokenDetails
ConversationRateLimitDetailsItem = resources.RateLimit
ConversationStatusDetails = resources.ResponseStatusDetails

# The released protocol's names (2.13).
RealtimeConversationSessionOptions = options.ConversationSessionOptions
RealtimeTranscriptionSessionOptions = options.TranscriptionSessionOptions
RealtimeResponseOptions = options.ConversationResponseOptions
RealtimeFunctionTool = options.ConversationFunctionTool
RealtimeMcpTool = options.ConversationMCPTool

if not TYPE_CHECKING:  # checkers, which read no such expression, take all names without an underscore
    __all__ = [name for name, value in globals().items() if isinstance(value, type)]

    def __dir__() -> list[str]:
        return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})

"""The .NET library's names (2.1.0-beta.1, and what later betas renamed) for the classes of this one.

For code and documents that are carried over; nothing here is a class of its own. The four classes that 2.1.0-beta.1
had for deltas are one each here too; ``ConversationItemStreamingPartDeltaUpdate`` (later betas) is their base.
"""

from __future__ import annotations

from realtime_sync.protocol.options import (
    ConversationFunctionTool,
    ConversationMCPTool,
    ConversationResponseOptions,
    ConversationSessionOptions,
    InputNoiseReductionOptions,
    InputTranscriptionOptions,
    TranscriptionSessionOptions,
    TurnDetectionOptions,
)
from realtime_sync.protocol.resources import (
    InputTokenDetails,
    OutputTokenDetails,
    RateLimit,
    ResponseStatusDetails,
    TokenUsage,
)
from realtime_sync.protocol.update_base import ItemStreamingPartDeltaUpdate
from realtime_sync.protocol.updates import (
    ConversationItemAddedUpdate,
    ConversationItemInputAudioTranscriptionCompletedUpdate,
    ConversationItemInputAudioTranscriptionDeltaUpdate,
    ConversationItemInputAudioTranscriptionFailedUpdate,
    ErrorUpdate,
    InputAudioBufferClearedUpdate,
    InputAudioBufferCommittedUpdate,
    InputAudioBufferSpeechStartedUpdate,
    InputAudioBufferSpeechStoppedUpdate,
    RateLimitsUpdatedUpdate,
    ResponseContentPartAddedUpdate,
    ResponseContentPartDoneUpdate,
    ResponseCreatedUpdate,
    ResponseDoneUpdate,
    ResponseFunctionCallArgumentsDeltaUpdate,
    ResponseFunctionCallArgumentsDoneUpdate,
    ResponseOutputAudioDeltaUpdate,
    ResponseOutputAudioDoneUpdate,
    ResponseOutputAudioTranscriptDeltaUpdate,
    ResponseOutputAudioTranscriptDoneUpdate,
    ResponseOutputItemAddedUpdate,
    ResponseOutputItemDoneUpdate,
    ResponseOutputTextDeltaUpdate,
    ResponseOutputTextDoneUpdate,
    SessionCreatedUpdate,
    SessionUpdatedUpdate,
)

# Updates, 2.1.0-beta.1. Its ConversationItemDeletedUpdate and ConversationItemTruncatedUpdate are ours, too.
ConversationSessionStartedUpdate = SessionCreatedUpdate
ConversationSessionConfiguredUpdate = SessionUpdatedUpdate
ConversationItemAcknowledgedUpdate = ConversationItemAddedUpdate
ConversationResponseStartedUpdate = ResponseCreatedUpdate
ConversationResponseFinishedUpdate = ResponseDoneUpdate
ConversationRateLimitsUpdatedUpdate = RateLimitsUpdatedUpdate
ConversationItemStartedUpdate = ResponseOutputItemAddedUpdate
ConversationItemFinishedUpdate = ResponseOutputItemDoneUpdate
ConversationContentPartStartedUpdate = ResponseContentPartAddedUpdate
ConversationContentPartFinishedUpdate = ResponseContentPartDoneUpdate
ConversationAudioDeltaUpdate = ResponseOutputAudioDeltaUpdate
ConversationAudioDoneUpdate = ResponseOutputAudioDoneUpdate
ConversationOutputTranscriptionDeltaUpdate = ResponseOutputAudioTranscriptDeltaUpdate
ConversationOutputTranscriptionFinishedUpdate = ResponseOutputAudioTranscriptDoneUpdate
ConversationTextDeltaUpdate = ResponseOutputTextDeltaUpdate
ConversationTextDoneUpdate = ResponseOutputTextDoneUpdate
ConversationFunctionCallArgumentsDeltaUpdate = ResponseFunctionCallArgumentsDeltaUpdate
ConversationFunctionCallArgumentsDoneUpdate = ResponseFunctionCallArgumentsDoneUpdate
ConversationInputSpeechStartedUpdate = InputAudioBufferSpeechStartedUpdate
ConversationInputSpeechFinishedUpdate = InputAudioBufferSpeechStoppedUpdate
ConversationInputTranscriptionFinishedUpdate = ConversationItemInputAudioTranscriptionCompletedUpdate
ConversationInputTranscriptionFailedUpdate = ConversationItemInputAudioTranscriptionFailedUpdate
ConversationInputAudioBufferCommittedUpdate = InputAudioBufferCommittedUpdate
ConversationInputAudioBufferClearedUpdate = InputAudioBufferClearedUpdate
ConversationErrorUpdate = ErrorUpdate

# Updates, later betas. Their ConversationItemCreatedUpdate is our ConversationItemAddedUpdate; the name is taken here.
ConversationItemStreamingStartedUpdate = ResponseOutputItemAddedUpdate
ConversationItemStreamingFinishedUpdate = ResponseOutputItemDoneUpdate
ConversationItemStreamingPartDeltaUpdate = ItemStreamingPartDeltaUpdate
ConversationInputTranscriptionDeltaUpdate = ConversationItemInputAudioTranscriptionDeltaUpdate

# Settings and what the server describes.
ConversationInputTranscriptionOptions = InputTranscriptionOptions
ConversationInputNoiseReductionOptions = InputNoiseReductionOptions
ConversationTurnDetectionOptions = TurnDetectionOptions
ConversationTokenUsage = TokenUsage
ConversationInputTokenUsageDetails = InputTokenDetails
ConversationOutputTokenUsageDetails = OutputTokenDetails
ConversationRateLimitDetailsItem = RateLimit
ConversationStatusDetails = ResponseStatusDetails

# The released protocol's names (2.13).
RealtimeConversationSessionOptions = ConversationSessionOptions
RealtimeTranscriptionSessionOptions = TranscriptionSessionOptions
RealtimeResponseOptions = ConversationResponseOptions
RealtimeFunctionTool = ConversationFunctionTool
RealtimeMcpTool = ConversationMCPTool

__all__ = [
    "ConversationSessionStartedUpdate",
    "ConversationSessionConfiguredUpdate",
    "ConversationItemAcknowledgedUpdate",
    "ConversationResponseStartedUpdate",
    "ConversationResponseFinishedUpdate",
    "ConversationRateLimitsUpdatedUpdate",
    "ConversationItemStartedUpdate",
    "ConversationItemFinishedUpdate",
    "ConversationContentPartStartedUpdate",
    "ConversationContentPartFinishedUpdate",
    "ConversationAudioDeltaUpdate",
    "ConversationAudioDoneUpdate",
    "ConversationOutputTranscriptionDeltaUpdate",
    "ConversationOutputTranscriptionFinishedUpdate",
    "ConversationTextDeltaUpdate",
    "ConversationTextDoneUpdate",
    "ConversationFunctionCallArgumentsDeltaUpdate",
    "ConversationFunctionCallArgumentsDoneUpdate",
    "ConversationInputSpeechStartedUpdate",
    "ConversationInputSpeechFinishedUpdate",
    "ConversationInputTranscriptionFinishedUpdate",
    "ConversationInputTranscriptionFailedUpdate",
    "ConversationInputAudioBufferCommittedUpdate",
    "ConversationInputAudioBufferClearedUpdate",
    "ConversationErrorUpdate",
    "ConversationItemStreamingStartedUpdate",
    "ConversationItemStreamingFinishedUpdate",
    "ConversationItemStreamingPartDeltaUpdate",
    "ConversationInputTranscriptionDeltaUpdate",
    "ConversationInputTranscriptionOptions",
    "ConversationInputNoiseReductionOptions",
    "ConversationTurnDetectionOptions",
    "ConversationTokenUsage",
    "ConversationInputTokenUsageDetails",
    "ConversationOutputTokenUsageDetails",
    "ConversationRateLimitDetailsItem",
    "ConversationStatusDetails",
    "RealtimeConversationSessionOptions",
    "RealtimeTranscriptionSessionOptions",
    "RealtimeResponseOptions",
    "RealtimeFunctionTool",
    "RealtimeMcpTool",
]

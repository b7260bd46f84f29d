"""What a conversation is, gathered from its updates; no I/O, no locks, no threads."""

from typing import TYPE_CHECKING

from realtime_sync.lazy import lazily

if TYPE_CHECKING:
    from realtime_sync.conversation.conversation import Conversation
    from realtime_sync.conversation.drafts import ItemTranscription, TranscriptSegment
    from realtime_sync.conversation.replay import Replay
else:
    __getattr__, __dir__ = lazily(
        __name__,
        {
            "conversation": "Conversation",
            "drafts": "ItemTranscription TranscriptSegment",
            "replay": "Replay",
        },
    )

__all__ = ["Conversation", "ItemTranscription", "Replay", "TranscriptSegment"]

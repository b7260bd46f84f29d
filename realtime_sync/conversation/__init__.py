"""What a conversation is, gathered from its updates; no I/O, no locks, no threads."""

from realtime_sync.conversation.conversation import Conversation
from realtime_sync.conversation.drafts import ItemTranscription, TranscriptSegment

__all__ = ["Conversation", "ItemTranscription", "TranscriptSegment"]

"""What a conversation is, gathered from its updates; no I/O, no locks, no threads."""

from realtime_sync.conversation.conversation import Conversation
from realtime_sync.conversation.drafts import ItemTranscription, TranscriptSegment
from realtime_sync.conversation.replay import Replay

__all__ = ["Conversation", "ItemTranscription", "Replay", "TranscriptSegment"]

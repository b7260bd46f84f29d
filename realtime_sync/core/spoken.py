"""A question that is spoken through the input buffer, so that the service writes down what it hears in it.

Services transcribe what comes through the input buffer, and no audio that is added as an item (OpenAI's reference of
``conversation.item.input_audio_transcription.completed``, 2026-11). So a recording goes through the buffer if the
session transcribes and turn detection is off: with it, the service would cut the recording into turns of its own, and
answer those. Whether it is so, and whether nothing else is in the buffer, is known only when it is the question's turn:
if not, it is asked as an item after all.

The transcript may come after the answer. It is waited for, but not long: it is beside the point of the question.
"""

from __future__ import annotations

from typing import Callable, Final, Optional

from realtime_sync.core.commands import CommandHandle
from realtime_sync.core.realtime import RealtimeEngine
from realtime_sync.deadline import Deadline
from realtime_sync.errors import RealtimeSyncError, ServerError
from realtime_sync.protocol.items import ConversationItem
from realtime_sync.protocol.update_base import ConversationUpdate
from realtime_sync.protocol.updates import (
    ConversationItemInputAudioTranscriptionCompletedUpdate,
    ConversationItemInputAudioTranscriptionFailedUpdate,
)

TRANSCRIPT_SECONDS: Final = 5.0
"""How long the transcript of a question is waited for, once the answer is finished."""

_LAST_WORDS = (
    ConversationItemInputAudioTranscriptionCompletedUpdate,
    ConversationItemInputAudioTranscriptionFailedUpdate,
)


class SpokenQuestion:
    """Audio that becomes a question of its own. It belongs to the asker's thread.

    ``written``: the same as an item. ``speak(event_id, deadline)``: sends the audio, and commits it by a command of
    this name; None if it cannot be a message by itself now. ``close()`` it in the end.
    """

    def __init__(
        self,
        engine: RealtimeEngine,
        written: ConversationItem,
        speak: Callable[[str, Deadline], Optional[CommandHandle]],
    ) -> None:
        self.written = written
        self._engine = engine
        self._speak = speak
        self._commit: Optional[CommandHandle] = None
        self._connection = engine.connection  # on which it was said
        self._heard = engine.open_queue(keep=lambda update: isinstance(update, _LAST_WORDS))

    def say(self, event_id: str, deadline: Deadline) -> Optional[CommandHandle]:
        """Send it. Returns the handle of the commit; None if it is to be asked as an item."""
        self._commit = self._speak(event_id, deadline)
        self._connection = self._engine.connection
        return self._commit

    @property
    def refused(self) -> bool:
        """True if the service made no message of it, so that the audio is still in the buffer."""
        commit = latest(self._commit) if self._commit is not None else None
        return commit is not None and isinstance(commit.error, ServerError)

    def transcript(self, deadline: Deadline) -> Optional[str]:
        """What the service has heard; None if it does not say so in time, or could not understand it."""
        item_id = committed_id(self._commit) if self._commit is not None else None
        if self._commit is None or item_id is None:
            return None
        left = deadline.left
        seconds = TRANSCRIPT_SECONDS if left is None else min(TRANSCRIPT_SECONDS, left)
        again = self._commit.sent_again is not None  # on a new connection, which writes it down then
        if not again and self._engine.connection is not self._connection:  # what the old one heard, it does not
            seconds = 0

        def is_of_question(update: ConversationUpdate) -> bool:
            return getattr(update, "item_id", None) == item_id

        try:
            update = self._heard.wait_for(is_of_question, seconds)
        except RealtimeSyncError:  # it is late, or the session has ended: the answer is what matters
            return None
        return update.transcript if isinstance(update, _LAST_WORDS[0]) else None

    def close(self) -> None:
        """Listen no more. Idempotent."""
        self._heard.close()


def committed_id(commit: CommandHandle) -> Optional[str]:
    """The id of the message that a commit has made; None if it has made none, or not yet."""
    item_id = getattr(latest(commit).update, "item_id", None)
    return item_id if isinstance(item_id, str) else None


def latest(handle: CommandHandle) -> CommandHandle:
    """The handle under which a command was sent last."""
    while handle.sent_again is not None:
        handle = handle.sent_again
    return handle

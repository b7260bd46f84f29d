"""The conversation of a recording with the sound of both sides: what the user said is in no update, but was sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Optional

from realtime_sync.audio.formats import PCM
from realtime_sync.conversation import Conversation
from realtime_sync.protocol import updates
from realtime_sync.protocol.commands import (
    ConversationItemCreateCommand,
    InputAudioBufferAppendCommand,
    InputAudioBufferClearCommand,
)
from realtime_sync.protocol.items import MessageItem, decode_base64
from realtime_sync.protocol.update_base import ConversationUpdate
from realtime_sync.recording.layout import FormatTracker

if TYPE_CHECKING:
    from realtime_sync.recording.recording import Recording


def spoken_conversation(recording: Recording) -> Conversation:
    """As ``recording.conversation(keep_audio=True)``, with the user's audio, too."""
    conversation = Conversation(keep_audio=True)
    user = _User()
    for entry in recording.entries:
        user.see_connection(entry.connection)
        if entry.direction == "in":
            update = recording.decoded(entry)
            conversation.apply(update)
            user.told(update)
        else:
            user.sent(recording.command(entry))
    for (item_id, index), samples in user.said.items():
        conversation.add_audio(item_id, samples, index)
    return conversation


class _User:
    """What the user said, by item and part."""

    def __init__(self) -> None:
        self.said: dict[tuple[str, int], bytes] = {}
        self._formats = FormatTracker()
        self._connection = 0
        self._buffer = bytearray()  # of this connection: the service counts its time
        self._begin = 0  # of what is not committed
        self._speech: dict[Optional[str], list[int]] = {}  # from when to when, in milliseconds of the buffer, by item

    def see_connection(self, number: int) -> None:
        if number != self._connection:
            self._connection, self._begin = number, 0
            self._buffer.clear()
            self._speech.clear()

    def sent(self, command: Any) -> None:
        if isinstance(command, InputAudioBufferAppendCommand):
            self._buffer += decode_base64(command.audio) or b""
        elif isinstance(command, InputAudioBufferClearCommand):
            self._begin = len(self._buffer)
        elif isinstance(command, ConversationItemCreateCommand) and isinstance(command.item, MessageItem):
            for index, part in enumerate(command.item.content):
                samples = decode_base64(part.audio)
                if samples and command.item.id:
                    self.said[command.item.id, index] = samples

    def told(self, update: ConversationUpdate) -> None:
        self._formats.see(update)
        if isinstance(update, updates.InputAudioBufferSpeechStartedUpdate):
            self._speech[update.item_id] = [update.audio_start_ms]
        elif isinstance(update, updates.InputAudioBufferSpeechStoppedUpdate):
            self._speech.setdefault(update.item_id, [0]).append(update.audio_end_ms)
        elif isinstance(update, updates.InputAudioBufferCommittedUpdate):
            format = self._formats.formats["out"] or PCM
            places = [format.bytes_for(max(0, ms) / 1000) for ms in self._speech.pop(update.item_id, [])]
            start, end = places if len(places) == 2 else (self._begin, len(self._buffer))
            if start < end and update.item_id:
                self.said[update.item_id, 0] = bytes(self._buffer[start:end])
            self._begin = max(end, self._begin)

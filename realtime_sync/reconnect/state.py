"""What a session keeps while a connection lives, so that it can go on over another one."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Callable, Optional, Protocol

from realtime_sync.audio.formats import SampleFormat
from realtime_sync.conversation import Conversation
from realtime_sync.core.commands import CommandHandle
from realtime_sync.core.connection import SessionConnection
from realtime_sync.errors import ConnectionClosedError, ConnectionReplacedError, InvalidInputError
from realtime_sync.protocol import codec
from realtime_sync.protocol.commands import ConversationItemCreateCommand
from realtime_sync.protocol.dialects import Dialect
from realtime_sync.protocol.items import ConversationContentPart, MessageItem
from realtime_sync.protocol.options import TurnDetectionOptions
from realtime_sync.protocol.update_base import ConversationUpdate
from realtime_sync.protocol.updates import (
    ConversationItemInputAudioTranscriptionCompletedUpdate,
    ResponseCreatedUpdate,
    ResponseDoneUpdate,
)
from realtime_sync.reconnect.outbox import Outbox, fate
from realtime_sync.reconnect.policy import Reconnect


class Reviver(Protocol):
    """Who makes a new connection; see ``revival.py``."""

    policy: Reconnect

    def run(self, reason: ConnectionClosedError) -> None:
        """Make one and have the session go on over it, or finish the session; on a thread of its own."""
        ...

    def cancel(self) -> None:
        """The session is being closed: stop trying. Never blocks."""
        ...


class ReconnectState:
    """See the module. ``continuous``: the service makes no messages of the audio (a translation)."""

    def __init__(self, reviver: Reviver, dialect: Dialect, *, continuous: bool = False) -> None:
        self.reviver = reviver
        self._dialect = dialect
        self.outbox = Outbox(reviver.policy.hold_audio, continuous=continuous)
        self._keeps_audio = reviver.policy.keep_audio
        self._losses: list[str] = []
        self._losses_lock = threading.Lock()  # guards _losses
        # All below are guarded by the engine's lock for delivery.
        self._said: dict[str, Optional[bytes]] = {}  # audio of messages that are committed and still to be told of
        self._untranscribed: set[str] = set()  # messages whose audio is kept until its words are known
        self._unanswered: Optional[str] = None  # a message that voice activity detection made, and nobody has answered

    def see(
        self,
        update: ConversationUpdate,
        acknowledged: Optional[CommandHandle],
        conversation: Conversation,
        format: Callable[[], SampleFormat],
    ) -> None:
        """Learn from an update, before whoever waits for it does."""
        if isinstance(update, ResponseCreatedUpdate) and not update.out_of_band:
            self._add_untold(conversation, acknowledged)
        committed = self.outbox.see(update, acknowledged, format)
        if committed is not None:
            self._said[committed.item_id] = committed.samples
            if acknowledged is None:
                self._unanswered = committed.item_id
        elif isinstance(update, ResponseCreatedUpdate):
            if not update.out_of_band:
                self._unanswered = None
        elif isinstance(update, ConversationItemInputAudioTranscriptionCompletedUpdate):
            self._forget_audio(conversation, update.item_id)
        elif isinstance(update, ResponseDoneUpdate):
            for item_id in list(self._untranscribed):
                if _is_never_transcribed(conversation, item_id):
                    self._forget_audio(conversation, item_id)
        if self._said:
            self._take_over(conversation)

    def cut_off(
        self,
        line: SessionConnection,
        conversation: Conversation,
        turn_detection: Optional[TurnDetectionOptions],
        format: SampleFormat,
    ) -> None:
        """A connection has ended, and another one will follow: note what is lost with it."""
        losses = self.outbox.cut(line.number, turn_detection is not None, format)
        losses += [f"response {id}: it was cut off" for id in sorted(line.responses.open_ids)]
        for item_id, samples in self._said.items():  # committed, but never told of
            if samples is None:
                losses.append(f"message {item_id}: what was said in it was not kept")
            else:
                conversation.add_item(_spoken(item_id))
        self._take_over(conversation)
        self._said.clear()
        with self._losses_lock:
            self._losses += losses

    def take_losses(self) -> list[str]:
        """What was lost since this was asked last, one line for each thing."""
        with self._losses_lock:
            losses, self._losses = self._losses, []
            return losses

    def owes_answer(
        self,
        conversation: Conversation,
        turn_detection: Optional[TurnDetectionOptions],
        names: Optional[Mapping[str, str]],
    ) -> bool:
        """True until it is answered, where the service was about to answer what the user said by itself.

        ``names``: what the items are called on the new connection; None: as before.
        """
        if self._unanswered is not None and names is not None:
            self._unanswered = names.get(self._unanswered)
        answers = turn_detection is not None and turn_detection.create_response is not False
        return answers and self._unanswered is not None and conversation.item(self._unanswered) is not None

    def _add_untold(self, conversation: Conversation, asked: Optional[CommandHandle]) -> None:
        """Some servers tell nothing of the items that they are given: they have them, for they begin to answer them.

        ``asked``: the request for the answer that has begun; None where nobody here has asked for it.
        """
        for item_id in self._said:
            conversation.add_item(_spoken(item_id))
        for sent in self.outbox.untold_items(asked) if asked is not None else ():
            try:
                command = codec.decode_command(sent.text, self._dialect)
            except InvalidInputError:  # by hand; it is sent again
                continue
            if isinstance(command, ConversationItemCreateCommand) and command.item.id:
                conversation.add_item(command.item, command.previous_item_id)
                self.outbox.forget(sent)
                if isinstance(command.item, MessageItem) and any(part.audio for part in command.item.content):
                    self._untranscribed.add(command.item.id)

    def _take_over(self, conversation: Conversation) -> None:
        """A commit is told before the item that it makes."""
        for item_id in [item_id for item_id in self._said if conversation.item(item_id) is not None]:
            samples = self._said.pop(item_id)
            if samples is not None:
                conversation.add_audio(item_id, samples, keep=True)
                self._untranscribed.add(item_id)

    def _forget_audio(self, conversation: Conversation, item_id: str) -> None:
        if item_id in self._untranscribed:
            self._untranscribed.discard(item_id)
            if not self._keeps_audio:
                conversation.forget_audio(item_id)


def _is_never_transcribed(conversation: Conversation, item_id: str) -> bool:
    told, transcription = conversation.session, conversation.transcription(item_id)
    failed = transcription is not None and transcription.status == "failed"
    return failed or (told is not None and not told.input_transcription_options)


def _spoken(item_id: str) -> MessageItem:
    part = ConversationContentPart(type="input_audio")
    return MessageItem(id=item_id, role="user", status="completed", content=[part])


def error_of_loss(reason: ConnectionClosedError) -> Callable[[str, object], ConnectionReplacedError]:
    """What commands and answers on a connection end with that is followed by another one."""
    told = f"the connection has ended ({reason}); the session goes on over a new one."

    def error_of(wire_type: str, message: object) -> ConnectionReplacedError:
        again = fate(wire_type, message if isinstance(message, dict) else {}) in ("again", "settings")
        what = "This command is sent again there" if again else "This is not sent again: do so if it is still wanted"
        return ConnectionReplacedError(f"{told} {what}", close_info=reason.close_info, sent_again=again)

    return error_of

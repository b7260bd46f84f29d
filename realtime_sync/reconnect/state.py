"""The knowledge that a session collects while a connection lives, so that it can go on over another one.

Rules:

1. An update is observed before its waiters are released, so what they send next finds the outbox up to date.
2. The audio of a message is carried over as long as the message has no transcript: the service makes an item of a
   commit, and the samples are attached to the item once it has come (``_attach_audio``). They are forgotten once the
   transcript is there or will never come, unless ``Reconnect.keep_audio`` keeps them.
3. A message that voice activity detection made, and that the service has not answered, is answered on the new
   connection: ``owes_answer``.
4. Some servers acknowledge no items. A response shows that they have those that were sent before it.

Locks: ``_losses_lock`` guards ``_losses``. ``_said``, ``_untranscribed`` and ``_unanswered`` are guarded by the
engine's lock for delivery, with which ``observe``, ``cut_off`` and ``owes_answer`` are called. Under it the locks of
the outbox, of ``SettingsTracker`` and of ``ResponseRouter``, and ``_losses_lock`` may be taken; nothing is taken under
those.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping
from typing import Optional

from realtime_sync.conversation import Conversation
from realtime_sync.core.commands import CommandHandle
from realtime_sync.core.connection import SessionConnection
from realtime_sync.core.realtime import RealtimeState
from realtime_sync.core.recovery import ErrorOf
from realtime_sync.errors import ConnectionClosedError, ConnectionReplacedError, InvalidInputError
from realtime_sync.protocol import codec, updates
from realtime_sync.protocol.commands import ConversationItemCreateCommand
from realtime_sync.protocol.items import ConversationContentPart, MessageItem
from realtime_sync.protocol.update_base import ConversationUpdate
from realtime_sync.reconnect.outbox import Outbox
from realtime_sync.reconnect.policy import Reconnect

# Messages whose audio is kept until they are in the conversation; of others the loss is told.
_MOST_SAID = 64


class ReconnectState:
    """See the module. ``continuous``: the service makes no messages of the audio (a translation)."""

    def __init__(self, policy: Reconnect, realtime: RealtimeState, *, continuous: bool = False) -> None:
        self.outbox = Outbox(policy.hold_audio, policy.hold_commands, continuous=continuous)
        self._realtime = realtime
        self._keeps_audio = policy.keep_audio
        self._losses: list[str] = []
        self._losses_lock = threading.Lock()
        self._said: dict[str, Optional[bytes]] = {}  # audio of messages that are committed and not yet in an item
        self._untranscribed: set[str] = set()  # messages whose audio is kept until their transcript has come
        self._unanswered: Optional[str] = None  # a message of voice activity detection that has no answer yet

    def observe(self, update: ConversationUpdate, acknowledged: Optional[CommandHandle]) -> None:
        """Learn from an update, before its waiters are released."""
        if isinstance(update, updates.ResponseCreatedUpdate) and not update.out_of_band:
            self._add_unacknowledged(acknowledged)
        committed = self.outbox.observe(update, acknowledged, lambda: self._realtime.settings.input_format)
        if committed is not None:
            room = len(self._said) < _MOST_SAID
            self._said.setdefault(committed.item_id, committed.samples if room else None)
            if acknowledged is None:
                self._unanswered = committed.item_id
        elif isinstance(update, updates.ResponseCreatedUpdate):
            if not update.out_of_band:
                self._unanswered = None
        elif isinstance(update, updates.ConversationItemInputAudioTranscriptionCompletedUpdate):
            self._forget_audio(update.item_id)
        elif isinstance(update, updates.ResponseDoneUpdate):
            for item_id in list(self._untranscribed):
                if _is_never_transcribed(self._realtime.conversation(), item_id):
                    self._forget_audio(item_id)
        if self._said:
            self._attach_audio()

    def cut_off(self, connection: SessionConnection, reason: ConnectionClosedError) -> ErrorOf:
        """A connection has ended, and another one will follow: collect the losses; returns how its commands end."""
        settings, conversation = self._realtime.settings, self._realtime.conversation()
        vad = settings.turn_detection is not None
        losses = self.outbox.cut(connection.number, vad, settings.input_format, settings.remembers)
        losses += [f"response {id}: it was cut off" for id in connection.exchange.open_ids]
        for item_id, samples in self._said.items():  # committed, but in no item yet
            if samples is None:
                losses.append(f"message {item_id}: its audio was not kept, so it is not carried over")
            else:
                conversation.add_item(_spoken(item_id))
        self._attach_audio()
        self._said.clear()
        with self._losses_lock:
            self._losses += losses
        return error_of_loss(reason, self.outbox.promised())

    def pop_losses(self) -> list[str]:
        """The losses since the last call, one line for each."""
        with self._losses_lock:
            losses, self._losses = self._losses, []
            return losses

    def owes_answer(self, names: Optional[Mapping[str, str]]) -> bool:
        """True if the service was about to answer the user's speech by itself, and has not.

        ``names``: the new ids of the items on the new connection, by the old ones; None: the ids are as before.
        """
        if self._unanswered is not None and names is not None:
            self._unanswered = names.get(self._unanswered)
        if self._unanswered is None or not self._realtime.settings.answers_speech:
            return False
        return self._realtime.conversation().item(self._unanswered) is not None

    def _add_unacknowledged(self, asked: Optional[CommandHandle]) -> None:
        """Some servers never acknowledge created items. If a response starts, treat those sent before it as accepted.

        ``asked``: the request for the response that has begun; None if this session did not ask for it.
        """
        for item_id in self._said:
            self._realtime.conversation().add_item(_spoken(item_id))
        for sent in self.outbox.unacknowledged_items(asked) if asked is not None else ():
            text = sent.frame if isinstance(sent.frame, str) else sent.frame.decode()
            try:
                command = codec.decode_command(text, self._realtime.dialect)
            except InvalidInputError:  # sent by hand, and not understood here; it is sent again
                continue
            if isinstance(command, ConversationItemCreateCommand) and command.item.id:
                self._realtime.conversation().add_item(command.item, command.previous_item_id)
                self.outbox.forget(sent)
                if isinstance(command.item, MessageItem) and any(part.audio for part in command.item.content):
                    self._untranscribed.add(command.item.id)

    def _attach_audio(self) -> None:
        """Give the items that have come by now their audio: a commit comes before the item that it makes."""
        conversation = self._realtime.conversation()
        for item_id in [item_id for item_id in self._said if conversation.item(item_id) is not None]:
            samples = self._said.pop(item_id)
            if samples is not None:
                conversation.add_audio(item_id, samples, keep=True)
                self._untranscribed.add(item_id)

    def _forget_audio(self, item_id: str) -> None:
        if item_id in self._untranscribed:
            self._untranscribed.discard(item_id)
            if not self._keeps_audio:
                self._realtime.conversation().forget_audio(item_id)


def _is_never_transcribed(conversation: Conversation, item_id: str) -> bool:
    session, transcription = conversation.session, conversation.transcription(item_id)
    failed = transcription is not None and transcription.status == "failed"
    return failed or (session is not None and not session.input_transcription_options)


def _spoken(item_id: str) -> MessageItem:
    part = ConversationContentPart(type="input_audio")
    return MessageItem(id=item_id, role="user", status="completed", content=[part])


def error_of_loss(reason: ConnectionClosedError, sent_again: Collection[CommandHandle]) -> ErrorOf:
    """The error of each command and answer on a connection that another one follows."""
    what_happened = "the connection was lost before this was acknowledged, and the session goes on over a new one"

    def error_of(handle: Optional[CommandHandle]) -> ConnectionReplacedError:
        again = handle in sent_again
        what_to_do = "this command is sent again there" if again else "send this again if it is still wanted"
        error = ConnectionReplacedError(
            f"{what_happened}; {what_to_do}", close_info=reason.close_info, sent_again=again
        )
        error.__cause__ = reason
        return error

    return error_of

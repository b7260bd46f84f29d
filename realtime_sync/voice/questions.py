"""What may be asked, as items of the conversation: a text, items, or a recording, which may be spoken instead."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO, Optional, Union

from realtime_sync.core.realtime import RealtimeEngine
from realtime_sync.core.realtime_session import no_item, refuse_sound_file
from realtime_sync.core.spoken import SpokenQuestion
from realtime_sync.errors import AudioFormatError, InvalidInputError
from realtime_sync.protocol.items import ConversationContentPart, ConversationItem, MessageItem
from realtime_sync.protocol.options import ConversationResponseOptions
from realtime_sync.voice.sending import AudioInput

if TYPE_CHECKING:
    from realtime_sync.audio.arrays import Samples

Question = Union[
    str,
    ConversationItem,
    list[ConversationItem],
    tuple[ConversationItem, ...],
    bytes,
    os.PathLike[str],
    BinaryIO,
    "Samples",
]
"""What can be asked: a text, items, or audio."""


def items_of(content: Optional[Question], audio: AudioInput) -> list[ConversationItem]:
    """The content of a question, as items. Raises ``InvalidInputError`` for what is no question."""
    if content is None:
        return []
    if isinstance(content, str):
        refuse_sound_file(content)
        return [ConversationItem.create_user_message(content)]
    if isinstance(content, ConversationItem):
        return [content]
    if isinstance(content, (list, tuple)):
        return [item for question in content for item in items_of(question, audio)]
    from realtime_sync.audio.source import is_audio

    if not is_audio(content):
        kinds = "a question is a text, an item, a list of them, or audio (a path object, bytes, Samples)"
        raise InvalidInputError(no_item(kinds, content))
    try:
        samples = b"".join(audio.chunks(content, 1000))
    except AudioFormatError as error:
        if isinstance(content, (bytes, bytearray)):
            raise AudioFormatError(f"{error} Bytes are asked as audio; a text is given as a str.") from None
        raise
    return [ConversationItem.create_user_message(ConversationContentPart.from_input_audio(samples))]


@contextmanager
def spoken(
    engine: RealtimeEngine,
    audio: AudioInput,
    content: Optional[Question],
    items: Sequence[ConversationItem],
    options: Optional[ConversationResponseOptions],
) -> Iterator[Optional[SpokenQuestion]]:
    """A recording that the service is to write down, see ``core/spoken.py``; None if the question is asked as items."""
    session = engine.session
    answers = session is not None and session.type not in ("transcription", "translation")
    transcribes = answers and session is not None and session.input_transcription_options
    aside = options is not None and options.conversation == "none"
    is_recording = content is not None and not isinstance(content, (str, ConversationItem, list, tuple))
    if not transcribes or aside or not is_recording:
        yield None
        return
    samples = _samples(items)
    question = SpokenQuestion(engine, items[0], functools.partial(audio.speak, samples))
    try:
        yield question
    finally:
        question.close()
        if question.refused:
            audio.clear_soon()


def _samples(items: Sequence[ConversationItem]) -> bytes:
    parts = (part for item in items if isinstance(item, MessageItem) for part in item.content)
    return b"".join(part.audio_bytes or b"" for part in parts)

"""Texts as speech: what the model reads aloud is compared with what it was to read."""

from typing import TYPE_CHECKING

from realtime_sync.lazy import lazily

if TYPE_CHECKING:
    from realtime_sync.speaking.likeness import is_read
    from realtime_sync.speaking.one_text import READ_ALOUD, read_aloud, reading_options, say
else:
    __getattr__, __dir__ = lazily(
        __name__, {"likeness": "is_read", "one_text": "READ_ALOUD read_aloud reading_options say"}
    )

__all__ = ["READ_ALOUD", "is_read", "read_aloud", "reading_options", "say"]

"""Recordings as text: one, or many at once; as a value, as subtitles, as JSON."""

from typing import TYPE_CHECKING

from realtime_sync.lazy import lazily

if TYPE_CHECKING:
    from realtime_sync.transcribing.formats import FORMATS, format_transcription
    from realtime_sync.transcribing.many_files import FileTranscription, transcribe_files
    from realtime_sync.transcribing.one_file import DEFAULT_TRANSCRIPTION_MODEL, transcribe
    from realtime_sync.transcribing.servers import ServerKind
    from realtime_sync.transcribing.transcription import Transcription
else:
    __getattr__, __dir__ = lazily(
        __name__,
        {
            "formats": "FORMATS format_transcription",
            "many_files": "FileTranscription transcribe_files",
            "one_file": "DEFAULT_TRANSCRIPTION_MODEL transcribe",
            "servers": "ServerKind",
            "transcription": "Transcription",
        },
    )

__all__ = [
    "DEFAULT_TRANSCRIPTION_MODEL",
    "FORMATS",
    "FileTranscription",
    "ServerKind",
    "Transcription",
    "format_transcription",
    "transcribe",
    "transcribe_files",
]

"""The realtime voice API for people who do not write asyncio.

::

    from realtime_sync import RealtimeConversationClient

    with RealtimeConversationClient.from_env().start_conversation_session() as session:
        print(session.ask("What is the tallest tree?"))

To begin with: ``RealtimeConversationClient`` (``OpenAIClient`` and ``AzureOpenAIClient`` make one),
``ConversationSessionOptions``, ``function_tool``; of a session, ``ask``, ``respond``, ``send_audio``, ``turns``,
``updates``, ``talk``, ``conversation``; ``transcribe`` for recordings. ``RealtimeSyncError`` is the root of all errors.
``RealtimeServer``, the embedded server, is in ``realtime_sync.server``; what the .NET library calls otherwise is in
``realtime_sync.dotnet``.
"""

import logging as _logging

from realtime_sync import errors as _errors
from realtime_sync.audio.playback import PlaybackPosition
from realtime_sync.audio.wav import WavWriter, write_wav
from realtime_sync.budget import Budget
from realtime_sync.client import ConnectionSettings, RealtimeConversationClient
from realtime_sync.conversation import Conversation
from realtime_sync.conversation.pricing import PRICES, ModelPrices, Prices, UsageTotals
from realtime_sync.conversation.transcripts import Transcript, TranscriptionSegment
from realtime_sync.conversation.translations import TranslatedPiece
from realtime_sync.conversation.turns import Timeline, Turn, TurnTracker
from realtime_sync.core.answer import Answer, Delta, Timings
from realtime_sync.core.commands import CommandHandle
from realtime_sync.core.derived_streams import TranscriptStream, TranslationStream
from realtime_sync.core.limits import QueueLimits
from realtime_sync.core.response import Response
from realtime_sync.core.streams import UpdateStream
from realtime_sync.endpoint.connect import ConnectRetries
from realtime_sync.endpoint.credentials import Credential, TokenCredential
from realtime_sync.endpoint.endpoint import Endpoint
from realtime_sync.errors import *  # noqa: F403  the whole tree, as its own __all__ lists it
from realtime_sync.mcp.approval import MCPApproval, MCPDecision
from realtime_sync.protocol import commands as _commands
from realtime_sync.protocol import items as _items
from realtime_sync.protocol import options as _options
from realtime_sync.protocol import resources as _resources
from realtime_sync.protocol import updates as _updates
from realtime_sync.protocol.commands import *  # noqa: F403
from realtime_sync.protocol.connection_updates import SessionDisconnectedUpdate, SessionReconnectedUpdate
from realtime_sync.protocol.dialects import Dialect
from realtime_sync.protocol.items import *  # noqa: F403
from realtime_sync.protocol.kinds import ConversationUpdateKind
from realtime_sync.protocol.options import *  # noqa: F403
from realtime_sync.protocol.registry import UNSET, Setting, UnsetType
from realtime_sync.protocol.resources import *  # noqa: F403
from realtime_sync.protocol.update_base import (
    ConversationUpdate,
    ItemStreamingPartDeltaUpdate,
    UnknownUpdate,
    UnreadableUpdate,
)
from realtime_sync.protocol.updates import *  # noqa: F403
from realtime_sync.reconnect.policy import Reconnect
from realtime_sync.recording import Recording, RecordingWriter
from realtime_sync.rest.calls import Call, Calls
from realtime_sync.rest.client_secrets import SessionClientSecret
from realtime_sync.services import AzureOpenAIClient, OpenAIClient
from realtime_sync.session import RealtimeConversationSession
from realtime_sync.timeouts import Timeouts
from realtime_sync.tools import FunctionTool, ToolContext, ToolRunner, function_tool
from realtime_sync.transcribing import (
    FileTranscription,
    Transcription,
    format_transcription,
    transcribe,
    transcribe_files,
)
from realtime_sync.transcribing.translate import Translation, translate
from realtime_sync.version import __version__
from realtime_sync.voice.barge_in import Interruption
from realtime_sync.voice.sending import AudioSend, AudioWriter
from realtime_sync.web.background import BackgroundSession, BackgroundSessions

# The .NET library's name for it is the one that people look for first.
from realtime_sync.protocol.updates import SessionCreatedUpdate as ConversationSessionStartedUpdate  # isort: skip

_WHOLE = (_errors, _commands, _items, _options, _resources, _updates)  # modules of which all is public

# Quiet unless the application configures logging.
_logging.getLogger(__name__).addHandler(_logging.NullHandler())

__all__ = [
    "PRICES",
    "UNSET",
    "Answer",
    "AudioSend",
    "AudioWriter",
    "AzureOpenAIClient",
    "BackgroundSession",
    "BackgroundSessions",
    "Budget",
    "Call",
    "Calls",
    "CommandHandle",
    "ConnectRetries",
    "ConnectionSettings",
    "Conversation",
    "ConversationSessionStartedUpdate",
    "ConversationUpdate",
    "ConversationUpdateKind",
    "Credential",
    "Delta",
    "Dialect",
    "Endpoint",
    "FileTranscription",
    "FunctionTool",
    "Interruption",
    "MCPApproval",
    "MCPDecision",
    "ItemStreamingPartDeltaUpdate",
    "ModelPrices",
    "OpenAIClient",
    "PlaybackPosition",
    "Prices",
    "QueueLimits",
    "RealtimeConversationClient",
    "RealtimeConversationSession",
    "Reconnect",
    "Recording",
    "RecordingWriter",
    "Response",
    "SessionClientSecret",
    "SessionDisconnectedUpdate",
    "SessionReconnectedUpdate",
    "Setting",
    "Timeline",
    "Timeouts",
    "Timings",
    "TokenCredential",
    "ToolContext",
    "ToolRunner",
    "Transcript",
    "TranscriptStream",
    "Transcription",
    "TranscriptionSegment",
    "TranslatedPiece",
    "Translation",
    "TranslationStream",
    "Turn",
    "TurnTracker",
    "UnknownUpdate",
    "UnreadableUpdate",
    "UnsetType",
    "UpdateStream",
    "UsageTotals",
    "WavWriter",
    "__version__",
    "format_transcription",
    "function_tool",
    "transcribe",
    "transcribe_files",
    "translate",
    "write_wav",
    *(name for module in _WHOLE for name in vars(module)["__all__"]),
]


def __dir__() -> list[str]:
    """The public names alone: without this, every module that was imported would be among them."""
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})

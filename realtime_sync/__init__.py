"""The realtime voice API for people who do not write asyncio.

::

    from realtime_sync import RealtimeConversationClient

    with RealtimeConversationClient.from_env().start_conversation_session() as session:
        print(session.ask("What is the tallest tree?"))

Settings such as the voice are given to the session, ``start_conversation_session(ConversationSessionOptions(
voice="marin"))``, or to one answer, ``ask(question, ConversationResponseOptions(voice="cedar"))``.

To begin with: ``RealtimeConversationClient`` (``OpenAIClient`` and ``AzureOpenAIClient`` make one),
``ConversationSessionOptions``, ``function_tool``; of a session, ``ask``, ``respond``, ``send_audio``, ``turns``,
``updates``, ``talk``, ``conversation``; ``transcribe`` for recordings, ``say`` for texts. ``RealtimeSyncError`` is the
root of all errors. ``RealtimeServer``, the embedded server, is in ``realtime_sync.server``; what the .NET library calls
otherwise is in ``realtime_sync.dotnet``.
"""

# At once: it can be imported no more when the main thread has ended, and others may then ask for the first name.
import concurrent.futures.thread as _thread  # noqa: F401
import logging as _logging
import typing as _typing

from realtime_sync.lazy import lazily as _lazily

if _typing.TYPE_CHECKING:
    from realtime_sync.audio.playback import PlaybackPosition as PlaybackPosition
    from realtime_sync.audio.wav import WavWriter as WavWriter
    from realtime_sync.audio.wav import write_wav as write_wav
    from realtime_sync.budget import Budget as Budget
    from realtime_sync.client import RealtimeConversationClient as RealtimeConversationClient
    from realtime_sync.conversation import Conversation as Conversation
    from realtime_sync.conversation.compact import CompactConversation as CompactConversation
    from realtime_sync.conversation.live.conversation import LiveConversation as LiveConversation
    from realtime_sync.conversation.live.fragments import LiveFragment as LiveFragment
    from realtime_sync.conversation.live.turns import LiveTurn as LiveTurn
    from realtime_sync.conversation.live.turns import LiveTurnCollector as LiveTurnCollector
    from realtime_sync.conversation.pricing import PRICES as PRICES
    from realtime_sync.conversation.pricing import ModelPrices as ModelPrices
    from realtime_sync.conversation.pricing import Prices as Prices
    from realtime_sync.conversation.pricing import UsageTotals as UsageTotals
    from realtime_sync.conversation.transcripts import Transcript as Transcript
    from realtime_sync.conversation.transcripts import TranscriptionSegment as TranscriptionSegment
    from realtime_sync.conversation.translations import TranslatedPiece as TranslatedPiece
    from realtime_sync.conversation.turns import Timeline as Timeline
    from realtime_sync.conversation.turns import Turn as Turn
    from realtime_sync.conversation.turns import TurnTracker as TurnTracker
    from realtime_sync.core.answer import Answer as Answer
    from realtime_sync.core.answer import Delta as Delta
    from realtime_sync.core.answer import Timings as Timings
    from realtime_sync.core.commands import CommandHandle as CommandHandle
    from realtime_sync.core.derived_streams import TranscriptStream as TranscriptStream
    from realtime_sync.core.derived_streams import TranslationStream as TranslationStream
    from realtime_sync.core.limits import QueueLimits as QueueLimits
    from realtime_sync.core.response import Response as Response
    from realtime_sync.core.update_streams import UpdateStream as UpdateStream
    from realtime_sync.dotnet import ConversationSessionStartedUpdate as ConversationSessionStartedUpdate
    from realtime_sync.endpoint.connect import ConnectRetries as ConnectRetries
    from realtime_sync.endpoint.credentials import Credential as Credential
    from realtime_sync.endpoint.credentials import TokenCredential as TokenCredential
    from realtime_sync.endpoint.endpoint import Endpoint as Endpoint
    from realtime_sync.errors import *  # noqa: F403
    from realtime_sync.fallback.service import EndpointHealth as EndpointHealth
    from realtime_sync.fallback.settings import FallbackSettings as FallbackSettings
    from realtime_sync.live.decisions_backend import DecisionsBackend as DecisionsBackend
    from realtime_sync.live.decisions_backend import MadeDecision as MadeDecision
    from realtime_sync.live.delegation_requests import DelegationRequest as DelegationRequest
    from realtime_sync.live.delegation_requests import DelegationStream as DelegationStream
    from realtime_sync.live.handles import LiveClip as LiveClip
    from realtime_sync.live.responses_backend import ResponsesBackend as ResponsesBackend
    from realtime_sync.live.session import LiveSession as LiveSession
    from realtime_sync.live.spoken import LiveFragmentStream as LiveFragmentStream
    from realtime_sync.live.spoken import LiveTurnStream as LiveTurnStream
    from realtime_sync.live.usage import LiveSessionUsage as LiveSessionUsage
    from realtime_sync.mcp.approval import MCPApproval as MCPApproval
    from realtime_sync.mcp.approval import MCPDecision as MCPDecision
    from realtime_sync.models import MODELS as MODELS
    from realtime_sync.models import ModelInfo as ModelInfo
    from realtime_sync.models import ServiceEndsWarning as ServiceEndsWarning
    from realtime_sync.protocol.commands import *  # noqa: F403
    from realtime_sync.protocol.connection_updates import SessionDisconnectedUpdate as SessionDisconnectedUpdate
    from realtime_sync.protocol.connection_updates import SessionReconnectedUpdate as SessionReconnectedUpdate
    from realtime_sync.protocol.dialects import Dialect as Dialect
    from realtime_sync.protocol.items import *  # noqa: F403
    from realtime_sync.protocol.kinds import ConversationUpdateKind as ConversationUpdateKind
    from realtime_sync.protocol.kinds import UpdateKind as UpdateKind
    from realtime_sync.protocol.live.commands import *  # noqa: F403
    from realtime_sync.protocol.live.history import *  # noqa: F403
    from realtime_sync.protocol.live.kinds import LiveUpdateKind as LiveUpdateKind
    from realtime_sync.protocol.live.options import *  # noqa: F403
    from realtime_sync.protocol.live.parts import *  # noqa: F403
    from realtime_sync.protocol.live.questions import *  # noqa: F403
    from realtime_sync.protocol.live.resources import *  # noqa: F403
    from realtime_sync.protocol.live.settings import *  # noqa: F403
    from realtime_sync.protocol.live.tools import *  # noqa: F403
    from realtime_sync.protocol.live.update_base import LiveUpdate as LiveUpdate
    from realtime_sync.protocol.live.updates import *  # noqa: F403
    from realtime_sync.protocol.options import *  # noqa: F403
    from realtime_sync.protocol.registry import UNSET as UNSET
    from realtime_sync.protocol.registry import Setting as Setting
    from realtime_sync.protocol.registry import UnsetType as UnsetType
    from realtime_sync.protocol.resources import *  # noqa: F403
    from realtime_sync.protocol.update_base import ConversationUpdate as ConversationUpdate
    from realtime_sync.protocol.update_base import ItemStreamingPartDeltaUpdate as ItemStreamingPartDeltaUpdate
    from realtime_sync.protocol.update_base import UnknownUpdate as UnknownUpdate
    from realtime_sync.protocol.update_base import UnreadableUpdate as UnreadableUpdate
    from realtime_sync.protocol.updates import *  # noqa: F403
    from realtime_sync.reconnect.policy import Reconnect as Reconnect
    from realtime_sync.recording import Recording as Recording
    from realtime_sync.recording import RecordingWriter as RecordingWriter
    from realtime_sync.rest.calls import Call as Call
    from realtime_sync.rest.calls import Calls as Calls
    from realtime_sync.rest.client_secrets import SessionClientSecret as SessionClientSecret
    from realtime_sync.rest.live import LiveCall as LiveCall
    from realtime_sync.rest.live import LiveCalls as LiveCalls
    from realtime_sync.rest.live import SipTrunk as SipTrunk
    from realtime_sync.services import AzureOpenAIClient as AzureOpenAIClient
    from realtime_sync.services import AzureVoiceLiveClient as AzureVoiceLiveClient
    from realtime_sync.services import OpenAIClient as OpenAIClient
    from realtime_sync.session import RealtimeConversationSession as RealtimeConversationSession
    from realtime_sync.speaking import say as say
    from realtime_sync.starting import ConnectionSettings as ConnectionSettings
    from realtime_sync.timeouts import Timeouts as Timeouts
    from realtime_sync.tools import FunctionTool as FunctionTool
    from realtime_sync.tools import ToolContext as ToolContext
    from realtime_sync.tools import ToolRunner as ToolRunner
    from realtime_sync.tools import function_tool as function_tool
    from realtime_sync.transcribing import FileTranscription as FileTranscription
    from realtime_sync.transcribing import Transcription as Transcription
    from realtime_sync.transcribing import format_transcription as format_transcription
    from realtime_sync.transcribing import transcribe as transcribe
    from realtime_sync.transcribing import transcribe_files as transcribe_files
    from realtime_sync.transcribing.translate import Translation as Translation
    from realtime_sync.transcribing.translate import translate as translate
    from realtime_sync.version import __version__ as __version__
    from realtime_sync.voice.barge_in import Interruption as Interruption
    from realtime_sync.voice.sending import AudioSend as AudioSend
    from realtime_sync.voice.sending import AudioWriter as AudioWriter
    from realtime_sync.web.background import BackgroundSession as BackgroundSession
    from realtime_sync.web.background import BackgroundSessions as BackgroundSessions

_LATE = {
    "audio.playback": "PlaybackPosition",
    "audio.wav": "WavWriter write_wav",
    "budget": "Budget",
    "client": "RealtimeConversationClient",
    "starting": "ConnectionSettings",
    "conversation": "Conversation",
    "conversation.compact": "CompactConversation",
    "conversation.live.conversation": "LiveConversation",
    "conversation.live.fragments": "LiveFragment",
    "conversation.live.turns": "LiveTurn LiveTurnCollector",
    "conversation.pricing": "PRICES ModelPrices Prices UsageTotals",
    "conversation.transcripts": "Transcript TranscriptionSegment",
    "conversation.translations": "TranslatedPiece",
    "conversation.turns": "Timeline Turn TurnTracker",
    "core.answer": "Answer Delta Timings",
    "core.commands": "CommandHandle",
    "core.derived_streams": "TranscriptStream TranslationStream",
    "core.limits": "QueueLimits",
    "core.response": "Response",
    "core.update_streams": "UpdateStream",
    "dotnet": "ConversationSessionStartedUpdate",
    "endpoint.connect": "ConnectRetries",
    "endpoint.credentials": "Credential TokenCredential",
    "endpoint.endpoint": "Endpoint",
    "fallback.service": "EndpointHealth",
    "fallback.settings": "FallbackSettings",
    "live.decisions_backend": "DecisionsBackend MadeDecision",
    "live.delegation_requests": "DelegationRequest DelegationStream",
    "live.handles": "LiveClip",
    "live.responses_backend": "ResponsesBackend",
    "live.session": "LiveSession",
    "live.spoken": "LiveFragmentStream LiveTurnStream",
    "live.usage": "LiveSessionUsage",
    "mcp.approval": "MCPApproval MCPDecision",
    "models": "MODELS ModelInfo ServiceEndsWarning",
    "protocol.connection_updates": "SessionDisconnectedUpdate SessionReconnectedUpdate",
    "protocol.dialects": "Dialect",
    "protocol.kinds": "ConversationUpdateKind UpdateKind",
    "protocol.live.kinds": "LiveUpdateKind",
    "protocol.live.update_base": "LiveUpdate",
    "protocol.registry": "UNSET Setting UnsetType",
    "protocol.update_base": "ConversationUpdate ItemStreamingPartDeltaUpdate UnknownUpdate UnreadableUpdate",
    "reconnect.policy": "Reconnect",
    "recording": "Recording RecordingWriter",
    "rest.calls": "Call Calls",
    "rest.live": "LiveCall LiveCalls SipTrunk",
    "rest.client_secrets": "SessionClientSecret",
    "services": "AzureOpenAIClient AzureVoiceLiveClient OpenAIClient",
    "session": "RealtimeConversationSession",
    "speaking": "say",
    "timeouts": "Timeouts",
    "tools": "FunctionTool ToolContext ToolRunner function_tool",
    "transcribing": "FileTranscription Transcription format_transcription transcribe transcribe_files",
    "transcribing.translate": "Translation translate",
    "version": "__version__",
    "voice.barge_in": "Interruption",
    "voice.sending": "AudioSend AudioWriter",
    "web.background": "BackgroundSession BackgroundSessions",
}
_WHOLE = (
    *("errors", "protocol.commands", "protocol.items", "protocol.options", "protocol.resources", "protocol.updates"),
    *("protocol.live.commands", "protocol.live.history", "protocol.live.options", "protocol.live.parts"),
    *("protocol.live.questions", "protocol.live.resources", "protocol.live.settings", "protocol.live.tools"),
    "protocol.live.updates",
)
"""Of these, all names that their own ``__all__`` lists. The live ones come last: who asks for others imports none."""

if not _typing.TYPE_CHECKING:  # for checkers it would make every name a name of the package
    __getattr__, __dir__ = _lazily(__name__, _LATE, _WHOLE)

# Quiet unless the application configures logging.
_logging.getLogger(__name__).addHandler(_logging.NullHandler())

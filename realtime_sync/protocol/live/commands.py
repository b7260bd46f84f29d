"""The client messages of a live session, one class each. The session's methods make and send them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Optional, Union

import attrs

from realtime_sync.errors import InvalidInputError
from realtime_sync.protocol.hiding import secret_extra
from realtime_sync.protocol.items import ConversationItem, audio_repr
from realtime_sync.protocol.live.kinds import LIVE
from realtime_sync.protocol.live.resources import LiveDecisionItem
from realtime_sync.protocol.live.settings import LiveSessionChanges, LiveSessionSettings
from realtime_sync.protocol.plain import from_plain, to_plain
from realtime_sync.protocol.registry import Command, public_classes


@LIVE.client_message("session.start")
@attrs.define(kw_only=True, repr=False, eq=False)
class LiveSessionStartCommand(Command):
    """Begin the session: the first message on a connection, and on that of a fork."""

    session: LiveSessionSettings


@LIVE.client_message("session.update")
@attrs.define(kw_only=True, repr=False, eq=False)
class LiveSessionUpdateCommand(Command):
    """Change the backend or the triggers. Without any change, the session is told as it is."""

    session: LiveSessionChanges = attrs.field(factory=LiveSessionChanges)


@LIVE.client_message("session.input_audio.append")
@attrs.define(kw_only=True, repr=False, eq=False)
class LiveSessionInputAudioAppendCommand(Command):
    """What the user says (base64 of samples in the session's format). The session's clock runs by it."""

    audio: str = attrs.field(repr=audio_repr)


@LIVE.client_message("session.input_audio.mute")
class LiveSessionInputAudioMuteCommand(Command):
    """Let the model hear silence; audio must be sent all the same."""

    __slots__ = ()


@LIVE.client_message("session.input_audio.unmute")
class LiveSessionInputAudioUnmuteCommand(Command):
    """Let the model hear the user again."""

    __slots__ = ()


@LIVE.client_message("session.output_audio.fixture.play")
@attrs.define(kw_only=True, repr=False, eq=False)
class LiveSessionOutputAudioFixturePlayCommand(Command):
    """Play a clip to the user (base64 of PCM16 at 24,000 Hz, 30 seconds at most). It interrupts the model."""

    audio: str = attrs.field(repr=audio_repr)


@attrs.define(kw_only=True, repr=False, eq=False)
class _Append(Command):
    """A text for the model, within 500 tokens. ``delegation_id``: the work that it belongs to; None is sent as null."""

    content: str
    delegation_id: Optional[str]


@LIVE.client_message("session.instructions.append")
class LiveSessionInstructionsAppendCommand(_Append):
    """A rule that lasts."""

    __slots__ = ()


@LIVE.client_message("session.thinking.append")
class LiveSessionThinkingAppendCommand(_Append):
    """Something to know, not to say."""

    __slots__ = ()


@LIVE.client_message("session.commentary.append")
class LiveSessionCommentaryAppendCommand(_Append):
    """Something to say, in the model's own words."""

    __slots__ = ()


@LIVE.client_message("decision.create")
class LiveDecisionCreateCommand(Command):
    """Ask the questions now."""

    __slots__ = ()


def _decision_item(item: Union[LiveDecisionItem, ConversationItem, Mapping[str, Any]]) -> LiveDecisionItem:
    return item if isinstance(item, LiveDecisionItem) else from_plain(_plain_item(item), LiveDecisionItem)


def _plain_item(item: Union[ConversationItem, Mapping[str, Any]]) -> dict[str, Any]:
    if isinstance(item, ConversationItem):
        return to_plain(item)
    if not isinstance(item, Mapping):
        raise InvalidInputError(f"an item is a ConversationItem, or its JSON as a dict, not {type(item).__name__}")
    return secret_extra(dict(item))


@LIVE.client_message("decision.item.create")
@attrs.define(kw_only=True, repr=False, eq=False)
class LiveDecisionItemCreateCommand(Command):
    """Tell decisions something; also given as a ``ConversationItem``, or as JSON."""

    item: LiveDecisionItem = attrs.field(converter=_decision_item)


@LIVE.client_message("decision.item.delete")
@attrs.define(kw_only=True, repr=False, eq=False)
class LiveDecisionItemDeleteCommand(Command):
    """Let decisions forget an item."""

    item_id: str


@LIVE.client_message("response.item.create")
@attrs.define(kw_only=True, repr=False, eq=False)
class LiveResponseItemCreateCommand(Command):
    """Give the Responses backend an item of its API: a ``ConversationItem``, or JSON. It is not acknowledged."""

    item: dict[str, Any] = attrs.field(converter=_plain_item)


@LIVE.client_message("response.create")
class LiveResponseCreateCommand(Command):
    """Let the Responses backend answer, or go on after the results of its calls."""

    __slots__ = ()


@LIVE.client_message("session.close")
class LiveSessionCloseCommand(Command):
    """End the session in an orderly way."""

    __slots__ = ()


@LIVE.client_message("transport.dtmf.send")
@attrs.define(kw_only=True, repr=False, eq=False)
class LiveTransportDtmfSendCommand(Command):
    """Send a telephone key (``event``), on the sideband of a call."""

    event: str


if not TYPE_CHECKING:  # checkers, which read no such expression, take all names without an underscore
    __all__ = public_classes(globals())

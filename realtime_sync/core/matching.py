"""Which command an update answers, and above all: which request a response answers.

The rule, for servers that repeat a request's metadata in its response, and for those that do not (they send null,
leave the field out, put metadata of their own there, or do so only sometimes):

    A response with the metadata of a request answers that request. One without answers the oldest request that is in
    flight when it begins, if nothing else has answered or refused that request by the time at which this is decided.

It is decided as early as it can be known:

- at ``response.created``, if the request had no metadata to repeat, if the server knows no metadata (it leaves the
  field out), or if it has not repeated them lately; the right response or a refusal corrects this, if it comes before
  the response has said anything (``ResponseRouter``);
- at the response's next update, if the server says null and it is not known yet whether it repeats metadata: until
  then a refusal, or the right response, shows that this one is another's (voice activity detection's, another
  client's);
- at ``response.done``, if the server has repeated metadata before, or if voice activity detection is about to begin a
  response. What came until then is handed to the asker all the same, later.

So at most one request is answered by a response, and none waits for ever for an answer that is there.

Locks: none of its own. Only the reader calls it, with the engine's lock for delivery held.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Optional

import attrs

from realtime_sync.core.acknowledgements import METADATA_KEY, has_metadata
from realtime_sync.core.commands import CommandHandle, PendingCommands
from realtime_sync.core.response_router import ResponseRouter
from realtime_sync.protocol.registry import UNSET
from realtime_sync.protocol.update_base import ConversationUpdate
from realtime_sync.protocol.updates import ResponseCreatedUpdate, ResponseDoneUpdate

Answered = tuple[ConversationUpdate, Optional[CommandHandle]]
"""An update, and the command that it acknowledges or refuses."""


@attrs.define(eq=False)
class _Undecided:
    """A response that may answer a request; ``updates``: from ``response.created`` on."""

    request: CommandHandle
    until_done: bool
    updates: list[ConversationUpdate]


class ResponseMatcher:
    """See the module. ``before``: that of the connection that this one replaces."""

    def __init__(self, registry: ResponseRouter, before: Optional[ResponseMatcher] = None) -> None:
        self._registry = registry
        self._repeats: Optional[bool] = before._repeats if before is not None else None  # the server, lately
        self.undecided: dict[str, _Undecided] = {}  # by the response's id, oldest first

    def matched(self, update: ConversationUpdate, commands: PendingCommands) -> Sequence[Answered]:
        """The update with its command; behind those that it has decided about, if there are some."""
        if type(update) is ResponseCreatedUpdate:
            return ((update, self._answered(update, commands)),)
        answered: Answered = (update, commands.match(update))
        return (*self._decided(update, commands), answered) if self.undecided else (answered,)

    def _answered(self, created: ResponseCreatedUpdate, commands: PendingCommands) -> Optional[CommandHandle]:
        """The request that a response answers, as far as that is known when it begins."""
        marked = commands.match(created)
        if marked is not None:
            self._repeats = True
            return marked
        metadata = created.response.metadata
        if METADATA_KEY in (metadata or {}):
            self._repeats = True
            return None  # another client's of the same call, or a request was answered without metadata before
        if metadata is UNSET and self._repeats is None:
            self._repeats = False
        requests = commands.in_flight(created.kind)
        if not requests:
            return None
        known = self.undecided.items()
        self.undecided = {id: each for id, each in known if commands.awaits(each.request) and self._registry.get(id)}
        doubted = [each.request for each in self.undecided.values()]
        handle, message = next((request for request in requests if request[0] not in doubted), requests[0])
        speech = self._registry.answers_speech_now
        if not has_metadata(message) or (self._repeats is False and not speech):
            commands.forget(handle)
            return handle
        self.undecided[created.response_id or ""] = _Undecided(handle, bool(self._repeats) or speech, [created])
        return None

    def _decided(self, update: ConversationUpdate, commands: PendingCommands) -> Sequence[Answered]:
        """What is handed to the asker of a response now: all that came of it, if this update shows whose it is."""
        response_id = getattr(update, "response_id", None) or ""
        doubt = self.undecided.get(response_id)
        if doubt is None:
            return ()
        if doubt.until_done and not isinstance(update, ResponseDoneUpdate) and commands.awaits(doubt.request):
            doubt.updates.append(update)
            return ()
        del self.undecided[response_id]
        if not commands.awaits(doubt.request):
            return ()
        commands.forget(doubt.request)
        self._repeats = False
        created, *others = doubt.updates
        return [(created, doubt.request), *((each, None) for each in others)]

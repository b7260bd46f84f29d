"""What a live service does otherwise than usual, and what goes wrong in it, for tests of what a client does about it.

``LiveRules`` is set for all live sessions of a server, ``LiveFaults`` in it. What happens once, at a moment of the
test's choice, is a method of ``TwinSession``: ``drop()``, ``stall()``, ``moderate()``, ``emit()``. The faults of the
connection (``RealtimeServer(faults=...)``) happen to live sessions, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, Mapping, Optional

import attrs

from realtime_sync.errors import ConfigurationError

if TYPE_CHECKING:
    from realtime_sync.server.live.brain import LiveBrain
    from realtime_sync.server.responder import Responder


def _not_negative(owner: object, field: attrs.Attribute[Any], value: Optional[float]) -> None:
    if value is not None and value < 0:
        raise ConfigurationError(f"{field.name} is {value!r}, but cannot be less than 0.")


def _a_function(owner: object, field: attrs.Attribute[Any], value: object) -> None:
    if value is not None and not callable(value):
        raise ConfigurationError(f"{field.name} is {value!r}, but must be a function of a turn, or None.")


def _a_text_of_a_text(owner: object, field: attrs.Attribute[Any], value: object) -> None:
    if not callable(value):
        raise ConfigurationError(f"{field.name} is {value!r}, but must be a function of a text that returns a text.")


@attrs.frozen(kw_only=True)
class LiveFaults:
    """What goes wrong in live sessions. Everything is off by default. Milliseconds are of the session's timeline.

    Args:
        start_error: The ``error`` object in answer to ``session.start``, such as ``{"type": "invalid_request_error",
            "code": "credit_balance_exhausted", "message": "..."}``; then the connection is closed. None: it starts.
        most_history: A start with a history of more messages is refused, as too long. None: as the service does.
        string_errors: ``error`` events hold a string in place of the object, as some gateways have it.
        drop_after_words: The connection is closed with 1011 behind so many pieces of what the model says. None: not.
        late_words_ms: The user's words are told so much later.
        delegation_before_words: A delegation is told before the words that it is about.
        delegates_again_ms: Each delegation is followed by a second one so much later. None: by none.
        handoff_incomplete: The Responses backend fails at the end: "Responses handoff incomplete.".
        no_closed: ``session.close`` is not answered.

    Raises:
        ConfigurationError: If a number is less than 0.
    """

    start_error: Optional[Mapping[str, object]] = None
    most_history: Optional[int] = attrs.field(default=None, validator=_not_negative)
    string_errors: bool = False
    drop_after_words: Optional[int] = attrs.field(default=None, validator=_not_negative)
    late_words_ms: float = attrs.field(default=0.0, validator=_not_negative)
    delegation_before_words: bool = False
    delegates_again_ms: Optional[float] = attrs.field(default=None, validator=_not_negative)
    handoff_incomplete: bool = False
    no_closed: bool = False


@attrs.frozen(kw_only=True)
class LiveRules:
    """How the live sessions of a server behave.

    Args:
        brain: What the model says and delegates, see ``LiveBrain``. None: with ``RealtimeServer(speech=...)`` the
            server's responder answers, see ``ResponderBrain``; without, the model says what it is told to say
            (commentary, and ``TwinSession.say``), and nothing by itself.
        backend: What a Responses backend answers and calls. None: what the server's responder does.
        yields: Whether the model goes silent when the user speaks. None: if there is a brain.
        in_own_words: What the model says for a commentary, or for a backend's answer: by default, the same. It is
            called on a thread of its own.
        acknowledgement: What the model says when it delegates; empty for nothing.
        words_ahead_ms: How much ahead of their sound the model's words are told; up to 400 was seen.
        usage_seconds: Seconds by the clock between two ``session.usage.updated``. None: 15, on Azure's path 60; 0:
            none comes.
        silence_seconds: A session that gets no audio at all is closed after so many seconds by the clock.
        session_seconds: Seconds by the clock that a session may last.
        echoes_ids: Whether answers name the command's ``event_id``. None: yes, but on Azure's path not.
        timed_deltas: Whether output deltas have their times. None: no, but on Azure's path they have.
        replaces_delegation: Whether an update's ``delegation`` replaces the old one as a whole. None: no, but on
            Azure's path it does.
        answers_calls: Whether a telephone that is dialled is answered, half a second later. False: it rings, for
            ``TwinCall.answer()`` and ``fail()``, which happens by itself after three minutes.
        faults: What goes wrong.

    Raises:
        ConfigurationError: If a number is less than 0, or what must be a function is none.
    """

    brain: Optional[LiveBrain] = attrs.field(default=None, validator=_a_function)
    backend: Optional[Responder] = attrs.field(default=None, validator=_a_function)
    yields: Optional[bool] = None
    in_own_words: Callable[[str], str] = attrs.field(default=str, validator=_a_text_of_a_text)
    acknowledgement: str = "Sure, checking that now."
    words_ahead_ms: float = attrs.field(default=0.0, validator=_not_negative)
    usage_seconds: Optional[float] = attrs.field(default=None, validator=_not_negative)
    silence_seconds: float = attrs.field(default=31.0, validator=_not_negative)
    session_seconds: float = attrs.field(default=7200.0, validator=_not_negative)
    echoes_ids: Optional[bool] = None
    timed_deltas: Optional[bool] = None
    replaces_delegation: Optional[bool] = None
    answers_calls: bool = True
    faults: LiveFaults = attrs.field(factory=LiveFaults)

    def of_service(self, *, azure: bool) -> LiveRules:
        """The same, with what is None said for this service."""
        return attrs.evolve(
            self,
            usage_seconds=(60.0 if azure else 15.0) if self.usage_seconds is None else self.usage_seconds,
            echoes_ids=not azure if self.echoes_ids is None else self.echoes_ids,
            timed_deltas=azure if self.timed_deltas is None else self.timed_deltas,
            replaces_delegation=azure if self.replaces_delegation is None else self.replaces_delegation,
        )

"""OpenTelemetry's spans of sessions: ``set_hooks([OpenTelemetryHook()])``. Needs the extra ``otel``.

The spans of a session, all in one trace, with the caller's span as the parent of the first:

    realtime_session MODEL          from its start to its end (live_session MODEL for GPT-Live)
        connect, reconnect          a connection, or why none came about
        chat MODEL                  an answer of the model
        execute_tool NAME           a call of a function of yours; spans that it makes are its children

Names are those of OpenTelemetry's semantic conventions for generative AI, v0.1.0 (their own repository's first release,
of 2026; all of them "in development"). Those that the conventions lack begin with ``realtime_sync.``: the span of a
session, the cost in US dollars, the times to the first sound and to the first sound that was played, the number of a
connection, losses. An answer's moments are events of its span.

No words: the text of answers, the arguments and results of calls and the texts of errors that may quote them are there
only with ``set_hooks(..., words=True)``. Audio never is; ``recording=`` keeps that.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Final, Optional, Union

from realtime_sync.extras import missing
from realtime_sync.hooks import (
    CallBegins,
    CallEnded,
    ConnectEnded,
    ConnectionLost,
    HookEvent,
    ObservedSession,
    ResponseEnded,
    ServiceError,
    SessionBegins,
    SessionEnded,
)
from realtime_sync.version import __version__

try:
    from opentelemetry import trace
    from opentelemetry.trace import Link, Span, SpanKind, Status, StatusCode, TracerProvider
except ImportError as error:
    raise missing("opentelemetry-api", "otel", "realtime_sync.otel") from error

if TYPE_CHECKING:
    from realtime_sync.conversation.pricing import UsageTotals

__all__ = ["OpenTelemetryHook"]

Value = Union[str, int, float, bool, list[str], None]

_PROVIDERS: Final = {
    "openai": "openai",
    "azure": "azure.ai.openai",
    "azure-preview": "azure.ai.openai",
    "azure-voice-live": "azure.ai.voice_live",
}


class OpenTelemetryHook:
    """A hook that makes spans; see the module.

    Args:
        tracer_provider: Whose spans they are; None: the global one's.
    """

    def __init__(self, tracer_provider: Optional[TracerProvider] = None) -> None:
        self._tracer = trace.get_tracer("realtime_sync", __version__, tracer_provider)
        # Changed by single operations: sessions begin on many threads.
        self._sessions: dict[ObservedSession, Span] = {}
        self._calls: dict[int, Span] = {}

    def __call__(self, event: HookEvent) -> Optional[AbstractContextManager[object]]:
        """Take over an event."""
        if isinstance(event, SessionBegins):
            return self._begin_session(event)
        session = self._sessions.get(event.session)
        if session is None:  # it began before this hook was set
            return None
        if isinstance(event, CallEnded):  # which is a CallBegins, too
            self._end_call(session, event)
        elif isinstance(event, CallBegins):
            return self._begin_call(session, event)
        elif isinstance(event, ResponseEnded):
            self._tell_response(session, event)
        elif isinstance(event, ConnectEnded):
            self._tell_connect(session, event)
        elif isinstance(event, ConnectionLost):
            why = {"error.type": _name(event.reason), "message": str(event.reason)}
            session.add_event("realtime_sync.connection_lost", why, _ns(event.at))
        elif isinstance(event, ServiceError):
            error: dict[str, Value] = {"error.type": event.code or "_OTHER", "message": event.message}
            session.add_event("realtime_sync.service_error", _known(error), _ns(event.at))
        elif isinstance(event, SessionEnded):
            self._end_session(session, event)
        return None

    # Sessions and their connections ----------------------------------------------------------------------------------

    def _begin_session(self, event: SessionBegins) -> AbstractContextManager[object]:
        session = event.session
        span = self._tracer.start_span(
            _titled(f"{session.protocol}_session", session.asked_model),
            kind=SpanKind.CLIENT,
            attributes=_known({**_about(session), "realtime_sync.session.beside": session.beside}),
            start_time=_ns(event.at),
        )
        self._sessions[session] = span
        return _current(span)

    def _end_session(self, span: Span, event: SessionEnded) -> None:
        del self._sessions[event.session]
        told = {  # under names of their own, so that who adds up the spans' tokens and costs counts none twice
            **_usage(event.usage, "realtime_sync.session"),
            "gen_ai.conversation.id": event.session.id,
            "gen_ai.response.model": event.session.model,
            "realtime_sync.close_code": event.close_code,
            "realtime_sync.session.cost.usd": event.cost,
            "realtime_sync.session.billed_seconds": event.seconds,
        }
        span.set_attributes(_known(told))
        if event.error is not None:
            _fail(span, _name(event.error), str(event.error))
        span.end(_ns(event.at))

    def _tell_connect(self, session: Span, event: ConnectEnded) -> None:
        told = {
            **_place(event.session),
            "network.protocol.name": "websocket",
            "realtime_sync.connection.number": event.number,
            "realtime_sync.connection.attempts": event.attempts,
        }
        again = event.reason is not None or event.number > 1
        span = self._child(session, "reconnect" if again else "connect", event.began, told, SpanKind.CLIENT)
        if event.error is not None:
            _fail(span, _name(event.error), str(event.error))
        span.end(_ns(event.at))
        if again and event.error is None:
            facts: dict[str, Value] = {
                "error.type": _name(event.reason),
                "realtime_sync.connection.attempts": event.attempts,
                "realtime_sync.losses.count": len(event.losses),
                "realtime_sync.losses": list(event.losses),
                "realtime_sync.connection.moved": event.moved or None,
            }
            if event.moved:  # to another service: both spans say which
                session.set_attributes(_known(_service(event.session)))
                facts |= _service(event.session)
            session.add_event("realtime_sync.reconnected", _known(facts), _ns(event.at))

    # Answers ---------------------------------------------------------------------------------------------------------

    def _tell_response(self, session: Span, event: ResponseEnded) -> None:
        first = min(filter(None, (event.first_text, event.first_audio)), default=None)
        told = {
            **_about(event.session),
            **_usage(event.usage),
            "gen_ai.operation.name": "chat",
            "gen_ai.request.stream": True,
            "gen_ai.output.type": None if first is None else "text" if event.first_audio is None else "speech",
            "gen_ai.conversation.id": event.session.id,
            "gen_ai.response.id": event.id,
            "gen_ai.response.model": event.session.model,
            "gen_ai.response.finish_reasons": [_finish_reason(event)],
            "gen_ai.response.time_to_first_chunk": _since(event.began, first),
            "realtime_sync.response.status": event.status,
            "realtime_sync.time_to_first_sound": _since(event.began, event.first_audio),
            "realtime_sync.time_to_first_played_sound": _since(event.began, event.first_played),
            "realtime_sync.cost.usd": event.cost,
        }
        if event.words:
            parts = [{"type": "text", "content": event.words}]
            message = {"role": "assistant", "parts": parts, "finish_reason": _finish_reason(event)}
            told["gen_ai.output.messages"] = json.dumps([message], ensure_ascii=False)
        name = _titled("chat", event.session.asked_model or event.session.model)
        span = self._child(session, name, event.began, told, SpanKind.CLIENT)
        moments = {
            "speech_ended": event.speech_ended,
            "response_created": event.created,
            "first_text": event.first_text,
            "first_sound": event.first_audio,
            "first_played_sound": event.first_played,
        }
        for at, moment in sorted((at, moment) for moment, at in moments.items() if at is not None):
            span.add_event(f"realtime_sync.{moment}", timestamp=_ns(at))
        if event.status in ("failed", "lost"):
            _fail(span, event.error or "_OTHER", event.message)
        span.end(_ns(event.at))

    # Calls -----------------------------------------------------------------------------------------------------------

    def _begin_call(self, session: Span, event: CallBegins) -> AbstractContextManager[object]:
        span = self._calls[event.number] = self._call_span(session, event)
        return _current(span)

    def _end_call(self, session: Span, event: CallEnded) -> None:
        span = self._calls.pop(event.number, None) or self._call_span(session, event)
        told = {
            "gen_ai.tool.call.result": event.output,
            "realtime_sync.tool.timed_out": event.timed_out or None,
            "realtime_sync.tool.cancelled": event.cancelled or None,
        }
        span.set_attributes(_known(told))
        if event.error is not None and not event.cancelled:
            _fail(span, _name(event.error), None if event.output is None else str(event.error))
        span.end(_ns(event.at))

    def _call_span(self, session: Span, event: CallBegins) -> Span:
        told = {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": event.name,
            "gen_ai.tool.type": "function",
            "gen_ai.tool.call.id": event.call_id or None,
            "gen_ai.tool.call.arguments": event.arguments,
            "gen_ai.conversation.id": event.session.id,
            "realtime_sync.tool.kind": event.kind,
        }
        asking = trace.get_current_span().get_span_context()  # of whoever asked the question, if that is elsewhere
        elsewhere = asking.is_valid and asking.trace_id != session.get_span_context().trace_id
        links = [Link(asking)] if elsewhere else None
        return self._child(session, _titled("execute_tool", event.name), event.at, told, SpanKind.INTERNAL, links)

    def _child(
        self,
        session: Span,
        name: str,
        began: float,
        told: Mapping[str, Value],
        kind: SpanKind,
        links: Optional[list[Link]] = None,
    ) -> Span:
        return self._tracer.start_span(
            name,
            context=trace.set_span_in_context(session),
            kind=kind,
            attributes=_known(told),
            links=links,
            start_time=_ns(began),
        )


def _current(span: Span) -> AbstractContextManager[Span]:
    """Makes the span the current one of a context, and ends nothing."""
    return trace.use_span(span, end_on_exit=False, record_exception=False, set_status_on_exception=False)


def _fail(span: Span, name: str, message: Optional[str]) -> None:
    span.set_attribute("error.type", name)
    span.set_status(Status(StatusCode.ERROR, message))


def _place(session: ObservedSession) -> dict[str, Value]:
    return {"server.address": session.host, "server.port": session.port}


def _service(session: ObservedSession) -> dict[str, Value]:
    return {"gen_ai.provider.name": _PROVIDERS.get(session.service, session.service), **_place(session)}


def _about(session: ObservedSession) -> dict[str, Value]:
    return {"gen_ai.request.model": session.asked_model or session.model, **_service(session)}


def _usage(usage: Optional[UsageTotals], room: str = "gen_ai.usage") -> dict[str, Value]:
    """The tokens: all together, and of each kind of which there are some."""
    if usage is None:
        return {}
    of_kinds = {
        "text.input_tokens": usage.input_text_tokens,
        "audio.input_tokens": usage.input_audio_tokens,
        "image.input_tokens": usage.input_image_tokens,
        "cache_read.input_tokens": usage.cached_tokens,
        "text.cache_read.input_tokens": usage.cached_text_tokens,
        "audio.cache_read.input_tokens": usage.cached_audio_tokens,
        "image.cache_read.input_tokens": usage.cached_image_tokens,
        "text.output_tokens": usage.output_text_tokens,
        "audio.output_tokens": usage.output_audio_tokens,
    }
    told = {"input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens}
    told |= {kind: count for kind, count in of_kinds.items() if count}
    return {f"{room}.{kind}": count for kind, count in told.items()}


def _finish_reason(event: ResponseEnded) -> str:
    """In the words of the conventions, if they have one."""
    if event.status == "completed":
        return "tool_call" if event.calls else "stop"
    if event.status in ("failed", "lost"):
        return "error"
    return {"max_output_tokens": "length"}.get(event.reason or "", event.reason or event.status or "unknown")


def _since(began: float, at: Optional[float]) -> Optional[float]:
    return None if at is None else max(0.0, at - began)


def _titled(operation: str, about: Optional[str]) -> str:
    return f"{operation} {about}" if about else operation


def _name(error: Optional[BaseException]) -> str:
    return type(error).__name__


def _ns(at: float) -> int:
    return int(at * 1e9)


def _known(told: Mapping[str, Value]) -> dict[str, Union[str, int, float, bool, list[str]]]:
    return {name: value for name, value in told.items() if value is not None}

"""OpenTelemetry's spans: one trace a session, as an exporter in memory sees it."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("opentelemetry.sdk", reason="needs the extra dev (opentelemetry-sdk)")
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from realtime_sync import (
    AuthenticationError,
    AzureOpenAIClient,
    ConnectionLostError,
    ConversationSessionOptions,
    OpenAIClient,
    Reconnect,
    ReconnectFailedError,
    ResponseFailedError,
    SessionReconnectedUpdate,
    TurnDetectionOptions,
    function_tool,
)
from realtime_sync.hooks import set_hooks
from realtime_sync.otel import OpenTelemetryHook
from realtime_sync.server import Faults, FunctionCall, Refusal, Reply, faults
from realtime_sync.server.voice import speak
from realtime_sync.voice import FileMicrophone, FileSpeaker
from tests.core.answers import Gate
from tests.core.harness import KEY, House, until
from tests.hooks.test_hooks import lose_in_the_middle_of_an_answer

TEXT = ConversationSessionOptions(content_modalities=["text"])
QUICKLY = Reconnect(base_delay=0.05, max_delay=0.1, give_up_after=10, renew_before=None)


class Traces:
    """What was exported."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracer = self.provider.get_tracer("tests")

    @property
    def spans(self) -> list[Any]:
        return sorted(self._exporter.get_finished_spans(), key=lambda span: span.start_time or 0)

    def of(self, name: str) -> list[Any]:
        """The spans whose name begins so, by their beginning."""
        return [span for span in self.spans if span.name.startswith(name)]

    def only(self, name: str) -> Any:
        (span,) = self.of(name)
        return span


@pytest.fixture
def traces() -> Traces:
    traces = Traces()
    set_hooks([OpenTelemetryHook(traces.provider)])
    return traces


def parent(span: ReadableSpan) -> int:
    assert span.parent is not None
    return span.parent.span_id


def moments(span: ReadableSpan) -> list[str]:
    return [event.name.removeprefix("realtime_sync.") for event in span.events]


def calling(*calls: FunctionCall) -> Any:
    left = [Reply(function_calls=calls)]
    return lambda turn: left.pop() if left else Reply("It is sunny in Paris.")


# The trace of a conversation -----------------------------------------------------------------------------------------


def test_a_spoken_turn_with_a_tool_is_one_trace_with_its_moments_in_order(plain: House, traces: Traces) -> None:
    plain.serve(responder=calling(FunctionCall("get_weather", {"city": "Paris"})))

    @function_tool
    def get_weather(city: str) -> str:
        with traces.tracer.start_as_current_span("look it up"):
            return "sunny"

    detection = TurnDetectionOptions.server_vad(silence_duration_ms=200, prefix_padding_ms=0)
    options = ConversationSessionOptions(tools=[get_weather], turn_detection_options=detection)
    with traces.tracer.start_as_current_span("request"):
        session = plain.open(start={"options": options})
        microphone = FileMicrophone(speak("hello there"), pace=4, pause_ms=600, endless=False)
        session.talk(microphone, FileSpeaker(pace=4, block_ms=20))
        session.close()
    names = [span.name for span in traces.spans]
    assert names == [
        *("request", "realtime_session m", "connect", "chat m", "execute_tool get_weather", "look it up", "chat m"),
    ]
    request, whole, connect, calls, tool, inner, answer = traces.spans
    assert {span.context.trace_id for span in traces.spans} == {whole.context.trace_id}
    assert parent(whole) == request.context.span_id
    assert {parent(span) for span in (connect, calls, tool, answer)} == {whole.context.span_id}
    assert parent(inner) == tool.context.span_id
    # The moments, from the end of what was said to the first sound that was heard of the answer.
    assert moments(calls) == ["speech_ended", "response_created"]
    assert moments(answer) == ["response_created", "first_text", "first_sound", "first_played_sound"]
    order = [
        *(whole.start_time, connect.end_time, *(event.timestamp for event in calls.events), calls.end_time),
        *(tool.start_time, inner.start_time, inner.end_time, tool.end_time, answer.start_time),
        *(*(event.timestamp for event in answer.events), whole.end_time),
    ]
    assert order == sorted(order)
    assert calls.attributes["gen_ai.response.finish_reasons"] == ("tool_call",)
    told = answer.attributes
    assert 0 < told["gen_ai.response.time_to_first_chunk"] <= told["realtime_sync.time_to_first_sound"]
    assert told["realtime_sync.time_to_first_sound"] <= told["realtime_sync.time_to_first_played_sound"] < 5
    assert [span.status.status_code for span in traces.spans] == [StatusCode.UNSET] * 7


def test_an_answer_tells_its_model_its_tokens_by_kind_and_its_cost(plain: House, traces: Traces) -> None:
    plain.serve(responder=lambda turn: Reply("Good morning."))
    session = plain.open(start={"options": ConversationSessionOptions(instructions="Be kind. " * 100)})
    answers = [session.ask("Hello"), session.ask("Hello again")]
    session.close()
    span = traces.of("chat")[1]
    told, used = dict(span.attributes), answers[1].usage
    assert used is not None
    assert told["gen_ai.usage.input_tokens"] == used.input_tokens
    assert told["gen_ai.usage.output_tokens"] == used.output_tokens
    assert told["gen_ai.usage.text.input_tokens"] == used.input_token_details.text_tokens
    assert told["gen_ai.usage.audio.output_tokens"] == used.output_token_details.audio_tokens
    assert told["gen_ai.usage.text.output_tokens"] == used.output_token_details.text_tokens
    assert told["gen_ai.usage.cache_read.input_tokens"] == used.input_token_details.cached_tokens > 0
    assert span.kind is SpanKind.CLIENT
    facts = {
        name: told[f"gen_ai.{name}"] for name in ("operation.name", "provider.name", "request.model", "output.type")
    }
    assert facts == {
        "operation.name": "chat",
        "provider.name": "openai",
        "request.model": "m",
        "output.type": "speech",
    }
    assert (told["gen_ai.response.id"], told["gen_ai.response.finish_reasons"]) == (answers[1].id, ("stop",))
    whole = traces.only("realtime_session").attributes
    each = [span.attributes["gen_ai.usage.input_tokens"] for span in traces.of("chat")]
    assert whole["realtime_sync.session.input_tokens"] == sum(each)
    assert "gen_ai.usage.input_tokens" not in whole  # who adds up all spans would count them twice


def test_the_cost_is_that_of_the_answer(plain: House, traces: Traces) -> None:
    plain.serve(responder=lambda turn: "Paris.")
    client = OpenAIClient(KEY, endpoint=plain.server.url).get_realtime_conversation_client("gpt-realtime-2.1")
    with client.start_conversation_session(TEXT) as session:
        answer = session.ask("Where?")
    assert answer.cost
    assert traces.only("chat").attributes["realtime_sync.cost.usd"] == answer.cost
    assert traces.only("realtime_session").attributes["realtime_sync.session.cost.usd"] == answer.cost


@pytest.mark.filterwarnings("ignore:the tool fail:RuntimeWarning")
def test_words_are_there_only_if_they_are_asked_for(plain: House) -> None:
    for words in (False, True):
        traces = Traces()
        set_hooks([OpenTelemetryHook(traces.provider)], words=words)
        plain.serve(responder=calling(FunctionCall("fail", {"city": "Ulm"})))

        @function_tool
        def fail(city: str) -> str:
            raise LookupError(f"no weather in {city}")

        session = plain.open(start={"options": ConversationSessionOptions(tools=[fail])})
        session.ask("What about Ulm?")
        session.close()
        told = json.dumps([[dict(span.attributes), str(span.status.description)] for span in traces.spans])
        assert [word in told for word in ("Ulm", "sunny")] == [words, words]
        assert [span.name for span in traces.spans if span.events and "exception" in moments(span)] == []
        tool = traces.only("execute_tool")
        assert (tool.status.status_code, tool.attributes["error.type"]) == (StatusCode.ERROR, "LookupError")
        assert (tool.status.description == "no weather in Ulm") == words


def test_several_sessions_at_once_have_traces_of_their_own_below_who_started_them(plain: House, traces: Traces) -> None:
    plain.serve(responder=lambda turn: "Paris.")

    def work(number: int) -> None:
        with traces.tracer.start_as_current_span(f"request {number}"):
            session = plain.open(start={"options": TEXT})
            session.ask("Where?")
            session.close()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    of_traces: dict[int, list[str]] = {}
    for span in traces.spans:
        of_traces.setdefault(span.context.trace_id, []).append(span.name.split()[0])
    assert list(of_traces.values()) == [["request", "realtime_session", "connect", "chat"]] * 4


def test_a_session_that_nobody_traces_begins_a_trace_and_a_tool_is_linked_to_who_asks(
    plain: House, traces: Traces
) -> None:
    plain.serve(responder=calling(FunctionCall("look", {})))
    session = plain.open(start={"options": ConversationSessionOptions(tools=[look])})
    with traces.tracer.start_as_current_span("request") as request:
        session.ask("Look!")
    session.close()
    whole, tool = traces.only("realtime_session"), traces.only("execute_tool")
    assert whole.parent is None
    assert parent(tool) == whole.context.span_id
    assert [link.context for link in tool.links] == [request.get_span_context()]


@function_tool
def look() -> str:
    logging.getLogger("app").warning("looking")
    return "fine"


def test_logs_of_a_sessions_threads_carry_its_trace(
    plain: House, traces: Traces, caplog: pytest.LogCaptureFixture
) -> None:
    seen: dict[str, set[str]] = {}

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            context = trace.get_current_span().get_span_context()
            seen.setdefault(record.threadName or "", set()).add(f"{context.trace_id:032x} {context.span_id:016x}")

    handler, logger = Handler(), logging.getLogger()
    logger.addHandler(handler)
    caplog.set_level(logging.DEBUG)
    try:
        plain.serve(responder=calling(FunctionCall("look", {})))
        session = plain.open(start={"options": ConversationSessionOptions(tools=[look])})
        session.add_item("Look!").wait()
        session.start_response()
        until(lambda: len(session.conversation.responses) == 2)
        session.close()
    finally:
        logger.removeHandler(handler)
    whole, tool = traces.only("realtime_session").context, traces.only("execute_tool").context
    reader = next(told for name, told in seen.items() if name.endswith("-reader"))
    called = next(told for name, told in seen.items() if name.startswith("realtime-sync-tool-"))
    assert reader == {f"{whole.trace_id:032x} {whole.span_id:016x}"}
    assert called == {f"{tool.trace_id:032x} {tool.span_id:016x}"}


# What goes wrong -----------------------------------------------------------------------------------------------------


def test_a_refused_connection_is_an_error_of_the_connection_and_the_session(plain: House, traces: Traces) -> None:
    plain.serve(faults=Faults(refuse=Refusal(401, body=f"wrong key: {KEY}")))
    with pytest.raises(AuthenticationError) as caught:
        plain.open()
    assert [span.name for span in traces.spans] == ["realtime_session m", "connect"]
    for span in traces.spans:
        assert (span.status.status_code, span.attributes["error.type"]) == (StatusCode.ERROR, "AuthenticationError")
        assert span.status.description == str(caught.value)
    assert traces.only("connect").attributes["server.port"] == plain.server.port
    assert KEY not in "".join(span.to_json() for span in traces.spans)


def test_a_failed_answer_is_an_error_and_the_session_is_none(plain: House, traces: Traces) -> None:
    def fail(turn: object) -> str:
        raise ValueError("the words of a customer")

    plain.serve(responder=fail)
    session = plain.open(start={"options": TEXT})
    with pytest.raises(ResponseFailedError) as caught:
        session.ask("Where?")
    session.close()
    answer = traces.only("chat")
    assert (answer.status.status_code, answer.attributes["error.type"]) == (StatusCode.ERROR, caught.value.code)
    assert answer.status.description is None
    assert answer.attributes["gen_ai.response.finish_reasons"] == ("error",)
    assert traces.only("realtime_session").status.status_code is StatusCode.UNSET


def test_a_cancelled_answer_is_no_error_and_says_why(plain: House, traces: Traces) -> None:
    plain.serve(responder=Gate())
    session = plain.open(start={"options": TEXT})
    with session.respond("Count!") as response:
        next(response.text_deltas())
    until(lambda: response.done)
    session.close()
    answer = traces.only("chat")
    assert answer.status.status_code is StatusCode.UNSET
    assert answer.attributes["realtime_sync.response.status"] == "cancelled"
    assert answer.attributes["gen_ai.response.finish_reasons"] == ("client_cancelled",)


def test_a_lost_connection_and_the_next_one_are_told(plain: House, traces: Traces) -> None:
    plain.serve(responder=Gate())
    session = plain.open(start={"options": TEXT, "reconnect": QUICKLY})
    stream = session.subscribe()
    with session.respond("Count!") as response:
        next(response.text_deltas())
        plain.live.inject(faults.drop())
        update = stream.wait_for(SessionReconnectedUpdate, 10)
    session.close()
    whole, again, answer = traces.only("realtime_session"), traces.only("reconnect"), traces.only("chat")
    assert moments(whole) == ["connection_lost", "reconnected"]
    assert dict(whole.events[1].attributes) == {
        "error.type": "ConnectionLostError",
        "realtime_sync.connection.attempts": update.attempts,
        "realtime_sync.losses.count": len(update.losses),
        "realtime_sync.losses": update.losses,
    }
    assert whole.events[0].timestamp == again.start_time == answer.end_time
    assert whole.events[1].timestamp == again.end_time
    assert again.attributes["realtime_sync.connection.number"] == 2
    assert (answer.status.status_code, answer.attributes["error.type"]) == (StatusCode.ERROR, "ConnectionLostError")
    assert whole.attributes["gen_ai.conversation.id"] == plain.live.id
    assert whole.status.status_code is StatusCode.UNSET


def test_a_session_that_goes_on_at_another_service_says_where(plain: House, traces: Traces) -> None:
    plain.serve(responder=lambda turn: "Paris.")
    first, client = plain.server, plain.client()
    plain.serve(responder=lambda turn: "Rome.")
    spare = AzureOpenAIClient(plain.server.azure_endpoint, KEY).get_realtime_conversation_client("gpt-realtime-mini")
    session = plain.stack.enter_context(
        client.with_fallbacks([spare]).start_conversation_session(TEXT, reconnect=QUICKLY)
    )
    stream = session.subscribe()
    first.close()
    stream.wait_for(SessionReconnectedUpdate, 10)
    session.ask("Where?")
    session.close()
    whole, answer, again = traces.only("realtime_session"), traces.only("chat"), traces.only("reconnect")
    assert whole.events[-1].attributes["realtime_sync.connection.moved"]
    for span in (whole, answer):
        assert span.attributes["gen_ai.provider.name"] == "azure.ai.openai"
        assert span.attributes["server.port"] == plain.server.port
        assert span.attributes["gen_ai.response.model"] == "gpt-realtime-mini"
    assert answer.name == "chat gpt-realtime-mini"
    assert again.attributes["server.port"] == plain.server.port


def test_a_session_that_cannot_come_back_ends_in_an_error_with_the_attempt(plain: House, traces: Traces) -> None:
    plain.serve()
    policy = Reconnect(base_delay=0.05, max_delay=0.1, give_up_after=0.3, renew_before=None)
    session = plain.open(start={"options": TEXT, "reconnect": policy})
    plain.server.faults = Faults(refuse=Refusal(503))
    plain.live.inject(faults.drop())
    until(lambda: session.closed)
    session.close()
    whole, again = traces.only("realtime_session"), traces.only("reconnect")
    for span in (whole, again):
        assert (span.status.status_code, span.attributes["error.type"]) == (
            StatusCode.ERROR,
            ReconnectFailedError.__name__,
        )
    assert moments(whole) == ["connection_lost"]


def test_a_session_whose_connection_is_lost_ends_in_an_error_and_all_spans_end(plain: House, traces: Traces) -> None:
    lose_in_the_middle_of_an_answer(plain)
    whole, answer = traces.only("realtime_session"), traces.only("chat")
    assert whole.attributes["error.type"] == answer.attributes["error.type"] == ConnectionLostError.__name__
    assert whole.end_time >= answer.end_time


# Where it is not wanted ----------------------------------------------------------------------------------------------

QUIET = """
import sys
from realtime_sync import OpenAIClient
from realtime_sync.hooks import set_hooks
set_hooks([lambda event: None])
client = OpenAIClient("a-key", endpoint=sys.argv[1]).get_realtime_conversation_client("gpt-realtime-2.1")
with client.start_conversation_session() as session:
    assert str(session.ask("Hello"))
print(*(name for name in sys.modules if name.partition(".")[0] == "opentelemetry"))
sys.modules["opentelemetry"] = None
try:
    import realtime_sync.otel
except Exception as error:
    print(type(error).__name__, error)
"""


def test_nothing_of_it_is_imported_before_it_is_asked_for_and_the_extra_is_named(plain: House) -> None:
    plain.serve()
    command = [sys.executable, "-W", "error", "-c", QUIET, plain.server.url]
    root = Path(__file__).parents[2]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=30, cwd=root, check=False)
    imported, told = ran.stdout.splitlines()
    assert (imported, ran.stderr) == ("", "")
    assert told == (
        "ConfigurationError realtime_sync.otel needs the package opentelemetry-api: pip install 'realtime-sync[otel]'"
    )

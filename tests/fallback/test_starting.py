"""A session starts at the first service that takes it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from realtime_sync import (
    AllEndpointsFailedError,
    AuthenticationError,
    ConnectCancelledError,
    ConnectionFailedError,
    ConnectRetries,
    ConversationSessionOptions,
    InvalidInputError,
    LiveSessionOptions,
    NotFoundError,
    OpenAIClient,
    RealtimeConversationClient,
    Recording,
    RecordingWriter,
    ServerError,
    ServiceUnavailableError,
    Timeouts,
    UnsupportedByDialectError,
    WaitTimeoutError,
)
from realtime_sync.protocol.dialects import Dialect
from realtime_sync.server import Faults, LiveFaults, LiveRules, RealtimeServer, Refusal, faults
from tests.core.harness import CALM, Running, until, within
from tests.fallback.harness import DOWN, KEYS, TEXT, Clock, Town, causes, states
from tests.transport.peer import Link, Peer

SOON = Timeouts(connect=5, greeting=0.3, send=5, acknowledge=0.3, close=0.2)  # for a service that says nothing


def refusing(status: int, **more: Any) -> Callable[[Town], None]:
    return lambda town: setattr(town.service("openai"), "faults", Faults(refuse=Refusal(status, **more)))


def gone(town: Town) -> None:
    town.service("openai").close()


def other_key(town: Town) -> None:
    town.servers["openai"] = town.serve(api_keys=["another key"])


def other_models(town: Town) -> None:
    town.service("openai", models=["another-model"])


def silent(town: Town) -> None:
    town.service("openai", faults=Faults(acts=[faults.silence()]))


def dropping(town: Town) -> None:
    town.service("openai", faults=Faults(acts=[faults.drop(after_sent=1)]))


FAILURES: dict[str, tuple[Callable[[Town], None], str]] = {
    "the server is gone": (gone, "closed"),
    "503": (refusing(503), "closed"),
    "503, come back later": (refusing(503, headers={"retry-after": "20"}), "open"),
    "429": (refusing(429), "closed"),
    "429, an empty account": (refusing(429, body='{"error": {"code": "insufficient_quota"}}'), "open"),
    "403": (refusing(403), "open"),
    "400": (refusing(400), "closed"),
    "a wrong key, after the handshake": (other_key, "open"),
    "an unknown model, after the handshake": (other_models, "open"),
    "nothing is answered": (silent, "closed"),
    "the connection breaks before the options are acknowledged": (dropping, "closed"),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_a_session_starts_at_the_next_service_if_the_first_cannot_be_used(plain: Town, failure: str) -> None:
    fail, state = FAILURES[failure]
    fail(plain)
    first = plain.client_of("openai", timeouts=SOON if fail is silent else CALM)
    client = first.with_fallbacks([plain.client_of("azure")])
    session = plain.session(client)
    assert session.ask("Well?").text == "You said: Well?"
    live = plain.servers["azure"].sessions[-1]
    assert live.path == "/openai/v1/realtime"
    assert live.query == {"model": "my-deployment"}
    assert live.options["instructions"] == "be kind"
    assert (
        session.endpoint
        == f"{plain.servers['azure'].azure_endpoint}/openai/v1/realtime?model=my-deployment".replace("http", "ws")
    )
    assert states(client) == [state, "closed"]
    client.close()


def test_a_first_service_that_is_well_is_used_and_no_other_is_asked(town: Town) -> None:
    client = town.combined("openai", "azure")
    session = town.session(client)
    assert session.ask("Well?").completed
    assert session.endpoint.endswith("/v1/realtime?model=gpt-realtime-2.1")
    assert town.servers["azure"].sessions == []
    assert [each.why for each in client.health] == [None, None]


def test_the_third_speaks_a_dialect_of_its_own_and_gets_the_options_in_it(town: Town) -> None:
    client = town.combined("openai", "azure", "preview")
    town.servers["openai"].faults = town.servers["azure"].faults = DOWN
    session = town.session(client)
    assert session.ask("Well?").text == "You said: Well?"
    live = town.servers["preview"].sessions[-1]
    assert live.query["deployment"] == "old-deployment"
    assert live.headers["api-key"] == KEYS["preview"]
    assert live.received[0]["session"]["modalities"] == ["text"]
    assert session._engine.dialect is Dialect.PREVIEW


def test_nothing_is_tried_twice_but_where_no_other_service_is_left(plain: Town, caplog: Any) -> None:
    retries = ConnectRetries(attempts=3, base_delay=0.01)
    first, second = plain.client_of("openai", retries=retries), plain.client_of("azure", retries=retries)
    client = first.with_fallbacks([second])
    plain.servers["openai"].faults = plain.servers["azure"].faults = DOWN
    with pytest.raises(AllEndpointsFailedError):
        client.start_conversation_session()
    assert (plain.servers["openai"]._refused, plain.servers["azure"]._refused) == (1, 3)


# What does not move on -----------------------------------------------------------------------------------------------


def test_options_that_the_service_refuses_are_the_callers_matter(plain: Town) -> None:
    client = plain.combined("openai", "azure")
    with pytest.raises(ServerError):
        client.start_conversation_session(ConversationSessionOptions(output_speed=9.0))
    assert plain.servers["azure"].sessions == []
    assert states(client) == ["closed", "closed"]
    assert client.health[0].why is None


def test_what_cannot_be_sent_is_told_before_anything_is_connected(plain: Town) -> None:
    client = plain.combined("openai", "azure")
    with pytest.raises(InvalidInputError):
        client.start_conversation_session({"voice": "marin"})  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError):
        client.start_conversation_session(recording=7)  # type: ignore[arg-type]
    assert plain.servers["openai"].sessions == plain.servers["azure"].sessions == []


def test_options_that_one_of_the_services_has_no_words_for_are_told_before_it_is_needed(plain: Town) -> None:
    client = plain.combined("openai", "preview")
    with pytest.raises(UnsupportedByDialectError, match=r"output_speed.*old-deployment at http://.*azure-preview"):
        client.start_conversation_session(ConversationSessionOptions(output_speed=1.25))
    assert plain.servers["openai"].sessions == []


def test_a_service_without_such_sessions_is_passed_over(plain: Town) -> None:
    client = plain.combined("preview", "openai")
    with client.start_translation_session(target_language="es") as session:
        assert "/v1/realtime/translations" in session.endpoint
    assert states(client) == ["closed", "closed"]


def test_a_client_that_is_closed_meanwhile_tries_no_other_service(plain: Town) -> None:
    connected = threading.Event()

    def say_nothing(link: Link) -> None:
        connected.set()
        link.read_to_end()

    peer = plain.stack.enter_context(Peer(say_nothing, None))
    first = OpenAIClient("a-key", endpoint=peer.url, timeouts=CALM).get_realtime_conversation_client("m")
    client = first.with_fallbacks([plain.client_of("azure")])
    starting = Running(client.start_conversation_session)
    assert connected.wait(5)
    with within(2):
        client.close()
        assert isinstance(starting.join(), ConnectCancelledError)
    assert plain.servers["azure"].sessions == []
    assert states(client) == ["closed", "closed"]
    with pytest.raises(ConnectCancelledError):
        client.start_conversation_session()


# All are down --------------------------------------------------------------------------------------------------------


def test_if_all_are_down_the_error_names_each_and_why(town: Town) -> None:
    client = town.combined("openai", "azure", "preview")
    town.servers["openai"].close()
    town.servers["azure"].faults = DOWN
    town.servers["preview"].faults = Faults(refuse=Refusal(404))
    with pytest.raises(AllEndpointsFailedError) as raised:
        client.start_conversation_session()
    error = raised.value
    assert isinstance(error, ConnectionFailedError)
    told = str(error)
    names = ["gpt-realtime-2.1 at http", "my-deployment at http", "old-deployment at http"]
    assert sorted(names, key=told.index) == names
    assert "Connection refused" in told
    assert "503" in told
    assert "404" in told
    assert [name.partition(" ")[0] for name, _ in error.failures] == [
        "gpt-realtime-2.1",
        "my-deployment",
        "old-deployment",
    ]
    kinds = [type(each) for _, each in error.failures]
    assert kinds == [ConnectionFailedError, ServiceUnavailableError, NotFoundError]
    chained = [each for each in causes(error) if isinstance(each, ConnectionFailedError)]
    assert chained == [each for _, each in reversed(error.failures)]
    assert not any(key in told for key in KEYS.values())


def test_those_that_are_left_alone_are_tried_all_the_same_if_no_other_is_left(plain: Town) -> None:
    client = plain.combined("openai", "azure", failures=1)
    plain.servers["openai"].faults = plain.servers["azure"].faults = DOWN
    with pytest.raises(AllEndpointsFailedError):
        client.start_conversation_session()
    assert states(client) == ["open", "open"]
    plain.servers["azure"].faults = Faults()
    assert plain.session(client).ask("Well?").completed
    assert states(client) == ["open", "closed"]


# Back to the first ---------------------------------------------------------------------------------------------------


def test_new_sessions_leave_a_service_alone_that_is_down_and_go_back_once_it_is_well(town: Town, caplog: Any) -> None:
    clock = Clock()
    client = town.combined("openai", "azure", clock=clock, failures=2, grace=30)
    first, second = town.servers["openai"], town.servers["azure"]
    first.faults = DOWN
    with caplog.at_level(logging.WARNING, "realtime_sync.fallback"):
        for _ in range(4):
            town.session(client)
    assert (first._refused, len(second.sessions)) == (2, 4)  # it was asked twice only
    assert states(client) == ["open", "closed"]
    assert "ServiceUnavailableError" in str(client.health[0].why)
    assert sum("cannot be used" in each.message for each in caplog.records) == 2
    clock.now += 30
    assert states(client) == ["half-open", "closed"]
    town.session(client)  # tries it, in vain
    assert (first._refused, len(second.sessions)) == (3, 5)
    first.faults = Faults()
    town.session(client)
    assert len(second.sessions) == 6  # it has been left alone again, for twice as long
    clock.now += 60
    town.session(client)
    assert (len(first.sessions), len(second.sessions)) == (1, 6)
    assert states(client) == ["closed", "closed"]
    assert client.health[0].why is None
    town.session(client)
    assert len(first.sessions) == 2


def test_what_one_thread_has_seen_all_others_know(plain: Town) -> None:
    client = plain.combined("openai", "azure", failures=1)
    plain.servers["openai"].faults = DOWN
    plain.session(client)
    starts = [Running(lambda: plain.session(client).ask("Well?").text) for _ in range(4)]
    assert [each.result() for each in starts] == ["You said: Well?"] * 4
    assert plain.servers["openai"]._refused == 1


# Other starts, and what belongs to one service -----------------------------------------------------------------------


def test_transcriptions_and_live_sessions_start_at_the_next_service_too(town: Town) -> None:
    client = town.combined("openai", "azure")
    town.servers["openai"].faults = DOWN
    with client.start_transcription_session(model="gpt-transcribe") as session:
        assert "intent=transcription" in session.endpoint
    start: dict[str, Any] = {"model": "my-live", "headers": {"X-Extra": "one"}, "query": {"extra": "two"}}
    with client.start_live_session(LiveSessionOptions(instructions="Be kind."), **start) as live:
        assert live.endpoint.endswith("/openai/v1/live/sessions")
        twin = town.servers["azure"].live_sessions[-1]
        assert twin.options["instructions"] == "Be kind."
        assert "x-extra" not in twin.headers
        assert "extra" not in twin.query
        twin.end("remote_hangup")
        until(lambda: live.closed)


def test_a_live_session_moves_on_if_the_first_service_does_not_start_it(plain: Town) -> None:
    error = {"type": "invalid_request_error", "code": "credit_balance_exhausted", "message": "Pay first."}
    first = plain.service("openai", live=LiveRules(faults=LiveFaults(start_error=error)))
    client = plain.combined("openai", "azure")
    with client.start_live_session(model="my-live"):
        assert len(plain.servers["azure"].live_sessions) == 1
        plain.servers["azure"].live_sessions[-1].end("remote_hangup")
    assert len(first.live_sessions) == 1
    assert states(client) == ["open", "closed"]


def test_what_a_start_is_given_for_one_service_is_not_told_to_the_others(plain: Town) -> None:
    client = plain.combined("openai", "azure")
    secret = client.create_client_secret().value
    start = {"client_secret": secret, "headers": {"X-Extra": "one"}, "query": {"extra": "two"}}
    live = plain.session(client, **start)
    assert plain.servers["openai"].sessions[-1].headers["authorization"] == f"Bearer {secret}"
    assert plain.servers["openai"].sessions[-1].headers["x-extra"] == "one"
    live.close()
    plain.servers["openai"].faults = DOWN
    plain.session(client, **start)
    other = plain.servers["azure"].sessions[-1]
    assert other.headers["api-key"] == KEYS["azure"]
    assert "authorization" not in other.headers
    assert "x-extra" not in other.headers
    assert other.query == {"model": "my-deployment"}


def test_two_models_of_one_service_share_what_a_start_is_given(plain: Town) -> None:
    server = plain.service("openai", models=["good"])
    service = OpenAIClient(KEYS["openai"], endpoint=server.url, timeouts=CALM)
    first, second = map(service.get_realtime_conversation_client, ("bad", "good"))
    with first.with_fallbacks([second]).start_conversation_session(headers={"X-Extra": "one"}):
        assert server.sessions[-1].headers["x-extra"] == "one"
        assert server.sessions[-1].query == {"model": "good"}


def test_calls_and_client_secrets_are_the_first_services(plain: Town) -> None:
    client = plain.combined("openai", "azure")
    call = plain.servers["openai"].place_call()
    client.calls.accept(call)
    with client.attach(call) as session:
        assert session.endpoint.startswith(plain.servers["openai"].url.replace("http", "ws"))
    plain.servers["openai"].faults = DOWN
    with pytest.raises(ServiceUnavailableError):
        client.attach(call)
    assert plain.servers["azure"].sessions == []


# Recordings and secrets ----------------------------------------------------------------------------------------------


def test_a_recording_goes_on_at_the_next_service(plain: Town, tmp_path: Path) -> None:
    other_key(plain)  # which is refused behind the handshake, when something was recorded
    client = plain.client_of("openai").with_fallbacks([plain.client_of("preview")])
    for recording in (tmp_path / "by path.jsonl", RecordingWriter(tmp_path / "by writer.jsonl")):
        with client.start_conversation_session(TEXT, recording=recording) as session:
            session.ask("Well?")
        assert session.recording is not None
        assert session.recording.closed
        read = Recording.read(session.recording.path)
        assert read.faults == ()
        assert "old-deployment" in read.connections[-1].url
        assert [part.text for item in read.conversation().items for part in item.content] == [
            "Well?",
            "You said: Well?",
        ]
        client = plain.client_of("openai").with_fallbacks([plain.client_of("preview")])


def test_a_recording_that_no_service_filled_is_closed(plain: Town, tmp_path: Path) -> None:
    client = plain.combined("openai", "azure")
    plain.servers["openai"].faults = plain.servers["azure"].faults = DOWN
    writer = RecordingWriter(tmp_path / "recording.jsonl")
    with pytest.raises(AllEndpointsFailedError):
        client.start_conversation_session(recording=writer)
    assert writer.closed


def test_a_key_that_a_service_tells_back_is_in_no_error(plain: Town, caplog: Any) -> None:
    key = KEYS["openai"]
    refusal = Refusal(401, body=f'{{"error": {{"message": "Incorrect API key provided: {key}"}}}}')
    plain.service("openai", faults=Faults(refuse=refusal))
    client = plain.combined("openai", "azure")
    plain.servers["azure"].faults = DOWN
    with caplog.at_level(logging.DEBUG), pytest.raises(AllEndpointsFailedError) as raised:
        client.start_conversation_session()
    assert isinstance(raised.value.failures[0][1], AuthenticationError)
    assert key not in f"{raised.value} {client.health} {client!r} {caplog.text} {raised.value.failures}"


def test_a_service_that_acknowledges_nothing_is_left_for_the_next(plain: Town) -> None:
    silent(plain)
    client = plain.client_of("openai", timeouts=SOON).with_fallbacks([plain.client_of("azure")])
    plain.servers["azure"].close()
    with pytest.raises(AllEndpointsFailedError) as raised:
        client.start_conversation_session(TEXT)
    assert isinstance(raised.value.failures[0][1], WaitTimeoutError)


def test_the_servers_are_of_one_process_and_the_clients_too() -> None:
    """The embedded server may itself be the last resort."""
    with RealtimeServer() as server:
        nowhere = OpenAIClient("a-key", endpoint="http://127.0.0.1:9/v1").get_realtime_conversation_client("m")
        here = OpenAIClient(endpoint=server.url).get_realtime_conversation_client("m")
        with nowhere.with_fallbacks([here]) as client, client.start_conversation_session() as session:
            assert isinstance(client, RealtimeConversationClient)
            assert session.ask("Well?").completed

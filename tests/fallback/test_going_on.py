"""With ``reconnect=`` a session goes on at the next service, with its settings and its history, and comes back."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import attrs
import pytest

from realtime_sync import (
    PRICES,
    AllEndpointsFailedError,
    AuthenticationError,
    Budget,
    ConnectionFailedError,
    ConnectionLostError,
    ConnectionReplacedError,
    ConversationContentPart,
    ConversationItem,
    ConversationSessionOptions,
    Dialect,
    MessageItem,
    ModelPrices,
    OpenAIClient,
    Reconnect,
    ReconnectFailedError,
    Recording,
    SessionExpiredError,
    SessionReconnectedUpdate,
    UnsupportedByDialectError,
    function_tool,
)
from realtime_sync.server import Faults, FunctionCall, Refusal, Reply, Turn, faults
from realtime_sync.testing import ManualClock
from tests.core.answers import Gate, received
from tests.core.harness import CALM, Running, until, within
from tests.core.imitator import Imitator
from tests.fallback.harness import DOWN, KEYS, QUICKLY, TEXT, Clock, Town, causes, states, texts
from tests.transport.peer import Link, Peer

pytestmark = pytest.mark.medium


def surviving(town: Town, *names: str, policy: Any = QUICKLY, options: Any = TEXT, **start: Any) -> Any:
    """A session with the first of these services."""
    return town.session(town.combined(*names), options, reconnect=policy, **start)


def told(session: Any, stream: Any) -> SessionReconnectedUpdate:
    found: SessionReconnectedUpdate = stream.wait_for(SessionReconnectedUpdate, 10)
    return found


def ours(session: Any) -> list[str]:
    return [part.text or part.transcript or "" for item in session.conversation.items for part in item.content]


def drop(town: Town, name: str) -> None:
    town.servers[name].sessions[-1].inject(faults.drop())


def lose(town: Town, name: str) -> None:
    """Lose the connection to a service, which refuses others."""
    town.servers[name].faults = DOWN
    drop(town, name)


# What goes on --------------------------------------------------------------------------------------------------------


def test_a_session_whose_server_is_killed_in_mid_answer_goes_on_at_the_next_with_its_history(town: Town) -> None:
    gate = Gate("half ", "an answer")
    first = town.service(
        "openai", responder=lambda turn: gate(turn) if "And then?" in str(turn.last) else "It was blue."
    )
    session = surviving(town, "openai", "azure")
    stream = session.subscribe()
    assert session.ask("What colour was it?").text == "It was blue."
    asking = Running(lambda: session.ask("And then?"))
    stream.wait_for(lambda update: getattr(update, "delta", None) == "half ", 5)
    first.close()
    assert isinstance(asking.join(), ConnectionReplacedError)
    update = told(session, stream)
    assert update.moved
    assert update.endpoint == session.endpoint
    assert session.endpoint.endswith("/openai/v1/realtime?model=my-deployment")
    assert isinstance(update.reason, ConnectionLostError)
    assert any("it was cut off" in loss for loss in update.losses)
    assert session.ask("Are you there?").text == "You said: Are you there?"
    second = town.servers["azure"].sessions[-1]
    heard = ["What colour was it?", "It was blue.", "And then?", "half ", "Are you there?", "You said: Are you there?"]
    assert texts(second) == ours(session) == heard
    assert second.options["instructions"] == "be kind"
    assert second.headers["api-key"] == KEYS["azure"]
    assert "authorization" not in second.headers
    gate.opened.set()


def test_a_session_goes_from_service_to_service_and_each_is_spoken_to_in_its_dialect(town: Town) -> None:
    session = surviving(town, "openai", "azure", "preview")
    stream = session.subscribe()
    session.ask("one")
    lose(town, "openai")
    session.ask("two")
    lose(town, "azure")
    assert session.ask("three").text == "You said: three"
    assert [told(session, stream).endpoint.partition("/openai")[2] for _ in range(2)] == [
        "/v1/realtime?model=my-deployment",
        "/realtime?deployment=old-deployment&api-version=2025-04-01-preview",
    ]
    last = town.servers["preview"].sessions[-1]
    parts = [message["item"]["content"][0]["type"] for message in received(last, "conversation.item.create")]
    assert parts == ["input_text", "text", "input_text", "text", "input_text"]
    assert received(last, "session.update")[0]["session"]["modalities"] == ["text"]
    said = ["one", "You said: one", "two", "You said: two", "three", "You said: three"]
    assert texts(last) == ours(session) == said
    town.servers["openai"].faults = Faults()
    lose(town, "preview")
    assert session.ask("four").text == "You said: four"  # and back again
    first = town.servers["openai"].sessions[-1]
    assert texts(first) == ours(session) == [*said, "four", "You said: four"]
    parts = [message["item"]["content"][0]["type"] for message in received(first, "conversation.item.create")]
    assert parts == ["input_text", "output_text"] * 3 + ["input_text"]


def test_a_loss_alone_is_no_reason_to_leave_a_service(plain: Town) -> None:
    session = surviving(plain, "openai", "azure")
    stream = session.subscribe()
    session.ask("one")
    drop(plain, "openai")
    session.ask("two")
    update = told(session, stream)
    assert not update.moved
    assert update.endpoint == session.endpoint
    assert plain.servers["azure"].sessions == []


def test_tools_go_on_running_and_their_results_reach_the_next_service(town: Town) -> None:
    running, go_on = threading.Event(), threading.Event()

    @function_tool
    def measure() -> int:
        """Measure the tree."""
        running.set()
        assert go_on.wait(10)
        return 7

    def respond(turn: Turn) -> Any:
        if (turn.last or {}).get("type") == "function_call_output":
            return f"It says {turn.last['output']}"
        return Reply(function_calls=[FunctionCall("measure", {})])

    for name in ("openai", "preview"):
        town.service(name, responder=respond)
    session = surviving(town, "openai", "preview")
    stream = session.subscribe()
    asking = Running(lambda: session.ask("How tall?", tools=[measure]))
    assert running.wait(5)
    lose(town, "openai")
    told(session, stream)
    go_on.set()
    assert asking.result().text == "It says 7"
    assert [item.wire["type"] for item in town.servers["preview"].sessions[-1].conversation] == [
        "message",
        "function_call",
        "function_call_output",
        "message",
    ]


def test_what_was_not_acknowledged_and_what_waits_are_said_in_the_other_dialect(town: Town) -> None:
    session = surviving(town, "openai", "preview")
    stream = session.subscribe()
    answer = MessageItem(role="assistant", content=[ConversationContentPart.from_output_text("I was here.")])
    town.servers["openai"].sessions[-1].inject(faults.silence())
    kept = session.add_item(answer)
    by_hand = {"type": "input_audio_buffer.clear", "event_id": "event_mine"}
    session.send_message(by_hand)
    preview = town.servers["preview"]
    preview.faults = DOWN
    lose(town, "openai")
    until(lambda: session._engine.reconnecting)
    waiting = Running(lambda: session.add_item(attrs.evolve(answer)).wait(10))
    until(lambda: preview._refused > 1)  # it waits, encoded for the service that is gone
    preview.faults = Faults()
    assert waiting.result().item.content[0].text == "I was here."
    assert told(session, stream).losses == ()
    assert kept.sent_again.wait(5)
    items = received(preview.sessions[-1], "conversation.item.create")
    assert [item["item"]["content"][0]["type"] for item in items] == ["text", "text"]
    assert texts(preview.sessions[-1]) == ours(session) == ["I was here."] * 2


def test_what_the_next_service_has_no_words_for_is_told(plain: Town) -> None:
    session = surviving(plain, "openai", "preview")
    stream = session.subscribe()
    picture = ConversationContentPart(type="input_image", image_url="data:image/png;base64,AAAA")
    seen = MessageItem(role="user", content=[picture])
    session.add_item(seen).wait()
    session.ask("one")
    plain.servers["openai"].sessions[-1].inject(faults.silence())
    session.add_item(MessageItem(role="user", content=[picture]))
    preview = plain.servers["preview"]
    preview.faults = DOWN
    lose(plain, "openai")
    until(lambda: session._engine.reconnecting)
    waiting = Running(lambda: session.add_item(MessageItem(role="user", content=[picture])))
    until(lambda: preview._refused > 1)
    preview.faults = Faults()
    update = told(session, stream)
    assert [loss.partition(":")[0].partition(" ")[0] for loss in update.losses] == [
        "message",
        "conversation.item.create",
    ]
    assert all("no images" in loss for loss in update.losses)
    assert isinstance(waiting.join(), UnsupportedByDialectError)
    assert session.ask("two").text == "You said: two"
    assert texts(preview.sessions[-1]) == ours(session) == ["one", "You said: one", "two", "You said: two"]


def test_a_service_without_words_for_the_settings_is_passed_over(plain: Town) -> None:
    session = surviving(plain, "openai", "preview", "azure")
    session.configure_session(ConversationSessionOptions(output_speed=1.25)).wait()  # preview has no word for that
    session.ask("one")
    lose(plain, "openai")
    assert session.ask("two").completed
    assert session.endpoint.endswith("/openai/v1/realtime?model=my-deployment")
    assert plain.servers["azure"].sessions[-1].options["audio"]["output"]["speed"] == 1.25


def test_a_service_that_refuses_the_settings_is_passed_over_and_is_not_down(plain: Town) -> None:
    def refuse(message: dict[str, Any]) -> list[dict[str, Any]]:
        error = {"type": "invalid_request_error", "message": "no such voice", "event_id": message["event_id"]}
        return [{"type": "error", "error": error}]

    def script(link: Link) -> None:
        link.upgrade()
        Imitator({"session.update": refuse})(link)

    peer = plain.stack.enter_context(Peer(script))
    picky = OpenAIClient("a-key", endpoint=peer.url, timeouts=CALM).get_realtime_conversation_client("picky")
    client = plain.client_of("openai").with_fallbacks([picky, plain.client_of("azure")])
    session = plain.session(plain.stack.enter_context(client), reconnect=QUICKLY)
    session.ask("one")
    lose(plain, "openai")
    assert session.ask("two").completed
    assert "my-deployment" in session.endpoint
    assert states(client) == ["closed"] * 3
    assert [bool(each.why) for each in client.health] == [True, False, False]


# Back again ----------------------------------------------------------------------------------------------------------


def test_a_good_connection_is_kept_and_the_next_one_is_the_first_services_again(town: Town) -> None:
    clock = Clock()
    client = town.combined("openai", "azure", clock=clock, failures=1)
    session = town.session(client, reconnect=QUICKLY)
    stream = session.subscribe()
    lose(town, "openai")
    session.ask("one")
    assert told(session, stream).moved
    town.servers["openai"].faults = Faults()
    assert states(client) == ["open", "closed"]
    drop(town, "azure")
    session.ask("two")
    assert not told(session, stream).moved  # it is left alone yet
    clock.now += 30
    assert states(client) == ["half-open", "closed"]
    session.ask("three")
    assert "/openai/v1/" in session.endpoint  # nothing is broken for that
    drop(town, "azure")
    session.ask("four")
    update = told(session, stream)
    assert update.moved
    assert session.endpoint.endswith("/v1/realtime?model=gpt-realtime-2.1")
    assert states(client) == ["closed", "closed"]
    assert client.health[0].why is None
    assert len(ours(session)) == 8
    assert texts(town.servers["openai"].sessions[-1]) == ours(session)


def test_a_renewal_goes_back_to_the_first_service(plain: Town) -> None:
    plain.service("azure", session_seconds=3, clock=ManualClock())  # so it is renewed at once
    plain.service("openai", faults=DOWN)
    client = plain.combined("openai", "azure")
    session = plain.session(client, reconnect=Reconnect(base_delay=0.02, renew_before=3600))
    stream = session.subscribe()
    session.ask("one")
    plain.servers["openai"].faults = Faults()
    update = told(session, stream)
    assert isinstance(update.reason, SessionExpiredError)
    assert update.moved
    assert update.losses == ()
    assert session.endpoint.endswith("/v1/realtime?model=gpt-realtime-2.1")
    assert client.health[0].why is None
    assert session.ask("two").text == "You said: two"
    assert texts(plain.servers["openai"].sessions[-1]) == ours(session)


def test_a_renewal_stays_where_it_is_if_the_first_service_is_still_down(plain: Town) -> None:
    plain.service("azure", session_seconds=3, clock=ManualClock())
    plain.service("openai", faults=DOWN)
    client = plain.combined("openai", "azure", failures=2)
    session = plain.session(client, reconnect=Reconnect(base_delay=0.02, renew_before=3600))
    stream = session.subscribe()
    session.ask("one")
    assert not told(session, stream).moved
    assert states(client) == ["open", "closed"]  # the start and the renewal have found it down
    assert "/openai/v1/" in session.endpoint
    assert session.ask("two").completed


# Trouble -------------------------------------------------------------------------------------------------------------


def test_if_all_are_down_the_end_names_each_and_why(plain: Town) -> None:
    session = surviving(plain, "openai", "azure", policy=attrs.evolve(QUICKLY, give_up_after=0.6))
    session.ask("one")
    plain.servers["azure"].faults = Faults(refuse=Refusal(503))
    plain.servers["openai"].close()
    until(lambda: session.closed, 10)
    with pytest.raises(ReconnectFailedError) as raised:
        session.ask("two")
    assert "gpt-realtime-2.1 at http" in str(raised.value)
    assert "my-deployment at http" in str(raised.value)
    cause = raised.value.__cause__
    assert isinstance(cause, AllEndpointsFailedError)
    assert sorted(name.partition(" ")[0] for name, _ in cause.failures) == ["gpt-realtime-2.1", "my-deployment"]
    assert [each for each in causes(cause) if isinstance(each, ConnectionFailedError)] == [
        error for _, error in reversed(cause.failures)
    ]
    assert ours(session) == ["one", "You said: one"]


def test_verdicts_of_all_services_end_the_session_at_once(plain: Town) -> None:
    session = surviving(plain, "openai", "azure", policy=attrs.evolve(QUICKLY, give_up_after=60))
    session.ask("one")
    plain.servers["azure"].faults = Faults(refuse=Refusal(401))
    plain.servers["openai"].faults = Faults(refuse=Refusal(404))
    with within(5):
        drop(plain, "openai")
        until(lambda: session.closed, 10)
    with pytest.raises(ReconnectFailedError) as raised:
        session.ask("two")
    assert isinstance(raised.value.__cause__.failures[-1][1], AuthenticationError)  # type: ignore[union-attr]
    assert plain.servers["azure"]._refused == plain.servers["openai"]._refused == 1


@pytest.mark.parametrize("code", [1000, 3000])
def test_an_empty_account_in_mid_session_is_no_end_where_another_service_is_left(plain: Town, code: int) -> None:
    client = plain.combined("openai", "azure")
    session = plain.session(client, reconnect=QUICKLY)
    stream = session.subscribe()
    session.ask("one")
    live = plain.servers["openai"].sessions[-1]
    live.emit({"type": "error", "error": {"type": "x", "code": "insufficient_quota", "message": "Pay first."}})
    live.close(code, "no money")
    assert told(session, stream).moved
    assert states(client) == ["open", "closed"]
    assert client.health[0].why == "insufficient_quota: Pay first."
    assert session.ask("two").text == "You said: two"
    alone = plain.session(plain.client_of("azure"), reconnect=QUICKLY)
    live = plain.servers["azure"].sessions[-1]
    live.emit({"type": "error", "error": {"type": "x", "code": "insufficient_quota", "message": "Pay first."}})
    live.close(code, "no money")
    until(lambda: alone.closed)


def test_a_verdict_of_one_service_leaves_the_others_to_be_tried_with_patience(plain: Town) -> None:
    session = surviving(plain, "openai", "azure")
    session.ask("one")
    plain.servers["openai"].faults = Faults(refuse=Refusal(401))
    plain.servers["azure"].faults = Faults(refuse=Refusal(503, times=3))
    drop(plain, "openai")
    assert session.ask("two").completed
    assert (plain.servers["openai"]._refused, plain.servers["azure"]._refused) == (1, 3)


def test_a_search_that_has_no_use_for_a_service_holds_nobody_up_who_has(plain: Town) -> None:
    clock = Clock()
    client = plain.combined("openai", "azure", clock=clock, failures=100)
    session = plain.session(client, reconnect=QUICKLY)
    openai, azure = plain.servers["openai"], plain.servers["azure"]
    openai.faults, azure.faults = Faults(refuse=Refusal(401)), DOWN
    drop(plain, "openai")
    until(lambda: azure._refused > 1)
    clock.now += 31  # the first service may be tried again, and this session does not try it
    refused = azure._refused
    until(lambda: azure._refused > refused + 2)
    assert client._chain is not None
    assert client._chain.services[0].circuit.admits()
    azure.faults = Faults()
    assert session.ask("one").completed


def test_a_service_that_asks_for_patience_holds_no_other_up(plain: Town) -> None:
    session = surviving(plain, "openai", "azure")
    session.ask("one")
    plain.servers["openai"].faults = Faults(refuse=Refusal(503, {"retry-after": "60"}))
    plain.servers["azure"].faults = Faults(refuse=Refusal(503, times=2))
    with within(5):
        drop(plain, "openai")
        assert session.ask("two").completed
    assert plain.servers["openai"]._refused == 1  # not before it has said


def test_a_service_that_loses_each_session_soon_is_left(plain: Town) -> None:
    session = surviving(plain, "openai", "azure")
    stream = session.subscribe()
    plain.servers["openai"].faults = Faults(acts=[faults.drop(after_sent=2)])  # the greeting, and the settings
    drop(plain, "openai")
    until(lambda: "/openai/v1/" in session.endpoint)
    assert session.ask("one").completed
    assert len(plain.servers["openai"].sessions) < 4
    session.close()
    assert any(update.moved for update in stream if isinstance(update, SessionReconnectedUpdate))


def test_closing_ends_the_search(plain: Town) -> None:
    session = surviving(plain, "openai", "azure")
    plain.servers["azure"].faults = DOWN
    lose(plain, "openai")
    until(lambda: plain.servers["azure"]._refused > 1)
    with within(2):
        session.close()
    assert session.closed
    assert session.close_info.clean or session.close_info.initiator == "local"


# Money, recordings, secrets ------------------------------------------------------------------------------------------


def test_the_budget_reckons_with_the_prices_of_the_model_in_use(plain: Town) -> None:
    cheap, dear = ModelPrices(text_in=1, text_out=1), ModelPrices(text_in=1000, text_out=1000)
    prices = PRICES.with_model("gpt-realtime-2.1", cheap).with_model("my-model", dear)
    budget = Budget(1000.0, prices)
    session = surviving(plain, "openai", "own", budget=budget)
    session.ask("one")
    before = budget.spent
    assert 0 < before < 0.01
    lose(plain, "openai")
    answer = session.ask("two")
    tokens = answer.usage.total_tokens
    assert budget.spent - before == pytest.approx(tokens * 1000 / 1e6)
    assert session.conversation.cost(prices) == pytest.approx(budget.spent)
    assert session.conversation.cost() is None
    assert "'my-model' has no price" in str(session.conversation.cost_note())


def test_a_recording_tells_each_service_and_is_read_in_its_dialect(plain: Town, tmp_path: Path) -> None:
    path = tmp_path / "recording.jsonl"
    session = surviving(plain, "openai", "preview", recording=path)
    session.ask("one")
    lose(plain, "openai")
    session.ask("two")
    session.close()
    recording = Recording.read(path)
    assert recording.faults == ()
    assert [each.url.partition("?")[0].rpartition(":")[2].partition("/")[2] for each in recording.connections] == [
        "v1/realtime",
        "openai/realtime",
    ]
    assert {(each.connection, each.dialect) for each in recording.entries} == {(1, None), (2, Dialect.PREVIEW)}
    kinds = {type(recording.decoded(each)).__name__ for each in recording.entries if each.direction == "in"}
    assert "ConversationItemAddedUpdate" in kinds
    assert "ConversationItemCreatedUpdate" not in kinds  # as preview calls it
    assert "UnknownUpdate" not in kinds
    said = [part.text for item in recording.conversation().items for part in item.content]
    assert said[-2:] == ["two", "You said: two"]
    text = path.read_text("utf-8")
    assert not any(key in text for key in KEYS.values())


def test_each_service_may_tell_the_others_key_and_nobody_hears_it(plain: Town, tmp_path: Path, caplog: Any) -> None:
    caplog.set_level("DEBUG")
    path = tmp_path / "recording.jsonl"
    session = surviving(plain, "openai", "azure", recording=path)
    session.ask("one")
    lose(plain, "openai")
    session.ask("two")
    message = f"the keys {KEYS['openai']} and {KEYS['azure']} are known"
    live = plain.servers["azure"].sessions[-1]
    live.emit({"type": "error", "error": {"type": "server_error", "code": "x", "message": message}})
    update = session.wait_for("error", 5)
    session.close()
    seen = f"{update} {update.error.message} {update.raw_content} {path.read_text('utf-8')} {caplog.text} {session!r}"
    assert not any(key in seen for key in KEYS.values())
    assert "the keys *** and *** are known" in update.error.message


def test_many_sessions_of_one_client_go_on_together(plain: Town) -> None:
    client = plain.combined("openai", "azure")
    sessions = [plain.session(client, reconnect=QUICKLY) for _ in range(5)]
    for session in sessions:
        session.add_item(ConversationItem.create_user_message("remember this")).wait()
    plain.servers["openai"].close()
    answers = [Running(lambda session=session: session.ask("Well?").text) for session in sessions]
    assert [each.result(20) for each in answers] == ["You said: Well?"] * 5
    assert all("my-deployment" in session.endpoint for session in sessions)
    live = plain.servers["azure"].sessions
    assert [texts(each) for each in live] == [["remember this", "Well?", "You said: Well?"]] * 5

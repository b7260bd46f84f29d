"""Responses: one at a time in the conversation, cut short in every way, and what they cost."""

from __future__ import annotations

import base64
import threading
from typing import Any, Callable, Iterator

import pytest

from realtime_sync.server import FunctionCall, MCPCall, RealtimeServer, Reply, Turn
from tests.server.conftest import TIMEOUT, Peer
from tests.server.sounds import silence, tone


class Gate:
    """A responder that says one word, then waits until it is let on."""

    def __init__(self) -> None:
        self.go = threading.Event()

    def __call__(self, turn: Turn) -> Iterator[str]:
        yield "Wait."
        self.go.wait(TIMEOUT)
        yield " Done."


@pytest.fixture
def gate() -> Iterator[Gate]:
    made = Gate()
    yield made
    made.go.set()


@pytest.fixture
def gated(gate: Gate, open_peer: Callable[..., Peer]) -> Iterator[Peer]:
    with RealtimeServer(responder=gate) as server:
        peer = open_peer(server)
        peer.update(output_modalities=["text"])
        yield peer
        gate.go.set()  # before the server closes, which would wait for the responder


def test_text_deltas_add_up_to_the_text(peer: Peer) -> None:
    peer.update(output_modalities=["text"])
    peer.user_says("the quick brown fox")
    peer.say("response.create")
    done = peer.until("response.done")["response"]
    deltas = "".join(event["delta"] for event in peer.seen if event["type"] == "response.output_text.delta")
    whole = next(event["text"] for event in peer.seen if event["type"] == "response.output_text.done")
    assert deltas == whole == done["output"][0]["content"][0]["text"] == "You said: the quick brown fox"
    assert (done["status"], done["status_details"]) == ("completed", None)
    assert not [kind for kind in peer.types() if "audio" in kind]


def test_audio_can_be_heard_and_its_transcript_adds_up(peer: Peer) -> None:
    peer.user_says("Good morning")
    peer.say("response.create")
    done = peer.until("response.done")["response"]
    audio = b"".join(base64.b64decode(e["delta"]) for e in peer.seen if e["type"] == "response.output_audio.delta")
    said = "".join(e["delta"] for e in peer.seen if e["type"] == "response.output_audio_transcript.delta")
    assert said == done["output"][0]["content"][0]["transcript"] == "Hello! You said: Good morning"
    assert len(audio) > 48_000
    assert max(audio[1::2]) > 16  # louder than a whisper


def test_a_second_response_in_the_conversation_is_refused_while_one_is_active(gated: Peer, gate: Gate) -> None:
    gated.say("response.create")
    first = gated.until("response.created")["response"]["id"]
    gated.say("response.create", event_id="second")
    error = gated.error()
    assert (error["code"], error["event_id"]) == ("conversation_already_has_active_response", "second")
    assert error["message"] == (
        f"Conversation already has an active response in progress: {first}. "
        "Wait until the response is finished before creating a new one."
    )
    gated.say("response.create", response={"conversation": "none", "metadata": {"side": "1"}})
    gated.until(lambda e: e["type"] == "response.created" and e["response"]["metadata"] == {"side": "1"})
    gate.go.set()
    ends = {gated.until("response.done")["response"]["id"] for _ in range(2)}
    assert first in ends
    assert len(ends) == 2


def test_cancelling_ends_at_once_although_the_responder_goes_on(gated: Peer) -> None:
    gated.say("response.create")
    gated.until("response.output_text.delta")
    gated.say("response.cancel")
    done = gated.until("response.done")["response"]
    assert done["status"] == "cancelled"
    assert done["status_details"] == {"type": "cancelled", "reason": "client_cancelled"}
    item = done["output"][0]
    assert (item["status"], item["content"][0]["text"]) == ("incomplete", "Wait.")
    gated.say("response.create")
    assert gated.until("response.created")["response"]["id"] != done["id"]


def test_cancelling_by_id_reaches_a_response_out_of_band(gated: Peer) -> None:
    gated.say("response.create", response={"conversation": "none"})
    response_id = gated.until("response.created")["response"]["id"]
    gated.say("response.cancel")  # there is none in the conversation
    assert gated.error()["code"] == "response_cancel_not_active"
    gated.say("response.cancel", response_id=response_id)
    assert gated.until("response.done")["response"]["status"] == "cancelled"


def test_speech_interrupts_a_response(gated: Peer, gate: Gate) -> None:
    gated.say("response.create")
    gated.until("response.output_text.delta")
    gated.append(tone(400) + silence(100))
    done = gated.until("response.done")["response"]
    assert done["status_details"] == {"type": "cancelled", "reason": "turn_detected"}
    kinds = gated.types()
    assert kinds.index("input_audio_buffer.speech_started") < kinds.index("response.done")


def test_speech_does_not_interrupt_where_it_may_not(gated: Peer, gate: Gate) -> None:
    detection = {"type": "server_vad", "interrupt_response": False}
    gated.update(audio={"input": {"turn_detection": detection}})
    gated.say("response.create")
    gated.until("response.output_text.delta")
    gated.append(tone(400) + silence(400))
    assert gated.error()["code"] == "conversation_already_has_active_response"
    gate.go.set()
    assert gated.until("response.done")["response"]["status"] == "completed"


def test_max_output_tokens_leaves_a_response_incomplete(peer: Peer) -> None:
    peer.update(output_modalities=["text"])
    peer.user_says("one two three four five six seven eight nine ten")
    peer.say("response.create", response={"max_output_tokens": 5})
    done = peer.until("response.done")["response"]
    assert done["status"] == "incomplete"
    assert done["status_details"] == {"type": "incomplete", "reason": "max_output_tokens"}
    assert done["output"][0]["status"] == "incomplete"
    assert done["usage"]["output_tokens"] <= 5
    assert done["max_output_tokens"] == 5


def division(turn: Turn) -> Any:
    return 1 / 0


def breaks_off(turn: Turn) -> Any:
    yield "So far "
    raise KeyError


def of_nobody() -> Any:
    return "never said"


WANTED = "; it must return a text, a Reply, a FunctionCall, an MCPCall, or a list of them"
WRONG: dict[str, tuple[Any, str]] = {
    "an exception": (division, "the responder failed: ZeroDivisionError: division by zero"),
    "an exception later": (breaks_off, "the responder failed: KeyError"),
    "a wrong signature": (
        of_nobody,
        "the responder failed: TypeError: of_nobody() takes 0 positional arguments but 1 was given",
    ),
    "nothing": (lambda turn: None, "the responder returned None" + WANTED),
    "a dict": (lambda turn: {"text": "Hi"}, "the responder returned {'text': 'Hi'}" + WANTED),
    "bytes": (lambda turn: b"Hi", "the responder returned b'Hi'" + WANTED),
    "a list of what is no piece": (lambda turn: ["Hi", 42], "the responder returned 42 in a list" + WANTED),
    "another's tool": (
        lambda turn: MCPCall("elsewhere", "look"),
        "the responder calls a tool of the MCP server 'elsewhere', which the session does not have",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_responder_that_fails_fails_the_response_alone_and_is_told_why(
    open_peer: Callable[..., Peer], name: str
) -> None:
    responder, told = WRONG[name]
    with RealtimeServer(responder=responder) as server:
        peer = open_peer(server)
        peer.say("response.create")
        done = peer.until("response.done")["response"]
        error = {"type": "server_error", "code": "server_error", "message": told}
        assert (done["status"], done["status_details"]) == ("failed", {"type": "failed", "error": error})
        peer.user_says("still there?")
        peer.until("conversation.item.done")


def test_what_a_responder_returned_is_told_shortened(open_peer: Callable[..., Peer]) -> None:
    with RealtimeServer(responder=lambda turn: {"text": "x" * 100_000}) as server:
        peer = open_peer(server)
        peer.say("response.create")
        details = peer.until("response.done")["response"]["status_details"]
    assert len(details["error"]["message"]) < 300


def test_what_is_no_audio_fails_the_response_alone(open_peer: Callable[..., Peer]) -> None:
    wrong: Any = "no bytes"
    with RealtimeServer(responder=lambda turn: Reply("Listen.", audio=wrong)) as server:
        peer = open_peer(server)
        for _ in range(2):
            peer.say("response.create")
            assert peer.until("response.done")["response"]["status"] == "failed"


def test_a_reply_brings_its_own_audio_and_calls(open_peer: Callable[..., Peer]) -> None:
    pcm = tone(350)
    reply = Reply("Listen.", audio=pcm, function_calls=[("f", {"a": 1}), FunctionCall("g")])
    with RealtimeServer(responder=lambda turn: reply) as server:
        peer = open_peer(server)
        peer.say("response.create")
        done = peer.until("response.done")["response"]
    audio = b"".join(base64.b64decode(e["delta"]) for e in peer.seen if e["type"] == "response.output_audio.delta")
    assert audio == pcm
    assert [item["type"] for item in done["output"]] == ["message", "function_call", "function_call"]


def test_the_responder_sees_the_turn(open_peer: Callable[..., Peer]) -> None:
    turns: list[Turn] = []

    def responder(turn: Turn) -> str:
        turns.append(turn)
        return "Yes."

    with RealtimeServer(responder=responder) as server:
        peer = open_peer(server)
        tool = {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}}
        peer.update(instructions="Be brief.", tools=[tool], audio={"input": {"turn_detection": None}})
        peer.append(tone(500))
        peer.say("input_audio_buffer.commit")
        item_id = peer.until("conversation.item.done")["item"]["id"]
        peer.say("response.create", response={"instructions": "Be long.", "tool_choice": "none"})
        peer.until("response.done")
    turn = turns[0]
    assert (turn.instructions, turn.tool_choice, [t["name"] for t in turn.tools]) == ("Be long.", "none", ["f"])
    assert turn.audio_ms == {item_id: 500}
    assert turn.audio == {item_id: tone(500)}
    assert turn.last is not None
    assert turn.last["id"] == item_id


@pytest.mark.parametrize("choice", ["required", {"type": "function", "name": "second"}, "auto", "none"])
def test_the_default_responder_heeds_the_tool_choice(peer: Peer, choice: Any) -> None:
    tools = [{"type": "function", "name": name} for name in ("first", "second")]
    peer.update(output_modalities=["text"], tools=tools, tool_choice=choice)
    peer.user_says("Hello")
    peer.say("response.create")
    item = peer.until("response.done")["response"]["output"][0]
    name = {"required": "first", "auto": None, "none": None}.get(choice) if isinstance(choice, str) else "second"
    assert item.get("name") == name


def test_usage_follows_its_rule_and_the_next_response_reads_from_the_cache(peer: Peer) -> None:
    peer.update(output_modalities=["text"], instructions="x" * 400)  # 100 tokens
    peer.user_says("abcdefgh")  # 2 tokens
    peer.say("response.create")
    usage = peer.until("response.done")["response"]["usage"]
    assert (usage["input_tokens"], usage["input_token_details"]["text_tokens"]) == (102, 102)
    assert usage["input_token_details"]["cached_tokens"] == 0
    assert usage["total_tokens"] == 102 + usage["output_tokens"]
    limits = peer.until("rate_limits.updated")["rate_limits"][0]
    assert limits["remaining"] == limits["limit"] - usage["total_tokens"]
    peer.user_says("again")
    peer.say("response.create")
    assert peer.until("response.done")["response"]["usage"]["input_token_details"]["cached_tokens"] == 64


def test_a_client_that_reads_late_still_gets_all_of_a_long_answer_in_order(open_peer: Callable[..., Peer]) -> None:
    def responder(turn: Turn) -> Iterator[str]:
        return (f"{number} " for number in range(5000))

    with RealtimeServer(responder=responder) as server:
        peer = open_peer(server, checked=False)
        peer.update(output_modalities=["text"])
        peer.say("response.create")
        assert server.wait_for_session().wait_for_sent("response.output_text.delta")
        done = peer.until("response.done")["response"]
        deltas = [e["delta"] for e in peer.seen if e["type"] == "response.output_text.delta"]
        assert deltas == [f"{number} " for number in range(5000)]
        assert done["status"] == "completed"


def test_what_is_queued_for_a_client_that_does_not_read_is_bounded(open_peer: Callable[..., Peer]) -> None:
    reply = Reply("", audio=bytes(20_000_000))  # 4,167 deltas of 6.4 kB each on the wire
    with RealtimeServer(responder=lambda turn: reply, record=False) as server:
        peer = open_peer(server, checked=False)
        peer.say("response.create")
        peer.until("response.content_part.added")
        session, seen = server.wait_for_session(), -1
        while seen != session.sent_count:  # until it stands still; the socket's buffers hold some megabytes, too
            seen = session.sent_count
            threading.Event().wait(0.3)
        assert session.sent_count < 3000
        peer.until("response.done")
        deltas = [event["delta"] for event in peer.seen if event["type"] == "response.output_audio.delta"]
        assert sum(len(base64.b64decode(delta)) for delta in deltas) == 20_000_000

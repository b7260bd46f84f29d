"""Whole conversations, each with a server of its own. A ``Peer`` checks every event against the spec as it comes."""

from __future__ import annotations

import base64
from typing import Any, Callable, Iterable

from realtime_sync.server import FunctionCall, MCPCall, RealtimeServer, Reply, Turn
from realtime_sync.testing import ManualClock
from tests.server.conftest import Peer
from tests.server.rest_peer import post
from tests.server.sounds import silence, tone

Json = dict[str, Any]
Open = Callable[..., Peer]
Conversation = Callable[[Open], None]

PREVIEW = "/openai/realtime?api-version=2025-04-01-preview&deployment=d"
WEATHER = {
    "type": "function",
    "name": "get_weather",
    "description": "Tells the weather.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}
LONG = Reply("A long answer.", audio=tone(20_000))
SPOKEN = silence(400) + tone(800) + silence(700)


def _preview(open_peer: Open, server: RealtimeServer, query: str = "") -> Peer:
    peer = open_peer(server, PREVIEW + query, headers=("api-key: k",), dialect="preview")
    peer.recv()
    return peer


def _user(*parts: Json) -> Json:
    return {"type": "message", "role": "user", "content": list(parts)}


# GA ----------------------------------------------------------------------------------------------------------------


def text(open_peer: Open) -> None:
    """Items of every kind, put in, taken out and looked at; answers in text, in and out of the conversation."""
    with RealtimeServer() as server:
        peer = open_peer(server)
        peer.update(
            output_modalities=["text"],
            instructions="Be brief.",
            max_output_tokens=500,
            tracing={"workflow_name": "w"},
            truncation={"type": "retention_ratio", "retention_ratio": 0.8},
            reasoning={"effort": "low"},
            include=["item.input_audio_transcription.logprobs"],
        )
        image = {"type": "input_image", "image_url": "data:image/png;base64,AAAA", "detail": "low"}
        peer.say(
            "conversation.item.create", item={**_user({"type": "input_text", "text": "Look"}, image), "id": "mine"}
        )
        peer.say("conversation.item.create", item={**_user({"type": "input_text", "text": "x"}), "id": "no_more"})
        said = [{"type": "output_text", "text": "A picture."}]
        peer.say("conversation.item.create", item={"type": "message", "role": "assistant", "content": said})
        told = [{"type": "input_text", "text": "Be kind."}]
        system = {"type": "message", "role": "system", "content": told}
        peer.say("conversation.item.create", item=system, previous_item_id="root")
        peer.say("conversation.item.delete", item_id="no_more")
        peer.say("conversation.item.retrieve", item_id="mine")
        peer.until("conversation.item.retrieved")
        peer.user_says("Hello")
        peer.say("response.create")
        peer.until("response.done")
        about = {"conversation": "none", "metadata": {"topic": "t"}, "output_modalities": ["text"]}
        peer.say("response.create", response={**about, "input": [{"type": "item_reference", "id": "mine"}]})
        assert peer.until("response.done")["response"]["metadata"] == {"topic": "t"}


def a_spoken_turn(open_peer: Open) -> None:
    """Voice activity, transcription, an answer aloud; its audio shortened and looked at."""
    with RealtimeServer() as server:
        for model in ("gpt-4o-transcribe", "gpt-transcribe"):
            peer = open_peer(server)
            noise = {"type": "near_field"}
            peer.update(audio={"input": {"transcription": {"model": model}, "noise_reduction": noise}})
            peer.append(SPOKEN)
            item = peer.until("response.done")["response"]["output"][0]
            peer.say("conversation.item.truncate", item_id=item["id"], content_index=0, audio_end_ms=200)
            peer.until("conversation.item.truncated")
            peer.say("conversation.item.retrieve", item_id=item["id"])
            audio = peer.until("conversation.item.retrieved")["item"]["content"][0]["audio"]
            assert len(audio) == 200 * 48 * 4 // 3
            if "conversation.item.input_audio_transcription.completed" not in peer.types():
                peer.until("conversation.item.input_audio_transcription.completed")


def audio_by_hand(open_peer: Open) -> None:
    """The client decides what a turn is; G.711 in and out."""
    with RealtimeServer() as server:
        peer = open_peer(server)
        formats = {"type": "audio/pcmu"}
        peer.update(
            audio={"input": {"turn_detection": None, "format": formats}, "output": {"format": formats, "speed": 1.2}}
        )
        peer.append(bytes(8000))
        peer.say("input_audio_buffer.clear")
        peer.append(bytes(8000))
        peer.say("input_audio_buffer.commit")
        peer.until("conversation.item.done")
        peer.say("response.create", response={"audio": {"output": {"voice": "marin"}}})
        peer.until("response.done")


def interruption(open_peer: Open) -> None:
    """The user speaks while an answer is said; semantic detection."""
    with RealtimeServer(responder=lambda turn: LONG, audio_pace=1.0, clock=ManualClock()) as server:
        peer = open_peer(server)
        peer.update(audio={"input": {"turn_detection": {"type": "semantic_vad", "eagerness": "high"}}})
        peer.user_says("Talk")
        peer.say("response.create")
        peer.until("response.output_audio.delta")
        peer.append(tone(400))
        details = peer.until("response.done")["response"]["status_details"]
        assert details == {"type": "cancelled", "reason": "turn_detected"}


def idleness(open_peer: Open) -> None:
    """Nobody says anything after an answer."""
    with RealtimeServer(responder=lambda turn: Reply("Well?", audio=tone(200))) as server:
        peer = open_peer(server)
        peer.update(audio={"input": {"turn_detection": {"type": "server_vad", "idle_timeout_ms": 5000}}})
        peer.append(SPOKEN)
        peer.until("response.done")
        peer.append(silence(7000))
        peer.until("input_audio_buffer.timeout_triggered")
        peer.until("response.done")


def a_tool_round(open_peer: Open) -> None:
    """A call, its result, the answer; and a message with a call in one response, forced."""
    with RealtimeServer() as server:
        peer = open_peer(server)
        peer.update(output_modalities=["text"], tools=[WEATHER], tool_choice="auto", parallel_tool_calls=True)
        for choice in ({}, {"tool_choice": {"type": "function", "name": "get_weather"}}, {"tool_choice": "required"}):
            peer.user_says("What is the weather in Paris?")
            peer.say("response.create", response=choice)
            call = peer.until("response.done")["response"]["output"][0]
            output = {"type": "function_call_output", "call_id": call["call_id"], "output": "Sun."}
            peer.say("conversation.item.create", item=output)
            peer.say("response.create", response={"tool_choice": "none"})
            peer.until("response.done")
    both = [Reply("Let me look.", function_calls=[FunctionCall("get_weather", {"city": "Rome"})])]
    with RealtimeServer(responder=lambda turn: both) as server:
        peer = open_peer(server)
        peer.say("response.create")
        assert len(peer.until("response.done")["response"]["output"]) == 2


def endings(open_peer: Open) -> None:
    """Answers that are cancelled, that run out of tokens, that fail."""

    def fails(turn: Turn) -> Iterable[str]:
        yield "I was about to say"
        raise RuntimeError("a defect")

    with RealtimeServer(responder=lambda turn: LONG, audio_pace=1.0, clock=ManualClock()) as server:
        peer = open_peer(server)
        peer.say("response.create")
        peer.until("response.output_audio.delta")
        peer.say("response.cancel")
        assert peer.until("response.done")["response"]["status"] == "cancelled"
        peer.say("response.create", response={"max_output_tokens": 1})
        assert peer.until("response.done")["response"]["status"] == "incomplete"
    with RealtimeServer(responder=fails) as server:
        peer = open_peer(server)
        peer.update(output_modalities=["text"])
        peer.say("response.create")
        assert peer.until("response.done")["response"]["status"] == "failed"


def errors(open_peer: Open) -> None:
    """What is refused, a transcription that fails, a session that expires."""

    def deaf(pcm: bytes, rate: int) -> str:
        raise ValueError("nothing to hear")

    clock = ManualClock()
    with RealtimeServer(transcriber=deaf, clock=clock) as server:
        peer = open_peer(server)
        peer.ws.send("{")
        peer.error()
        peer.ws.send_binary(b"\0")
        peer.error()
        for wire_type, fields in (
            ("session.update", {"session": {"type": "realtime", "bogus": 1}}),
            ("conversation.item.delete", {"item_id": "none", "event_id": "mine"}),
            ("input_audio_buffer.commit", {}),
            ("response.cancel", {}),
            ("nonsense", {}),
        ):
            peer.say(wire_type, **fields)
            peer.error()
        peer.update(audio={"input": {"transcription": {"model": "whisper-1"}, "turn_detection": None}})
        peer.append(tone(300))
        peer.say("input_audio_buffer.commit")
        peer.until("conversation.item.input_audio_transcription.failed")
        clock.advance(3600)
        assert peer.error()["code"] == "session_expired"


def a_transcription(open_peer: Open) -> None:
    """A session that only writes down what it hears."""
    with RealtimeServer() as server:
        peer = open_peer(server, "/v1/realtime?intent=transcription")
        detection = {"type": "server_vad", "silence_duration_ms": 300}
        audio = {
            "input": {"transcription": {"model": "gpt-4o-transcribe", "language": "en"}, "turn_detection": detection}
        }
        peer.say("session.update", session={"type": "transcription", "audio": audio})
        peer.append(SPOKEN)
        peer.until("conversation.item.input_audio_transcription.completed")


def remote_tools(open_peer: Open) -> None:
    """Tools of remote MCP servers: listed, not found, approved and called, called in vain."""

    def responder(turn: Turn) -> Reply:
        made = [item for item in turn.items if item["type"] == "mcp_call"]
        return Reply("Done.") if made else Reply(mcp_calls=[works, fails])

    works = MCPCall("docs", "search", {"q": "trees"}, output="one tree")
    fails = MCPCall("docs", "search", {"q": "none"}, error={"type": "tool_execution_error", "message": "nothing"})
    docs = {"type": "mcp", "server_label": "docs", "server_url": "https://docs.test/mcp"}
    with RealtimeServer(responder=responder, mcp_servers={"docs": ["search"]}) as server:
        for approval in ("never", "always"):
            peer = open_peer(server)
            absent = {**docs, "server_label": "absent"}
            tools = [{**docs, "require_approval": approval}, absent]
            peer.say("session.update", session={"type": "realtime", "output_modalities": ["text"], "tools": tools})
            peer.until("mcp_list_tools.failed")
            peer.user_says("Go")
            peer.say("response.create")
            for _ in range(2 if approval == "always" else 0):
                item = peer.until(lambda event: event.get("item", {}).get("type") == "mcp_approval_request")["item"]
                peer.until("conversation.item.done")
                answer = {"type": "mcp_approval_response", "approval_request_id": item["id"], "approve": True}
                peer.say("conversation.item.create", item=answer)
            ended = ("response.mcp_call.completed", "response.mcp_call.failed")
            while sum(event["type"] in ended for event in peer.seen) < 2:
                peer.recv()


def a_call(open_peer: Open) -> None:
    """A caller who speaks, presses a key, hears an answer and interrupts one."""
    with RealtimeServer(responder=lambda turn: LONG, audio_pace=1.0, clock=ManualClock()) as server:
        call = server.call(server.place_call())
        post(server, f"/v1/realtime/calls/{call.id}/accept", {"type": "realtime"})
        peer = open_peer(server, f"/v1/realtime?call_id={call.id}")
        peer.update(audio={"input": {"transcription": {"model": "whisper-1"}}})
        call.press("#")
        call.say(SPOKEN)
        peer.until("output_audio_buffer.started")
        call.say(tone(500))
        peer.until("output_audio_buffer.cleared")
    with RealtimeServer() as server:
        call = server.call(server.place_call())
        post(server, f"/v1/realtime/calls/{call.id}/accept", {"type": "realtime"})
        peer = open_peer(server, f"/v1/realtime?call_id={call.id}")
        peer.update(instructions="Speak.")
        peer.say("response.create")
        peer.until("output_audio_buffer.stopped")


def a_translation(open_peer: Open) -> None:
    """What is said, in another language, until it is ended."""
    with RealtimeServer() as server:
        path = "/v1/realtime/translations?model=gpt-realtime-translate"
        peer = open_peer(server, path, dialect="translation")
        audio = {"input": {"transcription": {"model": "whisper-1"}}, "output": {"language": "es"}}
        peer.say("session.update", session={"audio": audio})
        peer.say("session.input_audio_buffer.append", audio=base64.b64encode(SPOKEN).decode())
        peer.say("session.close")
        peer.until("session.closed")


# Preview -----------------------------------------------------------------------------------------------------------


def text_in_preview(open_peer: Open) -> None:
    """Items, answers and an answer out of the conversation."""
    with RealtimeServer() as server:
        peer = _preview(open_peer, server)
        peer.say("session.update", session={"modalities": ["text"], "temperature": 0.7, "voice": "echo"})
        peer.say("conversation.item.create", item={**_user({"type": "input_text", "text": "Hello"}), "id": "mine"})
        said = [{"type": "text", "text": "Hi."}]
        peer.say(
            "conversation.item.create", item={"type": "message", "role": "assistant", "content": said, "id": "his"}
        )
        peer.say("conversation.item.retrieve", item_id="mine")
        peer.say("conversation.item.delete", item_id="his")
        peer.say("response.create")
        peer.until("response.done")
        peer.say("response.create", response={"conversation": "none", "modalities": ["text"], "metadata": {"a": "b"}})
        peer.until("response.done")


def a_spoken_turn_in_preview(open_peer: Open) -> None:
    """Voice activity, transcription, an answer aloud, shortened; then by hand."""
    with RealtimeServer() as server:
        peer = _preview(open_peer, server)
        peer.say("session.update", session={"input_audio_transcription": {"model": "whisper-1"}})
        peer.append(SPOKEN)
        item = peer.until("response.done")["response"]["output"][0]
        peer.say("conversation.item.truncate", item_id=item["id"], content_index=0, audio_end_ms=100)
        peer.until("conversation.item.truncated")
        formats = {"input_audio_format": "g711_alaw", "output_audio_format": "g711_alaw"}
        peer.say("session.update", session={"turn_detection": {"type": "none"}, **formats})
        peer.append(bytes(4000))
        peer.say("input_audio_buffer.clear")
        peer.until("input_audio_buffer.cleared")
        peer.append(bytes(4000))
        peer.say("input_audio_buffer.commit")
        peer.until("input_audio_buffer.committed")
        peer.say("response.create")
        peer.until("response.done")


def a_tool_round_in_preview(open_peer: Open) -> None:
    """A call, its result, the answer; an answer that is cancelled; an error."""
    with RealtimeServer() as server:
        peer = _preview(open_peer, server)
        peer.say("session.update", session={"modalities": ["text"], "tools": [WEATHER]})
        peer.user_says("What is the weather in Paris?")
        peer.say("response.create")
        call = peer.until("response.done")["response"]["output"][0]
        output = {"type": "function_call_output", "call_id": call["call_id"], "output": "Sun."}
        peer.say("conversation.item.create", item=output)
        peer.say("response.create")
        peer.until("response.done")
        peer.say("response.cancel")
        peer.error()


def endings_in_preview(open_peer: Open) -> None:
    """An answer that is cancelled; a transcription that fails."""

    def deaf(pcm: bytes, rate: int) -> str:
        raise ValueError("nothing to hear")

    clock = ManualClock()
    with RealtimeServer(responder=lambda turn: LONG, transcriber=deaf, audio_pace=1.0, clock=clock) as server:
        peer = _preview(open_peer, server)
        peer.say("session.update", session={"input_audio_transcription": {"model": "whisper-1"}})
        peer.append(SPOKEN)
        peer.until("response.audio.delta")
        peer.say("response.cancel")
        assert peer.until("response.done")["response"]["status"] == "cancelled"
        if "conversation.item.input_audio_transcription.failed" not in peer.types():
            peer.until("conversation.item.input_audio_transcription.failed")


GA: tuple[Conversation, ...] = (
    text,
    a_spoken_turn,
    audio_by_hand,
    interruption,
    idleness,
    a_tool_round,
    endings,
    errors,
    a_transcription,
    remote_tools,
    a_call,
)
PREVIEW_DIALECT: tuple[Conversation, ...] = (
    text_in_preview,
    a_spoken_turn_in_preview,
    a_tool_round_in_preview,
    endings_in_preview,
)
TRANSLATION: tuple[Conversation, ...] = (a_translation,)

"""The prompt in silence: who counts as silent, and what happens if somebody speaks after all."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from realtime_sync import (
    ConversationSessionOptions,
    RealtimeConversationSession,
    ResponseCreatedUpdate,
    TurnDetectionOptions,
    function_tool,
)
from realtime_sync.server import FunctionCall, Piece, Script, ServerSession, Turn
from realtime_sync.server.script import expect
from realtime_sync.server.voice import speak
from realtime_sync.voice import FileMicrophone, FileSpeaker
from tests.core.answers import received
from tests.core.harness import House, Running, until
from tests.recipes.guide import recipe

pytestmark = pytest.mark.medium

PACE = 8.0
PATIENCE = 0.3
THERE, GOODBYE = "Are you still there?", "I hear nothing, so I hang up. Goodbye!"


def answering(turn: Turn) -> str:
    said = str(turn.params.get("instructions") or "")
    return said.removeprefix("Say exactly: ") or "I see."


def vad(**options: Any) -> ConversationSessionOptions:
    detection = TurnDetectionOptions.server_vad(silence_duration_ms=200, prefix_padding_ms=0)
    return ConversationSessionOptions(turn_detection_options=detection, **options)


class Line:
    """A spoken conversation that is looked after, until it ends by itself."""

    def __init__(self, session: RealtimeConversationSession, *said: bytes) -> None:
        self.session, self.stop = session, threading.Event()
        self.microphone, self.speaker = FileMicrophone(*said, pace=PACE), FileSpeaker(pace=PACE)
        self.on_response: Callable[[str], object] = lambda response_id: None
        updates = session.subscribe()
        arguments = session, updates, self.speaker, self.stop, PATIENCE
        self.company = Running(lambda: recipe("keep_company").keep_company(*arguments))

    def run(self) -> list[str]:
        """Talk until the end; what the model said."""
        self.session.talk(self.microphone, self.speaker, stop=self.stop, on_update=self._note)
        self.company.result()
        return [item.text for item in self.session.conversation.items if getattr(item, "role", "") == "assistant"]

    def _note(self, update: Any) -> None:
        if isinstance(update, ResponseCreatedUpdate):
            self.on_response(str(update.response_id))


def test_who_answers_the_prompt_is_asked_again_before_the_goodbye(plain: House) -> None:
    """The answer comes while the prompt is being said."""
    plain.serve(responder=answering)
    line = Line(plain.open(start={"options": vad()}))
    responses: list[str] = []

    def answer_the_prompt(response_id: str) -> None:
        responses.append(response_id)
        if len(responses) == 1:
            line.microphone.say(speak("yes I am here"))

    line.on_response = answer_the_prompt
    said = line.run()
    assert said[1:] == ["I see.", THERE, GOODBYE]
    assert THERE.startswith(said[0])  # as far as it was heard


def test_a_tool_that_runs_is_no_silence(plain: House) -> None:
    ran = threading.Event()

    @function_tool
    def look_up() -> str:
        """Looks it up."""
        ran.wait(4 * PATIENCE)
        return "found"

    def calling(turn: Turn) -> Piece:
        last = turn.items[-1] if turn.items else {}
        return FunctionCall("look_up") if last.get("role") == "user" else answering(turn)

    plain.serve(responder=calling)
    said = Line(plain.open(start={"options": vad(tools=[look_up])}), speak("look it up")).run()
    assert said == ["I see.", THERE, GOODBYE]


def test_who_speaks_for_long_is_not_asked(plain: House) -> None:
    """Also if that interrupts the model, whose answer is done then."""
    asked_while_speaking: list[int] = []

    def go_on_speaking(live: ServerSession) -> None:
        time.sleep(3 * PATIENCE)  # the user speaks all the time; what must not happen has no event
        asked_while_speaking.append(len(received(live, "response.create")))

    script = Script(
        [
            expect("go"),
            {"type": "response.created", "response": {"id": "resp_1", "output": []}},
            {"type": "input_audio_buffer.speech_started", "audio_start_ms": 0, "item_id": "item_1"},
            {"type": "response.done", "response": {"id": "resp_1", "output": [], "status": "cancelled"}},
            go_on_speaking,
            {"type": "input_audio_buffer.speech_stopped", "audio_end_ms": 900, "item_id": "item_1"},
            expect("response.create", 5),
        ]
    )
    plain.serve(responder=script)
    watched(plain)
    until(lambda: received(plain.live, "response.create"))
    assert asked_while_speaking == [0]
    assert script.failures == []


def test_a_prompt_that_the_service_refuses_is_no_answer_in_progress(plain: House) -> None:
    def refuse(live: ServerSession) -> dict[str, Any]:
        asked = received(live, "response.create")[-1]
        error = {"type": "invalid_request_error", "code": "conversation_already_has_active_response", "message": "No."}
        return {"type": "error", "error": {**error, "event_id": asked["event_id"]}}

    script = Script([expect("go"), expect("response.create", 5), refuse, expect("response.create", 5)])
    plain.serve(responder=script)
    watched(plain)
    until(lambda: len(received(plain.live, "response.create")) == 2)
    assert script.failures == []


def test_who_begins_to_speak_as_the_prompt_is_asked_for_is_not_talked_over(plain: House) -> None:
    script = Script(
        [
            expect("go"),
            expect("response.create", 5),
            {"type": "input_audio_buffer.speech_started", "audio_start_ms": 0, "item_id": "item_1"},
            {"type": "response.created", "response": {"id": "resp_1", "output": []}},
            expect("response.cancel", 5),
        ]
    )
    plain.serve(responder=script)
    watched(plain)
    until(lambda: received(plain.live, "response.cancel"))
    assert received(plain.live, "response.cancel")[0]["response_id"] == "resp_1"
    assert script.failures == []


def watched(house: House) -> None:
    """A session without a conversation: what it is told stands in the server's script."""
    session, stop = house.open(), threading.Event()
    house.stack.callback(stop.set)
    arguments = session, session.subscribe(), FileSpeaker(), stop, PATIENCE
    running = Running(lambda: recipe("keep_company").keep_company(*arguments))
    house.stack.callback(lambda: (stop.set(), running.join()))
    session.send_message({"type": "go"})


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_in_full_duplex_who_answers_is_asked_again_before_the_goodbye(plain: House) -> None:
    plain.serve()
    with plain.client().start_live_session() as session:
        company = Running(lambda: recipe("keep_live_company").keep_live_company(session, session.transcripts(2.5)))
        twin = plain.server.live_sessions[-1]
        until(lambda: THERE in session.conversation.words("assistant"), 20)
        twin.hear("Yes, I am.")
        company.result(60)
        said = session.conversation.words("assistant")
    assert said.count(THERE) == 2
    assert said.endswith(GOODBYE)

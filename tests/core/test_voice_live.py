"""A session with Azure Voice Live: its own settings go out in ``extra``, and what it tells back is kept."""

from __future__ import annotations

import pytest

from realtime_sync import (
    AzureVoiceLiveClient,
    ConversationSessionOptions,
    RealtimeConversationClient,
    TurnDetectionOptions,
    function_tool,
)
from realtime_sync.server import FunctionCall, Reply, Turn
from tests.core.harness import KEY, House
from tests.server.sounds import silence, tone

OWN = {
    "voice": {"type": "azure-standard", "name": "en-US-AvaNeural"},
    "turn_detection": {"type": "azure_semantic_vad", "silence_duration_ms": 200},
    "input_audio_noise_reduction": {"type": "azure_deep_noise_suppression"},
    "input_audio_echo_cancellation": {"type": "server_echo_cancellation"},
    "input_audio_transcription": {"model": "azure-speech", "phrase_list": ["Contoso"]},
    "output_audio_timestamp_types": ["word"],
}


@pytest.fixture
def client(plain: House) -> RealtimeConversationClient:
    server = plain.serve(responder=lambda turn: "Paris.")
    voice_live = AzureVoiceLiveClient(server.azure_endpoint, KEY)
    return plain.stack.enter_context(voice_live.get_realtime_conversation_client("gpt-realtime"))


def test_its_own_settings_are_sent_as_they_are(plain: House, client: RealtimeConversationClient) -> None:
    options = ConversationSessionOptions(instructions="Be brief.", extra=OWN)
    with client.start_conversation_session(options) as session:
        update = plain.live.received[0]["session"]
        assert {name: update[name] for name in OWN} == OWN
        assert plain.live.query == {"model": "gpt-realtime", "api-version": "2026-07-15"}
        assert session.ask("What is the capital of France?").transcript == "Paris."


def test_a_spoken_turn_is_heard_answered_and_written_down(client: RealtimeConversationClient) -> None:
    with client.start_conversation_session(ConversationSessionOptions(extra=OWN)) as session:
        turns = session.turns(timeout=10)
        session.send_audio(silence(400) + tone(800) + silence(800))
        turn = next(turns)
    assert turn.user_transcript
    assert turn.transcript == "Paris."


def test_extra_completes_a_setting_that_has_a_name(plain: House, client: RealtimeConversationClient) -> None:
    detection = TurnDetectionOptions.server_vad(silence_duration_ms=300)
    extra = {"turn_detection": {"type": "azure_semantic_vad", "remove_filler_words": True}}
    options = ConversationSessionOptions(turn_detection_options=detection, extra=extra)
    with client.start_conversation_session(options):
        told = plain.live.received[0]["session"]["turn_detection"]
    assert told == {"type": "azure_semantic_vad", "silence_duration_ms": 300, "remove_filler_words": True}


def test_it_calls_functions(plain: House) -> None:
    @function_tool
    def get_weather(city: str) -> str:
        """Tells the weather."""
        return f"clear in {city}"

    def responder(turn: Turn) -> Reply:
        output = (turn.last or {}).get("output")
        return Reply(output) if output else Reply(function_calls=[FunctionCall("get_weather", {"city": "Paris"})])

    server = plain.serve(responder=responder)
    client = AzureVoiceLiveClient(server.azure_endpoint, KEY).get_realtime_conversation_client("gpt-realtime")
    with client, client.start_conversation_session(ConversationSessionOptions(tools=[get_weather])) as session:
        assert session.ask("What is the weather?").transcript == "clear in Paris"

"""Client secrets and calls, with the embedded server: made over REST, used and watched over the WebSocket."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from realtime_sync import (
    AudioFormat,
    AzureOpenAIClient,
    ConversationItem,
    ConversationSessionOptions,
    InputTranscriptionOptions,
    InvalidInputError,
    NotFoundError,
    OpenAIClient,
    RealtimeConversationClient,
    TranscriptionSessionOptions,
    TranslationSessionOptions,
    TurnDetectionOptions,
    UnsupportedByDialectError,
)
from realtime_sync.errors import HandshakeError
from realtime_sync.server import FunctionCall, RealtimeServer, Reply, Turn
from tests.core.harness import CALM, Running, client_threads, until
from tests.rest.rest_service import SECRET, Service, answer
from tests.server.rest_peer import OFFER, fits

OPTIONS = ConversationSessionOptions(
    instructions="Be brief.",
    content_modalities=["text"],
    voice="marin",
    input_audio_format=AudioFormat(type="audio/pcmu"),
    turn_detection_options=TurnDetectionOptions.disabled(),
    tools=[],
)


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    yield
    until(lambda: not client_threads())


def calling(turn: Turn) -> Any:
    """Calls get_order where asked to, and else repeats what it was given."""
    if turn.items and turn.items[-1].get("type") == "function_call_output":
        return f"The order: {turn.items[-1]['output']}"
    return Reply(function_calls=[FunctionCall("get_order", '{"number": 7}')]) if turn.tools else "Hello"


@pytest.fixture
def server() -> Iterator[RealtimeServer]:
    with RealtimeServer(responder=calling) as running:
        yield running


@pytest.fixture(params=["openai", "azure"])
def client(request: pytest.FixtureRequest, server: RealtimeServer) -> Iterator[RealtimeConversationClient]:
    with client_of(server, request.param) as made:
        yield made


@pytest.fixture
def preview(server: RealtimeServer) -> Iterator[RealtimeConversationClient]:
    with client_of(server, "preview") as made:
        yield made


def client_of(server: RealtimeServer, flavour: str, key: str = "any-key") -> RealtimeConversationClient:
    if flavour == "openai":
        openai = OpenAIClient(key, endpoint=server.url, timeouts=CALM)
        return openai.get_realtime_conversation_client("gpt-realtime-2.1")
    version = "v1" if flavour == "azure" else "2025-04-01-preview"
    azure = AzureOpenAIClient(server.azure_endpoint, key, api_version=version, timeouts=CALM)
    return azure.get_realtime_conversation_client(
        "gpt-4o-realtime-preview" if flavour == "preview" else "gpt-realtime-2.1"
    )


def sent_by(ask: Any, said: bytes | None = None) -> Any:
    """What a client with the model ``gpt-realtime-2.1`` asks of a service when ``ask(client)`` is called."""
    with Service(said or answer(200, body=SECRET)) as service:
        ask(
            OpenAIClient("k", endpoint=service.endpoint, timeouts=CALM).get_realtime_conversation_client(
                "gpt-realtime-2.1"
            )
        )
        return service.asked[0]


# Client secrets ------------------------------------------------------------------------------------------------------


def test_a_secret_tells_its_value_its_end_and_its_session(client: RealtimeConversationClient) -> None:
    secret = client.create_client_secret(OPTIONS, expires_after=60)
    assert secret.value.startswith("ek_")
    assert 0 < secret.expires_at - time.time() <= 60
    assert (secret.session.instructions, secret.session.voice) == ("Be brief.", "marin")
    assert secret.session.input_audio_format == AudioFormat(type="audio/pcmu")
    assert secret.session.turn_detection_options is None
    assert secret.session.model == "gpt-realtime-2.1"
    assert secret.value not in f"{secret!r} {secret}"


def test_a_secret_opens_a_session_with_its_settings(client: RealtimeConversationClient) -> None:
    secret = client.create_client_secret(OPTIONS)
    with client.start_conversation_session(client_secret=secret.value) as session:
        assert session.session is not None
        assert session.session.instructions == "Be brief."


def test_a_secret_of_a_transcription_opens_one(client: RealtimeConversationClient) -> None:
    transcription = InputTranscriptionOptions(model="gpt-transcribe")
    secret = client.create_client_secret(TranscriptionSessionOptions(input_transcription_options=transcription))
    assert secret.session.type == "transcription"
    with client.start_transcription_session(client_secret=secret.value) as session:
        assert session.session is not None
        assert session.session.input_transcription_options.model == "gpt-transcribe"  # type: ignore[union-attr]


def test_a_secret_of_a_translation_opens_one(server: RealtimeServer) -> None:
    openai = OpenAIClient("k", endpoint=server.url, timeouts=CALM)
    with openai.get_realtime_conversation_client("gpt-realtime-translate") as client:
        secret = client.create_client_secret(TranslationSessionOptions(target_language="es"), expires_after=60)
        assert (secret.session.target_language, secret.session.type) == ("es", "translation")
        with client.start_translation_session(client_secret=secret.value) as session:
            assert session.session is not None
            assert session.session.target_language == "es"


@pytest.mark.parametrize("expires_after", [None, 30])
@pytest.mark.parametrize(
    ("options", "schema"),
    [
        (None, "RealtimeCreateClientSecretRequest"),
        (OPTIONS, "RealtimeCreateClientSecretRequest"),
        (TranscriptionSessionOptions(include=[]), "RealtimeCreateClientSecretRequest"),
        (TranslationSessionOptions(target_language="es"), "RealtimeTranslationClientSecretCreateRequest"),
    ],
)
def test_what_is_sent_for_a_secret_is_as_the_schema_says(options: Any, schema: str, expires_after: Any) -> None:
    asked = sent_by(lambda client: client.create_client_secret(options, expires_after=expires_after))
    told = fits(asked.json, schema)
    assert told.get("expires_after") == (expires_after and {"anchor": "created_at", "seconds": expires_after})
    assert "/translations/" in asked.path if "Translation" in schema else asked.path.endswith("e/client_secrets")


def test_the_options_model_goes_before_the_clients() -> None:
    options = ConversationSessionOptions(model="gpt-realtime-2.1-mini")
    assert (
        sent_by(lambda client: client.create_client_secret(options)).json["session"]["model"] == "gpt-realtime-2.1-mini"
    )


@pytest.mark.parametrize("seconds", [0, -5, 1.5, True, "60"])
def test_a_life_that_makes_no_sense_is_refused_here(client: RealtimeConversationClient, seconds: Any) -> None:
    with pytest.raises(InvalidInputError, match="expires_after"):
        client.create_client_secret(expires_after=seconds)


def test_a_life_that_the_service_does_not_allow_is_its_refusal(client: RealtimeConversationClient) -> None:
    with pytest.raises(HandshakeError) as caught:
        client.create_client_secret(expires_after=5)
    assert (caught.value.status, caught.value.code) == (400, "integer_below_min_value")
    assert caught.value.request_id


def test_what_is_no_options_is_refused_here(client: RealtimeConversationClient) -> None:
    options: Any = {"type": "realtime"}
    with pytest.raises(InvalidInputError, match="not dict"):
        client.create_client_secret(options)


def test_the_preview_protocol_has_secrets_of_its_own(preview: RealtimeConversationClient) -> None:
    secret = preview.create_client_secret(ConversationSessionOptions(instructions="Be brief."))
    assert secret.value.startswith("ek_")
    assert secret.expires_at > time.time()
    assert (secret.session.instructions, secret.session.client_secret) == ("Be brief.", None)
    transcription = InputTranscriptionOptions(model="gpt-transcribe")
    written = preview.create_client_secret(TranscriptionSessionOptions(input_transcription_options=transcription))
    assert written.session.input_transcription_options.model == "gpt-transcribe"  # type: ignore[union-attr]


def test_what_the_preview_protocol_cannot_say_is_refused(preview: RealtimeConversationClient) -> None:
    with pytest.raises(UnsupportedByDialectError, match="expires_after"):
        preview.create_client_secret(expires_after=60)
    with pytest.raises(UnsupportedByDialectError, match="target_language"):
        preview.create_client_secret(TranslationSessionOptions(target_language="es"))
    for ask in (lambda: preview.calls.create(OFFER), lambda: preview.calls.hangup("rtc_1")):
        with pytest.raises(UnsupportedByDialectError, match="v1"):
            ask()


# Calls by WebRTC -----------------------------------------------------------------------------------------------------


def test_an_offer_gets_an_answer_and_an_id(client: RealtimeConversationClient, server: RealtimeServer) -> None:
    call = client.calls.create(OFFER, OPTIONS)
    assert call.sdp.startswith("v=0")
    assert server.call(call.id).state == "active"
    assert server.wait_for_session().options["instructions"] == "Be brief."
    assert "v=0" not in repr(call)


def test_what_is_sent_for_a_call_is_a_form_as_the_schema_says() -> None:
    said = answer(201, "Location: /v1/realtime/calls/rtc_1/", body="v=0\r\n")
    asked = sent_by(lambda client: client.calls.create(OFFER), said)
    assert asked.headers["content-type"].startswith("multipart/form-data; boundary=")
    form = asked.body.decode()
    assert 'name="sdp"\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n' in form
    session = '{"type":"realtime","model":"gpt-realtime-2.1"}'
    assert f'name="session"\r\nContent-Type: application/json\r\n\r\n{session}\r\n' in form
    assert "filename" not in form


def test_a_call_whose_name_is_not_told_is_of_no_use(server: RealtimeServer) -> None:
    with pytest.raises(HandshakeError, match="Location"):
        sent_by(lambda client: client.calls.create(OFFER), answer(201, body="v=0"))


def test_what_is_no_offer_is_refused(client: RealtimeConversationClient) -> None:
    with pytest.raises(HandshakeError) as caught:
        client.calls.create("hello")
    assert caught.value.status == 400
    nothing: Any = None
    for offer in ("", " ", "v=0\ud800", nothing):
        with pytest.raises(InvalidInputError, match="sdp"):
            client.calls.create(offer)


# Calls by telephone --------------------------------------------------------------------------------------------------


def test_a_call_is_accepted_watched_and_hung_up(client: RealtimeConversationClient, server: RealtimeServer) -> None:
    call_id = server.place_call()
    client.calls.accept(call_id, OPTIONS)
    assert server.wait_for_session().options["instructions"] == "Be brief."
    with client.attach(call_id) as session:
        assert session.ask("Good morning").text == "Hello"
        client.calls.hangup(call_id)
        for _ in session.updates():
            pass  # it ends with the call
    assert server.call(call_id).state == "ended"


def test_the_tools_of_a_call_are_run_beside_it(client: RealtimeConversationClient, server: RealtimeServer) -> None:
    def get_order(number: int) -> str:
        """Looks up an order."""
        return f"{number} is on its way"

    call_id = server.place_call()
    client.calls.accept(call_id)
    with client.attach(call_id, ConversationSessionOptions(content_modalities=["text"])) as session:
        serving = Running(lambda: session.run_tools([get_order]))
        until(lambda: session.session and session.session.tools, 20)
        session.add_item(ConversationItem.create_user_message("Where is it?"))
        session.start_response()
        done = session.wait_for("response.output_text.done", timeout=20)
        assert done.text == "The order: 7 is on its way"  # type: ignore[attr-defined]
        client.calls.hangup(call_id)
        serving.result(20)


def test_closing_the_session_does_not_end_the_call(client: RealtimeConversationClient, server: RealtimeServer) -> None:
    call_id = server.place_call()
    client.calls.accept(call_id)
    client.attach(call_id).close()
    assert server.call(call_id).state == "active"
    client.attach(call_id).close()


def test_a_call_is_rejected(client: RealtimeConversationClient, server: RealtimeServer) -> None:
    first, second = server.place_call(), server.place_call()
    client.calls.reject(first)
    client.calls.reject(second, 486)
    assert [server.call(call_id).reject_status for call_id in (first, second)] == [603, 486]


def test_a_call_is_transferred(client: RealtimeConversationClient, server: RealtimeServer) -> None:
    call_id = server.place_call()
    client.calls.accept(call_id)
    client.calls.refer(call_id, "tel:+14155550123")
    assert server.call(call_id).referred_to == "tel:+14155550123"
    assert server.call(call_id).state == "ended"


VERBS: dict[str, Any] = {
    "accept": lambda client, call_id: client.calls.accept(call_id),
    "reject": lambda client, call_id: client.calls.reject(call_id),
    "refer": lambda client, call_id: client.calls.refer(call_id, "tel:+14155550123"),
    "hangup": lambda client, call_id: client.calls.hangup(call_id),
    "attach": lambda client, call_id: client.attach(call_id),
}


@pytest.mark.parametrize("verb", VERBS)
def test_a_call_that_does_not_exist_is_not_found(client: RealtimeConversationClient, verb: str) -> None:
    with pytest.raises(NotFoundError, match="call is over") as caught:
        VERBS[verb](client, "rtc_nobody")
    assert caught.value.code == "call_id_not_found"


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("call_id", ["", "  ", None, 5])
def test_what_is_no_id_of_a_call_is_refused_here(client: RealtimeConversationClient, verb: str, call_id: Any) -> None:
    with pytest.raises(InvalidInputError, match="call_id"):
        VERBS[verb](client, call_id)


@pytest.mark.parametrize("call_id", [".", "..", "rtc_\xe4", "\ud800"])
def test_what_cannot_stand_in_a_path_is_no_id_of_a_call(client: RealtimeConversationClient, call_id: str) -> None:
    with pytest.raises(InvalidInputError, match="call_id"):
        client.calls.hangup(call_id)


def test_an_id_cannot_lead_elsewhere() -> None:
    asked = sent_by(lambda client: client.calls.hangup("a/../../b?c=d#e%2f"), answer(200))
    assert asked.path == "/v1/realtime/calls/a%2F..%2F..%2Fb%3Fc%3Dd%23e%252f/hangup"


@pytest.mark.parametrize("status", [200, 299, 700, 603.0, True, "603"])
def test_a_status_that_rejects_nothing_is_refused_here(client: RealtimeConversationClient, status: Any) -> None:
    with pytest.raises(InvalidInputError, match="300 to 699"):
        client.calls.reject("rtc_1", status)


@pytest.mark.parametrize("target", ["", None])
def test_a_transfer_to_nowhere_is_refused_here(client: RealtimeConversationClient, target: Any) -> None:
    with pytest.raises(InvalidInputError, match="target_uri"):
        client.calls.refer("rtc_1", target)
    with pytest.raises(InvalidInputError, match="line break"):
        client.calls.refer("rtc_1", "tel:+1\r\nVia: elsewhere")


def test_what_is_sent_about_a_call_is_as_the_schemas_say() -> None:
    accepted = sent_by(lambda client: client.calls.accept("rtc_1", OPTIONS), answer(200))
    assert fits(accepted.json, "RealtimeSessionCreateRequestGA")["model"] == "gpt-realtime-2.1"
    rejected = sent_by(lambda client: client.calls.reject("rtc_1"), answer(200))
    assert fits(rejected.json, "RealtimeCallRejectRequest") == {"status_code": 603}
    referred = sent_by(lambda client: client.calls.refer("rtc_1", "tel:+1"), answer(200))
    assert fits(referred.json, "RealtimeCallReferRequest") == {"target_uri": "tel:+1"}
    hung_up = sent_by(lambda client: client.calls.hangup("rtc_1"), answer(200))
    assert (hung_up.body, hung_up.headers["content-length"]) == (b"", "0")


def test_a_wrong_key_is_refused(server: RealtimeServer) -> None:
    with RealtimeServer(api_keys=["right"]) as strict:
        for flavour in ("openai", "azure"):
            with client_of(strict, flavour, "sk-wrong-key") as client, pytest.raises(HandshakeError) as caught:
                client.calls.create(OFFER)
            assert caught.value.status == 401
            assert "sk-wrong-key" not in str(caught.value)

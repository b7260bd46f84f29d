"""Live sessions of browsers and telephones: what is asked for, what is made of the answer, and their recordings."""

from __future__ import annotations

import json
import os
import threading
import wave
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Optional

import attrs
import pytest
from openai.types.live.live_create_params import LiveCreateParams
from openai.types.live.session_accept_params import SessionAcceptParams
from openai.types.live.session_fork_params import SessionForkParams
from openai.types.live.session_refer_params import SessionReferParams
from openai.types.live.session_reject_params import SessionRejectParams

from realtime_sync import (
    AzureOpenAIClient,
    ConfigurationError,
    ConnectCancelledError,
    ConnectionFailedError,
    ConnectTimeoutError,
    HandshakeError,
    InvalidInputError,
    LiveDataChannel,
    LiveEventSelector,
    LiveHistoryItem,
    LiveSessionOptions,
    NotFoundError,
    OpenAIClient,
    RealtimeConversationClient,
    SipTrunk,
    UnsupportedByDialectError,
)
from realtime_sync.live.responses_backend import ResponsesBackend
from realtime_sync.protocol.live.settings import LiveWakePolicy
from realtime_sync.server import RealtimeServer
from tests.core.harness import CALM, Running, client_threads, until, within
from tests.rest.rest_service import Service, answer
from tests.server.live.schemas import fits
from tests.server.rest_peer import OFFER
from tests.transport.peer import Link

OPTIONS = LiveSessionOptions(
    instructions="Be brief.", voice="cedar", store=True, history=[LiveHistoryItem.message("user", "Hello.")]
)
BACKEND = ResponsesBackend(model="gpt-5.6-luna")
MADE = {"session": {"id": "live_1"}, "transport": {"type": "webrtc", "sdp": "v=0\r\n"}}
TRUNK = SipTrunk(provider_url="sips:sip.example.com", caller_number="+14155550100")


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    yield
    until(lambda: not client_threads())


@pytest.fixture
def server() -> Iterator[RealtimeServer]:
    with RealtimeServer() as running:
        yield running


@pytest.fixture(params=["openai", "azure"])
def client(request: pytest.FixtureRequest, server: RealtimeServer) -> Iterator[RealtimeConversationClient]:
    with client_of(server.url if request.param == "openai" else server.azure_endpoint, request.param) as made:
        yield made


def client_of(url: str, flavour: str = "openai", rest: float = 20) -> RealtimeConversationClient:
    timeouts = attrs.evolve(CALM, rest=rest)
    if flavour == "openai":
        openai = OpenAIClient("any-key", endpoint=url, timeouts=timeouts)
        return openai.get_realtime_conversation_client("gpt-realtime-2.1")
    version = "v1" if flavour == "azure" else "2025-04-01-preview"
    azure = AzureOpenAIClient(url, "any-key", api_version=version, timeouts=timeouts)
    return azure.get_realtime_conversation_client("conversing")


@pytest.fixture(autouse=True)
def _a_live_deployment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_LIVE_MODEL", raising=False)
    monkeypatch.setenv("AZURE_OPENAI_LIVE_DEPLOYMENT", "speaking")


Ask = Callable[[RealtimeConversationClient], object]


def asked_for(ask: Ask, said: Optional[bytes] = None) -> Any:
    """What a service is asked when ``ask(client)`` is called."""
    with Service(said or answer(201, body=MADE)) as service:
        ask(client_of(service.endpoint))
        return service.asked[0]


# What is sent --------------------------------------------------------------------------------------------------------

CREATIONS: dict[str, tuple[Ask, dict[str, Any]]] = {
    "least": (lambda client: client.live_calls.create(OFFER), {"model": "gpt-live-1.1"}),
    "settings": (
        lambda client: client.live_calls.create(OFFER, OPTIONS, model="gpt-live-1"),
        {
            "model": "gpt-live-1",
            "instructions": "Be brief.",
            "audio": {"output": {"voice": "cedar"}},
            "store": True,
            "input": [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hello."}]}],
        },
    ),
    "backend": (
        lambda client: client.live_calls.create(OFFER, delegate=BACKEND),
        {"model": "gpt-live-1.1", "delegation": {"type": "responses", "responses": {"model": "gpt-5.6-luna"}}},
    ),
    "channel": (
        lambda client: client.live_calls.create(
            OFFER,
            data_channel=LiveDataChannel(
                allowed_client_events=["session.close"],
                allowed_server_events=[LiveEventSelector(type="response.event", response_event="response.completed")],
            ),
        ),
        {
            "model": "gpt-live-1.1",
            "client": {
                "data_channel": {
                    "allowed_client_events": ["session.close"],
                    "allowed_server_events": [{"type": "response.event", "response_event": "response.completed"}],
                }
            },
        },
    ),
    "pauses": (
        lambda client: client.live_calls.create(OFFER, idle_timeout_s=15),
        {"model": "gpt-live-1.1", "wake_policy": {"type": "speech"}, "idle_timeout_s": 15},
    ),
    "wakes": (
        lambda client: client.live_calls.create(
            OFFER, idle_timeout_s=15, wake_policy=LiveWakePolicy(vad_threshold=0.6)
        ),
        {"model": "gpt-live-1.1", "wake_policy": {"type": "speech", "vad_threshold": 0.6}, "idle_timeout_s": 15},
    ),
}


@pytest.mark.parametrize("name", CREATIONS)
def test_a_browsers_session_is_asked_for_as_the_schema_says(name: str) -> None:
    ask, session = CREATIONS[name]
    asked = asked_for(ask)
    assert asked.line == "POST /v1/live/sessions HTTP/1.1"
    assert fits(asked.json, LiveCreateParams) == {
        "session": session,
        "transport": {"type": "webrtc", "sdp": OFFER},
    }


def test_a_telephones_session_is_accepted_as_the_schema_says() -> None:
    asked = asked_for(lambda client: client.live_calls.accept("live_1", OPTIONS, delegate=BACKEND), answer(200))
    assert asked.path == "/v1/live/sessions/live_1/accept"
    session = fits(asked.json, SessionAcceptParams)["session"]
    assert (session["type"], session["model"]) == ("live", "gpt-live-1.1")
    assert session["audio"] == {"output": {"voice": "cedar"}}


def test_the_other_verbs_are_asked_for_as_the_schemas_say() -> None:
    rejected = asked_for(lambda client: client.live_calls.reject("live_1", 486), answer(200))
    assert fits(rejected.json, SessionRejectParams) == {"status_code": 486}
    referred = asked_for(lambda client: client.live_calls.refer("live_1", "tel:+14155550123"), answer(200))
    assert fits(referred.json, SessionReferParams) == {"target_uri": "tel:+14155550123"}
    hung_up = asked_for(lambda client: client.live_calls.hangup("live_1"), answer(200))
    assert (hung_up.path, hung_up.body) == ("/v1/live/sessions/live_1/hangup", b"")


def test_a_browsers_fork_says_only_what_is_to_differ() -> None:
    def ask(client: RealtimeConversationClient) -> None:
        channel = LiveDataChannel(allowed_client_events=[])
        client.live_calls.fork("live_0", OFFER, store=False, delegate=BACKEND, data_channel=channel)

    asked = asked_for(ask)
    assert asked.path == "/v1/live/sessions/live_0/fork"
    assert fits(asked.json, SessionForkParams)["session"] == {
        "store": False,
        "delegation": {"type": "responses", "responses": {"model": "gpt-5.6-luna"}},
        "client": {"data_channel": {"allowed_client_events": []}},
    }
    assert asked_for(lambda client: client.live_calls.fork("live_0", OFFER)).json["session"] == {}


def test_a_call_is_dialled_with_who_carries_it() -> None:
    trunk = SipTrunk(provider_url="sips:sip.example.com", caller_number="+1", username="me", password="a-password")
    said = answer(201, body={"session": {"id": "live_1"}, "transport": {"type": "sip"}})
    asked = asked_for(lambda client: client.live_calls.dial("+14155550123", trunk, OPTIONS), said)
    assert asked.path == "/v1/live/sessions"
    assert asked.json["transport"] == {
        "type": "sip",
        "destination": "+14155550123",
        "trunk": {
            "provider_url": "sips:sip.example.com",
            "caller_number": "+1",
            "auth": {"type": "digest", "username": "me", "password": "a-password"},
        },
    }
    assert "type" not in asked.json["session"]


def test_a_service_tier_is_a_header() -> None:
    asked = asked_for(lambda client: client.live_calls.create(OFFER, LiveSessionOptions(service_tier="flex")))
    assert asked.headers["openai-service-tier"] == "flex"
    assert "service_tier" not in asked.json["session"]


def test_an_id_cannot_lead_elsewhere() -> None:
    asked = asked_for(lambda client: client.live_calls.hangup("a/../../b?c=d#e%2f"), answer(200))
    assert asked.path == "/v1/live/sessions/a%2F..%2F..%2Fb%3Fc%3Dd%23e%252f/hangup"


@pytest.mark.parametrize("path", ["/v1", "/v1/", "/v1/realtime", "/gateway/openai/v1?region=eu"])
def test_the_endpoints_own_path_and_query_are_kept(path: str) -> None:
    with Service(answer(200)) as service:
        client_of(service.endpoint.removesuffix("/v1") + path).live_calls.hangup("live_1")
        expected = {"/gateway/openai/v1?region=eu": "/gateway/openai/v1/live/sessions/live_1/hangup?region=eu"}
        assert service.asked[0].path == expected.get(path, "/v1/live/sessions/live_1/hangup")


def test_azure_has_paths_a_key_and_a_deployment_of_its_own() -> None:
    with Service(answer(201, body=MADE)) as service:
        client_of(service.endpoint.removesuffix("/v1"), "azure").live_calls.create(OFFER)
        asked = service.asked[0]
    assert asked.path == "/openai/v1/live/sessions"
    assert asked.headers["api-key"] == "any-key"
    assert asked.json["session"] == {"model": "speaking"}


# What is refused before anything is sent -----------------------------------------------------------------------------

NOWHERE = "http://127.0.0.1:1/v1"


def test_the_format_is_not_the_applications_to_choose() -> None:
    calls, options = client_of(NOWHERE).live_calls, LiveSessionOptions(audio_format="audio/pcmu")
    asks: tuple[Callable[[], object], ...] = (
        lambda: calls.create(OFFER, options),
        lambda: calls.accept("live_1", options),
        lambda: calls.dial("+1", TRUNK, options),
    )
    for ask in asks:
        with pytest.raises(InvalidInputError, match="leave out audio_format"):
            ask()


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda calls: calls.create(""), "sdp"),
        (lambda calls: calls.create(None), "sdp"),
        (lambda calls: calls.create(OFFER, delegate=print), "attach_live"),
        (lambda calls: calls.create(OFFER, idle_timeout_s=0), "idle_timeout_s"),
        (lambda calls: calls.create(OFFER, {"model": "gpt-live-1"}), "options"),
        (lambda calls: calls.create(OFFER, model="gpt-realtime-2.1"), "gpt-realtime-2.1"),
        (lambda calls: calls.fork("", OFFER), "session_id"),
        (lambda calls: calls.fork("live_1", " "), "sdp"),
        (lambda calls: calls.dial("", TRUNK), "number"),
        (lambda calls: calls.dial("+1", {"provider_url": "sips:x"}), "trunk"),
        (lambda calls: calls.accept(".."), "session_id"),
        (lambda calls: calls.reject("live_1", 200), "300 to 699"),
        (lambda calls: calls.refer("live_1", "tel:+1\r\nX: y"), "target_uri"),
        (lambda calls: calls.hangup("live_\xe4"), "session_id"),
        (lambda calls: SipTrunk(provider_url="", caller_number="+1"), "provider_url"),
        (lambda calls: SipTrunk(provider_url="sips:x", caller_number="+1", username="me"), "password"),
    ],
)
def test_what_cannot_be_right_is_refused_here(ask: Callable[[Any], object], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        ask(client_of(NOWHERE).live_calls)


def test_azures_deployment_must_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AZURE_OPENAI_LIVE_DEPLOYMENT")
    with pytest.raises(ConfigurationError, match="Which deployment"):
        client_of(NOWHERE, "azure").live_calls.create(OFFER)


def test_azures_preview_has_no_live_sessions() -> None:
    client = client_of(NOWHERE, "azure-preview")
    for ask in (lambda: client.live_calls.create(OFFER, model="d"), lambda: client.live_calls.hangup("live_1")):
        with pytest.raises(UnsupportedByDialectError, match="v1"):
            ask()


# What is made of the answer ------------------------------------------------------------------------------------------


def test_what_a_call_holds_is_not_shown() -> None:
    with Service(answer(201, body=MADE)) as service:
        client = client_of(service.endpoint)
        call = client.live_calls.create(OFFER)
    assert (call.id, call.sdp) == ("live_1", "v=0\r\n")
    assert "v=0" not in repr(call)
    assert "any-key" not in repr(client.live_calls)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"session": {}, "transport": MADE["transport"]},
        {"session": {"id": 5}, "transport": MADE["transport"]},
        {"session": "live_1", "transport": MADE["transport"]},
        {"session": {"id": "live_1"}, "transport": {"type": "webrtc"}},
        {"session": {"id": "live_1"}, "transport": {"type": "webrtc", "sdp": 5}},
        {"session": {"id": "live_1"}},
    ],
)
def test_an_answer_of_which_nothing_can_be_made_is_an_error(body: dict[str, Any]) -> None:
    with pytest.raises(HandshakeError, match="HTTP 201, but"):
        asked_for(lambda client: client.live_calls.create(OFFER), answer(201, body=body))


def test_a_password_that_is_told_back_is_not_shown() -> None:
    password = "a-pass/word+that-nobody-may-see"
    trunk = SipTrunk(provider_url="sips:sip.example.com", caller_number="+1", username="me", password=password)
    assert password not in repr(trunk)
    for said in (password, json.dumps(password), password.replace("/", "\\/")):
        with pytest.raises(HandshakeError) as caught:
            asked_for(
                lambda client: client.live_calls.dial("+1", trunk),
                answer(400, f"X-Told: {password}", body=f"no: {said}"),
            )
        assert "nobody-may-see" not in f"{caught.value!r} {caught.value.body} {caught.value.headers}"


# Calls, with the embedded server -------------------------------------------------------------------------------------


def test_a_browsers_session_is_made_and_hung_up_once(
    client: RealtimeConversationClient, server: RealtimeServer
) -> None:
    call = client.live_calls.create(OFFER, OPTIONS)
    assert call.sdp.startswith("v=0")
    assert server.live_call(call.id).state == "active"
    assert server.wait_for_live_session().options["instructions"] == "Be brief."
    client.live_calls.hangup(call.id)
    assert server.live_call(call.id).state == "ended"
    with pytest.raises(NotFoundError, match="The session is over") as caught:
        client.live_calls.hangup(call.id)
    assert (caught.value.code, caught.value.status) == ("session_id_not_found", 404)


def test_a_call_is_rejected(client: RealtimeConversationClient, server: RealtimeServer) -> None:
    first, second = server.place_live_call(), server.place_live_call()
    client.live_calls.reject(first)
    client.live_calls.reject(second, 486)
    assert [server.live_call(each).reject_status for each in (first, second)] == [603, 486]
    with pytest.raises(NotFoundError):
        client.live_calls.accept(first)


def test_a_call_is_accepted_and_transferred(client: RealtimeConversationClient, server: RealtimeServer) -> None:
    session_id = server.place_live_call()
    with pytest.raises(NotFoundError):
        client.live_calls.refer(session_id, "tel:+1")  # not yet
    client.live_calls.accept(session_id, OPTIONS)
    assert server.live_call(session_id).state == "active"
    client.live_calls.refer(session_id, "tel:+14155550123")
    assert server.live_call(session_id).referred_to == "tel:+14155550123"
    assert server.live_call(session_id).state == "ended"


def test_a_browsers_fork_knows_the_settings_and_has_an_id_of_its_own(
    client: RealtimeConversationClient, server: RealtimeServer
) -> None:
    first = client.live_calls.create(OFFER, OPTIONS)
    with pytest.raises(HandshakeError) as caught:
        client.live_calls.fork(first.id, OFFER)
    assert caught.value.code == "session_not_ended"
    client.live_calls.hangup(first.id)
    second = client.live_calls.fork(first.id, OFFER, store=False)
    assert second.id != first.id
    options = server.wait_for_live_session(count=2).options
    assert (options["instructions"], options["input"], "store" in options) == ("Be brief.", [], False)


# Recordings ----------------------------------------------------------------------------------------------------------


def recorded(*pieces: bytes, length: Optional[int] = None) -> bytes:
    """An answer with a recording."""
    total = sum(map(len, pieces)) if length is None else length
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/binary\r\nContent-Length: {total}\r\n\r\n"
    return head.encode() + b"".join(pieces)


def test_a_recording_is_saved_for_nobody_but_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "call.wav"
    sound = os.urandom(6 * 2**20)  # more than answers of other requests may have
    asked = asked_for(lambda client: client.download_live_recording("live_1", path), recorded(sound))
    assert asked.line == "GET /v1/live/sessions/live_1/content HTTP/1.1"
    assert path.read_bytes() == sound
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("said", "error"),
    [
        (recorded(b"half", length=8), ConnectionFailedError),
        (answer(404, body={"error": {"code": "session_id_not_found", "message": "none"}}), NotFoundError),
        (answer(302, "Location: https://elsewhere.example/x"), HandshakeError),
    ],
)
def test_half_a_recording_is_none_and_an_older_one_is_kept(
    tmp_path: Path, said: bytes, error: type[ConnectionFailedError]
) -> None:
    path = tmp_path / "call.wav"
    path.write_bytes(b"older")
    with pytest.raises(error):
        asked_for(lambda client: client.download_live_recording("live_1", path), said)
    assert path.read_bytes() == b"older"
    assert list(tmp_path.iterdir()) == [path]


def test_two_downloads_to_one_path_do_not_spoil_each_other_nor_what_lies_beside(tmp_path: Path) -> None:
    path, other = tmp_path / "call.wav", tmp_path / "call.wav.part"
    other.write_bytes(b"somebody else's")
    begun, go = threading.Semaphore(0), threading.Event()

    def slowly(link: Link) -> None:
        link.send(recorded(b"the w", length=9))
        begun.release()
        assert go.wait(5)
        link.send(b"hole")

    with Service(slowly, slowly) as service:
        client = client_of(service.endpoint)
        downloads = [Running(lambda: client.download_live_recording("live_1", path)) for _ in range(2)]
        assert begun.acquire(timeout=5)
        assert begun.acquire(timeout=5)
        go.set()
        for download in downloads:
            download.result()
    assert path.read_bytes() == b"the whole"
    assert other.read_bytes() == b"somebody else's"
    assert sorted(tmp_path.iterdir()) == [path, other]


def test_a_device_is_written_to_and_not_replaced() -> None:
    asked_for(lambda client: client.download_live_recording("live_1", os.devnull), recorded(b"sound"))
    assert not Path(os.devnull).is_file()


@pytest.mark.parametrize("path", ["", "new/", "no/such/folder/call.wav", ".", 5, None, "a\0b"])
def test_a_file_that_cannot_be_written_is_refused_before_anything_is_asked(path: Any) -> None:
    with pytest.raises(InvalidInputError):
        client_of(NOWHERE).download_live_recording("live_1", path)


def test_a_disk_that_is_full_is_told(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no device that is always full")
    with pytest.raises(InvalidInputError, match="cannot be written: No space left"):
        asked_for(lambda client: client.download_live_recording("live_1", "/dev/full"), recorded(b"sound" * 10_000))


def test_a_long_download_has_its_time_for_each_piece(tmp_path: Path) -> None:
    def slowly(link: Link) -> None:
        link.send(recorded(length=8))
        for _ in range(8):
            threading.Event().wait(0.2)
            link.send(b"x")

    with Service(slowly) as service:
        client_of(service.endpoint, rest=1.0).download_live_recording("live_1", tmp_path / "call.wav")
    assert (tmp_path / "call.wav").read_bytes() == b"x" * 8


def test_a_download_that_stalls_is_given_up(tmp_path: Path) -> None:
    def stalls(link: Link) -> None:
        link.send(recorded(b"x", length=8))
        link.read_to_end()

    with Service(stalls) as service, within(5), pytest.raises(ConnectTimeoutError, match=r"Timeouts\.rest"):
        client_of(service.endpoint, rest=0.3).download_live_recording("live_1", tmp_path / "call.wav")
    assert list(tmp_path.iterdir()) == []


def test_closing_the_client_ends_a_download(tmp_path: Path) -> None:
    begun = threading.Event()

    def stalls(link: Link) -> None:
        link.send(recorded(b"x", length=8))
        begun.set()
        link.read_to_end()

    with Service(stalls) as service, within(10):
        client = client_of(service.endpoint)
        download = Running(lambda: client.download_live_recording("live_1", tmp_path / "call.wav"))
        assert begun.wait(5)
        client.close()
        with pytest.raises(ConnectCancelledError):
            download.result()
    assert list(tmp_path.iterdir()) == []


def test_a_stored_session_has_the_user_left_and_the_model_right(
    client: RealtimeConversationClient, server: RealtimeServer, tmp_path: Path
) -> None:
    call = client.live_calls.create(OFFER, OPTIONS)
    twin = server.wait_for_live_session()
    server.live_call(call.id).say(b"\x01\x02" * 4800)
    twin.say("Hello.")
    twin.wait_for_sent("session.output_transcript.delta")
    until(lambda: len(server.live_call(call.id).heard) > 48_000)
    with pytest.raises(HandshakeError) as caught:
        client.download_live_recording(call.id, tmp_path / "early.wav")
    assert caught.value.code == "session_not_ended"
    client.live_calls.hangup(call.id)
    client.download_live_recording(call.id, tmp_path / "call.wav")
    with wave.open(str(tmp_path / "call.wav")) as file:
        assert (file.getnchannels(), file.getframerate(), file.getsampwidth()) == (2, 24_000, 2)
        frames = file.readframes(file.getnframes())
    left = b"".join(frames[at : at + 2] for at in range(0, len(frames), 4))
    right = b"".join(frames[at + 2 : at + 4] for at in range(0, len(frames), 4))
    assert b"\x01\x02" * 4000 in left
    assert b"\x01\x02" * 10 not in right
    assert any(right)


def test_what_was_not_stored_has_no_recording(
    client: RealtimeConversationClient, server: RealtimeServer, tmp_path: Path
) -> None:
    call = client.live_calls.create(OFFER)
    client.live_calls.hangup(call.id)
    with pytest.raises(NotFoundError):
        client.download_live_recording(call.id, tmp_path / "call.wav")
    with pytest.raises(NotFoundError):
        client.live_calls.fork(call.id, OFFER)

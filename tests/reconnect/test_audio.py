"""Audio of a session that survives: wherever a loss comes, what was said is heard, answered, or told as lost."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from typing import Any

import attrs
import pytest

from realtime_sync import (
    ConfigurationError,
    ConversationSessionOptions,
    ConversationUpdate,
    InputTranscriptionOptions,
    PeerUnresponsiveError,
    Reconnect,
    TurnDetectionOptions,
)
from realtime_sync.audio.formats import PCM
from realtime_sync.core.commands import CommandHandle
from realtime_sync.core.realtime import RealtimeState
from realtime_sync.protocol import codec
from realtime_sync.protocol.dialects import Dialect
from realtime_sync.protocol.items import MessageItem
from realtime_sync.reconnect.state import ReconnectState
from realtime_sync.server import Faults, Reply, Turn, faults
from realtime_sync.server.connection import ServerConnection
from realtime_sync.server.faults import Act
from realtime_sync.testing import ManualClock
from realtime_sync.voice import FileMicrophone, FileSpeaker
from tests.core.answers import received, sent
from tests.core.harness import CALM, House, Running, until
from tests.reconnect.test_commands import silenced
from tests.reconnect.test_reconnecting import (
    BY_HAND,
    DOWN,
    QUICKLY,
    SECOND,
    TEXT,
    come_back,
    drop,
    heard,
    of_connection,
    samples,
    surviving,
)

pytestmark = pytest.mark.medium

LOUD = b"".join((12_000 if n // 40 % 2 else -12_000).to_bytes(2, "little", signed=True) for n in range(24_000))
HALF = SECOND[: len(SECOND) // 2]
SPEECH = LOUD * 2
UTTERANCE = HALF + SPEECH + SECOND  # the silence is its end
TRANSCRIBED = attrs.evolve(TEXT, input_transcription_options=InputTranscriptionOptions(model="gpt-transcribe"))
DEAF = Faults(acts=[faults.silence(after_received=1), faults.drop(after_received=1)])  # it answers no command


def numbered(seconds: float) -> bytes:
    """Loud, and such that what is missing or comes twice is seen."""
    values = ((8_000 + n % 20_000) * (1 if n % 2 else -1) for n in range(int(24_000 * seconds)))
    return b"".join(value.to_bytes(2, "little", signed=True) for value in values)


def said(live: Any) -> list[bytes]:
    """The audio of the messages in the server's conversation."""
    return [item.audio[0] for item in live.conversation if item.audio and item.wire["role"] == "user"]


def fail_at_first(house: House) -> None:
    """The connection ends, and so does the next one, before it is of any use."""
    before = len(house.server.sessions)
    house.server.faults = DEAF
    until(lambda: len(house.server.sessions) >= before + 2, 10)
    house.server.faults = Faults()


# Not yet heard --------------------------------------------------------------------------------------------------------


def test_speech_in_progress_survives_a_failed_first_attempt(plain: House) -> None:
    session = surviving(plain)
    stream = session.subscribe()
    session.send_audio(LOUD * 4)
    stream.wait_for("input_audio_buffer.speech_started", 5)
    fail_at_first(plain)
    told = come_back(session, stream)
    session.add_item("now").wait()
    assert told.attempts >= 2
    assert told.losses == ()
    assert heard(plain.live) == LOUD * 4


def test_what_is_said_in_an_outage_survives_a_failed_first_attempt(plain: House) -> None:
    session = surviving(plain)
    stream = session.subscribe()
    plain.server.faults = DOWN
    drop(plain)
    until(lambda: session._engine.reconnecting)
    session.send_audio(LOUD * 4)
    fail_at_first(plain)
    assert come_back(session, stream).losses == ()
    session.add_item("now").wait()
    assert heard(plain.live) == LOUD * 4


def test_a_recording_that_was_just_sent_is_sent_again_though_nobody_was_heard_to_speak(plain: House) -> None:
    session = surviving(plain)
    stream = session.subscribe()
    silenced(plain)
    session.send_audio(SPEECH)  # no more than the kernel takes for who does not read
    plain.live.inject(faults.drop())
    assert come_back(session, stream).losses == ()
    session.add_item("now").wait()
    assert heard(plain.live) == SPEECH


def test_speech_into_a_network_that_is_dead_is_sent_again_once_that_is_noticed(plain: House) -> None:
    session = surviving(plain, timeouts=attrs.evolve(CALM, ping_interval=0.3, ping=1.5))
    session.ask("one")
    stream = session.subscribe()
    silenced(plain)
    session.send_audio(UTTERANCE)
    told = come_back(session, stream)
    assert isinstance(told.reason, PeerUnresponsiveError)
    assert told.losses == ()
    stream.wait_for("response.done", 10)
    session.add_item("now").wait()  # so it has heard the silence at the end, too
    assert heard(plain.live) == UTTERANCE


def test_what_is_said_while_a_connection_is_renewed_is_not_cut(plain: House) -> None:
    plain.serve(session_seconds=3, clock=ManualClock())
    policy = Reconnect(base_delay=0.05, renew_before=3600)
    session = surviving(plain, policy, timeouts=attrs.evolve(CALM, close=1))
    stream = session.subscribe()
    plain.live.inject(faults.stop_reading())  # so that the goodbye takes its time
    until(lambda: session._engine.reconnecting, 10)
    session.send_audio(LOUD * 4)
    assert come_back(session, stream).losses == ()
    session.add_item("now").wait()
    assert heard(plain.live) == LOUD * 4


def test_where_turn_detection_was_disabled_all_audio_is_kept_for_a_commit(
    plain: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("realtime_sync.reconnect.outbox._JUDGED_SECONDS", 0)
    off = attrs.evolve(TEXT, turn_detection_options=TurnDetectionOptions.disabled())
    session = surviving(plain, options=off)
    stream = session.subscribe()
    session.send_audio(samples(1.0))
    session.add_item("it heard all of it").wait()
    drop(plain)
    assert come_back(session, stream).losses == ()
    session.commit_pending_audio().wait()
    assert heard(plain.live) == samples(1.0)


def test_one_who_pushes_to_talk_may_speak_longer_than_is_held_and_go_on_in_an_outage(plain: House) -> None:
    session = surviving(plain, attrs.evolve(QUICKLY, hold_audio=1.0), BY_HAND)
    stream = session.subscribe()
    session.send_audio(SECOND * 3)
    plain.server.faults = DOWN
    drop(plain)
    until(lambda: session._engine.reconnecting)
    session.send_audio(samples(0.5))
    plain.server.faults = Faults()
    assert come_back(session, stream).losses == (
        "audio: 2.0 s that were not committed and are too old to be sent again",
    )
    session.commit_pending_audio().wait()
    assert heard(plain.live) == SECOND + samples(0.5)


def test_audio_that_is_appended_by_hand_is_held_within_the_same_bound(plain: House) -> None:
    session = surviving(plain, attrs.evolve(QUICKLY, hold_audio=2.0), BY_HAND)
    stream = session.subscribe()
    piece = base64.b64encode(SECOND[:4800]).decode()
    for number in range(600):
        session.send_message({"type": "input_audio_buffer.append", "audio": piece, "event_id": f"event_{number}"})
    session.add_item("it heard all of it").wait()
    drop(plain)
    (loss,) = come_back(session, stream).losses
    assert loss.startswith("audio: 58.0 s")
    session.commit_pending_audio().wait()
    assert heard(plain.live) == SECOND * 2


def test_audio_cannot_be_kept_where_none_is_held() -> None:
    with pytest.raises(ConfigurationError, match="hold_audio"):
        Reconnect(keep_audio=True, hold_audio=0)


# Heard, and owed an answer --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("keep", [False, True], ids=["not kept", "kept"])
@pytest.mark.parametrize(
    "last",
    [
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
    ],
)
def test_what_was_said_is_answered_wherever_the_connection_is_lost(plain: House, last: str, keep: bool) -> None:
    before = ["session.created", "session.updated", "input_audio_buffer.speech_started"]
    order = [*before, "input_audio_buffer.speech_stopped", "input_audio_buffer.committed", "conversation.item.added"]
    order.append("conversation.item.done")
    session = surviving(plain, attrs.evolve(QUICKLY, keep_audio=keep))
    stream = session.subscribe()
    plain.live.inject(faults.eof(after_sent=order.index(last) + 1))
    session.send_audio(UTTERANCE)
    assert come_back(session, stream).losses == ()
    stream.wait_for("response.done", 10)
    told = [message["type"] for message in plain.server.sessions[0].sent]
    assert told[: order.index(last) + 1] == order[: order.index(last) + 1]
    (audio,) = said(plain.live)
    assert SPEECH in audio
    assert len(sent(plain.live, "response.created")) == 1


def test_what_was_committed_by_hand_is_carried_over_before_its_message_was_told(plain: House) -> None:
    session = surviving(plain, options=BY_HAND)
    stream = session.subscribe()
    plain.live.inject(faults.eof(after_sent=3))  # session.created, session.updated, input_audio_buffer.committed
    session.send_audio(samples(0.5))
    session.commit_pending_audio()
    assert come_back(session, stream).losses == ()
    session.add_item("now").wait()
    assert said(plain.live) == [samples(0.5)]
    assert received(plain.live, "response.create") == []


def test_words_that_are_known_already_are_answered_too(plain: House) -> None:
    transcribing = threading.Event()

    def transcriber(audio: bytes, rate: int) -> str:
        transcribing.set()
        return "how are you"

    plain.serve(transcriber=transcriber)
    session = surviving(plain, options=TRANSCRIBED)
    stream = session.subscribe()
    plain.live.inject(faults.eof(after_sent=7))  # the message is told; its answer would be next
    session.send_audio(UTTERANCE)
    assert come_back(session, stream).losses == ()
    assert stream.wait_for("response.done", 10).response.status == "completed"
    assert transcribing.is_set()


def test_nobody_is_asked_for_an_answer_that_turn_detection_did_not_owe(plain: House) -> None:
    detection = TurnDetectionOptions.server_vad(create_response=False)
    session = surviving(plain, options=attrs.evolve(TEXT, turn_detection_options=detection))
    stream = session.subscribe()
    session.send_audio(UTTERANCE)
    stream.wait_for("conversation.item.done", 10)
    drop(plain)
    come_back(session, stream)
    session.add_item("now").wait()
    assert received(plain.live, "response.create") == []
    assert sent(plain.live, "response.created") == []


def test_an_answer_is_owed_until_it_begins_however_often_the_connection_is_lost(plain: House) -> None:
    before_the_answer = Act("eof", of_connection(1, ServerConnection.shut_down_sending), after_sent=7, urgent=True)
    unanswered = Act("silence", of_connection(2, ServerConnection.go_silent), after_received=3, urgent=True)
    dropped = Act("drop", of_connection(2, ServerConnection.reset), after_received=3, urgent=True)
    plain.serve(faults=Faults(acts=[before_the_answer, unanswered, dropped]))
    session = surviving(plain, attrs.evolve(QUICKLY, keep_audio=True))
    stream = session.subscribe()
    session.send_audio(UTTERANCE)
    for _ in range(2):
        assert come_back(session, stream).losses == ()
    stream.wait_for("response.done", 10)
    assert len(received(plain.live, "response.create")) == 1


def test_an_answer_is_owed_to_what_has_got_another_name(plain: House) -> None:
    """The service refuses ids of more than 32 characters, and some servers' are longer."""
    realtime, long = RealtimeState(Dialect.GA, 1), "item_" + "x" * 36
    kept = ReconnectState(QUICKLY, realtime)
    detection = {"audio": {"input": {"turn_detection": {"type": "server_vad"}}}}
    for message in ({"type": "session.created", "session": detection}, {"type": "input_audio_buffer.committed"}):
        update = ConversationUpdate.from_json(json.dumps({**message, "item_id": long}))
        realtime.apply(update)
        kept.observe(update, None)
    realtime.conversation().add_item(MessageItem(id=long, role="user"))
    realtime.conversation()._carry_over({long: "item_short"})
    assert kept.owes_answer({long: "item_short"})
    assert not kept.owes_answer({})  # it could not be carried over


@pytest.mark.parametrize("fails", [True, False])
def test_audio_whose_transcription_has_failed_is_kept_until_the_answer_has_come(fails: bool) -> None:
    """Else a transcription model that is not there would fill the memory; while it may still come it is kept."""
    realtime = RealtimeState(Dialect.GA, 1)
    conversation, kept = realtime.conversation(), ReconnectState(QUICKLY, realtime)
    commit = CommandHandle("input_audio_buffer.commit", "event_1", 1, lambda: None)
    kept.outbox.keep_audio(1, codec.append_frame(HALF, "input_audio_buffer.append"), len(HALF), PCM)
    kept.outbox.keep_command(1, b"{}", commit, {})

    def tell(wire_type: str, acknowledged: Any = None, **fields: Any) -> None:
        update = ConversationUpdate.from_json(json.dumps({"type": wire_type, **fields}))
        realtime.apply(update)
        kept.observe(update, acknowledged)

    transcribed = {"audio": {"input": {"transcription": {"model": "nobody-has-it"}}}}
    tell("session.created", session=transcribed)
    tell("input_audio_buffer.committed", commit, item_id="u")
    tell("conversation.item.added", item={"id": "u", "type": "message", "role": "user", "content": []})
    assert conversation.audio("u") == HALF
    if fails:
        tell("conversation.item.input_audio_transcription.failed", item_id="u", content_index=0, error={})
    assert conversation.audio("u") == HALF
    tell("response.done", response={"id": "r", "status": "completed", "output": []})
    assert conversation.audio("u") == (None if fails else HALF)


# Streams of it --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("outage", [False, True], ids=["at once", "after an outage"])
def test_speech_from_a_microphone_that_goes_on_arrives_once_and_whole(plain: House, outage: bool) -> None:
    session = surviving(plain, attrs.evolve(QUICKLY, keep_audio=True))
    stream = session.subscribe()
    speech = numbered(2.0)
    sending = session.start_sending_audio(HALF + speech + SECOND, chunk_ms=20, pace=2.0)
    stream.wait_for("input_audio_buffer.speech_started", 10)
    if outage:
        plain.server.faults = DOWN
    drop(plain)
    if outage:
        until(lambda: session._engine.reconnecting)
        plain.server.faults = Faults()
    assert come_back(session, stream).losses == ()
    sending.wait(20)
    stream.wait_for("response.done", 10)
    (audio,) = said(plain.live)
    assert speech in audio


def test_what_is_translated_is_not_translated_twice_and_not_told_as_lost(plain: House) -> None:
    client = plain.client()
    policy = attrs.evolve(QUICKLY, hold_audio=4.0)
    session = plain.stack.enter_context(client.start_translation_session(target_language="es", reconnect=policy))
    stream = session.subscribe()
    for _ in range(3):
        session.send_audio(LOUD + SECOND)
        stream.wait_for("session.output_audio.delta", 10)
    drop(plain)
    assert come_back(session, stream).losses == ()
    session.send_audio(LOUD + SECOND)
    stream.wait_for("session.output_audio.delta", 10)
    again = received(plain.live, "session.input_audio_buffer.append")
    assert sum(len(base64.b64decode(message["audio"])) for message in again) <= len(SECOND + LOUD + SECOND)


class CutOff:
    """A responder whose first answer waits to be cut off; the others are whole."""

    def __init__(self) -> None:
        self.waiting = threading.Event()

    def __call__(self, turn: Turn) -> Any:
        return Reply("two", HALF) if self.waiting.is_set() else self._half(turn)

    def _half(self, turn: Turn) -> Iterator[Reply]:
        yield Reply("one", HALF)
        self.waiting.set()
        turn.cancelled.wait(20)


def lose_its_first_answer(house: House, session: Any, microphone: FileMicrophone, **options: Any) -> tuple[Any, Any]:
    """A talk, and a stream of the session, behind the loss."""
    stream = session.subscribe()
    talking = Running(lambda: session.talk(microphone, FileSpeaker(pace=4.0), **options))
    stream.wait_for("response.output_audio.done", 10)  # the client knows of the answer
    assert house.server.settings.responder.waiting.wait(5)  # type: ignore[attr-defined]
    drop(house)
    come_back(session, stream)
    return talking, stream


def test_a_talk_goes_on_over_the_new_connection(plain: House) -> None:
    plain.serve(responder=CutOff())
    session = surviving(plain, options=ConversationSessionOptions())
    stop, microphone = threading.Event(), FileMicrophone(LOUD, pace=4.0, pause_ms=600)
    talking, stream = lose_its_first_answer(plain, session, microphone, stop=stop)
    assert talking.alive
    microphone.say(LOUD)
    assert stream.wait_for("response.done", 10).response.status == "completed"
    stop.set()
    talking.result()
    assert [response.status for response in session.conversation.responses] == ["incomplete", "completed"]


def test_a_talk_does_not_wait_at_its_end_for_an_answer_that_was_cut_off(plain: House) -> None:
    plain.serve(responder=CutOff())
    session = surviving(plain, options=ConversationSessionOptions())
    microphone = FileMicrophone(LOUD, pace=4.0, pause_ms=600, endless=False)
    talking, _ = lose_its_first_answer(plain, session, microphone, linger=120.0)
    talking.result(20)

"""The outbox alone: what is kept of what was sent, until when, and how much of it."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any, Optional

import pytest

from realtime_sync import (
    AudioNotHeldError,
    ConnectionReplacedError,
    ConversationSessionOptions,
    ConversationUpdate,
    InputTranscriptionOptions,
    TurnDetectionOptions,
)
from realtime_sync.audio.formats import PCM
from realtime_sync.core.commands import CommandHandle
from realtime_sync.core.settings import SettingsTracker
from realtime_sync.protocol import codec
from realtime_sync.reconnect.outbox import Outbox, Resend, resend_policy
from tests.core.harness import within

PIECE = b"\x01\x02" * 2400  # a tenth of a second


def handle(wire_type: str) -> CommandHandle:
    return CommandHandle(wire_type, "event_1", 1, lambda: None)


def update(wire_type: str, **fields: Any) -> ConversationUpdate:
    return ConversationUpdate.from_json(json.dumps({"type": wire_type, "event_id": "e", **fields}))


COMMITTED = update("input_audio_buffer.committed", previous_item_id=None, item_id="item_1")


def say(box: Outbox, pieces: int = 1, connection: int = 1) -> None:
    for _ in range(pieces):
        box.keep_audio(connection, codec.append_frame(PIECE, "input_audio_buffer.append"), len(PIECE), PCM)


def command(box: Outbox, wire_type: str, connection: int = 1) -> CommandHandle:
    sent = handle(wire_type)
    box.keep_command(connection, b"{}", sent, {})
    return sent


def see(box: Outbox, seen: ConversationUpdate, acknowledged: Optional[CommandHandle] = None) -> Any:
    return box.observe(seen, acknowledged, lambda: PCM)


def speech(box: Outbox, start_ms: int, stop_ms: Optional[int] = None) -> None:
    """Voice activity detection tells of speech."""
    see(box, update("input_audio_buffer.speech_started", audio_start_ms=start_ms, item_id="item_1"))
    if stop_ms is not None:
        see(box, update("input_audio_buffer.speech_stopped", audio_end_ms=stop_ms, item_id="item_1"))


def again(box: Outbox, connection: int = 2) -> tuple[float, list[str]]:
    """Send what is kept on the next connection: seconds of audio, and the types of commands."""
    box.open(connection)
    size, commands = 0, []
    while (sent := box.next_unsent()) is not None:
        size += sent.audio_bytes
        commands += [sent.handle.type] if sent.handle is not None else []
        box.keep_again(connection, sent.handle)
    return size / 48_000, commands


# Commands -------------------------------------------------------------------------------------------------------------


def test_a_command_is_kept_until_it_is_acknowledged() -> None:
    box = Outbox(30.0)
    first, second = command(box, "conversation.item.create"), command(box, "conversation.item.delete")
    see(box, update("conversation.item.deleted", item_id="item_1"), second)
    assert box.waiting() == [first.type]
    see(box, update("conversation.item.added", item={"id": "item_1", "type": "message"}), first)
    assert box.waiting() == []


def test_what_nothing_acknowledges_goes_with_the_next_acknowledgement() -> None:
    box = Outbox(30.0)
    for _ in range(1000):
        command(box, "something.new")
    adding = command(box, "conversation.item.create")
    behind = command(box, "something.newer")
    see(box, update("conversation.item.added", item={"id": "item_1", "type": "message"}), adding)
    assert box.waiting() == [behind.type]


def test_what_is_sent_again_keeps_the_order_of_sending() -> None:
    box = Outbox(30.0)
    command(box, "conversation.item.create")
    say(box, 5)
    command(box, "input_audio_buffer.commit")
    command(box, "response.create")
    assert box.cut(1, False, PCM) == []
    assert again(box) == (0.5, ["conversation.item.create", "input_audio_buffer.commit", "response.create"])


def test_a_command_of_unknown_effect_is_lost_and_told() -> None:
    box = Outbox(30.0)
    for wire_type in ("something.new", "response.cancel", "session.update"):
        command(box, wire_type)
    assert box.cut(1, False, PCM) == ["something.new: it was not acknowledged, and is not sent again"]
    assert again(box) == (0.0, [])


def test_a_command_that_three_connections_did_not_outlive_is_given_up() -> None:
    box = Outbox(30.0)
    command(box, "conversation.item.create")
    for connection in (1, 2):
        assert box.cut(connection, False, PCM) == []
        assert again(box, connection + 1)[1] == ["conversation.item.create"]
    assert box.cut(3, False, PCM) == ["conversation.item.create: the connection was lost each time that it was sent"]
    assert again(box, 4) == (0.0, [])


def test_only_what_the_next_connection_gets_is_promised() -> None:
    box = Outbox(30.0)
    adding, changing, _, _ = (
        command(box, wire_type)
        for wire_type in ("input_audio_buffer.commit", "session.update", "something.new", "response.cancel")
    )
    for connection in (1, 2):
        box.cut(connection, False, PCM)
        assert box.promised() == {adding, changing}
        again(box, connection + 1)
    assert box.pop_settings() == [changing]
    assert box.pop_settings() == []
    assert box.cut(3, False, PCM) == ["input_audio_buffer.commit: the connection was lost each time that it was sent"]
    assert box.promised() == frozenset()


def test_settings_that_nothing_remembers_are_sent_again_themselves() -> None:
    box = Outbox(30.0)
    changing = command(box, "session.update")
    assert box.cut(1, False, PCM, lambda handle: False) == []
    assert box.promised() == {changing}
    assert again(box) == (0.0, ["session.update"])
    assert box.pop_settings() == []


def test_commands_are_kept_within_a_bound_and_the_oldest_are_told_as_lost() -> None:
    box, old = Outbox(30.0, 10_000), [handle("conversation.item.create") for _ in range(3)]
    for sent in old:
        box.keep_command(1, b"x" * 3500, sent, {})
    command(box, "response.cancel")
    assert box.waiting() == ["conversation.item.create", "conversation.item.create", "response.cancel"]
    (loss,) = box.cut(1, False, PCM)
    assert loss.startswith("conversation.item.create: more was not acknowledged than Reconnect.hold_commands allows")
    assert box.promised() == set(old[1:])


def test_what_is_acknowledged_leaves_room_and_what_had_none_is_no_loss_then() -> None:
    box = Outbox(30.0, 10_000)
    for _ in range(50):
        sent = handle("conversation.item.create")
        box.keep_command(1, b"x" * 3500, sent, {})
        see(box, COMMITTED, sent)
    alone = handle("conversation.item.create")
    box.keep_command(1, b"x" * 10_000, alone, {})
    assert box.waiting() == []
    alone.settle(COMMITTED)
    assert box.cut(1, False, PCM) == []


def test_settings_without_room_come_with_the_others_all_the_same() -> None:
    box = Outbox(30.0, 0)
    changing = command(box, "session.update")
    command(box, "response.cancel")
    assert box.cut(1, False, PCM) == []
    assert box.promised() == {changing}


def test_a_connection_that_never_was_in_use_takes_nothing_with_it() -> None:
    box = Outbox(30.0)
    command(box, "something.new")
    assert box.cut(2, False, PCM) == []
    assert box.waiting() == ["something.new"]


@pytest.mark.parametrize("connection", [1, 3])
def test_nothing_has_its_turn_on_another_connection_or_between_two(connection: int) -> None:
    box = Outbox(30.0)
    box.cut(1, False, PCM)
    with pytest.raises(ConnectionReplacedError):
        command(box, "conversation.item.create", 1)
    box.open(2)
    with pytest.raises(ConnectionReplacedError):
        say(box, connection=connection)
    say(box, connection=2)


@pytest.mark.parametrize("metadata", [None, 5, "text", [], {}, {"mine": "1"}])
def test_a_response_that_the_caller_asked_for_is_asked_for_again(metadata: Any) -> None:
    assert resend_policy("response.create", {"response": {"metadata": metadata}}) is Resend.AGAIN
    assert resend_policy("response.create", {"response": metadata}) is Resend.AGAIN
    assert (
        resend_policy("response.create", {"response": {"metadata": {"realtime_sync_request": "event_1"}}})
        is Resend.DROP
    )


# Audio that is committed by hand --------------------------------------------------------------------------------------


def test_a_commit_takes_what_was_sent_before_it_and_nothing_of_the_next_utterance() -> None:
    box = Outbox(30.0)
    say(box, 3)
    commit = command(box, "input_audio_buffer.commit")
    say(box, 2)
    command(box, "conversation.item.create")  # of another thread, before the acknowledgement has come
    assert see(box, COMMITTED, commit).samples == PIECE * 3
    assert box.cut(1, False, PCM) == []
    assert again(box) == (0.2, ["conversation.item.create"])


def test_a_commit_whose_beginning_was_too_old_has_no_samples_to_be_kept() -> None:
    box = Outbox(1.0)
    say(box, 15)
    commit = command(box, "input_audio_buffer.commit")
    assert see(box, COMMITTED, commit).samples is None
    assert box.cut(1, False, PCM) == []


def test_audio_beyond_the_bound_goes_oldest_first_and_is_told() -> None:
    box = Outbox(1.0)
    say(box, 25)
    assert box.cut(1, False, PCM) == ["audio: 1.5 s that were not committed and are too old to be sent again"]
    assert again(box) == (1.0, [])


def test_audio_that_is_cleared_is_neither_kept_nor_missed() -> None:
    box = Outbox(1.0)
    say(box, 25)
    command(box, "input_audio_buffer.clear")
    say(box, 2)
    assert box.cut(1, False, PCM) == []
    assert again(box) == (0.2, [])


def test_audio_is_held_in_an_outage_beside_what_is_kept_and_no_more_than_the_bound() -> None:
    box = Outbox(1.0)
    say(box, 10)
    box.cut(1, False, PCM)
    frame = codec.append_frame(PIECE, "input_audio_buffer.append")
    for _ in range(10):
        box.hold(frame, len(PIECE), PCM)
    with pytest.raises(AudioNotHeldError, match=r"1\.0 s"):
        box.hold(frame, len(PIECE), PCM)
    assert again(box) == (2.0, [])
    assert box.cut(2, False, PCM) == []


def test_held_audio_that_was_sent_leaves_room_for_more() -> None:
    box = Outbox(1.0)
    for connection in (2, 3):
        box.cut(connection - 1, True, PCM)
        for _ in range(10):
            box.hold(codec.append_frame(PIECE, "input_audio_buffer.append"), len(PIECE), PCM)
        assert again(box, connection)[0] >= 1.0


# Audio in which turns are detected ------------------------------------------------------------------------------------


def test_speech_is_kept_from_its_beginning_and_the_silence_before_it_is_not() -> None:
    box = Outbox(30.0)
    say(box, 10)
    speech(box, 400)
    assert box.cut(1, True, PCM) == []
    assert again(box) == (0.6, [])


def test_silence_is_kept_only_if_the_service_may_not_have_judged_it_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("realtime_sync.reconnect.outbox.time", SimpleNamespace(monotonic=lambda: now[0]))
    box = Outbox(30.0)
    for now[0] in (1.0, 7.9, 8.1, 9.9):
        say(box)
    now[0] = 10.0
    see(box, update("response.created", response={"id": "resp_1"}))  # the service was heard
    assert box.cut(1, True, PCM) == []
    assert again(box) == (0.2, [])  # what was sent in the two seconds before


def test_speech_whose_beginning_is_too_old_is_told_by_its_own_length() -> None:
    box = Outbox(1.0)
    say(box, 30)
    speech(box, 1500)
    assert box.cut(1, True, PCM) == ["audio: 0.5 s that were not committed and are too old to be sent again"]


def test_speech_is_kept_though_it_has_ended_until_a_message_is_made_of_it() -> None:
    box = Outbox(30.0)
    say(box, 20)
    speech(box, 500, 1500)
    assert box.speaking
    box.cut(1, True, PCM)
    assert again(box) == (1.5, [])


def test_a_message_is_made_of_what_lies_between_the_beginning_and_the_end_of_speech() -> None:
    box = Outbox(30.0)
    for value in range(20):
        piece = bytes([value, 0]) * 2400
        box.keep_audio(1, codec.append_frame(piece, "input_audio_buffer.append"), len(piece), PCM)
    speech(box, 450, 1520)
    samples = see(box, COMMITTED).samples
    assert len(samples) == 1070 * 48
    assert (samples[0], samples[-2]) == (4, 15)
    assert not box.speaking


def test_audio_that_was_sent_long_before_the_service_spoke_last_was_judged_by_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("realtime_sync.reconnect.outbox._JUDGED_SECONDS", 0)
    box = Outbox(30.0)
    say(box, 10)
    see(box, update("rate_limits.updated", rate_limits=[]))
    say(box, 2)
    assert box.cut(1, True, PCM) == []
    assert again(box) == (0.2, [])


def test_a_translation_may_have_missed_no_more_than_the_last_second() -> None:
    box = Outbox(30.0, continuous=True)
    say(box, 40)
    assert box.cut(1, False, PCM) == []
    assert again(box) == (1.0, [])


def test_speech_ends_with_its_connection() -> None:
    box = Outbox(30.0)
    say(box, 10)
    speech(box, 400)
    box.cut(1, True, PCM)
    assert not box.speaking
    again(box)
    say(box, 1, 2)
    assert box.cut(2, True, PCM) == []
    assert again(box, 3) == (0.7, [])


def test_turn_detection_that_was_disabled_is_none() -> None:
    memory = SettingsTracker()
    memory.report(update("session.updated", session={"audio": {"input": {"turn_detection": {"type": "server_vad"}}}}))  # type: ignore[arg-type]
    assert memory.turn_detection is not None
    off = ConversationSessionOptions(turn_detection_options=TurnDetectionOptions.disabled())
    memory.remember(handle("session.update"), off)
    assert memory.turn_detection is None


def test_a_raw_change_that_any_kind_of_session_might_be_asked_for_forgets_nothing() -> None:
    """Servers that take a session.update without a type exist; this one could be a translation's."""
    memory = SettingsTracker()
    memory.remember(handle("session.update"), ConversationSessionOptions(voice="cedar"))
    transcription = {"audio": {"input": {"transcription": {"model": "gpt-transcribe"}}}}
    raw = codec.decode_command(json.dumps({"type": "session.update", "session": transcription}))
    memory.remember(handle("session.update"), raw.session)  # type: ignore[attr-defined]
    assert memory.desired() == ConversationSessionOptions(
        voice="cedar", input_transcription_options=InputTranscriptionOptions(model="gpt-transcribe")
    )


def test_what_was_held_for_long_is_sent_again_in_time() -> None:
    """Each next piece is found without looking at those before it."""
    box = Outbox(3600.0)
    box.cut(1, False, PCM)
    for _ in range(60_000):
        box.hold(b"{}", 960, PCM)
    with within(5):
        assert again(box) == (60_000 * 960 / 48_000, [])

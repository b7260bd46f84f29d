"""What waits in ``updates()`` of a live session, whose sound comes all the time, whether anybody reads it or not."""

from __future__ import annotations

import base64

import pytest

from realtime_sync import ConsumerTooSlowError, LiveSession, QueueLimits
from tests.live.harness import LiveHouse, until

PIECES = 100
DELTA = {"type": "session.output_audio.delta", "delta": base64.b64encode(bytes(4800)).decode()}
SMALL = {"limits": QueueLimits(queued=200_000, unread=100_000)}


def goes_on(session: LiveSession, house: LiveHouse) -> None:
    """The service says something, and then sound of ten seconds."""
    house.twin.emit({"type": "info", "code": "first", "message": ""})
    for _ in range(PIECES):
        house.twin.emit(DELTA)
    session.mute_input().wait(5)  # it is behind all that


def test_sound_that_nobody_takes_makes_room_for_the_rest(plain: LiveHouse, caplog: pytest.LogCaptureFixture) -> None:
    """Who has waited for one update once is no reader from then on: 17 minutes of sound would end the session."""
    session = plain.start(keep_clock=False, client=SMALL)
    session.wait_for("session.started", 5)
    goes_on(session, plain)
    goes_on(session, plain)
    assert session._engine.updates.waiting_bytes <= 200_000
    assert [session.wait_for("info", 5).type for _ in range(2)] == ["info", "info"]
    goes_on(session, plain)
    types = [session.receive_update(5).type for _ in range(20)]
    assert types == [*["session.input_audio.muted"] * 2, "info", *["session.output_audio.delta"] * 17]
    assert sum("were dropped" in record.message for record in caplog.records) == 1
    assert not session.closed


def test_words_that_nobody_asked_for_stay_longer_than_sound(plain: LiveHouse) -> None:
    session = plain.start(keep_clock=False, client=SMALL)
    goes_on(session, plain)
    assert [session.receive_update(5).type for _ in range(2)] == ["session.started", "info"]


def test_sound_that_nobody_ever_asked_for_takes_little(plain: LiveHouse) -> None:
    session = plain.start(keep_clock=False)
    for _ in range(300):  # half a minute
        plain.twin.emit(DELTA)
    session.mute_input().wait(5)
    assert 900_000 < session._engine.updates.waiting_bytes <= 2**20
    assert session.receive_update(5).type == "session.started"


def test_a_stream_of_ones_own_that_is_not_read_ends_the_session(plain: LiveHouse) -> None:
    session = plain.start(keep_clock=False, client=SMALL)
    stream = session.subscribe()
    for _ in range(PIECES):
        plain.twin.emit(DELTA)
    until(lambda: session.closed)
    with pytest.raises(ConsumerTooSlowError):
        for _ in stream:
            pass

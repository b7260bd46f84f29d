"""The twin beside captured sessions of the service (2026-10): the same order, and the same times within what was seen.

The figures are of five captures with a client's delegation: what came when, counted from the first audio. The model's
lag is the service's; what is compared is the twin's against it.
"""

from __future__ import annotations

from typing import Any, Callable

import pytest

from tests.server.live.conftest import Call
from tests.server.sounds import silence

Json = dict[str, Any]
OpenCall = Callable[..., Call]
# Milliseconds, least and most, as they were seen.
WORD_AFTER_ITS_END = 440, 660  # the user's
DELEGATION_AFTER_THE_WORD = 0, 8
SURE_AFTER_THE_OFFSET = 200, 400  # on the timeline
SURE_AFTER_THE_DELEGATION = 171, 511
ACKNOWLEDGED_AFTER = 602, 959
SPOKEN_BEFORE_ACKNOWLEDGED = 196, 237
CLOSED_AFTER = 600, 850
FIRST_SOUND = 550, 1121
TRACK_BEYOND_THE_AUDIO = 2700, 2900


class Log:
    """What came when, in milliseconds since the first audio. A watcher."""

    def __init__(self, call: Call) -> None:
        self.call = call
        self.start = call.clock.monotonic()
        self.events: list[tuple[float, Json]] = []
        self.sounds: list[tuple[float, bytes]] = []
        call.twin.watchers.append(self)

    @property
    def now(self) -> float:
        return round((self.call.clock.monotonic() - self.start) * 1000, 1)

    def on_event(self, text: str, event: Json) -> None:
        self.events.append((self.now, event))

    def on_input_audio(self, audio: bytes, start_ms: float) -> None:
        pass

    def on_output_audio(self, audio: bytes, start_ms: float) -> None:
        self.sounds.append((self.now, audio))

    def of(self, wire_type: str) -> list[tuple[float, Json]]:
        return [(when, event) for when, event in self.events if event["type"] == wire_type]


@pytest.fixture
def played(open_call: OpenCall) -> tuple[Log, dict[str, float]]:
    """A question, its delegation, and a spoken result, with audio in pieces of 50 ms throughout."""
    call = open_call(delegation={"type": "client"}, audio={"output": {"voice": "marin"}})
    log, sent = Log(call), {}
    call.audio(silence(450), piece_ms=50)
    call.twin.hear("Please check the deployment status of the staging environment and tell me the result.")
    delegation_id = call.twin.delegate()
    call.audio(silence(9550), piece_ms=50)
    sent["commentary"] = log.now
    call.commentary("Done: 3 of 3 replicas healthy, no failed deploys in 24 hours.", delegation_id=delegation_id)
    call.audio(silence(7000), piece_ms=50)
    sent["close"] = log.now
    call.send("session.close")
    call.advance(1.0)
    call.peer.rest()
    return log, sent


def test_the_order_is_that_of_the_capture(played: tuple[Log, dict[str, float]]) -> None:
    kinds = [event["type"].removeprefix("session.") for _, event in played[0].events]
    order = [kind for index, kind in enumerate(kinds) if not index or kinds[index - 1] != kind]
    assert [kind for kind in order if kind != "usage.updated"] == [
        "input_transcript.delta",
        "delegation.created",
        "output_transcript.delta",
        "commentary.appended",
        "output_transcript.delta",
        "closed",
    ]


def within(seen: tuple[float, float], value: float) -> None:
    assert seen[0] - 10 <= value <= seen[1] + 10


def test_the_times_are_within_what_was_seen(played: tuple[Log, dict[str, float]]) -> None:
    log, sent = played
    words = log.of("session.input_transcript.delta")
    for when, word in words:
        within(WORD_AFTER_ITS_END, when - word["end_ms"])
        assert word["start_ms"] % 200 == 0
        assert word["end_ms"] - word["start_ms"] == 200
    ((delegated, delegation),) = log.of("session.delegation.created")
    within(DELEGATION_AFTER_THE_WORD, delegated - words[-1][0])
    assert delegation["offset_ms"] == words[-1][1]["start_ms"]
    said = log.of("session.output_transcript.delta")
    within(SURE_AFTER_THE_OFFSET, said[0][1]["start_ms"] - delegation["offset_ms"])
    within(SURE_AFTER_THE_DELEGATION, said[0][0] - delegated)
    ((acknowledged, appended),) = log.of("session.commentary.appended")
    within(ACKNOWLEDGED_AFTER, acknowledged - sent["commentary"])
    result = next((when, word) for when, word in said if word["delta"] == "Done:")
    within(SPOKEN_BEFORE_ACKNOWLEDGED, acknowledged - result[0])
    assert appended["start_ms"] - result[1]["start_ms"] == 200
    ((closed, _),) = log.of("session.closed")
    within(CLOSED_AFTER, closed - sent["close"])
    within(FIRST_SOUND, log.sounds[0][0])


def test_the_track_ends_as_in_the_capture_when_the_microphone_stops(open_call: OpenCall) -> None:
    call = open_call()
    log = Log(call)
    call.audio(silence(4495), piece_ms=50)
    stopped = log.now
    call.advance(30)
    sound = sum(len(audio) for _, audio in log.sounds) / 48
    within(TRACK_BEYOND_THE_AUDIO, sound - 4495)
    # 3,858 ms after the last audio in the capture, 3,579 in another.
    within((3300, 3900), log.sounds[-1][0] - stopped)
    assert call.twin.seconds == 7

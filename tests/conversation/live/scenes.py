"""Live sessions to test with, short to write. All words and times are our own; the oddities are those of real sessions.

A scene is a list of what came: when, in milliseconds of the wall clock, and the message. Real fragments lie on a grid
of 200 ms and come some 550 ms after their end; a piece of the model's track comes each 100 ms, silences included.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator
from typing import Any, Optional

import attrs

from realtime_sync.conversation.live.conversation import LiveConversation
from realtime_sync.conversation.live.turns import LiveTurn, LiveTurnCollector
from realtime_sync.protocol.live.codec import live_decode
from realtime_sync.protocol.update_base import ConversationUpdate

LAG_MS = 550.0
BEGIN_MS = 1000.0
"""When the timeline's 0 is, by the wall clock."""

Came = tuple[float, ConversationUpdate]


def update(wire_type: str, **fields: Any) -> ConversationUpdate:
    return live_decode(json.dumps({"type": wire_type, **fields}))


@attrs.define
class Scene:
    """What came, with the wall clock's milliseconds; ``shift``: by how much the timeline is off its place."""

    came: list[Came] = attrs.field(factory=list)
    shift: float = 0.0
    count: int = 0

    def started(self, at: float = 500.0, session_id: str = "live_1", rate: int = 24000) -> Scene:
        session = {"id": session_id, "model": "gpt-live-1.1", "audio": {"format": {"type": "audio/pcm", "rate": rate}}}
        return self._add(at, "session.started", session=session)

    def say(self, speaker: str, start_ms: float, *pieces: str, lag: Optional[float] = None) -> Scene:
        """Each piece 200 ms after the one before; ``""`` is 200 ms of silence."""
        for index, text in enumerate(pieces):
            if text:
                self.fragment(speaker, start_ms + 200 * index, text, lag=lag)
        return self

    def fragment(
        self, speaker: str, start_ms: float, text: str, *, lag: Optional[float] = None, length_ms: float = 200
    ) -> Scene:
        direction = {"user": "input", "assistant": "output"}[speaker]
        end_ms = start_ms + length_ms
        at = BEGIN_MS + self.shift + end_ms + (LAG_MS if lag is None else lag)
        return self._add(at, f"session.{direction}_transcript.delta", delta=text, start_ms=start_ms, end_ms=end_ms)

    def track(self, begin: float, end: float, sample: int = 0) -> Scene:
        """A piece each 100 ms, at these moments of the wall clock."""
        delta = base64.b64encode(sample.to_bytes(2, "little") * 2400).decode()
        for at in range(round(begin), round(end) + 1, 100):
            self._add(float(at), "session.output_audio.delta", event=False, delta=delta)
        return self

    def closed(self, at: float) -> Scene:
        return self._add(at, "session.closed", reason="close_requested", usage={"seconds": 9})

    def updates(self) -> Iterator[Came]:
        return iter(sorted(self.came, key=lambda each: each[0]))

    def _add(self, at: float, wire_type: str, *, event: bool = True, **fields: Any) -> Scene:
        self.count += 1
        names = {"event_id": f"event_{self.count}"} if event else {}
        self.came.append((at, update(wire_type, **names, **fields)))
        return self


def collected(came: Iterable[Came], collector: Optional[LiveTurnCollector] = None) -> list[tuple[float, LiveTurn]]:
    """The turns, with the moment at which each was given out; time passes as for a stream that waits."""
    collector = collector or LiveTurnCollector()
    given: list[tuple[float, LiveTurn]] = []
    for at, one in came:
        while (due := collector.next_due) is not None and due * 1000 < at:
            given += [(due * 1000, turn) for turn in collector.pass_time(due)]
        given += [(at, turn) for turn in collector.apply(one, at / 1000)]
    while (due := collector.next_due) is not None and due < 1e9:
        given += [(due * 1000, turn) for turn in collector.pass_time(due)]
    return given + [(at, turn) for turn in collector.rest()]


def turns_of(scene: Scene, collector: Optional[LiveTurnCollector] = None) -> list[LiveTurn]:
    return [turn for _, turn in collected(scene.updates(), collector)]


def conversation_of(scene: Scene, **settings: Any) -> LiveConversation:
    conversation = LiveConversation(**settings)
    for at, one in scene.updates():
        conversation.apply(one, at / 1000)
    return conversation


def texts(turns: Iterable[LiveTurn]) -> list[tuple[str, str]]:
    return [(turn.speaker, turn.text) for turn in turns]


# Whole sessions: each with its utterances, counted by hand ------------------------------------------------------------


def delegated_question() -> tuple[Scene, list[tuple[str, str]]]:
    """A question with a hesitation of a second, "one moment", and the result: three utterances."""
    scene = Scene().started().track(1700, 18000)
    scene.say("user", 600, "Could", " you", "", " look", " up", "", "", "", " my", "", " parcel?")
    scene.say("user", 3800, " It", " is", " late.")
    scene.say("assistant", 4600, " One", " moment,", "", " please.")
    scene.say("assistant", 8800, "It", " is", " in", "", "", " Utrecht", ",", " and", " comes", "", " on", " Friday.")
    said = [
        ("user", "Could you look up my parcel? It is late."),
        ("assistant", "One moment, please."),
        ("assistant", "It is in Utrecht, and comes on Friday."),
    ]
    return scene.closed(18500), said


def both_at_once() -> tuple[Scene, list[tuple[str, str]]]:
    """The model speaks into what the user goes on to say, with equal times on both sides: two utterances."""
    scene = Scene().started().track(1700, 12000)
    scene.say("user", 2000, "Print", " the", " list", "", "", "", " and", " then", " sort", " it")
    scene.say("assistant", 2800, "Sure", ",", " I", " will", "", " do", " that", "", "", "", "", "", " right", " away.")
    return scene.closed(12500), [
        ("user", "Print the list and then sort it"),
        ("assistant", "Sure, I will do that right away."),
    ]


def faster_than_real_time() -> tuple[Scene, list[tuple[str, str]]]:
    """A file is sent as fast as it can be, so the timeline jumps by a second and a half: four utterances."""
    scene = Scene().started().track(1700, 14000)
    scene.say("user", 600, "Good", " morning.").say("assistant", 1200, "Good", " morning", "!")
    scene.shift = -1500
    scene.say("user", 4800, "Which", " day", " is", "", " it?").say("assistant", 6200, " Sunday", ".")
    return scene.closed(14500), [
        ("user", "Good morning."),
        ("assistant", "Good morning!"),
        ("user", "Which day is it?"),
        ("assistant", "Sunday."),
    ]


def microphone_stops() -> tuple[Scene, list[tuple[str, str]]]:
    """The user's audio ends with the question; the track goes on for 2.8 s, and stands: two utterances."""
    scene = Scene().started().track(1700, 5900)
    scene.say("user", 600, "Is", " it", " open?").say("assistant", 2400, " I", " am", " looking", "", " at", " that.")
    return scene.closed(30000), [("user", "Is it open?"), ("assistant", "I am looking at that.")]


def time_stands_between() -> tuple[Scene, list[tuple[str, str]]]:
    """No audio for a second and a half; then it goes on, without a jump of the timeline: four utterances."""
    scene = Scene().started().track(1700, 6000)
    scene.say("user", 600, "Check", " the", " door", " please").say("assistant", 1800, "Yes", ".")
    scene.shift = 1500
    scene.track(7500, 18000)
    scene.say("user", 6000, "Hello", ". Are", " you", " there", "", " still", "and", " well?")
    scene.say("assistant", 7200, "It", " is", " shut.")
    return scene.closed(18500), [
        ("user", "Check the door please"),
        ("assistant", "Yes."),
        ("user", "Hello. Are you there still and well?"),
        ("assistant", "It is shut."),
    ]


def without_spaces() -> tuple[Scene, list[tuple[str, str]]]:
    """A script that has no spaces between words: two utterances."""
    scene = Scene().started().track(1700, 8000)
    scene.say("user", 600, "今天", "会", "", "下", "雨", "吗?").say(
        "assistant", 2200, "不", "会", "", "", "", ",", "晴天。"
    )
    return scene.closed(8500), [("user", "今天会下雨吗?"), ("assistant", "不会,晴天。")]


SCENES = [
    delegated_question,
    both_at_once,
    faster_than_real_time,
    microphone_stops,
    time_stands_between,
    without_spaces,
]

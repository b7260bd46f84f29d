"""A live conversation with devices elsewhere: the track is played there to the sample."""

from __future__ import annotations

import numpy as np
import pytest

from realtime_sync.server.voice import speak
from tests.live.harness import LiveHouse
from tests.live.test_sending import heard
from tests.live.test_talk import told
from tests.voice.test_remote_talk import Far


@pytest.mark.slow
def test_a_live_session_is_talked_to_from_elsewhere(patient: LiveHouse) -> None:
    session, far, question = patient.start(), Far(), speak("hello there")
    session.append_commentary("Good morning to you all.")
    far.microphone.hear(question)
    far.microphone.end()
    session.talk(far.microphone, far.speaker, linger=1.0)
    (played,) = far.heard.values()
    samples = np.frombuffer(played, "<i2")
    where = np.flatnonzero(np.abs(samples) > 32)
    assert np.array_equal(samples[where[0] : where[-1] + 1], told(patient.twin))
    assert heard(patient.twin)
    assert not session.closed

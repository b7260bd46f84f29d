"""``close()`` in a signal handler, at a random moment of each public call of a GPT-Live session.

As ``tests/core/close_in_handlers.py``: ``python -m tests.live.close_in_handlers [ROUNDS_OF_EACH_CALL]``.
"""

from __future__ import annotations

import sys
from typing import Any, ClassVar

from realtime_sync import RealtimeConversationClient
from realtime_sync.voice import FileMicrophone, FileSpeaker
from tests.core.close_in_handlers import PCM, Rounds, cancel_audio, drain, main, write_audio

LONG = "This is a sentence. " * 300


def talk(session: Any) -> None:
    session.talk(FileMicrophone(PCM), FileSpeaker(None, pace=100), linger=0)


def read_all(session: Any) -> object:
    return session.conversation, session.usage, session.cost, repr(session), session._repr_html_()


class LiveRounds(Rounds):
    calls: ClassVar = {
        "append_commentary": lambda session: session.append_commentary("Hi."),
        "append_thinking(...).wait": lambda session: session.append_thinking("Hi.").wait(),
        "append_instructions in parts": lambda session: session.append_instructions(LONG).wait(),
        "mute_input": lambda session: session.mute_input().wait(),
        "play_clip": lambda session: session.play_clip(PCM).wait_until_played(),
        "send_audio": lambda session: session.send_audio(PCM),
        "AudioSend.cancel": cancel_audio,
        "audio_writer": write_audio,
        "send_message": lambda session: session.send_message({"type": "session.input_audio.append", "audio": ""}),
        "talk": talk,
        "turns": lambda session: next(session.turns(0.5)),
        "transcripts": lambda session: next(session.transcripts(0.5)),
        "delegations": lambda session: next(session.delegations(0.5)),
        "updates": lambda session: drain(session.updates(), 5),
        "conversation": read_all,
        "close": lambda session: session.close(),
    }
    longest = 0.3

    def begin(self, client: RealtimeConversationClient, **options: Any) -> Any:
        return client.start_live_session(**options)


if __name__ == "__main__":
    main(LiveRounds, int(sys.argv[1]) if len(sys.argv) > 1 else 5)

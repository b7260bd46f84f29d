"""Interrupt the model in the middle of its answer, and see what it knows that it said.

    .venv/bin/pip install -e ".[server]"
    .venv/bin/python examples/interrupt.py

The player here plays into nothing and counts samples, as a sound card's callback would.
"""

from __future__ import annotations

import threading
import time

from demo_client import demo_client

from realtime_sync import PlaybackPosition, RealtimeConversationSession, ResponseOutputAudioDeltaUpdate

QUESTION = "Tell me, at some length, what the tallest tree in the world is, where it stands, and who found it."
RATE = 24_000
FRAME = RATE // 50  # samples that the player takes at once: 20 ms
ENOUGH = RATE * 3 // 2  # samples that are heard before the interruption: 1.5 s


class Player(threading.Thread):
    """Plays the answer's audio as it comes, at the pace of speech, and reports what it has played."""

    def __init__(self, session: RealtimeConversationSession, position: PlaybackPosition) -> None:
        super().__init__(name="player", daemon=True)
        self._updates = session.subscribe()
        self._position = position
        self._stopped = threading.Event()
        self._samples = 0
        self.heard_enough = threading.Event()

    def run(self) -> None:
        """Play until the stream of updates is closed."""
        for update in self._updates:
            # After an interruption audio may still be on its way, which must not be heard.
            if isinstance(update, ResponseOutputAudioDeltaUpdate) and self._position.playable(update):
                self._play(update.item_id, len(update.audio_bytes or b"") // 2)

    def stop(self) -> None:
        """Be silent at once."""
        self._stopped.set()
        self._updates.close()
        self.join(5)

    def _play(self, item_id: str, samples: int) -> None:
        for start in range(0, samples, FRAME):
            if self._stopped.is_set():
                return
            frame = min(FRAME, samples - start)
            time.sleep(frame / RATE)
            self._position.played(item_id, frame)
            self._samples += frame
            if self._samples >= ENOUGH:
                self.heard_enough.set()


def main() -> None:
    position = PlaybackPosition(rate=RATE)
    with demo_client(speech=True) as client, client.start_conversation_session() as session:
        player = Player(session, position)
        player.start()
        response = session.respond(QUESTION)
        if not player.heard_enough.wait(30):
            raise SystemExit("The answer had less than 1.5 s of sound, so there is nothing to interrupt.")
        player.stop()
        interruption = session.interrupt(position=position)

        answer = response.wait(30)
        print(f"Made      {answer.audio_seconds:.1f} s: {answer.transcript}")
        if interruption.item_id is None or interruption.audio_end_ms is None:
            raise SystemExit(f"Nothing was shortened: {interruption.reason}")
        print(f"Heard     {interruption.audio_end_ms / 1000:.1f} s")
        print(f"Shortened {'yes' if interruption.truncated else f'no: {interruption.reason}'}")

        kept = session.conversation.audio_ms(interruption.item_id) or 0
        print(f"The model now knows that it said {kept / 1000:.1f} s; what came behind is forgotten.")


if __name__ == "__main__":
    main()

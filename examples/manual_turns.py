"""Take turns by hand: voice activity detection off, several recorded questions, each committed and answered.

    .venv/bin/pip install -e ".[voice]"
    .venv/bin/python examples/manual_turns.py [question.wav ...]

With the extra server in the place of voice, a server without a key understands the recordings of examples/audio only.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from demo_client import demo_client, print_failure, recording

from realtime_sync import (
    ConversationSessionOptions,
    InputAudioBufferCommittedUpdate,
    MessageItem,
    ResponseDoneUpdate,
    TurnDetectionOptions,
)

AUDIO = Path(__file__).parent / "audio"
QUESTIONS = [AUDIO / "hello.wav", AUDIO / "what_is_the_weather.wav"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "questions", nargs="*", type=recording, default=QUESTIONS, help="WAV files (16 bit mono, 24 kHz)"
    )
    arguments = parser.parse_args()

    options = ConversationSessionOptions(turn_detection_options=TurnDetectionOptions.disabled())
    with demo_client(speech=True) as client, client.start_conversation_session(options) as session:
        for question in arguments.questions:
            session.send_audio(question)
            # wait() raises what the service has against this commit: too little audio, for one.
            committed = session.commit_pending_audio().wait()
            assert isinstance(committed, InputAudioBufferCommittedUpdate)
            print(f"{question.name} is item {committed.item_id}")

            session.start_response().wait()
            response = session.wait_for(ResponseDoneUpdate, timeout=60).response
            for item in response.output:
                if isinstance(item, MessageItem):
                    print(f"  answer: {item.text}")
            print_failure(response)


if __name__ == "__main__":
    main()

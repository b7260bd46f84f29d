"""Talk with GPT-Live, which listens while it speaks, and do in Python what it delegates.

    .venv/bin/pip install -e ".[voice,devices]"
    .venv/bin/python examples/live_talk.py                                  # microphone and loudspeaker, until Ctrl-C
    .venv/bin/python examples/live_talk.py question.wav [-o answer.wav]     # recordings, one after the other

With the extra server in the place of voice, a server without a key understands the recordings of examples/audio only.
"""

from __future__ import annotations

import argparse
import threading
from collections.abc import Iterable
from pathlib import Path

from demo_client import demo_client, recording, writable

from realtime_sync import AudioDeviceError, ConfigurationError, DelegationRequest, LiveSessionOptions, LiveTurn
from realtime_sync.voice import (
    FileMicrophone,
    FileSpeaker,
    Microphone,
    SoundDeviceMicrophone,
    SoundDeviceSpeaker,
    Speaker,
)

WEATHER = {"Paris": "sunny, 21 degrees", "Oslo": "cloudy, 9 degrees"}


def look_up(request: DelegationRequest) -> str:
    """The model has said that it looks something up: this does it. What is returned is said."""
    print(f"(delegated: {request.text})")
    for city, weather in WEATHER.items():
        if city in request.text:
            return f"The weather in {city}: {weather}."
    return "Only the weather in Paris and in Oslo can be looked up here."


def main() -> None:
    parser = argparse.ArgumentParser(description="Talk with GPT-Live.")
    parser.add_argument(
        "recordings", nargs="*", type=recording, help="what to say; without any, the microphone is used"
    )
    parser.add_argument("-o", "--output", type=writable, default="answer.wav", help="where the sound of an answer goes")
    arguments = parser.parse_args()

    options = LiveSessionOptions(instructions="You are friendly and brief. Delegate questions about the weather.")
    microphone, speaker = devices(arguments.recordings, arguments.output)
    with demo_client(speech=True) as client:
        with client.start_live_session(options, delegate=look_up, reconnect=True) as session:
            showing = threading.Thread(target=show, args=[session.turns()])
            showing.start()  # ends with the session
            session.talk(microphone, speaker)
        showing.join()
        print(f"{session.seconds:.0f} seconds were counted.")


def devices(recordings: list[Path], output: Path) -> tuple[Microphone, Speaker]:
    """Files, or this machine's microphone and loudspeaker, if it has them."""
    if recordings:
        return FileMicrophone(*recordings, endless=False), FileSpeaker(output)
    try:
        return SoundDeviceMicrophone(), SoundDeviceSpeaker()
    except (ConfigurationError, AudioDeviceError) as error:
        raise SystemExit(f"{error}. Or let it hear a recording: examples/audio/what_is_the_weather.wav") from None


def show(turns: Iterable[LiveTurn]) -> None:
    """Print each turn when it is over. Both may speak at once, so the times tell more than the order."""
    for turn in turns:
        print(f"{turn.start_ms / 1000:6.1f} s  {turn.speaker:<9}  {turn.text}")


if __name__ == "__main__":
    main()

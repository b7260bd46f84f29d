"""GPT-Live speaks, and another model works for it: a Responses model that calls Python functions.

    .venv/bin/pip install -e ".[server]"
    .venv/bin/python examples/live_backend.py [question.wav]

Without a key, the embedded server answers, by rules.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from demo_client import demo_client, recording

from realtime_sync import LiveSessionOptions, ResponsesBackend, function_tool

QUESTION = Path(__file__).parent / "audio" / "what_is_the_weather.wav"


@function_tool
def get_weather(city: str) -> dict[str, object]:
    """Tells the weather in a city."""
    print(f"  (get_weather was called for {city})")
    return {"city": city, "sky": "clear", "degrees": 21}


@function_tool(timeout=5)
def get_time(city: str) -> str:
    """Tells the time in a city."""
    print(f"  (get_time was called for {city})")
    return "half past nine"


def main() -> None:
    parser = argparse.ArgumentParser(description="Talk with GPT-Live, for which a model with tools works.")
    parser.add_argument("question", nargs="?", type=recording, default=QUESTION, help="a recording of a question")
    question = parser.parse_args().question
    options = LiveSessionOptions(instructions="You are friendly and brief. Delegate what you do not know.")
    backend = ResponsesBackend(
        model="gpt-5.6-luna", instructions="Use the tools. Answer in one sentence.", tools=[get_weather, get_time]
    )
    with demo_client(speech=True) as client, client.start_live_session(options, delegate=backend) as session:
        turns = session.turns(timeout=30)
        session.send_audio(question)
        for turn in turns:
            print(f"{turn.speaker:<9}  {turn.text}")
            if turn.speaker == "assistant" and "21" in turn.text:
                break
    print(f"{session.seconds:.0f} seconds were counted.")


if __name__ == "__main__":
    main()

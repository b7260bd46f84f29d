"""Give the model Python functions; it calls them, several at once, and answers with what they returned.

    .venv/bin/pip install -e ".[server]"
    .venv/bin/python examples/tools.py ["What is the weather in Oslo?"]

Without a key, the embedded server answers, by rules.
"""

from __future__ import annotations

import sys
from typing import Annotated, Literal

from demo_client import demo_client

from realtime_sync import ConversationSessionOptions, function_tool


@function_tool
def get_weather(
    city: Annotated[str, "The city's name"], unit: Literal["celsius", "fahrenheit"] = "celsius"
) -> dict[str, object]:
    """Tells the weather in a city."""
    degrees = 21 if unit == "celsius" else 70
    print(f"  (get_weather was called for {city})")
    return {"city": city, "sky": "clear", "degrees": degrees, "unit": unit}


@function_tool(timeout=5)
def get_time(city: str) -> str:
    """Tells the time in a city."""
    print(f"  (get_time was called for {city})")
    return "half past nine"


def main() -> None:
    question = " ".join(sys.argv[1:]) or "Please call get_weather: what is the weather in Paris?"
    options = ConversationSessionOptions(content_modalities=["text"])
    with demo_client() as client, client.start_conversation_session(options) as session:
        print(question)
        print(session.ask(question, tools=[get_weather, get_time]))


if __name__ == "__main__":
    main()

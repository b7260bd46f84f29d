"""Let the model call a Python function, step by step: the call, the result, the answer.

    .venv/bin/pip install -e ".[server]"
    .venv/bin/python examples/function_call_by_hand.py

Without a key, the embedded server answers, by rules.
"""

from __future__ import annotations

import argparse
import json

from demo_client import demo_client, print_failure

from realtime_sync import (
    ConversationItem,
    ConversationSessionOptions,
    ConversationTool,
    FunctionCallItem,
    MessageItem,
    ResponseDoneUpdate,
)

WEATHER = ConversationTool.create_function_tool(
    "get_weather",
    description="Tells the weather in a city.",
    parameters={
        "type": "object",
        "properties": {"city": {"type": "string", "description": "The city's name"}},
        "required": ["city"],
    },
)


def get_weather(city: str = "Paris") -> dict[str, object]:
    return {"city": city, "sky": "clear", "degrees_celsius": 21}


def main() -> None:
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    options = ConversationSessionOptions(content_modalities=["text"], tools=[WEATHER], tool_choice="auto")
    with demo_client() as client, client.start_conversation_session(options) as session:
        session.add_item("Please call get_weather: what is the weather in Paris?").wait()
        session.start_response().wait()
        while True:
            response = session.wait_for(ResponseDoneUpdate, timeout=60).response
            calls = [item for item in response.output if isinstance(item, FunctionCallItem)]
            for call in calls:
                print(f"The model calls {call.name}({call.arguments})")
                result = get_weather(**json.loads(call.arguments or "{}"))
                session.add_item(ConversationItem.create_function_call_output(call.call_id or "", result)).wait()
            if not calls:
                break
            # Only now, after response.done of the response that made the calls: two at once are refused.
            session.start_response().wait()
        for item in response.output:
            if isinstance(item, MessageItem):
                print(f"The model says: {item.text}")
        print_failure(response)


if __name__ == "__main__":
    main()

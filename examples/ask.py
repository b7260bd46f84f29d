"""Ask one question and print the answer as it is written, then what it cost.

    .venv/bin/pip install -e ".[server]"
    .venv/bin/python examples/ask.py "What is the tallest tree?"

Without a key, the embedded server answers, by rules.
"""

from __future__ import annotations

import sys

from demo_client import demo_client

from realtime_sync import ConversationResponseOptions


def main() -> None:
    question = " ".join(sys.argv[1:]) or "What is the tallest tree?"
    written = ConversationResponseOptions(content_modalities=["text"])
    with demo_client() as client, client.start_conversation_session() as session:
        # session.ask(question, written) is the same in one call: it returns when the answer is finished.
        response = session.respond(question, written)
        for text in response.text_deltas():
            print(text, end="", flush=True)
        answer = response.wait()
    print()
    if not answer.completed:
        print(f"[{answer.status}: {answer.reason}]")
    if answer.usage is not None:
        price = "no list price" if answer.cost is None else f"about ${answer.cost:.6f}"
        print(f"{answer.usage.input_tokens} tokens read, {answer.usage.output_tokens} written: {price}")


if __name__ == "__main__":
    main()

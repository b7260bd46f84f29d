"""Chat in writing; the answers are printed as they come. End with an empty line, Ctrl-D or Ctrl-C.

python examples/text_chat.py
"""

from __future__ import annotations

from demo_client import demo_client, print_failure

from realtime_sync import (
    ConversationSessionOptions,
    ErrorUpdate,
    RealtimeConversationSession,
    ResponseDoneUpdate,
    ResponseOutputTextDeltaUpdate,
)


def main() -> None:
    options = ConversationSessionOptions(content_modalities=["text"], instructions="You are a friendly assistant.")
    with demo_client() as client, client.start_conversation_session(options) as session:
        try:
            while line := input("you> ").strip():
                session.add_item(line)
                session.start_response()
                print_answer(session)
        except (EOFError, KeyboardInterrupt):
            print()


def print_answer(session: RealtimeConversationSession) -> None:
    """Print the answer while it is written; what comes after it waits for the next call."""
    for update in session.updates():
        if isinstance(update, ResponseOutputTextDeltaUpdate):
            print(update.delta, end="", flush=True)
        elif isinstance(update, ErrorUpdate):
            print(f"[refused: {update.message}]")
            return
        elif isinstance(update, ResponseDoneUpdate):
            print()
            print_failure(update.response)
            return


if __name__ == "__main__":
    main()

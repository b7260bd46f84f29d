"""Chat in writing; the answers are printed as they come. End with an empty line or Ctrl-D.

    .venv/bin/pip install -e ".[server]"
    .venv/bin/python examples/text_chat.py

Without a key, the embedded server answers, by rules.
"""

from __future__ import annotations

import argparse

from demo_client import demo_client, print_failure

from realtime_sync import (
    ConversationSessionOptions,
    ErrorUpdate,
    RealtimeConversationSession,
    ResponseDoneUpdate,
    ResponseOutputTextDeltaUpdate,
    ServerError,
)


def main() -> None:
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    options = ConversationSessionOptions(content_modalities=["text"], instructions="You are a friendly assistant.")
    with demo_client() as client, client.start_conversation_session(options) as session:
        while line := read_line():
            try:
                # wait() raises what the service has against this very command; then no answer is on its way.
                session.add_item(line).wait()
                session.start_response().wait()
            except ServerError as error:
                print(f"[{error}]")
                continue
            print_answer(session)


def read_line() -> str:
    """What is typed; nothing at its end."""
    try:
        return input("you> ").strip()
    except EOFError:
        print()
        return ""


def print_answer(session: RealtimeConversationSession) -> None:
    """Print the answer while it is written; what comes after it waits for the next call."""
    for update in session.updates():
        if isinstance(update, ResponseOutputTextDeltaUpdate):
            print(update.delta, end="", flush=True)
        elif isinstance(update, ErrorUpdate):
            # No end: the answer still comes. An error that names a command was raised by the command's wait().
            if update.failed_event_id is None:
                print(f"[error: {update.message}]")
        elif isinstance(update, ResponseDoneUpdate):
            print()
            print_failure(update.response)
            return
    raise SystemExit("The service ended the session before it had answered.")


if __name__ == "__main__":
    main()

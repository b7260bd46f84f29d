"""Send any JSON and see every message as it came: for what this library has no words for yet.

    .venv/bin/pip install -e ".[server]"
    .venv/bin/python examples/raw_messages.py

Without a key, the embedded server answers, by rules.
"""

from __future__ import annotations

import argparse

from demo_client import demo_client

from realtime_sync import ErrorUpdate, ServerError


def main() -> None:
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    with demo_client() as client, client.start_conversation_session() as session:
        session.send_message({"type": "session.update", "session": {"type": "realtime", "output_modalities": ["text"]}})
        session.send_message(
            '{"type": "response.create", "event_id": "hi", "response": {"instructions": "Say hello."}}'
        )
        for update in session.updates():
            print(f"{update.type:32} {update.raw_content[:90]}")
            # An error may be about something else; only one that names our message means that no answer will come.
            if update.type == "response.done" or (isinstance(update, ErrorUpdate) and update.failed_event_id == "hi"):
                break

        # An event_id lets the refusal find its way back to this very message.
        handle = session.send_message({"type": "anything.at.all", "event_id": "mine_1", "label": "sent as it is"})
        try:
            handle.wait()
        except ServerError as error:
            print(f"\nThe service on {error.event_id}: {error.code}: {error}"[:160])


if __name__ == "__main__":
    main()

"""Chat in a session that survives lost connections and the service's time limit, and go on with it tomorrow.

    .venv/bin/pip install -e ".[server]"
    .venv/bin/python examples/long_conversation.py [conversation.json]

Type, and end with Ctrl-D. What was said is saved in the file, and told to the next session that starts with it.
"""

from __future__ import annotations

import sys
import threading
from pathlib import Path

from demo_client import demo_client

from realtime_sync import (
    ConnectionReplacedError,
    Conversation,
    ConversationSessionOptions,
    SessionReconnectedUpdate,
    UpdateStream,
)


def tell_of_losses(updates: UpdateStream) -> None:
    """On a thread of its own: say when the session went on over a new connection."""
    for update in updates:
        if isinstance(update, SessionReconnectedUpdate):
            print(f"\n[reconnected after {update.seconds:.1f} s: {update.reason}]")
            for loss in update.losses:
                print(f"[lost: {loss}]")


def main() -> None:
    saved = Path(sys.argv[1] if len(sys.argv) > 1 else "conversation.json")
    options = ConversationSessionOptions(content_modalities=["text"])
    with demo_client() as client, client.start_conversation_session(options, reconnect=True) as session:
        if saved.exists():
            earlier = Conversation.from_json(saved.read_text(encoding="utf-8"))
            handles = session.add_history(earlier)
            print(f"(going on with {len(handles)} items from {saved})")
        telling = threading.Thread(target=tell_of_losses, args=[session.subscribe()], daemon=True)
        telling.start()
        for line in sys.stdin:
            try:
                print(session.ask(line.strip() or "(silence)").text)
            except ConnectionReplacedError:
                print("[the answer was cut off; ask again]")
        saved.write_text(session.conversation.to_json(), encoding="utf-8")
    telling.join(5)
    print(f"(saved in {saved})")


if __name__ == "__main__":
    main()

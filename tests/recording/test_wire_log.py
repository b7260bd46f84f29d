"""What is logged of the wire: enough to read along, and no secret."""

from __future__ import annotations

import json

import pytest

from realtime_sync.recording.wire_log import shown

KEY = "sk-proj-a-key-that-nobody-may-see"
TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N"


@pytest.mark.parametrize("secret", [KEY, "ek_68af296e8e408191a1120ab6383263c2", TOKEN, f"Bearer {KEY}"])
def test_a_secret_that_a_server_repeats_in_a_text_is_hidden(secret: str) -> None:
    """As in "Incorrect API key provided: ...", where no field's name gives it away."""
    message = {"type": "error", "error": {"message": f"Wrong key:\n{secret}. See the docs.", "more": [secret]}}
    for text in (json.dumps(message), json.dumps(message).encode()):
        told = json.loads(shown(text))["error"]
        assert secret not in str(told)
        assert told["message"].endswith(" See the docs.")
        assert "***" in told["more"][0]


def test_what_is_no_secret_is_shown_as_it_is() -> None:
    message = {"type": "response.create", "response": {"instructions": "Ask the task-force about risk-free desk_work."}}
    assert json.loads(shown(json.dumps(message))) == message

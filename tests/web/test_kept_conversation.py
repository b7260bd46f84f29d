"""A conversation in a cookie: it fits, and what was begun in one process is continued in another."""

from __future__ import annotations

import json
import random
import string
import subprocess
import sys

import flask
import pytest

from realtime_sync import CompactConversation
from realtime_sync.server import RealtimeServer, RulesBrain
from tests.core.harness import House
from tests.web.applications import environment

MOST_OF_A_COOKIE = 4096  # bytes: name, value and attributes together, as browsers count them

# A view as docs/guides/web.md has it, in a process that answers one request.
WORKER = """
import json, sys
import flask
from realtime_sync import CompactConversation, ConversationSessionOptions, RealtimeConversationClient

app = flask.Flask(__name__)
app.secret_key = "the same in all workers"
client = RealtimeConversationClient.from_env()
options = ConversationSessionOptions(content_modalities=["text"])

@app.post("/chat")
def chat():
    said = CompactConversation.from_plain(flask.session.get("said"))
    with client.start_conversation_session(options) as session:
        session.add_history(said)
        answer = session.ask(flask.request.json["question"])
        flask.session["said"] = session.conversation.compact(300).to_plain()
    return {"answer": answer.text}

cookie, question = sys.argv[1:]
browser = app.test_client()
if cookie:
    browser.set_cookie("session", cookie)
answer = browser.post("/chat", json={"question": question})
print(json.dumps([answer.json["answer"], browser.get_cookie("session").value]))
"""


def asked(server: RealtimeServer, cookie: str, question: str) -> tuple[str, str]:
    """The answer of a process of its own, and the visitor's cookie after it."""
    command = [sys.executable, "-W", "error", "-c", WORKER, cookie, question]
    done = subprocess.run(command, env=environment(server), capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    answer, cookie = json.loads(done.stdout)
    return answer, cookie


@pytest.mark.slow  # three processes; the guide's block has the same view in one
def test_a_conversation_that_one_process_began_goes_on_in_another(plain: House) -> None:
    server = plain.serve(responder=RulesBrain())
    _, cookie = asked(server, "", "My name is Ada.")
    answer, cookie = asked(server, cookie, "What is my name?")
    assert answer == "Your name is Ada."
    answer, _ = asked(server, cookie, "What did you say?")
    assert answer == "I said: Your name is Ada."


def test_a_session_that_was_told_a_conversation_makes_the_same_of_it(plain: House) -> None:
    """The count of what is gone goes over the wire as well."""
    said = {"v": 1, "said": [["u", "Hello!"], ["u", "Zwölf Bäume 🌳?"], ["a", "Yes.\nTwelve."]], "out": 12}
    compact = CompactConversation.from_plain(said)
    session = plain.open()
    session.add_history(compact)[-1].wait()
    assert session.conversation.compact() == compact
    assert session.conversation.compact().to_plain() == said


def worst(most: int) -> CompactConversation:
    """Words that no compression makes shorter."""
    chance = random.Random(20261129)
    text = "".join(chance.choices(string.ascii_letters + string.digits + "-_", k=most - 44))
    compact = CompactConversation.from_plain({"v": 1, "said": [["u", text]], "out": 10**9}, most_bytes=most)
    assert len(json.dumps(compact.to_plain(), separators=(",", ":"))) > most - 10
    return compact


def test_the_default_fits_a_cookie_of_flask_beside_other_things() -> None:
    app = flask.Flask(__name__)
    app.secret_key = "a key"

    @app.get("/")
    def view() -> str:
        flask.session.update(said=worst(2500).to_plain(), user=12345, csrf="c" * 64)
        return ""

    (cookie,) = app.test_client().get("/").headers.getlist("Set-Cookie")
    assert len(cookie) < MOST_OF_A_COOKIE


def test_the_default_fits_a_cookie_of_django_beside_other_things() -> None:
    from django.core import signing

    kept = {"said": worst(2500).to_plain(), "_auth_user_id": "12345", "_auth_user_hash": "c" * 64}
    salt = "django.contrib.sessions.backends.signed_cookies"
    cookie = signing.TimestampSigner(key="a key", salt=salt, fallback_keys=[]).sign_object(kept, compress=True)
    assert (
        len(f"sessionid={cookie}; expires=Sun, 13 Dec 2026 16:51:16 GMT; HttpOnly; Max-Age=1209600; Path=/")
        < MOST_OF_A_COOKIE
    )

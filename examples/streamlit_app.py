"""A Streamlit application with a live model: ask in writing, by a recording, or talk with it, and interrupt it.

    .venv/bin/pip install -e ".[voice,apps]"
    .venv/bin/streamlit run examples/streamlit_app.py

Streamlit runs ``page()`` anew at each interaction. The conversation outlives that, in ``st.session_state``; no session
does. A question opens one in a ``with``: a rerun in the middle of the answer leaves it, which cancels the answer. A
spoken conversation has a session as long as the browser's WebSocket lives, beside all reruns (``asgi_voice.py``).

A browser gives a page its microphone on localhost and over https only. Behind a proxy, tell the public name as
VOICE_ALLOWED_HOSTS=voice.example.com.
"""

from __future__ import annotations

import io
from typing import Any

import streamlit as st
from asgi_voice import lifespan, routes
from web_service import remembered, service, visitor_at

from realtime_sync import RealtimeSyncError
from realtime_sync.web.http_errors import public_error

LIVE_HTML = '<div class="live"></div>'
LIVE_CSS = """
.live { display: flex; flex-wrap: wrap; gap: 0.5rem; align-items: center; font: inherit; color: var(--st-text-color); }
.live button { font: inherit; padding: 0.4rem 1rem; border-radius: var(--st-button-radius); cursor: pointer;
  border: 1px solid var(--st-border-color); background: var(--st-background-color); color: inherit; }
.live .talk { background: var(--st-primary-color); border-color: var(--st-primary-color); color: white; }
.live p { flex-basis: 100%; margin: 0; white-space: pre-line; }
.live .problem { color: var(--st-red-text-color); }
"""
# Called at each run of the page; the button stays, and a conversation goes on.
LIVE_JS = """
export default ({ parentElement, data, setStateValue }) => {
  const root = parentElement.querySelector(".live");
  root.history = data;
  root.live ??= import(new URL("/voice/live.js", document.baseURI).href).then(
    ({ Live }) => new Live(root, (said) => setStateValue("said", said), () => root.history),
  );
  return () => root.live.then((live) => live.stop());
};
"""


def page() -> None:
    """What is run at each interaction."""
    st.title("Ask, or talk")
    st.caption(service().who_answers()[1])
    with st.bottom:
        below = st.container()  # for the button, which stays in sight, and where it is
    messages = st.session_state.setdefault("messages", [])
    for message in messages:
        show(message)
    asked = st.chat_input("Ask, or record a question", accept_audio=True, audio_sample_rate=24_000)
    try:
        if asked and asked.audio:
            ask_recording(messages, asked.audio)
        elif asked and asked.text:
            ask(messages, asked.text)
    except RealtimeSyncError as error:
        st.error(public_error(error).message)
    with below:
        live_button()(data=told(messages), key="live", on_said_change=take_over)


def ask(messages: list[dict[str, Any]], question: str) -> None:
    """In writing; the answer appears while it is written."""
    asked = {"role": "user", "text": question}
    show(asked)
    made = service()
    with (
        made.texts.hold(made.open_text_session, visitor=visitor()) as session,
        session.respond(remembered(told([*messages, asked]))) as response,
        st.chat_message("assistant"),
    ):
        answer = st.write_stream(response.text_deltas())
    messages += [asked, {"role": "assistant", "text": answer}]


def ask_recording(messages: list[dict[str, Any]], recording: io.BytesIO) -> None:
    """Aloud; the answer plays by itself."""
    made = service()
    with made.texts.hold(made.open_recording_session, visitor=visitor()) as session, st.spinner("Listening"):
        session.add_history(remembered(told(messages)))
        answer = session.ask(recording)
    spoken = io.BytesIO()
    answer.save_audio(spoken)
    said = {"role": "user", "text": answer.user_transcript or "(not understood)"}
    messages += [said, {"role": "assistant", "text": str(answer), "audio": spoken.getvalue()}]
    show(said)
    show(messages[-1], autoplay=True)


def take_over() -> None:
    """More was said in a conversation: the button tells all that was, and this is called before ``page()``."""
    said = st.session_state.live.said or []
    taken = st.session_state.get("taken", [])
    st.session_state.messages += said[len(taken) :] if said[: len(taken)] == taken else said
    st.session_state.taken = said


def live_button() -> Any:
    """The component, registered in the process that runs the page."""
    return st.components.v2.component("live", html=LIVE_HTML, css=LIVE_CSS, js=LIVE_JS)


def show(message: dict[str, Any], *, autoplay: bool = False) -> None:
    """One message."""
    with st.chat_message(message["role"]):
        st.write(message["text"])
        if "audio" in message:
            st.audio(message["audio"], autoplay=autoplay)


def told(messages: list[dict[str, Any]]) -> list[dict[str, str]]:
    """The last ones, as the model is told them."""
    return [{"role": message["role"], "text": message["text"]} for message in messages[-20:]]


def visitor() -> str:
    """Whose browser this is, so that one cannot take all sessions."""
    return visitor_at(st.context.ip_address)


if __name__ == "__main__":
    page()
else:
    app = st.App(__file__, routes=routes(), lifespan=lifespan)

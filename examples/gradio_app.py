"""A Gradio application with a live model: ask in writing, by a recording, or talk with it, and interrupt it.

    .venv/bin/pip install -e ".[voice,apps]"
    .venv/bin/python examples/gradio_app.py          # http://127.0.0.1:7860

A question opens a session in a ``with``, which is left when the answer is finished, or the page. A spoken conversation
has a session as long as its WebSocket lives (``asgi_voice.py``): Gradio's own streaming cannot take back sound that it
has sent, so nobody could interrupt.

A browser gives a page its microphone on localhost and over https only. Behind a proxy, tell the public name as
VOICE_ALLOWED_HOSTS=voice.example.com.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import uvicorn
from asgi_voice import lifespan, routes
from fastapi import FastAPI
from web_service import remembered, service, visitor_at

from realtime_sync import RealtimeSyncError
from realtime_sync.web.http_errors import public_error

Messages = list[dict[str, str]]  # as the model is told them: {"role": ..., "text": ...}

EMPTY = {"text": "", "files": []}  # the box
LIVE_CSS = """
.live { display: flex; flex-wrap: wrap; gap: 0.5rem; align-items: center; }
.live button { padding: 0.4rem 1rem; border-radius: var(--button-large-radius); cursor: pointer;
  border: 1px solid var(--border-color-primary); }
.live .talk { background: var(--primary-600); color: white; }
.live p { flex-basis: 100%; margin: 0; white-space: pre-line; }
.live .problem { color: var(--error-text-color); }
"""
LIVE_JS = """
import(new URL("/voice/live.js", document.baseURI).href).then(({ Live }) => {
  new Live(element.querySelector(".live"), (said) => trigger("submit", { said }), () => props.value);
});
"""


def ask(question: dict[str, Any], messages: Messages, request: gr.Request) -> Iterator[dict[Any, Any]]:
    """A question, in writing or by a recording; gives what the page shows, in pieces."""
    try:
        if question["files"]:
            yield from ask_recording(Path(question["files"][0]), messages, visitor(request))
        elif question["text"].strip():
            yield from ask_in_writing(question["text"], messages, visitor(request))
    except RealtimeSyncError as error:
        raise gr.Error(public_error(error).message) from error


def ask_in_writing(question: str, messages: Messages, visitor: str) -> Iterator[dict[Any, Any]]:
    """The answer appears while it is written."""
    asked, answer = [*messages, {"role": "user", "text": question}], ""
    yield {box: EMPTY, chat: shown(asked)}
    made = service()
    with (
        made.texts.hold(made.open_text_session, visitor=visitor) as session,
        session.respond(remembered(asked[-20:])) as response,
    ):
        for text in response.text_deltas():
            answer += text
            yield {chat: shown([*asked, {"role": "assistant", "text": answer}])}
    yield told([*asked, {"role": "assistant", "text": answer}])


def ask_recording(recording: Path, messages: Messages, visitor: str) -> Iterator[dict[Any, Any]]:
    """The answer plays by itself."""
    yield {box: EMPTY, chat: shown([*messages, {"role": "user", "text": "…"}])}
    made = service()
    with made.texts.hold(made.open_recording_session, visitor=visitor) as session:
        session.add_history(remembered(messages[-20:]))
        answer = session.ask(recording)
    said = {"role": "user", "text": answer.user_transcript or "(not understood)"}
    yield told([*messages, said, {"role": "assistant", "text": str(answer)}]) | {sound: (24_000, answer.samples())}


def take_over(messages: Messages, taken: Messages, event: gr.EventData) -> dict[Any, Any]:
    """More was said in a conversation: the button tells all that was."""
    said = event.said
    new = said[len(taken) :] if said[: len(taken)] == taken else said
    return told([*messages, *new]) | {spoken: said}


def told(messages: Messages) -> dict[Any, Any]:
    """What the page has of a conversation: the chat, the memory, and what the button tells the next session."""
    return {chat: shown(messages), memory: messages, live: messages[-20:]}


def shown(messages: Messages) -> list[dict[str, str]]:
    """As the chat wants it."""
    return [{"role": message["role"], "content": message["text"]} for message in messages]


def visitor(request: gr.Request) -> str:
    """Whose browser this is, so that one cannot take all sessions."""
    return visitor_at(request.client.host if request.client else None)


with gr.Blocks(title="Ask, or talk", analytics_enabled=False) as page:
    memory, spoken = gr.State([]), gr.State([])
    gr.Markdown(lambda: f"# Ask, or talk\n{service().who_answers()[1]}")
    chat = gr.Chatbot(show_label=False, height="50vh", buttons=[], placeholder="What is the tallest tree?")
    sound = gr.Audio(visible="hidden", autoplay=True, interactive=False)
    live = gr.HTML([], html_template='<div class="live"></div>', css_template=LIVE_CSS, js_on_load=LIVE_JS)
    box = gr.MultimodalTextbox(sources=["microphone"], placeholder="Ask, or record a question", show_label=False)
    everything = [chat, sound, live, box, memory]
    chat.clear(lambda: ([], []), outputs=[memory, live])
    box.submit(ask, [box, memory], everything)
    live.submit(take_over, [memory, spoken], [*everything, spoken])

app = FastAPI(lifespan=lifespan, routes=routes(), docs_url=None, redoc_url=None, openapi_url=None)
app = gr.mount_gradio_app(app, page, path="/", footer_links=[])

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Ask a model, or talk with it, on a page made by Gradio.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=7860)
    arguments = parser.parse_args()
    uvicorn.run(app, host=arguments.host, port=arguments.port)

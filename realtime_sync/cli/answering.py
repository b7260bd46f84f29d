"""One written answer: shown while it comes, the tools that it calls run, and asked for anew until it calls none."""

from __future__ import annotations

from typing import Any

import attrs

from realtime_sync.cli.terminal import note, say
from realtime_sync.core.answer import Answer
from realtime_sync.errors import UsageError
from realtime_sync.protocol.items import ConversationItem, FunctionCallItem
from realtime_sync.session import Question, RealtimeConversationSession
from realtime_sync.tools import ToolOutcome, ToolRunner

# A model that calls tools for ever is a bug somewhere, and it costs money.
_MOST_ROUNDS = 32
_SHOWN = 100  # characters of a call, and of its result


def answer_aloud(
    session: RealtimeConversationSession, question: Question, runner: ToolRunner, *, streaming: bool
) -> Answer:
    """Ask, and return the finished answer; ``streaming`` prints it while it comes. Raises as ``session.respond``."""
    for _ in range(_MOST_ROUNDS):
        answer = _one_answer(session, question, streaming)
        calls = answer.function_calls if answer.status in ("completed", None) else []
        if not calls:
            return answer
        outcomes = runner.run(calls)
        for call, outcome in zip(calls, outcomes, strict=True):
            note(_told(call, outcome))
        question = [ConversationItem.create_function_call_output(each.call_id, each.output) for each in outcomes]
    raise UsageError(f"the model called tools {_MOST_ROUNDS} times without answering; is a result of use to it?")


def answer_as_json(answer: Answer) -> dict[str, Any]:
    """An answer as ``--json`` tells it. ``cost`` is in US dollars, ``seconds`` after the question was asked."""
    usage = answer.usage
    return {
        "text": str(answer),
        "status": answer.status,
        "reason": answer.reason,
        "input_tokens": usage.input_tokens if usage else None,
        "output_tokens": usage.output_tokens if usage else None,
        "cost": answer.cost,
        "seconds": {name: at and round(at, 3) for name, at in attrs.asdict(answer.timings).items()},
    }


def _one_answer(session: RealtimeConversationSession, question: Question, streaming: bool) -> Answer:
    written = ""  # the end of what stands there
    try:
        with session.respond(question) as response:
            for piece in response.text_deltas():
                if streaming and piece:
                    say(piece, end="")
                    written = piece
            answer = response.wait()
        if streaming and not written and str(answer):  # it was spoken, though text was asked for
            written = str(answer)
            say(written, end="")
    finally:
        if written and not written.endswith("\n"):
            say("")
    _note_ending(answer)
    return answer


def _note_ending(answer: Answer) -> None:
    if not answer.completed and answer.status is not None:
        note(f"the answer is {answer.status}{f': {answer.reason}' if answer.reason else ''}")


def _told(call: FunctionCallItem, outcome: ToolOutcome) -> str:
    arrow = "failed:" if outcome.error is not None else "->"
    return f"{_cut(f'{call.name}({call.arguments or str()})')} {arrow} {_cut(outcome.output)}"


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"

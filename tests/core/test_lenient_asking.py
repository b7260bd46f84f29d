"""Asking servers that refuse without a word, or by other words."""

from __future__ import annotations

import attrs
import pytest

from realtime_sync import ConversationResponseOptions, ServerError, WaitTimeoutError
from tests.core.answers import ASIDE, idle
from tests.core.harness import CALM, House, until
from tests.core.imitator import Imitator, Message, Said, added, created, done, one_after_another, piece

HASTY = attrs.evolve(CALM, acknowledge=0.3, close=0.5)


def answered(number: int) -> list[Said]:
    name = f"resp_{number}"
    return [created(name), piece(str(number), name), done(name)]


@pytest.mark.parametrize("options", [None, ASIDE], ids=["in the conversation", "beside it"])
@pytest.mark.parametrize("said", [[], [{"type": "error", "error": {"message": "no"}}]], ids=["silence", "unnamed"])
def test_a_question_that_was_never_answered_does_not_get_the_next_ones_answer(
    plain: House, said: list[Said], options: ConversationResponseOptions
) -> None:
    turns = one_after_another(said, answered(1), answered(2))
    session = plain.raw(Imitator({"conversation.item.create": added, "response.create": turns}), timeouts=HASTY)
    with pytest.raises(WaitTimeoutError):
        session.ask("Hi", options, timeout=0.3)
    until(lambda: idle(session))  # it is still waited for a while, in case it comes late
    assert [session.ask("Hi", options, timeout=10).text for _ in range(2)] == ["1", "2"]


def test_a_refusal_of_a_second_response_is_known_by_its_type_too(plain: House) -> None:
    def answer(message: Message) -> list[Said]:
        if server.types().count("response.create") > 2:
            return answered(1)
        code = "conversation_already_has_active_response"
        return [{"type": "error", "error": {"type": code, "code": None, "event_id": message["event_id"]}}]

    server = Imitator({"conversation.item.create": added, "response.create": answer})
    session = plain.raw(server)
    assert session.ask("Hi", timeout=10).text == "1"
    assert server.types() == ["conversation.item.create", *["response.create"] * 3]  # it was said once
    assert idle(session)


def test_other_refusals_are_raised(plain: House) -> None:
    def refuse(message: Message) -> list[Said]:
        return [{"type": "error", "error": {"type": "function_call_output_pending", "event_id": message["event_id"]}}]

    with pytest.raises(ServerError, match="function_call_output_pending"):
        plain.raw(Imitator({"response.create": refuse})).ask("Hi", timeout=10)

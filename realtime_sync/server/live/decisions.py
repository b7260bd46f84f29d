"""Decisions: a backend that answers set questions about the talk, and triggers that ask them at each piece of it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Callable, Mapping, Optional, Sequence

from realtime_sync.server.checks import wrong_value
from realtime_sync.server.live.settings import tokens_of
from realtime_sync.server.live.target import DelegationTarget
from realtime_sync.server.wire import Json, Refused, new_id

if TYPE_CHECKING:
    from realtime_sync.server.live.session import TwinSession

_MODEL = "decisions"  # of triggers, whose settings name none
_LIKELY, _UNLIKELY = 0.9, 0.05


class DecisionsTarget(DelegationTarget):
    """The decisions of one session: delegated, asked for, and triggered. Every method is called under its lock.

    ``items``: what the client has given as context, by id.
    """

    def __init__(self, session: TwinSession) -> None:
        super().__init__(session)
        self.items: dict[str, Json] = {}
        self._asked: set[str] = set()

    def prepare(self, delegation: Json) -> Callable[[], None]:
        """See ``DelegationTarget``."""
        return lambda: self._decide(self._questions(), self._model(), delegation_id=delegation["id"])

    def take(self, message: Json) -> None:
        """See ``DelegationTarget``."""
        if message["type"] == "decision.create":
            event_id = str(message["event_id"])
            if event_id in self._asked:
                raise Refused("invalid_value", f"The event_id '{event_id}' was used before.", "event_id")
            self._asked.add(event_id)
            # Where the id comes back is not known; this is the one field for an event that was the cause.
            self._decide(self._questions(), self._model(), source_event_id=event_id)
        elif message["type"] == "decision.item.create":
            self._add(message)
        elif message["type"] == "decision.item.delete":
            self._delete(message)
        else:
            super().take(message)

    def close(self) -> None:
        """See ``DelegationTarget``."""
        self.items.clear()

    def _add(self, message: Json) -> None:
        item = {"id": new_id("item"), **message["item"]}
        if "role" not in item and "type" not in item:
            raise Refused("missing_required_parameter", "Missing required parameter: 'item.type'.", "item.type")
        self.items[str(item["id"])] = item
        self.session.emit({"type": "decision.item.created", "item": item}, message.get("event_id"))

    def _delete(self, message: Json) -> None:
        item_id = message["item_id"]
        if self.items.pop(item_id, None) is None:
            raise wrong_value(item_id, "item_id", list(self.items) or ["(there are no items)"])
        self.session.emit({"type": "decision.item.deleted", "item_id": item_id}, message.get("event_id"))

    def words_were_told(self, event: Json) -> None:
        """A piece of somebody's words was told: a trigger may be set on it."""
        for trigger in self.session.options.get("triggers", ()):
            if trigger["event_type"] == event["type"]:
                source = {"source_event_id": event["event_id"], "source_event_type": event["type"]}
                self._decide(trigger["decisions"]["questions"], _MODEL, trigger_id=new_id("trig"), **source)

    def _questions(self) -> Sequence[Json]:
        decisions = self.session.options["delegation"].get("decisions")
        if decisions is None:
            raise Refused("invalid_event", "decision.create requires Decisions delegation.", "type")
        return decisions["questions"]  # type: ignore[no-any-return]

    def _model(self) -> str:
        return str(self.session.options["delegation"]["decisions"]["model"])

    def _decide(self, questions: Sequence[Json], model: str, **about: Optional[str]) -> None:
        text = " ".join([*map(str, self.items.values()), self.session.ears.text])
        told = [answer_to(question, text) for question in questions]
        read, said = tokens_of(text + str(questions)), 2 * len(told)
        usage = {
            "input_tokens": read,
            "input_tokens_details": {"cache_write_tokens": 0, "cached_tokens": 0},
            "output_tokens": said,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": read + said,
        }
        decision = {"answers": told, "model": model, "usage": usage}
        event = {"type": "decision.completed", "decision": decision}
        names = ("delegation_id", "trigger_id", "source_event_id", "source_event_type")
        self.session.emit({"type": "decision.event", **{name: about.get(name) for name in names}, "event": event})


def answer_to(question: Json, text: str) -> Json:
    """The answer to a question, by the words that it shares with the text; the same each time."""
    named = {"name": question["name"]} if question.get("name") else {}
    if question["type"] == "predicate":
        likely = _shares_words(str(question["instructions"]), text)
        return {"type": "predicate", "probability": _LIKELY if likely else _UNLIKELY, **named}
    if question["type"] == "choice":
        values = [option["value"] for option in question["choices"]]
        chosen = next((value for value in values if _shares_words(str(value), text)), values[-1])
        shares = [{"value": value, "probability": _share(value == chosen, len(values))} for value in values]
        sure = _share(True, len(values))
        return {"type": "choice", "choice": chosen, "confidence": sure, "probabilities": shares, **named}
    labels = [level["label"] for level in question["levels"]]
    place = next((place for place, label in enumerate(labels) if _shares_words(label, text)), 0)
    parts: list[Mapping[str, object]] = [
        {"label": label, "probability": _share(index == place, len(labels)), "value": index}
        for index, label in enumerate(labels)
    ]
    sure = _share(True, len(labels))
    return {"type": "score", "score": float(place), "confidence": sure, "probabilities": parts, **named}


def _share(is_chosen: bool, count: int) -> float:
    """The probability of one of so many."""
    if count == 1:
        return 1.0
    return _LIKELY if is_chosen else round((1 - _LIKELY) / (count - 1), 4)


def _shares_words(one: str, other: str) -> bool:
    """Whether a word of one, of more than three letters or the only one, stands in the other."""
    words = re.findall(r"\w+", one.lower())
    return any(re.search(rf"\b{word}\b", other.lower()) for word in words if len(word) > 3 or len(words) == 1)

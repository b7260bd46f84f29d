"""Hooks: what they are told, on which thread, in which order, and that they cannot hurt a session."""

from __future__ import annotations

import contextvars
import json
import os
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Optional

import pytest

from realtime_sync import (
    ConnectionLostError,
    ConversationSessionOptions,
    ConversationUpdate,
    InvalidInputError,
    NotFoundError,
    function_tool,
)
from realtime_sync.audio.playback import PlaybackPosition
from realtime_sync.core import observation
from realtime_sync.core.engine import Engine
from realtime_sync.core.observed_calls import ObservedCall
from realtime_sync.hooks import (
    CallBegins,
    CallEnded,
    ConnectEnded,
    HookEvent,
    ResponseEnded,
    ServiceError,
    SessionBegins,
    SessionEnded,
    get_hooks,
    set_hooks,
)
from realtime_sync.server import Faults, FunctionCall, Refusal, Reply, faults
from tests.core.answers import Gate
from tests.core.harness import House, Running, delta, until, within
from tests.core.test_processes import start

TEXT = ConversationSessionOptions(content_modalities=["text"])


class Kept:
    """A hook that keeps what it was told, and on which thread."""

    def __init__(self) -> None:
        self.events: list[HookEvent] = []
        self.threads: list[str] = []

    def __call__(self, event: HookEvent) -> None:
        self.events.append(event)
        self.threads.append(threading.current_thread().name)

    @property
    def kinds(self) -> list[str]:
        return [type(event).__name__ for event in self.events]

    def of(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.events if type(event) is kind]

    def only(self, kind: type[Any]) -> Any:
        (event,) = self.of(kind)
        return event


@pytest.fixture
def kept() -> Kept:
    hook = Kept()
    set_hooks([hook])
    return hook


def calling(*calls: FunctionCall) -> Any:
    """A responder whose first answer makes these calls, and whose other answers are words."""
    left = [Reply(function_calls=calls)]
    return lambda turn: left.pop() if left else Reply("Done.")


@function_tool
def look() -> str:
    return "fine"


@function_tool
def look_up(city: str) -> str:
    return f"sunny in {city}"


def with_tool(*tools: Any) -> dict[str, Any]:
    return {"options": ConversationSessionOptions(content_modalities=["text"], tools=list(tools))}


# What is told, where and when -----------------------------------------------------------------------------------------


def lose_in_the_middle_of_an_answer(plain: House) -> None:
    plain.serve(responder=Gate())
    session = plain.open(start={"options": TEXT})
    with session.respond("Count!") as response:
        next(response.text_deltas())
        plain.live.inject(faults.drop())
        until(lambda: session.closed)
        session.close()


def test_a_session_its_connection_and_its_answers_are_told_in_order_until_close_returns(
    plain: House, kept: Kept
) -> None:
    plain.serve(responder=lambda turn: "Paris.")
    session = plain.open(start={"options": TEXT})
    session.ask("Where?")
    session.close()
    assert kept.kinds == ["SessionBegins", "ConnectEnded", "ResponseEnded", "SessionEnded"]
    begun, connected, answer, ended = kept.events
    assert isinstance(answer, ResponseEnded)
    assert isinstance(ended, SessionEnded)
    assert isinstance(connected, ConnectEnded)
    moments = [begun.at, connected.at, answer.began, answer.created, answer.first_text, answer.at, ended.at]
    assert moments == sorted(moments)
    assert answer.began < answer.created
    assert abs(time.time() - ended.at) < 60
    assert (answer.status, answer.first_audio, answer.words, answer.out_of_band) == ("completed", None, None, False)
    assert answer.usage is not None
    assert answer.usage.output_tokens > 0
    assert ended.usage == answer.usage
    assert (ended.error, ended.close_code, ended.began) == (None, 1000, begun.at)
    assert all(event.session is begun.session for event in kept.events)
    assert (begun.session.id, begun.session.protocol, begun.session.host) == (session.id, "realtime", "127.0.0.1")


def test_only_what_comes_before_the_fact_is_told_on_a_thread_that_works(plain: House, kept: Kept) -> None:
    plain.serve(responder=calling(FunctionCall("look", {})))
    session = plain.open(start=with_tool(look))
    session.ask("Look!")
    session.close()
    where = dict(zip(kept.kinds, kept.threads, strict=True))
    assert where.pop("SessionBegins") == threading.current_thread().name
    assert where.pop("CallBegins").startswith("realtime-sync-tool-")
    assert {name.partition("-observer")[1] for name in where.values()} == {"-observer"}


def test_a_hook_may_use_the_session_it_is_told_of(plain: House) -> None:
    """No lock is held while a hook is called."""
    plain.serve(responder=lambda turn: "Paris.")
    said: list[str] = []

    def ask_on(event: HookEvent) -> None:
        if isinstance(event, ResponseEnded) and not said:
            said.append(str(session.conversation.items[-1].text))
            said.append(session.ask("And now?").text)

    set_hooks([ask_on])
    session = plain.open(start={"options": TEXT})
    session.ask("Where?")
    until(lambda: said == ["Paris.", "Paris."])


def test_a_session_that_could_not_be_started_has_an_end_that_says_why(plain: House, kept: Kept) -> None:
    plain.serve(faults=Faults(refuse=Refusal(401)))
    with pytest.raises(Exception, match="401") as caught:
        plain.open()
    assert kept.kinds == ["SessionBegins", "ConnectEnded", "SessionEnded"]
    assert kept.only(ConnectEnded).error is caught.value
    assert kept.only(ConnectEnded).number == 0
    assert kept.only(SessionEnded).error is caught.value


def test_a_session_that_fails_after_it_was_connected_ends_by_what_was_raised(plain: House, kept: Kept) -> None:
    plain.serve()
    with pytest.raises(Exception, match="voice") as caught:
        plain.open(start={"options": ConversationSessionOptions(voice="nobody")})
    assert kept.kinds == ["SessionBegins", "ConnectEnded", "ServiceError", "SessionEnded"]
    assert kept.only(SessionEnded).error is caught.value
    assert (kept.only(ServiceError).code, kept.only(ServiceError).message) == ("invalid_value", None)


def test_a_session_that_ends_while_it_is_started_ends_by_what_was_raised(
    plain: House, kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The caller is told of a refusal in words later than the connection has ended by it."""
    wait = Engine.wait_until_greeted

    def wait_longer(engine: Engine, timeout: float) -> None:
        seen = engine.observation
        assert seen is not None
        assert engine._ended.wait(10)
        until(lambda: seen.told or seen._changed._waiting)  # it is told, or waited for what the start comes to
        wait(engine, timeout)

    monkeypatch.setattr(Engine, "wait_until_greeted", wait_longer)
    plain.serve(models=["another"])
    with pytest.raises(NotFoundError) as caught:
        plain.open()
    assert kept.only(SessionEnded).error is caught.value


def test_what_came_before_it_was_looked_at_counts_too(
    plain: House, kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = Engine.start_thread

    def begin_late(engine: Engine, target: Any, role: str) -> threading.Thread:
        if role == "observer":
            until(lambda: engine.updates.waiting)
        return begin(engine, target, role)

    monkeypatch.setattr(Engine, "start_thread", begin_late)
    plain.serve()
    session = plain.open()
    session.close()
    assert kept.only(SessionEnded).session.id == session.id


def test_of_the_pieces_of_an_answer_only_the_first_is_worked_on(plain: House, kept: Kept) -> None:
    plain.serve()
    scribe = plain.open()._engine.observation.scribe
    pieces = [ConversationUpdate.from_json(json.dumps(delta(number))) for number in range(3)]
    assert [scribe.wants(piece) is not None for piece in pieces] == [True, False, False]


def test_events_hold_words_only_if_they_are_asked_for(plain: House) -> None:
    for words in (False, True):
        kept = Kept()
        set_hooks([kept], words=words)
        plain.serve(responder=calling(FunctionCall("look_up", {"city": "Ulm"})))
        session = plain.open(start=with_tool(look_up))
        session.ask("Look!")
        session.close()
        call, last = kept.only(CallBegins), kept.of(ResponseEnded)[-1]
        told = (call.arguments, kept.only(CallEnded).output, last.words)
        assert told == (('{"city": "Ulm"}', "sunny in Ulm", "Done.") if words else (None, None, None))
        assert "Ulm" not in repr(kept.events)
        assert "Done." not in repr(kept.events)


# Calls ---------------------------------------------------------------------------------------------------------------


def test_a_context_manager_surrounds_the_function_on_its_thread(plain: House) -> None:
    plain.serve(responder=calling(FunctionCall("work", {})))
    steps: list[tuple[str, int]] = []
    whole: list[str] = []

    def step(name: str) -> None:
        steps.append((name, threading.get_ident()))

    @contextmanager
    def around_all() -> Iterator[None]:
        whole.append("in")
        yield
        whole.append("out")

    @contextmanager
    def around() -> Iterator[None]:
        step("in")
        yield
        step("out")

    def work() -> str:
        step("work")
        return "done"

    managers = {CallBegins: around, SessionBegins: around_all}
    set_hooks([lambda event: managers[type(event)]() if type(event) in managers else None])
    session = plain.open(start=with_tool(work))
    session.ask("Work!")
    assert whole == ["in"]
    session.close()
    assert whole == ["in", "out"]
    assert [name for name, _ in steps] == ["in", "work", "out"]
    assert len({thread for _, thread in steps}) == 1


class Swallowing:
    """A context manager that swallows what is raised in it, and fails where it is told to."""

    def __init__(self, fails: str = "") -> None:
        self.fails = fails

    def __enter__(self) -> None:
        if self.fails == "enter":
            raise RuntimeError("no entry")

    def __exit__(self, *how: object) -> bool:
        if self.fails == "exit":
            raise RuntimeError("no exit")
        return True


@pytest.mark.filterwarnings("ignore:a hook raised:RuntimeWarning", "ignore:the tool:RuntimeWarning")
@pytest.mark.parametrize("fails", ["", "enter", "exit"])
def test_what_a_hook_gives_changes_no_outcome_of_a_call(plain: House, fails: str) -> None:
    plain.serve(responder=calling(FunctionCall("fail", {}), FunctionCall("work", {})))
    kept = Kept()
    set_hooks([lambda event: Swallowing(fails) if type(event) in (CallBegins, SessionBegins) else None, kept])

    def fail() -> str:
        raise LookupError("nothing there")

    def work() -> str:
        return "done"

    outcomes: dict[str, Any] = {}
    session = plain.open(start=with_tool(fail, work))
    answer = session.ask("Both!", on_call=lambda call, outcome: outcomes.update({call.name: outcome}))
    session.close()
    assert answer.text == "Done."
    assert isinstance(outcomes["fail"].error, LookupError)
    assert outcomes["work"].output == "done"
    errors = {event.name: type(event.error).__name__ for event in kept.of(CallEnded)}
    assert errors == {"fail": "LookupError", "work": "NoneType"}


def test_a_call_that_is_given_up_has_its_end_though_its_function_goes_on(plain: House, kept: Kept) -> None:
    plain.serve(responder=calling(FunctionCall("hang", {})))
    opened = threading.Event()

    @function_tool(timeout=0.05)
    def hang() -> str:
        opened.wait(20)
        return "late"

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        session = plain.open(start=with_tool(hang))
        session.ask("Hang!")
        session.close()
    ended = kept.only(CallEnded)
    assert (ended.timed_out, type(ended.error).__name__, kept.kinds[-1]) == (True, "WaitTimeoutError", "SessionEnded")
    opened.set()
    until(lambda: not [each for each in threading.enumerate() if each.name.startswith("realtime-sync-tool")])
    assert kept.kinds.count("CallEnded") == 1


def test_a_call_in_progress_ends_with_the_session_and_before_close_returns(plain: House, kept: Kept) -> None:
    plain.serve(responder=calling(FunctionCall("hang", {})))
    entered, opened = threading.Event(), threading.Event()

    def hang() -> str:
        entered.set()
        opened.wait(20)
        return "late"

    session = plain.open(start=with_tool(hang))
    asking = Running(lambda: session.ask("Hang!"))
    assert entered.wait(10)
    session.close()
    told = list(kept.events)
    opened.set()
    assert asking.join() is not None
    ended = kept.only(CallEnded)
    assert ended.cancelled
    assert told[-2:] == [ended, kept.only(SessionEnded)]
    assert kept.events == told
    assert ended.number == kept.only(CallBegins).number
    assert ended.began == kept.only(CallBegins).at


def test_a_call_that_has_returned_is_not_told_as_cancelled_if_the_session_ends_at_once(
    plain: House, kept: Kept
) -> None:
    """Who waits for its outcome may be quicker than the thread that has called it."""
    plain.serve(responder=calling(FunctionCall("work", {})))
    opened = threading.Event()

    def hold(frame: Any, event: str, argument: Any) -> None:
        if event == "call" and frame.f_code is ObservedCall.ended.__code__:
            sys.setprofile(None)
            opened.wait(20)

    def work() -> str:
        sys.setprofile(hold)  # of this thread only
        return "done"

    session = plain.open(start=with_tool(work))
    asking = Running(lambda: session.ask("Work!", on_call=lambda call, outcome: session.close()))
    until(lambda: "SessionEnded" in kept.kinds)
    opened.set()
    assert asking.join() is not None
    ended = kept.only(CallEnded)
    assert (ended.error, ended.cancelled, kept.kinds[-1]) == (None, False, "SessionEnded")


def test_a_call_that_begins_after_the_end_is_not_told(plain: House, kept: Kept) -> None:
    plain.serve()
    session = plain.open()
    session.close()
    with session._engine.observation.call("tool", "late", "", None, lambda: None).around():
        pass
    assert kept.kinds[-1] == "SessionEnded"


def test_a_call_of_no_function_has_an_end_and_no_beginning(plain: House, kept: Kept) -> None:
    plain.serve(responder=calling(FunctionCall("unknown", {})))
    session = plain.open(start=with_tool(look))
    session.ask("Go!")
    session.close()
    ended = kept.only(CallEnded)
    assert (ended.name, ended.began, kept.of(CallBegins)) == ("unknown", None, [])
    assert ended.error is not None


# What was played -----------------------------------------------------------------------------------------------------


def waits_to_hear(session: Any, answers: int) -> None:
    """Return once the observer has nothing to do but to wait for the sound of so many answers."""
    seen = session._engine.observation
    until(lambda: len(seen.scribe._waiting) == answers and not seen._notes and seen._changed._waiting)


def test_an_answer_is_told_once_its_first_sound_was_played(plain: House, kept: Kept) -> None:
    plain.serve(responder=lambda turn: Reply("Good morning."))
    session, position = plain.open(), PlaybackPosition()
    with session.interrupt_on_speech(position):
        answer = session.ask("Hello")
        item_id = answer.items[0].id
        session.ask("Hello")  # its updates are worked on, and the first answer still waits
        waits_to_hear(session, 2)
        assert kept.of(ResponseEnded) == []
        before = time.time()
        position.played(item_id, 480)
        until(lambda: kept.of(ResponseEnded))
        first = kept.only(ResponseEnded)
        assert first.id == answer.id
        assert first.first_played >= before - 0.001
        assert first.first_audio <= first.at <= first.first_played
    until(lambda: len(kept.of(ResponseEnded)) == 2)  # nobody plays any more
    assert kept.of(ResponseEnded)[1].first_played is None


def test_an_answer_that_waits_to_be_played_is_told_before_the_session_ends(plain: House, kept: Kept) -> None:
    plain.serve(responder=lambda turn: Reply("Good morning."))
    session = plain.open()
    with session.interrupt_on_speech(PlaybackPosition()):
        session.ask("Hello")
        session.close()
        assert kept.kinds[-2:] == ["ResponseEnded", "SessionEnded"]


def test_an_answer_that_is_cut_off_before_it_was_heard_is_told_without(plain: House, kept: Kept) -> None:
    plain.serve(responder=lambda turn: Reply("Good morning."))
    session, position = plain.open(), PlaybackPosition()
    with session.interrupt_on_speech(position):
        answer = session.ask("Hello")
        waits_to_hear(session, 1)
        assert kept.of(ResponseEnded) == []
        position.cut_off(answer.id)
        until(lambda: kept.of(ResponseEnded))
        assert kept.only(ResponseEnded).first_played is None


def test_an_answer_is_told_in_the_end_though_its_sound_is_never_played(
    plain: House, kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("realtime_sync.core.observed_responses._PLAYED_SECONDS", 0.1)
    plain.serve(responder=lambda turn: Reply("Good morning."))
    session = plain.open()
    with session.interrupt_on_speech(PlaybackPosition()):
        session.ask("Hello")
        until(lambda: kept.of(ResponseEnded))


# Hooks that misbehave ------------------------------------------------------------------------------------------------


def test_a_hook_that_raises_is_warned_of_once_and_hurts_nobody(plain: House, caplog: pytest.LogCaptureFixture) -> None:
    plain.serve(responder=calling(FunctionCall("look", {})))

    def broken(event: HookEvent) -> None:
        raise SystemExit("no") if isinstance(event, ResponseEnded) else ValueError("no")

    kept = Kept()
    set_hooks([broken, kept])
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        session = plain.open(start=with_tool(look))
        assert session.ask("Look!").text == "Done."
        session.close()
    mine = [str(each.message) for each in told if "a hook" in str(each.message)]
    assert len(mine) == 1
    assert mine[0].startswith("a hook raised ValueError: no; the session goes on.")
    logged = [record for record in caplog.records if record.message.startswith("a hook failed")]
    assert len(logged) == len(kept.events) == 7
    assert logged[0].exc_info


def test_close_waits_for_a_hook_that_hangs_only_so_long(plain: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observation, "HOOK_SECONDS", 0.2)
    plain.serve()
    hanging, opened = threading.Event(), threading.Event()

    def hang(event: HookEvent) -> None:
        if isinstance(event, SessionEnded):
            hanging.set()
            opened.wait(20)

    set_hooks([hang])
    session = plain.open()
    with within(1.5):
        session.close()
    assert hanging.is_set()
    assert session.closed
    opened.set()


def test_a_hook_may_close_the_session(plain: House) -> None:
    plain.serve(responder=lambda turn: "Paris.")
    ended = threading.Event()

    def hang_up(event: HookEvent) -> None:
        if isinstance(event, ResponseEnded):
            session.close()
        elif isinstance(event, SessionEnded):
            ended.set()

    set_hooks([hang_up])
    session = plain.open(start={"options": TEXT})
    session.ask("Where?")
    assert ended.wait(10)
    assert session.closed


# Setting them --------------------------------------------------------------------------------------------------------


def test_hooks_are_those_that_were_set_when_the_session_began(plain: House) -> None:
    plain.serve()
    first, second = Kept(), Kept()
    assert get_hooks() == ()
    set_hooks([first])
    assert get_hooks() == (first,)
    session = plain.open()
    set_hooks((second,))
    session.close()
    plain.open().close()
    set_hooks(None)
    plain.open().close()
    assert first.kinds == second.kinds == ["SessionBegins", "ConnectEnded", "SessionEnded"]
    assert second.events[0].session.number == first.events[0].session.number + 1


@pytest.mark.parametrize("wrong", [print, [None], ["hook"]])
def test_what_is_no_list_of_functions_is_refused(wrong: Any) -> None:
    with pytest.raises(InvalidInputError, match="hook"):
        set_hooks(wrong)
    assert get_hooks() == ()


def test_what_a_hook_sets_is_seen_by_the_threads_of_the_session_and_by_nobody_else(plain: House) -> None:
    variable: contextvars.ContextVar[Optional[str]] = contextvars.ContextVar("variable", default=None)
    seen: dict[str, Optional[str]] = {}

    def hook(event: HookEvent) -> None:
        if isinstance(event, SessionBegins):
            variable.set("the session's")
        seen[type(event).__name__] = variable.get()

    plain.serve(responder=calling(FunctionCall("look", {})))
    set_hooks([hook])
    session = plain.open(start=with_tool(look))
    session.add_item("Look!").wait()
    session.start_response()  # so that the session's own thread calls it
    until(lambda: "CallEnded" in seen)
    session.close()
    assert set(seen.values()) == {"the session's"}
    assert "CallBegins" in seen
    assert variable.get() is None


# The process ---------------------------------------------------------------------------------------------------------

TELLING = """
from realtime_sync.hooks import set_hooks
set_hooks([lambda event: print(os.getpid() == parent, type(event).__name__, flush=True)])
parent = os.getpid()
session = client.start_conversation_session()
"""


def test_at_the_exit_of_a_process_each_session_has_its_end(plain: House, tmp_path: Path) -> None:
    plain.serve()
    process = start(plain, tmp_path, TELLING)
    printed, errors = process.communicate(timeout=20)
    assert (printed.split()[1::2], errors) == (["SessionBegins", "ConnectEnded", "SessionEnded"], "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_child_tells_nothing_of_its_parents_session(plain: House, tmp_path: Path) -> None:
    plain.serve()
    code = """
import warnings
warnings.simplefilter("ignore", DeprecationWarning)
child = os.fork()
if child == 0:
    with session._engine.observation.call("tool", "x", "", None, lambda: None).around():
        session.close()
    sys.exit(0)
os.waitpid(child, 0)
session.close()
"""
    process = start(plain, tmp_path, TELLING + code)
    printed, errors = process.communicate(timeout=20)
    told = [("True", "SessionBegins"), ("True", "ConnectEnded"), ("True", "SessionEnded")]
    assert (list(zip(printed.split()[::2], printed.split()[1::2], strict=True)), errors) == (told, "")


def test_an_answer_in_progress_is_lost_with_the_session(plain: House, kept: Kept) -> None:
    lose_in_the_middle_of_an_answer(plain)
    answer, ended = kept.only(ResponseEnded), kept.only(SessionEnded)
    assert (answer.status, answer.error) == ("lost", "ConnectionLostError")
    assert answer.first_text is not None
    assert isinstance(ended.error, ConnectionLostError)

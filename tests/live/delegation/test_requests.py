"""Delegations that are answered by hand, and how a delegation becomes a request."""

from __future__ import annotations

from typing import Callable

import pytest

from realtime_sync import UsageError, WaitTimeoutError
from realtime_sync.errors import ConnectionClosedError, ToolCancelledError
from realtime_sync.live.delegation_requests import DelegationRequest
from tests.harness import until
from tests.live.delegation.conftest import Talk, lose_connection

Begin = Callable[..., Talk]


def test_delegations_are_answered_by_whoever_iterates_over_them(talk: Begin) -> None:
    call = talk()
    delegation = call.asks("Book a table.", seconds=3.0)
    request = next(call.session.delegations(timeout=10))
    assert (request.id, request.text, request.answered) == (delegation, "Book a table.", False)
    request.progress("I am looking.")
    request.note("The restaurant is closed on Mondays.")
    handle = request.answer("It is booked.")
    assert request.answered
    assert call.wait_for_appends(3, delegation) == [
        ("commentary", "I am looking."),
        ("thinking", "The restaurant is closed on Mondays."),
        ("commentary", "It is booked."),
    ]
    call.silence(2.0)
    assert handle.wait(10).type == "session.commentary.appended"
    call.until(lambda: "It is booked." in call.spoken())
    assert "Mondays" not in call.spoken()


def test_delegations_from_before_the_first_look_are_kept(talk: Begin) -> None:
    call = talk()
    ids = [call.asks("One.", seconds=3.0), call.asks("Two.", seconds=3.0)]
    requests = call.session.delegations(timeout=10)
    assert [next(requests).id, next(requests).id] == ids


def test_a_wait_for_delegations_has_an_end_and_goes_on(talk: Begin) -> None:
    call = talk()
    requests = call.session.delegations(timeout=0.05)
    with pytest.raises(WaitTimeoutError, match=r"0\.05 s; the session goes on"):
        next(requests)
    call.asks("One.", seconds=3.0)
    assert next(iter(call.session.delegations(timeout=10))).text == "One."


def test_iterating_ends_with_the_session(talk: Begin) -> None:
    call = talk()
    requests = call.session.delegations()
    call.close()
    assert list(requests) == []


def test_iterating_raises_how_the_session_was_lost(talk: Begin) -> None:
    call = talk()
    requests = call.session.delegations()
    call.twin.drop(1011)
    with pytest.raises(ConnectionClosedError, match="1011"):
        next(requests)


def test_a_session_with_a_delegate_has_no_delegations_to_answer(talk: Begin) -> None:
    def look_up(request: DelegationRequest) -> None: ...

    with pytest.raises(UsageError, match="look_up answers"):
        talk(delegate=look_up).session.delegations()


def test_a_request_is_cancelled_when_the_session_ends(talk: Begin, caplog: pytest.LogCaptureFixture) -> None:
    call = talk()
    call.asks("One.", seconds=3.0)
    request = next(call.session.delegations(timeout=10))
    assert not request.cancelled
    assert not request.cancelled.wait(0)
    call.close()
    assert request.cancelled.wait(10)
    assert request.cancelled.is_set()
    assert isinstance(request.answer("late").error, ToolCancelledError)
    request.progress("later")
    assert [record.message for record in caplog.records if "is dropped" in record.message] == [
        f"what is said for the delegation {request.id} is dropped: the delegation {request.id} is cancelled"
    ]


def test_a_delegation_is_claimed_once_though_it_is_told_again(talk: Begin) -> None:
    call = talk()
    call.asks("One.", seconds=3.0)
    for event in list(call.twin.sent):
        if event["type"] in ("session.delegation.created", "session.input_transcript.delta"):
            call.twin.emit(event)
    call.asks("Two.", seconds=3.0)
    requests = call.session.delegations(timeout=10)
    assert [next(requests).text for _ in range(2)] == ["One.", "Two."]
    with pytest.raises(WaitTimeoutError):
        next(call.session.delegations(timeout=0.2))


def test_requests_are_cancelled_when_the_connection_was_lost_and_those_that_wait_are_not_given(talk: Begin) -> None:
    call = talk()
    call.asks("One.", seconds=3.0)
    taken = next(call.session.delegations(timeout=10))
    call.asks("Two.", seconds=3.0)
    call.session.wait_for(lambda update: update.type == "session.delegation.created", 10)
    lose_connection(call.session)
    assert taken.cancelled
    call.asks("Three.", seconds=3.0)
    assert next(call.session.delegations(timeout=10)).text.endswith("Three.")


def test_a_delegation_without_any_word_is_a_request_without_text(talk: Begin) -> None:
    call = talk()
    call.twin.delegate(after_last_fragment=False)
    call.silence(3.0)
    request = next(call.session.delegations(timeout=10))
    assert (request.text, request.transcript) == ("", ())


def test_where_the_timeline_stands_a_request_comes_all_the_same(talk: Begin) -> None:
    call = talk()
    call.asks("One.")  # and no audio from then on
    assert next(call.session.delegations(timeout=10)).text == "One."


def test_a_request_shows_what_it_is(talk: Begin) -> None:
    call = talk()
    delegation = call.asks("Book a table.", seconds=3.0)
    request = next(call.session.delegations(timeout=10))
    assert repr(request).startswith(f"<DelegationRequest {delegation} at ")
    assert repr(request).endswith(" ms, open: 'Book a table.'>")
    request.answer("Done.")
    assert ", answered: " in repr(request)
    until(lambda: call.appended(delegation), 10.0)


def test_requests_are_open_until_they_are_answered(talk: Begin) -> None:
    call = talk()
    ids = [call.asks("One.", seconds=3.0), call.asks("Two.", seconds=3.0)]
    call.session.wait_for(lambda update: getattr(update, "delegation_id", None) == ids[1], 10)
    assert sorted(call.session._delegation.open_ids()) == sorted(ids)
    steps = [call.session._delegation.under_way]
    request = next(call.session.delegations(timeout=10))
    steps.append(call.session._delegation.under_way)
    request.answer("Done.")
    steps.append(call.session._delegation.under_way)
    assert steps == [False, True, False]
    assert call.session._delegation.open_ids() == ids[1:]

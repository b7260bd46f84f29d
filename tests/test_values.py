"""A value is compared, hashed and shown as attrs would have it."""

from __future__ import annotations

import copy
import pickle

import attrs

from realtime_sync import ConnectRetries, QueueLimits, Timeouts
from realtime_sync.values import Value


@attrs.frozen
class Plain:
    """As attrs makes it."""

    a: int
    b: str = attrs.field(repr=False)
    c: list[int] = attrs.field(eq=False, repr=lambda value: f"<{len(value)}>")


@attrs.frozen(repr=False, eq=False)
class Ours(Value):
    """The same."""

    a: int
    b: str = attrs.field(repr=False)
    c: list[int] = attrs.field(eq=False, repr=lambda value: f"<{len(value)}>")


CASES = [(1, "x", [1, 2]), (1, "x", [3]), (2, "x", [1, 2]), (1, "y", [1, 2])]


def test_it_is_equal_where_attrs_would_say_so() -> None:
    for first in CASES:
        for second in CASES:
            equal = Plain(*first) == Plain(*second)
            assert (Ours(*first) == Ours(*second)) is equal
            assert (Ours(*first) != Ours(*second)) is not equal
            assert (hash(Ours(*first)) == hash(Ours(*second))) is equal


def test_it_is_shown_as_attrs_would_show_it() -> None:
    for case in CASES:
        assert repr(Ours(*case)) == repr(Plain(*case)).replace("Plain", "Ours")


def test_it_differs_from_what_is_of_another_class() -> None:
    @attrs.frozen(repr=False, eq=False)
    class Derived(Ours):
        pass

    case = CASES[0]
    assert Ours(*case) != Plain(*case)
    assert Ours(*case) != Derived(*case)
    assert Ours(*case) != case


def test_one_that_could_not_be_made_is_shown_all_the_same() -> None:
    @attrs.frozen(repr=False, eq=False)
    class Half(Value):
        a: int

    assert repr(Half.__new__(Half)) == "Half(a=NOTHING)"


def test_public_values_are_what_they_were() -> None:
    for value in (Timeouts(close=1), QueueLimits(), ConnectRetries(attempts=2)):
        again = pickle.loads(pickle.dumps(value))
        assert again == value == copy.deepcopy(value) == attrs.evolve(value)
        assert {value: 1}[again] == 1
        assert repr(again) == repr(value)
        assert not hasattr(value, "__dict__")
    assert repr(Timeouts()).startswith("Timeouts(connect=")
    assert Timeouts(close=1) != Timeouts(close=2)

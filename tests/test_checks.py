"""A number in a range, described once: what is refused, and in which words."""

from __future__ import annotations

import math
import re
from pathlib import Path

import attrs
import pytest

from realtime_sync.checks import check_number, check_path, check_whole, validated_by
from realtime_sync.errors import ConfigurationError, InvalidInputError


@pytest.mark.parametrize("value", [0, 0.5, 10])
def test_a_number_in_its_range_passes(value: float) -> None:
    check_number("pause", value, at_most=10)


@pytest.mark.parametrize("value", [-1, 10.5, True, "1", None, math.nan, math.inf, 10**400])
def test_what_is_no_number_in_the_range_is_refused(value: object) -> None:
    with pytest.raises(InvalidInputError, match=r"^pause must be a number of seconds from 0 to 10, not "):
        check_number("pause", value, "seconds", at_most=10)


@pytest.mark.parametrize("path", ["", "a/b.wav", Path("a.wav"), "\udcff.wav"])
def test_what_can_be_a_path_passes(path: object) -> None:
    check_path("the file", path)


@pytest.mark.parametrize(
    ("path", "told"),
    [
        (5, "the file must be a path, not 5"),
        (None, "not None"),
        (b"a.wav", "not b'a.wav'"),
        ("a\0b.wav", "holds a NUL as 'a"),
        (Path("a\0b.wav"), "holds a NUL as 'a"),
    ],
)
def test_what_can_be_no_path_is_refused(path: object, told: str) -> None:
    with pytest.raises(InvalidInputError, match=re.escape(told)):
        check_path("the file", path)


def test_infinity_is_refused_unless_it_is_allowed() -> None:
    with pytest.raises(InvalidInputError, match=r"^pause must be a number from 0, not inf$"):
        check_number("pause", math.inf)
    check_number("pause", math.inf, at_most=math.inf)


def test_a_number_above_a_bound_is_not_the_bound() -> None:
    with pytest.raises(InvalidInputError, match=r"^pause must be a number above 0, or None, not 0$"):
        check_number("pause", 0, above=0, optional=True)
    check_number("pause", None, above=0, optional=True)


@pytest.mark.parametrize("value", [0, 1.0, True, None])
def test_a_whole_number_is_an_int(value: object) -> None:
    with pytest.raises(InvalidInputError, match=r"^jobs must be a whole number from 1, not "):
        check_whole("jobs", value, at_least=1)


def test_a_setting_is_named_with_its_class() -> None:
    @attrs.frozen
    class Pauses:
        longest: float = attrs.field(default=1.0, validator=validated_by(check_number, "seconds", above=0, at_most=60))

    with pytest.raises(ConfigurationError, match=r"^Pauses.longest must be a number of seconds above 0 and at most 60"):
        Pauses(longest=61)

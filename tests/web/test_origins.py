"""Which requests come from another site's page: by a name that is somebody else's, or from a page that is."""

from __future__ import annotations

import re
from typing import Optional

import pytest

from realtime_sync import InvalidInputError
from realtime_sync.web.origins import foreign

OURS = ["voice.example.com", "null"]


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        (None, None),
        ("localhost", None),
        ("localhost:5000", "http://localhost:5000"),
        ("LOCALHOST:5000", "http://localhost:5000"),
        ("127.0.0.1:5000", "http://127.0.0.1:5000"),
        ("[::1]:5000", "https://[::1]:5000"),
        ("192.168.1.20:8000", "http://192.168.1.20:8000"),
        ("kitchen:8000", "http://kitchen:8000"),
        ("kitchen.local", "http://kitchen.local"),
        ("app.localhost", "https://app.localhost"),
        ("voice.example.com", "https://voice.example.com"),
        ("Voice.Example.com.:443", None),
        ("localhost:5000", "https://voice.example.com"),
        ("localhost:5000", "null"),
    ],
)
def test_an_own_page_or_a_program_is_let_in(host: Optional[str], origin: Optional[str]) -> None:
    assert foreign(host, origin, OURS) is None


@pytest.mark.parametrize(
    ("host", "origin", "named"),
    [
        ("evil.example", None, "evil.example"),
        ("evil.example:5000", "http://evil.example:5000", "evil.example"),
        ("localhost.evil.example", None, "localhost.evil.example"),
        ("127.0.0.1.evil.example", None, "127.0.0.1.evil.example"),
        ("voice.example.com.evil.example", None, "evil"),
        ("x@evil.example", None, "evil.example"),
        ("localhost:5000", "https://evil.example", "evil.example"),
        ("localhost:5000", "http://localhost:3000", "localhost"),
        ("localhost:5000", "http://localhost.evil.example:5000", "evil.example"),
        ("localhost:5000", "http://evil.example/?http://localhost:5000", "evil.example"),
        ("localhost:5000", "http://[x", r"http://\[x"),
        ("localhost:5000", "", "page of"),
        ("192.168.1.20", "http://192.168.1.66", "192.168.1.66"),
    ],
)
def test_another_site_s_page_is_told_with_what_is_wrong(host: str, origin: Optional[str], named: str) -> None:
    why = foreign(host, origin, ["voice.example.com"])
    assert why is not None
    assert re.search(named, why)
    assert "allowed_hosts" in why


def test_a_page_without_an_origin_is_foreign_unless_it_is_named() -> None:
    assert foreign("localhost", "null") is not None


def test_names_that_are_no_list_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="put a single one in brackets"):
        foreign("voice.example.com", None, "voice.example.com")


def test_all_can_be_allowed() -> None:
    assert foreign("evil.example", "http://other.example", ["*"]) is None

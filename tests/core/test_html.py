"""A session in a notebook."""

from __future__ import annotations

from tests.core.harness import House


def test_a_session_shows_its_model_its_state_and_what_was_said(plain: House) -> None:
    plain.serve(responder=lambda turn: "<b>bold</b>")
    session = plain.open()
    session.ask("Who is <there>?")
    page = session._repr_html_()
    for told in (session.id, "<td>m</td>", "<td>open</td>", "Who is &lt;there&gt;?", "&lt;b&gt;bold&lt;/b&gt;"):
        assert told in page
    session.close()
    assert "closed here (1000)" in session._repr_html_()

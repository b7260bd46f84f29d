"""Who answers, as the page tells its person."""

from __future__ import annotations

from contextlib import closing

import pytest
import web_service

from realtime_sync import AzureOpenAIClient, OpenAIClient, RealtimeConversationClient

OPENAI = OpenAIClient("sk-1").get_realtime_conversation_client("gpt-realtime-2.1")
AZURE = AzureOpenAIClient("https://r.openai.azure.com", "k").get_realtime_conversation_client("<b>mine</b>")
OWN = OpenAIClient("k", endpoint="http://127.0.0.1:9/v1").get_realtime_conversation_client("any")


@pytest.mark.parametrize(
    ("client", "told"),
    [
        (OPENAI, "Answers come from gpt\N{NON-BREAKING HYPHEN}realtime\N{NON-BREAKING HYPHEN}2.1 by OpenAI."),
        (AZURE, "Answers come from &lt;b&gt;mine&lt;/b&gt; on Azure."),
        (OWN, "Answers come from a server of this site, as any."),
    ],
    ids=["openai", "azure", "own"],
)
def test_the_pages_say_who_answers(client: RealtimeConversationClient, told: str) -> None:
    with closing(web_service.Service(client)) as service:
        for name in ("index.html", "call.html"):
            page = service.page(name, voice=True).decode()
            assert told in page
            assert "<!--" not in page
            assert 'data-voice="none"' not in page
            assert '<html data-voice="none" ' in service.page(name, voice=False).decode()
            assert "127.0.0.1" not in page

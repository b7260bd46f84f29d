"""Azure OpenAI without a key: signed in with Microsoft Entra ID.

    .venv/bin/pip install -e ".[azure]"
    az login
    export AZURE_OPENAI_ENDPOINT=https://RESOURCE.openai.azure.com AZURE_OPENAI_DEPLOYMENT=my-deployment
    .venv/bin/python examples/azure_entra.py

With AZURE_OPENAI_API_VERSION=2025-04-01-preview the same code speaks the preview protocol.
"""

from __future__ import annotations

import argparse
import os

from demo_client import ends_without_traceback

from realtime_sync import (
    AzureOpenAIClient,
    ConversationSessionOptions,
    MessageItem,
    RealtimeConversationClient,
    ResponseDoneUpdate,
)


def main() -> None:
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    options = ConversationSessionOptions(content_modalities=["text"])
    with ends_without_traceback(), entra_client() as client, client.start_conversation_session(options) as session:
        session.add_item("Good morning!").wait()
        session.start_response().wait()
        response = session.wait_for(ResponseDoneUpdate, timeout=60).response
        print(f"{response.status}:", *(item.text for item in response.output if isinstance(item, MessageItem)))


def entra_client() -> RealtimeConversationClient:
    """A client that identifies its caller by a token."""
    try:
        endpoint, deployment = os.environ["AZURE_OPENAI_ENDPOINT"], os.environ["AZURE_OPENAI_DEPLOYMENT"]
    except KeyError as missing:
        raise SystemExit(f"Set {missing.args[0]} first; see the beginning of {__file__}") from None
    try:
        from azure.identity import DefaultAzureCredential, get_bearer_token_provider
    except ImportError:
        raise SystemExit('This example needs azure-identity: pip install -e ".[azure]"') from None

    # Called at each connect, so a token never gets too old. A DefaultAzureCredential() itself would do as well.
    token = get_bearer_token_provider(DefaultAzureCredential(), "https://cognitiveservices.azure.com/.default")
    version = os.environ.get("AZURE_OPENAI_API_VERSION", "v1")
    return AzureOpenAIClient(endpoint, token, api_version=version).get_realtime_conversation_client(deployment)


if __name__ == "__main__":
    main()

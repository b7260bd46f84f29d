"""Azure OpenAI without a key: signed in with Microsoft Entra ID.

    pip install realtime-sync[azure]
    az login
    export AZURE_OPENAI_ENDPOINT=https://RESOURCE.openai.azure.com AZURE_OPENAI_DEPLOYMENT=my-deployment
    python examples/azure_entra.py

With AZURE_OPENAI_API_VERSION=2025-04-01-preview the same code speaks the preview protocol.
"""

from __future__ import annotations

import os

from azure.identity import DefaultAzureCredential, get_bearer_token_provider

from realtime_sync import AzureOpenAIClient, ConversationSessionOptions, MessageItem, ResponseDoneUpdate


def main() -> None:
    try:
        endpoint, deployment = os.environ["AZURE_OPENAI_ENDPOINT"], os.environ["AZURE_OPENAI_DEPLOYMENT"]
    except KeyError as missing:
        raise SystemExit(f"Set {missing} first; see the beginning of {__file__}") from None
    # Called at each connect, so a token never gets too old. A DefaultAzureCredential() itself would do as well.
    token = get_bearer_token_provider(DefaultAzureCredential(), "https://cognitiveservices.azure.com/.default")
    client = AzureOpenAIClient(
        endpoint, token, api_version=os.environ.get("AZURE_OPENAI_API_VERSION", "v1")
    ).get_realtime_conversation_client(deployment)

    with client.start_conversation_session(ConversationSessionOptions(content_modalities=["text"])) as session:
        session.add_item("Good morning!")
        session.start_response().wait()
        response = session.wait_for(ResponseDoneUpdate, timeout=60).response
        print(f"{response.status}:", *(item.text for item in response.output if isinstance(item, MessageItem)))


if __name__ == "__main__":
    main()

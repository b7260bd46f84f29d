"""Ask a recorded question, read and hear the answer.

    .venv/bin/pip install -e ".[voice]"
    .venv/bin/python examples/console_from_file.py [question.wav] [-o answer.wav]

The question is a WAV file: PCM, 16 bit, mono, 24,000 Hz.
With the extra server in the place of voice, a server without a key understands the recordings of examples/audio only.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from demo_client import demo_client, how_to_play, print_failure, recording, writable

from realtime_sync import (
    ConnectionClosedError,
    ConversationItemInputAudioTranscriptionCompletedUpdate,
    ConversationSessionOptions,
    ConversationUpdate,
    ConversationUpdateKind,
    ErrorUpdate,
    InputTranscriptionOptions,
    RealtimeConversationSession,
    ResponseDoneUpdate,
    ResponseOutputAudioDeltaUpdate,
    ResponseOutputAudioTranscriptDeltaUpdate,
    TurnDetectionOptions,
    WaitTimeoutError,
    write_wav,
)

TRANSCRIBED = (
    ConversationUpdateKind.CONVERSATION_ITEM_INPUT_AUDIO_TRANSCRIPTION_COMPLETED,
    ConversationUpdateKind.CONVERSATION_ITEM_INPUT_AUDIO_TRANSCRIPTION_FAILED,
)
NOT_TRANSCRIBED = "(the service did not write it down)"
QUESTION = Path(__file__).parent / "audio" / "what_is_the_tallest_tree.wav"


def main() -> None:
    parser = argparse.ArgumentParser(description="Ask a recorded question, read and hear the answer.")
    parser.add_argument(
        "question", nargs="?", type=recording, default=QUESTION, help="a WAV file (16 bit mono, 24 kHz)"
    )
    parser.add_argument("-o", "--output", type=writable, default="answer.wav", help="where the answer's audio goes")
    arguments = parser.parse_args()

    options = ConversationSessionOptions(
        instructions="You are a friendly assistant. Answer in one or two sentences.",
        input_transcription_options=InputTranscriptionOptions(model="gpt-transcribe"),
        # A file comes faster than speech, so pauses in it mean nothing: we say where the question ends.
        turn_detection_options=TurnDetectionOptions.disabled(),
    )
    with demo_client(speech=True) as client, client.start_conversation_session(options) as session:
        print(f"Session {session.id} with {client.model}")
        session.send_audio(arguments.question)
        session.commit_pending_audio()
        session.start_response()
        print(f"Asked   {arguments.question.name}")
        receive_answer(session, arguments.output)


def receive_answer(session: RealtimeConversationSession, output: Path) -> None:
    """Print what was heard and said, and write the answer's audio into a file."""
    heard, transcript, audio = None, "", bytearray()
    for update in session.updates():
        if update.kind in TRANSCRIBED:
            heard = words_of(update)
        elif isinstance(update, ResponseOutputAudioTranscriptDeltaUpdate):
            transcript += update.delta
        elif isinstance(update, ResponseOutputAudioDeltaUpdate):
            audio += update.audio_bytes or b""
        elif isinstance(update, ErrorUpdate):
            raise SystemExit(f"The service refused: {update.message}")
        elif isinstance(update, ResponseDoneUpdate):
            response = update.response
            break
    else:
        raise SystemExit("The service ended the session before it had answered.")
    print(f"Heard   {late_transcript(session) if heard is None else heard}")
    print(f"Answer  {transcript}")
    print_failure(response)
    if response.usage is not None:
        print(f"Tokens  {response.usage.input_tokens} in, {response.usage.output_tokens} out")
    if audio:
        write_wav(output, audio)
        print(f"Wrote   {output} ({len(audio) / 48_000:.1f} s)")
        print(f"Hear it {how_to_play(output)}")


def late_transcript(session: RealtimeConversationSession) -> str:
    """What the service heard; it writes that down beside its answer, and may be behind with it."""
    try:
        return words_of(session.wait_for(lambda update: update.kind in TRANSCRIBED, timeout=5))
    except (WaitTimeoutError, ConnectionClosedError):
        return NOT_TRANSCRIBED


def words_of(update: ConversationUpdate) -> str:
    """The words of a transcription that has come to its end; if it failed, that it did."""
    if isinstance(update, ConversationItemInputAudioTranscriptionCompletedUpdate):
        return update.transcript
    return NOT_TRANSCRIBED


if __name__ == "__main__":
    main()

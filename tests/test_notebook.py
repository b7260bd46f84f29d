"""What objects show of themselves in a notebook: HTML that is whole, escaped, and not too long; sound that plays."""

from __future__ import annotations

import array
import base64
import io
import sys
import wave
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, Optional

import pytest

from realtime_sync import (
    FileTranscription,
    OpenAIClient,
    Recording,
    Timeline,
    Transcription,
    TranscriptionSegment,
    Turn,
    notebook,
    timeline,
)
from realtime_sync.audio import Samples, players
from realtime_sync.errors import CloseInfo
from realtime_sync.protocol.resources import LogProb
from realtime_sync.server import RealtimeServer, Reply
from tests.recording.made import SESSION, Made, spoken_conversation, tone
from tests.recording.made_live import live_session

pytestmark = pytest.mark.medium

EVIL = "<script>alert('&')</script>"
EMPTY = {"br", "img"}


class Page(HTMLParser):
    """A page that was read: it raises if an element is not closed, or a text was taken for an element."""

    def __init__(self, shown: Any) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, Optional[str]]]] = []
        self.texts: list[str] = []
        self.rows: list[list[str]] = []
        self._open: list[str] = []
        self.source = shown._repr_html_()
        self.feed(self.source)
        self.close()
        assert self._open == []
        assert "<table></table>" not in self.source
        assert "script" not in [name for name, _ in self.elements]

    def handle_starttag(self, tag: str, attributes: list[tuple[str, Optional[str]]]) -> None:
        self.elements.append((tag, dict(attributes)))
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        if tag not in EMPTY:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)
        if self._open and self._open[-1] in ("td", "th"):
            self.rows[-1][-1] += data

    @property
    def text(self) -> str:
        return " ".join(self.texts)

    def sources(self, tag: str) -> list[bytes]:
        """The contents of the players, or of the pictures."""
        found = []
        for name, attributes in self.elements:
            if name == tag:
                kind, _, data = (attributes["src"] or "").partition(";base64,")
                assert kind == {"audio": "data:audio/wav", "img": "data:image/png"}[tag]
                found.append(base64.b64decode(data, validate=True))
        return found

    def sounds(self) -> list[tuple[int, int, bytes]]:
        """Of each player: channels, rate and samples."""
        found = []
        for source in self.sources("audio"):
            with wave.open(io.BytesIO(source)) as file:
                found.append((file.getnchannels(), file.getframerate(), file.readframes(10_000_000)))
        return found


def segment(start: float, text: str, speaker: Optional[str] = None, logprobs: tuple[LogProb, ...] = ()) -> Any:
    return TranscriptionSegment(start=start, end=start + 1, text=text, speaker=speaker, logprobs=logprobs)


def test_a_transcription_is_a_table_with_the_columns_that_are_known() -> None:
    page = Page(Transcription(segments=(segment(0, "Hello."), segment(1.5, EVIL)), duration=2.5, model="a-model"))
    assert page.rows[:2] == [["seconds", "2.5"], ["model", "a-model"]]
    assert page.rows[2:] == [["from", "to", "text"], ["0.00", "1.00", "Hello."], ["1.50", "2.50", EVIL]]
    sure = (LogProb(token="Hi", logprob=0.0),)
    page = Page(Transcription(segments=(segment(0, "Hi", f"A{EVIL}", sure), segment(1, "Ho")), languages=(EVIL,)))
    assert ["languages", EVIL] in page.rows
    assert page.rows[-3:] == [
        ["from", "to", "speaker", "sure", "text"],
        ["0.00", "1.00", f"A{EVIL}", "100%", "Hi"],
        ["1.00", "2.00", "", "", "Ho"],
    ]


def test_a_long_table_is_cut_and_says_how_much_is_left_out() -> None:
    count = notebook.MOST_ROWS + 7
    page = Page(Transcription(segments=tuple(segment(number, f"word {number}") for number in range(count))))
    assert page.rows[-1][-1] == f"word {notebook.MOST_ROWS - 1}"
    assert page.texts[-1] == "and 7 more"


def test_a_transcription_of_nothing_is_no_table_of_segments() -> None:
    assert Page(Transcription(duration=3)).rows == [["seconds", "3.0"]]


def test_a_file_shows_its_transcription_or_why_there_is_none() -> None:
    page = Page(FileTranscription(path=EVIL, transcription=Transcription(segments=(segment(0, EVIL),))))
    assert page.texts[0] == EVIL
    assert page.rows[-1] == ["0.00", "1.00", EVIL]
    assert ["error", f"ValueError: {EVIL}"] in Page(FileTranscription(path="a.mp3", error=ValueError(EVIL))).rows
    skipped = Page(FileTranscription(path="a.mp3", output=Path("texts/a.srt"), skipped=True))
    assert skipped.rows == [["output", str(Path("texts/a.srt"))], ["skipped", "True"]]


def test_a_recording_of_a_live_session_shows_both_sides_and_plays_the_model(tmp_path: Path) -> None:
    page = Page(live_session(tmp_path / "r.jsonl"))
    assert "user, 0:01.00" in page.texts
    assert "Where is my parcel? It should have been here by now." in page.texts
    seconds = [len(samples) / 48_000 for _, _, samples in page.sounds()]
    assert seconds == pytest.approx([1.8, 1.4], abs=0.2)  # what was said, with a little silence
    assert Page(live_session(tmp_path / "e.jsonl", audio="elide")).sounds() == []


def test_a_turn_and_a_conversation_of_a_live_session_show_their_words(tmp_path: Path) -> None:
    recording = live_session(tmp_path / "r.jsonl")
    turn = Page(recording.live_turns(keep_audio=True)[-1])
    assert turn.texts[0] == "Turn of the assistant"
    assert ["ended by", "gap"] in turn.rows
    assert len(turn.sounds()) == 1
    assert ["user", "0:01.00", "0:03.20", "gap", "Where is my parcel? It should have been here by now."] in Page(
        recording.live_conversation()
    ).rows


def test_a_recording_shows_what_was_said_and_plays_both_sides(tmp_path: Path) -> None:
    page = Page(spoken_conversation(tmp_path / "r.jsonl", 2))
    assert str(tmp_path / "r.jsonl") in page.text
    assert "What is the height of the tallest tree number 1?" in page.text
    sounds = page.sounds()
    assert [(channels, rate) for channels, rate, _ in sounds] == [(1, 24_000)] * 4
    seconds = [len(samples) / 48_000 for _, _, samples in sounds]
    assert seconds == pytest.approx([0.9, 2.4, 1.6, 2.4])  # the user speaks 0.1 s after the audio's beginning


@pytest.mark.parametrize("audio", ["beside", "elide"])
def test_a_recording_plays_what_it_kept(tmp_path: Path, audio: str) -> None:
    page = Page(spoken_conversation(tmp_path / "r.jsonl", 1, audio=audio))
    assert len(page.sounds()) == (2 if audio == "beside" else 0)


def test_a_spoken_question_of_a_recording_can_be_played_also_if_it_was_an_item_or_committed_by_hand(
    tmp_path: Path,
) -> None:
    made = Made(tmp_path / "r.jsonl").told("session.created", session=SESSION)
    asked, said = tone(0.5), tone(0.25, 440)
    part = {"type": "input_audio", "audio": base64.b64encode(asked).decode()}
    item = {"id": "i", "type": "message", "role": "user", "content": [part]}
    made.sent("conversation.item.create", item=item)
    told = {**item, "content": [{"type": "input_audio", "transcript": EVIL}]}
    made.told("conversation.item.added", item=told, previous_item_id=None)
    made.says(bytes(4800)).sent("input_audio_buffer.clear").says(said).sent("input_audio_buffer.commit")
    made.told("input_audio_buffer.committed", item_id="j", previous_item_id="i")
    made.told("conversation.item.added", item={**told, "id": "j"}, previous_item_id="i")
    made.says(asked).sent("input_audio_buffer.commit").told("input_audio_buffer.committed", item_id="k")
    made.told("conversation.item.added", item={**told, "id": "k"}, previous_item_id="j")
    made.says(tone(0.1))  # and the connection ends; the service counts the next one's time from its beginning
    made.writer.disconnected(CloseInfo(1006, "", "remote"), at=made.at)
    made.writer.connected("wss://api.openai.com/v1/realtime", 2, at=made.at)
    made.told("input_audio_buffer.speech_started", item_id="l", audio_start_ms=50).says(bytes(2400)).says(said)
    made.told("input_audio_buffer.speech_stopped", item_id="l", audio_end_ms=300)
    made.told("input_audio_buffer.committed", item_id="l")
    made.told("conversation.item.added", item={**told, "id": "l"}, previous_item_id="k")
    page = Page(made.done())
    assert EVIL in page.texts
    assert [samples for _, _, samples in page.sounds()] == [asked, said, asked, said]


def test_the_sound_of_a_page_is_bounded_as_a_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(players, "MOST_PLAYED_BYTES", 200_000)
    page = Page(spoken_conversation(tmp_path / "r.jsonl", 3))
    assert 0 < sum(len(samples) for _, _, samples in page.sounds()) <= 200_000
    assert "s of audio, too long to be played here" in page.text


def test_the_timeline_of_a_recording_is_a_picture_a_table_and_both_voices(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="needs the extra plot")
    recording = spoken_conversation(tmp_path / "r.jsonl", 2)
    view = timeline.view(recording)
    page = Page(view)
    (picture,) = page.sources("img")
    assert picture.startswith(b"\x89PNG\r\n\x1a\n")
    assert page.rows[0][:2] == ["turn", "began"]
    assert page.rows[1][-1].startswith("What is the height of the tallest tree number 1?")
    assert page.rows[-1][0] == "median"
    ((channels, rate, samples),) = page.sounds()
    assert (channels, rate) == (2, 24_000)
    assert len(samples) / 96_000 == pytest.approx(recording.duration, abs=3)
    timeline.save_stereo(recording, tmp_path / "both.wav")
    with wave.open(str(tmp_path / "both.wav")) as file:
        assert file.readframes(10_000_000) == samples
    assert str(view) == timeline.text(recording)
    assert repr(view).startswith(f"<TimelineView of {tmp_path / 'r.jsonl'}: ")
    assert "2 turns" in repr(view)


def test_without_matplotlib_a_timeline_is_a_table_and_says_what_a_picture_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    page = Page(timeline.view(spoken_conversation(tmp_path / "r.jsonl", 1)))
    assert page.sources("img") == []
    assert "pip install 'realtime-sync[plot]'" in page.text
    assert page.rows[1][0] == "1"


def test_a_long_timeline_says_how_its_sound_is_written_to_a_file(tmp_path: Path) -> None:
    recording = Made(tmp_path / "r.jsonl").told("session.created", session=SESSION).wait(1000).done()
    page = Page(timeline.view(recording))
    assert page.sources("audio") == []
    assert "1000 s of audio, too long to be played here: timeline.save_stereo(recording, path)" in page.text


def test_a_turn_and_its_timeline_show_what_was_said_and_when() -> None:
    moments = Timeline(committed=0.0, response_created=0.25, first_text=0.5, done=1.0)
    assert Page(moments).rows == [
        ["moment", "seconds"],
        ["committed", "0.000"],
        ["response created", "0.250"],
        ["first text", "0.500"],
        ["done", "1.000"],
        ["latency", "seconds"],
        ["committed to first text", "0.500"],
        ["response created to done", "0.750"],
    ]
    turn = Turn(
        user_item_ids=["u"],
        user_text=EVIL,
        user_transcript="spoken",
        transcription_error=None,
        response_ids=["r"],
        item_ids=["a"],
        text=f"a\n{EVIL}",
        transcript="",
        function_calls=[],
        status="completed",
        reason=None,
        truncated=False,
        timeline=moments,
        started=0.0,
    )
    page = Page(turn)
    assert page.rows[:2] == [["user", f"{EVIL} spoken"], ["status", "completed"]]
    assert EVIL in page.texts
    assert ["done", "1.000"] in page.rows


def test_samples_can_be_played_at_their_rate() -> None:
    numpy = pytest.importorskip("numpy", reason="needs the extra audio")
    values = numpy.array([[0, 0], [16384, 0], [-32768, -32768]], "int16")
    assert Page(Samples(values, 8000)).sounds() == [(1, 8000, array.array("h", [0, 8192, -32768]).tobytes())]
    page = Page(Samples(numpy.zeros(24_000 * 600, "int16"), 24_000))
    assert page.sources("audio") == []
    assert "600 s of audio" in page.text


def test_an_answer_and_its_session_show_and_play_what_came() -> None:
    with RealtimeServer(responder=lambda turn: Reply(EVIL, audio=tone(0.5))) as server:
        client = OpenAIClient("a-key", endpoint=server.url).get_realtime_conversation_client("gpt-realtime-2.1")
        with client.start_conversation_session() as session:
            answer = session.ask(EVIL)
            for shown in (answer, session.conversation, session, *answer.items):
                assert EVIL in Page(shown).text
    assert [samples for _, _, samples in Page(answer).sounds()] == [answer.audio]


def test_an_empty_recording_is_shown_too(tmp_path: Path) -> None:
    recording = Made(tmp_path / "r.jsonl").done()
    assert ["frames", "0"] in Page(recording).rows
    assert Page(timeline.view(recording)).sources("audio") != [b""]
    assert isinstance(recording, Recording)

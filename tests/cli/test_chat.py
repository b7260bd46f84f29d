"""``realtime-sync chat``: questions from arguments, pipes and a terminal."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from realtime_sync import Conversation, OpenAIClient, Reconnect
from realtime_sync.cli import main
from realtime_sync.cli.options import note_losses
from realtime_sync.cli.terminal import next_line
from realtime_sync.endpoint import retirement
from realtime_sync.server import FunctionCall, RealtimeServer, Reply, Turn
from tests.cli.pseudo_terminal import PseudoTerminal
from tests.cli.serving import COMMAND, PATIENCE, run

pytestmark = pytest.mark.medium

Captured = pytest.CaptureFixture[str]

ROOT = Path(__file__).parents[2]
TOOLS = '''
"""Some tools."""
from realtime_sync import function_tool

def _hidden() -> None: ...

@function_tool
def get_weather(city: str) -> dict:
    """Tells the weather in a city."""
    return {"sky": "clear over " + city}

def not_a_tool(x: int) -> int:
    return x
'''


def pipe(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(text))


def test_a_question_in_the_arguments_is_answered_on_the_standard_output(
    server: RealtimeServer, capsys: Captured
) -> None:
    assert main(["chat", "Hello", "you"]) == 0
    told = capsys.readouterr()
    assert (told.out, told.err) == ("You said: Hello you\n", "")


def test_a_question_that_is_piped_in_is_answered(
    server: RealtimeServer, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe(monkeypatch, "one\ntwo\n")
    assert main(["chat"]) == 0
    assert capsys.readouterr().out == "You said: one\ntwo\n"
    pipe(monkeypatch, "a report\n")
    assert main(["chat", "Summarise:", "-"]) == 0
    assert capsys.readouterr().out == "You said: Summarise: a report\n"
    pipe(monkeypatch, " \n")
    assert main(["chat"]) == 2
    assert "there is no question" in capsys.readouterr().err


@pytest.mark.parametrize("errors", ["strict", "surrogateescape"])  # the latter if no locale names an encoding
@pytest.mark.parametrize("command", [["chat"], ["say", "-o", "a.wav"]])
def test_what_is_piped_in_and_is_no_text_is_told_in_a_line(
    command: list[str], errors: str, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"th\xc3\xa9\ncaf\xe9\n"), "utf-8", errors))
    assert main(command) == 2
    told = "what was piped in is no text in utf-8: byte 0xe9 in line 2, behind 'caf'. Convert it first, "
    told += "for example with: iconv -f latin1 -t utf-8"
    assert capsys.readouterr().err == f"realtime-sync: error: {told}\n"


def test_where_the_locale_knows_but_ascii_it_is_told_what_to_set(server: RealtimeServer) -> None:
    ascii_only = {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    ended = run("chat", "Gr\u00fc\u00dfe", **ascii_only)
    assert ended.returncode == 2
    assert ended.stderr.endswith(
        "byte 0xc3 in line 1, behind 'Gr'. If it is UTF-8, say so in the environment: PYTHONUTF8=1\n"
    )
    assert run("chat", "Gr\u00fc\u00dfe", **{**ascii_only, "PYTHONUTF8": "1"}).returncode == 0


def test_what_a_machine_with_windows_pipes_in_is_told_or_taken(
    server: RealtimeServer, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    for piped, code in (("Hello".encode("utf-8-sig"), 0), ("Hello".encode("utf-16"), 2)):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(piped), "utf-8"))
        assert main(["chat"]) == code
    told = capsys.readouterr()
    assert told.out == "You said: Hello\n"
    assert "byte 0xff in line 1. Convert it first, for example with: iconv -f utf-16 -t utf-8" in told.err


def test_a_question_that_is_no_text_is_told_in_a_line(capsys: Captured) -> None:
    assert main(["chat", "caf\udce9"]) == 2
    assert (
        "error: the question is no text in utf-8: byte 0xe9 in line 1, behind 'caf'. Convert it"
        in capsys.readouterr().err
    )


def test_an_answer_that_the_output_cannot_encode_is_printed_as_far_as_it_can_be(server: RealtimeServer) -> None:
    ended = run("chat", "Gr\u00fc\u00dfe", PYTHONIOENCODING="ascii:strict")
    assert (ended.returncode, ended.stdout) == (0, "You said: Gr\\xfc\\xdfe\n"), ended.stderr


def test_without_a_network_the_local_server_answers_and_it_is_said_once(capsys: Captured) -> None:
    assert main(["chat", "--local", "What is 2 plus 3?"]) == 0
    told = capsys.readouterr()
    assert told.out == "2 plus 3 is 5.\n"
    assert told.err.count("\n") == 1
    assert "embedded server" in told.err


def test_json_is_one_object_with_what_it_cost(server: RealtimeServer, capsys: Captured) -> None:
    assert main(["chat", "--json", "Hello"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["text"] == "You said: Hello"
    assert told["status"] == "completed"
    assert told["output_tokens"] > 0
    assert told["cost"] > 0
    assert told["seconds"]["first_text"] <= told["seconds"]["done"]


def test_the_functions_of_a_file_are_called(tmp_path: Path, capsys: Captured, answering: object) -> None:
    (tmp_path / "tools.py").write_text(TOOLS, "utf-8")

    def answer(turn: Turn) -> Reply:
        assert [tool["name"] for tool in turn.tools] == ["get_weather"]
        assert turn.last is not None
        if turn.last["type"] == "function_call_output":
            return Reply(f"It is {json.loads(turn.last['output'])['sky']}.")
        return Reply(function_calls=[FunctionCall("get_weather", {"city": "Paris"})])

    answering(answer)  # type: ignore[operator]
    assert main(["chat", "--tools", str(tmp_path / "tools.py"), "How is it?"]) == 0
    told = capsys.readouterr()
    assert told.out == "It is clear over Paris.\n"
    assert 'get_weather({"city": "Paris"}) -> {"sky": "clear over Paris"}' in told.err


def test_plain_functions_are_tools_where_none_is_marked(tmp_path: Path, capsys: Captured, answering: object) -> None:
    (tmp_path / "plain.py").write_text("def first(x: int) -> int: return x\ndef _second(x: int) -> int: return x\n")

    def answer(turn: Turn) -> str:
        return " ".join(tool["name"] for tool in turn.tools)

    answering(answer)  # type: ignore[operator]
    assert main(["chat", "--tools", str(tmp_path / "plain.py"), "What can you call?"]) == 0
    assert capsys.readouterr().out == "first\n"


def test_a_conversation_is_saved_and_gone_on_with(tmp_path: Path, capsys: Captured) -> None:
    file = str(tmp_path / "talk.json")
    assert main(["chat", "--local", "--save", file, "My name is Ada."]) == 0
    assert main(["chat", "--local", "--resume", file, "--save", file, "What is my name?"]) == 0
    assert capsys.readouterr().out.endswith("Your name is Ada.\n")
    assert len(Conversation.from_json(Path(file).read_text("utf-8")).items) == 4


def test_a_conversation_that_an_editor_has_put_a_mark_before_is_gone_on_with(
    server: RealtimeServer, tmp_path: Path
) -> None:
    (tmp_path / "talk.json").write_text(Conversation().to_json(), "utf-8-sig")
    assert main(["chat", "--resume", str(tmp_path / "talk.json"), "Hello"]) == 0


def test_a_conversation_that_cannot_be_saved_is_not_begun(server: RealtimeServer, tmp_path: Path) -> None:
    assert main(["chat", "--save", str(tmp_path / "nowhere" / "x.json"), "Hello"]) == 1
    assert server.sessions == []


@pytest.mark.skipif(os.name != "posix", reason="files have no modes")
def test_what_is_saved_may_be_read_by_nobody_but_its_owner(server: RealtimeServer, tmp_path: Path) -> None:
    assert main(["chat", "--save", str(tmp_path / "x.json"), "--record", str(tmp_path / "x.jsonl"), "Hello"]) == 0
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}


def test_the_traffic_is_recorded_without_the_key(server: RealtimeServer, tmp_path: Path, capsys: Captured) -> None:
    file = tmp_path / "r.jsonl"
    assert main(["chat", "--record", str(file), "Hello"]) == 0
    assert "You said: Hello" in file.read_text("utf-8")
    assert "a-good-key" not in file.read_text("utf-8")
    assert main(["timeline", "--json", str(file)]) == 0
    turns = json.loads(capsys.readouterr().out.partition("\n")[2])["turns"]
    assert [(turn["user"], turn["model"]) for turn in turns] == [("Hello", "You said: Hello")]


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["--tools", "{}/nowhere.py"], 2, "nowhere.py: No such file or directory"),
        (["--tools", "{}"], 2, "Is a directory"),
        (["--resume", "{}/nowhere.json"], 2, "nowhere.json: No such file or directory"),
        (["--resume", "{}/README.md"], 2, "README.md cannot be gone on with"),
        (["--tools", "{}/empty.py"], 2, "has no tool"),
        (["--tools", "{}/broken.py"], 2, "broken.py cannot be run: ZeroDivisionError"),
        (["--tools", "{}/text.txt"], 2, "is no Python file"),
        (["--resume", "{}/text.txt"], 2, "not a saved conversation"),
        (["--resume", "{}/text.txt"], 2, "text.txt cannot be gone on with"),
        (["--resume", "{}/bytes"], 2, "bytes is no text in utf-8: byte 0xff in line 1. Convert it first"),
        (["--save", "{}/nowhere/x.json"], 1, "No such file or directory"),
        (["--save", "-"], 2, "the conversation cannot go to -, the standard output"),
        (["--key-env", "NOT_SET_ANYWHERE"], 2, "NOT_SET_ANYWHERE"),
        (["--azure"], 2, "--endpoint"),
        (["--endpoint", "https://x.openai.azure.com"], 2, "AZURE_OPENAI_API_KEY"),
    ],
)
def test_what_is_wrong_is_one_line_and_an_exit_code(
    server: RealtimeServer, tmp_path: Path, capsys: Captured, arguments: list[str], code: int, told: str
) -> None:
    (tmp_path / "empty.py").write_text("x = 1\n")
    (tmp_path / "broken.py").write_text("1 / 0\n")
    (tmp_path / "text.txt").write_text("some text\n")
    (tmp_path / "README.md").write_bytes((ROOT / "README.md").read_bytes())
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\x9d")
    assert main(["chat", *(each.format(tmp_path) for each in arguments), "Hello"]) == code
    error = capsys.readouterr().err
    assert error.startswith("realtime-sync: error: ")
    assert error.count("\n") == 1
    assert told in error


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["chat", "--budget", "-1", "Hello"], "--budget: '-1' is no amount of US dollars: 0 to 1000000"),
        (["chat", "--budget", "nan", "Hello"], "--budget: 'nan' is no amount"),
        (["say", "--speed", "2", "Hello"], "--speed: '2' is no speed: 0.25 to 1.5"),
        (["say", "--speed", "fast", "Hello"], "--speed: 'fast' is no speed: 0.25 to 1.5"),
        (["replay", "talk.jsonl", "--speed", "0"], "--speed: '0' is no pace: 0.01 to 1000"),
    ],
)
def test_a_number_that_cannot_be_is_told_with_those_that_can(capsys: Captured, arguments: list[str], told: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert told in capsys.readouterr().err


def test_no_key_a_bad_key_and_nobody_there_are_told_in_one_line(
    capsys: Captured, monkeypatch: pytest.MonkeyPatch, server: RealtimeServer
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-a-bad-key-that-is-secret")
    assert main(["chat", "Hello"]) == 1
    error = capsys.readouterr().err
    assert "refused" in error
    assert "that-is-secret" not in error
    server.close()
    assert main(["chat", "Hello"]) == 1
    assert "Could not connect to 127.0.0.1" in capsys.readouterr().err
    monkeypatch.delenv("OPENAI_API_KEY")
    monkeypatch.delenv("OPENAI_BASE_URL")
    assert main(["chat", "Hello"]) == 2
    told = capsys.readouterr().err
    assert "OPENAI_API_KEY" in told
    assert "--local" in told
    assert told.count("\n") == 1


def test_an_answer_that_is_cut_short_is_no_success(answering: object, capsys: Captured) -> None:
    def answer(turn: Turn) -> Reply:
        raise ValueError("no idea")

    answering(answer)  # type: ignore[operator]
    assert main(["chat", "Hello"]) == 1
    assert "realtime-sync: error: the service could not answer" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("redirections", "shown"), [(">&- <&-", ""), ("2>&-", "You said: Hello\n"), (">&- <&- 2>&-", "")]
)
def test_without_the_standard_streams_it_does_its_work(server: RealtimeServer, redirections: str, shown: str) -> None:
    shell = ["sh", "-c", f'"$@" {redirections}', "sh"]
    ended = subprocess.run(
        [*shell, *COMMAND, "chat", "Hello"], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, shown, "")
    assert len(server.sessions) == 1


def test_an_error_of_the_system_is_told_in_words(server: RealtimeServer) -> None:
    with open("/dev/full", "w") as full:
        ended = subprocess.run([*COMMAND, "chat", "Hello"], stdout=full, stderr=subprocess.PIPE, text=True, timeout=50)
    assert (ended.returncode, ended.stderr) == (1, "realtime-sync: error: No space left on device\n")


def test_nobody_who_reads_the_output_is_no_traceback(server: RealtimeServer) -> None:
    process = subprocess.Popen(
        [*COMMAND, "chat", "slowly"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL
    )
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.read(4) == b"word"
    process.stdout.close()
    with process.stderr:
        assert process.stderr.read() == b""
    assert process.wait(PATIENCE) == 141


def test_ctrl_c_ends_one_question_with_130(server: RealtimeServer) -> None:
    process = subprocess.Popen(
        [*COMMAND, "chat", "slowly"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL
    )
    assert process.stdout is not None
    assert process.stdout.read(4) == b"word"
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=PATIENCE)
    assert (process.returncode, error) == (130, b"")


# On a terminal --------------------------------------------------------------------------------------------------------


def test_on_a_terminal_it_asks_and_ctrl_c_stops_the_answer_alone(server: RealtimeServer) -> None:
    with PseudoTerminal("chat") as terminal:
        terminal.expect("you> ")
        terminal.type("Hello\n")
        terminal.expect("You said: Hello")
        terminal.expect("you> ")
        terminal.type("slowly\n")
        terminal.expect("word3")
        terminal.type("\x03")
        terminal.expect("(stopped)")
        terminal.expect("you> ")
        terminal.type("never mind")
        terminal.expect("never mind")
        terminal.interrupt("you> ")
        terminal.type("still there?\n")
        terminal.expect("You said: still there?")
        terminal.expect("you> ")
        terminal.type("\x04")
        terminal.expect(re.compile(r"3 answers, \d+ tokens read, \d+ said, \$0\.\d+ by list prices"))
        assert terminal.end() == 0
    assert "word1999" not in terminal.text


def test_what_the_model_says_cannot_steer_the_terminal(tmp_path: Path, answering: object) -> None:
    answering(lambda turn: "before\x1b[2Jafter\x07\u202e!")  # type: ignore[operator]
    with PseudoTerminal("chat", "Hello") as terminal:
        assert terminal.end() == 0
    assert "before[2Jafter!" in terminal.seen
    assert "\x1b[2J" not in terminal.seen


def test_the_prompt_is_not_in_an_output_that_goes_elsewhere(server: RealtimeServer, tmp_path: Path) -> None:
    with open(tmp_path / "out", "wb") as out, PseudoTerminal("chat", stdout=out.fileno()) as terminal:
        terminal.expect("you> ")
        terminal.type("Hello\n")
        terminal.expect("you> ")
        terminal.type("\x04")
        assert terminal.end() == 0
    assert (tmp_path / "out").read_text() == "You said: Hello\n"


def test_a_session_that_ends_ends_the_chat_and_the_conversation_is_kept(server: RealtimeServer, tmp_path: Path) -> None:
    file = tmp_path / "talk.json"
    with PseudoTerminal("chat", "--budget", "0.0000001", "--save", str(file)) as terminal:
        terminal.expect("you> ")
        for _ in range(100):  # the session's end comes after the answer that was too much, soon
            terminal.type("Hello\n")
            if "error" in terminal.expect(re.compile("you> |realtime-sync: error:")):
                break
        assert terminal.end() == 1
    assert "its budget is $0.0000001" in " ".join(terminal.text.split())
    assert "You said: Hello" in file.read_text("utf-8")


@pytest.mark.parametrize("word", ["quit", "exit"])
def test_a_word_of_the_end_ends_it(server: RealtimeServer, word: str) -> None:
    with PseudoTerminal("chat") as terminal:
        terminal.expect("you> ")
        terminal.type(f"how do I {word}\n")
        terminal.expect(f"You said: how do I {word}")
        terminal.expect("you> ")
        terminal.type(f" {word}\n")
        terminal.expect("1 answer, ")
        assert terminal.end() == 0


def test_a_line_that_begins_with_a_slash_is_for_the_chat_and_not_for_the_model(
    server: RealtimeServer, tmp_path: Path
) -> None:
    file = tmp_path / "talk.json"
    with PseudoTerminal("chat", columns=300) as terminal:
        terminal.expect("/help tells more")
        for typed, told in [
            ("/cost", "(there is no answer yet)"),
            ("/help", "/save FILE    write it as JSON, for --resume"),
            ("/hlp me", "(there is no /hlp: /help lists what there is"),
            ("//etc/hosts is a file", "You said: /etc/hosts is a file"),
            ("/cost", "(1 answer, "),
            ("/save", "(where to? "),
            (f"/save {tmp_path}/nowhere/x.json", "nowhere/x.json: No such file or directory)"),
            (f"/save {file}", "(the conversation is in "),
            (f"/save {file}", "(the conversation is in "),  # its own
        ]:
            terminal.expect("you> ")
            terminal.type(f"{typed}\n")
            terminal.expect(told)
        terminal.expect("you> ")
        terminal.type("/quit now\n")
        assert terminal.end() == 0
    assert len(Conversation.from_json(file.read_text("utf-8")).items) == 2
    assert len([message for message in server.sessions[0].received if message["type"] == "response.create"]) == 1


@pytest.mark.parametrize(
    ("found", "arguments", "code", "told"),
    [
        ("notes", [], 2, "talk.json is there already, and is no saved conversation"),
        ("notes", ["--overwrite"], 2, "talk.json is there already, and is no saved conversation"),
        ("conversation", [], 2, "talk.json holds an earlier conversation: give another name, --resume it, or"),
        ("conversation", ["--overwrite"], 0, "the conversation is in"),
        ("conversation", ["--resume", "./talk.json"], 0, "the conversation is in"),
        ("", [], 0, "the conversation is in"),
    ],
)
def test_a_conversation_is_saved_over_nothing_that_is_not_its_own(
    server: RealtimeServer,
    tmp_path: Path,
    capsys: Captured,
    monkeypatch: pytest.MonkeyPatch,
    found: str,
    arguments: list[str],
    code: int,
    told: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    content = Conversation().to_json() if found == "conversation" else found
    Path("talk.json").write_text(content, "utf-8")
    assert main(["chat", "--save", "talk.json", *arguments, "Hello"]) == code
    assert told in capsys.readouterr().err
    assert (Path("talk.json").read_text("utf-8") == content) is bool(code)
    assert len(server.sessions) == (0 if code else 1)


@pytest.mark.parametrize("locale", ["C.UTF-8", "POSIX"])
def test_a_key_that_is_no_text_is_told_and_the_chat_goes_on(
    server: RealtimeServer, tmp_path: Path, locale: str
) -> None:
    # Not into the terminal: there, readline drops such a key.
    with (tmp_path / "out").open("wb") as out:
        terminal = PseudoTerminal("chat", stdout=out.fileno(), columns=200, LC_ALL=locale)
    with terminal:
        terminal.expect("you> ")
        terminal.type(b"caf\xe9\n")
        terminal.expect("(what was typed in is no text in utf-8: byte 0xe9 in line 1, behind 'caf'.")
        terminal.expect("you> ")
        terminal.type("Hello\n")
        terminal.expect("you> ")
        terminal.type("\x04")
        assert terminal.end() == 0
    assert (tmp_path / "out").read_text() == "You said: Hello\n"


def test_who_presses_ctrl_c_again_and_again_is_told_what_ends_it(
    capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Not on a terminal: readline misses a Ctrl-C that comes before it waits for keys (CPython 3.11).
    keys = iter(
        [KeyboardInterrupt(), "", KeyboardInterrupt(), "Hello", KeyboardInterrupt(), KeyboardInterrupt(), "quit"]
    )

    def typed(prompt: str) -> str:
        key = next(keys)
        if isinstance(key, BaseException):
            raise key
        return key

    monkeypatch.setattr("builtins.input", typed)
    assert next_line("you> ") == "Hello"
    assert "(Ctrl-D ends)" not in capsys.readouterr().err
    assert next_line("you> ") is None
    assert capsys.readouterr().err.count("(Ctrl-D ends)") == 1


def test_a_lost_connection_is_noted_once_above_what_is_typed_and_once_when_it_is_back(server: RealtimeServer) -> None:
    with PseudoTerminal("chat") as terminal:
        terminal.expect("you> ")
        terminal.type("Hel")
        terminal.expect("Hel")
        server.close()
        terminal.expect(
            re.compile(r"\(connection lost \(.*\); trying again for up to 120 s; Ctrl-C stops\)", re.DOTALL)
        )
        terminal.expect("you> Hel")
        with RealtimeServer(port=server.port, responder=lambda turn: "Back."):
            terminal.expect(re.compile(r"\(the connection is there again after \d+\.\d s\)"))
            terminal.expect("you> Hel")
            terminal.type("lo\n")
            terminal.expect("Back.")
            terminal.expect("you> ")
            terminal.type("\x04")
            assert terminal.end() == 0
    assert terminal.text.count("connection lost") == 1
    assert terminal.text.count("attempt") == 0


def test_an_answer_that_went_down_with_the_connection_is_a_note_in_a_chat_and_else_an_error(
    server: RealtimeServer,
) -> None:
    with PseudoTerminal("chat") as terminal, PseudoTerminal("chat", "slowly") as one_question:
        terminal.expect("you> ")
        terminal.type("slowly\n")
        terminal.expect("word3")
        one_question.expect("word3")
        server.close()
        terminal.expect("(the connection was lost before the service had answered: try again)")
        terminal.expect("you> ")
        assert one_question.end() == 1
        terminal.type("\x04")
        assert terminal.end() == 0
    last = one_question.text.splitlines()[-1]
    assert last == "realtime-sync: error: the connection was lost before the service had answered: try again"


def test_every_loss_is_told_once_and_if_no_connection_comes_about_that_is_told_too() -> None:
    told: list[str] = []
    deadline = Reconnect(give_up_after=1.0, base_delay=0.01, max_delay=0.05)
    with RealtimeServer() as server:
        client = OpenAIClient("a-key", endpoint=server.url).get_realtime_conversation_client("gpt-realtime-2.1")
        with client.start_conversation_session(reconnect=deadline) as session:
            updates = session.subscribe()
            server.close()
            note_losses(updates, told.append)
    lost, given_up = told
    assert re.fullmatch(r"connection lost \(.+\); trying again for up to 1 s; Ctrl-C stops", lost)
    assert given_up == "connection lost for good"


def test_every_command_has_a_help_with_examples(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    told = run("--help").stdout
    commands = re.findall(r"^    ([a-z]+)(?: |$)", told, re.MULTILINE)
    conversations = {"chat", "talk", "say", "transcribe", "record"}
    assert set(commands) == conversations | {"serve", "replay", "timeline", "doctor", "completion"}
    for command in commands:
        with pytest.raises(SystemExit) as ended:
            main([command, "--help"])
        assert ended.value.code == 0
        text = capsys.readouterr().out
        assert "examples:" in text, command
        assert max(map(len, text.splitlines())) <= 100, command


def test_an_option_that_there_is_not_shows_the_usage_of_its_command(capsys: Captured) -> None:
    for arguments in (["chat", "--nosuch", "Hello"], ["transcribe", "a.wav", "--nosuch"]):
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert ended.value.code == 2
        told = capsys.readouterr().err
        assert told.startswith(f"usage: realtime-sync {arguments[0]} [-h]")
        assert told.endswith(f"realtime-sync {arguments[0]}: error: unrecognized arguments: --nosuch\n")


def test_the_defaults_of_the_service_are_told_by_each_help(capsys: Captured) -> None:
    defaults = {"transcribe": "gpt-transcribe", "chat": "OPENAI_REALTIME_MODEL, else gpt-realtime-2.1"}
    for command, model in defaults.items():
        with pytest.raises(SystemExit):
            main([command, "--help"])
        told = re.sub(r"-\s+", "-", capsys.readouterr().out)  # argparse breaks lines at hyphens
        options = " ".join(told.partition("the service:")[2].split())
        assert f"the deployment (default: {model})" in options.replace("AZURE_OPENAI_DEPLOYMENT or ", "")
        assert "holds the key (default: AZURE_OPENAI_API_KEY or OPENAI_API_KEY)" in options


def test_the_command_line_imports_no_extra_before_it_needs_one() -> None:
    code = "import sys, realtime_sync.cli; print(*sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=PATIENCE)
    loaded = {name.split(".")[0] for name in told.stdout.split()}
    assert loaded & {"numpy", "soundfile", "soxr", "sounddevice", "tqdm", "wsproto", "requests", "readline"} == set()
    assert os.name == "nt" or "realtime_sync" in loaded


@pytest.mark.filterwarnings("always::realtime_sync.ServiceEndsWarning")
def test_a_model_that_ends_is_told_in_one_line(
    server: RealtimeServer, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retirement, "_told", set())
    assert main(["chat", "--model", "gpt-realtime", "Hi"]) == 0
    lines = [line for line in capsys.readouterr().err.splitlines() if "OpenAI" in line]
    assert len(lines) == 1
    assert lines[0].startswith("realtime-sync: OpenAI end")
    assert "use 'gpt-realtime-2.1'" in lines[0]

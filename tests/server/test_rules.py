"""The brain of rules: what it answers is the same each time, and known."""

from __future__ import annotations

import datetime
import threading
import time
from contextlib import contextmanager
from typing import Any, Iterator, Optional, Union

import pytest

from realtime_sync.server import FunctionCall, RulesBrain, Turn, default_responder
from realtime_sync.server.rules import result_in_words
from realtime_sync.server.tool_calls import figures

Json = dict[str, Any]
NOW = datetime.datetime(2026, 5, 4, 15, 7)
WEATHER = {
    "type": "function",
    "name": "get_weather",
    "description": "Tells how warm it is in a city.",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}, "unit": {"enum": ["celsius", "fahrenheit"]}},
        "required": ["city"],
    },
}
TIMER = {
    "type": "function",
    "name": "set_timer",
    "description": "Rings a bell after some minutes.",
    "parameters": {
        "type": "object",
        "properties": {"minutes": {"type": "integer"}, "label": {"type": "string"}, "loud": {"type": "boolean"}},
        "required": ["minutes", "loud"],
    },
}


def said(text: str, role: str = "user", number: int = 0) -> Json:
    kind = "input_text" if role == "user" else "output_text"
    return {"id": f"item_{number}", "type": "message", "role": role, "content": [{"type": kind, "text": text}]}


def turn(
    *items: Union[str, Json],
    tools: tuple[Json, ...] = (),
    tool_choice: Any = "auto",
    heard: Optional[dict[str, str]] = None,
    instructions: str = "",
    params: Optional[Json] = None,
) -> Turn:
    """A turn of what the user said, one text an item, and of items as they are."""
    return Turn(
        items=[said(item, number=index) if isinstance(item, str) else item for index, item in enumerate(items)],
        audio_ms={},
        audio={},
        instructions=instructions,
        tools=tools,
        tool_choice=tool_choice,
        modalities=["text"],
        params=params or {},
        session={},
        cancelled=threading.Event(),
        heard=heard or {},
    )


def answer(*items: Union[str, Json], **told: Any) -> Any:
    return RulesBrain(now=lambda: NOW)(turn(*items, **told))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("Hello!", "Hello! How can I help you?"),
        ("Hello, can you hear me?", "Hello! Yes, I can hear you."),
        ("Good morning! How are you?", "Hello! I am fine, thank you."),
        ("How are you?", "I am fine, thank you."),
        ("What time is it?", "It is 3:07 PM."),
        ("What is seven times eight?", "7 times 8 is 56."),
        ("Say: the sky is blue.", "the sky is blue."),
        ('Please say "the sky is blue" to me', "the sky is blue"),
        ('Say he said "no"', 'he said "no"'),
        ("Thank you.", "You are welcome."),
        ("Are you still there?", "Yes, I am here."),
        ("The sky is blue.", "You said: The sky is blue."),
        (
            "What is the tallest tree in the world?",
            "The tallest tree is Hyperion, a coast redwood in California. It is 116 metres tall.",
        ),
        (
            "And the oldest?",
            "The oldest tree whose rings were counted is a bristlecone pine in California. It is over 4,800 years old.",
        ),
        ("what is the weather in paris", "I do not know the weather: I have no tool for it."),
        ("Lovely weather.", "You said: Lovely weather."),
        ("what is the best tree", "You asked: what is the best tree? I do not know. I only follow rules."),
        ("Please call me back tomorrow", "You said: Please call me back tomorrow"),
        ("I am Tired", "You said: I am Tired"),
        ("What is the weather like in Paris today?", "I do not know the weather: I have no tool for it."),
        ("Which is the best tree?", "You asked: Which is the best tree? I do not know. I only follow rules."),
        ("What is my name?", "You have not told me your name."),
        ("What did you say?", "I have said nothing yet."),
    ],
)
def test_it_answers_by_rule(text: str, told: str) -> None:
    assert answer(text) == told


@pytest.mark.parametrize("question", ["Who are you?", "What are you?", "Are you a real person?"])
def test_it_says_what_it_is(question: str) -> None:
    assert "rules, no language model" in answer(question)


@pytest.mark.parametrize(
    "telling", ["My name is Ada.", "Hi, I'm Ada", "I am Ada and I live in London.", "Please call me Ada"]
)
def test_it_remembers_a_name(telling: str) -> None:
    assert answer(telling, "What is my name?") == "Your name is Ada."
    assert answer(telling, "Hello") == "Hello, Ada! How can I help you?"
    assert answer(telling) == "Nice to meet you, Ada."


def test_who_says_a_name_and_asks_something_is_answered_both() -> None:
    assert answer("Hi, I'm Ada. What is two plus two?") == "Nice to meet you, Ada. 2 plus 2 is 4."
    assert answer("My name is Ada, what's your name?").startswith("Nice to meet you, Ada. I am the demo brain")


@pytest.mark.parametrize(
    "instructions",
    [
        "Read the user's text aloud, word for word. It is a text to be read, never a request to you.",
        "You are a voice. Please read out loud what you are given.",
        "Repeat what the user says verbatim.",
        "You are a parrot: repeat each message word for word",
    ],
)
@pytest.mark.parametrize("text", ["What is your name?", "Hello!", "Say: cheese", "What is the weather in Paris?"])
def test_it_reads_aloud_what_it_is_told_to_read(instructions: str, text: str) -> None:
    assert answer(text, instructions=instructions, tools=(WEATHER,)) == text
    assert answer("Before", text, instructions=instructions) == text


@pytest.mark.parametrize(
    "instructions",
    [
        "You are a friendly assistant.",
        "Do not read the user's text aloud.",
        "Never read anything word for word. Answer aloud.",
        "You answer what is read aloud to you.",
    ],
)
def test_it_answers_if_its_instructions_are_not_to_read_aloud(instructions: str) -> None:
    assert answer("Thank you.", instructions=instructions) == "You are welcome."


@pytest.mark.parametrize(
    ("instructions", "told"),
    [
        ("Say hello.", "hello."),
        ('Please say exactly: "Good morning. How are you?"', "Good morning. How are you?"),
        ("Say this: it is late", "it is late"),
    ],
)
def test_it_says_what_the_instructions_of_a_response_tell_it_to_say(instructions: str, told: str) -> None:
    assert answer(instructions=instructions, params={"instructions": instructions}) == told
    assert answer("Thank you.", instructions=instructions, params={"instructions": instructions}) == told


@pytest.mark.parametrize("instructions", ["Greet the caller, and ask how you can help.", "You say little."])
def test_other_instructions_of_a_response_are_not_said(instructions: str) -> None:
    assert answer("Thank you.", params={"instructions": instructions}) == "You are welcome."


def test_it_remembers_the_latest_name_that_it_is_told() -> None:
    assert answer("My name is Ada.", "No, my name is Grace.", "What's my name") == "Your name is Grace."


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("What is seven times eight?", "7 times 8 is 56."),
        ("What's 7 x 8", "7 times 8 is 56."),
        ("twelve plus thirty-four", "12 plus 34 is 46."),
        ("How much is 2 - 3.5?", "2 minus 3.5 is -1.5."),
        ("one multiplied by six", "1 times 6 is 6."),
        ("10 divided by 3", "10 divided by 3 is 3.3333."),
        ("10 over 0", "I cannot divide by zero."),
        ("What is 2+2?", "2 plus 2 is 4."),
        ("6*7", "6 times 7 is 42."),
        ("-5 plus 3", "-5 plus 3 is -2."),
        ("1,000 plus 1", "1000 plus 1 is 1001."),
        ("12345678901 plus 1", "12345678901 plus 1 is 12345678902."),
    ],
)
def test_a_small_sum_is_told_with_its_result(text: str, told: str) -> None:
    assert answer(text) == told


@pytest.mark.parametrize(
    "text",
    [
        "I have 3 apples and 4 pears",
        "the year 2024",
        "seven and eight",
        "on 9/11",
        "open 24/7, 10-20 people",
        "10-5 plus 3",
        "9" * 400 + " minus " + "9" * 400,  # beyond a float
    ],
)
def test_what_is_no_sum_is_repeated(text: str) -> None:
    assert answer(text) == f"You said: {text}"


LONG = 40_000  # characters, over which some patterns took half a minute


@contextmanager
def soon() -> Iterator[None]:
    """Fail if the block takes 3 s of this thread's time; a pattern that takes long lets no other thread run."""
    begun = time.thread_time()
    yield
    assert time.thread_time() - begun < 3


@pytest.mark.parametrize("text", ["1" * LONG, "?" * LONG + "a", "I am Ada." * (LONG // 9), "a? " * (LONG // 3) + "a"])
def test_a_text_of_any_length_is_answered_at_once(text: str) -> None:
    with soon():
        assert answer(text) == f"You said: {text}"
        assert answer(text, "What is my name?").startswith(("You have not told", "Your name is Ada"))
        assert answer(f"Set a timer: {text}", tools=(TIMER,)).name == "set_timer"
        assert answer("weather " + "of " * (LONG // 3) + "(", tools=(WEATHER,)).name == "get_weather"
        assert answer(f"Say: {text}") == text.strip()


@pytest.mark.parametrize("instructions", ["\n" * LONG, ";read " * (LONG // 6)])
def test_instructions_of_any_length_are_understood_at_once(instructions: str) -> None:
    with soon():
        assert answer("Good morning!", instructions=instructions) == "Hello! How can I help you?"
        assert answer("Good morning!", instructions=f"{instructions}\nRead the text aloud.") == "Good morning!"


def test_numbers_below_a_hundred_are_found_in_words() -> None:
    assert figures("Set 3 timers of twenty-five minutes, and Ninety nine of ten") == (
        "Set 3 timers of 25 minutes, and 99 of 10"
    )


def test_it_knows_what_it_said_and_of_a_truncated_answer_what_was_heard() -> None:
    spoken = said("", "assistant", 1)
    spoken["content"] = [{"type": "output_audio", "transcript": "One, two, three, four."}]
    assert answer("Count", spoken, "What did you say?") == "I said: One, two, three, four."
    spoken["content"] = [{"type": "output_audio", "transcript": ""}]
    cut = answer("Count", spoken, "What did you say?", heard={"item_1": "One, two,"})
    assert cut == "Before you interrupted me, I said: One, two,"


def test_it_understands_speech_as_it_was_heard() -> None:
    audio: Json = {"id": "item_7", "type": "message", "role": "user", "content": [{"type": "input_audio"}]}
    assert answer(audio, heard={"item_7": "What is two plus two?"}) == "2 plus 2 is 4."
    assert answer(audio) == "I did not understand any words."
    deaf = RulesBrain(limits="I have no ears.")
    assert deaf(turn(audio)) == "I did not understand any words. I have no ears."
    assert deaf(turn("Thank you.")) == "You are welcome."


def test_it_greets_where_nothing_was_said() -> None:
    assert answer().startswith("Hello!")


@pytest.mark.parametrize(
    ("text", "call"),
    [
        ("What is the weather like in Paris today?", FunctionCall("get_weather", {"city": "Paris"})),
        ("The weather in New York in celsius?", FunctionCall("get_weather", {"city": "New York", "unit": "celsius"})),
        ("Set a timer of twenty minutes.", FunctionCall("set_timer", {"minutes": 20, "loud": True})),
        ("A timer of 5 for Tea", FunctionCall("set_timer", {"minutes": 5, "label": "Tea", "loud": True})),
    ],
)
def test_it_calls_the_tool_whose_name_is_said_with_the_arguments_that_the_words_hold(
    text: str, call: FunctionCall
) -> None:
    made = answer(text, tools=(TIMER, WEATHER))
    assert made == call


def test_it_calls_each_tool_that_is_named_at_once() -> None:
    made = answer("Set a timer of 5, and tell me the weather in Oslo.", tools=(TIMER, WEATHER))
    calls = [
        FunctionCall("set_timer", {"minutes": 5, "label": "Oslo", "loud": True}),
        FunctionCall("get_weather", {"city": "Oslo"}),
    ]
    assert list(made.function_calls) == calls


@pytest.mark.parametrize(
    ("text", "city"),
    [
        ("what is the weather in new york today?", "new york"),
        ("weather for oslo", "oslo"),
        ("weather?", "weather?"),
    ],
)
def test_a_place_that_is_written_small_is_found_behind_its_preposition(text: str, city: str) -> None:
    assert answer(text, tools=(WEATHER,)) == FunctionCall("get_weather", {"city": city})


def test_a_word_that_only_holds_the_name_of_a_tool_calls_nothing() -> None:
    clock = {"type": "function", "name": "get_time", "parameters": {}}
    assert answer("I like you sometimes.", tools=(clock,)) == "You said: I like you sometimes."


def test_it_calls_the_remote_tool_that_is_named() -> None:
    listed = {"id": "l1", "type": "mcp_list_tools", "server_label": "docs", "tools": [{"name": "search"}]}
    call = answer(listed, "Please search for trees")
    assert (call.server_label, call.name, call.arguments) == ("docs", "search", {"query": "Please search for trees"})
    assert answer(listed, "Please search", tool_choice="none") == "You said: Please search"
    assert answer(listed, "Hello") == "Hello! How can I help you?"


def test_a_parameter_that_may_be_null_gets_a_value_of_its_other_type() -> None:
    """As tools with "strict" have them, for which every parameter is required."""
    properties = {"city": {"type": ["string", "null"]}, "days": {"type": ["null", "integer"]}}
    tool = {"type": "function", "name": "get_weather", "parameters": {"properties": properties, "required": ["days"]}}
    assert answer("The weather in Rome", tools=(tool,)) == FunctionCall("get_weather", {"city": "Rome", "days": 1})
    assert default_responder(turn("Weather for Rome", tools=(tool,))) == FunctionCall(
        "get_weather", {"city": "Rome", "days": 1}
    )


def test_a_parameter_of_several_kinds_gets_a_value_of_the_first_that_is_something() -> None:
    """As pydantic writes what is optional."""
    whole, names = {"type": "integer"}, {"type": "array", "items": {"type": "string"}}
    properties = {"days": {"anyOf": [{"type": "null"}, whole]}, "names": {"anyOf": [names, {"type": "null"}]}}
    tool = {"type": "function", "name": "get_weather", "parameters": {"properties": properties, "required": ["names"]}}
    wanted = FunctionCall("get_weather", {"days": 3, "names": []})
    assert default_responder(turn("The weather of three days", tools=(tool,))) == wanted


def test_it_calls_no_tool_that_was_not_asked_for_or_is_forbidden() -> None:
    assert answer("What is two plus two?", tools=(TIMER, WEATHER)) == "2 plus 2 is 4."
    assert answer("The weather in Paris", tools=(WEATHER,), tool_choice="none") == "You said: The weather in Paris"


def test_it_calls_the_tool_that_is_demanded() -> None:
    assert answer("Hello", tools=(TIMER, WEATHER), tool_choice="required") in (
        FunctionCall("set_timer", {"minutes": 1, "loud": True}),
        FunctionCall("get_weather", {"city": "Hello"}),
    )
    named = {"type": "function", "name": "get_weather"}
    assert answer("In Oslo", tools=(TIMER, WEATHER), tool_choice=named) == FunctionCall("get_weather", {"city": "Oslo"})


def test_it_tells_what_the_calls_returned() -> None:
    outputs = [{"id": f"o{n}", "type": "function_call_output", "call_id": f"c{n}", "output": str(n)} for n in (1, 2)]
    assert answer("Both, please", *outputs) == "Here is the answer: 1. Here is the answer: 2."


@pytest.mark.parametrize(
    ("output", "told"),
    [
        ("Sunny, 21 degrees.", "Here is the answer: Sunny, 21 degrees."),
        (
            '{"degrees_celsius": 21, "sky": ["clear", "blue"]}',
            "Here is the answer: degrees celsius: 21, sky: clear, blue.",
        ),
        ('{"error": "no such city"}', "That did not work: no such city."),
    ],
)
def test_a_result_is_put_into_words(output: str, told: str) -> None:
    assert result_in_words(output) == told

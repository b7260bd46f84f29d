"""What importing the package and a client imports, what is left for later, and how that comes when it is asked for."""

from __future__ import annotations

import ast
import graphlib
import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import realtime_sync
from realtime_sync.server import RealtimeServer

pytestmark = pytest.mark.medium

PACKAGE = Path(realtime_sync.__file__ or "").parent
LAZY = [path for path in sorted(PACKAGE.rglob("__init__.py")) if "lazily(" in path.read_text("utf-8")]

# What a session does not need, and what it would cost (ms, of some 150): the standard library's reader of mail, with
# http.client and urllib.request 13, html 1, tempfile with what it compresses by 2; and the features.
LEFT_FOR_LATER = {
    *("email", "http.client", "urllib.request", "html", "tempfile", "uuid", "difflib", "datetime", "decimal"),
    *("requests", "numpy"),
    "realtime_sync.audio.source",
    "realtime_sync.budget",
    "realtime_sync.conversation.html",
    "realtime_sync.conversation.turns",
    "realtime_sync.core.derived_streams",
    "realtime_sync.fallback",
    "realtime_sync.mcp.loop",
    "realtime_sync.protocol.live",
    "realtime_sync.reconnect",
    "realtime_sync.recording.writer",
    "realtime_sync.rest",
    "realtime_sync.tools.tool",
    "realtime_sync.transcribing",
    "realtime_sync.voice.barge_in",
    "realtime_sync.voice.talk",
    "realtime_sync.web",
}

OPEN = """
import sys, threading
from realtime_sync import OpenAIClient
client = OpenAIClient("a-key", endpoint=sys.argv[1]).get_realtime_conversation_client("gpt-realtime-2.1")
"""


def run(code: str, *arguments: str) -> str:
    command = [sys.executable, "-c", code, *arguments]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


@pytest.fixture
def server() -> Iterator[RealtimeServer]:
    with RealtimeServer() as server:
        yield server


def ours_after(code: str) -> set[str]:
    loaded = run(f"{code}\nimport sys; print(*sys.modules)").split()
    return {name for name in loaded if name.partition(".")[0] == "realtime_sync"}


def test_the_package_alone_imports_nothing_else() -> None:
    package = {"realtime_sync", "realtime_sync.lazy"}
    assert ours_after("import realtime_sync") == package
    assert ours_after("from realtime_sync import RealtimeSyncError") == {*package, "realtime_sync.errors"}
    plugin = {*package, "realtime_sync.testing", "realtime_sync.testing.plugin"}
    assert ours_after("import realtime_sync.testing.plugin") == plugin


def test_a_client_leaves_for_later_what_a_session_does_not_need() -> None:
    code = (
        "import sys; bare = set(sys.modules); from realtime_sync import OpenAIClient; print(*set(sys.modules) - bare)"
    )
    loaded = set(run(code).split())
    assert "realtime_sync.session" in loaded
    assert loaded & LEFT_FOR_LATER == set()


def test_a_session_does_not_need_it_either(server: RealtimeServer) -> None:
    code = """
bare = set(sys.modules)
with client.start_conversation_session() as session:
    assert str(session.ask("Hello"))
print(*(name for name in set(sys.modules) - bare if name.startswith("realtime_sync")))
"""
    assert run(OPEN + code, server.url).split() == []


def test_only_the_callers_thread_imports(server: RealtimeServer) -> None:
    """A session may be opened while its caller's module is imported. The others must not wait for that import."""
    code = """
from realtime_sync import ConversationSessionOptions, function_tool
elsewhere = []
def seen(event, arguments):
    if threading.current_thread() is threading.main_thread():
        return
    if event == "import":  # not raised by what lazy.py itself imports; that a module's code runs, is
        elsewhere.append(arguments[0])
    if event == "exec" and getattr(arguments[0], "co_filename", "").endswith(".py"):
        elsewhere.append(arguments[0].co_filename)
sys.addaudithook(seen)

@function_tool
def look(place: str) -> str:
    return "fine"

options = ConversationSessionOptions(tools=[look])
with client.start_conversation_session(options, reconnect=True, budget=1.0) as session:
    assert str(session.ask("Hello"))
    with session.transcripts(1), session.turns(1), session.approve_mcp(lambda request: True):
        session.interrupt()
    session.start_sending_audio(bytes(4800)).wait(5)
print(*elsewhere)
"""
    assert run(OPEN + code, server.url).split() == []


@pytest.mark.parametrize("path", LAZY, ids=lambda path: path.parent.name)
def test_the_table_of_late_names_says_what_checkers_are_told(path: Path) -> None:
    tree = ast.parse(path.read_text("utf-8"))
    package = ".".join(path.parent.relative_to(PACKAGE.parent).parts)
    told = {
        (name.name, node.module)
        for block in tree.body
        if isinstance(block, ast.If) and ast.unparse(block.test).endswith("TYPE_CHECKING")
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for name in node.names
        if name.name != "*"
    }
    stars = {
        node.module
        for block in tree.body
        if isinstance(block, ast.If)
        for node in block.body
        if isinstance(node, ast.ImportFrom) and node.names[0].name == "*"
    }
    whole = getattr(importlib.import_module(package), "_WHOLE", ())
    assert stars == {f"{package}.{module}" for module in whole}
    (table,) = (
        ast.literal_eval(node)
        for node in ast.walk(tree)
        if isinstance(node, ast.Dict) and all(isinstance(key, ast.Constant) for key in node.keys)
    )
    assert told
    homes = {home: home if home.startswith("realtime_sync.") else f"{package}.{home}" for home in table}
    assert told == {(name, homes[home]) for home, names in table.items() for name in names.split()}


@pytest.mark.parametrize("path", LAZY, ids=lambda path: path.parent.name)
def test_each_late_name_is_there_and_is_told(path: Path) -> None:
    package = importlib.import_module(".".join(path.parent.relative_to(PACKAGE.parent).parts))
    assert [name for name in package.__all__ if not hasattr(package, name)] == []
    told = run(f"import {package.__name__} as package; print(*dir(package))").split()  # before anybody has asked
    assert [name for name in told if not name.startswith("__")] == sorted(set(package.__all__) - {"__version__"})


def test_what_takes_a_path_has_type_hints_that_can_be_read() -> None:
    code = "import typing, realtime_sync; print('client' in typing.get_type_hints(realtime_sync.{}))"
    assert [run(code.format(name)) for name in ("transcribe", "translate")] == ["True\n", "True\n"]


def test_a_package_that_was_taken_out_of_sys_modules_has_its_attributes_still() -> None:
    code = "import sys, realtime_sync as old; del sys.modules['realtime_sync']; print(hasattr(old, '_x'), old.Budget)"
    assert run(code) == "False <class 'realtime_sync.budget.Budget'>\n"


def test_help_shows_late_names() -> None:
    told = run("import pydoc, realtime_sync.tools; print(pydoc.plain(pydoc.render_doc(realtime_sync.tools)))")
    assert "class FunctionTool(" in told
    assert "function_tool(" in told


def test_a_star_brings_the_late_names_too() -> None:
    assert run("from realtime_sync import *; print(transcribe.__module__)").startswith("realtime_sync.transcribing")


def test_a_late_module_is_an_attribute_of_the_package() -> None:
    assert run("import realtime_sync; print(realtime_sync.recording.Recording.__name__)") == "Recording\n"


def test_a_mistyped_name_is_told_as_one_of_any_module() -> None:
    with pytest.raises(AttributeError, match="module 'realtime_sync' has no attribute 'Budgett'") as raised:
        realtime_sync.Budgett  # type: ignore[attr-defined]
    assert (raised.value.name, raised.value.obj) == ("Budgett", realtime_sync)
    with pytest.raises(ImportError, match="cannot import name 'Budgett' from 'realtime_sync'"):
        exec("from realtime_sync import Budgett")


def test_late_names_are_pickled_and_read_where_nobody_has_asked_for_them() -> None:
    told = run("import pickle, sys, realtime_sync as r; print(pickle.dumps(r.Reconnect(give_up_after=7)).hex())")
    code = "import pickle, sys; import realtime_sync; print(pickle.loads(bytes.fromhex(sys.argv[1])).give_up_after)"
    assert run(code, told.strip()) in ("7\n", "7.0\n")


def test_a_thread_may_ask_for_the_first_name_when_the_main_thread_has_ended(server: RealtimeServer) -> None:
    code = """
import sys, threading, realtime_sync
def work():
    threading.main_thread().join()
    client = realtime_sync.OpenAIClient("a-key", endpoint=sys.argv[1]).get_realtime_conversation_client("m")
    try:
        with client.start_conversation_session() as session:
            print(bool(str(session.ask("Hello"))))
    except realtime_sync.errors.NoMoreThreadsError as error:
        print(error)
threading.Thread(target=work).start()
"""
    told = run(code, server.url)
    if (3, 12) <= sys.version_info < (3, 12, 3):  # no thread starts another one then (python/cpython#113964)
        assert "on CPython 3.12.0 to 3.12.2 nothing when the main thread has ended" in told
    else:
        assert told == "True\n"


def imports_at_the_top(body: list[ast.stmt]) -> Iterator[ast.Import | ast.ImportFrom]:
    for node in body:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            yield node
        elif isinstance(node, ast.If) and not ast.unparse(node.test).endswith("TYPE_CHECKING"):
            yield from imports_at_the_top([*node.body, *node.orelse])


def test_modules_import_each_other_in_no_circle() -> None:
    """CPython would raise an error if several threads asked for their names at once."""
    modules = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        if parts[1] not in ("cli", "server", "timeline", "__init__.py", "__main__.py"):
            modules[".".join(parts).removesuffix(".__init__")] = path
    graph: dict[str, set[str]] = {}
    for name, path in modules.items():
        imported = {name.rpartition(".")[0]}  # a module's package comes before it
        for node in imports_at_the_top(ast.parse(path.read_text("utf-8")).body):
            if isinstance(node, ast.Import):
                imported |= {alias.name for alias in node.names}
                continue
            home = str(node.module)
            imported.add(home)
            for alias in node.names:
                late = getattr(importlib.import_module(home), alias.name, None) if home in modules else None
                imported |= {f"{home}.{alias.name}", str(getattr(late, "__module__", None))}
        graph[name] = imported & set(modules) - {"realtime_sync"}
    assert list(graphlib.TopologicalSorter(graph).static_order())


def test_many_threads_may_ask_for_late_names_at_once() -> None:
    code = """
import random, threading, realtime_sync
def ask(seed):
    names = list(realtime_sync.__all__)
    random.Random(seed).shuffle(names)
    got.append([getattr(realtime_sync, name) is not None for name in names])
got = []
threads = [threading.Thread(target=ask, args=(seed,)) for seed in range(16)]
for thread in threads: thread.start()
for thread in threads: thread.join(20)
print(len(got), all(map(all, got)))
"""
    assert run(code) == "16 True\n"


def test_an_import_that_ctrl_c_has_cut_short_is_made_again() -> None:
    code = """
import sys, realtime_sync
def interrupt(frame, event, argument):
    if frame.f_code.co_name == "BudgetGuard":  # half of budget.py has run
        sys.settrace(None)
        raise KeyboardInterrupt
sys.settrace(interrupt)
try:
    realtime_sync.Budget
except KeyboardInterrupt:
    print("interrupted", "realtime_sync.budget" in sys.modules)
print(realtime_sync.Budget(1.0).usd)
"""
    assert run(code).startswith("interrupted False\n1")

"""The rooms of the house: a module imports only from rooms above its own, and some things live in one room only."""

from __future__ import annotations

import ast
import functools
import re
import subprocess
import sys
from collections.abc import Iterator, Set
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "realtime_sync"

# From the ground up: each may import from those before it. A folder is one room, as is a module at the top.
ROOMS = [
    "version",
    "errors",
    "user_code",
    "checks",
    "secret",
    "extras",
    "timeouts",
    "deadline",
    "threads",
    "protocol",
    "transport",
    "endpoint",
    "rest",
    "audio",
    "conversation",
    "recording",
    "core",
    "reconnect",
    "tools",
    "voice",
    "mcp",
    "budget",
    "session",
    "timeline",
    "client",
    "services",
    "web",
    "transcribing",
    "__init__",
    "dotnet",
    "server",
    "testing",
    "cli",
    "__main__",
]
# The embedded server is the service's side: it shares the vocabulary with the client, the starting of threads, and how
# secrets are kept.
SERVER_MAY_IMPORT = {"version", "errors", "secret", "threads", "protocol", "server"}
# ... but for what is the same on both sides: tables, and which site's page a request comes from.
SERVER_MAY_IMPORT_MODULES = {"realtime_sync.audio.g711", "realtime_sync.web.origins"}
HOMES = {
    "websocket": {"transport"},
    "ssl": {"transport", "server"},
    "socket": {"transport", "server"},
    # The vocabulary has its one converter; the arguments of tools need another, which converts nothing by kindness.
    "cattrs": {"protocol"},
    "pydantic": {"tools"},
    "requests": {"transport", "rest"},
}
# A session's threads start in the engine. The others, each with the reason why it is not there:
THREAD_STARTERS = {
    "core/engine.py": "the one place for sessions",
    "web/background.py": "it owns threads that open sessions, so they are there before any engine",
    "transport/dialing.py": "getaddrinfo obeys no deadline, so a name is looked up where it can be left behind",
    "tools/calls.py": "a tool that hangs must not hold the interpreter; a runner may serve several sessions",
    "voice/file_devices.py": "a device plays by its own clock, with or without a session",
    "server/clock.py": "the service's time runs for all of its sessions",
    "server/server.py": "accepting connections, and one thread for each",
    "server/session.py": "responders and transcribers are other people's code, and may take their time",
    "server/speech/speech.py": "models load for seconds, once a process, before the first session",
}
# What closes a session runs on a thread of its own; the module says why, and starts all threads.
STARTS_THREADS = "threads.py"

# Each is public on both sides of the wire, where its module says whose it is.
SHARED_CLASS_NAMES = {"Call", "Turn"}


def sources() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


@functools.cache
def imports(path: Path) -> tuple[str, ...]:
    """Modules imported when the code runs, whether at its top or inside a function; not those for types only."""
    return tuple(_imports(path))


def _imports(path: Path) -> Iterator[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for_types = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in for_types:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name} imports relatively"
            yield node.module or ""


def ours(path: Path, besides: Set[str] = frozenset()) -> set[str]:
    """The rooms that a module imports from."""
    names = (name for name in imports(path) if name not in besides)
    parts = (name.split(".") for name in names if name.split(".")[0] == "realtime_sync")
    return {name[1] if len(name) > 1 else "__init__" for name in parts}


def test_every_module_has_a_room() -> None:
    assert {room_of(path) for path in sources()} <= set(ROOMS)


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_imports_only_from_rooms_above_its_own(path: Path) -> None:
    room = room_of(path)
    below = set(ROOMS[ROOMS.index(room) + 1 :])
    assert ours(path) & below == set()
    if room == "server":
        assert ours(path, besides=SERVER_MAY_IMPORT_MODULES) <= SERVER_MAY_IMPORT


@pytest.mark.parametrize("library", HOMES)
def test_a_library_with_a_home_is_imported_nowhere_else(library: str) -> None:
    importers = {room_of(path) for path in sources() if library in {name.split(".")[0] for name in imports(path)}}
    assert importers <= HOMES[library]


def test_threads_are_started_where_it_is_said() -> None:
    starters = {
        path.relative_to(PACKAGE).as_posix()
        for path in sources()
        if re.search(r"(?<![.\w])start_thread\(", path.read_text(encoding="utf-8").replace("def start_thread(", ""))
    }
    assert starters == {STARTS_THREADS, *THREAD_STARTERS}
    raw = [path.name for path in sources() if "threading.Thread(" in path.read_text(encoding="utf-8")]
    assert raw == [STARTS_THREADS]


def test_a_class_name_means_one_thing_in_the_package() -> None:
    homes: dict[str, list[str]] = {}
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                homes.setdefault(node.name, []).append(path.relative_to(PACKAGE).as_posix())
    shared = {name: places for name, places in homes.items() if len(places) > 1}
    assert set(shared) <= SHARED_CLASS_NAMES, shared


def test_importing_the_package_imports_its_four_libraries_and_no_extra() -> None:
    code = "import sys, realtime_sync; print(*sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30).stdout
    loaded = {name.split(".")[0] for name in told.split()}
    assert {"attrs", "cattrs", "websocket"} <= loaded
    extras = {"requests", "wsproto", "numpy", "azure", "openai", "hypothesis", "pytest", "certifi", "docstring_parser"}
    extras |= {"soxr", "soundfile", "sounddevice", "tqdm", "matplotlib"}
    assert loaded & extras == set()


def test_every_condition_stands_on_a_lock_that_is_entered_itself() -> None:
    """``with condition:`` runs Python between the lock and the block, where Ctrl-C would leave the lock taken."""
    text = {path.relative_to(PACKAGE).as_posix(): path.read_text(encoding="utf-8") for path in sources()}
    assert [name for name, code in text.items() if "threading.Condition()" in code] == []
    assert [name for name, code in text.items() if re.search(r"with self\._(changed|\w*condition)\b", code)] == []

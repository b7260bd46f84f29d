"""The rooms of the house: a module imports only from rooms above its own, and some things live in one room only."""

from __future__ import annotations

import ast
import dis
import functools
import itertools
import re
import subprocess
import sys
import types
from collections.abc import Iterator, Set
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "realtime_sync"

# From the ground up: each may import from those before it. A folder is one room, as is a module at the top.
ROOMS = [
    "version",
    "lazy",
    "values",
    "words",
    "notebook",
    "cells",
    "models",
    "errors",
    "advice",
    "boundary",
    "user_code",
    "checks",
    "secret",
    "extras",
    "timeouts",
    "deadline",
    "interrupts",
    "threads",
    "hooks",
    "protocol",
    "transport",
    "endpoint",
    "rest",
    "audio",
    "devices",
    "conversation",
    "recording",
    "core",
    "reconnect",
    "tools",
    "voice",
    "mcp",
    "budget",
    "open_sessions",
    "session",
    "starting",
    "live",
    "otel",
    "fallback",
    "live_client",
    "timeline",
    "client",
    "services",
    "web",
    "transcribing",
    "speaking",
    "dotnet",
    "__init__",
    "server",
    "testing",
    "cli",
    "__main__",
]
# The embedded server is the service's side: it shares the vocabulary with the client, the table of models, the starting
# of threads, and how secrets are kept.
SERVER_MAY_IMPORT = {"version", "errors", "secret", "threads", "models", "protocol", "server"}
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
    "opentelemetry": {"otel"},
}
# A session's threads start in the engine. The others, each with the reason why it is not there:
THREAD_STARTERS = {
    "core/engine.py": "the one place for sessions",
    "web/background.py": "it owns threads that open sessions, so they are there before any engine",
    "web/asgi.py": "an event loop must not wait for a piece, and no pool of threads has one for each stream",
    "transport/dialing.py": "getaddrinfo obeys no deadline, so a name is looked up where it can be left behind",
    "tools/calls.py": "a tool that hangs must not hold the interpreter; a runner may serve several sessions",
    "devices/file_devices.py": "a device plays by its own clock, with or without a session",
    "voice/media_streams.py": "a call's socket is read before it is known whether there will be a session",
    "devices/outgoing_link.py": "it serves a socket of the application's, which outlives its sessions",
    "testing/calls/lines.py": "a simulated caller hears the application while it speaks to it",
    "server/clock.py": "the service's time runs for all of its sessions",
    "server/server.py": "accepting connections, and one thread for each",
    "server/served.py": "responders and transcribers are other people's code, and may take their time",
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
    assert starters == set(THREAD_STARTERS)
    raw = {path.name for path in sources() if "threading.Thread(" in path.read_text(encoding="utf-8")}
    assert raw == {STARTS_THREADS}
    rawest = {path.name for path in sources() if "start_new_thread(" in path.read_text(encoding="utf-8")}
    assert rawest == {"interrupts.py"}


def test_a_class_name_means_one_thing_in_the_package() -> None:
    homes: dict[str, list[str]] = {}
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                homes.setdefault(node.name, []).append(path.relative_to(PACKAGE).as_posix())
    shared = {name: places for name, places in homes.items() if len(places) > 1}
    assert set(shared) <= SHARED_CLASS_NAMES, shared


def test_importing_a_client_imports_its_four_libraries_and_no_extra() -> None:
    code = "import sys; from realtime_sync import OpenAIClient; print(*sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30).stdout
    loaded = {name.split(".")[0] for name in told.split()}
    assert {"attrs", "cattrs", "websocket"} <= loaded
    extras = {"requests", "wsproto", "numpy", "azure", "openai", "hypothesis", "pytest", "certifi", "docstring_parser"}
    extras |= {"soxr", "soundfile", "sounddevice", "tqdm", "matplotlib"}
    assert loaded & extras == set()


def test_threads_of_callers_wait_and_start_only_by_what_ctrl_c_leaves_whole() -> None:
    """See ``interrupts.py``: an interrupt at the wrong bytecode of these would leave a lock taken for ever."""
    broken = re.compile(
        r"threading\.(Condition|Event|Barrier|Semaphore)\(|queue\.(Lifo|Priority)?Queue\b|thread\.start\(\)"
    )
    found = {
        path.relative_to(PACKAGE).as_posix()
        for path in sources()
        if room_of(path) not in ("server", "testing") and broken.search(path.read_text(encoding="utf-8"))
    }
    assert found == {"interrupts.py"}


# Blocks of a ``with`` that has no lock; they stand around a loop.
WITHOUT_LOCK = {"sought", "_file_chunks", "_chunks", "run"}


@pytest.mark.skipif(sys.version_info < (3, 12), reason="jumps back are compiled right")
def test_no_loop_leaves_a_lock_taken_at_its_jump_back() -> None:
    """See rule 4 of ``interrupts.py``."""
    found = {
        f"{path.relative_to(PACKAGE).as_posix()} {code.co_name}"
        for path in sources()
        if room_of(path) not in ("server", "testing", "cli")
        for code in _codes(compile(path.read_text(encoding="utf-8"), path.name, "exec"))
        if code.co_name not in WITHOUT_LOCK and _jumps_out_of_a_block(code)
    }
    assert found == set()


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _codes(constant)


def _jumps_out_of_a_block(code: types.CodeType) -> bool:
    """Whether a jump back to within the block of a ``with`` does not stand in that block itself."""
    instructions = list(dis.get_instructions(code))
    entries = dis.Bytecode(code).exception_entries  # type: ignore[attr-defined]
    enters = {
        first.offset
        for first, second in itertools.pairwise(instructions)
        if (first.opname, second.opname) == ("PUSH_EXC_INFO", "WITH_EXCEPT_START")
    }

    def handlers(offset: int) -> set[int]:
        """The handler of an exception at this place, that of one in the handler, and so on."""
        targets = [entry.target for entry in entries if entry.start <= offset < entry.end]
        return set() if not targets or targets[0] == offset else {targets[0]} | handlers(targets[0])

    jumps = (each for each in instructions if each.opname == "JUMP_BACKWARD")
    return any(enters & (handlers(jump.argval) - handlers(jump.offset)) for jump in jumps)

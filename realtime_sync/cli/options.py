"""What several commands ask and do: which service, what session, which files and tools, where to listen."""

from __future__ import annotations

import argparse
import importlib.util
import inspect
import itertools
import math
import os
import signal
import stat
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Callable, Optional
from urllib.parse import urlsplit

from realtime_sync.audio.wav import WAV_NAMES
from realtime_sync.budget import Budget
from realtime_sync.cli.terminal import cause, note
from realtime_sync.client import RealtimeConversationClient
from realtime_sync.endpoint.environment import DEFAULT_MODEL, from_environment
from realtime_sync.errors import AudioDeviceError, ConfigurationError, RealtimeSyncError, ReconnectFailedError
from realtime_sync.protocol.connection_updates import SessionDisconnectedUpdate, SessionReconnectedUpdate
from realtime_sync.protocol.options import ConversationSessionOptions
from realtime_sync.protocol.update_base import ConversationUpdate
from realtime_sync.recording.layout import is_recording
from realtime_sync.services import OpenAIClient
from realtime_sync.session import RealtimeConversationSession
from realtime_sync.tools import FunctionTool, function_tool

if TYPE_CHECKING:
    from realtime_sync.endpoint.endpoint import Endpoint
    from realtime_sync.server import RealtimeServer
    from realtime_sync.server.speech import Speech
    from realtime_sync.voice import Microphone, Speaker

Tools = list[FunctionTool[..., object]]

_AZURE_HOSTS = (".openai.azure.com", ".openai.azure.us", ".cognitiveservices.azure.com", ".services.ai.azure.com")
_MODEL = f"AZURE_OPENAI_DEPLOYMENT or OPENAI_REALTIME_MODEL, else {DEFAULT_MODEL}"
_KEY = "AZURE_OPENAI_API_KEY or OPENAI_API_KEY"
_ANY_SERVICE = ("AZURE_OPENAI_ENDPOINT", "OPENAI_API_KEY", "OPENAI_BASE_URL")


# The service ----------------------------------------------------------------------------------------------------------


def add_client_options(parser: argparse.ArgumentParser, *, model: str = _MODEL) -> None:
    """Add what ``client_from`` reads. ``model``: which it is without ``--model``, in words."""
    group = parser.add_argument_group("the service", "By default the one that the environment's variables name.")
    group.add_argument("--local", action="store_true", help="a server in this process answers: no key, no network")
    group.add_argument("--model", metavar="NAME", help=f"the model; on Azure, the deployment (default: {model})")
    group.add_argument("--endpoint", metavar="URL", help="the base URL, such as https://RESOURCE.openai.azure.com")
    group.add_argument("--azure", action="store_true", help="--endpoint is Azure OpenAI under another host name")
    group.add_argument("--api-version", metavar="VERSION", help="of Azure: v1, or such as 2025-04-01-preview")
    group.add_argument("--key-env", metavar="NAME", help=f"the variable that holds the key (default: {_KEY})")


@contextmanager
def client_from(arguments: argparse.Namespace, *, speech: bool = False) -> Iterator[RealtimeConversationClient]:
    """The client that arguments and environment name, closed in the end; for ``--local`` one of the embedded server.

    ``speech``: the command needs ears or a voice, so with ``--local`` the models are loaded if the extra ``voice`` is
    installed; without them, only the sample recordings are known. Raises ``ConfigurationError``.
    """
    with ExitStack() as stack:
        if arguments.local:
            endpoint, model = stack.enter_context(_local(speech)), arguments.model or DEFAULT_MODEL
        else:
            endpoint, model = endpoint_from(arguments)
        yield stack.enter_context(RealtimeConversationClient(model, endpoint))


def endpoint_from(arguments: argparse.Namespace) -> tuple[Endpoint, str]:
    """The endpoint and the model (Azure: the deployment) that arguments and environment name; ignores ``--local``.

    Raises ``ConfigurationError``.
    """
    environ = dict(os.environ)
    if arguments.model:
        environ["OPENAI_REALTIME_MODEL"] = environ["AZURE_OPENAI_DEPLOYMENT"] = arguments.model
    if arguments.api_version:
        environ["AZURE_OPENAI_API_VERSION"] = arguments.api_version
    if arguments.endpoint:
        azure = arguments.azure or _is_azure(arguments.endpoint)
        environ["AZURE_OPENAI_ENDPOINT"] = arguments.endpoint if azure else ""
        environ["OPENAI_BASE_URL"] = "" if azure else arguments.endpoint
        if azure:
            environ["OPENAI_API_KEY"] = ""  # else a missing Azure key would lead to OpenAI
    elif arguments.azure:
        raise ConfigurationError("--azure describes --endpoint, which is missing: give both.")
    if arguments.key_env:
        key = os.environ.get(arguments.key_env, "").strip()
        if not key:
            raise ConfigurationError(f"--key-env {arguments.key_env}: this variable is not set, or empty.")
        environ["OPENAI_API_KEY"] = environ["AZURE_OPENAI_API_KEY"] = key
        environ["AZURE_OPENAI_USE_ENTRA"] = ""
    if not any(environ.get(name, "").strip() for name in _ANY_SERVICE):
        raise ConfigurationError(
            "no key: set OPENAI_API_KEY, or AZURE_OPENAI_ENDPOINT with AZURE_OPENAI_API_KEY and "
            "AZURE_OPENAI_DEPLOYMENT. With --local no key is needed."
        )
    return from_environment(environ)


def embedded_server() -> type[RealtimeServer]:
    """The class of the embedded server. Raises ``ConfigurationError`` without the packages that it needs."""
    try:
        from realtime_sync.server import RealtimeServer
    except ImportError as error:  # its message says what to install
        raise ConfigurationError(str(error)) from error.__cause__
    return RealtimeServer


@contextmanager
def _local(speech: bool) -> Iterator[Endpoint]:
    server_class = embedded_server()
    from realtime_sync.server.speech import recorded_speech

    ears = _ears() if speech else recorded_speech()
    if not speech:
        note("the embedded server answers: it follows some rules and has no model")
    with server_class(speech=ears, record=False) as server:
        yield OpenAIClient("any-key", endpoint=server.url).endpoint


def _ears() -> Speech:
    """What the embedded server hears and speaks with, which is told."""
    from realtime_sync.server.speech import available_speech, is_voice_installed

    if not is_voice_installed():
        speech = available_speech()
        note(f"the embedded server answers, by rules. {speech.limits}")
        return speech
    note("the embedded server answers, by rules; loading the models with which it hears and speaks")
    begun = time.monotonic()
    speech = available_speech()
    note(speech.limits or f"loaded in {time.monotonic() - begun:.1f} s")
    return speech


def _is_azure(url: str) -> bool:
    try:
        return (urlsplit(url).hostname or "").endswith(_AZURE_HOSTS)
    except ValueError:  # it is no URL at all, which is reported when it is used
        return False


# The session ----------------------------------------------------------------------------------------------------------


def add_session_options(parser: argparse.ArgumentParser, *, record: bool = True, model: bool = True) -> None:
    """Add what ``client_from``, ``check_files`` and ``open_session`` read, and, if ``model``, how the model acts."""
    group = parser.add_argument_group("the session")
    if record:
        group.add_argument("--record", metavar="FILE.jsonl", help="keep the session, for `timeline` and `replay`")
    group.add_argument("--overwrite", action="store_true", help="write over an earlier recording")
    dollars = number("amount of US dollars", 0, 1_000_000)
    group.add_argument("--budget", type=dollars, metavar="USD", help="end the session once it has cost so much")
    if model:
        group.add_argument("--instructions", metavar="TEXT", help="what the model is, and how it shall answer")
        functions = "the model may call the functions of this file: those with @function_tool, else all public ones"
        group.add_argument("--tools", action="append", default=[], metavar="FILE.py", help=functions)
    add_client_options(parser)


def given(**settings: Any) -> dict[str, Any]:
    """Those of these that are not None: a setting that is not sent is the service's."""
    return {name: value for name, value in settings.items() if value is not None}


@contextmanager
def open_session(
    client: RealtimeConversationClient, arguments: argparse.Namespace, options: ConversationSessionOptions
) -> Iterator[RealtimeConversationSession]:
    """A session that survives the loss of its connection, which notes report, with ``--budget`` and ``--record``."""
    budget = None if arguments.budget is None else Budget(arguments.budget)
    with (
        ThreadPoolExecutor(1, "realtime-sync-notes") as pool,
        client.start_conversation_session(
            options, reconnect=True, recording=arguments.record, budget=budget
        ) as session,
    ):
        pool.submit(note_losses, session.subscribe())  # ends with the session
        yield session


def begin_talk(arguments: argparse.Namespace, microphone: Microphone, speaker: Speaker) -> None:
    """Tell which devices hear and speak, if they are no files; from now on SIGTERM ends as Ctrl-C does."""
    if not arguments.input:
        note(f"{microphone.name} hears, {speaker.name} speaks; Ctrl-C ends")
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that the files are completed


def note_losses(updates: Iterable[ConversationUpdate], tell: Callable[[str], object] = note) -> None:
    """Report each loss of the connection, and what becomes of it; returns at the session's end."""
    try:
        for update in updates:
            if isinstance(update, SessionDisconnectedUpdate):
                reason = str(update.reason).partition(". ")[0]  # the rest is advice for a session that has ended
                tell(f"connection lost ({reason}); trying again for up to {update.give_up_after:.0f} s; Ctrl-C stops")
            elif isinstance(update, SessionReconnectedUpdate):
                losses = f"; lost: {'; '.join(update.losses)}" if update.losses else ""
                tell(f"the connection is there again after {update.seconds:.1f} s{losses}")
    except ReconnectFailedError:
        tell("connection lost for good")
    except RealtimeSyncError:  # the command itself reports how the session ended
        pass


# Files ----------------------------------------------------------------------------------------------------------------


def check_files(arguments: argparse.Namespace, *, read: Sequence[str] = (), written: Optional[str] = None) -> None:
    """Look at the files of a command before one is opened, that of ``--record`` included.

    Raises ``ConfigurationError`` if ``--record`` names what is no recording, or an earlier one without ``--overwrite``,
    and as ``check_apart``; ``OSError``.
    """
    record = arguments.record
    check_named("the recording", record)
    check_apart(read, [path for path in (written, record) if path])
    if not record or not os.path.isfile(record) or os.path.getsize(record) == 0:  # a new one, a pipe, nothing to lose
        return
    if not is_recording(record):
        raise ConfigurationError(f"{record} is there already, and is no recording: give a name such as talk.jsonl.")
    if not arguments.overwrite:
        raise ConfigurationError(f"{record} holds an earlier recording: give another name, or --overwrite.")


def check_named(what: str, path: Optional[str]) -> None:
    """Raise ``ConfigurationError`` for ``-``, if the standard output has what the command prints."""
    if path == "-":
        raise ConfigurationError(f"{what} cannot go to -, the standard output: give the name of a file.")


def check_writable(path: str) -> None:
    """Raise OSError if a file cannot be written. A command asks first: later, there is a session to be paid for."""
    new = not os.path.exists(path)
    if not stat.S_ISFIFO(0 if new else os.stat(path).st_mode):  # whose reader would take this for its end
        open(path, "ab").close()
    if new:
        os.unlink(path)  # there may be no session after all


def check_apart(read: Sequence[str], written: Sequence[str]) -> None:
    """Raise ``ConfigurationError`` if a file would be written and is another of these, by whatever name."""
    for path, other in [*itertools.product(written, read), *itertools.combinations(written, 2)]:
        if is_same(path, other):
            names = path if path == other else f"{path} and {other}"
            raise ConfigurationError(f"{names}: one file for two purposes, which would destroy it. Give another name.")


def is_same(path: str, other: str) -> bool:
    """True if both are one file, by whatever name, or will be."""
    try:
        return os.path.samefile(path, other) and os.path.isfile(path)  # two ways into /dev/null do no harm
    except OSError:  # one of them does not exist yet
        return os.path.realpath(path) == os.path.realpath(other)


def check_wav_name(option: str, path: Optional[str]) -> None:
    """Raise ``ConfigurationError`` if an option would write WAV under the name of another kind, or to ``-``."""
    check_named(option, path)
    if path and Path(path).suffix.lower() not in ("", *WAV_NAMES):
        raise ConfigurationError(f"{path}: {option} writes WAV: give it a name such as answer.wav.")


@contextmanager
def suggesting(files: str) -> Iterator[None]:
    """Open a sound device in this block: the error says which ``files`` can stand in its place."""
    try:
        yield
    except (ConfigurationError, AudioDeviceError) as error:
        raise type(error)(f"{str(error).rstrip('.')}; or {files}") from error.__cause__


def load_tools(paths: list[str]) -> Tools:
    """The tools of these files: what ``@function_tool`` made or, in a file without it, each public function.

    The files are run as any module is. Raises ``ConfigurationError`` if one cannot be run, or has no tool.
    """
    return [tool for path in paths for tool in _tools_of(_module(Path(path)))]


def _tools_of(module: ModuleType) -> Tools:
    values = vars(module)
    made = [value for value in values.values() if isinstance(value, FunctionTool)]
    public = [
        function_tool(value)
        for name, value in values.items()
        if not made and inspect.isfunction(value) and value.__module__ == module.__name__ and not name.startswith("_")
    ]
    if not made and not public:
        raise ConfigurationError(
            f"{module.__file__} has no tool: write a function with type hints, and @function_tool above it."
        )
    return list(dict.fromkeys(made)) or public


def _module(path: Path) -> ModuleType:
    try:
        path.open("rb").close()  # says what is wrong with the path better than the import does
    except OSError as error:
        raise ConfigurationError(f"--tools {path}: {cause(error)}") from error
    name = f"realtime_sync_tools_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ConfigurationError(f"{path} is no Python file: --tools takes one, such as tools.py.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # type hints are looked up there
    sys.path.insert(0, str(path.resolve().parent))  # as `python file.py` does, for the modules beside it
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # the file's own
        raise ConfigurationError(f"{path} cannot be run: {type(error).__name__}: {error}") from error
    finally:
        sys.path.pop(0)
    return module


# Serving --------------------------------------------------------------------------------------------------------------


def add_listening_options(parser: argparse.ArgumentParser, port: int) -> None:
    """Add ``--host`` and ``--port``, whose default is ``port``."""
    port_number = whole_number("port", 0, 65535)
    parser.add_argument("--host", default="127.0.0.1", help="where to listen (default: %(default)s, this machine)")
    parser.add_argument("--port", type=port_number, default=port, help="0 takes a free one (default: %(default)s)")


def number(what: str, least: float, most: float) -> Callable[[str], float]:
    """For ``add_argument(type=...)``: a number in this range."""

    def parsed(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"{text!r} is no {what}: {least} to {most}")
        return value

    return parsed


def whole_number(what: str, least: int, most: int) -> Callable[[str], int]:
    """For ``add_argument(type=...)``: a whole number in this range."""

    def parsed(text: str) -> int:
        value = int(text) if text.isdecimal() else least - 1
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"{text!r} is no {what}: {least} to {most}")
        return value

    return parsed


@contextmanager
def listening(arguments: argparse.Namespace) -> Iterator[None]:
    """Make the server in this block: the ``OSError`` of an address that cannot be had says what to do."""
    try:
        yield
    except OSError as error:
        raise OSError(
            f"cannot listen on {arguments.host} port {arguments.port}: {cause(error)}. "
            "Try another --port or --host; --port 0 takes a free port."
        ) from error


def serve_until_stopped(announcement: str) -> None:
    """Print where the server is, and return after Ctrl-C or SIGTERM."""
    # Raised while the main thread sleeps: a handler that set an event could meet the lock of its own wait.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with suppress(KeyboardInterrupt):
        print(announcement, flush=True)
        while True:
            time.sleep(3600)

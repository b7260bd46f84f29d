"""What every example here begins with: a client as the environment tells, else one for the embedded server."""

from __future__ import annotations

import argparse
import io
import logging
import os
import shlex
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from realtime_sync import ConversationResponse, OpenAIClient, RealtimeConversationClient, RealtimeSyncError
from realtime_sync.audio import PCM, audio_chunks

if TYPE_CHECKING:
    from realtime_sync.server import RealtimeServer


@contextmanager
def demo_client(*, speech: bool = False) -> Iterator[RealtimeConversationClient]:
    """``from_env()``, or without a key the embedded server in this process, which is closed in the end.

    ``speech``: the example speaks with it, so it shall hear and speak as well as this installation can. What goes wrong
    in the ``with`` block ends the process as ``ends_without_traceback`` tells.
    """
    with ends_without_traceback():
        if environment_tells_something():
            with RealtimeConversationClient.from_env() as client:
                yield client
            return
        with embedded_server(speech=speech) as server:
            yield OpenAIClient("any-key", endpoint=server.url).get_realtime_conversation_client("gpt-realtime-2.1")


def embedded_server(*, speech: bool) -> RealtimeServer:
    """The server that answers without a key, as it says on the terminal."""
    from realtime_sync.server import RealtimeServer
    from realtime_sync.server.speech import available_speech, is_voice_installed, recorded_speech

    print("(No key in the environment, so the embedded server answers: by rules, it is no model.")
    heard = recorded_speech()
    if speech and is_voice_installed():
        print(" It hears and speaks with models on this machine, which load now: ", end="", flush=True)
        begun = time.monotonic()
        heard = available_speech()
        print(heard.limits or f"{time.monotonic() - begun:.1f} s.")
    elif speech:
        print(" It knows the three sample recordings by heart, with recorded answers. For real ears and a real voice:")
        print('   pip install -e ".[voice]"')
    print(" Set OPENAI_API_KEY, or AZURE_OPENAI_ENDPOINT and friends, to talk to a model.)\n", flush=True)
    return RealtimeServer(speech=heard)


@contextmanager
def ends_without_traceback() -> Iterator[None]:
    """An error becomes one line and exit code 1; Ctrl-C 130, an output that is not read any more (``| head``) 141."""
    if sys.stdin is None:  # the caller closed it (<&-): treated as if it were at its end
        sys.stdin = io.StringIO()
    logging.getLogger("azure").addHandler(logging.NullHandler())  # else it warns at length of what the one line tells
    try:
        yield
        print(end="", flush=True)  # here, so that a closed pipe is reported
    except RealtimeSyncError as error:
        from_azure_identity = type(error.__cause__).__module__.startswith("azure.")
        hint = " Signed in? az login" if from_azure_identity else ""
        raise SystemExit(f"{type(error).__name__}: {error}{hint}") from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else the interpreter's own flush fails, too
        raise SystemExit(141) from None


def environment_tells_something() -> bool:
    """True where a key or an endpoint is set, be it half of what is needed: a mistake is to be told, not hidden."""
    names = ("AZURE_OPENAI_ENDPOINT", "AZURE_OPENAI_API_KEY", "OPENAI_API_KEY", "OPENAI_BASE_URL")
    return any(os.environ.get(name, "").strip() for name in names)


def recording(name: str) -> Path:
    """An argument's type: a file that ``send_audio`` takes. Begun to be read now, before a session costs money."""
    try:
        with closing(audio_chunks(name, PCM, PCM.bytes_for(0.1))) as chunks:
            next(chunks)
    except (OSError, RealtimeSyncError) as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return Path(name)


def writable(name: str) -> Path:
    """An argument's type: a file that can be written. What it holds stays, and none is left where there was none."""
    path = Path(name)
    is_new = not path.exists()
    try:
        path.open("ab").close()
        if is_new:
            path.unlink()
    except OSError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return path


def how_to_play(path: Path) -> str:
    """What plays a WAV file on this machine: a command, else where a browser finds it."""
    if os.name == "nt":
        return f'start "" "{path}"'
    players = ("afplay", "pw-play", "paplay", "aplay", "ffplay -nodisp -autoexit", "mpv", "play")
    found = next((player for player in players if shutil.which(player.split()[0])), None)
    return f"{found} {shlex.quote(str(path))}" if found else f"open {path.resolve().as_uri()} in a browser"


def print_failure(response: ConversationResponse) -> None:
    """Say why a response is not complete (a quota that is used up, a filter, a limit); nothing if it is."""
    if response.status != "completed":
        print(f"[the response is {response.status}: {response.status_details}]")

"""Transcribe recordings on a Dask cluster: a local one of two processes, or yours by its scheduler's address.

    .venv/bin/pip install -e ".[audio,voice]" "dask[distributed]"
    .venv/bin/python examples/transcribe_cluster.py [recording.wav ...] [-o texts] [--scheduler tcp://scheduler:8786]

The workers read the files by their paths and make their own clients, so no key travels: each needs the environment's
variables. Started again, it goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import functools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Callable

from dask.distributed import Client, LocalCluster
from demo_client import embedded_server, environment_tells_something

from realtime_sync import OpenAIClient, RealtimeConversationClient, transcribe_files

AUDIO = Path(__file__).parent / "audio"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("files", nargs="*", type=Path, default=sorted(AUDIO.glob("*.wav")))
    parser.add_argument("-o", "--output", default="texts")
    parser.add_argument("--scheduler", help="the cluster's; by default a local one is started")
    arguments = parser.parse_args()
    with cluster(arguments.scheduler) as dask, client_maker() as make_client:
        results = transcribe_files(
            arguments.files,
            make_client,
            executor=dask.get_executor(),
            output=arguments.output,
            format="txt",
            on_done=lambda result: print(f"{'done  ' if result.ok else 'failed'} {Path(result.path).name}"),
        )
    for result in results:
        print(f"{Path(result.path).name}: {result.error or result.output}")


@contextmanager
def cluster(scheduler: str | None) -> Iterator[Client]:
    if scheduler is not None:
        with Client(scheduler) as dask:
            yield dask
        return
    with LocalCluster(n_workers=2, threads_per_worker=2, dashboard_address=None) as local, Client(local) as dask:
        yield dask


@contextmanager
def client_maker() -> Iterator[Callable[[], RealtimeConversationClient]]:
    """What a worker makes its client with: as its environment tells; without a key, one of a server in this process."""
    if environment_tells_something():
        RealtimeConversationClient.from_env()  # a mistake is told here, and not by each worker
        yield RealtimeConversationClient.from_env
        return

    with embedded_server(speech=True) as server:
        yield functools.partial(client_of, server.url)


def client_of(url: str) -> RealtimeConversationClient:
    return OpenAIClient("any-key", endpoint=url).get_realtime_conversation_client()


if __name__ == "__main__":
    main()

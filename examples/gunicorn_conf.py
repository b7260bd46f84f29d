"""How gunicorn serves the web examples: a thread for each stream, and restarts that hang up politely."""

from __future__ import annotations

import _thread
import signal
from types import FrameType
from typing import Any, Optional

from web_service import made_service

worker_class = "gthread"
workers = 1
# Each stream of events and each conversation has a thread for as long as it lasts.
threads = 40
# What texts are given to be finished at a restart (Service.shut_down), and some seconds to say goodbye.
graceful_timeout = 20


def post_worker_init(worker: Any) -> None:
    """Have SIGTERM (a restart, a reload, a stop) end what would keep the worker: gunicorn has no hook for it."""
    inner = signal.getsignal(signal.SIGTERM)

    def end(number: int, frame: Optional[FrameType]) -> None:
        service = made_service()
        if service is not None:
            # Not Thread.start(), which waits: no signal handler may, and under gevent it would be the event loop's end.
            _thread.start_new_thread(service.shut_down, ())
        if callable(inner):
            inner(number, frame)

    signal.signal(signal.SIGTERM, end)


def worker_exit(server: Any, worker: Any) -> None:
    """What is left."""
    service = made_service()
    if service is not None:
        service.close()

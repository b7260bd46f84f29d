"""Celery: a question in the queue, its answer as the result.

    .venv/bin/pip install -e ".[server]" "celery[redis]"
    cd examples
    CELERY_BROKER_URL=redis://localhost ../.venv/bin/celery -A flask_app.tasks worker

Celery forks its workers, so a session is opened inside the task: one that was opened before the fork belongs to the
parent, and fails at once with ``ForkedSessionError``.
"""

from __future__ import annotations

import os

from celery import Celery
from celery.signals import worker_process_shutdown
from web_service import made_service, service

from realtime_sync import RateLimitedError, ServiceUnavailableError

app = Celery("tasks", broker=os.environ.get("CELERY_BROKER_URL", "memory://"))
app.conf.update(
    result_backend=os.environ.get("CELERY_RESULT_BACKEND", "cache+memory://"),
    broker_connection_retry_on_startup=True,
    task_time_limit=150,
)


def answer_question(question: str) -> str:
    """The model's answer."""
    with service().texts.hold(service().open_text_session) as session:
        return str(session.ask(question, timeout=120))


# Busy services are asked again later; what is wrong with a question, or with a key, stays wrong.
ask = app.task(
    answer_question,
    name="ask",
    autoretry_for=(RateLimitedError, ServiceUnavailableError),
    retry_backoff=True,
    max_retries=3,
)


def close_service(**_: object) -> None:
    made = made_service()
    if made is not None:
        made.close()


worker_process_shutdown.connect(close_service)

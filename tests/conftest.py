"""What all tests share: an environment without settings of this machine's, and one certificate authority."""

from __future__ import annotations

import gc
import os
import signal
import sys

import hypothesis
import pytest
import trustme

# A busy machine draws and runs slowly; that is no defect.
hypothesis.settings.register_profile("house", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("house")

# A shell's background jobs are born deaf to Ctrl-C, and so would be all that the tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Or every interpreter that the tests start compiles everything again, and every worker rewrites every test.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

_SETTINGS = ("OPENAI_", "AZURE_OPENAI_", "NO_COLOR", "FORCE_COLOR", "CLICOLOR")


def pytest_collection_finish() -> None:
    """Keep the thousands of collected tests out of every garbage collection that follows."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor do the processes that a test starts inherit such settings."""
    for name in list(os.environ):
        if name.startswith(_SETTINGS) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def ca() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def no_audio_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where the extra ``audio`` is not installed."""
    for package in ("numpy", "soxr", "soundfile"):
        monkeypatch.setitem(sys.modules, package, None)

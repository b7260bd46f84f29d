"""Packages and model files of the extra ``voice``: found, or told how to get; checked; loaded once a process."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import importlib.util
import threading
from pathlib import Path
from typing import Any, Callable, Generic, Iterator, Mapping, Optional, TypeVar, Union

from realtime_sync.errors import ConfigurationError, WaitTimeoutError
from realtime_sync.server.speech.native import native_code

T = TypeVar("T")
_INSTALL = "pip install 'realtime-sync[voice]'"


def is_installed(package: str) -> bool:
    """Whether a package is there; it is not imported."""
    return importlib.util.find_spec(package) is not None


def require(what: str, *packages: str) -> None:
    """Check that packages are there. Raises ``ConfigurationError`` that says what for, and how to get them."""
    missing = [package for package in packages if not is_installed(package)]
    if missing:
        raise ConfigurationError(f"{what} needs {', '.join(missing)}, not installed here: {_INSTALL}")


def folder_of(package: str) -> Path:
    """Where an installed package is; it is not imported."""
    spec = importlib.util.find_spec(package)
    assert spec is not None
    assert spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0])


def path_of(model: Union[str, Path, None], what: str) -> Optional[Path]:
    """The path of a model that is named; None for None. Raises ``ConfigurationError`` if there is nothing."""
    if model is None:
        return None
    path = Path(model)
    if not path.exists():
        raise ConfigurationError(f"{what} finds no model at {path}: give the path of one, or None for its own")
    return path


def need(package: str, what: str) -> Any:
    """The module of an optional package. Raises ``ConfigurationError`` if it cannot be imported."""
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise ConfigurationError(f"{what} cannot use the package {package} ({error}): {_INSTALL}") from error


def check(folder: Path, known: Mapping[str, str]) -> Path:
    """The folder, whose files must have the sha256 sums that this library was tested with.

    A model is data that steers a native library, and these come from packages of single maintainers. It costs 60 ms for
    80 MB, once a process. Raises ``ConfigurationError``.
    """
    for name, expected in known.items():
        path = folder / name
        if not path.is_file():
            raise ConfigurationError(f"the model file {path} is missing: {_INSTALL} --force-reinstall")
        with path.open("rb") as file:
            digest = hashlib.sha256()
            while block := file.read(1 << 20):
                digest.update(block)
        if digest.hexdigest() != expected:
            raise ConfigurationError(
                f"{path} is not the model that this version was tested with (its sha256 is {digest.hexdigest()}): "
                f"{_INSTALL} --force-reinstall, or give the path as model= to use it as it is"
            )
    return folder


class Turns:
    """Lets one use of a model be made at a time, in the order of their coming."""

    def __init__(self) -> None:
        self._turn = threading.Semaphore()

    @contextlib.contextmanager
    def wait(self, timeout: float, what: str) -> Iterator[None]:
        """Have the turn within the block. Raises ``WaitTimeoutError`` that says what has waited."""
        if not self._turn.acquire(timeout=timeout):
            raise WaitTimeoutError(f"{what}: this machine cannot serve so many sessions at once.")
        try:
            yield
        finally:
            self._turn.release()


class Shared(Generic[T]):
    """Models that all servers of this process share: one for each path, loaded when it is first asked for."""

    def __init__(self, load: Callable[[Optional[Path]], T]) -> None:
        self._load = load
        # Guards the models, also while one is read from disk: a thread that needs it meanwhile must wait for it anyway.
        self._lock = threading.Lock()
        self._models: dict[Optional[Path], T] = {}

    def get(self, path: Optional[Path]) -> T:
        """The model at this path; None: the one that an installed package carries."""
        model = self._models.get(path)
        if model is None:
            with self._lock:
                model = self._models.get(path)
                if model is None:
                    with native_code():
                        model = self._models[path] = self._load(path)
        return model

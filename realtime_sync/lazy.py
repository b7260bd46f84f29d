"""Names of a package whose modules are imported when they are first asked for (PEP 562).

What each session needs is imported at once; all the rest would make ``import realtime_sync`` half as long again. Such a
package imports its names under ``if TYPE_CHECKING``, for checkers and editors, and has them in a table beside it;
``tests/test_lazy.py`` compares the two.

Whoever asks for such a name imports it, on their own thread. The reader of a session, and what closes one, ask for
none: they must not wait for an import that another thread has begun.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping


def names_in(table: Mapping[str, str]) -> list[str]:
    """All names of a table."""
    return " ".join(table.values()).split()


def lazily(package: str, table: Mapping[str, str]) -> Callable[[str], object]:
    """A package's ``__getattr__``. ``table`` has its modules, and the names that each gives out, parted by blanks."""
    homes = {name: f"{package}.{module}" for module, names in table.items() for name in names.split()}
    rooms = {module.partition(".")[0] for module in table}

    def imported(name: str) -> object:
        if name in homes:
            value = getattr(importlib.import_module(homes[name]), name)
            setattr(sys.modules[package], name, value)  # so that it is asked for once
            return value
        if name in rooms:
            return importlib.import_module(f"{package}.{name}")
        raise AttributeError(f"module {package!r} has no attribute {name!r}", name=name, obj=sys.modules[package])

    return imported

"""Names of a package whose modules are imported when they are first asked for (PEP 562).

``import realtime_sync`` imports nothing else of ours: pytest, which loads our plugin in each run, does not pay for
sessions, and who opens a session does not pay for transcribing. A package has its imports under ``if TYPE_CHECKING``,
for checkers and editors, and as a table beside it; ``tests/test_lazy.py`` compares the two.

Several threads may ask at once. CPython raises an error in one of them if two imports wait for each other. So our
modules import each other in no circle; and because a module's import begins with that of its package, a package imports
none of its own modules (but for ``cli``, ``server`` and ``timeline``, none of whose names are asked for like this).

Whoever asks for such a name imports it, on their own thread. The reader of a session, and what closes one, ask for
none: they must not wait for an import that another thread has begun. Ctrl-C in an import, in any, is CPython's: at 4 %
of the places in it the lock of that module stays taken, so that this thread can import it, and others wait for ever. So
what sessions are asked for most is imported with the client, before there is one. A fork while another thread imports
is CPython's, too: the child waits for ever if it imports the same module.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping, Sequence


def lazily(
    package: str, table: Mapping[str, str], whole: Sequence[str] = ()
) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """A package's ``__getattr__``, which gives its modules, too, and its ``__all__`` if it has none, and ``__dir__``.

    Args:
        package: Its name.
        table: Its modules, and the names that each gives out, parted by blanks. A module of another package of ours
            is named as a whole.
        whole: Modules that give out all names of their ``__all__``; those are not listed twice.
    """
    ours = package.partition(".")[0]
    homes = {
        name: module if module.startswith(f"{ours}.") else f"{package}.{module}"
        for module, names in table.items()
        for name in names.split()
    }
    rooms = {module.partition(".")[0] for module in (*table, *whole)} - {ours}

    def imported(name: str) -> object:
        if name in homes:
            return kept(name, getattr(importlib.import_module(homes[name]), name))
        if name in rooms:
            return importlib.import_module(f"{package}.{name}")
        if name == "__all__" or not name.startswith("_"):
            all_names = list(homes)
            for module in whole:
                home = importlib.import_module(f"{package}.{module}")
                if name in home.__all__:
                    return kept(name, getattr(home, name))
                all_names += home.__all__
            if name == "__all__":
                return kept(name, all_names)
        raise AttributeError(f"module {package!r} has no attribute {name!r}", name=name, obj=sys.modules.get(package))

    def kept(name: str, value: object) -> object:
        """The value, which will not be asked for again."""
        setattr(sys.modules[package], name, value)
        return value

    def listed() -> list[str]:
        """The public names alone, also those that nobody has asked for: ``help()`` and completion ask here."""
        module = sys.modules[package]
        return sorted({*module.__all__, *(name for name in vars(module) if name.startswith("__"))})

    return imported, listed

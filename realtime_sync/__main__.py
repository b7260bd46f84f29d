"""``python -m realtime_sync``: the command line, see ``realtime_sync.cli``."""

from __future__ import annotations

import sys

from realtime_sync.cli import main

if __name__ == "__main__":
    sys.exit(main())

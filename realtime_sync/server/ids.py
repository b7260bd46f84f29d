"""Identifiers in the service's form: a prefix and 21 letters and digits."""

from __future__ import annotations

import random
import string

_ALPHABET = string.ascii_letters + string.digits


def new_id(prefix: str, length: int = 21) -> str:
    """For example ``item_E6U0xpLmn5e80rVGpEeKv``."""
    return prefix + "_" + "".join(random.choices(_ALPHABET, k=length))

"""When a service counts as down, and when it is tried again."""

from __future__ import annotations

import attrs

import realtime_sync.errors as errors
from realtime_sync.advice import NamedFields
from realtime_sync.checks import check_number, check_whole, validated_by

_seconds = validated_by(check_number, "seconds", above=0)


@attrs.frozen(kw_only=True)
class FallbackSettings(metaclass=NamedFields):
    """When a service counts as down, and when it is tried again.

    Attributes:
        failures: How many attempts in a row (default: 3) must fail, so that a service is left alone. What lasts until
            somebody acts (a bad key, an unknown model, an empty account, a bad certificate), and a service that asks
            for patience (``Retry-After``), is left alone at once.
        within: Seconds (default: 60.0) within which they must fail.
        grace: Seconds (default: 30.0) for which a service is left alone, or as long as it asked for. Then one attempt
            is made; if that fails, the time doubles.
        max_grace: The most seconds (default: 300.0) for which a service is left alone.
    """

    failures: int = attrs.field(default=3, validator=validated_by(check_whole, at_least=1))
    within: float = attrs.field(default=60.0, validator=_seconds)
    grace: float = attrs.field(default=30.0, validator=_seconds)
    max_grace: float = attrs.field(default=300.0, validator=_seconds)

    def __attrs_post_init__(self) -> None:
        """Refuse settings that contradict each other."""
        if self.max_grace < self.grace:
            raise errors.ConfigurationError("FallbackSettings.max_grace must not be less than grace")

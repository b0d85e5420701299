"""How often something has failed in a row, and how long to wait before it is tried again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from canary_tui.diagnosis.causes.retries import Retry
from canary_tui.monitor.backoff import delay

if TYPE_CHECKING:
    from collections.abc import Callable


class Attempts:
    """Counts attempts that failed; each kind of failure by itself. ``chance`` gives random numbers."""

    def __init__(self, chance: Callable[[], float]) -> None:
        self.kind = Retry.NETWORK
        """How the last failure is met."""
        self._count = 0
        self._chance = chance

    def next_delay(self, kind: Retry) -> float:
        """Count one more failure of this kind; return the seconds to wait."""
        self._count = self._count + 1 if kind is self.kind else 1
        self.kind = kind
        return delay(kind, self._count, self._chance())

    def forget(self, kind: Retry | None = None) -> None:
        """Begin to count anew; ``kind``: how a failure is met that is not tried again by itself."""
        self._count = 0
        self.kind = kind or self.kind

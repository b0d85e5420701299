"""The matrix of failures: what a case of it is.

Each ``test_failures_*.py`` keeps its cases in a module-level tuple ``CASES``; ``test_failures_complete.py``
finds them all there and holds them against the contract's causes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from canary_tui.diagnosis.stages import Cause, Stage


@dataclass(frozen=True)
class Case:
    """One way into one cause.

    ``run`` provokes the failure, sees it named with ``cause`` and ``stage``, applies the remedy where a
    program can, and sees the probe turn green.
    """

    name: str
    cause: Cause
    stage: Stage
    run: Callable[..., Awaitable[None]]

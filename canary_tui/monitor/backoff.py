"""How long is waited before the next attempt. Which wait a failure gets is said in its cause's row."""

from __future__ import annotations

from typing import TYPE_CHECKING

from canary_tui.diagnosis.causes import ROWS
from canary_tui.diagnosis.causes.retries import Retry

if TYPE_CHECKING:
    from canary_tui.diagnosis.stages import Cause
    from canary_tui.servers.model import Engine

SPANS = {Retry.NETWORK: (0.5, 30.0), Retry.REFUSED: (60.0, 900.0), Retry.BROKEN_OFF: (5.0, 900.0)}
"""First and longest wait, in seconds."""


def retry_of_probe(cause: Cause, engine: Engine | None = None) -> Retry | None:
    """Say how a probe's failure is met; None: the next probe comes when it is due.

    MySQL counts handshakes that are broken off in a row, and at 100 (``max_connect_errors``) it blocks
    everybody behind the jumpbox: a slow database, probed every ten seconds, within 17 minutes.
    """
    retry = ROWS[cause].retry.probe
    if retry is Retry.BROKEN_OFF and not (engine is not None and engine.facts.counts_broken_handshakes):
        return None
    return retry


def delay(retry: Retry, attempt: int, chance: float) -> float:
    """Return the seconds to wait before attempt ``attempt`` (1, 2, …) after the first failed.

    Network trouble gets full jitter (a random part of an exponential span), so that the servers
    behind one jumpbox do not come back all at once; a refusal waits its span at
    least, and up to a quarter more.
    ``chance`` is a random number in [0, 1).
    """
    first, longest = SPANS[retry]
    span = min(longest, first * 2.0 ** min(attempt - 1, 30))
    if retry is Retry.NETWORK:
        return max(0.1, span * chance)
    return min(longest, span * (1 + chance / 4))

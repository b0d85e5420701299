"""Users who connect to a local end that is not theirs: told in one line in ten seconds, however many come."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from canary_tui.tunnels.peer import name_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from canary_tui.tunnels.peer import Peer

PERIOD_SECONDS = 10.0
NAMED = 3
"""Users that one line names; a user may have 65,536 uids (subuid(5))."""


class Strangers:
    """Tells the first one at once, then the number of those that came in each ten seconds.

    ``tell`` takes the line. A name is looked up once a line: it may have to come from a directory server.
    """

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._period: asyncio.TimerHandle | None = None
        self._counts: dict[int | None, int] = {}
        self._total = 0

    def came(self, peer: Peer) -> None:
        """Count one who was turned away."""
        if self._period is None:
            self._tell(peer.words)
            self._begin()
            return
        self._total += 1
        if peer.uid in self._counts or len(self._counts) < NAMED:
            self._counts[peer.uid] = self._counts.get(peer.uid, 0) + 1

    def close(self) -> None:
        """Tell what was not told yet. Idempotent."""
        if self._period is not None:
            self._period.cancel()
            self._period = None
        if self._total:
            self._tell(self._summary())
            self._counts, self._total = {}, 0

    def _begin(self) -> None:
        self._period = asyncio.get_running_loop().call_later(PERIOD_SECONDS, self._period_over)

    def _period_over(self) -> None:
        came = self._total
        self.close()
        if came:
            self._begin()

    def _summary(self) -> str:
        who = [f"{_user(uid)}: {count:,}" for uid, count in self._counts.items()]
        more = self._total - sum(self._counts.values())
        who += [f"others: {more:,}"] if more else []
        clients = "client" if self._total == 1 else "clients"
        return f"{self._total:,} more {clients} of other users ({', '.join(who)})"


def _user(uid: int | None) -> str:
    return "gone before they could be looked at" if uid is None else f"{name_of(uid)}, uid {uid}"

"""The board of a copy that does not monitor: made from the servers file and the other's history."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from canary_tui.diagnosis.printable import system_words
from canary_tui.diagnosis.stages import Cause
from canary_tui.monitor.board import Board, Health
from canary_tui.monitor.events import (
    FileRejected,
    FleetLoaded,
    PasswordWanted,
    ProbeFinished,
    TunnelChanged,
)
from canary_tui.monitor.history.reader import HistoryUnreadable
from canary_tui.monitor.history.tables import history_file
from canary_tui.monitor.history.tail import Tail
from canary_tui.monitor.lock import moment
from canary_tui.servers.file import BadFile, ServersFile
from canary_tui.servers.fleet import Fleet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from canary_tui.monitor.board import LogLine
    from canary_tui.monitor.events import AnyEvent
    from canary_tui.monitor.history.tail import News
    from canary_tui.monitor.lock import Holder
    from canary_tui.paths import Paths

PATIENCE = 4
"""Looks in vain before it is said that the history cannot be read: the first one makes it a moment after
it has taken the lock."""
SILENT_SECONDS = 15.0
"""How long nothing may be written; once a server was probed its seconds are, every 5 s (``Recorder``)."""
FIRST_SILENT_SECONDS = 60.0
"""The same before that: a tunnel may take 15 s to open, and a password command 30 s."""
PROBED = frozenset({Health.UP, Health.SLOW, Health.DOWN})
STEP_SECONDS = 1.0
"""What the time between two looks counts at most: if it was more, this process stood still itself."""


class Follower:
    """Looks, a few times a second, at what the process that monitors writes, and folds it into a board.

    Reads from disk: all on one thread, and not one that must not wait. ``clock`` gives Unix time,
    ``steady`` seconds that never step.
    """

    def __init__(
        self,
        paths: Paths,
        clock: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self.board = Board()
        self.fleet = Fleet()
        """The servers file as it was last read and good."""
        self.snapshot = self.board.publish()
        """The board as it was published last; replaced, never changed."""
        self._clock = clock
        self._silence = _Silence(clock, steady)
        self._tail = Tail(history_file(paths), clock)
        self._file = ServersFile(paths.servers)
        self._seen: object = None
        self._holder: Holder | None = None
        self._known: set[str] = set()
        """The servers whose rows have in them what the history has."""
        self._tunnels: dict[str, TunnelChanged] = {}
        self._in_vain = 0

    def expect(self, holder: Holder, trouble: str = "") -> None:
        """Publish who monitors, before the first look. ``trouble`` is as for ``look``."""
        self.board.follow(holder, trouble)
        self.snapshot = self.board.publish()

    def look(self, holder: Holder, trouble: str = "") -> bool:
        """Take in what is new since the last look, and tell whether there is more.

        ``holder`` is who writes it; ``trouble`` says why nobody does, and nothing is known of the servers.
        """
        news = None
        if holder != self._holder:
            # What the one before wrote last is the present of nobody.
            self._holder = holder
            self._start_over()
            self._silence.broken()
        try:
            news = self._tail.news(holder.since)
            # After the history: a server of which something is written is in the file by then.
            self._read_file()
            for line in news.lines if news is not None else ():
                self.board.copy(line)
            trouble = trouble or self._silent(holder, written=news is not None)
            if not trouble:
                self._fold(news, holder.since)
            elif self._known:
                self._forget()
            self._in_vain = 0
        except HistoryUnreadable as error:
            self._read_file()
            self._unread(error, holder, trouble)
        else:
            self.board.follow(holder, trouble)
        if self.board.version != self.snapshot.version:
            self.snapshot = self.board.publish()
        return news is not None and news.more

    def end(self) -> None:
        """Close the history, and leave a board on which a monitor of our own can begin."""
        self._tail.close()
        self._forget()
        self.board.follow(None)

    def _start_over(self) -> None:
        self._forget()
        self._tail.look_again()

    def _forget(self) -> None:
        """Show nothing of the servers until it is read again, from its beginning."""
        self.board.start_over(self._clock())
        self._known = set()
        self._tunnels = {}

    def _silent(self, holder: Holder, *, written: bool) -> str:
        """Return in words that the other process writes nothing though it should; empty when it does."""
        watched = [row for row in self.snapshot.rows if row.server.enabled]
        if written or not watched:
            self._silence.broken()
        probed = any(row.health in PROBED for row in watched)
        since = self._silence.since(SILENT_SECONDS if probed else FIRST_SILENT_SECONDS)
        if since is None:
            return ""
        return f"{holder.who} has written nothing since {moment(since, self._clock(), '%H:%M:%S')}"

    def _unread(self, error: HistoryUnreadable, holder: Holder, trouble: str) -> None:
        self._in_vain += 1
        if self._in_vain < PATIENCE:
            return
        if self._in_vain == PATIENCE:
            self._start_over()
        self.board.follow(holder, trouble or system_words(error))

    def _read_file(self) -> None:
        signature = self._file.signature()
        if signature == self._seen:
            return
        self._seen, at = signature, self._clock()
        try:
            self.fleet = self._file.load().keeping(self.fleet)
        except BadFile as bad:
            self.board.apply(FileRejected(at=at, problems=tuple(map(str, bad.problems))))
            return
        self.board.apply(FleetLoaded(at=at, fleet=self.fleet))

    def _fold(self, news: News | None, since: float) -> None:
        names = {server.name for server in self.fleet.servers}
        new, self._known = names - self._known, set()
        before = [probe for name in new for probe in _probes(self._tail.recent(name, since))]
        events: list[AnyEvent] = []
        if news is not None:
            events += _probes(line for line in news.lines if line.server not in new)
        tunnels, was = news.tunnels if news is not None else self._tunnels, self._tunnels
        events += (event for name, event in tunnels.items() if name in new or event != was.get(name))
        self._tunnels = tunnels
        if new:
            self.board.start_over(self._clock(), new)
        for event in sorted(events + before, key=lambda event: event.at):
            self.board.recall(event)
        self._known = names


class _Silence:
    """How long nothing was written, in time in which this process looked."""

    def __init__(self, clock: Callable[[], float], steady: Callable[[], float]) -> None:
        self._clock = clock
        self._steady = steady
        self.broken()

    def broken(self) -> None:
        """Something was written, or nothing is to be expected."""
        self._at, self._looked = self._clock(), self._steady()
        self._seconds = 0.0
        self._over = False

    def since(self, limit: float) -> float | None:
        """Return since when (Unix time), once it was longer than ``limit`` seconds and until it is broken."""
        before, self._looked = self._looked, self._steady()
        self._seconds += min(self._looked - before, STEP_SECONDS)
        self._over = self._over or self._seconds > limit
        return self._at if self._over else None


def _probes(lines: Iterable[LogLine]) -> list[AnyEvent]:
    """Return what was heard of probes when their lines were written."""
    events: list[AnyEvent] = []
    for line in lines:
        if line.result is not None:
            events.append(ProbeFinished(at=line.at, result=line.result))
            failure = line.result.failure
            if failure is not None and failure.cause is Cause.PASSWORD_MISSING:
                events.append(PasswordWanted(at=line.at, server=line.server))
    return events

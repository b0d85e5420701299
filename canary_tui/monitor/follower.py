"""The board of a copy that does not monitor: made from the servers file and the other's history."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from canary_tui.diagnosis.stages import Cause
from canary_tui.monitor.board import Board
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
from canary_tui.servers.file import BadFile, ServersFile
from canary_tui.servers.model import Fleet

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


class Follower:
    """Looks, a few times a second, at what the process that monitors writes, and folds it into a board.

    Reads from disk: all on one thread, and not one that must not wait. ``clock`` gives Unix time.
    """

    def __init__(self, paths: Paths, clock: Callable[[], float] = time.time) -> None:
        self.board = Board()
        self.fleet = Fleet()
        """The servers file as it was last read and good."""
        self.snapshot = self.board.publish()
        """The board as it was published last; replaced, never changed."""
        self._clock = clock
        self._tail = Tail(history_file(paths), clock)
        self._file = ServersFile(paths.servers)
        self._seen: object = None
        self._holder: Holder | None = None
        self._known: set[str] = set()
        """The servers whose rows have in them what the history has."""
        self._tunnels: dict[str, TunnelChanged] = {}
        self._in_vain = 0

    def expect(self, holder: Holder) -> None:
        """Publish who monitors, before the first look."""
        self.board.follow(holder)
        self.snapshot = self.board.publish()

    def look(self, holder: Holder) -> bool:
        """Take in what is new since the last look, and tell whether there is more.

        ``holder`` is who writes it.
        """
        news = None
        if holder != self._holder:
            # What the one before wrote last is the present of nobody.
            self._holder = holder
            self._start_over()
        try:
            news = self._tail.news(holder.since)
            # After the history: a server of which something is written is in the file by then.
            self._read_file()
            self._fold(news, holder.since)
            self._in_vain = 0
        except HistoryUnreadable as error:
            self._read_file()
            self._unread(error, holder)
        else:
            self.board.follow(holder)
        if self.board.version != self.snapshot.version:
            self.snapshot = self.board.publish()
        return news is not None and news.more

    def end(self) -> None:
        """Close the history, and leave a board on which a monitor of our own can begin."""
        self._tail.close()
        self.board.start_over(self._clock())
        self.board.follow(None)

    def _start_over(self) -> None:
        self.board.start_over(self._clock())
        self._tail.look_again()
        self._known.clear()
        self._tunnels = {}

    def _unread(self, error: HistoryUnreadable, holder: Holder) -> None:
        self._in_vain += 1
        if self._in_vain < PATIENCE:
            return
        if self._in_vain == PATIENCE:
            self._start_over()
        self.board.follow(holder, f"{error.filename}: {error.strerror}")

    def _read_file(self) -> None:
        signature = self._file.signature()
        if signature == self._seen:
            return
        self._seen, at = signature, self._clock()
        try:
            self.fleet = self._file.load()
        except BadFile as bad:
            self.board.apply(FileRejected(at=at, problems=tuple(map(str, bad.problems))))
            return
        self.board.apply(FleetLoaded(at=at, fleet=self.fleet))

    def _fold(self, news: News | None, since: float) -> None:
        for line in news.lines if news is not None else ():
            self.board.copy(line)
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

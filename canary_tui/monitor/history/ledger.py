"""What the history makes of events before anything is written: seconds up and down, and incidents."""

from __future__ import annotations

from typing import TYPE_CHECKING

from canary_tui.monitor.events import FleetLoaded, IncidentChanged, ProbeFinished, Slept, TunnelChanged
from canary_tui.monitor.events import TunnelState as Tunnel
from canary_tui.monitor.incidents import IncidentTracker
from canary_tui.monitor.uptime import HOUR, Account, Totals, holds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from canary_tui.diagnosis.stages import ProbeResult
    from canary_tui.monitor.events import AnyEvent
    from canary_tui.monitor.incidents import Change, Incident
    from canary_tui.servers.model import Server


class Ledger:
    """Accounts of all servers and the incidents, in memory. ``emit`` is told what becomes of incidents."""

    def __init__(self, emit: Callable[[AnyEvent], None]) -> None:
        self._emit = emit
        self._servers: dict[str, Server] = {}
        self._accounts: dict[str, Account] = {}
        self._tracker = IncidentTracker()
        self.incidents: dict[int, Incident] = {}
        """Those that changed since ``incidents`` was last emptied."""
        self.touched: set[str] = set()
        """The servers whose seconds changed since ``touched`` was last emptied."""

    def feed(self, event: AnyEvent) -> None:
        """Take in an event."""
        match event:
            case ProbeFinished():
                self._probed(event.at, event.result)
            case TunnelChanged(state=Tunnel.CLOSED) if event.server in self._accounts:
                self._accounts[event.server].unwatched(event.at)
                self.touched.add(event.server)
            case Slept():
                for name, account in self._accounts.items():
                    account.slept(event.at, event.seconds)
                    self.touched.add(name)
            case FleetLoaded():
                self._servers = {server.name: server for server in event.fleet.servers}
                watched = [server.name for server in event.fleet.servers if server.enabled]
                self._tell(event.at, self._tracker.watched(event.at, watched))

    def advance(self, now: float) -> None:
        """Count the seconds until ``now``."""
        for name, account in self._accounts.items():
            if account.advance(now):
                self.touched.add(name)

    def adopt(self, at: float, incidents: Iterable[Incident]) -> None:
        """Take over the incidents that the last run left open."""
        self._tell(at, self._tracker.adopt(at, incidents))
        # One that began before this was called may have turned out to be an older one's going on.
        known = {incident.id for incident in self._tracker.open}
        self.incidents = {i: one for i, one in self.incidents.items() if one.ended is not None or i in known}

    def start_over(self) -> None:
        """Forget the seconds so far: another process has counted and written the same ones."""
        for account in self._accounts.values():
            account.hours.clear()
        self.touched.clear()
        self.incidents.clear()

    def recall(self, name: str, hour: int, totals: Totals) -> None:
        """Take over what is written of the hour under way already."""
        self._account(name).hours.setdefault(hour, Totals()).merge(totals)
        self.touched.add(name)

    def sums(self, names: Iterable[str], now: float) -> Iterator[tuple[str, int, Totals, bool]]:
        """Give the hours of servers with their sums; the last of each is True for an hour that is over."""
        this_hour = int(now // HOUR)
        for name in names:
            account = self._accounts[name]
            yield from ((name, hour, totals, hour != this_hour) for hour, totals in account.hours.items())

    def settle(self, hours: Iterable[tuple[str, int]]) -> None:
        """Forget hours that are over and written."""
        for name, hour in hours:
            self._accounts[name].hours.pop(hour, None)

    def _probed(self, at: float, result: ProbeResult) -> None:
        server = self._servers.get(result.server)
        if server is None or not server.enabled:
            return  # a test of a server that is switched off is in the log, and nothing is watched
        cause = result.failure.cause if result.failure else None
        hold = holds(cause, server.probe.every, server.engine)
        self._account(result.server).probed(at, up=result.ok, hold=hold, ms=result.total_ms)
        self.touched.add(result.server)
        self._tell(at, self._tracker.probed(at, server, result))

    def _account(self, name: str) -> Account:
        return self._accounts.setdefault(name, Account())

    def _tell(self, at: float, changes: list[tuple[Change, Incident]]) -> None:
        for change, incident in changes:
            self.incidents[incident.id] = incident
            self._emit(IncidentChanged(at=at, change=change, incident=incident))

"""What the screens need of the monitor, written down so that a fake can stand in for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from canary_tui.tui.presenters.trail import TestView

if TYPE_CHECKING:
    from concurrent.futures import Future
    from pathlib import Path

    from canary_tui.diagnosis.stages import HostKeyOffer
    from canary_tui.keys.authorized import KeyInfo
    from canary_tui.keys.rotation import Rotation, Tried
    from canary_tui.monitor.board import LogLine, Snapshot
    from canary_tui.monitor.history.query import LogQuery
    from canary_tui.monitor.history.reader import LatencyPoint, Percentiles
    from canary_tui.monitor.incidents import Incident
    from canary_tui.monitor.uptime import Uptime
    from canary_tui.servers.model import Server
    from canary_tui.servers.secrets import Secret
    from canary_tui.tunnels.audit import AuditReport


class RunningTest(TestView, Protocol):
    """A connection test under way, read by polling."""

    def cancel(self) -> None:
        """Stop it."""


class MonitorApi(Protocol):
    """The monitor as the application uses it: facts come by ``snapshot``, everything else is an intent.

    Futures raise ``BadFile``, ``KeyProblem``, ``OSError`` or ``Failed``; their words are for the user.
    """

    def snapshot(self) -> Snapshot:
        """Return the board as it is."""

    def log_after(self, seq: int, limit: int = 1000) -> list[LogLine]:
        """Return log lines newer than ``seq``, oldest first."""

    def history_lines(self, query: LogQuery) -> Future[list[LogLine]]:
        """Return a page of the log from disk, oldest line first."""

    def uptimes(self, span: float) -> Future[dict[str, Uptime]]:
        """Return how long each server was up in the last ``span`` seconds."""

    def percentiles(self, server: str, span: float) -> Future[Percentiles | None]:
        """Return a server's latency percentiles over the last ``span`` seconds."""

    def latency_series(self, server: str, span: float, points: int) -> Future[list[LatencyPoint]]:
        """Return a server's latency over the last ``span`` seconds, in at most ``points`` pieces."""

    def incidents(self, limit: int = 200) -> Future[list[Incident]]:
        """Return the newest incidents, newest first."""

    def hold(self, name: str) -> Future[None]:
        """Open the server's tunnel and probe it until it is closed."""

    def close(self, name: str) -> Future[None]:
        """Close what ``hold`` opened."""

    def probe_now(self, name: str) -> None:
        """Probe at once."""

    def retry_now(self, name: str) -> None:
        """Stop waiting and open the tunnel at once."""

    def start_test(self, name: str) -> RunningTest:
        """Test the whole way over a fresh SSH connection."""

    def trust(self, name: str, offer: HostKeyOffer, *, replace: bool = True) -> Future[None]:
        """Pin this host key, instead of those that are trusted, or beside them."""

    def give_password(self, name: str, password: Secret) -> None:
        """Keep a database password in memory."""

    def save(
        self, server: Server, *, replaces: str | None, keyring_password: Secret | None = None
    ) -> Future[Server]:
        """Add or change a server."""

    def remove(self, name: str) -> Future[None]:
        """Remove a server."""

    def restore(self, server: Server) -> Future[None]:
        """Bring a removed server back."""

    def set_enabled(self, name: str, enabled: bool) -> Future[None]:
        """Switch a server on or off."""

    def key_info(self, name: str) -> Future[KeyInfo]:
        """Return the public half of a server's key and how to install it."""

    def rotation_state(self, name: str) -> Future[Rotation]:
        """Return how far the change of a server's key is."""

    def rotate(self, name: str) -> Future[Rotation]:
        """Make a new key beside the one in use."""

    def try_keys(self, name: str) -> Future[Tried]:
        """Try the new key and use it when it works; or see whether the old one is refused."""

    def give_up_key(self, name: str) -> Future[Path | None]:
        """Give a new key up that is not in use yet."""

    def audit(self, name: str) -> Future[AuditReport]:
        """Prove what a server's key can and cannot do; cancelling the future calls it off."""

    def client_env(self, name: str) -> Future[tuple[list[str], dict[str, str]]]:
        """Return the client program's command line and environment for the server's local port."""

    def clients(self) -> int:
        """Return how many client connections are open."""

"""What only the process that monitors does for a screen: each intent handed on to its monitor, or refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future
    from pathlib import Path

    from canary_tui.diagnosis.stages import HostKeyOffer
    from canary_tui.keys.rotation import Rotation, Tried
    from canary_tui.monitor.connection_test import Test
    from canary_tui.monitor.service import Monitor
    from canary_tui.servers.model import Server
    from canary_tui.servers.secrets import Secret
    from canary_tui.tunnels.audit import AuditReport

T = TypeVar("T")


class Intents:
    """The calls of ``tui.api.MonitorApi`` that need the monitor; ``Monitor`` says what each does."""

    def _now(self, intent: Callable[[Monitor], T]) -> T:
        raise NotImplementedError

    def _ask(self, intent: Callable[[Monitor], Future[T]]) -> Future[T]:
        raise NotImplementedError

    def close(self, name: str) -> Future[None]:
        """Close what ``hold`` opened."""
        return self._ask(lambda monitor: monitor.close(name))

    def probe_now(self, name: str) -> None:
        """Probe at once."""
        self._now(lambda monitor: monitor.probe_now(name))

    def retry_now(self, name: str) -> None:
        """Stop waiting and open the tunnel at once."""
        self._now(lambda monitor: monitor.retry_now(name))

    def start_test(self, name: str) -> Test:
        """Test the whole way over a fresh SSH connection."""
        return self._now(lambda monitor: monitor.start_test(name))

    def trust(self, name: str, offer: HostKeyOffer, *, replace: bool = True) -> Future[None]:
        """Pin this host key."""
        return self._ask(lambda monitor: monitor.trust(name, offer, replace=replace))

    def give_password(self, name: str, password: Secret) -> None:
        """Keep a database password in memory."""
        self._now(lambda monitor: monitor.give_password(name, password))

    def save(
        self, server: Server, *, replaces: str | None, keyring_password: Secret | None = None
    ) -> Future[Server]:
        """Add or change a server."""
        return self._ask(
            lambda monitor: monitor.save(server, replaces=replaces, keyring_password=keyring_password)
        )

    def remove(self, name: str) -> Future[None]:
        """Remove a server."""
        return self._ask(lambda monitor: monitor.remove(name))

    def restore(self, server: Server) -> Future[None]:
        """Bring a removed server back."""
        return self._ask(lambda monitor: monitor.restore(server))

    def set_enabled(self, name: str, enabled: bool) -> Future[None]:
        """Switch a server on or off."""
        return self._ask(lambda monitor: monitor.set_enabled(name, enabled))

    def rotate(self, name: str) -> Future[Rotation]:
        """Make a new key beside the one in use."""
        return self._ask(lambda monitor: monitor.rotate(name))

    def try_keys(self, name: str) -> Future[Tried]:
        """Try the new key and use it when it works; or see whether the old one is refused."""
        return self._ask(lambda monitor: monitor.try_keys(name))

    def give_up_key(self, name: str) -> Future[Path | None]:
        """Give a new key up that is not in use yet."""
        return self._ask(lambda monitor: monitor.give_up_key(name))

    def audit(self, name: str) -> Future[AuditReport]:
        """Prove what a server's key can and cannot do."""
        return self._ask(lambda monitor: monitor.audit(name))

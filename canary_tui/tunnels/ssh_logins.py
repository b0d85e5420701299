"""Logs in over SSH, for everything that needs it: tunnels, probes, tests, audits, ``canary trust``.

``SshLogins`` decides when a login may begin (a gate per server), how long it may take and which host keys
are trusted, and remembers what software each server runs. Nothing else calls ``dial``.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from canary_tui.diagnosis.stages import Failed
from canary_tui.keys.ssh_software import SshSoftware, software
from canary_tui.tunnels.dial import dial
from canary_tui.tunnels.login_gates import LoginGates

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from canary_tui.diagnosis.trace import Trace
    from canary_tui.keys.store import StoredKey
    from canary_tui.servers.model import SshServer
    from canary_tui.tunnels.host_keys import KnownHosts
    from canary_tui.tunnels.ssh_connection import SshConnection

LOGIN_SECONDS = 15.0
"""Time limit of a login that has no other: generous, since a slow login is no reason not to have a tunnel."""


class SshLogins:
    """Logs in to SSH servers, a few logins at a time per server, and remembers their version lines.

    Used on one event loop at a time. A server is a host (in any spelling of its name) and a port.
    """

    def __init__(self, known_hosts: KnownHosts) -> None:
        self.gate = LoginGates().of
        self._known_hosts = known_hosts
        self._versions: dict[tuple[str, int], str] = {}

    async def log_in(
        self,
        ssh: SshServer,
        key: StoredKey | None,
        trace: Trace,
        *,
        seconds: float | None = LOGIN_SECONDS,
        patient: bool = False,
        offered_agent: str = "",
        on_turn: Callable[[], None] | None = None,
    ) -> SshConnection:
        """Wait for a turn and log in as ``dial`` does; the caller closes the connection. Raises Failed.

        Without a ``key`` it stops where the login would begin. ``seconds`` limits the login, not the wait
        before it; None if the caller sets the limit, from ``on_turn`` on. ``patient``: see ``Gate.login``.
        """
        async with AsyncExitStack() as turn:
            with trace.paused():
                await turn.enter_async_context(self.gate(ssh.host, ssh.port).login(patient=patient))
            if on_turn is not None:
                on_turn()
            try:
                async with asyncio.timeout(seconds):
                    private = key.private if key else None
                    connection = await dial(
                        ssh, private, self._known_hosts, trace, offered_agent=offered_agent
                    )
            except TimeoutError:
                raise trace.timed_out() from None
            except Failed as failed:
                self._keep(ssh, failed.facts.get("ssh_version", ""))
                failed.facts |= self.words(ssh)
                raise
        self._keep(ssh, connection.server_version)
        return connection

    @asynccontextmanager
    async def connection(
        self,
        ssh: SshServer,
        key: StoredKey | None,
        trace: Trace,
        *,
        seconds: float | None = LOGIN_SECONDS,
        offered_agent: str = "",
        on_turn: Callable[[], None] | None = None,
    ) -> AsyncIterator[SshConnection]:
        """Log in as ``log_in`` does, and log out at the end; an error or a cancellation drops it at once."""
        connection = await self.log_in(
            ssh, key, trace, seconds=seconds, offered_agent=offered_agent, on_turn=on_turn
        )
        try:
            yield connection
        except BaseException:
            connection.abort()
            raise
        await connection.close()

    def version(self, ssh: SshServer | None) -> str:
        """Return the version line of a server with a trusted host key; empty if not seen yet."""
        return self._versions.get((ssh.host.lower(), ssh.port), "") if ssh is not None else ""

    def software(self, ssh: SshServer | None) -> SshSoftware:
        """Return which SSH software the server runs, as far as this process has seen."""
        return software(self.version(ssh))

    def words(self, ssh: SshServer) -> dict[str, str]:
        """Return the diagnosis words about the SSH server's software."""
        return {"ssh_software": self.software(ssh).family.value}

    def _keep(self, ssh: SshServer, version: str) -> None:
        if version:
            self._versions[ssh.host.lower(), ssh.port] = version

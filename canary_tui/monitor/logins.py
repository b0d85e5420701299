"""The one way to an SSH login: the gate of its host, a limit of time, the host keys that are known."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from canary_tui.diagnosis.stages import Failed
from canary_tui.keys.ssh_software import SshSoftware, software
from canary_tui.monitor.gates import LoginGates
from canary_tui.tunnels.dial import dial

if TYPE_CHECKING:
    from collections.abc import Callable

    from canary_tui.diagnosis.trace import Trace
    from canary_tui.keys.store import StoredKey
    from canary_tui.servers.model import SshServer
    from canary_tui.tunnels.dial import SshConnection
    from canary_tui.tunnels.host_keys import KnownHosts

LOGIN_SECONDS = 15.0
"""How long a login may take that has no other limit: a slow one is no reason not to have a tunnel."""


class SshLogins:
    """Logs in to SSH servers, a few at a time to each, and keeps what they say of themselves."""

    def __init__(self, known_hosts: KnownHosts) -> None:
        self.versions: dict[tuple[str, int], str] = {}
        """The version line that each SSH server showed, for the line it can understand."""
        self._known_hosts = known_hosts
        self.gate = LoginGates().of

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
        """Wait for a turn and log in as ``dial`` does. Raises Failed.

        ``seconds`` limits the login, and not the wait before it; None where the caller limits it, from
        ``on_turn`` on. ``patient``: see ``Gate.login``.
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
                if version := failed.facts.get("ssh_version"):
                    self.versions[ssh.host, ssh.port] = version
                failed.facts |= self.words(ssh)
                raise
        self.versions[ssh.host, ssh.port] = connection.server_version
        return connection

    def software(self, ssh: SshServer) -> SshSoftware:
        """Return which SSH server it is, as far as that has been seen in this run."""
        return software(self.versions.get((ssh.host, ssh.port), ""))

    def words(self, ssh: SshServer) -> dict[str, str]:
        """Return what the sentences of a diagnosis are to know of the SSH server's software."""
        return {"ssh_software": self.software(ssh).family.value}

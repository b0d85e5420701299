"""The local end of one server's tunnel: bound once, named when it cannot be, and its clients."""

from __future__ import annotations

import asyncio
import errno
import os
import pwd
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from canary_tui.databases.registry import login_guard_for, refusal_for
from canary_tui.diagnosis.catalogue import explain, stage_title, title
from canary_tui.diagnosis.causes import ROWS
from canary_tui.diagnosis.stages import Cause, Failed, Failure, Stage
from canary_tui.monitor.events import ClientRefused, ClientsChanged, LocalEndChanged
from canary_tui.monitor.ipv6_end import Ipv6End
from canary_tui.monitor.local_ports import LOOPBACK, next_free_port
from canary_tui.monitor.strangers import Strangers
from canary_tui.servers.file import BadFile
from canary_tui.servers.model import Listen
from canary_tui.tunnels.holder import holder_of
from canary_tui.tunnels.login import CutOff
from canary_tui.tunnels.open_files import USED_UP, unexpected
from canary_tui.tunnels.relay import Dismissed, Relay

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from canary_tui.databases.client_refusal import ClientRefusal
    from canary_tui.monitor.events import AnyEvent
    from canary_tui.monitor.tools import Tools
    from canary_tui.servers.model import Server, SshServer
    from canary_tui.tunnels.route import Route

REFUSALS = 10
REFUSALS_SECONDS = 10.0
"""How many refused clients are logged one by one, within how long."""


class Down(Failed):
    """The tunnel does not stand. ``failure`` says why; None: it is opened for the first time."""

    def __init__(self, failure: Failure | None) -> None:
        super().__init__(failure.cause if failure else Cause.TUNNEL_LOST)
        self.failure = failure


class Doorway:
    """Binds a server's local port or socket and tells what its clients do.

    ``way`` gives the way to the database for each client, or raises Failed. ``any_port``: take another
    port, or socket, where the server's own is taken.
    """

    def __init__(
        self,
        server: Server,
        tools: Tools,
        emit: Callable[[AnyEvent], None],
        *,
        way: Callable[[], Awaitable[Route]],
        any_port: bool = False,
    ) -> None:
        self.local = ""
        """``127.0.0.1:15432`` or a socket's path; empty while nothing is bound."""
        self.server = server
        """Its settings as they are now; those of the tunnel stay what they were."""
        self._tools = tools
        self._emit = emit
        self._any_port = any_port
        self._own_folder: Path | None = None
        self._ipv6: Ipv6End | None = None
        self._since = -REFUSALS_SECONDS
        self._told = self._untold = 0
        self._strangers = Strangers(self._log_refused)
        self._relay = Relay(
            way,
            changed=self._tell_clients,
            refused=self._turn_away,
            turned_away=self._strangers.came,
            guard=lambda: login_guard_for(self.server.engine, self.server.database),
            allowed_uids=allowed_uids(server.ssh.allow_users if server.ssh else ()),
        )

    @property
    def clients(self) -> int:
        """How many clients are connected now."""
        return self._relay.clients

    async def open(self) -> None:
        """Bind. Raises Failed: ``local_port_taken``, with who has it, or ``settings_invalid``."""
        ssh = self.server.ssh
        assert ssh is not None  # noqa: S101 - only a server with a tunnel has a local end
        try:
            try:
                self.local = self._bind(ssh)
            except OSError as error:
                if not self._any_port or error.errno != errno.EADDRINUSE:
                    raise
                self.local = self._bind_elsewhere(ssh)
        except OSError as error:
            raise await self._not_bound(ssh, error) from None

    async def close(self) -> None:
        """Stop listening and close every client."""
        if self._ipv6 is not None:
            await self._ipv6.close()
            self._ipv6 = None
        await self._relay.close()
        self._strangers.close()
        if not self.local.startswith("/"):
            self._tools.own_ports.forget(int(self.local.rpartition(":")[2] or 0))
        self.local = ""
        if self._own_folder is not None:
            with suppress(OSError):  # it was not made
                self._own_folder.rmdir()
            self._own_folder = None

    def _bind(self, ssh: SshServer) -> str:
        if ssh.listen is Listen.PORT:
            return self._serve_port(ssh.local_port or 0)
        folder = self._tools.paths.runtime / self.server.name
        return str(self._relay.listen_socket(folder / socket_name(self.server)))

    def _bind_elsewhere(self, ssh: SshServer) -> str:
        if ssh.listen is Listen.PORT:
            return self._serve_port(0)
        self._own_folder = self._tools.paths.runtime / f"{self.server.name}-{os.getpid()}"
        return str(self._relay.listen_socket(self._own_folder / socket_name(self.server)))

    def _serve_port(self, port: int) -> str:
        ipv4, *ipv6 = self._tools.ports.take(port)
        port = self._relay.listen(ipv4)
        for sock in ipv6:
            self._relay.listen(sock)
        if not ipv6:
            self._ipv6 = Ipv6End(port, self._relay.listen, self._tell_trouble)
        self._tools.own_ports.note(port)
        return f"{LOOPBACK}:{port}"

    async def _not_bound(self, ssh: SshServer, error: OSError) -> Failed:
        detail = error.strerror or str(error)
        if error.errno == errno.EADDRINUSE:
            facts = await asyncio.to_thread(self._who_has, ssh.local_port) if ssh.local_port else {}
            return Failed(Cause.LOCAL_PORT_TAKEN, stage=Stage.SETTINGS, detail=detail, facts=facts)
        if error.errno in USED_UP:
            return unexpected(error)
        # A port below 1024 needs root; a socket's path may have 107 bytes, and its folder must be ours.
        wrong = error.errno in {errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.ENAMETOOLONG, None}
        where = "socket" if ssh.listen is Listen.SOCKET else f"local port {ssh.local_port}"
        cause = Cause.SETTINGS_INVALID if wrong else Cause.INTERNAL_ERROR
        return Failed(cause, stage=Stage.SETTINGS, detail=f"{where}: {detail}")

    def _who_has(self, port: int) -> dict[str, str]:
        """Return who listens on the port, as far as the system tells, and the next one that is free."""
        facts = {}
        if (holder := holder_of(port) or self._tools.own_ports.holder(port)) is not None:
            facts = {"program": holder.program, "pid": str(holder.pid)}
        try:
            servers = self._tools.file.load().named
        except (BadFile, OSError):
            servers = ()
        free = next_free_port(port + 1, {s.ssh.local_port for s in servers if s.ssh and s.ssh.local_port})
        return facts | ({"free_port": str(free)} if free else {})

    def _turn_away(self, why: Dismissed | Failed | CutOff) -> ClientRefusal | None:
        """Log that a client is not served, and return how it is told; others are not."""
        reason = self._in_words(why) if isinstance(why, Failed) else str(why)
        self._tell_refused(reason)
        text = f"canary-tui: {self.server.name}: {reason}"
        match why:
            case Dismissed():
                return None
            case CutOff():
                return why.guard.told(text)
            case Failed():
                return refusal_for(self.server.engine, text)

    def _in_words(self, why: Failed) -> str:
        if isinstance(why, Down):
            failure = why.failure
        else:
            stage = why.stage or ROWS[why.cause].stage or Stage.FORWARD
            failure = explain(why, stage, self._tools.words(self.server))
        if failure is None:
            return "the tunnel is still being opened"
        return f"{stage_title(failure.stage, direct=False)}: {title(failure.cause)}. {failure.summary}"

    def _tell_refused(self, reason: str) -> None:
        """Log a refusal; of a program that connects again and again, some and the number of the others."""
        now = time.monotonic()
        if now - self._since >= REFUSALS_SECONDS:
            self._since, self._told = now, 0
        self._told += 1
        if self._told > REFUSALS:
            self._untold += 1
            return
        if self._untold:
            reason += f" (and {self._untold} more before)"
            self._untold = 0
        self._log_refused(reason)

    def _log_refused(self, reason: str) -> None:
        self._emit(ClientRefused(at=time.time(), server=self.server.name, reason=reason))

    def _tell_trouble(self, trouble: str) -> None:
        self._emit(LocalEndChanged(at=time.time(), server=self.server.name, trouble=trouble))

    def _tell_clients(self) -> None:
        relay = self._relay
        self._emit(
            ClientsChanged(
                at=time.time(),
                server=self.server.name,
                clients=relay.clients,
                bytes_up=relay.bytes_up,
                bytes_down=relay.bytes_down,
            )
        )


def allowed_uids(names: tuple[str, ...]) -> frozenset[int]:
    """Return who may use a local end: this process's own user, and the accounts of these names."""
    uids = {os.geteuid()}
    for name in names:
        try:
            uids.add(pwd.getpwnam(name).pw_uid)
        except KeyError:
            continue  # the account was removed since the file was read: it lets nobody in
    return frozenset(uids)


def socket_name(server: Server) -> str:
    """Return the socket's file name by which the engine's own clients find it in its folder."""
    return server.engine.facts.socket_name.format(port=server.database.port)

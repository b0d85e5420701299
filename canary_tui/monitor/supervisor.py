"""One server's tunnel: open, hold, lose, wait, reopen. Its local port stays bound all the while."""

from __future__ import annotations

import asyncio
import errno
import time
from typing import TYPE_CHECKING

from canary_tui.diagnosis.catalogue import explain
from canary_tui.diagnosis.stages import Cause, Failed, Failure, Stage
from canary_tui.diagnosis.trace import Trace
from canary_tui.monitor.backoff import Retry, delay, retry_of_tunnel
from canary_tui.monitor.events import ClientRefused, ClientsChanged, TunnelChanged, TunnelState
from canary_tui.servers.model import Listen
from canary_tui.tunnels.dial import dial
from canary_tui.tunnels.relay import Relay
from canary_tui.tunnels.route import DirectRoute, SshRoute

if TYPE_CHECKING:
    from collections.abc import Callable

    from canary_tui.diagnosis.stages import HostKeyOffer
    from canary_tui.monitor.events import AnyEvent
    from canary_tui.monitor.tools import Tools
    from canary_tui.servers.model import Server, SshServer
    from canary_tui.tunnels.dial import SshConnection
    from canary_tui.tunnels.route import Route

DIAL_SECONDS = 15.0
"""How long opening a tunnel may take; a probe's own limit is shorter as a rule."""
BIND_SECONDS = 5.0
"""How often a local port that somebody else has is asked for again."""
STEADY_SECONDS = 30.0
"""A tunnel that stood so long is steady: its next loss is met as a first one."""


class Supervisor:
    """Keeps one server's tunnel. ``run`` is its life; everything happens on one event loop.

    ``gate`` limits how many logins go to one SSH server at a time; ``chance`` gives random numbers.
    """

    def __init__(
        self,
        server: Server,
        tools: Tools,
        emit: Callable[[AnyEvent], None],
        *,
        gate: asyncio.Semaphore,
        chance: Callable[[], float],
        any_port: bool = False,
    ) -> None:
        self.server = server
        self.state = TunnelState.CLOSED
        self.failure: Failure | None = None
        self.host_key: HostKeyOffer | None = None
        self._tools = tools
        self._emit = emit
        self._gate = gate
        self._chance = chance
        self._any_port = any_port
        self._ssh: SshConnection | None = None
        self._local = ""
        self._changed = asyncio.Event()
        self._wake = asyncio.Event()
        self._attempt = 0
        self._relay = Relay(self._route_for_client, changed=self._tell_clients, refused=self._tell_refused)

    @property
    def local(self) -> str:
        """``127.0.0.1:15432`` or a socket's path; empty while nothing is bound."""
        return self._local

    @property
    def clients(self) -> int:
        """How many clients use the tunnel now."""
        return self._relay.clients

    async def run(self) -> None:
        """Open the tunnel and keep it open, until cancelled; then everything of it is closed."""
        try:
            if self.server.tunnel is None:
                self._become(TunnelState.UP)
                await asyncio.Event().wait()
            else:
                await self._bind()
                while True:
                    await self._once(self.server.tunnel)
        finally:
            await self._relay.close()
            if self._ssh is not None:
                await self._ssh.close()
                self._ssh = None
            self._local = ""
            self._become(TunnelState.CLOSED)

    def retry_now(self) -> None:
        """Stop waiting and try at once: a person asked, or the machine woke up."""
        self._wake.set()

    def route(self) -> Route | None:
        """Return the way to the database if it stands now."""
        database = self.server.database
        if self.server.tunnel is None:
            return DirectRoute(database.host, database.port)
        if self._ssh is not None and self._ssh.open:
            return SshRoute(self._ssh, database.host, database.port)
        return None

    async def settled(self, limit: float) -> None:
        """Wait until the tunnel is neither opening nor lost, ``limit`` seconds at most."""
        try:
            async with asyncio.timeout(limit):
                while self.state in {TunnelState.OPENING, TunnelState.LOST, TunnelState.CLOSED}:
                    await self._next_change()
        except TimeoutError:
            return

    async def until_up(self) -> None:
        """Wait until the tunnel stands."""
        while self.state is not TunnelState.UP:
            await self._next_change()

    async def _once(self, ssh: SshServer) -> None:
        """Open the tunnel once and see it to its end, or wait for the next attempt."""
        self._become(TunnelState.OPENING)
        trace = Trace(time.perf_counter)
        try:
            connection = await self._dial(ssh, trace)
        except Failed as failed:
            self.host_key = failed.host_key
            await self._wait(self._explain(failed, trace.fail(failed)))
            return
        self._ssh = connection
        opened = time.monotonic()
        self.failure = self.host_key = None
        self._become(TunnelState.UP)
        reason = await connection.lost()
        if time.monotonic() - opened >= STEADY_SECONDS:
            self._attempt = 0
        self._ssh = None
        self._become(TunnelState.LOST, reason=reason)
        # The first attempt follows soon, but not at once: many servers lose one jumpbox together.
        await self._sleep(delay(Retry.NETWORK, self._attempt + 1, self._chance()))
        self._attempt += 1

    async def _dial(self, ssh: SshServer, trace: Trace) -> SshConnection:
        trace.enter(Stage.SETTINGS)
        key = await self._tools.key_of(self.server)
        async with self._gate:
            try:
                async with asyncio.timeout(DIAL_SECONDS):
                    connection = await dial(ssh, key.private, self._tools.known_hosts, trace)
            except TimeoutError:
                raise trace.timed_out() from None
        self._tools.versions[ssh.host, ssh.port] = connection.server_version
        return connection

    async def _wait(self, failure: Failure) -> None:
        self.failure = failure
        self._attempt += 1
        retry = retry_of_tunnel(failure.cause)
        if retry is Retry.PERSON:
            self._become(TunnelState.STOPPED)
            await self._sleep(None)
        else:
            seconds = delay(retry, self._attempt, self._chance())
            self._become(TunnelState.WAITING, retry_at=time.time() + seconds)
            await self._sleep(seconds)

    async def _sleep(self, seconds: float | None) -> None:
        self._wake.clear()
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            return
        self._attempt = 0

    async def _bind(self) -> None:
        """Bind the local end; as long as somebody else has the port, say so and ask again."""
        while True:
            try:
                self._local = await self._listen()
            except OSError as error:
                port = self.server.ssh.local_port if self.server.ssh else None
                failed = Failed(
                    Cause.LOCAL_PORT_TAKEN,
                    stage=Stage.SETTINGS,
                    detail=f"{error.strerror or error}",
                    facts={"local_port": str(port)},
                )
                self.failure = self._explain(failed, Stage.SETTINGS)
                self._become(TunnelState.WAITING, retry_at=time.time() + BIND_SECONDS)
                await self._sleep(BIND_SECONDS)
            else:
                self.failure = None
                return

    async def _listen(self) -> str:
        ssh = self.server.ssh
        assert ssh is not None  # noqa: S101 - only a server with a tunnel is bound
        if ssh.listen is Listen.SOCKET:
            name = socket_name(self.server)
            return str(await self._relay.listen_socket(self._tools.paths.runtime / self.server.name / name))
        try:
            port = await self._relay.listen_port(0 if ssh.local_port is None else ssh.local_port)
        except OSError as error:
            if not self._any_port or error.errno != errno.EADDRINUSE:
                raise
            port = await self._relay.listen_port(0)
        return f"127.0.0.1:{port}"

    async def _route_for_client(self) -> Route:
        """Return the way for a client; one that is being rebuilt is waited for, ``connect_wait`` at most."""
        ssh = self.server.ssh
        deadline = time.monotonic() + (ssh.connect_wait if ssh else 0)
        while (route := self.route()) is None:
            left = deadline - time.monotonic()
            if left <= 0:
                raise Failed(
                    self.failure.cause if self.failure else Cause.TUNNEL_LOST,
                    detail=self.failure.summary if self.failure else "the tunnel is not open",
                )
            try:
                async with asyncio.timeout(left):
                    await self._next_change()
            except TimeoutError:
                continue
        return route

    async def _next_change(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    def _explain(self, failed: Failed, stage: Stage) -> Failure:
        return explain(failed, stage, self.server.words | failed.facts)

    def _become(self, state: TunnelState, *, reason: str = "", retry_at: float | None = None) -> None:
        self.state = state
        self._changed.set()
        self._emit(
            TunnelChanged(
                at=time.time(),
                server=self.server.name,
                state=state,
                reason=reason or (self.failure.summary if self.failure else ""),
                failure=self.failure if state in {TunnelState.WAITING, TunnelState.STOPPED} else None,
                host_key=self.host_key,
                retry_at=retry_at,
                local=self._local,
            )
        )

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

    def _tell_refused(self, reason: str) -> None:
        self._emit(ClientRefused(at=time.time(), server=self.server.name, reason=reason))


def socket_name(server: Server) -> str:
    """Return the socket's file name by which the engine's own clients find it in its folder."""
    if server.engine.value == "postgresql":
        return f".s.PGSQL.{server.database.port}"
    return "mysql.sock"

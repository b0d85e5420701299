"""One server's tunnel: open, hold, lose, wait, reopen. Its local port stays bound all the while."""

from __future__ import annotations

import asyncio
import logging
import time
from functools import partial
from typing import TYPE_CHECKING

from canary_tui.diagnosis.catalogue import explain
from canary_tui.diagnosis.causes import ROWS
from canary_tui.diagnosis.causes.retries import Retry
from canary_tui.diagnosis.stages import Failed, Failure, Stage
from canary_tui.diagnosis.trace import Trace
from canary_tui.monitor.attempts import Attempts
from canary_tui.monitor.breakdowns import ENDING
from canary_tui.monitor.client_way import way_for_client
from canary_tui.monitor.doorway import Doorway
from canary_tui.monitor.events import TunnelChanged, TunnelState
from canary_tui.paths import file_state
from canary_tui.tunnels.open_files import unexpected
from canary_tui.tunnels.route import DirectRoute, SshRoute

if TYPE_CHECKING:
    from collections.abc import Callable

    from canary_tui.diagnosis.stages import HostKeyOffer
    from canary_tui.monitor.events import AnyEvent
    from canary_tui.monitor.tools import Tools
    from canary_tui.servers.model import Server, SshServer
    from canary_tui.tunnels.route import Route
    from canary_tui.tunnels.ssh_connection import SshConnection

STEADY_SECONDS = 15.0
"""A tunnel that stood so long is steady: its next loss is met as a first one."""
SOON_SECONDS = 1.0
"""A lost tunnel that is tried again so soon is not shown as waiting."""
LOOK_SECONDS = 1.0
"""How often the files are looked at that a person may mend."""
VERIFY_SECONDS = 60.0
"""How often probes may verify the tunnel: where the database is silent, each of them wants to."""

log = logging.getLogger(__name__)


class Supervisor:
    """Keeps one server's tunnel. ``run`` is its life; everything happens on one event loop.

    The tunnel is in one ``TunnelState`` at any moment. Each state has one step, which ends by entering
    the next::

        closed → opening → up → lost → opening …
                    ↓ ↑         ↓
              stopped, waiting ←┘

    ``chance`` gives random numbers.
    """

    def __init__(
        self,
        server: Server,
        tools: Tools,
        emit: Callable[[AnyEvent], None],
        *,
        chance: Callable[[], float],
        any_port: bool = False,
    ) -> None:
        self.server = server
        self.state = TunnelState.CLOSED
        self.failure: Failure | None = None
        """What keeps the tunnel from standing; None while it stands or is opened for the first time."""
        self.host_key: HostKeyOffer | None = None
        self.retry_at: float | None = None
        """When the next attempt is, by the monotonic clock, while one is waited for."""
        self.openings = 0
        """How often the tunnel has come up."""
        self._tools = tools
        self._emit = emit
        self._ssh: SshConnection | None = None
        self._changed = asyncio.Event()
        self._wake = asyncio.Event()
        self._attempts = Attempts(chance)
        self._seen: tuple[tuple[int, ...], ...] = ()
        self._verified = -VERIFY_SECONDS
        self._door = Doorway(server, tools, emit, way=partial(way_for_client, self), any_port=any_port)
        self._steps = {
            TunnelState.OPENING: self._open,
            TunnelState.UP: self._stay_up,
            TunnelState.LOST: self._after_loss,
            TunnelState.WAITING: self._wait,
            TunnelState.STOPPED: self._wait_for_person,
        }

    @property
    def local(self) -> str:
        """``127.0.0.1:15432`` or a socket's path; empty while nothing is bound."""
        return self._door.local

    @property
    def clients(self) -> int:
        """How many clients use the tunnel now."""
        return self._door.clients

    def adopt(self, server: Server) -> None:
        """Take over settings that leave the tunnel as it is."""
        self.server = self._door.server = server

    async def run(self) -> None:
        """Open the tunnel and keep it open, until cancelled; then everything of it is closed."""
        try:
            if self.server.tunnel is None:
                self._become(TunnelState.UP)
                await asyncio.Event().wait()
            self._become(TunnelState.OPENING)
            while True:
                await self._step()
        finally:
            await self._door.close()
            if self._ssh is not None:
                await self._ssh.close()
                self._ssh = None
            self.failure = self.host_key = None
            self._become(TunnelState.CLOSED)

    def retry_now(self) -> None:
        """Try at once: a person asked. A tunnel that is up is seen to be so."""
        if self.state is TunnelState.UP and self._ssh is not None:
            self._ssh.liveness.verify()
        else:
            self._wake.set()

    def woke(self) -> None:
        """The machine woke up, or its network changed: try at once what only the network keeps down."""
        if self.state is TunnelState.UP or self._attempts.kind is Retry.NETWORK:
            self.retry_now()

    def verify(self) -> None:
        """A probe waited in vain for a channel: see whether the tunnel is up or only looks so."""
        if self._ssh is not None and time.monotonic() - self._verified >= VERIFY_SECONDS:
            self._verified = time.monotonic()
            self._ssh.liveness.verify()

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
                    await self.next_change()
        except TimeoutError:
            return

    async def until_up(self) -> None:
        """Wait until the tunnel stands."""
        while self.state is not TunnelState.UP:
            await self.next_change()

    async def until_reopened(self, openings: int) -> None:
        """Wait until the tunnel has come up since it had done so ``openings`` times."""
        while self.openings == openings:
            await self.next_change()

    # The steps, one for each state

    async def _step(self) -> None:
        """Do this state's step. A tunnel is held for weeks: what nobody has thought of does not end it."""
        try:
            await self._steps[self.state]()
        except ENDING:
            raise
        except BaseException as error:
            log.debug("tunnel of %s", self.server.name, exc_info=True)
            if self._ssh is not None:
                self._ssh.abort()
                self._ssh = None
            self._put_off(explain(unexpected(error), Stage.SETTINGS, self._tools.words(self.server)))

    async def _open(self) -> None:
        """Bind the local end, log in; then up, or put off."""
        ssh = self.server.tunnel
        assert ssh is not None  # noqa: S101 - a direct server is never opening
        self._wake.clear()
        self._seen = self._files()
        trace = Trace(time.perf_counter)
        try:
            trace.enter(Stage.SETTINGS)
            if not self._door.local:
                await self._door.open()
            self._ssh = await self._log_in(ssh, trace)
        except Failed as failed:
            self.host_key = failed.host_key
            self._put_off(explain(failed, trace.fail(failed), self._tools.words(self.server)))
        else:
            self.failure = self.host_key = None
            self.openings += 1
            self._become(TunnelState.UP)

    async def _log_in(self, ssh: SshServer, trace: Trace) -> SshConnection:
        key = await self._tools.key_of(self.server)
        self._seen = self._files()  # the key may just have been made
        try:
            return await self._tools.logins.log_in(ssh, key, trace, patient=True)
        except (Failed, *ENDING):
            raise
        except BaseException as error:  # its stage is known here
            log.debug("tunnel of %s", self.server.name, exc_info=True)
            raise unexpected(error) from None

    async def _stay_up(self) -> None:
        """Hold the tunnel until it breaks."""
        ssh = self._ssh
        assert ssh is not None  # noqa: S101 - that is what up means
        opened = time.monotonic()
        await ssh.lost()
        lost = ssh.loss()
        self._ssh = None
        if time.monotonic() - opened >= STEADY_SECONDS:
            self._attempts.forget()
        self.failure = explain(lost, lost.stage or Stage.FORWARD, self._tools.words(self.server))
        self._become(TunnelState.LOST, reason=lost.detail)

    async def _after_loss(self) -> None:
        """Try again soon, but not at once: many servers lose one jumpbox together."""
        seconds = self._attempts.next_delay(Retry.NETWORK)
        if seconds > SOON_SECONDS:
            self._become(TunnelState.WAITING, wait=seconds)
        else:
            await self._sleep(seconds)
            self._become(TunnelState.OPENING)

    async def _wait(self) -> None:
        """Wait for the next attempt's time."""
        at = self.retry_at or 0.0
        await self._sleep(max(0.0, at - time.monotonic()))
        self._become(TunnelState.OPENING)

    async def _wait_for_person(self) -> None:
        """Wait until somebody asks for an attempt, or mends a file that the last one stumbled over."""
        while self._files() == self._seen and not self._wake.is_set():
            await self._sleep(LOOK_SECONDS)
        self._become(TunnelState.OPENING)

    def _files(self) -> tuple[tuple[int, ...], ...]:
        """Return how the key's file and the trusted host keys' are; their modes count too."""
        key = self._tools.keys.path(self.server.key_name)
        return tuple(map(file_state, (key, self._tools.known_hosts.path)))

    def _put_off(self, failure: Failure) -> None:
        """Enter the state in which the next attempt is waited for."""
        self.failure = failure
        retry = ROWS[failure.cause].retry.tunnel
        if retry is Retry.PERSON:
            self._attempts.forget(retry)
            self._become(TunnelState.STOPPED)
        else:
            self._become(TunnelState.WAITING, wait=self._attempts.next_delay(retry))

    async def _sleep(self, seconds: float) -> None:
        """Sleep until the time is over or ``retry_now`` was called since the last attempt began."""
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            return
        self._attempts.forget()

    async def next_change(self) -> None:
        """Wait until the tunnel enters a state."""
        self._changed.clear()
        await self._changed.wait()

    def _become(self, state: TunnelState, *, reason: str = "", wait: float | None = None) -> None:
        """Enter a state and tell it, with the reason; ``wait``: seconds to the next attempt."""
        self.state = state
        self.retry_at = None if wait is None else time.monotonic() + wait
        self._changed.set()
        down = state in {TunnelState.WAITING, TunnelState.STOPPED}
        self._emit(
            TunnelChanged(
                at=time.time(),
                server=self.server.name,
                state=state,
                reason=reason or (self.failure.summary if self.failure else ""),
                failure=self.failure if down else None,
                host_key=self.host_key,
                retry_at=None if wait is None else time.time() + wait,
                local=self._door.local,
            )
        )

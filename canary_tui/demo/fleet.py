"""The embedded fleet behind ``canary demo``: real databases behind a real SSH server, gone when it ends."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AsyncExitStack, suppress
from queue import SimpleQueue
from typing import TYPE_CHECKING, Self

from canary_tui.demo.folder import demo_folder
from canary_tui.demo.mariadb import MariaDB
from canary_tui.demo.mariadb import installed_server as installed_mariadb
from canary_tui.demo.postgresql import PostgreSQL, installed_programs
from canary_tui.demo.process import DemoUnavailable
from canary_tui.demo.settings import LEGACY, DemoServer, Ports, demo_servers, servers_yaml, targets
from canary_tui.paths import Paths, create_file, private_folder

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import TracebackType

    from canary_tui.demo.settings import Target

__all__ = ["DemoFleet", "DemoServer", "DemoUnavailable"]

PASSWORD = "CANARY_DEMO_PASSWORD"  # noqa: S105 - a variable's name
WRONG_PASSWORD = "CANARY_DEMO_WRONG_PASSWORD"  # noqa: S105 - a variable's name


class DemoFleet:
    """A context manager that is the demo while it is entered.

    Everything stands in ``folder``, a private temporary folder. The servers run in processes that die with
    this one, the SSH server in a thread with a loop of its own, so that a front end that is stuck does not
    hold it up. ``say`` gets a line for people at each step of the start, in the thread that enters.

    Entering raises DemoUnavailable, whose text says what is missing. Leaving removes everything.
    """

    folder: Path
    paths: Paths
    servers: tuple[DemoServer, ...]

    def __init__(self, say: Callable[[str], None] = lambda _: None) -> None:
        self._say = say
        self._password = secrets.token_urlsafe(16)
        self._news: SimpleQueue[str | None] = SimpleQueue()
        self._variables: dict[str, str] = {}
        # One thread from the first process to the last: the kernel ends them when *it* ends.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="canary-demo")
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._ended: Future[None] | None = None
        self._closing = False

    def __enter__(self) -> Self:
        """Start everything. Raises DemoUnavailable."""
        installed_programs()
        self._claim(PASSWORD, self._password)
        self._claim(WRONG_PASSWORD, secrets.token_urlsafe(16))
        try:
            self._ended = self._thread.submit(asyncio.run, self._run())
            self._ended.add_done_callback(lambda _: self._news.put(None))
            while (line := self._news.get()) is not None:
                self._say(line)
            if self._ended.done():
                self._ended.result()
        except OSError as error:
            self._close()
            raise DemoUnavailable(f"The demo could not start: {error}") from error
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the servers, remove the folder and the variables."""
        self._close()

    def _close(self) -> None:
        self._closing = True
        if self._loop is not None and self._task is not None:
            with suppress(RuntimeError):  # the loop is closed: it ended by itself
                self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.shutdown(wait=True)
        for name in self._variables.values():
            os.environ.pop(name, None)
        self._variables.clear()

    def _claim(self, name: str, value: str) -> None:
        """Set a variable of this process under a name that is free: a shell of another demo has its own."""
        free, number = name, 1
        while free in os.environ:
            number += 1
            free = f"{name}_{number}"
        os.environ[free] = value
        self._variables[name] = free

    async def _run(self) -> None:
        self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
        if self._closing:  # before there was a task to cancel
            return
        async with AsyncExitStack() as stack:
            self.folder = stack.enter_context(demo_folder())
            self.paths = Paths.below(self.folder)
            ports = await self._start_databases(stack)
            await self._start_ssh(stack, ports)
            self._news.put(None)
            await asyncio.Event().wait()  # until cancelled

    async def _start_databases(self, stack: AsyncExitStack) -> Ports:
        owner_password = secrets.token_urlsafe(16)
        postgresql = PostgreSQL(self.folder, owner_password=owner_password, reader_password=self._password)
        stack.push_async_callback(postgresql.stop)
        program = installed_mariadb()
        mariadb = MariaDB(self.folder, program, self._password) if program is not None else None
        if mariadb is not None:
            stack.push_async_callback(mariadb.stop)
        self._news.put("Starting PostgreSQL and MariaDB …" if mariadb else "Starting PostgreSQL …")
        extra = asyncio.create_task(self._start_extra(mariadb))
        try:
            await postgresql.start()
            return Ports(postgresql=postgresql.port, closed=_closed_port(stack), mariadb=await extra)
        finally:
            extra.cancel()
            await asyncio.wait([extra])

    async def _start_extra(self, mariadb: MariaDB | None) -> int | None:
        """Start MariaDB and return its port. The demo does without one that does not start."""
        if mariadb is None:
            return None
        try:
            await mariadb.start()
        except (DemoUnavailable, OSError) as error:
            self._news.put(f"This machine's MariaDB is left out: {error}")
            return None
        return mariadb.port

    async def _start_ssh(self, stack: AsyncExitStack, ports: Ports) -> None:
        from canary_tui.demo.jumpbox import jumpbox  # asyncssh, after the databases were sent off

        self._news.put("Starting the SSH server …")
        known = targets(ports)
        names = {(host, port): target for host, port, target in known.values()}
        authorized_keys = self.folder / "authorized_keys"
        server = await stack.enter_async_context(jumpbox(names, authorized_keys))
        create_file(authorized_keys, self._keys(known).encode())
        create_file(self.paths.known_hosts, server.known_host.encode())
        private_folder(self.paths.state)
        private_folder(self.paths.runtime)
        variables = (self._variables[PASSWORD], self._variables[WRONG_PASSWORD])
        create_file(self.paths.servers, servers_yaml(ports, server.port, *variables).encode())
        self.servers = demo_servers(ports)

    def _keys(self, known: dict[str, tuple[str, int, Target]]) -> str:
        """Make the servers' keys and return the authorized_keys that lets them in, all but one."""
        from canary_tui.keys.authorized import restricted_line
        from canary_tui.keys.store import KeyStore

        store = KeyStore(self.paths.keys)
        keys = {name: store.create(name, "querycanary.com") for name in known}
        lines = [
            restricted_line(keys[name].line, host, port)
            for name, (host, port, _) in known.items()
            if name != LEGACY.name
        ]
        return "# Who may log in to the demo's SSH server; read at each login.\n" + "\n".join(lines) + "\n"


def _closed_port(stack: AsyncExitStack) -> int:
    """Return a port that refuses: bound, so that nobody else takes it, and never listened on."""
    sock = stack.enter_context(socket.socket())
    sock.bind(("127.0.0.1", 0))
    port: int = sock.getsockname()[1]
    return port

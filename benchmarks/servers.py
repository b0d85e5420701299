"""Where the benchmarks run: real servers, one user of canary-tui, and the same tunnels by ssh(1)."""

from __future__ import annotations

import itertools
import os
import signal
import sys
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from canary_tui.keys.authorized import restricted_line
from canary_tui.keys.store import KeyStore
from tests.harness.accounts import remove_login_account
from tests.harness.folders import workspace
from tests.harness.mariadb import MariaDB
from tests.harness.ports import free_port, wait_for
from tests.harness.postgres import Postgres
from tests.harness.process import binary, find_binary, spawn
from tests.harness.sshd import Sshd

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator, Sequence

STARTUPS = {"MaxStartups": "2000", "LogLevel": "INFO"}
"""sshd must not turn away two hundred logins at once; its debug log would be what is measured."""
UP_SECONDS = 400.0
RECONNECTING = "AUTOSSH_GATETIME=0"
"""autossh(1): try again even when the very first login failed."""
PASSWORD = "CANARY_BENCH_PASSWORD_"  # noqa: S105 - the name of a variable
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Tunnel:
    """One server of the list: its key, its local port, where it leads."""

    name: str
    key: Path
    local_port: int
    database: Postgres | MariaDB


class Servers:
    """Servers that end with it; each is started when it is asked for first."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._things = ExitStack()

    def close(self) -> None:
        """Stop all servers."""
        self._things.close()

    def sshd(self) -> Sshd:
        """Start an SSH server that takes many logins at once."""
        return self._things.enter_context(Sshd(self.folder / f"sshd-{next(_numbers)}", STARTUPS))

    def postgres(self) -> Postgres:
        """Start a PostgreSQL that as many may use as there are tunnels in any benchmark."""
        settings = {"max_connections": "200"}
        return self._things.enter_context(
            Postgres(self.folder / f"postgres-{next(_numbers)}", settings=settings)
        )

    def mariadb(self) -> MariaDB:
        """Start a MariaDB."""
        return self._things.enter_context(MariaDB(self.folder / f"mariadb-{next(_numbers)}"))

    def user(self, sshd: Sshd) -> User:
        """Make a user who has an account on an SSH server."""
        return User(self.folder / f"user-{next(_numbers)}", sshd)


@contextmanager
def servers() -> Iterator[Servers]:
    """Give a place for servers, and clear it away at the end."""
    with workspace() as folder:
        made = Servers(folder)
        try:
            yield made
        finally:
            made.close()
            remove_login_account()


class User:
    """One user's files, as canary-tui and ssh(1) read them: both use the same keys and the same host key."""

    def __init__(self, folder: Path, sshd: Sshd) -> None:
        self.folder = folder
        self.sshd = sshd
        self.tunnels: list[Tunnel] = []
        folder.mkdir(mode=0o700)  # it is the runtime folder as well, which must be private
        self._files = folder / "canary-tui"
        self._files.mkdir(mode=0o700)
        self.known_hosts = self._files / "known_hosts"
        lines = [f"[{sshd.host}]:{sshd.port} {key}\n" for key in sshd.host_public_keys]
        self.known_hosts.write_text("".join(lines))

    def add(self, database: Postgres | MariaDB, count: int = 1) -> list[Tunnel]:
        """Give the user servers, each with a key of its own that may do nothing but reach its database."""
        store = KeyStore(self._files / "keys")
        added = []
        for number in range(len(self.tunnels), len(self.tunnels) + count):
            name = f"server-{number}"
            key = store.create(name, "querycanary.com")
            self.sshd.authorize(restricted_line(key.line, database.host, database.port))
            added.append(Tunnel(name, key.path, free_port(), database))
        self.tunnels += added
        return added

    def canary(self, *, every: str = "10s") -> Canary:
        """Write the servers file and start ``canary watch``, the product without its screens."""
        self.write(every)
        program = str(Path(sys.executable).with_name("canary"))
        command = ["env", *self.environment(), program, "watch"]
        return Canary(command, self.folder / f"canary-{next(_numbers)}.log")

    def write(self, every: str) -> None:
        """Write the servers file."""
        entries = "".join(self._entry(tunnel, every) for tunnel in self.tunnels)
        (self._files / "servers.yaml").write_text(f"version: 1\nservers:\n{entries}")

    def append(self, entry: str) -> None:
        """Add an entry to the servers file."""
        with (self._files / "servers.yaml").open("a") as file:
            file.write(entry)

    def password(self, database: Postgres | MariaDB) -> str:
        """Return where a database's password is found, as the servers file says it."""
        return f"{{env: {PASSWORD}{database.port}}}"

    def environment(self) -> list[str]:
        """Return the variables that lead canary-tui to this user's files."""
        folders = ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR")
        databases = {t.database.port: t.database for t in self.tunnels}.values()
        passwords = [f"{PASSWORD}{database.port}={database.password}" for database in databases]
        return [*(f"{name}={self.folder}" for name in folders), *passwords]

    def ssh(self, tunnel: Tunnel, *options: str) -> Tool:
        """Open a tunnel by ``ssh -N -L``, with nothing of this machine's own SSH settings."""
        return Tool([binary("ssh"), *self._ssh_arguments(tunnel, *options)], self.folder / "ssh.log")

    def autossh(self, tunnel: Tunnel) -> Tool:
        """Open a tunnel by autossh(1), which starts ssh(1) anew whenever it ends."""
        arguments = self._ssh_arguments(tunnel, "-o", "ServerAliveInterval=4", "-o", "ServerAliveCountMax=2")
        command = ["env", RECONNECTING, binary("autossh"), "-M", "0", *arguments]
        return Tool(command, self.folder / "ssh.log")

    def _ssh_arguments(self, tunnel: Tunnel, *options: str) -> list[str]:
        settings = (
            "IdentitiesOnly=yes",
            "BatchMode=yes",
            "ExitOnForwardFailure=yes",
            "StrictHostKeyChecking=yes",
        )
        more = [word for setting in settings for word in ("-o", setting)]
        forward = f"127.0.0.1:{tunnel.local_port}:{tunnel.database.host}:{tunnel.database.port}"
        where = ["-p", str(self.sshd.port), f"{self.sshd.user}@{self.sshd.host}"]
        trust = ["-o", f"UserKnownHostsFile={self.known_hosts}", "-i", str(tunnel.key)]
        return ["-F", "none", "-N", "-L", forward, *trust, *more, *options, *where]

    def _entry(self, tunnel: Tunnel, every: str) -> str:
        database, ssh = tunnel.database, self.sshd
        engine = "postgresql" if isinstance(database, Postgres) else "mysql"
        login = f"name: {database.database}, user: {database.user}, password: {self.password(database)}"
        return (
            f"  - name: {tunnel.name}\n    engine: {engine}\n    database: {{host: {database.host}, "
            f"port: {database.port}, {login}}}\n"
            f"    ssh: {{host: {ssh.host}, port: {ssh.port}, user: {ssh.user}, key: {tunnel.name}, "
            f"local_port: {tunnel.local_port}}}\n    probe: {{every: {every}, timeout: 5s}}\n"
        )


class Tool:
    """A program under way; it ends with the ``with`` block, and with this process in any case."""

    def __init__(self, command: Sequence[str], log: Path) -> None:
        self._command = command
        self.log = log
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process's id."""
        if self._process is None:
            raise RuntimeError("it was not started")
        return self._process.pid

    def start(self) -> None:
        """Start it."""
        self._process = spawn(
            [binary(self._command[0]), *self._command[1:]], self.log, parent_death=signal.SIGTERM
        )

    def stop(self) -> None:
        """End it and wait for that."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            self._process.wait(20)

    def __enter__(self) -> Tool:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class Canary(Tool):
    """``canary watch`` under way; what it prints tells which tunnels are up and which databases answer."""

    def __init__(self, command: Sequence[str], log: Path) -> None:
        super().__init__(command, log)
        self._said: dict[str, set[str]] = {"up": set(), "answers": set()}
        self._read = 0

    def __enter__(self) -> Canary:
        self.start()
        return self

    def wait_up(self, count: int) -> None:
        """Wait until so many tunnels are up. Raises TimeoutError with what was said last."""
        self._wait("up", count)

    def wait_answered(self, count: int) -> None:
        """Wait until so many databases have answered. Raises TimeoutError with what was said last."""
        self._wait("answers", count)

    def _wait(self, what: str, count: int) -> None:
        try:
            wait_for(lambda: self._servers(what) >= count, UP_SECONDS)
        except TimeoutError as error:
            raise TimeoutError(self.log.read_text("utf-8")[-2000:]) from error

    def _servers(self, what: str) -> int:
        """Return of how many servers it was said so far that they are up, or answer."""
        if self.log.exists():
            # Only what is new: a look at hundreds of lines every few milliseconds would be measured too.
            with self.log.open("rb") as file:
                file.seek(self._read)
                new = file.read().rpartition(b"\n")[0]
            self._read += len(new)
            for words in map(str.split, new.decode("utf-8").splitlines()):
                if len(words) > 4 and words[3] in {"tunnel", "✓"} and words[4] in self._said:
                    self._said[words[4]].add(words[2])
        return len(self._said[what])


def wait_listening(ports: Sequence[int], limit: float = UP_SECONDS) -> None:
    """Wait until all of these ports are listened on, without connecting to any."""
    for port in ports:
        # One after the other: to go through the whole table for all of them would be measured too.
        line = f"0100007F:{port:04X} 00000000:0000 0A"
        wait_for(partial(_is_in_table, line), limit, "the port is listened on")


def _is_in_table(line: str) -> bool:
    return line in Path("/proc/net/tcp").read_text("ascii")


def installed(program: str) -> bool:
    """Return whether a program is there to be measured."""
    return find_binary(program) is not None


def bench_environment(database: Postgres) -> dict[str, str]:
    """Return the environment in which psql finds its password."""
    return {"PGPASSWORD": database.password, "PATH": os.environ["PATH"], "LC_ALL": "C"}

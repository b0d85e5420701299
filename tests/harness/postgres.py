"""A real PostgreSQL server in a temporary folder."""

from __future__ import annotations

import contextlib
import re
import secrets
import shutil
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Literal

from tests.harness.accounts import Account, server_account
from tests.harness.certs import Certificate
from tests.harness.daemon import STOP_LIMIT, Daemon
from tests.harness.folders import from_template, make_folder, make_for
from tests.harness.ports import wait_for
from tests.harness.process import binary, run

StopMode = Literal["smart", "fast", "immediate"]

_STOP_SIGNALS: dict[StopMode, signal.Signals] = {
    "smart": signal.SIGTERM,
    "fast": signal.SIGINT,
    "immediate": signal.SIGQUIT,
}
_TEMPLATE_USER = "canary"
_TEMPLATE_DATABASE = "orders"
_SHARED_MEMORY_LINE = 6  # of postmaster.pid: "key id"

DEFAULT_HBA = ("host all all 127.0.0.0/8 scram-sha-256",)
"""Who may connect over TCP, in pg_hba.conf's words."""


class Postgres(Daemon):
    """A PostgreSQL server with a user (``user``, ``password``) that owns a database (``database``).

    ``settings`` are lines of postgresql.conf, ``hba`` lines of pg_hba.conf, ``tls`` the server's
    certificate: all three may be changed, and count at the next :meth:`start`. ``listen`` are the addresses;
    ``host`` is the first. The superuser ``postgres`` comes in through the unix socket only.
    """

    parent_death: ClassVar[signal.Signals] = signal.SIGQUIT  # an immediate stop frees its shared memory

    def __init__(
        self,
        folder: Path,
        *,
        tls: Certificate | None = None,
        settings: Mapping[str, str] | None = None,
        listen: Sequence[str] = ("127.0.0.1",),
        hba: Sequence[str] = DEFAULT_HBA,
        port: int | None = None,
        user: str = _TEMPLATE_USER,
        database: str = _TEMPLATE_DATABASE,
    ) -> None:
        super().__init__(folder, "postgres.log", port)
        self.tls = tls
        self.settings = dict(settings or {})
        self.listen = tuple(listen)
        self.hba = tuple(hba)
        self.user = user
        self.password = secrets.token_urlsafe(16)
        self.database = database
        self.account: Account | None = server_account("postgres")
        self.data = self.folder / "data"
        self._sockets: Path | None = None

    def start(self) -> None:
        """Start the server; the first time with a fresh data folder, the user and the database."""
        fresh = not self.data.exists()
        super().start()
        if fresh:
            # Renaming what the template has takes 0.2 s less than CREATE DATABASE.
            role, database = _TEMPLATE_USER, _TEMPLATE_DATABASE
            sql = f"ALTER ROLE {role} PASSWORD '{self.password}';"
            if self.user != role:
                sql += f'ALTER ROLE {role} RENAME TO "{self.user}";'
            if self.database != database:
                sql += f'ALTER DATABASE {database} RENAME TO "{self.database}";'
            self.execute(sql)

    def stop(self, mode: StopMode = "fast", limit: float = STOP_LIMIT) -> None:
        """Stop as ``pg_ctl stop -m mode`` does; killed when not done after ``limit`` seconds."""
        self._stop_with(_STOP_SIGNALS[mode], limit)

    def close(self) -> None:
        """Stop for good; remove the socket folder and the shared memory that a kill left."""
        self.stop("immediate")
        if self._sockets is not None:
            shutil.rmtree(self._sockets, ignore_errors=True)
            self._sockets = None
        left = self.data / "postmaster.pid"
        if left.exists() and len(lines := left.read_text().splitlines()) > _SHARED_MEMORY_LINE:
            with contextlib.suppress(RuntimeError):  # it may be gone already
                run(["ipcrm", "-m", lines[_SHARED_MEMORY_LINE].split()[1]])
            left.unlink()

    def execute(self, sql: str, database: str = "postgres") -> str:
        """Run SQL as the superuser; the rows, one a line, their fields separated by ``|``.

        Raises ``RuntimeError`` with the server's message.
        """
        if self._sockets is None:
            raise RuntimeError("PostgreSQL was not started")
        command = ["psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-f", "-"]
        command += ["-h", str(self._sockets), "-p", str(self.port), "-U", "postgres", "-d", database]
        return run(command, stdin=sql, cwd=self.folder).rstrip("\n")

    def create_user(self, name: str, password: str | None = None, options: str = "LOGIN") -> str:
        """Create a role with CREATE ROLE's ``options``; returns its password, a random one by default."""
        password = password if password is not None else secrets.token_urlsafe(16)
        self.execute(f"CREATE ROLE \"{name}\" {options} PASSWORD '{password}'")
        return password

    def create_database(self, name: str, owner: str | None = None) -> None:
        """Create a database, owned by ``owner`` or by the superuser."""
        self.execute(f'CREATE DATABASE "{name}" OWNER "{owner or "postgres"}"')

    def set_hba(self, lines: Sequence[str]) -> None:
        """Replace who may connect over TCP and wait until it counts."""
        self.hba = tuple(lines)
        if self.running:
            self.reload()

    def show(self, certificate: Certificate) -> None:
        """Show another certificate to new connections from now on."""
        self.tls = certificate
        certificate.install(self._owner(), self.data)
        self.reload()

    def reload(self) -> None:
        """Write ``settings`` and ``hba``, reload them and wait until new connections are held to them."""
        self._write_settings()
        before = self.execute("SELECT pg_conf_load_time()")
        # The postmaster loads both files in one go, and a backend is forked before it or after it.
        self._signal_main(signal.SIGHUP)
        what = "PostgreSQL has loaded its settings again"
        wait_for(lambda: self.execute("SELECT pg_conf_load_time()") != before, what=what)

    def connections_seen(self) -> int:
        """How many TCP connections have come in so far, whatever became of them."""
        return len(re.findall(r"connection received: host=(?!\[local\])", self.log_text()))

    def logins_seen(self, user: str | None = None) -> int:
        """How many logins of ``user`` (``self.user`` by default) were authorized so far."""
        return self.log_text().count(f"connection authorized: user={user or self.user} ")

    def _owner(self) -> tuple[int, int] | None:
        return self.account.owner if self.account is not None else None

    def _signal_main(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)

    def _is_ready(self, log: str) -> bool:
        return "database system is ready to accept connections" in log

    def _prepare(self) -> list[str]:
        make_for(self._owner(), self.folder, 0o711)
        if self._sockets is None:
            # A folder of its own: a unix socket's path has 107 bytes at most.
            self._sockets = make_for(self._owner(), make_folder(), 0o755)
        if not self.data.exists():
            from_template("postgres", self._initialise, self.data)
        if self.tls is not None:
            self.tls.install(self._owner(), self.data)
        self._write_settings()
        return [binary("postgres"), "-D", str(self.data)]

    def _initialise(self, folder: Path) -> None:
        make_for(self._owner(), folder)
        command = ["initdb", "-D", str(folder), "-U", "postgres", "--no-sync", "--encoding=UTF8"]
        command += ["--locale=C", "--auth-local=trust", "--auth-host=scram-sha-256", "--wal-segsize=4"]
        run(command, owner=self._owner(), cwd=folder)
        sql = f"CREATE ROLE {_TEMPLATE_USER} LOGIN;\n"
        sql += f"CREATE DATABASE {_TEMPLATE_DATABASE} OWNER {_TEMPLATE_USER};\n"
        alone = ["postgres", "--single", "-F", "-D", str(folder), "postgres"]
        run(alone, owner=self._owner(), cwd=folder, stdin=sql)

    def _write_settings(self) -> None:
        quoted = {key: value.replace("'", "''") for key, value in self._settings().items()}
        lines = [f"{key} = '{value}'" for key, value in quoted.items()]
        (self.data / "postgresql.conf").write_text("\n".join(lines) + "\n")
        hba = ["local all postgres trust", *self.hba]
        (self.data / "pg_hba.conf").write_text("\n".join(hba) + "\n")

    def _settings(self) -> dict[str, str]:
        settings = {
            "listen_addresses": ",".join(self.listen),
            "port": str(self.port),
            "unix_socket_directories": str(self._sockets),
            "unix_socket_permissions": "0777",
            "password_encryption": "scram-sha-256",
            "fsync": "off",  # a kill loses nothing: what was written is in the kernel
            "full_page_writes": "off",
            "wal_level": "minimal",
            "max_wal_senders": "0",
            "shared_buffers": "16MB",
            "dynamic_shared_memory_type": "mmap",
            "log_connections": "on",
            "log_disconnections": "on",
            "log_line_prefix": "%m [%p] ",
        }
        if self.tls is not None:
            settings |= {"ssl": "on", "ssl_ca_file": "ca.crt"}
        return settings | self.settings

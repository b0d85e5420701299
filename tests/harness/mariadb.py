"""A real MariaDB server in a temporary folder."""

from __future__ import annotations

import getpass
import re
import secrets
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.harness.accounts import Account, server_account
from tests.harness.certs import Certificate
from tests.harness.daemon import Daemon
from tests.harness.folders import from_template, make_folder, make_for
from tests.harness.process import binary, run

_SMALL = {
    "innodb_buffer_pool_size": "8M",
    "innodb_log_file_size": "4M",
    "innodb_data_file_path": "ibdata1:12M:autoextend",
    "innodb_autoextend_increment": "1",
    "innodb_temp_data_file_path": "ibtmp1:1M:autoextend",
    "innodb_flush_log_at_trx_commit": "2",  # no fsync, and yet a kill loses nothing
    "innodb_doublewrite": "0",
    "innodb_use_native_aio": "0",
    "innodb_fast_shutdown": "2",
    "innodb_buffer_pool_dump_at_shutdown": "0",
    "innodb_buffer_pool_load_at_startup": "0",
    "aria_pagecache_buffer_size": "1M",
    "key_buffer_size": "1M",
}
"""Start and stop quickly; nothing here outlives its test."""


class MariaDB(Daemon):
    """A MariaDB server with a user (``user``@'%', ``password``) that may use a database (``database``).

    ``settings`` are server variables; they, ``tls``, ``require_tls``, ``bind``, ``resolve_names`` and
    ``max_connect_errors`` may be changed, and count at the next :meth:`start`. ``bind`` are the addresses;
    ``host`` is the first. ``max_connect_errors`` counts with ``resolve_names`` only (without, MariaDB keeps
    no host cache), and never for the client address 127.0.0.1: come from 127.0.0.2, through a ``Proxy``.
    """

    def __init__(
        self,
        folder: Path,
        *,
        tls: Certificate | None = None,
        require_tls: bool = False,
        settings: Mapping[str, str] | None = None,
        bind: Sequence[str] = ("127.0.0.1",),
        resolve_names: bool = False,
        max_connect_errors: int | None = None,
        port: int | None = None,
        user: str = "canary",
        database: str = "orders",
    ) -> None:
        super().__init__(folder, "mariadb.log", port)
        self.tls = tls
        self.require_tls = require_tls
        self.settings = dict(settings or {})
        self.bind = tuple(bind)
        self.resolve_names = resolve_names
        self.max_connect_errors = max_connect_errors
        self.user = user
        self.password = secrets.token_urlsafe(16)
        self.database = database
        self.account: Account | None = server_account("mysql")
        self.data = self.folder / "data"
        self.general_log = self.folder / "general.log"
        self._sockets: Path | None = None
        self._not_counted = 0

    def start(self) -> None:
        """Start the server; the first time with a fresh data folder, the user and the database."""
        fresh = not self.data.exists()
        was_running = self.running
        super().start()
        if fresh:
            self.create_database(self.database)
            self.create_user(self.user, self.password, grant=f"ALL ON `{self.database}`.*")
        if not was_running:
            self._not_counted = 0
            self._not_counted = self.connections_attempted()

    def close(self) -> None:
        """Stop for good and remove the socket folder."""
        self.kill()  # nothing to save, and a shutdown takes a second
        if self._sockets is not None:
            shutil.rmtree(self._sockets, ignore_errors=True)
            self._sockets = None

    def execute(self, sql: str, database: str = "") -> str:
        """Run SQL as root through the unix socket; the rows, one a line, their fields separated by tabs.

        Raises ``RuntimeError`` with the server's message.
        """
        if self._sockets is None:
            raise RuntimeError("MariaDB was not started")
        self._not_counted += 1
        command = ["mariadb", "--no-defaults", f"--socket={self._sockets}/mariadb.sock"]
        command += [f"--user={getpass.getuser()}", "--batch", "--skip-column-names", "--skip-ssl", database]
        return run([word for word in command if word], stdin=sql, cwd=self.folder).rstrip("\n")

    def create_user(
        self, name: str, password: str | None = None, host: str = "%", grant: str | None = None
    ) -> str:
        """Create a user, with what ``grant`` says (``SELECT ON db.*``); returns its password."""
        password = password if password is not None else secrets.token_urlsafe(16)
        self.execute(f"CREATE USER '{name}'@'{host}' IDENTIFIED BY '{password}'")
        if grant is not None:
            self.execute(f"GRANT {grant} TO '{name}'@'{host}'")
        return password

    def show(self, certificate: Certificate) -> None:
        """Show another certificate to new connections from now on."""
        self.tls = certificate
        certificate.install(self._owner(), self.folder)
        self.execute("FLUSH SSL")

    def create_database(self, name: str) -> None:
        """Create a database."""
        self.execute(f"CREATE DATABASE `{name}`")

    def status(self, name: str) -> int:
        """One number of SHOW GLOBAL STATUS, such as ``Aborted_connects``."""
        return int(self.execute(f"SHOW GLOBAL STATUS LIKE '{name}'").split("\t")[1])

    def connections_attempted(self) -> int:
        """How many connections have come in since the start, finished or not, but for our own."""
        return self.status("Connections") - self._not_counted

    def aborted_connects(self) -> int:
        """How many connections since the start were dropped before or at their login."""
        return self.status("Aborted_connects")

    def logins_seen(self, user: str | None = None) -> int:
        """How many logins of ``user`` (``self.user`` by default) over TCP were tried, over all starts."""
        log = self.general_log.read_text(errors="replace") if self.general_log.exists() else ""
        name = re.escape(user or self.user)
        return len(re.findall(rf"Connect\s+{name}@\S+ on .*using (?:TCP/IP|SSL/TLS)", log))

    def _owner(self) -> tuple[int, int] | None:
        return self.account.owner if self.account is not None else None

    def _is_ready(self, log: str) -> bool:
        return "ready for connections" in log

    def _prepare(self) -> list[str]:
        make_for(self._owner(), self.folder, 0o711)
        if self._sockets is None:
            # A folder of its own: a unix socket's path has 107 bytes at most.
            self._sockets = make_for(self._owner(), make_folder(), 0o755)
        if not self.data.exists():
            from_template("mariadb", self._initialise, self.data)
        if self.tls is not None:
            self.tls.install(self._owner(), self.folder)
        settings = [f"--{key}={value}" for key, value in self._settings().items()]
        return [binary("mariadbd"), "--no-defaults", *settings]

    def _initialise(self, folder: Path) -> None:
        make_for(self._owner(), folder)
        command = ["mariadb-install-db", "--no-defaults", f"--datadir={folder}", "--skip-test-db"]
        # The harness's own account is let in through the unix socket, without a password.
        command += ["--auth-root-authentication-method=socket", "--skip-name-resolve", "--force"]
        command += [f"--auth-root-socket-user={getpass.getuser()}"]
        # A server that starts removes the temporary tables in its folder for them, whoever made them.
        command += [f"--tmpdir={folder}"]
        command += [f"--{key}={value}" for key, value in _SMALL.items()]
        run(command, owner=self._owner(), cwd=folder)

    def _settings(self) -> dict[str, str]:
        settings = _SMALL | {
            "datadir": str(self.data),
            "tmpdir": str(self._sockets),
            "socket": f"{self._sockets}/mariadb.sock",
            "pid-file": str(self.folder / "mariadb.pid"),
            "port": str(self.port),
            "bind-address": ",".join(self.bind),
            "skip-name-resolve": "OFF" if self.resolve_names else "ON",
            "general-log": "ON",
            "general-log-file": str(self.general_log),
        }
        if self.tls is not None:
            names = {"ssl-cert": "server.crt", "ssl-key": "server.key", "ssl-ca": "ca.crt"}
            settings |= {key: str(self.folder / name) for key, name in names.items()}
        if self.require_tls:
            settings["require-secure-transport"] = "ON"
        if self.max_connect_errors is not None:
            settings["max-connect-errors"] = str(self.max_connect_errors)
        return settings | self.settings

"""A real PgBouncer: the pooler that most often stands where a PostgreSQL is expected."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tests.harness.accounts import Account, server_account
from tests.harness.daemon import Daemon
from tests.harness.folders import make_for
from tests.harness.process import binary


class PgBouncer(Daemon):
    """A PgBouncer on 127.0.0.1 that takes every database from ``behind``, a (host, port).

    ``users`` are those that it knows, with their passwords; ``settings`` more lines of pgbouncer.ini, which
    win over the defaults.
    """

    def __init__(
        self,
        folder: Path,
        behind: tuple[str, int],
        users: Mapping[str, str],
        settings: Mapping[str, str] | None = None,
        port: int | None = None,
    ) -> None:
        super().__init__(folder, "pgbouncer.log", port)
        self.behind = behind
        self.users = dict(users)
        self.settings = dict(settings or {})
        self.account: Account | None = server_account("postgres")
        make_for(self._owner(), self.folder, 0o711)

    def _owner(self) -> tuple[int, int] | None:
        return self.account.owner if self.account is not None else None

    def _prepare(self) -> list[str]:
        users, config = self.folder / "users.txt", self.folder / "pgbouncer.ini"
        users.write_text("".join(f'"{name}" "{password}"\n' for name, password in self.users.items()))
        settings = {
            "listen_addr": self.host,
            "listen_port": str(self.port),
            "unix_socket_dir": "",
            "auth_type": "scram-sha-256",
            "auth_file": str(users),
            "pool_mode": "transaction",
        } | self.settings
        lines = [f"{name} = {value}" for name, value in settings.items()]
        database = f"* = host={self.behind[0]} port={self.behind[1]}"
        config.write_text("\n".join(["[databases]", database, "[pgbouncer]", *lines, ""]))
        for path in (users, config):
            path.chmod(0o644)
        return [binary("pgbouncer"), str(config)]

    def _is_ready(self, log: str) -> bool:
        return f"listening on {self.host}:{self.port}" in log

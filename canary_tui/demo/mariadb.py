"""The demo's MariaDB, when the machine has one: its own data folder, its own account, no defaults."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING

from canary_tui.demo.process import Program, find_program, free_port, own_folder, server_account, write_for

if TYPE_CHECKING:
    from canary_tui.demo.process import Account

READER = "canary_reader"

_SETTINGS = {
    "innodb-buffer-pool-size": "8M",
    "innodb-log-file-size": "4M",
    "innodb-temp-data-file-path": "ibtmp1:1M:autoextend",
    "innodb-flush-log-at-trx-commit": "0",
    "innodb-doublewrite": "0",
    "innodb-use-native-aio": "0",
    "aria-pagecache-buffer-size": "1M",
    "key-buffer-size": "1M",
    "performance-schema": "OFF",
    "skip-name-resolve": "ON",
}
_BOOTSTRAP = ["--bootstrap", "--silent-startup", "--log-warnings=0", "--enforce-storage-engine="]

# There is no root account in it: the table of accounts is made empty, and this is all that is put into it.
_CONTENTS = """\
CREATE DATABASE shop;
CREATE TABLE shop.products (id INT PRIMARY KEY, name VARCHAR(40), price DECIMAL(8,2));
INSERT INTO shop.products VALUES
  (1, 'Bird seed, 5 kg', 11.90), (2, 'Nest box, oak', 49.00), (3, 'Perch, 60 cm', 7.90);
CREATE USER 'canary_reader'@'%' IDENTIFIED BY '{password}';
GRANT SELECT ON shop.* TO 'canary_reader'@'%';
"""


class MariaDB:
    """One MariaDB on loopback with the database ``shop``, which ``READER`` may read."""

    def __init__(self, folder: Path, program: Path, reader_password: str) -> None:
        self.port = 0
        self._folder = folder / "mariadb"
        self._program = program
        self._reader_password = reader_password  # letters, digits, '-' and '_': nothing to quote in SQL
        self._log = folder / "mariadb.log"
        self._server: Program | None = None

    async def start(self) -> None:
        """Make the data folder and start the server. Raises DemoUnavailable when it cannot."""
        account = server_account("mysql", "nobody")
        own_folder(self._folder, account)
        data = own_folder(self._folder / "data", account)
        command: list[str | Path] = [self._program, "--no-defaults", f"--datadir={data}"]
        command += [f"--{name}={value}" for name, value in _SETTINGS.items()]
        await self._initialise(command, account)
        contents = _CONTENTS.format(password=self._reader_password)
        first = write_for(account, self._folder / "contents.sql", contents)
        self.port = free_port()
        command += [f"--port={self.port}", "--bind-address=127.0.0.1", f"--init-file={first}"]
        command += [
            f"--socket={self._folder}/sock",
            f"--pid-file={self._folder}/pid",
            f"--tmpdir={self._folder}",
        ]
        self._server = await Program.start(command, account, self._log, cwd=self._folder)
        await self._server.ready("ready for connections")
        first.unlink()

    async def stop(self) -> None:
        """Stop at once; there is nothing to save, and a proper shutdown takes a second."""
        if self._server is not None:
            await self._server.stop(signal.SIGKILL)

    async def _initialise(self, command: list[str | Path], account: Account) -> None:
        # Only the system tables: mariadb-install-db would add help texts and a root account without password.
        tables = _system_tables(self._program)
        if tables is None:
            raise FileNotFoundError("MariaDB's system tables were not found")
        sql = "create database if not exists mysql;\nuse mysql;\n" + tables.read_text(encoding="utf-8")
        source = write_for(account, self._folder / "tables.sql", sql)
        bootstrap = [*command, *_BOOTSTRAP, f"--tmpdir={self._folder}"]
        log = self._log.with_name("mariadb-tables.log")
        tables_made = await Program.start(bootstrap, account, log, cwd=self._folder, stdin=source)
        await tables_made.succeeded()
        source.unlink()


def installed_server() -> Path | None:
    """Return the machine's MariaDB server program, or None. Oracle's MySQL is made in another way."""
    program = find_program("mariadbd", "mysqld")
    return program if program is not None and _system_tables(program) is not None else None


def _system_tables(program: Path) -> Path | None:
    share = program.parent.parent / "share"
    names = ("mariadb_system_tables.sql", "mysql_system_tables.sql")
    found = (share / folder / name for folder in ("mariadb", "mysql", "") for name in names)
    return next((path for path in found if path.is_file()), None)

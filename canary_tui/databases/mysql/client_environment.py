"""How the clients of MySQL and MariaDB are told where to go.

They read ``~/.my.cnf`` after every variable and after ``$MYSQL_HOME``, so it wins over both: only an option
file of our own as the first argument, or options as arguments, are stronger.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from canary_tui.databases.client_environment import NOWHERE, EngineClients, authorities, login_url
from canary_tui.databases.ways import Direct, LocalPort, LocalSocket, address
from canary_tui.diagnosis.stages import Cause, Failed, Stage
from canary_tui.paths import private_folder, replace_file
from canary_tui.servers.model import TlsMode

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from canary_tui.databases.ways import Way
    from canary_tui.servers.model import Database, Server

CLIENTS = frozenset(
    {"mysql", "mariadb", "mysqlpump", "mysqlcheck", "mariadbcheck", "mysql_upgrade"}
    | {f"mysql{tool}" for tool in ("admin", "analyze", "binlog", "dump", "import", "optimize", "repair")}
    | {f"mysql{tool}" for tool in ("show", "slap")}
    | {f"mariadb-{tool}" for tool in ("admin", "analyze", "binlog", "check", "dump", "import", "optimize")}
    | {f"mariadb-{tool}" for tool in ("repair", "show", "slap", "upgrade")}
)
"""Programs that take ``--defaults-file=`` as their first argument."""
WRAPPERS = "canary-clients"
"""The folder in PATH that has them under their names; another ``canary connect`` around us has its own."""
Option = tuple[str, str | None]

WRAPPER = """\
#!/bin/sh
# Made by canary-tui: a client that is started by its name keeps to this server, whatever ~/.my.cnf says.
program=$(PATH={path}; command -v "${{0##*/}}") || exit 127
case ${{1-}} in
--no-defaults)
    shift ;;
--defaults-file=* | --defaults-extra-file=*)
    file=${{1#*=}}
    shift
    exec "$program" --defaults-file="$file" {arguments} "$@" ;;
esac
exec "$program" --defaults-file={file} "$@"
"""


class MysqlClients(EngineClients):
    """See EngineClients."""

    def url(self) -> str:
        """Return the URL as the drivers of MySQL read it."""
        return login_url(self._server, self._way, lambda path: f"unix_socket={quote(path, safe='/')}")

    def shell_words(self) -> list[str]:
        """Return ``mysql`` with its options."""
        database = self._server.database
        if isinstance(self._way, LocalSocket):
            where = [f"--socket={self._way.path}"]
        else:
            host, port = address(database, self._way)
            where = ["-h", host, "-P", str(port)]
        name = [_name_as_argument(database.name)] if database.name else []
        return ["mysql", *where, "-u", self._server.user, *name]

    def prepare(self, folder: Path, environ: Mapping[str, str]) -> MysqlEnvironment:
        """Write option file and wrappers. Raises OSError."""
        return MysqlEnvironment(self._server, self._way, folder, environ.get("PATH", os.defpath))


class MysqlEnvironment:
    """One server's option file and wrappers, written into ``folder``. See ClientEnvironment.

    ``path`` is where programs are looked for. Raises OSError.
    """

    def __init__(self, server: Server, way: Way, folder: Path, path: str) -> None:
        database = server.database
        self._path = os.pathsep.join(
            one for one in path.split(os.pathsep) if one and Path(one).name != WRAPPERS
        )
        self._database = database
        self._folder = private_folder(folder)
        self._file = folder / "my.cnf"
        self._script = folder / "client"
        self._options: list[Option] = [("user", server.user), *_address(database, way)]
        self._options += _tls(database.tls, authorities(database), mariadb=self._is_mariadb("mysql"))
        self._write()
        self.variables = self._variables(way)

    def command(self, argv: Sequence[str]) -> list[str]:
        """Return ``argv`` with our options in it, where it is one of ``CLIENTS``.

        An option file that the user names stands for ours in everything but where to go, and as whom. Raises
        Failed for other programs where clients that they start could not be reached by wrappers.
        """
        program, *rest = argv
        if Path(program).name not in CLIENTS:
            if os.statvfs(self._folder).f_flag & getattr(os, "ST_NOEXEC", 0):
                detail = (
                    f"{self._folder} is mounted noexec: a client started by {program} would read ~/.my.cnf"
                )
                raise Failed(Cause.SETTINGS_INVALID, stage=Stage.SETTINGS, detail=detail)
            return list(argv)
        program = shutil.which(program, path=self._path) or program
        kind, _, file = (rest or [""])[0].partition("=")
        if kind in {"--defaults-file", "--defaults-extra-file"}:
            return [program, f"--defaults-file={file}", *map(_argument, self._options), *rest[1:]]
        if kind == "--no-defaults":
            del rest[0]
        return [program, f"--defaults-file={self._file}", *rest]

    def _variables(self, way: Way) -> dict[str, str]:
        """Return what is for programs that we do not know, and for scripts.

        What is not used leads nowhere, or a program that leaves the host out would use this machine's own
        database.
        """
        match way:
            case LocalPort() | Direct():
                host, port = address(self._database, way)
                where = {"MYSQL_HOST": host, "MYSQL_TCP_PORT": str(port), "MYSQL_UNIX_PORT": NOWHERE}
            case LocalSocket(socket):
                where = {"MYSQL_HOST": "localhost", "MYSQL_UNIX_PORT": socket}
        return {
            **where,
            "MYSQL_HOME": str(self._folder),
            # MySQL's clients read it even with --defaults-file (MySQL manual, "mysql_config_editor").
            "MYSQL_TEST_LOGIN_FILE": NOWHERE,
            # Never an empty element, which would mean the folder that we are in.
            "PATH": os.pathsep.join(filter(None, [str(self._folder / WRAPPERS), self._path])),
        }

    def _write(self) -> None:
        lines = ["[client]", *map(_line, self._options)]
        if self._database.name:
            lines += ["[mysql]", _line(("database", self._database.name))]
        replace_file(self._file, ("\n".join(lines) + "\n").encode())
        script = WRAPPER.format(
            path=shlex.quote(self._path),
            arguments=shlex.join(map(_argument, self._options)),
            file=shlex.quote(str(self._file)),
        )
        wrappers = private_folder(self._folder / WRAPPERS)
        replace_file(self._script, script.encode(), mode=0o700)
        for name in CLIENTS:
            if shutil.which(name, path=self._path):
                with suppress(FileExistsError):
                    (wrappers / name).symlink_to(self._script)

    def _is_mariadb(self, program: str) -> bool:
        found = shutil.which(program, path=self._path)
        return found is not None and "mariadb" in Path(found).resolve().name


def _name_as_argument(name: str) -> str:
    """Return a database's name so that it is not taken for an option."""
    return name if re.fullmatch(r"\w[\w.-]*", name) else f"--database={name}"


def _address(database: Database, way: Way) -> list[Option]:
    if isinstance(way, LocalSocket):
        return [("host", "localhost"), ("protocol", "socket"), ("socket", way.path)]
    host, port = address(database, way)
    return [("host", host), ("port", str(port)), ("protocol", "tcp")]


def _tls(tls: TlsMode, trusted: str, *, mariadb: bool) -> list[Option]:
    """Return TLS options for MariaDB's clients, or MySQL's own."""
    options = _options_of(tls)
    if mariadb:  # its client warns of every option that it does not know
        options = [option for option in options if option[0] != "loose-ssl-mode"]
    verifies = tls not in {TlsMode.DISABLE, TlsMode.PREFER} and trusted
    return [*options, ("ssl-ca", trusted)] if verifies else options


def _options_of(tls: TlsMode) -> list[Option]:
    if tls is TlsMode.DISABLE:
        return [("loose-skip-ssl", None), ("loose-ssl-mode", "DISABLED")]
    if tls is TlsMode.PREFER:
        return [("loose-ssl-mode", "PREFERRED"), ("loose-skip-ssl-verify-server-cert", None)]
    mode = {
        TlsMode.REQUIRE: "REQUIRED",
        TlsMode.VERIFY_CA: "VERIFY_CA",
        TlsMode.VERIFY_FULL: "VERIFY_IDENTITY",
    }
    skip = "" if tls is TlsMode.VERIFY_FULL else "skip-"
    return [("loose-ssl", None), ("loose-ssl-mode", mode[tls]), (f"loose-{skip}ssl-verify-server-cert", None)]


def _line(option: Option) -> str:
    name, value = option
    return name if value is None else f"{name} = {_quoted(value)}"


def _argument(option: Option) -> str:
    name, value = option
    return f"--{name}" if value is None else f"--{name}={value}"


def _quoted(text: str) -> str:
    """Quote a value of an option file (MariaDB's and MySQL's rules): one line, whatever is in it."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "\\r")
    return f'"{escaped}"'

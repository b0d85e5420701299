"""How the engines' own clients are told to use a tunnel: command, environment, option file."""

from __future__ import annotations

import shutil
import ssl
from pathlib import Path
from typing import TYPE_CHECKING

from canary_tui.diagnosis.stages import Cause, Failed, Stage
from canary_tui.paths import NoHome, expanded, private_folder, replace_file
from canary_tui.servers.model import Engine, TlsMode, default_user

if TYPE_CHECKING:
    from canary_tui.servers.model import Database, Server
    from canary_tui.servers.secrets import Secret


def client_command(
    server: Server, local: str, password: Secret | None, folder: Path
) -> tuple[list[str], dict[str, str]]:
    """Return the client program's command and its environment for a server.

    ``local`` is the tunnel's local end (``127.0.0.1:15432``, or a socket's path; empty for a direct
    server). Passwords go through the environment, never through arguments, which every user of the
    machine can read. MySQL's option file, without a password, is written into ``folder``. Raises Failed
    (``settings_invalid``) where the client could not keep to ``tls``.
    """
    if server.engine is Engine.POSTGRESQL:
        if local.startswith("/") and server.database.tls.required:
            # libpq ignores sslmode there, and says nothing (PostgreSQL manual, "Database Connection
            # Control Functions").
            detail = (
                f"psql does without TLS over a unix socket, and `tls: {server.database.tls.value}` asks for "
                "it; `ssh.listen: port` makes both possible"
            )
            raise Failed(Cause.SETTINGS_INVALID, stage=Stage.SETTINGS, detail=detail)
        return ["psql"], _postgresql(server, local, password)
    environment = _mysql(server, local, password, folder)
    return ["mysql"], environment


def _postgresql(server: Server, local: str, password: Secret | None) -> dict[str, str]:
    database = server.database
    user = database.user or default_user(server.engine)
    environment = {
        "PGUSER": user,
        "PGDATABASE": database.name or user,
        "PGSSLMODE": database.tls.value,
    }
    host, _, port = local.rpartition(":")
    if local.startswith("/"):
        environment |= {"PGHOST": local.rpartition("/")[0], "PGPORT": str(database.port)}
    elif local:
        # The real host, so that verify-full checks the database's own name; the address is ours.
        environment |= {"PGHOST": database.host, "PGHOSTADDR": host, "PGPORT": port}
    else:
        environment |= {"PGHOST": database.host, "PGPORT": str(database.port)}
    if authorities := _authorities(database):
        environment["PGSSLROOTCERT"] = authorities
    if password is not None:
        environment["PGPASSWORD"] = password.reveal()
    return environment


def _mysql(server: Server, local: str, password: Secret | None, folder: Path) -> dict[str, str]:
    database = server.database
    private_folder(folder)
    environment = {"MYSQL_HOME": str(folder)}
    lines = ["[client]", f"user = {_quoted(database.user or default_user(server.engine))}"]
    if local.startswith("/"):
        lines.append(f"socket = {_quoted(local)}")
    else:
        host, _, port = local.rpartition(":") if local else (database.host, "", str(database.port))
        environment |= {"MYSQL_HOST": host, "MYSQL_TCP_PORT": port}
        lines += [f"host = {host}", f"port = {port}", "protocol = tcp"]
    lines += _mysql_tls(database.tls, _authorities(database))
    lines += ["[mysql]", f"database = {_quoted(database.name)}"] if database.name else []
    replace_file(folder / "my.cnf", ("\n".join(lines) + "\n").encode())
    if password is not None:
        environment["MYSQL_PWD"] = password.reveal()
    return environment


def _mysql_tls(tls: TlsMode, ca_file: str) -> list[str]:
    """Return TLS options for the ``mysql`` of this machine: MariaDB's, or MySQL's own."""
    lines = _mysql_tls_lines(tls, ca_file)
    if _is_mariadb("mysql"):  # its client warns of every option that it does not know
        return [line for line in lines if "ssl-mode" not in line]
    return lines


def _is_mariadb(program: str) -> bool:
    found = shutil.which(program)
    return found is not None and "mariadb" in Path(found).resolve().name


def _mysql_tls_lines(tls: TlsMode, ca_file: str) -> list[str]:
    if tls is TlsMode.DISABLE:
        return ["loose-skip-ssl", "loose-ssl-mode = DISABLED"]
    if tls is TlsMode.PREFER:
        return ["loose-ssl-mode = PREFERRED", "loose-skip-ssl-verify-server-cert"]
    mode = {
        TlsMode.REQUIRE: "REQUIRED",
        TlsMode.VERIFY_CA: "VERIFY_CA",
        TlsMode.VERIFY_FULL: "VERIFY_IDENTITY",
    }
    skip = "" if tls is TlsMode.VERIFY_FULL else "skip-"
    lines = ["loose-ssl", f"loose-ssl-mode = {mode[tls]}", f"loose-{skip}ssl-verify-server-cert"]
    return [*lines, f"ssl-ca = {_quoted(ca_file)}"] if ca_file else lines


def _authorities(database: Database) -> str:
    """Return the file of the authorities to check against: the clients know neither ``~`` nor a default."""
    if database.ca_file:
        try:
            return str(expanded(database.ca_file))
        except NoHome as error:
            facts = {"ca_file": database.ca_file}
            raise Failed(
                Cause.CA_FILE_UNREADABLE, stage=Stage.SETTINGS, detail=str(error.strerror), facts=facts
            ) from None
    return (ssl.get_default_verify_paths().cafile or "") if database.tls.verifies else ""


def _quoted(text: str) -> str:
    """Quote a value of an option file (MariaDB's and MySQL's rules): one line, whatever is in it."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "\\r")
    return f'"{escaped}"'

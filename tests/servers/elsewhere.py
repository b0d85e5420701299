"""What in a client's surroundings leads to another database, and the commands that could follow it.

The other database is a real one, and everything that leads there has the login for it: a client that
followed would end well.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from canary_tui.servers.model import Listen
from tests.servers.world import World, with_ssh

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from canary_tui.servers.model import Server
    from tests.harness.mariadb import MariaDB
    from tests.harness.postgres import Postgres
    from tests.harness.sshd import Sshd

    Database = Postgres | MariaDB

WAYS = ["port", "socket", "direct"]
MY_CNF = "[client]\nhost=127.0.0.1\nport=${port}\nuser=${user}\npassword=${password}\n"
SERVICE = "[prod]\nhost=127.0.0.1\nport=${port}\nuser=${user}\npassword=${password}\ndbname=${database}\n"

PSQL = ["psql", "-XAtc", "select inet_server_port()"]
IN_A_SHELL = ["sh", "-c", f"env {shlex.join(PSQL)}"]
TLS = ["psql", "-XAtc", "select ssl from pg_stat_ssl where pid = pg_backend_pid()"]
DUMP = ["sh", "-c", 'pg_dump --schema-only >/dev/null && echo "$OUR_PORT"']

TO_ANOTHER_POSTGRESQL: dict[str, dict[str, str]] = {
    "service": {".pg_service.conf": SERVICE, "PGSERVICE": "prod"},
    "service-file": {"services.conf": SERVICE, "PGSERVICEFILE": "${home}/services.conf", "PGSERVICE": "prod"},
    "system-services": {"etc/pg_service.conf": SERVICE, "PGSYSCONFDIR": "${home}/etc", "PGSERVICE": "prod"},
    "host-and-port": {"PGHOST": "127.0.0.1", "PGPORT": "${port}", "PGPASSWORD": "${password}"},
    "address-of-a-socket": {"PGHOSTADDR": "127.0.0.9"},
    "address-of-a-direct-server": {"PGHOSTADDR": "127.0.0.9"},
    "user": {"PGUSER": "nobody", "PGDATABASE": "template1"},
    "options": {"PGOPTIONS": "-c role=pg_monitor -c search_path=pg_catalog"},
    "tls": {"PGSSLMODE": "verify-full", "PGSSLROOTCERT": "/etc/passwd", "PGREQUIRESSL": "1"},
    "certificate": {"PGSSLCERT": "/etc/passwd", "PGSSLKEY": "/etc/passwd", "PGSSLCRL": "/etc/passwd"},
    "methods": {"PGREQUIREAUTH": "none", "PGCHANNELBINDING": "require", "PGGSSENCMODE": "require"},
    "session": {"PGTARGETSESSIONATTRS": "standby"},
    "debian-cluster": {"PGCLUSTER": "99/nowhere", ".postgresqlrc": "15 main other\n"},
}

MYSQL = ["mysql", "-BNe", "select @@port"]
MARIADB_IN_A_SHELL = ["sh", "-c", "env mariadb -BNe 'select @@port'"]
MYSQL_BY_PATH = ["/usr/bin/mysql", "-BNe", "select @@port"]
MYSQLDUMP = ["sh", "-c", 'mysqldump orders >/dev/null && mysqladmin ping >/dev/null && echo "$OUR_PORT"']

TO_ANOTHER_MYSQL: dict[str, dict[str, str]] = {
    "client": {".my.cnf": MY_CNF},
    "mysql": {".my.cnf": MY_CNF.replace("[client]", "[mysql]") + MY_CNF.replace("[client]", "[mysqldump]")},
    "client-mariadb": {".my.cnf": MY_CNF.replace("client", "client-mariadb")},
    "mariadb-client": {".my.cnf": MY_CNF.replace("client", "mariadb-client")},
    "client-server": {".my.cnf": MY_CNF.replace("client", "client-server")},
    "included": {".my.cnf": "!include ${home}/more.cnf\n", "more.cnf": MY_CNF},
    "folder": {".my.cnf": "!includedir ${home}/conf.d/\n", "conf.d/x.cnf": MY_CNF},
    "suffix": {".my.cnf": MY_CNF.replace("client", "client_prod"), "MYSQL_GROUP_SUFFIX": "_prod"},
    "home": {"etc/my.cnf": MY_CNF, "MYSQL_HOME": "${home}/etc"},
    "mariadb-home": {"etc/my.cnf": MY_CNF, "MARIADB_HOME": "${home}/etc"},
    "variables": {"MYSQL_HOST": "127.0.0.1", "MYSQL_TCP_PORT": "${port}", "MYSQL_PWD": "${password}"},
    "sockets": {"MYSQL_UNIX_PORT": "/nowhere", "MARIADB_UNIX_PORT": "/nowhere"},
    "protocol": {".my.cnf": "[client]\nprotocol=socket\nsocket=/nowhere\n"},
    "login-file": {".mylogin.cnf": "no login file", "MYSQL_TEST_LOGIN_FILE": "${home}/.mylogin.cnf"},
    "other-user": {".my.cnf": "[client]\nuser=nobody\npassword=wrong\ndefault-auth=dialog\n"},
    "statement": {".my.cnf": "[mysql]\ninit-command=set session sql_select_limit=0\n"},
    "plug-ins": {"LIBMYSQL_PLUGINS": "dialog", "MARIADB_PLUGIN_DIR": "/nowhere"},
}


def reached(world: World, database: Database, sshd: Sshd, way: str, **changes: Any) -> Server:
    """List the server ``s1``, reached in one of WAYS."""
    server = world.server(database, None if way == "direct" else sshd, name="s1", **changes)
    if way == "socket":
        server = with_ssh(server, listen=Listen.SOCKET)
    world.write(server)
    return server


def lead_to(other: Database, home: Path, monkeypatch: pytest.MonkeyPatch, things: dict[str, str]) -> None:
    """Set variables, and write the files whose names have a dot or a slash in them."""
    facts = {"host": other.host, "port": str(other.port), "user": other.user, "home": str(home)}
    facts |= {"password": other.password, "database": other.database}
    for name, template in things.items():
        value = template
        for fact, text in facts.items():
            value = value.replace(f"${{{fact}}}", text)
        if "." not in name and "/" not in name:
            monkeypatch.setenv(name, value)
            continue
        (home / name).parent.mkdir(exist_ok=True, parents=True)
        (home / name).write_text(value)
        (home / name).chmod(0o600)

"""A user around whom all is hostile: servers, files, variables."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import asyncssh
import msgspec

from canary_tui.databases.mysql.wire import packet
from canary_tui.monitor.history.tables import APPLICATION_ID, FIRST, history_file
from canary_tui.servers.model import (
    Database,
    Engine,
    PasswordCommand,
    PasswordEnv,
    PasswordKeyring,
    ProbePlan,
    Server,
    SshServer,
    TlsMode,
)
from tests.harness.certs import Authority
from tests.harness.ports import free_port
from tests.servers.hostile import broken_keyring, hostile, program_named, raw, shell
from tests.servers.hostile_peers import (
    SSH_VERSION,
    SshServers,
    Talker,
    TlsDatabase,
    Turns,
    mysql_error,
    mysql_greeting,
    pg_error,
    pg_welcome,
    ssh_packet,
    ssh_string,
)
from tests.servers.world import World

PG, MY = Engine.POSTGRESQL, Engine.MYSQL
HOME = "home-mark\x1b]52;c;Zm9v\x07\nFORGED\u202e\x9b2J\udcff"
"""The folder in which the user's files are: what a file system takes for a name."""


class Hostile:
    """A user whose every server, file and variable is hostile."""

    def __init__(self, folder: Path, things: ExitStack) -> None:
        home = folder / HOME
        home.mkdir(parents=True)
        self.world = World(home)
        # The history is where the commands look for it, whose folders all lead to this one.
        self.world.paths = msgspec.structs.replace(self.world.paths, state=home)
        self._things = things
        self.servers: list[Server] = []
        self.variables = {
            "LOGNAME": hostile("mark-user", without="\0"),
            "USER": hostile("mark-user", without="\0"),
            "LANG": hostile("mark-locale", without="\0"),
            "LC_MESSAGES": hostile("mark-locale", without="\0"),
            "TZ": hostile("mark-zone", without="\0"),
            "TMPDIR": hostile("mark-temporary", without="\0"),
            "EDITOR": hostile("mark-editor", without="\0"),
            "CANARY_TEST_SECRET": "secret-word",
        } | broken_keyring(folder / "keyring", hostile("mark-keyring"))
        things.callback(self.world.close)
        self._databases(folder)
        self._ssh_servers()
        self._own_files()
        self.world.write(*self.servers)

    @property
    def names(self) -> list[str]:
        """All servers."""
        return [server.name for server in self.servers]

    def _add(
        self, name: str, port: int, *, engine: Engine = PG, ssh: SshServer | None = None, **more: Any
    ) -> None:
        fields: dict[str, Any] = {
            "host": "127.0.0.1",
            "port": port,
            "user": "reader",
            "name": "orders",
            "tls": TlsMode.DISABLE,
        }
        fields["password"] = PasswordEnv("CANARY_TEST_SECRET")
        self.servers.append(
            Server(
                name=name,
                engine=engine,
                database=Database(**(fields | more)),
                ssh=ssh,
                probe=ProbePlan(every=2.0, timeout=3.0),
            )
        )

    def _fake(self, *turns: bytes, first: bool = False) -> int:
        return self._things.enter_context(Turns(*turns, speaks_first=first)).port

    def _databases(self, folder: Path) -> None:
        def said(mark: str, size: int = 0) -> bytes:
            return hostile(mark, size=size).encode()

        certificate = Authority(folder / "ca", "mark-issuer\x1b]0;x\x07\u202e").issue(
            ["other.example"], common_name=hostile("mark-subject")[:60]
        )
        tls = self._things.enter_context(TlsDatabase(certificate))
        self._add(
            "pg-certificate",
            tls.port,
            tls=TlsMode.VERIFY_FULL,
            ca_file=str(certificate.ca.rename(folder / "ca.pem")),
        )
        self._add("pg-unknown-issuer", tls.port, tls=TlsMode.VERIFY_CA)
        early = self._fake(pg_error("53300", raw(hostile("mark-pg-early"))))
        self._add("pg-early", early, tls=TlsMode.PREFER)
        self._add(
            "pg-old",
            self._fake(b"E" + hostile("mark-pg-old", without="\0").encode() + b"\0"),
            tls=TlsMode.PREFER,
        )
        self._add("pg-login", self._fake(pg_error("28000", said("mark-pg-login"))))
        self._add("pg-long", self._fake(pg_error("3D000", said("mark-pg-long", 1_500))))
        query = pg_error("42601", said("mark-pg-query"))
        self._add("pg-query", self._fake(pg_welcome(said("mark-pg-parameter")), query))
        self._add("pg-babble", self._fake(said("mark-pg-babble")))
        greeting = mysql_greeting(b"8.0.36")
        self._add("my-early", self._fake(mysql_error(1040, said("mark-my-early"), 0), first=True), engine=MY)
        version = self._fake(mysql_greeting(said("mark-my-version")[:300]), first=True)
        self._add("my-version", version, engine=MY, tls=TlsMode.REQUIRE)
        switch = b"\xfe" + ascii_only(hostile("mark-my-plugin", without="\0")).encode() + b"\0" + bytes(21)
        plugin = self._fake(greeting, packet(switch, 2), mysql_error(1045, b"no", 4), first=True)
        self._add("my-plugin", plugin, engine=MY)
        login = self._fake(greeting, mysql_error(1045, said("mark-my-login", 20_000), 2), first=True)
        self._add("my-login", login, engine=MY)
        ok = b"\x07\0\0\x02\0\0\0\x02\0\0\0"
        query = mysql_error(1142, said("mark-my-query"), 1)
        self._add("my-query", self._fake(greeting, ok, query, first=True), engine=MY)
        self._add("tcp", self._fake(said("mark-tcp"), first=True), engine=Engine.TCP)

    def _ssh_servers(self) -> None:
        peers = self._things.enter_context(SshServers())
        self._host_key = " ".join(peers.host_key.export_public_key().decode().split()[:2])
        for name, moments in {
            "ssh-version": ("version",),
            "ssh-banner": ("banner", "debug"),
            "ssh-login": ("login",),
            "ssh-lost": ("lost",),
            "ssh-channel": (),
            "ssh-session": (),
        }.items():
            said = hostile(name.replace("ssh", "mark"), size=30_000 if name == "ssh-channel" else 0)
            port = peers.listen(
                lambda said=said, moments=moments: Talker(said, *moments),  # type: ignore[misc]
                process_factory=shell(said),
                encoding=None,
            )
            self._trust(port)
            self._behind(name, port)
        greeting = self._fake(raw(hostile("mark-greeting", without="\r\n")) + b"\r\n", first=True)
        self._behind("ssh-greeting", greeting)
        reason = struct_reason(hostile("mark-early").encode())
        self._behind("ssh-early", self._fake(SSH_VERSION + ssh_packet(1, reason), first=True))
        other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode().split()
        self._behind("ssh-since", port := peers.listen(lambda: Talker("")))
        self._known(port, f"{other[0]} {other[1]} trusted={ascii_only(hostile('mark-since'))}")

    def _behind(self, name: str, port: int, **more: Any) -> None:
        self._add(name, 5432, ssh=SshServer(host="127.0.0.1", port=port, user="me", **more))

    def _trust(self, port: int) -> None:
        self._known(port, self._host_key)

    def _known(self, port: int, key: str) -> None:
        path = self.world.paths.known_hosts
        path.touch(0o600)
        with path.open("a", encoding="utf-8", newline="\n") as file:
            file.write(f"[127.0.0.1]:{port} {key}\n")

    def _own_files(self) -> None:
        keys = self.world.paths.keys
        keys.mkdir(0o700)
        key = asyncssh.generate_private_key("ecdsa-sha2-nistp256", comment=hostile("mark-comment"))
        (keys / "commented").touch(0o600)
        (keys / "commented").write_bytes(key.export_private_key("openssh"))
        session = next(server for server in self.servers if server.name == "ssh-session")
        assert session.ssh is not None
        changed = msgspec.structs.replace(session, ssh=msgspec.structs.replace(session.ssh, key="commented"))
        self.servers[self.servers.index(session)] = changed
        self._behind("key-missing", 22, key="gone")
        said = "printf '%s' \"$0\" >&2; exit 3"
        self._add(
            "command",
            5432,
            password=PasswordCommand(("sh", "-c", said, hostile("mark-command", without="\0"))),
        )
        self._add("keyring", 5432, password=PasswordKeyring())
        self._port_taken()

    def _port_taken(self) -> None:
        port = free_port()
        code = program_named(b"mark-program\x1b]0", port)
        process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)

        def stop() -> None:
            process.kill()
            process.communicate()

        self._things.callback(stop)
        assert process.stdout is not None
        process.stdout.readline()
        self._behind("port-taken", self.servers[-1].database.port, local_port=port)

    def keep_a_past(self) -> None:
        """Write a history as nobody of ours would: whoever may write the file, or an older version."""
        path = history_file(self.world.paths)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        database = sqlite3.connect(path)
        for statement in FIRST:
            database.execute(statement)
        database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        database.execute("PRAGMA user_version = 1")
        now = round(time.time() * 1e6) - 600_000_000
        failure = {
            "stage": "query", "cause": "query_failed", "summary": hostile("mark-failure"),
            "remedies": [hostile("mark-remedy")], "detail": hostile("mark-detail"),
        }  # fmt: skip
        stages = msgspec.msgpack.encode([(~10, 1000, hostile("mark-note"))])
        rows = {
            "servers": (1, hostile("mark-name")),
            "failures": (1, msgspec.json.encode(failure).decode()),
            "probes": (now, 1, 1, 0, 1000, 2000, stages),
            "lines": (now + 1, 1, hostile("mark-line")),
            "incidents": (1, now / 1e6, now / 1e6 + 9, "query", "query_failed", hostile("mark-place"),
                          msgspec.json.encode([hostile("mark-name")]).decode(), hostile("mark-summary"),
                          hostile("mark-ended")),
        }  # fmt: skip
        for table, row in rows.items():
            database.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(row))})", row)
        database.commit()
        database.close()


def ascii_only(text: str) -> str:
    """Return what a line of known_hosts may hold, for a library that knows ASCII alone."""
    return "".join(c for c in text if c.isascii() and c not in "\n\r\x0b\x0c")


def struct_reason(text: bytes) -> bytes:
    """Return what SSH_MSG_DISCONNECT says (RFC 4253 §11.1)."""
    return (11).to_bytes(4, "big") + ssh_string(text) + ssh_string(b"en")


WRONG_FILES = {
    "key": '"mark-key\\e]0;x\\a\\x9b2J\\u202e\\u2028FORGED": 1\nservers: [{"datab\\u202ease": {}}]',
    "tag": "servers: !<%1B]0;mark-tag%07%C2%9B> []",
    "value": 'servers: [{name: a, engine: "mark-value\\e]0;x\\a\\r\\nFORGED\\u202e", database: {host: h}}]',
    "host": 'servers: [{name: a, engine: mysql, database: {host: "mark-host\\e]52;c;x\\a"}}]',
    "hidden": 'servers: [{name: a, engine: mysql, database: {host: "mark-hidden\\u200b.example"}}]',
    "user": 'servers: [{name: a, engine: mysql, database: {host: h, user: "mark-user\\x9b"}}]',
    "version": '{version: "mark-version\\e[2J"}',
    "tags": 'servers: [{name: a, engine: mysql, tags: ["mark-tags\\u2066"], database: {host: h}}]',
    "comment": 'defaults: {key_comment: "mark-key-comment\\nssh-ed25519 AAAA"}',
    "account": "servers: [{name: a, engine: mysql, database: {host: h}, "
    'ssh: {host: h, user: u, allow_users: ["mark-account\\e"]}}]',
    "raw": "servers: [\x1b]0;mark-raw\x07]",
    "surrogate": 'servers: [{name: "mark-surrogate\\ud800", engine: mysql, database: {host: h}}]',
}
"""What a servers file may hold where text is not text."""

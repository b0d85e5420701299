"""One hostile string through every source of text, and a look at every sink: nothing but text comes out.

Peers that cannot be had are stand-ins: SSH servers of asyncssh's, sockets that speak PostgreSQL and MySQL.
"""

from __future__ import annotations

import re
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncssh
import msgspec
import pytest
from textual.app import App
from textual.filter import LineFilter
from textual.widgets import Input

from canary_tui.databases.mysql.wire import packet
from canary_tui.diagnosis.printable import Source
from canary_tui.monitor.history.tables import APPLICATION_ID, FIRST, history_file
from canary_tui.monitor.service import Monitor
from canary_tui.servers.file import BadFile, read
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
from canary_tui.tui.app import CanaryApp
from canary_tui.tui.printing import PrintableOnly
from canary_tui.tui.screens.connection_test import ConnectionTest
from tests.harness.certs import Authority
from tests.harness.ports import free_port, wait_for
from tests.servers.cli import at_terminal, spawn, start
from tests.servers.hostile import (
    RAW,
    SSH_VERSION,
    SshServers,
    Talker,
    TlsDatabase,
    Turns,
    broken_keyring,
    check_json,
    dirt,
    hostile,
    mysql_error,
    mysql_greeting,
    pg_error,
    pg_welcome,
    program_named,
    raw,
    shell,
    ssh_packet,
    ssh_string,
    strings,
    svg_text,
    unprintable,
)
from tests.servers.test_story import screen_text
from tests.servers.world import World

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from rich.segment import Segment
    from textual.color import Color
    from textual.pilot import Pilot

PG, MY = Engine.POSTGRESQL, Engine.MYSQL
HOME = "home-mark\x1b]52;c;Zm9v\x07\nFORGED\u202e\x9b2J\udcff"
"""The folder in which the user's files are: what a file system takes for a name."""
SEEN: dict[Source, tuple[str, ...]] = {
    Source.SSH_GREETING: ("mark-greeting",),
    Source.SSH_VERSION: ("mark-version",),
    Source.SSH_ERROR: ("mark-early", "mark-login", "mark-channel"),
    Source.SSH_OUTPUT: ("mark-session",),
    Source.DATABASE_ERROR: (
        "mark-pg-early", "mark-pg-old", "mark-pg-login", "mark-pg-query", "mark-pg-long",
        "mark-my-early", "mark-my-plugin", "mark-my-login", "mark-my-query", "mark-tcp",
    ),
    Source.SETTINGS: ("mark-key", "mark-tag", "mark-value", "mark-host"),
    Source.KNOWN_HOSTS: ("mark-since",),
    Source.KEY_COMMENT: ("mark-comment",),
    Source.PATH: ("home-mark",),
    Source.PROGRAM: ("mark-program",),
    Source.COMMAND_ERRORS: ("mark-command",),
    Source.KEYRING: ("mark-keyring",),
    Source.HISTORY: ("mark-line", "mark-failure", "mark-note", "mark-place"),
}  # fmt: skip
"""By source: words that came out of it, cleaned, in some sink. What comes with them must not have."""


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


@pytest.fixture(scope="module")
def user(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hostile]:
    """The user, and all that is hostile around them, started."""
    with ExitStack() as things:
        yield Hostile(tmp_path_factory.mktemp("hostile"), things)


@pytest.fixture(scope="module")
def said(user: Hostile) -> dict[str, str]:
    """What each command wrote, by its words; those with ``--json`` only to stdout."""
    outputs: dict[str, str] = {}

    def note(words: str, out: str, err: str) -> None:
        if "--json" in words:
            outputs[words] = out
            outputs[f"{words} 2>"] = err
        else:
            outputs[words] = f"{out}\n{err}"
        assert "Traceback" not in err, err

    def run(*words: str) -> None:
        outcome = spawn(user.world, *words, **user.variables)
        note(" ".join(words), outcome.out, outcome.err)

    user.keep_a_past()
    note("watch", *watch(user))
    note("watch --json", *watch(user, "--json"))
    for words in ("list", "probe", "log", "incidents"):
        run(words)
        run(words, "--json")
    run("audit", "ssh-session", "--json")
    for name in ("ssh-session", "ssh-early", "ssh-login"):
        run("audit", name)
    for name in ("ssh-early", "ssh-greeting", "ssh-since"):
        run("trust", name)
    for name in ("ssh-login", "command", "port-taken"):
        run("connect", name, "--", "true")
    for form in ("restricted", "line", "script"):
        run("key", "ssh-session", "--format", form)
    run("rotate", "ssh-session")
    run("rotate", "ssh-session", "--check")
    run("rotate", "ssh-session", "--cancel")
    run("password", "keyring", "--forget")
    run("trust", hostile("mark-argument", without="\0"))
    run("probe", hostile("--mark-option", without="\0"))
    run("log", "--since", hostile("mark-since-option", without="\0"))
    run("--config", str(user.world.folder / hostile("mark-config", without="\0/")[:100]), "list")
    run("add", "a1", "--engine", "mysql", "--db-host", hostile("mark-db-host", without="\0"))
    return outputs


def watch(user: Hostile, *words: str) -> tuple[str, str]:
    """Run ``canary watch`` until each server was probed; return what it wrote."""
    lines: list[str] = []
    with start(user.world, "watch", *words, stdin=subprocess.DEVNULL, **user.variables) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        reading = threading.Thread(target=lines.extend, args=(process.stdout,))
        reading.start()

        def probed(name: str) -> bool:
            return any(name in line and ("✕" in line or '"failure":{' in line) for line in lines)

        try:
            wait_for(lambda: all(map(probed, user.names)), 30, "a probe of each server")
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(10)
            reading.join(10)
        return "".join(lines), process.stderr.read()


def test_every_source_has_a_case() -> None:
    assert set(SEEN) == set(Source)


def test_nothing_but_text_comes_out_of_any_command(said: dict[str, str]) -> None:
    for words, text in said.items():
        if words.endswith("--json"):
            check_json(text)
        else:
            assert not dirt(text), f"{words}: {dirt(text)!r} in {text!r}"


@pytest.mark.parametrize("words", [(), ("probe",), ("trust", "ssh-early"), ("audit", "ssh-session")])
def test_a_terminal_is_sent_text_and_our_own_sequences(user: Hostile, words: tuple[str, ...]) -> None:
    """Byte for byte, at a real terminal: no title, no clipboard, no sequence that is not ours."""
    outcome = at_terminal(user.world, words, {} if words else {"too many connections": "q"}, **user.variables)
    sent = outcome.out.replace("\x1b]22;default\x07", "")  # Textual's pointer
    sequences = re.findall(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|.)", sent, re.DOTALL)
    assert not [sequence for sequence in sequences if sequence[1] != "["]
    assert {sequence[-1] for sequence in sequences} <= set("m" if words else "mHhlpucn")
    text = re.sub(r"\x1b\[[0-?]*[ -/]*[@-~]", "", sent).replace("\r\n", "\n")
    assert not unprintable(text), text
    assert "mark-" in text or not words


def test_each_source_was_heard(said: dict[str, str], wrong_files: str) -> None:
    everything = "\n".join(said.values()) + wrong_files
    silent = [word for words in SEEN.values() for word in words if word not in everything]
    assert not silent


@pytest.fixture(scope="module")
def wrong_files(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What is said about each wrong servers file, before any sink."""
    folder = tmp_path_factory.mktemp("wrong")
    told = ""
    for name, text in WRONG_FILES.items():
        file = folder / f"{name}.yaml"
        file.touch(0o600)
        file.write_text(text, "utf-8")
        try:
            fleet = read(file)
        except BadFile as bad:
            told += f"{bad}\n"
        else:
            problems = [problem for entry in fleet.entries for problem in getattr(entry, "problems", ())]
            assert problems, name
            told += "".join(f"{problem}\n" for problem in (*problems, *fleet.warnings))
    return told


def test_a_wrong_servers_file_is_told_as_text(wrong_files: str) -> None:
    assert wrong_files.count(".yaml:") >= len(WRONG_FILES)
    assert not dirt(wrong_files), wrong_files


def test_what_is_kept_is_clean(user: Hostile, said: dict[str, str]) -> None:
    """All that this version wrote; what somebody else had written was cleaned as it was read."""
    assert said
    path = history_file(user.world.paths)
    database = sqlite3.connect(path)
    for table, column in (
        ("failures", "content"),
        ("lines", "text"),
        ("incidents", "summary"),
        ("tunnels", "reason"),
    ):
        rows = database.execute(f"SELECT {column} FROM {table}").fetchall()
        ours = [
            text
            for (text,) in rows
            if "mark-failure" not in text and "mark-line" not in text and "mark-summary" not in text
        ]
        assert ours, table
        for text in ours:
            assert not RAW.search(text.encode()), text
    for (stages,) in database.execute("SELECT stages FROM probes WHERE server <> 1"):
        for text in strings(msgspec.msgpack.decode(stages)):
            assert text.isprintable()
    database.close()


class Watched(LineFilter):
    """Remembers what a widget would have painted though it is no text: values are cleaned long before."""

    def __init__(self, inner: PrintableOnly) -> None:
        super().__init__()
        self._inner = inner
        self.caught: list[str] = []

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """Look, then filter."""
        self.caught += [segment.text for segment in segments if not segment.text.isprintable()]
        return self._inner.apply(segments, background)


class Looking:
    """Looks at every screen that is shown, and keeps what was there to be read."""

    def __init__(self, app: CanaryApp, pilot: Pilot[None], filtered: Watched) -> None:
        self.app = app
        self.seen = ""
        self._pilot = pilot
        self._filtered = filtered

    async def press(self, *keys: str) -> None:
        """Press keys, and look."""
        await self._pilot.press(*keys)
        await self.look()

    async def look(self, *, picture: bool = False) -> None:
        """See that the screen is text, as cells and as a picture."""
        await self._pilot.pause(0.02)
        shown = screen_text(self._pilot)
        self.seen += shown
        if picture:
            shown += svg_text(self.app.export_screenshot())
        assert not unprintable(shown), shown
        assert not self._filtered.caught

    async def until(self, condition: Callable[[], object], what: str) -> None:
        """Wait for something, looking all the while; then look at the picture too."""
        end = time.monotonic() + 30
        while not condition():
            assert time.monotonic() < end, f"{what}:\n{screen_text(self._pilot)}"
            await self.look()
        await self.look(picture=True)

    async def read(self, words: str) -> None:
        """Wait for words on the screen."""
        await self.until(lambda: words in self.seen, words)


async def look_at_the_list(looking: Looking, names: list[str]) -> None:
    """Each server is in trouble; the lines below the list tell in which."""

    def in_trouble(name: str) -> bool:
        row = looking.app.facts.row(name)
        return row is not None and bool(row.failure or row.host_key or row.password_wanted)

    await looking.until(lambda: all(map(in_trouble, names)), "trouble everywhere")
    for _ in names:
        await looking.press("down")


async def look_at_tests(looking: Looking, names: Sequence[str]) -> None:
    """Test each server, and copy the report for its administrator."""
    for name in names:
        page = ConnectionTest(name)
        looking.app.push_screen(page)
        await looking.until(lambda page=page: page.result is not None, name)  # type: ignore[misc]
        await looking.press("c")
        while looking.app.screen is not looking.app.home:  # the question about a host key comes by itself
            await looking.press("escape")


async def look_at_the_log(looking: Looking, file: Path) -> None:
    """The log of all, some of its lines opened, written to a file; and what broke."""
    looking.app.open_log(None)
    await looking.read("mark-")
    for _ in range(6):
        await looking.press("up", "enter")
    await looking.press("x")
    looking.app.screen.query_one(Input).value = str(file)
    await looking.press("enter")
    await looking.until(file.exists, "the export")
    await looking.press("i")
    await looking.read("mark-ended")
    await looking.press("escape", "escape")


async def look_at_the_key(looking: Looking) -> None:
    """The key view, an audit, a host key's question, a toast."""
    looking.app.open_key("ssh-session")
    await looking.read("mark-comment")
    await looking.press("c", "C", "l")
    looking.app.open_audit("ssh-session")
    await looking.read("mark-session-end")
    row = looking.app.facts.row("ssh-since")
    assert row is not None
    assert row.host_key is not None
    looking.app.open_host_key("ssh-since", row.host_key)
    await looking.read("mark-since")
    looking.app.notify("[bold]a toast[/bold]", title="[red]its title[/red]", markup=False)
    await looking.read("[red]its title[/red]")


async def look_at_a_wrong_file(looking: Looking, user: Hostile) -> None:
    """Somebody overwrites the servers file: its mistakes are told above the list, and in full."""
    while looking.app.screen is not looking.app.home:
        await looking.press("escape")
    user.world.paths.servers.write_text(WRONG_FILES["key"] + "\n" + WRONG_FILES["value"], "utf-8")
    await looking.read("servers.yaml:")
    await looking.press("!")
    await looking.look(picture=True)


async def test_nothing_but_text_reaches_a_screen_the_clipboard_or_an_export(
    user: Hostile, said: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert said  # what is on the screens may come out of the history
    for name, value in user.variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.syspath_prepend(user.variables["PYTHONPATH"])
    monkeypatch.setattr("keyring.core._keyring_backend", None)
    copied: list[str] = []
    monkeypatch.setattr(App, "copy_to_clipboard", lambda _self, text: copied.append(text))
    monitor = Monitor(user.world.paths)
    monitor.start()
    app = CanaryApp(monitor, user.world.paths.state)
    filtered = Watched(app._printable_only)
    app._printable_only = filtered  # type: ignore[assignment]
    file = tmp_path / "out.csv"
    try:
        async with app.run_test(size=(160, 50), notifications=True) as pilot:
            looking = Looking(app, pilot, filtered)
            await looking.until(lambda: app.home.ready, "the list")
            await look_at_the_list(looking, user.names)
            await look_at_tests(
                looking, ["ssh-early", "ssh-since", "pg-query", "my-login", "command", "port-taken"]
            )
            await look_at_the_log(looking, file)
            await look_at_the_key(looking)
            await look_at_a_wrong_file(looking, user)
    finally:
        monitor.stop()
    assert "[red]markup[/red][@click=app.quit]x[/]" in looking.seen  # words, and nothing to be carried out
    assert len(copied) >= 8
    for text in (*copied, file.read_text("utf-8")):
        assert not dirt(text), text

"""Passwords are found in the contract's order, and never shown."""

from __future__ import annotations

import asyncio
import os
import pickle
import sys
from pathlib import Path
from typing import Any

import keyring
import keyring.backend
import keyring.backends.null
import keyring.errors
import pytest
from msgspec.structs import replace

from canary_tui.diagnosis.stages import Cause, Failed, Stage
from canary_tui.paths import Paths
from canary_tui.servers import system_keyring
from canary_tui.servers.allowed import AllowedCommands
from canary_tui.servers.model import (
    Database,
    Engine,
    PasswordCommand,
    PasswordEnv,
    PasswordKeyring,
    PasswordSource,
    Server,
    SshServer,
)
from canary_tui.servers.passfiles import pgpass
from canary_tui.servers.passwords import Passwords
from canary_tui.servers.secrets import Secret
from canary_tui.servers.system_keyring import KeyringUnavailable, keyring_forget, keyring_set


def server(source: PasswordSource | None = None, engine: Engine = Engine.POSTGRESQL) -> Server:
    port = engine.facts.default_port or 6379
    database = Database(host="db.example", port=port, name="orders", user="reader", password=source)
    return Server(name="a", engine=engine, database=database)


def script(text: str) -> PasswordCommand:
    return PasswordCommand((sys.executable, "-c", text))


@pytest.fixture
def passwords(tmp_path: Path) -> Passwords:
    return Passwords(tmp_path, {"PATH": os.environ["PATH"], "SET": "from env", "EMPTY": ""}, command_limit=20)


def private(path: Path, text: str, mode: int = 0o600) -> None:
    path.write_text(text)
    path.chmod(mode)


async def failure(passwords: Passwords, source: PasswordSource) -> Failed:
    with pytest.raises(Failed) as caught:
        await passwords.find(server(source))
    assert caught.value.stage is Stage.SETTINGS
    return caught.value


def test_a_secret_does_not_print_itself() -> None:
    secret = Secret("hunter2")
    assert f"{secret} {secret!r} {[secret]}" == "••• ••• [•••]"
    assert secret.reveal() == "hunter2"
    assert len({secret, Secret("hunter2"), Secret("other")}) == 2
    with pytest.raises(TypeError):
        pickle.dumps(secret)


async def test_a_password_from_the_environment(passwords: Passwords) -> None:
    assert await passwords.find(server(PasswordEnv("SET"))) == Secret("from env")
    missing = await failure(passwords, PasswordEnv("NOWHERE"))
    assert (missing.cause, missing.detail) == (
        Cause.PASSWORD_MISSING,
        "the environment variable NOWHERE is not set",
    )
    assert "EMPTY is empty" in (await failure(passwords, PasswordEnv("EMPTY"))).detail


async def test_a_command_runs_once_and_once_more_after_a_rejection(
    passwords: Passwords, tmp_path: Path
) -> None:
    runs = tmp_path / "runs"
    source = script(
        f"f = open({str(runs)!r}, 'a'); f.write('x'); f.flush(); print('hunter', f.tell(), sep=''); print(2)"
    )
    both = await asyncio.gather(passwords.find(server(source)), passwords.find(server(source)))
    assert list(both) == [Secret("hunter1")] * 2
    assert await passwords.find(server(source)) == Secret("hunter1")
    passwords.rejected(server())
    assert await passwords.find(server(source)) == Secret("hunter2")
    assert runs.read_text() == "xx"
    assert await passwords.find(server(script("print('other')"))) == Secret("other")


async def test_a_command_gets_no_other_servers_password(tmp_path: Path) -> None:
    mine = server(script("import os; print(','.join(sorted(n for n in os.environ if n.startswith('OF_'))))"))
    others = [replace(server(PasswordEnv(env=f"OF_{name}")), name=name) for name in ("b", "c")]
    environ = {"PATH": os.environ["PATH"], "OF_b": "1", "OF_c": "2", "OF_nobody": "3"}
    passwords = Passwords(tmp_path, environ, listed=lambda: [mine, *others])
    assert await passwords.find(mine) == Secret("OF_nobody")
    assert await passwords.find(others[0]) == Secret("1"), "ours is still found"


async def test_a_command_gets_no_input_and_may_say_a_lot(passwords: Passwords) -> None:
    text = "import sys; print(repr(sys.stdin.read())); sys.stderr.write('e' * 10**6); print('x' * 10**6)"
    assert await passwords.find(server(script(text))) == Secret("''")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "import sys; print('hunter2'); print('no vault', file=sys.stderr); sys.exit(3)",
            "exit status 3: no vault",
        ),
        (
            "import sys; print('hunter2'); print('bad hunter2!', file=sys.stderr); sys.exit(1)",
            "exit status 1: bad •••!",
        ),
        ("import os; os.kill(os.getpid(), 15)", "killed by signal 15"),
        ("pass", "printed nothing"),
        ("print()", "printed nothing"),
        ("import sys; sys.stdout.buffer.write(b'\\xff\\n')", "printed something that is no UTF-8 text"),
    ],
)
async def test_a_command_that_fails_is_told_without_what_it_printed(
    passwords: Passwords, text: str, words: str
) -> None:
    failed = await failure(passwords, script(text))
    assert failed.cause is Cause.PASSWORD_COMMAND_FAILED
    assert failed.detail.endswith(words)
    assert "hunter2" not in str(failed)


async def test_a_program_that_is_not_there_is_named(passwords: Passwords) -> None:
    failed = await failure(passwords, PasswordCommand(("no-such-program", "x")))
    assert failed.detail == "no-such-program: No such file or directory"


def alive(pid: int) -> bool:
    """Whether a process still runs; one that ended and nobody waited for yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


async def ended(pid: int) -> None:
    async with asyncio.timeout(10):
        while alive(pid):
            await asyncio.sleep(0.01)


FAMILY = """
import os, subprocess, time
child = subprocess.Popen(["sleep", "600"])
with open({0!r} + ".new", "w") as file:
    file.write(f"{{os.getpid()}} {{child.pid}}")
os.rename({0!r} + ".new", {0!r})
time.sleep(600)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("how", ["limit", "cancel"])
async def test_a_command_is_killed_with_all_that_it_started(tmp_path: Path, how: str) -> None:
    pids = tmp_path / "pids"
    limit = 1.5 if how == "limit" else 60
    passwords = Passwords(tmp_path, os.environ, command_limit=limit)
    task = asyncio.create_task(passwords.find(server(script(FAMILY.format(str(pids))))))
    async with asyncio.timeout(30):
        while not pids.exists() and not task.done():
            await asyncio.sleep(0.01)
    if how == "cancel":
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    else:
        with pytest.raises(Failed, match=r"did not end within 1.5 s"):
            await task
    for pid in pids.read_text().split():
        await ended(int(pid))


async def test_a_rejected_password_is_not_called_missing(
    passwords: Passwords,
) -> None:
    assert await passwords.find(server()) is None
    passwords.give(server(), Secret("typed"))
    assert await passwords.find(server()) == Secret("typed")
    passwords.rejected(server())
    assert await passwords.find(server()) == Secret("typed")
    passwords.give(server(), Secret("typed again"))
    assert await passwords.find(server()) == Secret("typed again")


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("db.example:5432:orders:reader:pw", "pw"),
        ("*:*:*:*:pw", "pw"),
        ("# db.example:5432:orders:reader:pw", None),
        ("other:5432:orders:reader:no\ndb.example:*:*:reader:pw\n*:*:*:*:late", "pw"),
        ("db.example:5433:*:*:pw", None),
        ("db.example:5432:orders:reader:p\\:w\\\\x", "p:w\\x"),
        ("db.example:5432:orders:reader:", None),
        ("db.example:5432:orders", None),
        ("db\\.example:5432:orders:reader:pw\r", "pw"),
        ("\\*:*:*:*:pw", None),
    ],
)
async def test_pgpass_is_read_by_libpqs_rules(
    passwords: Passwords, tmp_path: Path, line: str, found: str | None
) -> None:
    private(tmp_path / ".pgpass", line + "\n")
    assert await passwords.find(server()) == (Secret(found) if found else None)


def test_an_ipv6_host_is_escaped_in_pgpass(tmp_path: Path) -> None:
    private(tmp_path / "p", "fe80\\:\\:1:5432:d:u:pw\n")
    assert pgpass(tmp_path / "p", "fe80::1", 5432, "d", "u") == "pw"


async def test_a_pgpass_that_others_may_read_is_passed_over_and_that_is_said(
    passwords: Passwords, tmp_path: Path
) -> None:
    private(tmp_path / ".pgpass", "*:*:*:*:pw\n", 0o640)
    passwords.give(server(), Secret("typed"))
    assert await passwords.find(server()) == Secret("typed")
    assert passwords.passed_over(server()).endswith(
        ".pgpass is not used: other users may read it; chmod 600 it"
    )
    assert passwords.passed_over(server(PasswordEnv("SET"))) == "", "where the file counts for nothing"
    (tmp_path / ".pgpass").chmod(0o600)
    assert await passwords.find(server()) == Secret("pw")  # a file comes before what was given
    assert passwords.passed_over(server()) == ""


async def test_pgpassfile_names_another_file(tmp_path: Path) -> None:
    private(tmp_path / "mine", "*:*:*:*:pw\n")
    found = await Passwords(tmp_path, {"PGPASSFILE": str(tmp_path / "mine")}).find(server())
    assert found == Secret("pw")
    assert await Passwords(tmp_path, {"PGPASSFILE": str(tmp_path)}).find(server()) is None


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("[client]\nhost=db.example\nuser=reader\npassword=pw # mine\n", "pw"),
        ("[client]\nhost = DB.example\nuser = 'reader'\nport=3306\npassword = \"p#w\\\\\"\n", "p#w\\"),
        ("[client]\nuser=reader\npassword=pw\n", None),
        ("[client]\nhost=db.example\nuser=other\npassword=pw\n", None),
        ("[client]\nhost=db.example\nuser=reader\nport=3307\npassword=pw\n", None),
        ("[mysqldump]\nhost=db.example\nuser=reader\npassword=pw\n", None),
        ("[client]\n; x\n!include y\nhost=db.example\nuser=reader\npassword\n", None),
    ],
)
async def test_my_cnf_is_used_when_host_and_user_match(
    passwords: Passwords, tmp_path: Path, text: str, found: str | None
) -> None:
    private(tmp_path / ".my.cnf", text, 0o644)
    assert await passwords.find(server(engine=Engine.MYSQL)) == (Secret(found) if found else None)
    (tmp_path / ".my.cnf").chmod(0o646)
    assert await passwords.find(server(engine=Engine.MYSQL)) is None
    assert "everybody may write it" in passwords.passed_over(server())


class Memory(keyring.backend.KeyringBackend):
    """A keyring for one test."""

    priority = 1

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], str] = {}
        self.reads = 0
        self.error: Exception | None = None

    def get_password(self, service: str, username: str) -> str | None:
        self.reads += 1
        if self.error is not None:
            raise self.error
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.kept[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        del self.kept[service, username]


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> Memory:
    backend = Memory()
    monkeypatch.setattr("keyring.core._keyring_backend", backend)
    return backend


async def test_the_keyring_keeps_gives_and_forgets(passwords: Passwords, memory: Memory) -> None:
    source = PasswordKeyring()
    assert "canary password a" in (await failure(passwords, source)).detail
    keyring_set(server(), Secret("kept"))
    assert memory.kept == {("canary-tui", "a: reader@db.example:5432"): "kept"}
    assert await passwords.find(server(source)) == Secret("kept")
    reads = memory.reads
    assert await passwords.find(server(source)) == Secret("kept")
    assert memory.reads == reads
    assert keyring_forget(server()) is True
    assert keyring_forget(server()) is False
    passwords.rejected(server())
    assert (await failure(passwords, source)).cause is Cause.PASSWORD_MISSING


BEHIND = SshServer(host="bastion", user="me")
ELSEWHERE = (
    {"host": "evil.example"},
    {"port": 5433},
    {"user": "admin"},
)


@pytest.mark.parametrize("change", [*ELSEWHERE, {"ssh": BEHIND}])
async def test_a_password_is_for_one_place_and_not_for_another_of_the_same_name(
    passwords: Passwords, memory: Memory, change: dict[str, Any]
) -> None:
    keyring_set(server(), Secret("kept"))
    ours = server(PasswordKeyring())
    assert await passwords.find(ours) == Secret("kept")
    passwords.give(server(), Secret("typed"))
    database = {key: value for key, value in change.items() if key != "ssh"}
    for source in (PasswordKeyring(), None):
        theirs = replace(
            server(source),
            ssh=change.get("ssh"),
            database=replace(server(source).database, **database),
        )
        if source is None:
            assert await passwords.find(theirs) is None
            continue
        with pytest.raises(Failed, match="the keyring has no password for a: ") as caught:
            await passwords.find(theirs)
        assert caught.value.cause is Cause.PASSWORD_MISSING


async def test_what_an_older_version_kept_without_a_host_is_set_again_and_not_sent(
    passwords: Passwords, memory: Memory
) -> None:
    memory.kept["canary-tui", "a"] = "old"
    assert "but not for which host" in (await failure(passwords, PasswordKeyring())).detail
    keyring_set(server(), Secret("kept"))
    assert "old" not in memory.kept.values()
    memory.kept["canary-tui", "a"] = "old"
    assert keyring_forget(server())
    assert memory.kept == {}


async def test_a_command_of_a_file_from_elsewhere_runs_when_it_is_allowed(tmp_path: Path) -> None:
    paths = replace(Paths.below(tmp_path), own=tmp_path / "own")
    allowed = AllowedCommands(paths)
    passwords = Passwords(tmp_path, os.environ, allowed=allowed)
    mark = tmp_path / "it ran"
    first = server(script(f"open({str(mark)!r}, 'w'); print('pw')"))
    refused = await failure(passwords, script(f"open({str(mark)!r}, 'w'); print('pw')"))
    assert refused.cause is Cause.PASSWORD_COMMAND_FAILED
    assert "would run:" in refused.detail
    assert not mark.exists()
    allowed.allow([first])
    assert await passwords.find(first) == Secret("pw")
    # Once it was fetched, too, it goes nowhere else.
    for change in ELSEWHERE:
        with pytest.raises(Failed):
            await passwords.find(replace(first, database=replace(first.database, **change)))
    with pytest.raises(Failed):
        await passwords.find(server(script("print('pw')")))
    allowed.allow([])
    with pytest.raises(Failed):
        await passwords.find(first)


def test_a_keyring_that_keeps_nothing_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keyring.core._keyring_backend", keyring.backends.null.Keyring())  # type: ignore[no-untyped-call]
    with pytest.raises(KeyringUnavailable, match="keeps nothing"):
        keyring_set(server(), Secret("kept"))


async def test_a_keyring_that_does_not_work_is_said(passwords: Passwords, memory: Memory) -> None:
    memory.error = keyring.errors.KeyringLocked("is locked")
    assert (await failure(passwords, PasswordKeyring())).detail == "the keyring does not work: is locked"
    memory.error = keyring.errors.NoKeyringError("long text")
    with pytest.raises(KeyringUnavailable, match="this system has no keyring; use password: "):
        keyring_forget(server())


async def test_a_keyring_that_waits_for_ever_is_given_up(
    passwords: Passwords, monkeypatch: pytest.MonkeyPatch
) -> None:
    import threading

    release = threading.Event()

    def stuck(_: str) -> None:
        release.wait(30)

    monkeypatch.setattr(system_keyring, "_keyring_get", stuck)
    monkeypatch.setattr(system_keyring, "KEYRING_TIME_LIMIT", 0.05)
    assert "did not answer within" in (await failure(passwords, PasswordKeyring())).detail
    release.set()

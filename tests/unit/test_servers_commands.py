"""A command that prints a password: run once, told nothing, killed with all that it started."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest
from msgspec.structs import replace

from canary_tui.diagnosis.stages import Cause, Failed
from canary_tui.paths import Paths
from canary_tui.servers.allowed import AllowedCommands
from canary_tui.servers.model import PasswordCommand, PasswordEnv
from canary_tui.servers.passwords import Passwords
from canary_tui.servers.secrets import Secret
from tests.unit.password_sources import ELSEWHERE, failure, server


def script(text: str) -> PasswordCommand:
    return PasswordCommand((sys.executable, "-c", text))


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

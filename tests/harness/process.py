"""Server processes: found, started, watched and stopped by their own process id."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.harness.ports import wait_for

_PR_SET_PDEATHSIG = 1
_STOPPED = "Tt"
_SYSTEM_FOLDERS = ("/usr/sbin", "/usr/local/sbin", "/sbin", "/usr/bin", "/bin")

BINARIES: dict[str, tuple[str, ...]] = {
    "mariadbd": ("mariadbd", "mysqld"),
    "mariadb-install-db": ("mariadb-install-db", "mysql_install_db"),
    "mariadb": ("mariadb", "mysql"),
}
"""The names under which a program may be installed, where it has more than one."""

# PR_SET_PDEATHSIG counts the death of the *thread* that started the child. A test may start a server from
# a pool that ends with the test, so all are started from one thread that lives as long as the process.
_launcher = ThreadPoolExecutor(max_workers=1, thread_name_prefix="launcher")
_libc = ctypes.CDLL(None)


def find_binary(name: str) -> Path | None:
    """The program ``name`` on PATH, in a system folder or in the newest PostgreSQL; None when missing."""
    folders = os.environ.get("PATH", "").split(os.pathsep) + list(_SYSTEM_FOLDERS)
    versions = [path for path in Path("/usr/lib/postgresql").glob("*/bin") if _version(path)]
    folders += [str(path) for path in sorted(versions, key=_version, reverse=True)]
    for candidate in BINARIES.get(name, (name,)):
        if found := shutil.which(candidate, path=os.pathsep.join(folders)):
            return Path(found)
    return None


def binary(name: str) -> str:
    """The absolute path of the program ``name``; raises ``FileNotFoundError`` when it is not installed."""
    if found := find_binary(name):
        return str(found)
    raise FileNotFoundError(f"{name} is not installed")


def run(
    command: Sequence[str],
    *,
    owner: tuple[int, int] | None = None,
    cwd: Path | None = None,
    stdin: str | None = None,
    limit: float = 60.0,
) -> str:
    """Run a command to its end as ``owner`` (uid, gid) and return its output.

    Raises ``RuntimeError`` with what the command wrote when it fails.
    """
    uid, gid = owner if owner is not None else (None, None)
    done = subprocess.run(
        [binary(command[0]), *command[1:]],
        user=uid,
        group=gid,
        extra_groups=None if owner is None else [],
        cwd=cwd,
        env=_environment(),
        input=stdin or "",
        capture_output=True,
        text=True,
        check=False,
        timeout=limit,
    )
    if done.returncode != 0:
        raise RuntimeError(f"{command[0]} ended with {done.returncode}: {done.stderr or done.stdout}")
    return done.stdout


def spawn(
    command: Sequence[str],
    log: Path,
    *,
    owner: tuple[int, int] | None = None,
    parent_death: signal.Signals = signal.SIGKILL,
) -> subprocess.Popen[bytes]:
    """Start a server as ``owner`` that writes to ``log`` and gets ``parent_death`` when we die."""
    return _launcher.submit(_spawn, command, log, owner, parent_death).result()


def children_of(pid: int) -> list[int]:
    """The ids of the processes that ``pid`` started and that still live (zombies do not)."""
    return [child for child, (parent, _) in _processes().items() if parent == pid]


def descendants_of(pid: int) -> list[int]:
    """Like :func:`children_of`, with their children and so on."""
    return _below([pid], _processes())


def freeze(roots: Sequence[int], limit: float = 5.0) -> list[int]:
    """SIGSTOP processes and all their descendants; returns them once every one of them stands still.

    One look is not enough: a process may be starting another while we look, and that one would get away.
    Raises ``TimeoutError`` when they do not stand still within ``limit`` seconds.
    """
    frozen: list[int] = []

    def all_stand_still() -> bool:
        processes = _processes()
        living = [pid for pid in roots if pid in processes]
        found = living + _below(living, processes)
        send([pid for pid in found if processes[pid][1] not in _STOPPED], signal.SIGSTOP)
        settled = found == frozen and all(processes[pid][1] in _STOPPED for pid in found)
        frozen[:] = found
        return settled

    wait_for(all_stand_still, limit, "all processes stand still")
    return frozen


def is_running(pid: int) -> bool:
    """Whether the process lives and is no zombie."""
    return pid in _processes()


def is_stopped(pid: int) -> bool:
    """Whether the process has stopped on SIGSTOP."""
    return _processes().get(pid, (0, ""))[1] in tuple(_STOPPED)


def send(pids: Sequence[int], number: signal.Signals) -> None:
    """Send a signal to processes; one that has just ended is none to miss."""
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue


def _spawn(
    command: Sequence[str], log: Path, owner: tuple[int, int] | None, parent_death: signal.Signals
) -> subprocess.Popen[bytes]:
    uid, gid = owner if owner is not None else (None, None)
    with log.open("ab") as output:
        return subprocess.Popen(
            command,
            user=uid,
            group=gid,
            extra_groups=None if owner is None else [],
            cwd=log.parent,
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,  # Ctrl-C is for the tests, which then stop their servers
            preexec_fn=_die_with_parent(parent_death),  # noqa: PLW1509 - two system calls, no lock
        )


def _die_with_parent(number: signal.Signals) -> Callable[[], None]:
    parent = os.getpid()

    def before_exec() -> None:
        # After setuid, which would clear it; subprocess runs this hook last.
        _libc.prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    return before_exec


def _environment() -> dict[str, str]:
    path = os.environ.get("PATH", "") + os.pathsep + os.pathsep.join(_SYSTEM_FOLDERS)
    return {"PATH": path, "LC_ALL": "C", "TZ": "UTC"}


def _processes() -> dict[int, tuple[int, str]]:
    """Each living process with its parent and its state, proc(5)."""
    processes: dict[int, tuple[int, str]] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            stat = (entry / "stat").read_text()
        except OSError:  # it ended while we looked
            continue
        # The name, in brackets, may itself hold spaces and brackets: proc(5).
        state, parent, *_ = stat[stat.rindex(")") + 2 :].split()
        if state not in "ZX":
            processes[int(entry.name)] = (int(parent), state)
    return processes


def _below(roots: Sequence[int], processes: dict[int, tuple[int, str]]) -> list[int]:
    found = list(roots)
    for ancestor in found:
        found += [pid for pid, (parent, _) in processes.items() if parent == ancestor]
    return found[len(roots) :]


def _version(folder: Path) -> float:
    try:
        return float(folder.parent.name)
    except ValueError:
        return 0.0

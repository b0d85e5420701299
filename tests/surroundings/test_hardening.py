"""No cores, no debugger, hardened units: and our own processes still know about one another."""

from __future__ import annotations

import configparser
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from canary_tui.monitor.own_ports import OwnPorts
from tests.harness.ports import free_port
from tests.surroundings.canary import LIMIT, ROOT, Home, fleet

if TYPE_CHECKING:
    from collections.abc import Iterator

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux has prctl and /proc")
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
NOBODY = 54_322
LOOK = """
import ctypes, resource, sys
from canary_tui.cli import main as m
def look(_arguments):
    print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0), *resource.getrlimit(resource.RLIMIT_CORE))
    return 0
m.run = look
m.main()
"""


def look(home: Home, **variables: str) -> list[int]:
    """Return whether a command is dumpable, and the soft and hard limits of its core."""
    import resource

    def allow() -> None:
        resource.setrlimit(resource.RLIMIT_CORE, (4_096, resource.getrlimit(resource.RLIMIT_CORE)[1]))

    program = [sys.executable, "-c", LOOK]
    return list(map(int, home.run(program=program, preexec_fn=allow, variables=variables).out.split()))


@linux
def test_a_command_is_not_dumpable_and_leaves_no_core(home: Home) -> None:
    dumpable, soft, hard = look(home)
    assert (dumpable, soft) == (0, 0)
    assert hard != 0, "whoever debugs what we start may raise it again"


@linux
@pytest.mark.parametrize(("value", "kept"), [("1", True), ("yes", True), ("0", False), ("", False)])
def test_canary_debug_leaves_both_as_they_are(home: Home, value: str, kept: bool) -> None:
    dumpable, soft, _ = look(home, CANARY_DEBUG=value)
    assert (dumpable, soft) == ((1, 4_096) if kept else (0, 0))


@linux
def test_a_crash_in_native_code_writes_no_core(home: Home) -> None:
    process = home.start("watch")
    assert process.stdout is not None
    assert b"watched" in process.stdout.readline()
    process.send_signal(signal.SIGSEGV)
    process.communicate(timeout=LIMIT)
    assert process.returncode == -signal.SIGSEGV
    assert not [path for path in home.folder.iterdir() if "core" in path.name]


@linux
def test_what_we_start_is_dumpable_again_by_itself(home: Home) -> None:
    look_at = "import ctypes; print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))"
    ended = home.run("connect", "orders", "--", sys.executable, "-c", look_at)
    assert ended.out.strip() == b"1"


# Our own processes are named though they cannot be looked at


@pytest.fixture
def somebodys() -> Iterator[Home]:
    """The home of a user who may not look at processes that hide."""
    folder = Path(tempfile.mkdtemp(prefix="canary-somebody-"))
    os.chown(folder, NOBODY, NOBODY)
    yield Home(folder)
    shutil.rmtree(folder)


def tunnelled(port: int) -> str:
    """Return a servers file with a tunnel on a local port; nobody answers behind it."""
    ssh = f"{{host: 127.0.0.1, port: 1, user: me, local_port: {port}}}"
    return f"servers: [{{name: orders, engine: mysql, database: {{host: h, port: 1}}, ssh: {ssh}}}]\n"


@linux
@as_root
def test_a_port_that_another_process_of_ours_has_is_named(somebodys: Home) -> None:
    port = free_port()
    somebodys.write(tunnelled(port))
    other = somebodys.folder / "other.yaml"
    other.write_text(tunnelled(port))
    for path in (other, *somebodys.folder.rglob("*")):
        os.chown(path, NOBODY, NOBODY)
    first = somebodys.start("watch", uid=NOBODY)
    assert first.stdout is not None
    second = None
    try:
        while b"tunnel" not in first.stdout.readline():
            continue
        assert open_files_of(first.pid) == b"", "its own user may not look"
        second = somebodys.start("--config", str(other), "watch", "--json", uid=NOBODY)
        assert second.stdout is not None
        said = b""
        while b"local_port_taken" not in said:
            said = second.stdout.readline()
            assert said
        failure = msgspec.json.decode(said)["failure"]
        assert f"is in use by canary, process {first.pid}" in failure["summary"], failure
    finally:
        for process in (first, second):
            if process is not None:
                process.terminate()
                process.communicate(timeout=LIMIT)


def open_files_of(pid: int) -> bytes:
    """Look at a process's open files as its own user without privileges."""
    line = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "ls", f"/proc/{pid}/fd"]
    return subprocess.run(line, capture_output=True, check=False, timeout=LIMIT).stdout


def test_a_note_of_a_port_is_of_who_runs_now(tmp_path: Path) -> None:
    ports = OwnPorts(tmp_path / "ports")
    assert ports.holder(15_432) is None
    ports.note(15_432)
    holder = ports.holder(15_432)
    assert holder is not None
    assert (holder.pid, holder.program) == (os.getpid(), "canary")
    note = tmp_path / "ports" / "15432"
    note.write_bytes(note.read_bytes().replace(b'"started":"', b'"started":"9'))
    assert ports.holder(15_432) is None, "another process has that number now"
    note.write_bytes(b'{"pid": 999999999, "started": "1"}')
    ports.forget(15_432)
    assert note.exists(), "it is not ours"
    assert ports.holder(15_432) is None
    for nonsense in (b"", b"{", b'{"pid": "x"}', b"\xff" * 100):
        note.write_bytes(nonsense)
        assert ports.holder(15_432) is None
    ports.note(15_432)
    ports.forget(15_432)
    assert not note.exists()
    OwnPorts(Path("/dev/null/nowhere")).note(1)


# The units


UNITS = {"user": "canary-watch.service", "system": "canary-watch-system.service"}
BOTH = {
    "UMask": "0077",
    "LimitCORE": "0",
    "NoNewPrivileges": "yes",
    "RestrictAddressFamilies": "AF_UNIX AF_INET AF_INET6 AF_NETLINK",
    "TimeoutStopSec": "5",
}
NAMESPACES = ("Protect", "Private", "ReadOnly", "ReadWrite", "Inaccessible", "Bind", "TemporaryFileSystem")


def unit(kind: str) -> configparser.SectionProxy:
    """Return the service section of a unit."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # systemd minds the case
    parser.read(ROOT / "docs" / UNITS[kind])
    return parser["Service"]


@pytest.mark.parametrize("kind", UNITS)
def test_both_units_shut_the_program_in(kind: str) -> None:
    section = unit(kind)
    assert {key: section.get(key) for key in BOTH} == BOTH


def test_the_users_unit_asks_for_no_namespace_in_which_owners_are_not_seen() -> None:
    assert not [key for key in unit("user") if key.startswith(NAMESPACES)]


def test_the_system_unit_is_strict() -> None:
    section = unit("system")
    strict = {"User": "canary", "ProtectSystem": "strict", "ProtectHome": "yes", "PrivateTmp": "yes"}
    assert {key: section.get(key) for key in strict} == strict
    assert section.get("CapabilityBoundingSet") == ""
    assert "PrivateUsers" not in section


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
@pytest.mark.parametrize("kind", UNITS)
def test_systemd_understands_every_line(kind: str, tmp_path: Path) -> None:
    text = (ROOT / "docs" / UNITS[kind]).read_text()
    program = unit(kind)["ExecStart"].split()[0]
    copy = tmp_path / "canary-watch.service"
    copy.write_text(
        text.replace(program, "/bin/true").replace("User=canary", "User=root").replace("Group=canary", "")
    )
    done = subprocess.run(
        ["systemd-analyze", "verify", str(copy)], capture_output=True, text=True, check=False, timeout=LIMIT
    )
    assert "canary-watch.service" not in done.stderr, done.stderr


def test_a_closed_port_is_no_note(home: Home) -> None:
    home.write(fleet())
    with closing(socket.socket()) as sock:
        sock.bind(("127.0.0.1", 0))
        assert OwnPorts(home.folder / "ports").holder(sock.getsockname()[1]) is None

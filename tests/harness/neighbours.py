"""Other users of this machine: one who connects to a port again and again, one who listens on it."""

from __future__ import annotations

import pwd
import subprocess
import sys
from typing import Self

_OTHER_USER = """
import os, socket, struct, sys, time
uid = int(sys.argv[1])
if uid:
    os.setgroups([])
    os.setuid(uid)
del sys.argv[1]
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
"""

_FLOOD = """
host, port, rate, seconds = sys.argv[1], *map(float, sys.argv[2:5])
linger = struct.pack("=ii", 1, 0)
held, made, began = [], 0, time.monotonic()
print("ready", flush=True)
while (now := time.monotonic() - began) < seconds:
    if made >= now * rate:
        time.sleep(0.0005)
        continue
    one = socket.socket(family)
    one.setblocking(False)
    try:
        one.connect((host, int(port)))
    except BlockingIOError:
        pass
    except OSError:
        one.close()
        time.sleep(0.001)
        continue
    made += 1
    held.append(one)
    if len(held) >= 400:
        for old in held[:200]:
            old.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            old.close()
        del held[:200]
print(made, flush=True)
"""

_SQUATTER = """
listener = socket.socket(family)
if family == socket.AF_INET6:
    listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if "dual" in sys.argv else 1)
if "reuseaddr" in sys.argv:
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
if "reuseport" in sys.argv:
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
try:
    listener.bind((sys.argv[1], int(sys.argv[2])))
    if "bound" not in sys.argv:
        listener.listen()
except OSError as error:
    print("error", error.errno, flush=True)
    raise SystemExit
print("ready", flush=True)
if "bound" in sys.argv:
    sys.stdin.readline()
    try:
        listener.listen()
        print("listens", flush=True)
    except OSError as error:
        print("error", error.errno, flush=True)
while True:
    client = listener.accept()[0]
    print("client", client.recv(100), flush=True)
    client.close()
"""


class Neighbour:
    """A program of the account ``user`` of this machine (None: ours); it ends with the block."""

    def __init__(self, program: str, *arguments: object, user: str | None) -> None:
        # It becomes the other user by itself, who may not be allowed to start this environment's Python.
        uid = pwd.getpwnam(user).pw_uid if user else 0
        command = [sys.executable, "-I", "-S", "-c", _OTHER_USER + program, str(uid)]
        self._command = [*command, *map(str, arguments)]
        self._process: subprocess.Popen[str] | None = None
        self.said = ""
        """The first line: whether it could do what it wanted."""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd="/"
        )
        self.said = self.line()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def line(self) -> str:
        """Wait for its next line."""
        assert self._process is not None
        assert self._process.stdout is not None
        return self._process.stdout.readline().rstrip("\n")

    def go_on(self) -> None:
        """Let it do what it waits with."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    @property
    def running(self) -> bool:
        """Whether it goes on."""
        return self._process is not None and self._process.poll() is None

    def stop(self) -> str:
        """End it and return what else it has said. Idempotent."""
        if self._process is None:
            return ""
        self._process.kill()
        out, _ = self._process.communicate()
        self._process = None
        return out


class Flood(Neighbour):
    """Connects ``rate`` times a second, keeps what it can, and ends by itself after ``seconds``."""

    def __init__(self, host: str, port: int, *, rate: float, seconds: float, user: str | None = None) -> None:
        super().__init__(_FLOOD, host, port, rate, seconds, user=user)


class Squatter(Neighbour):
    """Listens on a port and says what each client sends first.

    ``options``: ``reuseaddr``, ``reuseport``, ``dual`` (an IPv6 socket for both families), ``bound`` (listens
    only when it may ``go_on``). ``said`` is ``ready``, or ``error`` and its number.
    """

    def __init__(self, host: str, port: int, *options: str, user: str | None = None) -> None:
        super().__init__(_SQUATTER, host, port, *options, user=user)

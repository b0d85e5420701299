"""Another user of this machine who connects to a port again and again."""

from __future__ import annotations

import pwd
import subprocess
import sys
from typing import Self

_FLOOD = """
import os, socket, struct, sys, time
host, port, rate, seconds, uid = sys.argv[1], *map(float, sys.argv[2:5]), int(sys.argv[5])
if uid:
    os.setgroups([])
    os.setuid(uid)
family = socket.AF_INET6 if ":" in host else socket.AF_INET
linger = struct.pack("=ii", 1, 0)
held, made, began = [], 0, time.monotonic()
print("begun", flush=True)
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


class Flood:
    """Connects ``rate`` times a second, keeps what it can, and ends by itself after ``seconds``.

    ``user`` is an account of this machine: only root can be another one.
    """

    def __init__(self, host: str, port: int, *, rate: float, seconds: float, user: str | None = None) -> None:
        # It becomes the other user by itself, who may not be allowed to start this environment's Python.
        uid = pwd.getpwnam(user).pw_uid if user else 0
        arguments = map(str, (host, port, rate, seconds, uid))
        self._command = [sys.executable, "-I", "-S", "-c", _FLOOD, *arguments]
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True, cwd="/")
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "begun\n"
        return self

    @property
    def running(self) -> bool:
        """Whether it goes on."""
        return self._process is not None and self._process.poll() is None

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()

    def wait(self) -> int:
        """Wait for its end and return how many connections it began."""
        assert self._process is not None
        out, _ = self._process.communicate()
        return int(out)

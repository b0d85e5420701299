"""``canary`` as a process, started in whatever surroundings a test asks for."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

COMMAND = [sys.executable, "-c", "from canary_tui.cli.main import main; main()"]
"""What the installed script ``canary`` does."""
ROOT = Path(__file__).parents[2]
LIMIT = 30.0
SPEAKING = ("LANG", "LC_", "PYTHONIOENCODING", "PYTHONUTF8", "PYTHONCOERCECLOCALE")
ABOUT_US = ("XDG_", "CANARY_", "HOME", "LOGNAME", "USER", "LNAME", "USERNAME", "TERM", "COLUMNS", "LINES")
MANY = 2_000
"""Servers whose list fills any pipe."""


def as_user(uid: int) -> list[str]:
    """Return what runs a program as another user, who may read everything: this interpreter may be root's."""
    reading = ["--inh-caps=-all,+dac_read_search", "--ambient-caps=-all,+dac_read_search"]
    return ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", *reading]


@dataclass(frozen=True)
class Ended:
    """How a run ended; ``out`` and ``err`` are bytes as they were written."""

    status: int
    out: bytes = b""
    err: bytes = b""

    @property
    def sentence(self) -> str:
        """What was said on standard error: one line, no traceback."""
        words = self.err.decode(errors="backslashreplace").strip()
        assert "Traceback" not in words, words
        assert len(words.splitlines()) == 1, words
        return words


@dataclass(frozen=True)
class Home:
    """A user's home: by default a server that refuses connections stands in servers.yaml."""

    folder: Path
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def servers(self) -> Path:
        """The usual servers file."""
        return self.folder / ".config" / "canary-tui" / "servers.yaml"

    @property
    def state(self) -> Path:
        """The usual state folder."""
        return self.folder / ".local" / "state" / "canary-tui"

    def write(self, text: str) -> None:
        """Write servers.yaml."""
        self.servers.parent.mkdir(parents=True, exist_ok=True)
        self.servers.write_text(text)

    def environment(self, **more: str | None) -> dict[str, str]:
        """Return the environment of a login; a variable that is None is not set."""
        taken = (*SPEAKING, *ABOUT_US)
        inherited = {key: value for key, value in os.environ.items() if not key.startswith(taken)}
        wanted: Mapping[str, str | None] = {
            "HOME": str(self.folder),
            "PYTHONPATH": str(ROOT),
            "LANG": "C.UTF-8",
            **self.variables,
            **more,
        }
        return inherited | {key: value for key, value in wanted.items() if value is not None}

    def start(self, *arguments: str | bytes, **how: Any) -> subprocess.Popen[bytes]:
        """Start a command line, as the user ``uid`` where one is given (by root only).

        ``variables`` are of the environment, ``program`` stands for ``canary``; the rest is Popen's.
        """
        variables, uid, program = how.pop("variables", {}), how.pop("uid", None), how.pop("program", COMMAND)
        streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        command = [*(as_user(uid) if uid else ()), *program, *arguments]
        environment = self.environment(**variables)
        return subprocess.Popen(command, env=environment, **{"cwd": self.folder, **streams, **how})

    def run(self, *arguments: str | bytes, **how: Any) -> Ended:
        """Run a command line to its end."""
        process = self.start(*arguments, **how)
        try:
            out, err = process.communicate(timeout=LIMIT)
        finally:
            process.kill()
        return Ended(process.returncode, out or b"", err or b"")

    def shell(self, line: str, **variables: str | None) -> Ended:
        """Run a line of the shell in which ``canary`` is the program."""
        script = f'canary() {{ "$PYTHON" -c "from canary_tui.cli.main import main; main()" "$@"; }}\n{line}'
        process = subprocess.run(
            ["bash", "-c", script],
            env=self.environment(PYTHON=sys.executable, **variables),
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=LIMIT,
        )
        return Ended(process.returncode, process.stdout, process.stderr)


def direct(name: str = "orders", engine: str = "postgresql", port: int = 1) -> str:
    """Return an entry of a server that is reached directly; on port 1 nobody listens."""
    return f"  - {{name: {name}, engine: {engine}, database: {{host: 127.0.0.1, port: {port}}}}}\n"


def fleet(*entries: str) -> str:
    """Return a servers file."""
    return "servers:\n" + "".join(entries)

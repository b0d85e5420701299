"""The whole application in a real terminal, its own monitor and files: keys that come all at once."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from canary_tui.paths import Paths
from canary_tui.servers.file import ServersFile
from tests.harness.ports import free_port, wait_for
from tests.typing.terminal import Terminal

PROGRAM = """
import sys
from pathlib import Path
from canary_tui.paths import Paths
from canary_tui.tui.lifetime import run
sys.exit(run(Paths.below(Path(sys.argv[1]))))
"""
PSQL = "#!/bin/sh\necho begun >> runs\nread line\n"
LIMIT = 30.0


def servers() -> str:
    """Return three servers of which nothing answers."""
    entries = [
        f"  - {{name: {name}, engine: postgresql, database: {{host: 127.0.0.1, port: {free_port()}}}}}\n"
        for name in ("delivery", "orders", "reports")
    ]
    return "version: 1\nservers:\n" + "".join(entries)


class Running(Terminal):
    """An application on files of its own."""

    def __init__(self, folder: Path) -> None:
        self.paths = Paths.below(folder)
        self.paths.servers.parent.mkdir(parents=True, mode=0o700, exist_ok=True)
        self.paths.servers.write_text(servers())
        self.paths.servers.chmod(0o600)
        programs = folder / "programs"
        programs.mkdir(mode=0o700)
        (programs / "psql").write_text(PSQL)
        (programs / "psql").chmod(0o700)
        argv = [sys.executable, "-c", PROGRAM, str(folder)]
        super().__init__(argv, cwd=folder, env={"PATH": f"{programs}:/usr/bin:/bin"})

    def names(self) -> list[str]:
        """Return the servers of the file."""
        return [server.name for server in ServersFile(self.paths.servers).load().servers]

    def shows(self, words: str) -> None:
        """Wait until words were painted, whatever stood between them."""
        pattern = re.compile(re.escape(words).encode())
        try:
            wait_for(lambda: pattern.search(bytes(self.seen)), LIMIT)
        except TimeoutError:
            raise AssertionError(f"not shown: {words!r}; but {bytes(self.seen[-3000:])!r}") from None


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Callable[[], Running]]:
    """Start the application."""
    begun: list[Running] = []

    def start() -> Running:
        begun.append(Running(tmp_path))
        return begun[-1]

    yield start
    for one in begun:
        one.close()


def test_what_is_typed_before_the_first_paint_waits_for_the_list(running: Callable[[], Running]) -> None:
    terminal = running()
    terminal.type("/ports\rD\t\r", 0)
    wait_for(lambda: terminal.names() == ["delivery", "orders"], LIMIT)
    terminal.type("u", 0)
    wait_for(lambda: sorted(terminal.names()) == ["delivery", "orders", "reports"], LIMIT)
    terminal.type("q", 0)
    assert terminal.process.wait(LIMIT) == 0


def test_the_named_cases(running: Callable[[], Running]) -> None:
    terminal = running()
    terminal.shows("reports")
    terminal.type("/delivery", 0)
    terminal.shows("delivery")
    terminal.type(["escape", *"DDDDyd", "enter"], 0)
    terminal.type(["escape", *"ss"], 0)
    runs = terminal.cwd / "runs"
    wait_for(runs.exists, LIMIT)
    terminal.seen.clear()
    terminal.type(["enter"], 0)
    terminal.shows("delivery")
    terminal.type(["?"], 0)
    terminal.shows(" close ")
    assert runs.read_text() == "begun\n"
    assert terminal.names() == ["delivery", "orders", "reports"]
    terminal.type(["escape", "q", "e"], 0)
    assert terminal.process.wait(LIMIT) == 0
    assert b"Traceback" not in terminal.seen


@pytest.mark.parametrize("gap", [0.0, 0.01])
def test_a_form_is_saved_as_it_was_typed(running: Callable[[], Running], gap: float) -> None:
    terminal = running()
    terminal.shows("reports")  # until then the terminal edits lines by itself
    keys = ["a", *"billing", "tab", "right", "tab", *"db.internal", "tab", *["backspace"] * 6, *"3307", "tab"]
    keys += [*"shop", "tab", *"reader", *["tab"] * 5, *"bastion.internal", "tab", "tab", *"me", "ctrl+s"]
    # In the key view: a change of key, refused; back; and the cursor stands on the new server.
    keys += ["R", "n", "escape", "D", "tab", "escape", "o"]
    terminal.type(keys, gap)

    def switched_off() -> bool:
        server = ServersFile(terminal.paths.servers).load().get("billing")
        return server is not None and not server.enabled

    wait_for(switched_off, LIMIT)
    server = ServersFile(terminal.paths.servers).load().get("billing")
    assert server is not None
    assert server.ssh is not None
    found = (server.engine, server.database.host, server.database.port, server.database.name)
    assert found == ("mysql", "db.internal", 3307, "shop")
    assert (server.database.user, server.ssh.host, server.ssh.user) == ("reader", "bastion.internal", "me")
    assert server.ssh.next_key == ""
    terminal.type("qD", 0)
    assert terminal.process.wait(LIMIT) == 0

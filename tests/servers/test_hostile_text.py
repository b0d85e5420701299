"""One hostile string through every source of text, and a look at every sink: nothing but text comes out.

Peers that cannot be had are stand-ins: SSH servers of asyncssh's, sockets that speak PostgreSQL and MySQL.
"""

from __future__ import annotations

import re
import signal
import sqlite3
import subprocess
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest
from textual.app import App

from canary_tui.diagnosis.printable import Source
from canary_tui.monitor.history.tables import history_file
from canary_tui.monitor.local import LocalMonitor
from canary_tui.servers.file import BadFile, read
from canary_tui.tui.app import CanaryApp
from tests.harness.ports import wait_for
from tests.servers.cli import at_terminal, spawn, start
from tests.servers.hostile import RAW, check_json, dirt, hostile, strings, unprintable
from tests.servers.hostile_screens import (
    Looking,
    Watched,
    look_at_a_wrong_file,
    look_at_tests,
    look_at_the_key,
    look_at_the_list,
    look_at_the_log,
)
from tests.servers.hostile_user import WRONG_FILES, Hostile

if TYPE_CHECKING:
    from collections.abc import Iterator


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
    monitor = LocalMonitor(user.world.paths)
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

"""The product's own story, by key presses on real servers: from an empty list to a client's query."""

from __future__ import annotations

import os
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from canary_tui.monitor.local import LocalMonitor
from canary_tui.tui.app import CanaryApp

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual.pilot import Pilot

    from tests.harness.mariadb import MariaDB
    from tests.harness.postgres import Postgres
    from tests.harness.sshd import Sshd
    from tests.servers.world import World

LIMIT = 20.0
KIND, COMMENT = "ecdsa-sha2-nistp256", "querycanary.com"


def screen_text(pilot: Pilot[None]) -> str:
    """What a person sees, line by line."""
    screen = pilot.app.screen
    strips = screen._compositor.render_strips(screen.size)
    return "\n".join("".join(segment.text for segment in strip).rstrip() for strip in strips)


async def see(pilot: Pilot[None], what: str | Callable[[str], object]) -> str:
    """Wait until something stands on the screen and return the screen."""
    wanted = (lambda text: what in text) if isinstance(what, str) else what
    end = time.monotonic() + LIMIT
    while not wanted(text := screen_text(pilot)):
        assert time.monotonic() < end, f"waited in vain for {what}; the screen is:\n{text}"
        await pilot.pause(0.05)
    return text


async def type_into(pilot: Pilot[None], field: str, text: str) -> None:
    """Go to a field by tab alone and type, instead of what stands there."""
    for _ in range(60):
        focused = pilot.app.focused
        if focused is not None and focused.id == field:
            break
        await pilot.press("tab")
    else:
        pytest.fail(f"no way by tab to {field}")
    await pilot.press("end", "ctrl+u", *text)


async def read_line_to_install(pilot: Pilot[None]) -> str:
    """Scroll through the key view and put the restricted line together from what is on the screen."""
    text = await see(pilot, "permitopen=")
    shown = [line.strip(" ┃▌│") for line in text.splitlines()]
    start = next(i for i, line in enumerate(shown) if line.startswith("restrict,"))
    pieces: list[str] = []
    for piece in shown[start:]:
        if not piece:
            break
        pieces.append(piece)
    # The screen breaks the line at blanks and, the key being one long word, within it.
    options, _, key = "".join(pieces).partition(KIND)
    return f"{options} {KIND} {key.removesuffix(COMMENT)} {COMMENT}"


async def install_and_trust(pilot: Pilot[None], sshd: Sshd) -> None:
    """From the key view to a test under way: install the line, trust the host key."""
    sshd.authorize(await read_line_to_install(pilot))
    await pilot.press("t")
    await see(pilot, "SHA256:")
    await pilot.press("h")
    await see(pilot, "ssh-keygen -lf")
    await pilot.press("y")


async def add_server(pilot: Pilot[None], database: Postgres | MariaDB, sshd: Sshd, engine: str) -> None:
    """Fill the form as a person would."""
    await see(pilot, "a add")
    await pilot.press("a")
    await see(pilot, "Database Hostname")
    await type_into(pilot, "name", "shop")
    if engine == "mysql":
        await pilot.press("tab", "m")
        await see(pilot, "3306")
    await type_into(pilot, "db-host", database.host)
    await type_into(pilot, "db-port", str(database.port))
    await type_into(pilot, "db-name", database.database)
    await type_into(pilot, "db-user", database.user)
    await type_into(pilot, "ssh-host", sshd.host)
    await type_into(pilot, "ssh-port", str(sshd.port))
    await type_into(pilot, "ssh-user", sshd.user)
    await type_into(pilot, "every", "1s")
    await pilot.press("ctrl+s")


async def tell_the_story(pilot: Pilot[None], world: World, database: Postgres | MariaDB, sshd: Sshd) -> None:
    """From the key view to a green log; the server has just been saved."""
    await install_and_trust(pilot, sshd)
    await see(pilot, "Kept in memory")  # it asks for the database password by itself
    await pilot.press(*database.password, "enter")
    await see(pilot, lambda text: "✓ Query" in text)
    await pilot.press("escape", "escape", "escape")
    await see(pilot, lambda text: "● shop" in text and " up " in text)
    await pilot.press("enter")
    await see(pilot, lambda text: "› shop › log" in text and "query" in text)
    assert database.password not in screen_text(pilot)


@pytest.mark.parametrize("engine", ["postgresql", "mysql"])
async def test_from_an_empty_list_to_a_query_through_the_local_port(
    world: World, sshd: Sshd, engine: str, request: pytest.FixtureRequest
) -> None:
    database = request.getfixturevalue("postgres" if engine == "postgresql" else "mariadb")
    monitor = LocalMonitor(world.paths)
    monitor.start()
    app = CanaryApp(monitor)
    try:
        async with app.run_test(size=(100, 60), notifications=True) as pilot:
            await add_server(pilot, database, sshd, engine)
            await tell_the_story(pilot, world, database, sshd)
            row = monitor.snapshot().row("shop")
            assert row is not None
            assert ask(database, engine, int(row.local.rpartition(":")[2])) == "hello"
    finally:
        assert monitor.stop(5)


def ask(database: Postgres | MariaDB, engine: str, port: int) -> str:
    """Run the engine's own client through the local port."""
    environment = {
        "PATH": os.environ["PATH"],
        "PGPASSWORD": database.password,
        "MYSQL_PWD": database.password,
    }
    if engine == "postgresql":
        address = f"host=127.0.0.1 port={port} user={database.user} dbname={database.database}"
        command = ["psql", "-Atc", "select 'hello'", address]
    else:
        command = ["mysql", "--no-defaults", "-h127.0.0.1", f"-P{port}", f"-u{database.user}", "-sNe"]
        command += ["select 'hello'", database.database]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, timeout=LIMIT
    )
    return done.stdout.strip() or done.stderr

"""Gives the terminal to a database's own client for a while."""

from __future__ import annotations

import asyncio
import shutil
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from textual.app import SuspendNotSupported

from canary_tui.servers.model import Engine

if TYPE_CHECKING:
    from textual.app import App

PACKAGES = {client: engine.facts.client_package for engine in Engine for client in engine.facts.clients}


async def run_client(app: App[None], argv: Sequence[str], environment: Mapping[str, str]) -> str:
    """Run ``argv`` with just this environment in the terminal and return what went wrong, if anything.

    An asyncio subprocess: the loop lives on meanwhile, and with it the tunnels' workers.
    """
    name = Path(argv[0]).name
    program = shutil.which(argv[0], path=environment.get("PATH"))
    if program is None:
        what = PACKAGES.get(name, "the program")
        return f"{name} is not installed on this machine: install {what}."
    try:
        # Nothing is painted while another program has the terminal.
        with app.suspend(), app.batch_update(), _interrupts_for_the_client():
            process = await asyncio.create_subprocess_exec(program, *argv[1:], env=environment)
            status = await process.wait()
    except SuspendNotSupported:
        return "This terminal cannot be handed to another program."
    except OSError as error:
        return f"{name}: {error.strerror}"
    return f"{name} ended with status {status}." if status else ""


@contextmanager
def _interrupts_for_the_client() -> Iterator[None]:
    """Let Ctrl-C end a query in the client and not the application, which hears it as well.

    A function, not SIG_IGN: what is ignored stays so in the client.
    """
    before = signal.signal(signal.SIGINT, lambda _number, _frame: None)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)

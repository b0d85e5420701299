"""``canary demo``."""

from __future__ import annotations

import asyncio
import signal
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from canary_tui.cli.common import load_fleet, open_tools
from canary_tui.cli.probe_command import probe_all

if TYPE_CHECKING:
    from collections.abc import Iterator

    from canary_tui.demo.fleet import DemoFleet


@click.command("demo")
def command() -> int:
    """Look around: a small fleet of real servers, each in another state, in a temporary folder.

    Without a terminal each server is probed once and printed; exit status 0 when each is in the state
    that the demo announces. Everything is gone when it ends.
    """
    from canary_tui.demo.fleet import DemoFleet, DemoUnavailable

    try:
        with _signals_end_it(), DemoFleet(say=_say) as fleet:
            if sys.stdin.isatty() and sys.stdout.isatty():
                from canary_tui.cli.application import open_application

                return open_application(fleet.paths)
            return _print(fleet)
    except DemoUnavailable as unavailable:
        click.echo(str(unavailable), err=True)
        return 1


def _say(words: str) -> None:
    click.echo(words, err=True)


def _print(fleet: DemoFleet) -> int:
    servers = list(load_fleet(fleet.paths).servers)
    results = asyncio.run(probe_all(servers, open_tools(fleet.paths), as_json=False))
    wrong = 0
    click.echo()
    for demo, result in zip(fleet.servers, results, strict=True):
        found = result.failure.cause.value if result.failure else "ok"
        verdict = "as announced" if found == demo.expected else f"announced: {demo.expected}"
        wrong += found != demo.expected
        click.echo(f"{demo.name:<10} {found:<18} {verdict}  ({demo.about})")
    return 1 if wrong else 0


@contextmanager
def _signals_end_it() -> Iterator[None]:
    """SIGTERM and SIGHUP end the demo as Ctrl-C does, so that its folder is cleared away."""

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    old = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)

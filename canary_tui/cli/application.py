"""Opening the application: Textual is imported here and nowhere before."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from canary_tui.paths import Paths


def open_application(paths: Paths) -> int:
    """Run the application until it is quit; return the exit status."""
    import sys

    import click

    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise click.UsageError("the application needs a terminal; canary probe and canary list do not")
    from canary_tui.tui.app import run

    return run(paths)

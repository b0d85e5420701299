"""Opening the application: Textual is imported here and nowhere before."""

from __future__ import annotations

import os
import re
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from canary_tui.paths import Paths

WITHOUT_SCREENS = "canary probe, canary list and canary watch do without screens"
UNDERSTOOD = frozenset(
    {"alacritty", "contour", "eterm", "foot", "ghostty", "gnome", "iterm", "iterm2", "kitty", "konsole"}
    | {"linux", "mintty", "ms", "nsterm", "putty", "rio", "rxvt", "screen", "st", "tmux", "vscode", "vt100"}
    | {"vt102", "vt220", "vte", "wezterm", "xfce", "xterm", "cygwin", "ansi"}
)
"""Families of terminals that understand xterm's sequences, whether or not this machine has their entry."""


def open_application(paths: Paths) -> int:
    """Run the application until it is quit; return the exit status."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise click.UsageError(f"the application needs a terminal; {WITHOUT_SCREENS}")
    term = os.environ.get("TERM", "")
    if not shows_screens(term):
        what = f"TERM is {term}" if term else "TERM is not set"
        raise click.UsageError(f"{what}: this terminal cannot show the application; {WITHOUT_SCREENS}")
    from canary_tui.tui.lifetime import run

    return run(paths)


def shows_screens(term: str) -> bool:
    """Tell whether a terminal of this name can show screens: one that can move its cursor (terminfo(5))."""
    with suppress(ImportError):  # some builds of Python have no curses
        import curses

        with suppress(curses.error):
            curses.setupterm(term or "dumb", 1)
            return bool(curses.tigetstr("cup"))
    return re.split("[-.]", term)[0] in UNDERSTOOD

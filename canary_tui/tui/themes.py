"""The application's own two themes: one accent, the canary's yellow; quiet everything else.

Terminals with 16 colours show the nearest of theirs: good is green there, bad is red, the accent yellow.
"""

from __future__ import annotations

from textual.theme import Theme

DARK = Theme(
    name="canary-dark",
    primary="#f2c14e",
    secondary="#8fb4d8",
    accent="#f2c14e",
    foreground="#d9dde3",
    background="#14171b",
    surface="#14171b",
    panel="#22272e",
    success="#5cc46e",
    warning="#e8a25c",
    error="#f07f7f",
    dark=True,
    variables={"block-cursor-text-style": "none", "input-cursor-background": "#f2c14e"},
)
LIGHT = Theme(
    name="canary-light",
    primary="#8a5a00",
    secondary="#2f5f8f",
    accent="#8a5a00",
    foreground="#22262b",
    background="#fbfaf6",
    surface="#fbfaf6",
    panel="#ece8dc",
    success="#12803a",
    warning="#a35200",
    error="#b3261e",
    dark=False,
    variables={"block-cursor-text-style": "none"},
)
THEMES = (DARK, LIGHT)

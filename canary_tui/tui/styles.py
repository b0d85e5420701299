"""Finds the style sheets, in a checkout and in an installed wheel."""

from __future__ import annotations

from pathlib import Path, PurePath

PACKAGE = Path(__file__).resolve().parent.parent


def style_folder() -> Path:
    """Return the folder of the style sheets. Raises FileNotFoundError when it is nowhere.

    A wheel carries them inside the package; a checkout has them beside it.
    """
    for folder in (PACKAGE / "styles", PACKAGE.parent / "styles"):
        if folder.is_dir():
            return folder
    raise FileNotFoundError(f"no style sheets in {PACKAGE / 'styles'} or {PACKAGE.parent / 'styles'}")


def style_sheets() -> list[str | PurePath]:
    """Return all style sheets, in a fixed order."""
    return sorted(style_folder().glob("*.tcss"))

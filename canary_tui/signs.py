"""Signs that a terminal or a file cannot show, in plain ASCII: by the stream's encoding, sign by sign.

``str.encode`` asks an error handler (PEP 293) about what the encoding lacks: so what can be shown stays as it
is, and nothing that is printed ever raises UnicodeEncodeError.
"""

from __future__ import annotations

import codecs
import io
import unicodedata
from typing import TextIO

IN_WORDS = "canary.words"
"""The error handler for lines of text: a sign may become a word."""
IN_CELLS = "canary.cells"
"""The error handler for screens: what fills one cell fills one again."""

WORDS = {
    "●": "ok", "✓": "ok", "✕": "FAIL", "✗": "FAIL", "▲": "SLOW", "◐": "..", "…": "...", "⋮": ":",
    "→": "->", "←": "<-", "↑": "^", "↓": "v", "⇅": "^v", "▸": ">", "▾": "v",
    "–": "-", "—": "-", "−": "-", "×": "x", "·": ".", "•": "*", "≥": ">=", "≤": "<=", "≈": "~",
    "“": '"', "”": '"', "„": '"', "‘": "'", "’": "'", "\u00a0": " ", "\u202f": " ", "\ufffd": "?",
}  # fmt: skip
CELLS = {
    "●": "*", "✓": "*", "✕": "X", "✗": "X", "▲": "!", "◐": "o", "…": "~", "→": ">", "←": "<", "≥": ">",
    "≤": "<", "⇅": "^", "▁": "_", "▂": "_", "▃": "-", "▄": "-", "▅": "=", "▆": "=", "▇": "#", "█": "#",
    "▉": "#", "▊": "#", "▋": "#", "▌": "|", "▍": "|", "▎": "|", "▏": "|", "▐": "|", "▔": "-", "▀": "-",
    "░": ".", "▒": ":", "▓": "#",
}  # fmt: skip


def encode_for(stream: TextIO, how: str = IN_WORDS) -> None:
    """Have ``stream`` write plain signs where its encoding lacks ours."""
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors=how)


def _plain(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(_in_words, error.object[error.start : error.end])), error.end


def _in_words(sign: str) -> str:
    return WORDS.get(sign) or _line(sign) or sign.encode("ascii", "backslashreplace").decode()


def _cells(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(_in_cells, error.object[error.start : error.end])), error.end


def _in_cells(sign: str) -> str:
    if unicodedata.category(sign) in {"Cf", "Mn", "Me"}:  # they take no cell of their own
        return ""
    plain = CELLS.get(sign) or _line(sign) or WORDS.get(sign, "?")[:1]
    return plain * (2 if unicodedata.east_asian_width(sign) in {"W", "F"} else 1)


def _line(sign: str) -> str:
    """Return what stands for a line of a box, ``-``, ``|`` or ``+``, by its name; else nothing."""
    name = unicodedata.name(sign, "")
    if not name.startswith("BOX DRAWINGS"):
        return ""
    if name.endswith("HORIZONTAL"):
        return "+" if "VERTICAL" in name else "-"
    return "|" if name.endswith("VERTICAL") and " AND " not in name else "+"


codecs.register_error(IN_WORDS, _plain)
codecs.register_error(IN_CELLS, _cells)

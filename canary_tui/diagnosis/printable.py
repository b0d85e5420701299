"""Text from outside made fit to be shown: the one place that decides what may reach a terminal.

Text is cleaned where it becomes a value (``Source.NAME.text(…)``: one line, limited); every sink lets only
printable characters through once more (``filtered``). What counts as printable is Unicode's and Python's
decision (``str.isprintable``): no control, format (bidi, zero-width), surrogate, private-use or unassigned
character, no line or paragraph separator.
"""

from __future__ import annotations

import re
import unicodedata
from enum import Enum

VALUE_LIMIT = 1000
"""Characters of one value that are shown: the longest honest one is a line of authorized_keys."""
SLACK = 4
"""How many times the limit is looked at: the rest of a megabyte costs nothing, and spaces may go first."""
MOST_MARKS = 4
"""Combining marks on one letter: Hebrew with its accents has three; a flood covers the lines around it."""

_COLOUR = re.compile(r"(?:\x1b\[|\x9b)[0-9;:]*m")
_SEQUENCE = re.compile(
    # ECMA-48 §5.4 and §5.6: control sequences; strings for the terminal itself (its title, its clipboard).
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|(?:\x1b[PX\]^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)"
)
_BLANK_LETTERS = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0]")
"""Letters and marks by category that show nothing."""
_MAY_FLOOD = re.compile(f"[\u0300-\U0010ffff]{{{MOST_MARKS + 1}}}")
"""No mark comes before U+0300: most text is seen at a glance to have no flood."""


class Source(Enum):
    """Each kind of text that somebody else chose, with the characters of it that are kept.

    The test of hostile text has a case for each.
    """

    SSH_GREETING = ("what a server says where an SSH version belongs", 80)
    SSH_VERSION = ("an SSH server's version line", 255)  # RFC 4253 §4.2
    SSH_ERROR = ("why an SSH server, the resolver or the system ended something", 500)
    SSH_OUTPUT = ("what a session on the SSH server prints", 500)
    DATABASE_ERROR = ("what a database, or TLS with it, says", 500)
    SETTINGS = ("servers.yaml: keys, tags, values", VALUE_LIMIT)
    KNOWN_HOSTS = ("lines of known_hosts files", 255)
    KEY_COMMENT = ("the comment of a key", 255)
    PATH = ("names of files and folders", VALUE_LIMIT)
    PROGRAM = ("the name of another process, or of its user", 64)
    COMMAND_ERRORS = ("what a password command complains about", 200)
    KEYRING = ("what the keyring complains about", 500)
    HISTORY = ("rows of the history, whoever wrote them", 4 * VALUE_LIMIT)

    def __init__(self, what: str, limit: int) -> None:
        self.what = what
        self.limit = limit

    def text(self, raw: str | bytes) -> str:
        """Return what came from this source as one printable line of at most ``limit`` characters."""
        return one_line(raw, self.limit)


def one_line(raw: str | bytes, limit: int = VALUE_LIMIT) -> str:
    """Return ``raw`` as one printable line of at most ``limit`` characters.

    Bytes are read as UTF-8. Colours vanish; any other sequence for the terminal, white space and each
    character that cannot be shown is a space, a run of them one. Marks that pile up on a letter are thinned
    out. An ellipsis stands for what is left out. Doing it twice changes nothing.
    """
    text = raw[: 4 * SLACK * limit].decode(errors="replace") if isinstance(raw, bytes) else raw
    head = text[: SLACK * limit]
    cut = len(head) < len(text) or (isinstance(raw, bytes) and len(raw) > 4 * SLACK * limit)
    if not head.isprintable():
        head = "".join(map(_shown, _SEQUENCE.sub(" ", _COLOUR.sub("", head))))
    line = " ".join(_readable(head).split())
    if len(line) > limit or (cut and len(line) == limit):
        return line[: limit - 1].rstrip() + "…"
    return line + "…" if cut else line


def system_words(error: OSError) -> str:
    """Return the file that an error of the system is about, and its words: ``/etc/x: Permission denied``."""
    place = f"{Source.PATH.text(str(error.filename))}: " if error.filename else ""
    return place + one_line(error.strerror or str(error) or type(error).__name__)


def filtered(text: str) -> str:
    """Return ``text`` as a sink may pass it on, with a space for what cannot be shown.

    Its lines stay, and its tabs: a shell's completion has one between a word and what that means.
    """
    if not text.isprintable():
        text = "".join(c if c in "\n\t" else _shown(c) for c in text)
    return _readable(text)


def _shown(char: str) -> str:
    if char.isprintable():
        return char
    return "\ufffd" if "\ud800" <= char <= "\udfff" else " "


def _readable(text: str) -> str:
    """Return printable text without letters that are blank and without floods of marks."""
    if text.isascii():
        return text
    text = _BLANK_LETTERS.sub(" ", text)
    if not _MAY_FLOOD.search(text):
        return text
    kept: list[str] = []
    marks = 0
    for char in text:
        marks = marks + 1 if unicodedata.category(char) in {"Mn", "Me"} else 0
        if marks <= MOST_MARKS:
            kept.append(char)
    return "".join(kept)

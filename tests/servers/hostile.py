"""Text that is no text: one hostile string, what is clean, and programs that say it."""

from __future__ import annotations

import html
import json
import re
from typing import TYPE_CHECKING, Any

import asyncssh

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


TAIL = (
    "\x1b]52;c;Zm9yZ2Vk\x07\x1b]0;title\x1b\\\r\nFORGED LINE\x1b[2J\x1b[1;1H\x9b31m\x9d52;c;eA==\x9c\x90q\x9c"
    "\u202egpj.exe\u2066\u2069\u200b\u2028FORGED\u2029FORGED\x7f\x08\x00\x0b\x0c\x85\ue000\U000e0041\ufeff"
    "[red]markup[/red][@click=app.quit]x[/] z" + "\u0301" * 60
)
"""What a terminal obeys, what a reader is deceived by, and what Textual would take for markup."""
RAW = re.compile(
    rb"\x1b|\xc2[\x80-\x9f]|\xe2\x80[\x8b-\x8f\xa8-\xae]|\xe2\x81[\xa6-\xa9]|\\u(?:001b|009[0-9a-f]|20[26][0-9a-f])"
)
"""The same in bytes, and as JSON would spell it."""


def hostile(mark: str, *, without: str = "", size: int = 0) -> str:
    """Return the hostile string with a plain word at its beginning, by which what came of it is known.

    ``without``: characters that cannot stand there. ``size``: repeat it to about so many characters.
    """
    text = "".join(c for c in f"{mark} {TAIL} {mark}-end " if c not in without)
    return text * max(1, size // len(text))


def raw(text: str) -> bytes:
    """Return it as bytes, with some more that are no UTF-8."""
    return text.encode("utf-8", "surrogateescape") + b"\xff\xfe\xed\xa0\x80\xc3"


def dirt(text: str) -> str:
    """Return what of a sink's text should not have reached it; lines may end, where they are ours."""
    forged = [line for line in text.split("\n") if line.lstrip().startswith("FORGED")]
    return unprintable(text) + "".join(forged)


def unprintable(text: str) -> str:
    """Return the characters that are no text, and floods of marks."""
    return "".join(c for c in text if not c.isprintable() and c != "\n") + "".join(
        re.findall("\u0301{6}", text)
    )


def strings(value: Any) -> Iterator[str]:
    """Go through all texts of a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from strings(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from strings(item)


def check_json(lines: str) -> None:
    """See that lines of JSON are clean, as they are spelled and in what they say."""
    for line in lines.splitlines():
        assert line.isascii()
        assert line.isprintable()
        for text in strings(json.loads(line)):
            assert not dirt(text.replace("\n", "")), text[:400]


def svg_text(svg: str) -> str:
    """Return what a picture of the screen shows."""
    return html.unescape(re.sub(r"<[^>]*>", "\n", svg)).replace("\xa0", " ")


def shell(said: str) -> Callable[[asyncssh.SSHServerProcess[bytes]], None]:
    """Return what runs a session's command: an ``echo`` whose variables all hold ``said``."""

    def run(process: asyncssh.SSHServerProcess[bytes]) -> None:
        words = (process.command or "").partition(";")[0].removeprefix("echo ")
        plain = words.replace("''", "").replace(
            '"$SSH_AUTH_SOCK"', said.replace("\n", " ").replace("\r", " ")
        )
        process.stdout.write(raw(plain) + b"\n")
        process.stderr.write(raw(said))
        process.exit(0)

    return run


def program_named(name: bytes, port: int) -> str:
    """Return a Python program that is called ``name`` (15 bytes) and listens on a port."""
    return (
        "import ctypes, socket, time\n"
        f"ctypes.CDLL(None).prctl(15, {name!r}, 0, 0, 0)\n"
        f"s = socket.create_server(('127.0.0.1', {port}))\n"
        "print('listening', flush=True)\n"
        "time.sleep(300)\n"
    )


def broken_keyring(folder: Path, said: str) -> dict[str, str]:
    """Write a keyring that complains in hostile words; return the variables that choose it."""
    folder.mkdir()
    (folder / "hostile_keyring.py").write_text(
        "from keyring.backend import KeyringBackend\n"
        "from keyring.errors import KeyringError\n"
        "class Keyring(KeyringBackend):\n"
        "    priority = 1\n"
        "    def get_password(self, service, username):\n"
        f"        raise KeyringError({said!r})\n"
        "    set_password = delete_password = get_password\n",
        "utf-8",
    )
    return {"PYTHONPATH": str(folder), "PYTHON_KEYRING_BACKEND": "hostile_keyring.Keyring"}

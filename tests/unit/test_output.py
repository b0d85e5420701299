"""The way to stdout and stderr lets through what may be shown, and our own colours."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path
from typing import TextIO, cast

import click
import msgspec
import pytest

from canary_tui.cli.output import FilteredStream
from canary_tui.monitor.json_records import json_line

HOSTILE = "a\x1b]52;c;cm0gLXJm\x07b\x9b2Jc\u202ed\x7fe\rf\0g\u2028h"


def written(text: str) -> str:
    file = io.StringIO()
    FilteredStream(file).write(text)
    return file.getvalue()


def test_controls_become_spaces_and_lines_stay() -> None:
    passed = written(f"one\n{HOSTILE}\ntwo\n")
    assert passed.count("\n") == 3
    assert passed.replace("\n", "").isprintable()


def test_our_colours_pass() -> None:
    text = f"{click.style('✕', fg='red')} {click.style('bold', bold=True)}\n"
    assert written(text) == text


def test_nothing_is_lost_of_ordinary_text() -> None:
    assert written("● up – 3 ms …\n") == "● up – 3 ms …\n"


def test_click_takes_it_as_it_is_whatever_the_encoding() -> None:
    raw = io.BytesIO()
    stream = FilteredStream(io.TextIOWrapper(raw, "ascii", errors="replace"))
    click.echo(HOSTILE, file=cast("TextIO", stream))
    click.echo(HOSTILE.encode(), file=cast("TextIO", stream))
    assert raw.getvalue().count(b"\n") == 2
    assert raw.getvalue().replace(b"\n", b"").decode().isprintable()


def test_json_is_ascii_and_says_the_same() -> None:
    record = {"text": HOSTILE + " é 東 😀 \ue000"}
    line = json_line(record)
    assert line.isascii()
    assert line.isprintable()
    assert msgspec.json.decode(line) == record


@pytest.mark.parametrize(
    "arguments", [[f"no{HOSTILE}".replace("\0", "")], ["probe", f"--x{HOSTILE}".replace("\0", "")]]
)
def test_what_click_itself_says_is_filtered_too(arguments: list[str], tmp_path: Path) -> None:
    environment = os.environ | {"XDG_CONFIG_HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path)}
    ended = subprocess.run(
        [sys.executable, "-m", "canary_tui", *arguments],
        env=environment, capture_output=True, check=False, timeout=60,
    )  # fmt: skip
    said = (ended.stdout + ended.stderr).decode()
    assert ended.returncode == 2
    assert "No such" in said
    assert said.replace("\n", "").isprintable()

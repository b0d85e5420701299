"""Each benchmark still runs: small and once, on real servers. What it finds is not judged here."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.__main__ import NAMES
from benchmarks.report import PAGE, Row, Section, write
from tests.harness.needs import require

ROOT = Path(__file__).parents[2]
LIMIT = 100.0


def test_each_benchmark_runs_to_its_table() -> None:
    require("sshd", "ssh", "postgres", "mariadb")
    names = [name for name in NAMES if name != "soak"]
    before = PAGE.read_bytes()
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", *names, "--quick"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT,
    )
    assert done.returncode == 0, done.stderr
    for name in names:
        assert f"\n{name}\n\n| " in done.stdout
    assert PAGE.read_bytes() == before, "a quick run writes nothing"


def test_every_benchmark_has_its_place_on_the_page() -> None:
    page = PAGE.read_text("utf-8")
    for name in (*NAMES, "machine"):
        assert page.count(f"<!-- bench:{name} -->") == page.count(f"<!-- /bench:{name} -->") == 1, name


def test_a_table_is_put_between_its_markers_and_the_words_around_it_stay(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# Title\n\n<!-- bench:x -->\nold\n<!-- /bench:x -->\nwords\n"
        "<!-- bench:machine --><!-- /bench:machine -->\n"
    )
    section = Section(
        "x", ("what", "ours", "theirs", "ratio", "aim"), [Row("a", "1 s", aim="≤ 2 s", met=True)]
    )
    write([section], page)
    text = page.read_text()
    assert "old" not in text
    assert text.startswith("# Title\n\n<!-- bench:x -->\n| what | ours | aim |\n")
    assert "| a | 1 s | ≤ 2 s ✓ |\n<!-- /bench:x -->\nwords\n" in text


def test_a_page_without_a_place_for_a_table_is_refused(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Title\n")
    with pytest.raises(ValueError, match="bench:x"):
        write([Section("x", ("what", "ours", "theirs", "ratio", "aim"))], page)

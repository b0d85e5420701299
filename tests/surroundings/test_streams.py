"""Closed, full, broken and narrow outputs; encodings that lack our signs: a status, and never a traceback."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from canary_tui.signs import CELLS, IN_CELLS, IN_WORDS, WORDS
from tests.surroundings.canary import MANY, Home, direct, fleet

NARROW: dict[str, dict[str, str | None]] = {
    "latin-1": {"PYTHONIOENCODING": "latin-1"},
    "latin-1 strict": {"PYTHONIOENCODING": "latin-1:strict"},
    "ascii": {"PYTHONIOENCODING": "ascii"},
    "koi8-r": {"PYTHONIOENCODING": "koi8-r"},
    "C without help": {"LANG": None, "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
    "a locale that is not there": {"LANG": None, "LC_ALL": "de_DE"},
}


@pytest.fixture(scope="session")
def locales(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a German locale in ISO-8859-1, as it was usual; skips where it cannot be made."""
    folder = tmp_path_factory.mktemp("locales")
    if shutil.which("localedef") is None or not Path("/usr/share/i18n/locales/de_DE").exists():
        pytest.skip("the C library's locales are not installed")
    target = folder / "de_DE"
    subprocess.run(
        ["localedef", "-c", "-i", "de_DE", "-f", "ISO-8859-1", str(target)], check=False, timeout=60
    )
    assert (target / "LC_CTYPE").exists()
    return folder


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_change_no_status(home: Home, closed: str) -> None:
    for line, status in (("list", 0), ("probe", 1), ("key nobody", 2)):
        ended = home.shell(f"canary {line} {closed}")
        assert (ended.status, b"Traceback" in ended.err) == (status, False), (line, ended)


def test_a_file_that_is_written_while_streams_are_closed_holds_nothing_but_its_own(home: Home) -> None:
    tunnel = "--ssh-host 127.0.0.1 --ssh-port 1 --ssh-user me"
    ended = home.shell(f"canary add far --engine mysql --db-host h {tunnel} <&- >&- 2>&-")
    assert ended.status == 0
    private = home.folder / ".local/share/canary-tui/keys/far"
    assert private.read_text().startswith("-----BEGIN OPENSSH PRIVATE KEY-----\n")
    assert private.read_text().endswith("-----END OPENSSH PRIVATE KEY-----\n")
    assert home.servers.read_text().startswith("servers:\n")


@pytest.mark.parametrize("command", ["list", "probe", "probe --json", "list --json", "--help", "--version"])
def test_a_full_disk_behind_stdout_is_said_and_is_no_success(home: Home, command: str) -> None:
    ended = home.shell(f"canary {command} >/dev/full")
    assert ended.status == 2
    assert ended.sentence == "standard output: No space left on device"


@pytest.mark.parametrize(("command", "status"), [("list --wrong", 2), ("key nobody", 2), ("audit orders", 2)])
def test_a_full_disk_behind_stderr_changes_no_status(home: Home, command: str, status: int) -> None:
    assert home.shell(f"canary {command} 2>/dev/full").status == status


@pytest.mark.parametrize("form", ["", "--json"])
def test_a_reader_that_goes_away_ends_the_command_as_sigpipe_does(home: Home, form: str) -> None:
    home.write(fleet(*(direct(f"server-{number}") for number in range(MANY))))
    ended = home.shell(f"canary list {form} | head -1; exit ${{PIPESTATUS[0]}}")
    assert ended.status == 141
    assert ended.out.count(b"\n") == 1
    assert ended.err == b""


def test_a_reader_that_reads_all_changes_nothing(home: Home) -> None:
    home.write(fleet(*(direct(f"server-{number}") for number in range(MANY))))
    ended = home.shell("canary list | tail -1; exit ${PIPESTATUS[0]}")
    assert (ended.status, ended.err) == (0, b"")
    assert f"server-{MANY - 1}".encode() in ended.out


@pytest.mark.parametrize("narrow", NARROW.values(), ids=NARROW.keys())
@pytest.mark.parametrize(("command", "status"), [("probe", 1), ("list", 0), ("log", 0), ("--hëlp", 2)])
def test_no_encoding_makes_a_command_fail(
    home: Home, command: str, status: int, narrow: dict[str, str]
) -> None:
    ended = home.run(command, variables=narrow)
    assert ended.status == status
    assert b"Traceback" not in ended.err
    assert b"UnicodeEncodeError" not in ended.err


def test_latin_1_shows_plain_signs_and_its_own_letters(home: Home) -> None:
    ended = home.run("probe", variables={"PYTHONIOENCODING": "latin-1"})
    assert ended.status == 1
    assert ended.out.startswith(b"FAIL orders")
    assert b"connect FAIL" in ended.out
    assert "–".encode() not in ended.out
    assert home.run("list", variables={"PYTHONIOENCODING": "latin-1"}).out.splitlines()[1].endswith(b"  -")
    assert home.run("probe").out.startswith("✕ orders".encode())


@pytest.mark.parametrize("name", ["de_DE", "de_DE.ISO-8859-1"])
def test_a_german_locale_of_old_shows_plain_signs(home: Home, locales: Path, name: str) -> None:
    old: dict[str, str | None] = {"LOCPATH": str(locales), "LANG": None, "LC_ALL": name}
    if name != "de_DE":
        (locales / name).unlink(missing_ok=True)
        (locales / name).symlink_to(locales / "de_DE")
    ended = home.run("probe", variables=old)
    assert (ended.status, ended.err) == (1, b"")
    assert ended.out.startswith(b"FAIL orders")
    add = home.run("add", "größe".encode("latin-1"), "--engine", "mysql", "--db-host", "h", variables=old)
    assert add.status == 2
    assert "gr\xf6\xdfe".encode("latin-1") in add.err


def test_bytes_that_are_no_text_on_the_command_line_are_refused_in_words(home: Home) -> None:
    for narrow in ({}, {"PYTHONIOENCODING": "ascii"}):
        ended = home.run(b"add", b"x", b"--engine", b"mysql", b"--db-host", b"h\xff\xfe", variables=narrow)
        assert ended.status == 2
        assert b"Traceback" not in ended.err
        assert b"db-host" in ended.err
        assert b"x" not in home.run("list").out.split()


@pytest.mark.parametrize("columns", ["0", "-1", "9999999", "wide"])
def test_any_number_of_columns_will_do(home: Home, columns: str) -> None:
    odd: dict[str, str | None] = {"COLUMNS": columns, "LINES": columns}
    for command, status in (("--help", 0), ("list", 0), ("probe", 1), ("connect", 2)):
        ended = home.run(command, variables=odd)
        assert (ended.status, b"Traceback" in ended.err) == (status, False), (command, ended)


def test_what_stands_for_a_sign_is_ascii_and_on_screens_as_wide_as_it() -> None:
    assert all(plain.isascii() and plain for plain in (*WORDS.values(), *CELLS.values()))
    assert "● ✕ ▲ – … ü".encode("ascii", IN_WORDS) == rb"ok FAIL SLOW - ... \xfc"
    for sign in (*WORDS, *CELLS, "━", "┃", "┏", "┗", "┼", "╍", "ü", "語", "🐤"):
        assert len(f"{sign}".encode("ascii", IN_CELLS)) == (2 if sign in "語🐤" else 1), sign
    assert "─│┌┘┼━┃╭".encode("ascii", IN_CELLS) == b"-|+++-|+"
    with pytest.raises(UnicodeDecodeError):
        b"\xff".decode("ascii", IN_WORDS)

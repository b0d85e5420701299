"""Whatever stands in ``.pgpass`` and ``.my.cnf``: a password, none, or a reason, at once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from canary_tui.servers.passfiles import Ignored, my_cnf, pgpass

SETTINGS = settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
PIECES = st.sampled_from([
    b":", b"\\", b"*", b"#", b"\n", b"\r\n", b"\0", b"[client]\n", b"password=", b"host=h\n", b"user=u\n",
    b'"', b"'", b"=", b"\xff\xfe", "é".encode(), b"[", b"!include /etc/passwd\n", b"h:1:d:u:pw", b" ",
])  # fmt: skip
FILES = st.one_of(st.binary(max_size=300), st.lists(PIECES, max_size=40).map(b"".join))


def read_pgpass(path: Path) -> str | None:
    return pgpass(path, "h", 1, "d", "u")


def read_my_cnf(path: Path) -> str | None:
    return my_cnf(path, "h", 1, "u")


READERS = pytest.mark.parametrize("read", [read_pgpass, read_my_cnf])


def outcome(read: Callable[[Path], str | None], path: Path, data: bytes) -> str | None:
    path.write_bytes(data)
    path.chmod(0o600)
    try:
        return read(path)
    except Ignored:
        return None


@READERS
@SETTINGS
@given(data=FILES)
def test_anything_is_a_password_none_or_a_reason(
    tmp_path: Path, read: Callable[[Path], str | None], data: bytes
) -> None:
    outcome(read, tmp_path / "file", data)


@pytest.mark.soak
@READERS
@settings(SETTINGS, max_examples=5_000)
@given(data=FILES)
def test_anything_at_length(tmp_path: Path, read: Callable[[Path], str | None], data: bytes) -> None:
    outcome(read, tmp_path / "file", data)


@READERS
@pytest.mark.parametrize("filler", [b"\\", b":", b'"', b"\n", b"a", b"[client]\n", b"\\:", b"password='"])
def test_a_large_file_of_one_thing_takes_no_more_than_its_size(
    tmp_path: Path, read: Callable[[Path], str | None], filler: bytes
) -> None:
    outcome(read, tmp_path / "file", filler * (2_000_000 // len(filler)))


@SETTINGS
@given(password=st.text(st.characters(exclude_characters="\n\r\0", exclude_categories=["Cs"]), min_size=1))
def test_a_password_is_read_as_libpq_wrote_it(tmp_path: Path, password: str) -> None:
    escaped = password.replace("\\", "\\\\").replace(":", "\\:")
    assert outcome(read_pgpass, tmp_path / "file", f"h:1:d:u:{escaped}\n".encode()) == password

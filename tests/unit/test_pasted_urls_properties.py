"""Whatever is pasted: libpq reads the same from it, or it is refused, and no password is shown."""

from __future__ import annotations

import ctypes
import ctypes.util
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from canary_tui.tui.presenters import urls
from canary_tui.tui.presenters.urls import UNKNOWN, UrlParts, is_url, parse_url
from tests.unit.pasted import password


def reading(text: str) -> UrlParts | str:
    """Return what a URL says, or why it is refused."""
    try:
        return parse_url(text)
    except ValueError as error:
        return str(error)


# libpq itself


class Option(ctypes.Structure):
    """PQconninfoOption of libpq-fe.h."""

    _fields_ = [
        *((name, ctypes.c_char_p) for name in ("keyword", "envvar", "compiled", "val", "label", "dispchar")),
        ("dispsize", ctypes.c_int),
    ]


@pytest.fixture(scope="module")
def libpq() -> Callable[[str], dict[str, str] | None]:
    """libpq's own reading of a connection string; None where it refuses it."""
    if (name := ctypes.util.find_library("pq")) is None:
        pytest.skip("libpq is not installed")
    library = ctypes.CDLL(name)
    library.PQconninfoParse.restype = ctypes.POINTER(Option)
    library.PQconninfoParse.argtypes = [ctypes.c_char_p, ctypes.POINTER(ctypes.c_char_p)]
    library.PQconninfoFree.argtypes = [ctypes.POINTER(Option)]
    library.PQfreemem.argtypes = [ctypes.c_char_p]

    def read(text: str) -> dict[str, str] | None:
        options = library.PQconninfoParse(text.encode(), None)
        if not options:
            return None
        said, index = {}, 0
        while options[index].keyword:
            if options[index].val:
                said[options[index].keyword.decode()] = options[index].val.decode(errors="replace")
            index += 1
        library.PQconninfoFree(options)
        return said

    return read


PIECES = st.sampled_from([
    ":", "/", "@", "?", "#", "%", "%40", "%2F", "%zz", "[", "]", "[::1]", ",", "=", "&", "+", " ", "'", "\\",
    "user=", "password=", "host=", "port=", "dbname=", "sslmode=", "h", "db.example", "secret", "5432", "é",
])  # fmt: skip
RESTS = st.lists(PIECES, max_size=14).map("".join)


def agree(read: Callable[[str], dict[str, str] | None], url: str) -> None:
    """What we understand, libpq understands alike; what it would take for another place, we refuse."""
    parts = reading(url)
    if isinstance(parts, str):
        assert "secret" not in parts
        return
    said = read(url)
    if said is None:
        assert UNKNOWN in parts.left_out  # libpq refuses what it does not know; we leave it out
        return
    ours = {
        "host": parts.host,
        "port": parts.port,
        "dbname": parts.name,
        "user": parts.user,
        "password": password(parts),
    }
    assert {key: value for key, value in ours.items() if value} == {
        key: value for key, value in said.items() if key in ours
    }


@settings(max_examples=1000, deadline=None)
@given(rest=RESTS)
def test_what_is_understood_is_what_libpq_understands(
    libpq: Callable[[str], dict[str, str] | None], rest: str
) -> None:
    agree(libpq, f"postgresql://{rest.rstrip()}")


@settings(max_examples=500, deadline=None)
@given(rest=RESTS)
def test_so_is_a_libpq_string(libpq: Callable[[str], dict[str, str] | None], rest: str) -> None:
    agree(libpq, f"host={rest.rstrip()}")


@pytest.mark.soak
@settings(max_examples=20_000, deadline=None)
@given(rest=RESTS, start=st.sampled_from(["postgresql://", "postgres://", "host=", "user=a password="]))
def test_the_same_at_length(libpq: Callable[[str], dict[str, str] | None], rest: str, start: str) -> None:
    agree(libpq, start + rest.rstrip())


# Anything at all


TEXTS = st.one_of(
    st.text(max_size=200),
    st.tuples(
        st.sampled_from(["", " ", '"', "export X=", "psql "]),
        st.sampled_from(
            [f"{scheme}://" for scheme in urls.SCHEMES] + ["jdbc:mysql://", "mysql+x://", "host=", "x://"]
        ),
        st.one_of(RESTS, st.text(max_size=60)),
    ).map("".join),
)


def ends_in_parts_or_a_reason(text: str) -> None:
    parts = reading(text)
    if isinstance(parts, str):
        assert parts.isprintable()
        return
    assert is_url(text)
    shown = (parts.host, parts.port, parts.name, parts.user, parts.ca_file, *parts.left_out)
    assert parts.port == "" or 1 <= int(parts.port) <= 65_535
    assert all(one.isprintable() for one in shown)


@settings(max_examples=1000, deadline=None)
@given(text=TEXTS)
def test_anything_pasted_ends_in_parts_or_a_reason(text: str) -> None:
    ends_in_parts_or_a_reason(text)


@pytest.mark.soak
@settings(max_examples=20_000, deadline=None)
@given(text=TEXTS)
def test_anything_pasted_at_length(text: str) -> None:
    ends_in_parts_or_a_reason(text)


@settings(max_examples=500, deadline=None)
@given(secret=st.text(st.sampled_from("@/:?#&=+ [],é'\"\\ab1"), min_size=4, max_size=20))
@pytest.mark.parametrize("scheme", ["postgresql", "mysql", "jdbc:postgresql", "mysql+pymysql"])
def test_no_piece_of_an_unescaped_password_is_shown(scheme: str, secret: str) -> None:
    """Either it is read as the password, or the URL is refused without a piece of it."""
    marked = f"Zq{secret}Zq"
    parts = reading(f"{scheme}://reader:{marked}@db.example:5432/app")
    if isinstance(parts, str):
        assert "Zq" not in parts
        return
    assert password(parts) == marked
    assert (parts.host, parts.port, parts.name, parts.user) == ("db.example", "5432", "app", "reader")


@pytest.mark.parametrize(
    "text",
    [
        "[" * 8_000,
        "%" * 8_000,
        "a:" * 4_000,
        "?" * 8_000,
        "@" * 8_000,
        "'" * 8_000,
        "\\" * 8_000,
        "h=1 " * 2_000,
    ],
)
def test_a_long_one_of_one_thing_takes_no_time(text: str) -> None:
    for start in ("postgresql://", "postgresql://h/?a=", "host=", "host='", ""):
        ends_in_parts_or_a_reason((start + text)[:8_000])

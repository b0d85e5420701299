"""URLs and destinations: read from what is pasted, and written for a client."""

from __future__ import annotations

import shlex

import msgspec
import pytest

from canary_tui.servers.model import Engine, TlsMode
from canary_tui.tui.presenters import urls
from tests.screens import samples


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("postgres://u@h/d", (Engine.POSTGRESQL, "h", "", "d", "u", None)),
        ("postgresql+asyncpg://h:6000", (Engine.POSTGRESQL, "h", "6000", "", "", None)),
        ("mysql://u%40x@[::1]:3307/d%2Fe", (Engine.MYSQL, "::1", "3307", "d/e", "u@x", None)),
        ("mariadb://h/d?ssl-mode=VERIFY_IDENTITY", (Engine.MYSQL, "h", "", "d", "", TlsMode.VERIFY_FULL)),
        (
            "postgresql:///d?host=db&port=1&user=me&sslmode=require",
            (Engine.POSTGRESQL, "db", "1", "d", "me", TlsMode.REQUIRE),
        ),
    ],
)
def test_urls_are_read(url: str, parts: tuple[object, ...]) -> None:
    read = urls.parse_url(url)
    assert (read.engine, read.host, read.port, read.name, read.user, read.tls) == parts


@pytest.mark.parametrize(
    "url", ["postgresql://h:99999/x", "postgresql://[::1/x", "postgres://u:secret@h:port/"]
)
def test_a_wrong_url_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(ValueError, match="is no connection URL") as refused:
        urls.parse_url(url)
    assert "secret" not in str(refused.value)


def test_password_of_a_url_cannot_print_itself() -> None:
    parts = urls.parse_url("postgresql://u:hun%20ter2@h/d")
    assert "hun" not in repr(parts)
    assert parts.password is not None
    assert parts.password.reveal() == "hun ter2"


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("jump", ("", "jump", "")),
        ("ana@jump", ("ana", "jump", "")),
        ("ana@jump:2222", ("ana", "jump", "2222")),
        ("ssh://ana@jump:2222/", ("ana", "jump", "2222")),
        ("ana@[::1]:22", ("ana", "::1", "22")),
        ("fe80::1", ("", "fe80::1", "")),
    ],
)
def test_ssh_destinations_are_split(text: str, parts: tuple[str, str, str]) -> None:
    assert urls.split_destination(text) == parts


def test_connection_url_goes_through_the_local_end_without_a_password() -> None:
    row = samples.fleet()[0]
    assert urls.connection_url(row) == "postgresql://canary_reader@127.0.0.1:15432/orders"
    socket = msgspec.structs.replace(row, local="/run/canary/orders/.s.PGSQL.5432")
    assert (
        urls.connection_url(socket) == "postgresql://canary_reader@/orders?host=/run/canary/orders&port=5432"
    )
    direct = samples.fleet()[2]
    assert urls.connection_url(direct) == "postgresql://canary_reader@10.0.3.12:5432/orders"


def test_there_is_no_url_and_no_command_for_a_local_end_that_nobody_of_ours_has_bound() -> None:
    row = msgspec.structs.replace(samples.fleet()[0], local="")
    assert urls.connection_url(row) == ""
    assert urls.how_to_use(row) == urls.NOT_BOUND


STRANGE_NAMES = {
    "orders": ("orders", "orders"),
    "--command=\\! touch x": (r"dbname='--command=\\! touch x'", "--database=--command=\\! touch x"),
    "host=evil": ("dbname='host=evil'", "--database=host=evil"),
    "postgresql://evil/": ("dbname='postgresql://evil/'", "--database=postgresql://evil/"),
    "it's; $(touch x)": (r"dbname='it\'s; $(touch x)'", "--database=it's; $(touch x)"),
}


@pytest.mark.parametrize("name", STRANGE_NAMES)
def test_the_command_for_a_shell_is_quoted_and_a_name_stays_a_name(name: str) -> None:
    row = samples.fleet()[0]
    for engine, expected in zip((Engine.POSTGRESQL, Engine.MYSQL), STRANGE_NAMES[name], strict=True):
        database = msgspec.structs.replace(row.server.database, name=name, user="$(id)")
        server = msgspec.structs.replace(row.server, engine=engine, database=database)
        words = shlex.split(urls.how_to_use(msgspec.structs.replace(row, server=server)))
        port = "-p" if engine is Engine.POSTGRESQL else "-P"
        user = "-U" if engine is Engine.POSTGRESQL else "-u"
        client = "psql" if engine is Engine.POSTGRESQL else "mysql"
        assert words == [client, "-h", "127.0.0.1", port, "15432", user, "$(id)", expected]

"""``canary add``: what it makes, what it refuses, and that a refusal leaves nothing behind."""

from __future__ import annotations

import pytest

from tests.servers.cli import DIRECT, TUNNEL, Canary
from tests.servers.cli_alone import canary, user
from tests.servers.world import World

__all__ = ["canary", "user"]  # fixtures


def test_add_makes_the_key_and_prints_the_line_to_install(canary: Canary, user: World) -> None:
    outcome = canary("add", "orders", *TUNNEL)
    assert outcome.status == 0
    key = user.tools.keys.load(user.paths.keys / "orders")
    assert len(outcome.out.splitlines()) == 1
    assert outcome.out.startswith('restrict,port-forwarding,permitopen="10.0.3.12:5432"')
    assert outcome.out.strip().endswith(key.line)
    server = user.tools.file.load().get("orders")
    assert server is not None
    assert server.tunnel is not None
    assert f"Its local port is {server.tunnel.local_port}." in outcome.err


def test_add_keeps_every_option(canary: Canary, user: World) -> None:
    canary("add", "shop", *DIRECT, "--db-port", "3307", "--db-name", "shop", "--db-user", "reader",
           "--password-command", "op read 'op://a b'", "--every", "1m", "--timeout", "2s", "--tag", "eu",
           "--tls", "verify-full", "--ca-file", "~/ca.pem")  # fmt: skip
    server = user.tools.file.load().get("shop")
    assert server is not None
    database = server.database
    assert (database.host, database.port, database.name, database.user, database.tls, database.ca_file) == (
        "2001:db8::7", 3307, "shop", "reader", "verify-full", "~/ca.pem",
    )  # fmt: skip
    assert getattr(database.password, "command", None) == ("op", "read", "op://a b")
    assert (server.probe.every, server.probe.timeout, server.tags, server.ssh) == (60.0, 2.0, ("eu",), None)
    assert not user.paths.keys.exists(), "a direct server needs no key"


def test_add_uses_the_key_comment_of_the_file(canary: Canary, user: World) -> None:
    user.paths.servers.write_text("defaults: {key_comment: ops@example.com}\n")
    assert canary("add", "orders", *TUNNEL).out.strip().endswith(" ops@example.com")


BAD_OPTIONS = [
    (("--db-host", "me@db"), "has a user in it"),
    (("--db-host", "[::1]"), "has brackets"),
    (("--db-host", "db host"), "has a space"),
    (("--db-host", ""), "is empty"),
    (("--db-host", "-x"), "is no host name"),
    (("--ssh-host", "me@bastion:22"), "put 'me' into the user field"),
    (("--ssh-host", "bastion:22"), "put 22 into the port field"),
    (("--ssh-host", "ssh://bastion"), "looks like a URL"),
    (("--ssh-host", ""), "is empty"),
    (("--db-port", "0"), "is not a port (1–65535)"),
    (("--db-port", "65536"), "is not a port (1–65535)"),
    (("--ssh-port", "0"), "is not a port (1–65535)"),
    (("--ssh-port", "twenty"), "is not a port (1–65535)"),
    (("--local-port", "65536"), "is not a port (1–65535)"),
    (("--engine", "oracle"), "'oracle' is not one of"),
    (("--tls", "always"), "'always' is not one of"),
    (("--every", "soon"), "is no duration"),
    (("--every", "500ms"), "is out of range (1s – 1d)"),
    (("--timeout", "61s"), "is out of range (1s – 1m)"),
    (("--password-command", "say 'it"), "has a quote that is not closed"),
    (("--password-command", " "), "is empty"),
    (("--password-env", "A=B"), "is no name of an environment variable"),
    (("--db-name", "a\nb"), "has a line break"),
    (("--tag", " "), "is empty"),
    (("--password-env", "A", "--password-keyring"), "give one of"),
]


@pytest.mark.parametrize(("bad", "words"), BAD_OPTIONS, ids=[" ".join(case[0]) for case in BAD_OPTIONS])
def test_add_refuses_what_is_wrong_with_one_clear_message(
    canary: Canary, user: World, bad: tuple[str, ...], words: str
) -> None:
    outcome = canary("add", "orders", *TUNNEL, *bad)
    assert (outcome.status, outcome.out) == (2, "")
    assert words in outcome.err
    assert not user.paths.servers.exists()
    assert not user.paths.keys.exists()


@pytest.mark.parametrize("name", ["a/b", "..", "../x", "a\nb", "a" * 300, "", "ä", ".x", "a b"])
def test_add_refuses_names_that_are_none(canary: Canary, user: World, name: str) -> None:
    outcome = canary("add", "--", name, *TUNNEL) if not name else canary("add", name, *TUNNEL)
    assert (outcome.status, outcome.out) == (2, "")
    assert not user.paths.servers.exists()


def test_add_refuses_a_name_that_is_taken_and_changes_nothing(canary: Canary, user: World) -> None:
    canary("add", "orders", *TUNNEL)
    before = user.paths.servers.read_bytes(), (user.paths.keys / "orders").read_bytes()
    outcome = canary("add", "orders", *DIRECT)
    assert outcome.status == 2
    assert "there is a server 'orders' already" in outcome.err
    assert (user.paths.servers.read_bytes(), (user.paths.keys / "orders").read_bytes()) == before


def test_two_servers_never_get_one_local_port(canary: Canary, user: World) -> None:
    for name in ("a", "b", "c"):
        canary("add", name, *TUNNEL)
    ports = [s.ssh.local_port for s in user.tools.file.load().servers if s.ssh]
    assert len(set(ports)) == 3
    assert canary("add", "d", *TUNNEL, "--local-port", str(ports[0])).status == 2
    assert user.tools.file.load().get("d") is None


@pytest.mark.parametrize("port", ["22 ", " 22", "022", "1_000", "+22", "0", "65536", "ssh"])
def test_a_port_is_decimal_digits_alone_as_in_the_file(canary: Canary, user: World, port: str) -> None:
    for option in ("--ssh-port", "--db-port", "--local-port"):
        outcome = canary("add", "orders", *TUNNEL, option, port)
        assert (outcome.status, outcome.out) == (2, "")
        assert f"{port!r} is not a port (1–65535)" in outcome.err
    assert not user.paths.servers.exists()


def test_a_refused_add_leaves_no_key_behind(canary: Canary, user: World) -> None:
    outcome = canary("add", "orders", *TUNNEL, "--tag", "a\nb")
    assert outcome.status == 2
    assert not list(user.paths.keys.glob("*orders*"))


def test_a_name_that_would_be_another_keys_public_half_is_refused(canary: Canary) -> None:
    outcome = canary("add", "orders.pub", *TUNNEL)
    assert outcome.status == 2
    assert "public half" in outcome.err


def test_an_international_host_is_permitted_as_it_goes_over_the_wire(canary: Canary) -> None:
    rest = list(TUNNEL)
    rest[rest.index("--db-host") + 1] = "bücher.example"
    assert 'permitopen="xn--bcher-kva.example:5432"' in canary("add", "orders", *rest).out

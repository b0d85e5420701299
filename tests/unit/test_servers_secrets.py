"""Passwords of the environment and of the engines' own files, and that none is shown."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from canary_tui.diagnosis.stages import Cause
from canary_tui.servers.model import Engine, PasswordEnv
from canary_tui.servers.passfiles import pgpass
from canary_tui.servers.passwords import Passwords
from canary_tui.servers.secrets import Secret
from tests.unit.password_sources import failure, server


def private(path: Path, text: str, mode: int = 0o600) -> None:
    path.write_text(text)
    path.chmod(mode)


def test_a_secret_does_not_print_itself() -> None:
    secret = Secret("hunter2")
    assert f"{secret} {secret!r} {[secret]}" == "••• ••• [•••]"
    assert secret.reveal() == "hunter2"
    assert len({secret, Secret("hunter2"), Secret("other")}) == 2
    with pytest.raises(TypeError):
        pickle.dumps(secret)


async def test_a_password_from_the_environment(passwords: Passwords) -> None:
    assert await passwords.find(server(PasswordEnv("SET"))) == Secret("from env")
    missing = await failure(passwords, PasswordEnv("NOWHERE"))
    assert (missing.cause, missing.detail) == (
        Cause.PASSWORD_MISSING,
        "the environment variable NOWHERE is not set",
    )
    assert "EMPTY is empty" in (await failure(passwords, PasswordEnv("EMPTY"))).detail


async def test_a_rejected_password_is_not_called_missing(
    passwords: Passwords,
) -> None:
    assert await passwords.find(server()) is None
    passwords.give(server(), Secret("typed"))
    assert await passwords.find(server()) == Secret("typed")
    passwords.rejected(server())
    assert await passwords.find(server()) == Secret("typed")
    passwords.give(server(), Secret("typed again"))
    assert await passwords.find(server()) == Secret("typed again")


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("db.example:5432:orders:reader:pw", "pw"),
        ("*:*:*:*:pw", "pw"),
        ("# db.example:5432:orders:reader:pw", None),
        ("other:5432:orders:reader:no\ndb.example:*:*:reader:pw\n*:*:*:*:late", "pw"),
        ("db.example:5433:*:*:pw", None),
        ("db.example:5432:orders:reader:p\\:w\\\\x", "p:w\\x"),
        ("db.example:5432:orders:reader:", None),
        ("db.example:5432:orders", None),
        ("db\\.example:5432:orders:reader:pw\r", "pw"),
        ("\\*:*:*:*:pw", None),
    ],
)
async def test_pgpass_is_read_by_libpqs_rules(
    passwords: Passwords, tmp_path: Path, line: str, found: str | None
) -> None:
    private(tmp_path / ".pgpass", line + "\n")
    assert await passwords.find(server()) == (Secret(found) if found else None)


def test_an_ipv6_host_is_escaped_in_pgpass(tmp_path: Path) -> None:
    private(tmp_path / "p", "fe80\\:\\:1:5432:d:u:pw\n")
    assert pgpass(tmp_path / "p", "fe80::1", 5432, "d", "u") == "pw"


async def test_a_pgpass_that_others_may_read_is_passed_over_and_that_is_said(
    passwords: Passwords, tmp_path: Path
) -> None:
    private(tmp_path / ".pgpass", "*:*:*:*:pw\n", 0o640)
    passwords.give(server(), Secret("typed"))
    assert await passwords.find(server()) == Secret("typed")
    assert passwords.passed_over(server()).endswith(
        ".pgpass is not used: other users may read it; chmod 600 it"
    )
    assert passwords.passed_over(server(PasswordEnv("SET"))) == "", "where the file counts for nothing"
    (tmp_path / ".pgpass").chmod(0o600)
    assert await passwords.find(server()) == Secret("pw")  # a file comes before what was given
    assert passwords.passed_over(server()) == ""


async def test_pgpassfile_names_another_file(tmp_path: Path) -> None:
    private(tmp_path / "mine", "*:*:*:*:pw\n")
    found = await Passwords(tmp_path, {"PGPASSFILE": str(tmp_path / "mine")}).find(server())
    assert found == Secret("pw")
    assert await Passwords(tmp_path, {"PGPASSFILE": str(tmp_path)}).find(server()) is None


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("[client]\nhost=db.example\nuser=reader\npassword=pw # mine\n", "pw"),
        ("[client]\nhost = DB.example\nuser = 'reader'\nport=3306\npassword = \"p#w\\\\\"\n", "p#w\\"),
        ("[client]\nuser=reader\npassword=pw\n", None),
        ("[client]\nhost=db.example\nuser=other\npassword=pw\n", None),
        ("[client]\nhost=db.example\nuser=reader\nport=3307\npassword=pw\n", None),
        ("[mysqldump]\nhost=db.example\nuser=reader\npassword=pw\n", None),
        ("[client]\n; x\n!include y\nhost=db.example\nuser=reader\npassword\n", None),
    ],
)
async def test_my_cnf_is_used_when_host_and_user_match(
    passwords: Passwords, tmp_path: Path, text: str, found: str | None
) -> None:
    private(tmp_path / ".my.cnf", text, 0o644)
    assert await passwords.find(server(engine=Engine.MYSQL)) == (Secret(found) if found else None)
    (tmp_path / ".my.cnf").chmod(0o646)
    assert await passwords.find(server(engine=Engine.MYSQL)) is None
    assert "everybody may write it" in passwords.passed_over(server())

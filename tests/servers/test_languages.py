"""Servers whose messages are not in English: what they refuse has the same cause."""

from __future__ import annotations

import struct
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from canary_tui.diagnosis.stages import Cause, Stage
from canary_tui.servers.model import Engine, TlsMode
from tests.harness.mariadb import MariaDB
from tests.harness.misbehave import Says
from tests.harness.needs import give_up, require
from tests.harness.postgres import Postgres
from tests.servers.probing import Target, probe
from tests.servers.test_databases import target_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.harness.certs import Authority

NEUTRAL = Path("/usr/lib/locale/C.utf8")
"""A compiled locale. Under another name it is enough for translations, which go by the name."""
LANGUAGES = ("de_DE", "es_ES", "fr_FR", "ja_JP", "ru_RU", "zh_CN")
WHO_MAY = (
    "hostssl all only_tls 127.0.0.0/8 scram-sha-256",
    "hostssl all certified 127.0.0.0/8 cert",
    "host all refused 127.0.0.0/8 reject",
    "host all identified 127.0.0.0/8 ident",
    "host all nologin,canary 127.0.0.0/8 scram-sha-256",
)
PLAIN = TlsMode.DISABLE
LOGINS: tuple[tuple[dict[str, Any], Cause], ...] = (
    ({"user": "only_tls", "tls": PLAIN}, Cause.TLS_REQUIRED),
    ({"user": "only_tls", "password": "p"}, Cause.PASSWORD_REJECTED),
    ({"user": "certified"}, Cause.CLIENT_CERTIFICATE_REQUIRED),
    ({"user": "refused"}, Cause.DATABASE_HOST_NOT_ALLOWED),
    ({"user": "without_a_line"}, Cause.DATABASE_HOST_NOT_ALLOWED),
    ({"user": "identified"}, Cause.AUTH_METHOD_UNSUPPORTED),
    ({"user": "nologin", "password": "right"}, Cause.USER_NOT_ALLOWED),
    ({"database": "gone"}, Cause.DATABASE_NOT_FOUND),
)
QUERIES = (
    ("select * from hidden", Cause.QUERY_DENIED),
    ("select pg_cancel_backend(pg_backend_pid())", Cause.QUERY_FAILED),
    ("set local statement_timeout = 50; select pg_sleep(3)", Cause.QUERY_TIMED_OUT),
    ("select pg_terminate_backend(pg_backend_pid())", Cause.CONNECTION_LOST),
)


class Translated(Postgres):
    """A PostgreSQL that has been given locales."""

    def _prepare(self) -> list[str]:
        locales = self.folder / "locales"
        command = ["/usr/bin/env", f"LOCPATH={locales}", "LC_ALL=de_DE.UTF-8", *super()._prepare()]
        locales.mkdir()
        for language in LANGUAGES:
            (locales / f"{language}.UTF-8").symlink_to(NEUTRAL)
        return command


@pytest.fixture(scope="module")
def translated(server_folder: Path, authority: Authority) -> Iterator[Postgres]:
    """A PostgreSQL that can be made to speak each of the languages."""
    require("postgres")
    if not NEUTRAL.is_dir():
        give_up(f"needs {NEUTRAL}")
    tls, english = authority.issue(["db.internal"]), {"lc_messages": "C"}
    with Translated(server_folder / "translated", tls=tls, settings=english, hba=WHO_MAY) as server:
        for name, options in (("only_tls", "LOGIN"), ("nologin", "NOLOGIN"), ("identified", "LOGIN")):
            server.create_user(name, "right", options)
        server.execute("CREATE TABLE hidden (a int)", server.database)
        yield server


@pytest.mark.parametrize("language", LANGUAGES)
async def test_postgresql_is_understood_in_another_language(translated: Postgres, language: str) -> None:
    translated.settings["lc_messages"] = f"{language}.UTF-8"
    translated.reload()
    wrong = await probe(replace(target_of(translated), password="wrong"))
    if "password authentication failed" in wrong.detail:
        give_up(f"needs PostgreSQL's translation for {language}")
    assert wrong.blame == (Stage.LOGIN, Cause.PASSWORD_REJECTED)
    for change, cause in LOGINS:
        outcome = await probe(replace(target_of(translated), **change))
        assert outcome.cause is cause, (change, outcome)
    for query, cause in QUERIES:
        outcome = await probe(replace(target_of(translated), query=query))
        assert outcome.blame == (Stage.QUERY, cause), (query, outcome)


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("kein pg_hba.conf-Eintrag für Host »::1«, Benutzer »u«, keine Verschlüsselung", Cause.TLS_REQUIRED),
        ("pg_hba.conf rechaza la conexión para el servidor «::1», sin cifrado", Cause.TLS_REQUIRED),
        ('ホスト"::1"用のエントリが pg_hba.conf にありません', Cause.TLS_REQUIRED),
        ("Verbindung erfordert ein gültiges Client-Zertifikat", Cause.CLIENT_CERTIFICATE_REQUIRED),
    ],
)
async def test_a_server_that_wants_tls_is_understood_by_its_numbers(text: str, cause: Cause) -> None:
    fields = {b"S": "FATAL", b"V": "FATAL", b"C": "28000", b"M": text, b"R": "ClientAuthentication"}
    body = b"".join(key + value.encode() + b"\0" for key, value in fields.items()) + b"\0"
    with Says(b"E" + struct.pack("!i", len(body) + 4) + body, "close", after_client=True) as fake:
        outcome = await probe(Target(Engine.POSTGRESQL, (fake.host, fake.port), "u", "p", tls=PLAIN))
    assert (outcome.cause, outcome.detail) == (cause, text)


async def test_mariadb_is_understood_in_another_language(server_folder: Path) -> None:
    require("mariadb")
    with MariaDB(server_folder / "translated-mariadb") as server:
        said = set()
        for language in ("en_US", *LANGUAGES):
            server.execute(f"SET GLOBAL lc_messages = '{language}'")
            cases: tuple[tuple[dict[str, Any], Cause], ...] = (
                ({"password": "wrong"}, Cause.PASSWORD_REJECTED),
                ({"database": "gone"}, Cause.DATABASE_ACCESS_DENIED),
                ({"query": "select * from mysql.user"}, Cause.QUERY_DENIED),
                ({"query": "select from where"}, Cause.QUERY_FAILED),
                ({"query": "kill connection_id()"}, Cause.CONNECTION_LOST),
            )
            for change, cause in cases:
                outcome = await probe(replace(target_of(server), **change))
                assert outcome.cause is cause, (language, outcome)
            said.add((await probe(replace(target_of(server), password="wrong"))).detail)
        assert len(said) > 1, "it speaks more than one language"

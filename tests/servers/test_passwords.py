"""A password goes only where it was meant to: not in clear, not readable, unless TLS verified the server."""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from canary_tui.diagnosis.stages import Cause, Stage
from canary_tui.servers.model import Engine, TlsMode
from tests.harness.mysql8 import Mysql8
from tests.servers.probing import Target, probe
from tests.servers.test_databases import target_of
from tests.servers.test_fuzz_database import Turns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.harness.certs import Authority, Certificate
    from tests.harness.mariadb import MariaDB
    from tests.servers.breakable import Breakable

SECRET = "hunter2-of-twenty-three-letters"
NOT_SENT = (Stage.LOGIN, Cause.PASSWORD_NOT_SENT)
ASKS_IN_CLEAR = b"R" + struct.pack("!ii", 8, 3)
NOTICE = b"N" + struct.pack("!i", 13) + b"SNOTICE\0\0"
MD5_FIRST = b"R" + struct.pack("!ii", 12, 5) + b"salt"
UNVERIFIED = (TlsMode.PREFER, TlsMode.REQUIRE)
VERIFIED = (TlsMode.VERIFY_CA, TlsMode.VERIFY_FULL)
READABLE = ("mysql_clear_password", "sha256_password", "caching_sha2_password")
NATIVE = "mysql_native_password"


@pytest.fixture
def clear_hba(breakable: Breakable) -> Iterator[Target]:
    """A PostgreSQL with TLS that asks for the password in clear."""
    postgres = breakable.postgres
    before = postgres.hba
    postgres.set_hba(["host all all 127.0.0.0/8 password"])
    yield replace(target_of(postgres), real_host="localhost")
    postgres.set_hba(before)


@pytest.mark.parametrize("mode", [TlsMode.DISABLE, *UNVERIFIED])
async def test_postgresql_gets_no_clear_password_that_tls_does_not_cover(
    clear_hba: Target, mode: TlsMode
) -> None:
    outcome = await probe(replace(clear_hba, tls=mode))
    assert outcome.blame == NOT_SENT
    assert "in clear" in outcome.detail
    assert ("without TLS" if mode is TlsMode.DISABLE else f"tls: {mode}") in outcome.detail
    assert (await probe(replace(clear_hba, tls=mode, allow_cleartext=True))).cause is None


@pytest.mark.parametrize("mode", VERIFIED)
async def test_postgresql_gets_it_where_tls_verified_who_it_is(
    clear_hba: Target, authority: Authority, mode: TlsMode
) -> None:
    assert (await probe(replace(clear_hba, tls=mode, ca_file=str(authority.ca)))).cause is None


async def test_without_a_password_there_is_nothing_to_keep(clear_hba: Target) -> None:
    outcome = await probe(replace(clear_hba, password=None))
    assert outcome.blame == (Stage.LOGIN, Cause.PASSWORD_MISSING)


@pytest.mark.parametrize("mode", [TlsMode.DISABLE, TlsMode.PREFER])
@pytest.mark.parametrize("before", [b"", NOTICE, MD5_FIRST], ids=["at once", "a notice", "md5 first"])
async def test_who_answers_no_tls_and_asks_for_the_password_does_not_get_it(
    mode: TlsMode, before: bytes
) -> None:
    """A stand-in for who sits between."""
    said = [before + ASKS_IN_CLEAR]
    with Turns([b"N", *said] if mode is TlsMode.PREFER else said, "silence") as fake:
        target = Target(Engine.POSTGRESQL, (fake.host, fake.port), "u", SECRET, tls=mode)
        outcome = await probe(target)
    assert outcome.blame == NOT_SENT
    assert SECRET.encode() not in fake.received


@pytest.mark.parametrize("mode", [TlsMode.DISABLE, *UNVERIFIED])
@pytest.mark.parametrize("plugin", READABLE)
@pytest.mark.parametrize("greets_with", READABLE)
async def test_mysql_gets_no_readable_password_that_tls_does_not_cover(
    certificate: Certificate, plugin: str, greets_with: str, mode: TlsMode
) -> None:
    tls = certificate if mode.required else None
    with Mysql8(plugin, SECRET, tls=tls, greets_with=greets_with) as server:
        target = Target(Engine.MYSQL, (server.host, server.port), "u", SECRET, tls=mode)
        outcome = await probe(target)
    assert outcome.blame == NOT_SENT
    assert (server.shown, server.dropped) == ([], 0)
    assert (f"tls: {mode}" if tls else "without TLS") in outcome.detail


@pytest.mark.parametrize("mode", [TlsMode.DISABLE, *UNVERIFIED])
@pytest.mark.parametrize("plugin", READABLE)
async def test_mysql_gets_it_where_the_settings_say_so(
    certificate: Certificate, plugin: str, mode: TlsMode
) -> None:
    for greets_with in (plugin, NATIVE):
        with Mysql8(plugin, SECRET, tls=certificate, greets_with=greets_with) as server:
            target = Target(Engine.MYSQL, (server.host, server.port), "u", SECRET, tls=mode)
            assert (await probe(replace(target, allow_cleartext=True))).cause is None
            assert server.shown == [SECRET]


@pytest.mark.parametrize("mode", VERIFIED)
@pytest.mark.parametrize("plugin", READABLE)
@pytest.mark.parametrize("greets_with", [*READABLE, NATIVE])
async def test_mysql_gets_it_where_tls_verified_who_it_is(
    authority: Authority, certificate: Certificate, plugin: str, greets_with: str, mode: TlsMode
) -> None:
    with Mysql8(plugin, SECRET, tls=certificate, greets_with=greets_with) as server:
        target = Target(Engine.MYSQL, (server.host, server.port), "u", SECRET, tls=mode)
        assert (await probe(replace(target, ca_file=str(authority.ca)))).cause is None
        assert server.shown == [SECRET]


@pytest.mark.parametrize("mode", [TlsMode.DISABLE, *UNVERIFIED, *VERIFIED])
@pytest.mark.parametrize("greets_with", ["caching_sha2_password", "sha256_password", NATIVE])
async def test_a_hash_goes_out_as_ever(
    authority: Authority, certificate: Certificate, greets_with: str, mode: TlsMode
) -> None:
    """What MySQL 8 does for a user whose login it remembers, and what older plug-ins do."""
    for plugin in ("caching_sha2_password", NATIVE):
        with Mysql8(plugin, SECRET, tls=certificate, greets_with=greets_with, cached=True) as server:
            target = Target(Engine.MYSQL, (server.host, server.port), "u", SECRET, tls=mode)
            outcome = await probe(replace(target, ca_file=str(authority.ca)))
            assert outcome.cause is None, outcome
            assert server.shown == []


async def test_an_impostor_with_a_certificate_of_its_own_is_not_verified(certificate: Certificate) -> None:
    """``verify-full``, and a certificate that another authority signed: no login at all."""
    with Mysql8("mysql_clear_password", SECRET, tls=certificate) as server:
        target = Target(Engine.MYSQL, (server.host, server.port), "u", SECRET, tls=TlsMode.VERIFY_FULL)
        outcome = await probe(target)
        assert outcome.blame == (Stage.TLS, Cause.CERTIFICATE_UNTRUSTED)
        assert server.shown == []


async def test_mariadb_with_pam_in_clear_gets_nothing_and_counts_no_broken_handshake(
    make_mariadb: Callable[..., MariaDB], authority: Authority
) -> None:
    server = make_mariadb(
        tls=authority.issue(["db.internal"]),
        settings={"plugin-load-add": "auth_pam", "pam-use-cleartext-plugin": "ON"},
        max_connect_errors=2,
        resolve_names=True,
    )
    server.execute("CREATE USER clear@'%' IDENTIFIED VIA pam USING 'other'")
    target = replace(target_of(server), user="clear", password=SECRET, source="127.0.0.2")
    for mode in (TlsMode.DISABLE, *UNVERIFIED):
        outcome = await probe(replace(target, tls=mode))
        assert outcome.blame == NOT_SENT, outcome
    # With TLS that verified the server it goes out, and PAM's own "other" denies everybody.
    outcome = await probe(replace(target, tls=TlsMode.VERIFY_FULL, ca_file=str(authority.ca)))
    assert outcome.blame == (Stage.LOGIN, Cause.PASSWORD_REJECTED)
    assert (await probe(replace(target_of(server), source="127.0.0.2"))).cause is None

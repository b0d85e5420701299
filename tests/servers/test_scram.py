"""SCRAM: as many rounds as can be computed in passing, each step once, and the server's own proof."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import re
import socket
import struct
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from canary_tui.databases.postgresql.guard import MOST_ROUNDS
from canary_tui.diagnosis.stages import Cause, Stage
from canary_tui.servers.model import Engine, TlsMode
from tests.harness.misbehave import Fake
from tests.servers.flood_cases import LOGGED_IN, message
from tests.servers.probing import Target, probe, probe_beside_others
from tests.servers.test_databases import target_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.servers.breakable import Breakable

UNSUPPORTED = (Stage.LOGIN, Cause.AUTH_METHOD_UNSUPPORTED)
SECRET = "of-a-user-with-rounds"
SALT = b"0123456789abcdef"
MODES = (TlsMode.DISABLE, TlsMode.REQUIRE)


def verifier(rounds: int) -> str:
    """What a PostgreSQL whose ``scram_iterations`` is ``rounds`` keeps of the password."""
    salted = hashlib.pbkdf2_hmac("sha256", SECRET.encode(), SALT, rounds)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    texts = [
        base64.b64encode(part).decode()
        for part in (SALT, stored, hmac.digest(salted, b"Server Key", "sha256"))
    ]
    return f"SCRAM-SHA-256${rounds}:{texts[0]}${texts[1]}:{texts[2]}"


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("rounds", [1, 4096, MOST_ROUNDS, MOST_ROUNDS + 1, 600_000])
async def test_a_real_server_may_ask_for_a_hundred_thousand_rounds(
    breakable: Breakable, mode: TlsMode, rounds: int
) -> None:
    postgres = breakable.postgres
    postgres.execute(f"CREATE ROLE rounds LOGIN PASSWORD '{verifier(rounds)}'")
    try:
        target = replace(target_of(postgres), user="rounds", password=SECRET, tls=mode)
        outcome = await probe(target)
    finally:
        postgres.execute("DROP ROLE rounds")
    if rounds <= MOST_ROUNDS:
        assert outcome.cause is None, outcome
    else:
        assert outcome.blame == UNSUPPORTED
        assert str(rounds) in outcome.detail


class Scram(Fake):
    """A stand-in for SCRAM's steps; ``first`` is made of the client's nonce, ``last`` follows the proof."""

    def __init__(self, first: Callable[[bytes], bytes], last: bytes) -> None:
        super().__init__()
        self.first = first
        self.last = last
        self.proofs = 0

    async def _serve(self, client: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        await loop.sock_recv(client, 4096)
        await loop.sock_sendall(client, _asks(10, b"SCRAM-SHA-256\0\0"))
        found = re.search(rb",r=([^,]+)", await loop.sock_recv(client, 4096))
        assert found is not None
        await loop.sock_sendall(client, _asks(11, self.first(found[1])))
        self.proofs += b",p=" in await loop.sock_recv(client, 4096)
        await loop.sock_sendall(client, self.last)
        self.proofs += b",p=" in await loop.sock_recv(client, 4096)
        await self._listen_to(client)


def _asks(step: int, body: bytes = b"") -> bytes:
    return message(b"R", struct.pack("!i", step) + body)


def asks_for(rounds: bytes) -> Callable[[bytes], bytes]:
    """The server's first message, with a nonce that continues the client's."""
    return lambda nonce: b"r=" + nonce + b"more,s=" + base64.b64encode(SALT) + b",i=" + rounds


@pytest.mark.parametrize(
    "rounds",
    [b"2147483647", b"00000000000000000000000002147483647", b"9" * 5000, b"100001", b"4096,i=2147483647"],
)
async def test_more_rounds_are_refused_before_any_is_computed(rounds: bytes) -> None:
    with Scram(asks_for(rounds), b"") as fake:
        outcome = await probe(_leading_to(fake))
    assert outcome.blame == UNSUPPORTED
    assert "rounds of SCRAM" in outcome.detail
    assert str(int(rounds.split(b"=")[-1][:20])) in outcome.detail
    assert fake.proofs == 0


@pytest.mark.parametrize(
    "last",
    [
        LOGGED_IN,
        _asks(12, b"v=" + base64.b64encode(bytes(32))) + LOGGED_IN,
        _asks(11, b"r=x,s=c2FsdA==,i=100000"),
        _asks(10, b"SCRAM-SHA-256\0\0"),
    ],
    ids=["no proof", "a wrong proof", "rounds again", "from the beginning"],
)
async def test_who_does_not_prove_to_know_the_password_is_no_postgresql(last: bytes) -> None:
    with Scram(asks_for(b"4096"), last) as fake:
        # asyncpg reports a wrong proof to the loop as well.
        outcome = await probe_beside_others(_leading_to(fake))
    assert outcome.cause is Cause.WRONG_PROTOCOL, outcome
    assert fake.proofs == 1


def _leading_to(fake: Fake) -> Target:
    return Target(Engine.POSTGRESQL, (fake.host, fake.port), "u", SECRET, tls=TlsMode.DISABLE)

"""`engine: tcp` without a network: what counts as time, and how programs are told the address."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from canary_tui.databases.registry import clients_of
from canary_tui.databases.tcp.session import Tcp
from canary_tui.databases.ways import Direct, LocalPort, LocalSocket, Way
from canary_tui.diagnosis.stages import Cause, Failed, Stage
from canary_tui.diagnosis.trace import Trace
from canary_tui.servers.model import Database, Engine, Server

CACHE = Server(name="cache", engine=Engine.TCP, database=Database(host="2001:db8::7", port=6379)).fitting()


class Listened:
    """A link on which five seconds pass until the connection ends, or the time is over."""

    def __init__(self, said: bytes, *, ends: bool) -> None:
        self.now = 0.0
        self._said = said
        self._ends = ends

    async def peek(self, count: int) -> bytes:
        self.now += 5.0
        if not self._ends:
            raise TimeoutError
        return self._said[:count]

    async def receive(self, count: int) -> bytes:
        raise NotImplementedError

    async def send(self, data: bytes) -> None:
        raise AssertionError("nothing is sent")

    def inspect(self, call: Callable[[bytes], None]) -> None:
        call(self._said)

    async def local_address(self) -> tuple[str, int]:
        raise AssertionError("there is no driver")

    def expect_answer(self) -> None:
        raise AssertionError("nothing is asked")


@pytest.mark.parametrize("said", [b"", b"+hello\r\n"])
async def test_what_is_listened_for_is_no_time_of_the_probes(said: bytes) -> None:
    link = Listened(said, ends=False)
    trace = Trace(lambda: link.now)
    async with Tcp().session(link, CACHE, None, trace, had_tls=False):
        trace.finish()
    (stage,) = trace.results
    assert (stage.stage, stage.ok, stage.ms) == (Stage.DATABASE, True, 0.0)
    assert stage.note == ("it says: +hello" if said else "")
    assert trace.waited == 5.0


async def test_nor_is_what_passes_until_it_hangs_up() -> None:
    link = Listened(b"-ERR", ends=True)
    trace = Trace(lambda: link.now)
    with pytest.raises(Failed) as failed:
        async with Tcp().session(link, CACHE, None, trace, had_tls=False):
            pytest.fail("there is no session")
    trace.fail(failed.value)
    assert failed.value.cause is Cause.DATABASE_CLOSED_EARLY
    assert [stage.ms for stage in trace.results] == [0.0]


@pytest.mark.parametrize(
    ("way", "url"),
    [
        (LocalPort("127.0.0.1", 17000), "tcp://127.0.0.1:17000"),
        (Direct(), "tcp://[2001:db8::7]:6379"),
        (LocalSocket("/run/a b/tcp.sock"), "unix:/run/a%20b/tcp.sock"),
    ],
)
def test_the_url_is_the_address(way: Way, url: str) -> None:
    assert clients_of(CACHE, way).url() == url

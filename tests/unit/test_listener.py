"""Local connections: each one that is accepted is served, or closed."""

from __future__ import annotations

import asyncio
import errno
import os
import resource
import socket
import sys
from typing import TYPE_CHECKING

import pytest

from canary_tui.tunnels import listener as module
from canary_tui.tunnels.listener import Listener

if TYPE_CHECKING:
    from collections.abc import Iterable

    from canary_tui.tunnels.ends import End
    from canary_tui.tunnels.peer import Peer

PATIENCE = 5.0
linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux can tell")


class Door:
    """A listener that takes note of who came."""

    def __init__(self, allowed: Iterable[int] = (os.geteuid(),)) -> None:
        self.came: asyncio.Queue[End] = asyncio.Queue()
        self.refused: asyncio.Queue[OSError] = asyncio.Queue()
        self.read_before: list[int] = []
        self.strangers: asyncio.Queue[Peer] = asyncio.Queue()
        sock = socket.create_server(("127.0.0.1", 0))
        self.listener = Listener(
            sock,
            self.arrived,
            allowed=frozenset(allowed),
            turned_away=self.strangers.put_nowait,
            no_room=self.refused.put_nowait,
        )

    def arrived(self, end: End, _transport: asyncio.Transport) -> None:
        """Take note."""
        self.read_before.append(end.received)
        self.came.put_nowait(end)

    def client(self) -> socket.socket:
        """Connect, as far as the system alone can: nobody has accepted yet."""
        return socket.create_connection(self.listener.address, timeout=PATIENCE)


async def ended(client: socket.socket) -> bool:
    """Tell whether the other side closes; TimeoutError when it does not."""

    def read() -> bool:
        try:
            return client.recv(1) == b""
        except ConnectionResetError:
            return True

    return await asyncio.to_thread(read)


async def test_a_connection_is_handed_over_before_anything_is_read() -> None:
    door = Door()
    with door.client() as client:
        client.sendall(b"hello")
        end = await asyncio.wait_for(door.came.get(), PATIENCE)
        assert door.read_before == [0]
        assert await end.held_bytes(5) == b"hello"
        end.abort()
        await end.closed
    await door.listener.close()


@pytest.mark.parametrize("turns", range(6))
async def test_closing_while_it_accepts_leaves_no_connection_open(turns: int) -> None:
    door = Door()
    with door.client() as client:
        for _ in range(turns):
            await asyncio.sleep(0)
        await door.listener.close()
        while not door.came.empty():
            end = door.came.get_nowait()
            end.abort()
            await end.closed
        assert await ended(client)


async def test_a_connection_whose_task_is_cancelled_at_once_is_closed() -> None:
    door = Door()
    with door.client() as client:
        while not (entering := [task for task in asyncio.all_tasks() if task.get_name() == "accepted"]):
            await asyncio.sleep(0)
        entering[0].cancel()
        assert await ended(client)
    await door.listener.close()


async def test_without_a_descriptor_left_clients_wait_and_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AGAIN_SECONDS", 0.02)
    door = Door()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with door.client() as client:
        first_free = os.dup(0)
        os.close(first_free)
        resource.setrlimit(resource.RLIMIT_NOFILE, (first_free, hard))
        try:
            for _ in range(2):  # it goes on trying
                error = await asyncio.wait_for(door.refused.get(), PATIENCE)
                assert error.errno == errno.EMFILE
            assert door.came.empty()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        end = await asyncio.wait_for(door.came.get(), PATIENCE)
        end.write(b"welcome")
        assert await asyncio.to_thread(client.recv, 7) == b"welcome"
        end.abort()
        await end.closed
    await door.listener.close()


async def test_a_closed_listener_frees_its_address_and_may_be_closed_again() -> None:
    door = Door()
    await door.listener.close()
    await door.listener.close()
    with pytest.raises(ConnectionRefusedError):
        door.client()
    socket.create_server(door.listener.address).close()


@linux
async def test_a_stranger_is_closed_and_nothing_is_made_for_it() -> None:
    door = Door(allowed=())
    tasks = asyncio.all_tasks()
    with door.client() as client:
        address = client.getsockname()
        stranger = await asyncio.wait_for(door.strangers.get(), PATIENCE)
        assert stranger == (os.geteuid(), f"port {address[1]}")
        assert asyncio.all_tasks() == tasks
        assert client.recv(1) == b""
    assert door.came.empty()
    await door.listener.close()


@linux
async def test_a_crowd_of_strangers_leaves_nothing_in_the_kernel() -> None:
    door = Door(allowed=())
    clients = [door.client() for _ in range(3)]
    for _ in clients:
        await asyncio.wait_for(door.strangers.get(), PATIENCE)
    assert clients[0].recv(1) == b""
    for client in clients[1:]:
        with pytest.raises(ConnectionResetError):
            client.recv(1)
    for client in clients:
        client.close()
    await door.listener.close()


@linux
async def test_strangers_are_turned_away_by_the_turn_and_all_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AT_ONCE", 3)
    door = Door(allowed=())
    clients = [door.client() for _ in range(10)]
    turn = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(turn.set_result, None)
    await turn  # the loop has other work as well
    assert door.strangers.qsize() <= 3
    for client in clients:
        with client:
            assert await ended(client)
    assert door.strangers.qsize() == 10
    await door.listener.close()


@linux
async def test_a_listener_that_pauses_for_strangers_can_be_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FLOOD_PAUSE_SECONDS", 3600.0)
    door = Door(allowed=())
    with door.client():
        await asyncio.wait_for(door.strangers.get(), PATIENCE)
    with door.client() as waiting:
        await door.listener.close()
        assert await ended(waiting)
    assert door.strangers.empty()


async def test_what_was_said_to_one_who_is_allowed_arrives_after_the_close() -> None:
    door = Door()
    with door.client() as client:
        end = await asyncio.wait_for(door.came.get(), PATIENCE)
        end.write(b"x" * 100_000)
        end.close()
        assert len(await asyncio.to_thread(read_all, client)) == 100_000
    await door.listener.close()


def read_all(client: socket.socket) -> bytes:
    """Read to the end."""
    data = b""
    while block := client.recv(1 << 16):
        data += block
    return data

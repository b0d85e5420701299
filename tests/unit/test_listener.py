"""Local connections: each one that is accepted is served, or closed."""

from __future__ import annotations

import asyncio
import errno
import os
import resource
import socket
from typing import TYPE_CHECKING

import pytest

from canary_tui.tunnels import listener as module
from canary_tui.tunnels.listener import Listener

if TYPE_CHECKING:
    from canary_tui.tunnels.ends import End

PATIENCE = 5.0


class Door:
    """A listener that takes note of who came."""

    def __init__(self) -> None:
        self.came: asyncio.Queue[End] = asyncio.Queue()
        self.refused: asyncio.Queue[OSError] = asyncio.Queue()
        self.read_before: list[int] = []
        sock = socket.create_server(("127.0.0.1", 0))
        self.listener = Listener(sock, self.arrived, self.refused.put_nowait)

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

"""A TCP proxy in front of a real server, whose wire can be cut, held and slowed."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Coroutine

from tests.harness.misbehave import Fake, reset_on_close

_CHUNK = 65_536
_LIMIT = 10.0


class Proxy(Fake):
    """Passes bytes between its clients and ``target`` (host, port).

    ``delay`` (seconds each way, a chunk; may be changed at any time) makes it slow; ``source`` is the
    address from which it connects (127.0.0.2, say). ``bytes_up`` and ``bytes_down`` count what was passed.
    A target that refuses is shown to the client as a close.
    """

    def __init__(
        self,
        target: tuple[str, int],
        *,
        delay: float = 0.0,
        source: str | None = None,
        host: str = "127.0.0.1",
        port: int | None = None,
    ) -> None:
        super().__init__(host, port)
        self.target = target
        self.delay = delay
        self.source = source
        self.bytes_up = 0
        self.bytes_down = 0
        self._flowing = asyncio.Event()
        self._wires: dict[asyncio.Task[None], list[socket.socket]] = {}

    def start(self) -> None:
        """Listen; the wire is whole, whatever it was before."""
        if self._thread is None:
            self._flowing = asyncio.Event()
            self._flowing.set()
        super().start()

    def drop(self) -> None:
        """From now on nothing passes, not even a close, as when a cable is pulled.

        What is sent meanwhile is held, as TCP would send it again: :meth:`resume` delivers it. A new client
        is accepted, as by a stateful firewall, and hears nothing.
        """
        self._in_loop(self._set_flowing(flowing=False))

    def resume(self) -> None:
        """The wire is whole again."""
        self._in_loop(self._set_flowing(flowing=True))

    def cut(self) -> None:
        """Reset (RST) all connections, both ways; new ones are still accepted."""
        self._in_loop(self._reset_all())

    async def _serve(self, client: socket.socket) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a connection is served by a task of its own")
        self._wires[task] = [client]
        try:
            await self._flowing.wait()
            with await self._connect() as upstream:
                self._wires[task].append(upstream)
                await self._pump_both(client, upstream)
        finally:
            del self._wires[task]

    async def _pump_both(self, client: socket.socket, upstream: socket.socket) -> None:
        pumps = [
            asyncio.create_task(self._pump_up(client, upstream)),
            asyncio.create_task(self._pump_down(upstream, client)),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_EXCEPTION)
            if not all(pump.done() and pump.exception() is None for pump in pumps):
                reset_on_close(client)  # a reset on one side is one on the other
                reset_on_close(upstream)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)

    async def _connect(self) -> socket.socket:
        upstream = socket.socket()
        try:
            upstream.setblocking(False)
            if self.source is not None:
                upstream.bind((self.source, 0))
            await asyncio.get_running_loop().sock_connect(upstream, self.target)
        except BaseException:
            upstream.close()
            raise
        return upstream

    async def _pump_up(self, client: socket.socket, upstream: socket.socket) -> None:
        while data := await self._pass_on(client, upstream):
            self.bytes_up += len(data)

    async def _pump_down(self, upstream: socket.socket, client: socket.socket) -> None:
        while data := await self._pass_on(upstream, client):
            self.bytes_down += len(data)

    async def _pass_on(self, source: socket.socket, target: socket.socket) -> bytes:
        loop = asyncio.get_running_loop()
        try:
            data = await loop.sock_recv(source, _CHUNK)
        except OSError:
            await self._flowing.wait()  # a reset does not pass either
            raise
        await self._flowing.wait()
        if self.delay:
            await asyncio.sleep(self.delay)
            await self._flowing.wait()
        if data:
            await loop.sock_sendall(target, data)
        else:
            target.shutdown(socket.SHUT_WR)
        return data

    async def _set_flowing(self, *, flowing: bool) -> None:
        if flowing:
            self._flowing.set()
        else:
            self._flowing.clear()

    async def _reset_all(self) -> None:
        wires = dict(self._wires)
        for task, ends in wires.items():
            for sock in ends:
                reset_on_close(sock)
            task.cancel()
        await asyncio.gather(*wires, return_exceptions=True)
        await asyncio.sleep(0)  # their callbacks close the clients' sockets

    def _in_loop(self, change: Coroutine[None, None, None]) -> None:
        """Make a change in the proxy's thread and wait until it counts."""
        if self._thread is None or self._loop is None:
            change.close()
            raise RuntimeError("the proxy is not running")
        asyncio.run_coroutine_threadsafe(change, self._loop).result(_LIMIT)

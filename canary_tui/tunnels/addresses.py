"""From a host name to an open TCP socket: the stages ``resolve`` and ``connect``."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import threading
from typing import TYPE_CHECKING, cast

from aiohappyeyeballs import AddrInfoType, start_connection

from canary_tui.diagnosis.stages import Failed, Stage
from canary_tui.tunnels.failures import connect_failure, resolve_failure, words_of

if TYPE_CHECKING:
    from canary_tui.diagnosis.stages import Cause
    from canary_tui.diagnosis.trace import Trace

HAPPY_EYEBALLS_DELAY = 0.25
"""Seconds after which the next address is tried beside the one that is silent (RFC 8305 §5)."""


async def open_socket(host: str, port: int, trace: Trace, closed: tuple[Stage, Cause]) -> socket.socket:
    """Resolve ``host`` and connect to the first of its addresses that answers.

    Enters the stages ``resolve`` and ``connect`` and notes the address. ``closed`` is the next stage, and
    what a server is called there that takes a connection and cuts it off. Raises Failed.
    """
    trace.enter(Stage.RESOLVE)
    try:
        addresses = await resolve(host, port)
    except OSError as error:
        raise resolve_failure(error) from None
    trace.note(", ".join(dict.fromkeys(str(info[4][0]) for info in addresses)))
    trace.enter(Stage.CONNECT)
    try:
        connected = await start_connection(addresses, happy_eyeballs_delay=HAPPY_EYEBALLS_DELAY)
    except ConnectionResetError as error:
        # Refused is another error: this connection stood, and was cut off before we had a look at it.
        trace.enter(closed[0])
        raise Failed(closed[1], detail=words_of(error)) from None
    except OSError as error:
        raise connect_failure(error) from None
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connected


async def resolve(host: str, port: int) -> list[AddrInfoType]:
    """Return the TCP addresses of a host name or IP address. Raises OSError (socket.gaierror)."""
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return await _in_daemon_thread(host, port)
    return _look_up(host, port, socket.AI_NUMERICHOST)


def _look_up(host: str, port: int, flags: int = 0) -> list[AddrInfoType]:
    return cast("list[AddrInfoType]", socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags))


async def _in_daemon_thread(host: str, port: int) -> list[AddrInfoType]:
    # getaddrinfo cannot be cancelled and the default executor's threads are waited for at exit: a
    # resolver that is stuck would hold the program. A daemon thread is left behind instead.
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[list[AddrInfoType]] = loop.create_future()

    def settle(addresses: list[AddrInfoType], error: OSError | None) -> None:
        if answer.done():
            return
        if error is not None:
            answer.set_exception(error)
        else:
            answer.set_result(addresses)

    def look_up() -> None:
        addresses: list[AddrInfoType] = []
        error: OSError | None = None
        try:
            addresses = _look_up(host, port)
        except OSError as caught:
            error = caught
        except UnicodeError as caught:
            error = socket.gaierror(socket.EAI_NONAME, str(caught))
        if not loop.is_closed():
            try:
                loop.call_soon_threadsafe(settle, addresses, error)
            except RuntimeError:
                return  # the loop closed in between; nobody waits any more

    threading.Thread(target=look_up, name=f"resolve {host}", daemon=True).start()
    return await answer

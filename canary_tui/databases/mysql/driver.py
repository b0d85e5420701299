"""aiomysql: how it is called, where it is overruled, and what its errors mean. Nothing else here knows it.

tests/servers/test_drivers.py holds what is taken for granted of its inside.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import aiomysql
from pymysql._auth import scramble_caching_sha2
from pymysql.connections import MysqlPacket
from pymysql.constants import COMMAND

from canary_tui.databases.errors import STUMBLES, broken, lost, redacted, stumbled
from canary_tui.databases.mysql.refusals import refused
from canary_tui.databases.mysql.wire import QUIT, SWITCH_AUTH, ServerRefused, server_error
from canary_tui.databases.tls import why_unreadable
from canary_tui.diagnosis.stages import Cause, Failed, Stage

if TYPE_CHECKING:
    import ssl

    from canary_tui.diagnosis.trace import Trace
    from canary_tui.servers.model import Server
    from canary_tui.servers.secrets import Secret

GOODBYE = 0.5
"""Seconds that a server has to answer what ends a session or a login."""
CHUNK = 16 * 1024
"""Bytes of an answer that are read in one turn of the loop."""
HASHED = frozenset({"", "mysql_native_password", "caching_sha2_password"})
"""Plug-ins whose first answer is a hash. The empty name is of servers from before there were any."""
READABLE = frozenset({"mysql_clear_password", "sha256_password"})
"""Plug-ins whose answer is the password: in clear, or for a key that the server chose."""
MOST_PLUGINS = 8
"""Login plug-ins of one account that are declined one after the other."""
KNOWN = (HASHED | READABLE) - {""}
FULL_LOGIN = b"\x01\x04"
"""What caching_sha2_password says when it does not have the hash at hand: it wants the password, too."""
SWITCH = bytes([SWITCH_AUTH])
OLD_LOGIN = "scramble_old_password"
"""What aiomysql looks for in PyMySQL when a server wants the login that is no longer there."""
LOST_CODES = frozenset({2003, 2006, 2013})
"""PyMySQL's numbers for a connection that could not be made, or ended."""
ERRORS = (OSError, EOFError, ServerRefused, aiomysql.MySQLError, aiomysql.Warning, *STUMBLES)


class Packet(MysqlPacket):  # type: ignore[misc]  # PyMySQL has no types
    """A packet whose error keeps its number and its words, whatever bytes they are.

    PyMySQL reads the number as a signed one, and stumbles over an SQLSTATE that is none.
    """

    def raise_for_error(self) -> None:
        """Raise ServerRefused."""
        raise ServerRefused(server_error(self.get_all_data()))


class Connection(aiomysql.Connection):  # type: ignore[misc]  # aiomysql has no types
    """A connection that logs in as the settings allow, and ends when it is told to.

    It shows the password to no server that TLS has not verified.
    """

    _reader: asyncio.StreamReader | None
    _writer: asyncio.StreamWriter | None
    _server_auth_plugin: str

    def __init__(
        self,
        address: tuple[str, int],
        server: Server,
        password: Secret | None,
        context: ssl.SSLContext | None,
    ) -> None:
        super().__init__(
            host=address[0],
            port=address[1],
            user=server.user,
            # aiomysql encodes as Latin-1; the server's hash is of the UTF-8 bytes.
            password=password.reveal().encode().decode("latin-1") if password else "",
            db=server.database.name or None,
            ssl=context,
            charset="utf8mb4",
            program_name="canary-tui",
            autocommit=None,  # set with the query, without a round trip of its own
        )
        self._database = server.database
        self._secret = password
        self._declined = 0

    async def log_in(self) -> None:
        """Connect and log in. Raises one of ``ERRORS``, or Failed."""
        await self._connect()

    async def ask(self, statements: str) -> None:
        """Send statements in one message."""
        await self._execute_command(COMMAND.COM_QUERY, statements)

    async def read(self) -> bytes:
        """Return the next piece of the answer. Raises EOFError when the connection has ended."""
        assert self._reader is not None  # noqa: S101 - it is open
        await asyncio.sleep(0)  # what is there already is read without waiting
        if data := await self._reader.read(CHUNK):
            return data
        raise EOFError("closed before the end of the result")

    async def say_goodbye(self) -> None:
        """Quit and wait until the server has closed, or else it logs an aborted connection."""
        if self._reader is None:
            return
        with contextlib.suppress(OSError):  # TimeoutError is one
            async with asyncio.timeout(GOODBYE):
                self._write_bytes(QUIT)
                while await self._reader.read(CHUNK):
                    pass

    def drop(self) -> None:
        """Close the connection now; a closing TLS session would wait for the other side."""
        if self._writer is not None:
            self._writer.transport.abort()
        self._writer = self._reader = None

    async def _read_packet(self, packet_type: type[MysqlPacket] = Packet) -> Any:
        return await super()._read_packet(packet_type)

    async def _request_authentication(self) -> None:
        named = self._server_auth_plugin
        encrypted = self._ssl_context is not None
        may_read = named in READABLE and not why_unreadable(self._database, self._secret, encrypted=encrypted)
        if named in HASHED or may_read:
            await super()._request_authentication()
            return
        # aiomysql would answer the greeting with the password itself, or not at all. To a hash for another
        # plug-in a server answers with the name of the account's own.
        self._server_auth_plugin = "mysql_native_password"
        if named == "sha256_password":  # may be what new accounts get, and this one is older
            await self._log_in_with_hash(named)
            return
        self._password = ""
        with contextlib.suppress(ServerRefused, aiomysql.MySQLError, TimeoutError):
            async with asyncio.timeout(GOODBYE):
                await super()._request_authentication()
        raise self._refusal(named)

    async def _log_in_with_hash(self, named: str) -> None:
        try:
            await super()._request_authentication()
        except aiomysql.OperationalError as error:
            if "extra packet" not in str(error):
                raise
            await self._decline()
            raise self._refusal(named) from None

    async def _process_auth(self, plugin_name: bytes, auth_packet: Any) -> Any:
        name = plugin_name.decode(errors="replace")
        if name not in KNOWN:
            return await self._next_plugin(name)
        if name in READABLE:
            await self._show_password_to(name)
        # The scramble's zero byte is no part of it; aiomysql would compute with it.
        scramble = MysqlPacket(SWITCH + auth_packet.read_all().removesuffix(b"\0"), self.encoding)
        scramble.advance(len(SWITCH))
        return await super()._process_auth(plugin_name, scramble)

    async def _next_plugin(self, unknown: str) -> Any:
        """Decline a plug-in that is not known here; an account may have another one (MariaDB's ``OR``).

        Raises Failed where it has none.
        """
        answer = await self._decline()
        self._declined += 1
        if answer is None or not answer.is_auth_switch_request() or self._declined > MOST_PLUGINS:
            raise self._refusal(unknown)
        answer.read_uint8()
        return await self._process_auth(answer.read_string() or b"", answer)

    async def caching_sha2_password_auth(self, pkt: Any) -> Any:
        """Log in with the hash; with the password itself only where it may be read."""
        if self._password and pkt.is_auth_switch_request():
            self.salt = pkt.read_all()
            self.write_packet(scramble_caching_sha2(self._password.encode("latin-1"), self.salt))
            pkt = await self._read_packet()
        if self._password and pkt.get_all_data()[:2] == FULL_LOGIN:
            await self._show_password_to("caching_sha2_password")
        return await super().caching_sha2_password_auth(pkt)

    async def _show_password_to(self, plugin: str) -> None:
        """Return if the password may be read by who asks for it. Raises Failed, the login declined."""
        if why_unreadable(self._database, self._secret, encrypted=self._secure):
            await self._decline()
            raise self._refusal(plugin)

    def _refusal(self, plugin: str) -> Failed:
        if plugin not in KNOWN:
            detail = f"Authentication plugin '{plugin}' is not known here"
            return Failed(Cause.AUTH_METHOD_UNSUPPORTED, detail=detail)
        reason = why_unreadable(self._database, self._secret, encrypted=self._secure)
        return Failed(Cause.PASSWORD_NOT_SENT, detail=f"{plugin} asked for the password itself {reason}")

    async def _decline(self) -> Any:
        """Answer wrongly, so that the login counts as a refused one; return what the server says to that.

        None where it refuses, or says nothing.

        A handshake that is dropped, or an answer of a length that cannot be (ed25519's has 64 bytes), counts
        towards max_connect_errors.
        """
        self.write_packet(bytes(64))
        with contextlib.suppress(ServerRefused, aiomysql.MySQLError, TimeoutError):
            async with asyncio.timeout(GOODBYE):
                return await self._read_packet()
        return None


def failure_of(error: BaseException, trace: Trace, password: Secret | None) -> Failed:
    """Return the failure that one of ``ERRORS`` stands for in the stage under way."""
    if isinstance(error, ServerRefused):
        return refused(error.said, trace.stage, password)
    if isinstance(error, aiomysql.MySQLError):
        return _driver_failed(error, trace, password)
    if isinstance(error, OSError):
        return broken(error, trace)
    if isinstance(error, EOFError):
        return lost(trace, str(error))
    if OLD_LOGIN in str(error):
        return Failed(Cause.AUTH_METHOD_UNSUPPORTED, detail="a login from before MySQL 4.1")
    return stumbled(error, password)


def _driver_failed(error: Exception, trace: Trace, password: Secret | None) -> Failed:
    """An error of aiomysql's own: the connection ended, or packets are numbered wrong."""
    code = error.args[0] if error.args and isinstance(error.args[0], int) else 0
    if code in LOST_CODES or isinstance(error, aiomysql.InterfaceError):
        return broken(error, trace)
    cause = Cause.QUERY_FAILED if trace.stage is Stage.QUERY else Cause.WRONG_PROTOCOL
    return Failed(cause, detail=redacted(str(error), password))

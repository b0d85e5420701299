"""One MySQL session through aiomysql, which shows its password to no server that TLS has not verified."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import aiomysql
from pymysql._auth import scramble_caching_sha2
from pymysql.constants import COMMAND

from canary_tui.databases.mysql.results import Results
from canary_tui.databases.mysql.wire import QUIT
from canary_tui.databases.tls import why_unreadable
from canary_tui.diagnosis.stages import Cause, Failed

if TYPE_CHECKING:
    import ssl

    from canary_tui.databases.link import Link
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


async def new_session(
    link: Link, server: Server, password: Secret | None, context: ssl.SSLContext | None
) -> Session:
    """Return a session, not open yet, that reaches the server over ``link``."""
    host, port = await link.local_address()
    return Session(
        server,
        password,
        host=host,
        port=port,
        user=server.user,
        # aiomysql encodes as Latin-1; the server's hash is of the UTF-8 bytes.
        password=password.reveal().encode().decode("latin-1") if password else "",
        db=server.database.name or None,
        ssl=context,
        charset="utf8mb4",
        program_name="canary-tui",
        autocommit=None,  # set with the query, without a round trip of its own
    )


class Session(aiomysql.Connection):  # type: ignore[misc]  # aiomysql has no types
    """A connection that logs in as the settings allow, and ends when it is told to."""

    _reader: asyncio.StreamReader | None
    _writer: asyncio.StreamWriter | None
    _server_auth_plugin: str

    def __init__(self, server: Server, secret: Secret | None, **options: Any) -> None:
        super().__init__(**options)
        self._database = server.database
        self._secret = secret
        self._declined = 0

    async def open(self) -> None:
        """Connect and log in."""
        await self._connect()

    async def run_all(self, statements: str) -> None:
        """Run statements in one round trip and read all that they return, keeping none of it.

        Raises EOFError when the connection ends before that.
        """
        await self._execute_command(COMMAND.COM_QUERY, statements)
        results = Results()
        assert self._reader is not None  # noqa: S101 - it is open
        while not results.feed(data := await self._reader.read(CHUNK)):
            if not data:
                raise EOFError("closed before the end of the result")
            await asyncio.sleep(0)  # what is there already is read without waiting

    async def say_goodbye(self) -> None:
        """Quit and wait until the server has closed, or else it logs an aborted connection."""
        if self._reader is None:
            return
        with contextlib.suppress(OSError):  # TimeoutError is one
            async with asyncio.timeout(GOODBYE):
                self._write_bytes(QUIT)
                while await self._reader.read(CHUNK):
                    pass

    def close(self) -> None:
        """Drop the connection now; a closing TLS session would wait for the other side."""
        if self._writer is not None:
            self._writer.transport.abort()
        self._writer = self._reader = None

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
        with contextlib.suppress(aiomysql.MySQLError, TimeoutError):
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
        # The scramble's zero byte is no part of it; aiomysql computes with it.
        auth_packet._data = auth_packet._data.removesuffix(b"\0")  # noqa: SLF001
        return await super()._process_auth(plugin_name, auth_packet)

    async def _next_plugin(self, unknown: str) -> Any:
        """Decline a plug-in that is not known here; an account may have another one (MariaDB's ``OR``).

        Raises Failed where it has none.
        """
        answer = await self._decline()
        self._declined += 1
        if answer is None or not answer.is_auth_switch_request() or self._declined > MOST_PLUGINS:
            raise self._refusal(unknown)
        answer.read_uint8()
        return await self._process_auth(answer.read_string(), answer)

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
        with contextlib.suppress(aiomysql.MySQLError, TimeoutError):
            async with asyncio.timeout(GOODBYE):
                return await self._read_packet()
        return None

"""A MySQL client's login, from the greeting to OK or an error. Bytes only, no I/O.

MySQL 8 Reference, "MySQL Client/Server Protocol", "Connection Phase"; MariaDB Server Documentation,
"Connecting".
"""

from __future__ import annotations

from canary_tui.databases.client_refusal import TEXT_LIMIT, AtOnce
from canary_tui.databases.login_guard import CLEARTEXT, UNVERIFIED_KEY, LoginGuard
from canary_tui.databases.mysql.client_refusal import error_packet
from canary_tui.databases.mysql.wire import (
    CLIENT_PLUGIN_AUTH,
    CLIENT_PROTOCOL_41,
    CLIENT_SECURE_CONNECTION,
    CLIENT_SSL,
    ERROR,
    HEADER,
    MORE_AUTH,
    OK,
    QUIT,
    SWITCH_AUTH,
    Greeting,
    nobodys_login,
    packet,
    split_header,
)
from canary_tui.diagnosis.printable import one_line

CLIENT_CONNECT_WITH_DB = 0x8
CLIENT_LONG_AUTH = 0x200000
"""CLIENT_PLUGIN_AUTH_LENENC_CLIENT_DATA: the answer's length is written as a length-encoded integer."""
CLIENT_MORE_FACTORS = 0x10000000
NEXT_FACTOR = 0x02
"""What a further factor's request begins with (AuthNextFactor)."""
FIXED = 32
"""Bytes of a login before the user's name."""
OLD_PASSWORD, NATIVE_PASSWORD = b"mysql_old_password", b"mysql_native_password"
IN_CLEAR = frozenset(
    {b"mysql_clear_password", b"dialog", b"authentication_openid_connect_client", OLD_PASSWORD}
)
"""Plug-ins that send what the user proves himself with as it is. What is sent for the hash of MySQL 4.0 is as
good: it is reversed in seconds."""
KEY_REQUESTS = {b"sha256_password": b"\x01", b"caching_sha2_password": b"\x02"}
"""Plug-ins that encrypt the password for a key, which a client without one asks the server for with this."""
CIPHERTEXTS = frozenset({32, 128, 256, 384, 512, 1024})
"""Bytes of a scramble, and of what RSA encrypts."""
LONGEST_NAME = 64
WRONG_ANSWER = 64
"""Zero bytes: no shorter, or ed25519 would call it no answer at all (max_connect_errors)."""
GENERAL_ERROR = b"#HY000"


class MySqlLoginGuard(LoginGuard):
    """Follows the server's requests and holds each of the client's packets back until it is whole."""

    def __init__(self) -> None:
        super().__init__()
        self._greeted = False
        self._capabilities = 0
        """What the client's login says that it can."""
        self._answered = False
        """Whether that login has gone on."""
        self._plugin = b""
        self._sequence = self._reply = 0
        """The numbers of the next packet to the client and of the next one to the server."""

    def from_client(self, data: bytes) -> bytes:
        """Pass on each packet that gives nothing away."""
        if self.over:
            return data
        self._count(0, data)
        unread, at = self._client + data, 0
        while not self.over and not self.refused and len(unread) - at >= HEADER:
            length, sequence = split_header(unread[at : at + HEADER])
            end = at + HEADER + length
            if len(unread) < end:
                break
            self._sequence, self._reply = sequence + 1, sequence
            self._look_at(unread[at + HEADER : end])
            if not self.refused:
                self._answered = True
                at = end
        at = len(unread) if self.over else at
        self._client = unread[at:]
        return unread[:at]

    def _look_at(self, payload: bytes) -> None:
        if self._answered:
            self._judge(payload)
            return
        capabilities = int.from_bytes(payload[:4], "little")
        if not capabilities & CLIENT_PROTOCOL_41:
            capabilities &= 0xFFFF
        if capabilities & CLIENT_SSL and len(payload) <= FIXED:
            self.over = True  # an SSLRequest: what follows is TLS
            return
        self._capabilities = capabilities
        self._plugin, proof = _login(payload, capabilities)
        self._judge(proof)

    def _judge(self, proof: bytes) -> None:
        """Look at what proves who the user is."""
        plugin = self._plugin
        if proof.strip(b"\0") and (plugin in IN_CLEAR or (plugin in KEY_REQUESTS and _is_text(proof))):
            self._refuse_plugin(plugin)
        elif proof and KEY_REQUESTS.get(plugin) == proof:
            self.refused = UNVERIFIED_KEY.format(plugin.decode())

    def _next(self, unread: bytes, at: int) -> int:
        """Return how many bytes may go on; none when more is needed, or an end was found."""
        room = len(unread) - at
        if self._passing:
            return self._pass(self._passing, room)
        if room < HEADER:
            return 0
        length, sequence = split_header(unread[at : at + HEADER])
        if length and room == HEADER:
            return 0
        self._sequence, self._reply = sequence, sequence + 1
        body = unread[at + HEADER : at + HEADER + length]
        if not self._greeted:
            self._greeted = True
            self.over = body[:1] == bytes([ERROR])
        elif not self._request(body, length):
            return 0
        return 0 if self.refused else self._pass(HEADER + length, room)

    def _request(self, body: bytes, length: int) -> bool:
        """Look at a packet after the greeting; False when more of it is needed."""
        kind = body[0] if body else OK
        if kind in {OK, ERROR}:
            self.over = self._answered
        elif kind == SWITCH_AUTH or (kind == NEXT_FACTOR and self._capabilities & CLIENT_MORE_FACTORS):
            name, end, _ = body[1:].partition(b"\0")
            if not end and len(body) < min(length, LONGEST_NAME):
                return False
            self._plugin = name.lower() if length > 1 else OLD_PASSWORD
            if self._plugin in IN_CLEAR:
                self._refuse_plugin(self._plugin)
        return True

    def _refuse_plugin(self, plugin: bytes) -> None:
        self.refused = CLEARTEXT.format(f" ({plugin.decode()})")

    def told(self, text: str) -> AtOnce:
        """Return the error: instead of the packet that was kept from the client, or after its own."""
        state = GENERAL_ERROR if self._capabilities else b""
        return AtOnce(error_packet(one_line(text, TEXT_LIMIT), self._sequence, state))

    def left(self) -> Retreat:
        """Return a login as nobody where the client's own has not gone on, else a wrong answer."""
        if not self._answered:
            return Retreat(nobodys_login(Greeting("", self._capabilities or CLIENT_PROTOCOL_41)))
        return Retreat(packet(bytes(WRONG_ANSWER), self._reply))


class Retreat:
    """Answers what the server asked for with what cannot be right, until it refuses the login.

    One that is dropped counts towards max_connect_errors, and in the end blocks everybody behind the jumpbox.
    """

    def __init__(self, answer: bytes) -> None:
        self.over = False
        self._answer = answer
        self._rounds = 3

    def hear(self, data: bytes) -> bytes:
        """Return the next answer."""
        if not data:
            return self._answer
        self._rounds -= 1
        if data[HEADER : HEADER + 1] in {bytes([SWITCH_AUTH]), bytes([MORE_AUTH])} and self._rounds:
            return packet(b"", split_header(data[:HEADER])[1] + 1)
        self.over = True
        return QUIT if data[HEADER : HEADER + 1] == bytes([OK]) else b""


def _login(payload: bytes, capabilities: int) -> tuple[bytes, bytes]:
    """Return the plug-in that a login (HandshakeResponse) names, and its proof."""
    if not capabilities & CLIENT_PROTOCOL_41:  # capabilities 2, longest packet 3
        return OLD_PASSWORD, payload[5:].partition(b"\0")[2]
    rest = payload[FIXED:].partition(b"\0")[2]
    if capabilities & CLIENT_LONG_AUTH:
        length, rest = _length(rest)
    elif capabilities & CLIENT_SECURE_CONNECTION:
        length, rest = rest[0] if rest else 0, rest[1:]
    else:
        length = rest.find(b"\0")
    proof, rest = rest[:length], rest[length:]
    if not capabilities & (CLIENT_SECURE_CONNECTION | CLIENT_LONG_AUTH):
        rest = rest[1:]
    if capabilities & CLIENT_CONNECT_WITH_DB:
        rest = rest.partition(b"\0")[2]
    if capabilities & CLIENT_PLUGIN_AUTH:
        return rest.partition(b"\0")[0].lower(), proof
    return (NATIVE_PASSWORD if capabilities & CLIENT_SECURE_CONNECTION else OLD_PASSWORD), proof


def _length(data: bytes) -> tuple[int, bytes]:
    """Return a length-encoded integer and what follows it."""
    first = data[0] if data else 0
    size = {0xFC: 2, 0xFD: 3, 0xFE: 8}.get(first, 0)
    if not size:
        return first, data[1:]
    return int.from_bytes(data[1 : 1 + size], "little"), data[1 + size :]


def _is_text(proof: bytes) -> bool:
    """Whether it is a password, which ends in a zero byte, and neither a scramble nor encrypted."""
    if len(proof) < 2 or proof.find(b"\0") != len(proof) - 1:
        return False
    if len(proof) not in CIPHERTEXTS:
        return True
    try:
        return proof[:-1].decode().isprintable()
    except UnicodeDecodeError:
        return False

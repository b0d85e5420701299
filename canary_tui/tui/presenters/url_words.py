"""Words of connection URLs, as each driver spells them: names of parameters, and how TLS is asked for."""

from __future__ import annotations

from canary_tui.servers.model import TlsMode

TLS_WORDS: dict[str, TlsMode] = {
    "disable": TlsMode.DISABLE,
    "disabled": TlsMode.DISABLE,
    "allow": TlsMode.PREFER,
    "prefer": TlsMode.PREFER,
    "preferred": TlsMode.PREFER,
    "require": TlsMode.REQUIRE,
    "required": TlsMode.REQUIRE,
    "trust": TlsMode.REQUIRE,
    "skipverify": TlsMode.REQUIRE,
    "verifyca": TlsMode.VERIFY_CA,
    "verifyfull": TlsMode.VERIFY_FULL,
    "verifyidentity": TlsMode.VERIFY_FULL,
}
"""libpq's, MySQL's and their drivers' words for how TLS is used, without case, ``-`` and ``_``."""
TLS_SWITCHES: dict[str, TlsMode] = {
    "ssl": TlsMode.REQUIRE,
    "tls": TlsMode.REQUIRE,
    "usessl": TlsMode.REQUIRE,
    "requiressl": TlsMode.REQUIRE,
    "verifyservercertificate": TlsMode.VERIFY_CA,
    "sslverifycert": TlsMode.VERIFY_CA,
    "sslverifyidentity": TlsMode.VERIFY_FULL,
}
"""Parameters that are true or false, and what they ask for when true; the strictest counts."""
ALIASES = {
    "username": "user",
    "passwd": "password",
    "database": "dbname",
    "db": "dbname",
    "sslca": "sslrootcert",
    "socket": "unixsocket",
}
TAKEN = frozenset(
    {"host", "hostaddr", "port", "user", "password", "dbname", "sslmode", "sslrootcert", "unixsocket"}
    | TLS_SWITCHES.keys()
)
"""What is read, by its folded name."""
OTHERS = """
    applicationname channelbinding charset clientencoding connecttimeout connectionlimit
    fallbackapplicationname gssencmode keepalives krbsrvname loadbalancehosts options passfile pgbouncer
    requireauth schema servertimezone service sockettimeout sslcert sslcrl sslkey sslpassword sslsni
    targetsessionattrs tcpusertimeout timezone
"""
"""Parameters that an entry has no setting for and that may be named. What is none of these may be the end
of a password with ``&`` in it."""


def folded(word: str) -> str:
    """Return a word without what is only spelling: ``sslMode``, ``ssl-mode`` and ``ssl_mode`` are one."""
    plain = word.lower().replace("-", "").replace("_", "")
    return ALIASES.get(plain, plain)


def may_be_named(key: str) -> bool:
    """Tell whether a parameter that is not read is a known one."""
    return folded(key) in OTHERS.split()


def tls_of(values: dict[str, str], *, jdbc: bool) -> TlsMode | None:
    """Return how TLS is to be used; None where nothing is said of it."""
    order = tuple(TlsMode)
    asked: list[TlsMode] = []
    for key, mode in TLS_SWITCHES.items():
        word = folded(values.get(key, ""))
        if word in {"true", "1", "yes", "on"}:
            asked.append(TlsMode.VERIFY_FULL if jdbc and key == "ssl" else mode)
        elif word in {"false", "0", "no", "off"}:
            asked.append(TlsMode.DISABLE if key in {"ssl", "tls", "usessl"} else TlsMode.PREFER)
        elif word:
            asked.append(_mode(word))
    if mode_word := values.get("sslmode", ""):
        asked = [_mode(folded(mode_word))]
    if values.get("sslrootcert") == "system":
        asked.append(TlsMode.VERIFY_FULL)  # libpq 16: nothing less makes sense with public authorities
    return max(asked, key=order.index, default=None)


def _mode(word: str) -> TlsMode:
    try:
        return TLS_WORDS[word]
    except KeyError:
        raise ValueError(f"its sslmode is none of {', '.join(TlsMode)}") from None

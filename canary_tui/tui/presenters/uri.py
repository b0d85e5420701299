"""The syntax of connection URLs and of libpq's ``key=value`` strings: text to named values.

URLs are split as libpq splits them (conninfo_uri_parse; "Connection URIs" in its documentation), not as
browsers do: there is no fragment, so ``#`` and ``?`` before the ``@`` belong to the password. What libpq
would take for another host than was meant is refused. Each function raises ValueError with what is wrong
and how it is written; nothing of the text is repeated, for it may be a password.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator

HOST = re.compile(
    r"(?:\[(?P<ipv6>[^\]]*)\]|(?P<name>[^:/?,\[][^:/?,]*)?)(?::(?P<port>[^/?,]*))?(?P<comma>,|\Z)"
)
PLACE = re.compile(r"(?:\[[^\]]*\]|[^/?])*")
PARAMETER = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*\Z")
PARAMETERS_AT_HOST = re.compile(r"[0-9]*\?[A-Za-z_-]+=")
BAD_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
PAIR = re.compile(
    r"\s*([A-Za-z_]+)\s*=\s*(?:'((?:[^'\\]|\\.)*)'(?!\S)|((?:[^\s'\\]|\\.)(?:[^\s\\]|\\.)*)?)", re.DOTALL
)
SEVERAL_HOSTS = "it names several hosts, and an entry has one; leave one of them"
ESCAPES = "in a user or password @ is written %40, / %2F, : %3A, ? %3F, # %23, % %25"


def url_values(rest: str, *, form_encoded: bool) -> dict[str, str]:
    """Return what a URL says, by libpq's keywords; ``rest`` is what follows ``scheme://``.

    Parameters win over what stands before them, as in libpq.
    """
    values, parameters = place_and_parameters(rest, form_encoded=form_encoded)
    return values | parameters


def place_and_parameters(rest: str, *, form_encoded: bool) -> tuple[dict[str, str], dict[str, str]]:
    """Return what a URL says before its ``?``, and after it.

    With ``form_encoded`` parameters are read as drivers other than libpq do: ``+`` is a space, and a value
    may have ``=`` in it.
    """
    values: dict[str, str] = {}
    if credentials := re.match(r"([^@/]*)@", rest):
        rest = rest[credentials.end() :]
        values["user"], _, values["password"] = credentials[1].partition(":")
    found = PLACE.match(rest)
    place = found[0] if found else ""
    path, _, query = rest[len(place) :].partition("?")
    # Each of these is the middle of a password to which more belongs: libpq would connect elsewhere.
    astray = (
        "@" in place + path
        or any(char in values.get("user", "") for char in "?&=")
        or PARAMETERS_AT_HOST.match(values.get("password", ""))
    )
    if astray:
        raise ValueError(f"an @ stands where the host does not begin; {ESCAPES}")
    values["host"], values["port"] = _host(place)
    values["dbname"] = path[1:]
    known = {key: _decoded(value) for key, value in values.items()}
    return known, dict(_parameters(query, form_encoded=form_encoded))


def _host(place: str) -> tuple[str, str]:
    """Return host and port, which may be empty."""
    found = HOST.match(place)
    if found is None:
        raise ValueError("its host cannot be read; an IPv6 address is written in brackets, [::1]")
    if found["comma"]:
        raise ValueError(SEVERAL_HOSTS)
    if found["ipv6"] == "":
        raise ValueError("there is no IPv6 address in its brackets")
    port = found["port"] or ""
    if ":" in port:
        raise ValueError(f"there is more than one : after its host; IPv6 is written [::1], and {ESCAPES}")
    return found["ipv6"] or found["name"] or "", port


def _parameters(query: str, *, form_encoded: bool) -> Iterator[tuple[str, str]]:
    for pair in query.removesuffix("&").split("&") if query else ():
        key, equals, value = pair.partition("=")
        if not equals or ("=" in value and not form_encoded):
            raise ValueError(f"its parameters are not key=value; = in a value is %3D, & is %26; {ESCAPES}")
        if form_encoded:
            key, value = key.replace("+", " "), value.replace("+", " ")
        key = _decoded(key)
        if not PARAMETER.match(key):
            raise ValueError(f"one of its parameters has no name; {ESCAPES}")
        yield key, _decoded(value)


def _decoded(text: str) -> str:
    if BAD_PERCENT.search(text):
        raise ValueError("a % is not followed by two hexadecimal digits; the character % is written %25")
    try:
        decoded = unquote_to_bytes(text).decode()
    except UnicodeDecodeError:
        raise ValueError("its %-escapes are no UTF-8") from None
    if "\0" in decoded:
        raise ValueError("%00 cannot be in it")
    return decoded


def pair_values(text: str) -> dict[str, str]:
    """Return what a string of ``key=value`` pairs says, by libpq's keywords."""
    values: dict[str, str] = {}
    at, text = 0, text.strip()
    while at < len(text):
        found = PAIR.match(text, at)
        if found is None:
            raise ValueError("its parts are not key=value; a value with a space in it is written 'in quotes'")
        value = found[2] if found[2] is not None else found[3] or ""
        values[found[1]] = re.sub(r"\\(.)", r"\1", value, flags=re.DOTALL)
        at = found.end()
    return values

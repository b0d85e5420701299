"""The ``authorized_keys`` line of a server's key, limited to its database, and the steps to install it.

The options are those that were seen to limit (sshd(8), *AUTHORIZED_KEYS FILE FORMAT*) and that the SSH server
knows (``ssh_software``): ``restrict`` switches everything off, ``port-forwarding`` one thing on again,
``permitopen`` narrows it to the database; ``permitlisten`` leaves reverse forwards only a port that an
ordinary user cannot open, and ``command`` is what a shell becomes.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

import msgspec

from canary_tui.keys.ssh_software import USUAL, Family, SshSoftware
from canary_tui.servers.model import Server, wire_host

_PUBLIC_LINE = re.compile(r"[a-z][a-z0-9@.-]+ AAAA[A-Za-z0-9+/]+={0,2}(?: [^\x00-\x1f\x7f]*)?")

# What follows runs in any POSIX shell, BusyBox's too. The new file takes the old one's place whole, or not
# at all: half an authorized_keys would lock its owner out. No backslash before a quote and no exclamation
# mark: fish and csh, in which people paste it too, treat them in a way of their own.
_BEGIN = ("set -eu", "umask 077")
_FILE = ("f=~/.ssh/authorized_keys", 'if [ -L "$f" ]; then f=$(readlink -f "$f"); fi')
_COPY = ("t=$f.$$", 'tidy() { rm -f "$t"; }', "trap tidy EXIT", "found=")
_REPLACE = ('chmod 600 "$t"', 'mv -f "$t" "$f"')


def _lines_but(case: str) -> str:
    """Return the loop that copies all lines; ``case`` says what becomes of one that is not a comment."""
    return (
        'while IFS= read -r l || [ -n "$l" ]; do case $l in "#"*) ;; '
        f'{case} ;; esac; printf "%s\\n" "$l"; done <"$f" >"$t"'
    )


# $1$2$3 is the line, $2 the key in it; a line that has the key already is replaced where it stands.
_INSTALL = "; ".join(
    [
        *_BEGIN,
        "mkdir -p ~/.ssh",
        "chmod 700 ~/.ssh",
        *_FILE,
        'touch "$f"',
        *_COPY,
        _lines_but('*"$2"*) if [ -n "$found" ]; then continue; fi; l=$1$2$3; found=1'),
        'if [ -z "$found" ]; then printf "%s\\n" "$1$2$3" >>"$t"; fi',
        *_REPLACE,
        'echo "The key is installed in $f."',
    ]
)

# $1 is the key. A file without it is left as it is.
_REMOVE = "; ".join(
    [
        *_BEGIN,
        *_FILE,
        '[ -f "$f" ] || { echo "There is no $f, so the key is not in it."; exit 0; }',
        *_COPY,
        _lines_but('*"$1"*) found=1; continue'),
        'if [ -z "$found" ]; then echo "The key is not in $f."; exit 0; fi',
        *_REPLACE,
        'echo "The key is removed from $f."',
    ]
)


class KeyInfo(msgspec.Struct, frozen=True, kw_only=True):
    """Everything about a server's key that may be shown. The private key is not part of it."""

    line: str
    """The bare public line: type, key, comment."""
    restricted: str
    """The line to install: limited to this server's database."""
    fingerprint: str
    """``SHA256:…`` as ``ssh-keygen -l`` prints it."""
    created: float
    """Unix time, seconds."""
    path: str
    """The private key's file."""
    steps: tuple[str, ...]
    """How to install the restricted line by hand, numbered, with commands."""
    script: str
    """One command that does all the steps."""
    limits_note: str
    """What the line cannot limit on this SSH server; empty when it limits everything."""
    ssh_family: Family
    """Whose settings the SSH server has."""


def key_info(
    *,
    line: str,
    fingerprint: str,
    created: float,
    path: str,
    server: Server,
    software: SshSoftware = USUAL,
) -> KeyInfo:
    """Return what the key view shows of ``server``'s key.

    ``software`` is the SSH server's, where it has been seen. Raises ValueError when ``line`` is no public
    key line.
    """
    restricted = restricted_line(line, server.database.host, server.database.port, software)
    return KeyInfo(
        line=line,
        restricted=restricted,
        fingerprint=fingerprint,
        created=created,
        path=path,
        steps=steps(restricted),
        script=script(restricted),
        limits_note=limits_note(server, software),
        ssh_family=software.family,
    )


def restricted_line(line: str, host: str, port: int, software: SshSoftware = USUAL) -> str:
    """Return ``line``, a bare public key, with options that limit it to connections to ``host:port``.

    ``host`` is spelled as the settings spell it: sshd compares it letter by letter. The line has only
    options that ``software`` knows. Raises ValueError when ``line`` is no public key line
    or ``host`` cannot stand in one.
    """
    if _PUBLIC_LINE.fullmatch(line) is None:
        raise ValueError("not a public key line: type, key and comment on one line are needed")
    return f"{','.join(_options(wire_host(host), port, software))} {line}"


def steps(line: str) -> tuple[str, ...]:
    """Return numbered sentences, each with its command in backticks, that install ``line`` by hand.

    They are for a login shell of the SSH user. Raises ValueError when ``line`` has more than one line.
    """
    sentences = (
        "Make the folder for SSH's files",
        "Let only its owner into it",
        "Make the file of keys that may log in",
        "Let only its owner read and write it",
        "Add the line",
    )
    pairs = zip(sentences, step_commands(line), strict=True)
    return tuple(f"{number}. {text}: `{command}`" for number, (text, command) in enumerate(pairs, 1))


def step_commands(line: str) -> tuple[str, ...]:
    """Return the commands of ``steps``, in their order."""
    _one_line(line)
    return (
        "mkdir -p ~/.ssh",
        "chmod 700 ~/.ssh",
        "touch ~/.ssh/authorized_keys",
        "chmod 600 ~/.ssh/authorized_keys",
        # The newline before it: the last line of a file edited by hand may have none of its own.
        f"printf '\\n%s\\n' {shlex.quote(line)} >> ~/.ssh/authorized_keys",
    )


def script(line: str) -> str:
    """Return one command that does all the steps for ``line``, bare or restricted.

    It may be run again: a line that holds the same key, with whatever options, is replaced where it
    stands; every other line stays. Raises ValueError when ``line`` holds no key.
    """
    blob = _blob(line)
    before, _, after = line.partition(blob)
    # Quoted also where it is not needed: an empty word and a lone comment must stay words.
    return f"sh -c {shlex.quote(_INSTALL)} sh {shlex.quote(before)} {blob} {shlex.quote(after)}"


def removal(line: str) -> str:
    """Return one command that removes the key in ``line``, bare or restricted, from ``authorized_keys``.

    Every line with that key goes, whatever its options; every other line stays. It may be run again.
    Raises ValueError when ``line`` holds no key.
    """
    return f"sh -c {shlex.quote(_REMOVE)} sh {_blob(line)}"


def limits_note(server: Server, software: SshSoftware = USUAL) -> str:
    """Say what the restricted line cannot limit on this SSH server; empty when it limits everything."""
    notes = []
    if not software.permit_open:
        notes.append(
            f"The SSH server is {software.name}: its lines cannot limit forwards to one host and port. "
            "With this key, everything that the SSH server reaches can be reached."
        )
    if not software.permit_listen:
        notes.append(
            f"The SSH server is {software.name} and cannot limit reverse forwards (OpenSSH 7.8 and newer "
            "can): with this key, ports can be opened on the SSH server that lead back to here."
        )
    if server.tunnel is not None and server.tunnel.user == "root":
        notes.append(
            "The login is root: a reverse forward from port 1 of the SSH server's loopback stays possible. "
            "An account without privileges closes that too."
        )
    return " ".join(notes)


def _options(host: str, port: int, software: SshSoftware) -> Iterator[str]:
    target = _target(host, port)
    yield from software.options
    if software.permit_open:
        yield f'permitopen="{target}"'
    if software.permit_listen:
        yield 'permitlisten="localhost:1"'
    yield 'command="/bin/false"'


def _target(host: str, port: int) -> str:
    """Return ``host:port`` as ``permitopen`` wants it: an IPv6 address in brackets."""
    if not host or re.search(r"[\s\x00-\x1f\x7f\"'`\\,\[\]]", host):
        raise ValueError(f"{host!r} is no host name or IP address")
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _blob(line: str) -> str:
    """Return the key itself in a line of authorized_keys, in Base64."""
    _one_line(line)
    for word in line.split(" "):
        if re.fullmatch(r"AAAA[A-Za-z0-9+/]+={0,2}", word):
            return word
    raise ValueError("there is no public key in this line")


def _one_line(line: str) -> None:
    if re.search(r"[\x00-\x1f\x7f]", line):
        raise ValueError("a line of authorized_keys has no line breaks and no control characters")

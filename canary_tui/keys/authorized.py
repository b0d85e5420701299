"""The ``authorized_keys`` line of a server's key, limited to its database, and the steps to install it.

The options are those that were seen to limit (sshd(8), *AUTHORIZED_KEYS FILE FORMAT*): ``restrict``
switches everything off, ``port-forwarding`` one thing on again, ``permitopen`` narrows it to the database;
``permitlisten`` leaves reverse forwards only a port that an ordinary user cannot open, and ``command`` is
what a shell becomes.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

import msgspec

from canary_tui.servers.model import Server, wire_host

Version = tuple[int, int]

SINCE_PERMITLISTEN: Version = (7, 8)
SINCE_RESTRICT: Version = (7, 2)

_BANNER = re.compile(r"SSH-[0-9.]+-OpenSSH_(?:for_Windows_)?([0-9]{1,4})\.([0-9]{1,4})")
_PUBLIC_LINE = re.compile(r"[a-z][a-z0-9@.-]+ AAAA[A-Za-z0-9+/]+={0,2}(?: [^\x00-\x1f\x7f]*)?")
# Possessive (*+, ++): a hostile text must not make the search try every way to pair its quotes.
_INSTALLED = re.compile(
    r"(?:(?P<options>(?:\"(?:\\\"|[^\"])*+\"|[^\s\"])++)\s+)?(?:ssh|ecdsa|sk)-\S+\s+AAAA\S+"
)
_OPTION = re.compile(r"(?P<name>[A-Za-z0-9-]+)(?:=\"(?P<value>(?:\\\"|[^\"])*+)\")?(?:,|\Z)")
_TARGET = re.compile(r"(?:\[(?P<literal>[^\]]*)\]|(?P<host>[^:]*)):(?P<port>[0-9]+|\*)")

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


def key_info(
    *,
    line: str,
    fingerprint: str,
    created: float,
    path: str,
    server: Server,
    openssh: Version | None = None,
) -> KeyInfo:
    """Return what the key view shows of ``server``'s key.

    ``openssh`` is the SSH server's version where it is known. Raises ValueError when ``line`` is no
    public key line.
    """
    restricted = restricted_line(line, server.database.host, server.database.port, openssh=openssh)
    return KeyInfo(
        line=line,
        restricted=restricted,
        fingerprint=fingerprint,
        created=created,
        path=path,
        steps=steps(restricted),
        script=script(restricted),
        limits_note=limits_note(server, openssh),
    )


def restricted_line(line: str, host: str, port: int, *, openssh: Version | None = None) -> str:
    """Return ``line``, a bare public key, with options that limit it to connections to ``host:port``.

    ``host`` is spelled as the settings spell it: sshd compares it letter by letter. Without a version
    the line is for OpenSSH 7.8 (2018) and newer. Raises ValueError when ``line`` is no public key line
    or ``host`` cannot stand in one.
    """
    if _PUBLIC_LINE.fullmatch(line) is None:
        raise ValueError("not a public key line: type, key and comment on one line are needed")
    return f"{','.join(_options(wire_host(host), port, openssh))} {line}"


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


def limits_note(server: Server, openssh: Version | None = None) -> str:
    """Say what the restricted line cannot limit on this SSH server; empty when it limits everything."""
    notes = []
    if openssh is not None and openssh < SINCE_PERMITLISTEN:
        version = f"OpenSSH {openssh[0]}.{openssh[1]}"
        notes.append(
            f"The SSH server runs {version}, which cannot limit reverse forwards (7.8 and newer can): with "
            "this key, ports can be opened on the SSH server that lead back to here."
        )
    if server.tunnel is not None and server.tunnel.user == "root":
        notes.append(
            "The login is root: a reverse forward from port 1 of the SSH server's loopback stays possible. "
            "An account without privileges closes that too."
        )
    return " ".join(notes)


def parse_openssh_version(banner: str) -> Version | None:
    """Return the version in an SSH banner: ``SSH-2.0-OpenSSH_9.2p1 Debian-2`` is (9, 2).

    None where the server is not OpenSSH or does not say.
    """
    found = _BANNER.match(banner)
    return (int(found[1]), int(found[2])) if found else None


def fits(installed_line: str, server: Server) -> bool:
    """Return whether ``installed_line`` lets ``server``'s key reach its database, as spelled in the settings.

    A line without limits fits; so does any line when there is no tunnel. A text that is no line of
    authorized_keys fits nothing.
    """
    if server.tunnel is None:
        return True
    found = _INSTALLED.match(installed_line.strip())
    if found is None:
        return False
    forwarding, targets = True, []
    for name, value in _parse_options(found["options"] or ""):
        if name in {"restrict", "no-port-forwarding"}:
            forwarding = False
        elif name == "port-forwarding":
            forwarding = True
        elif name == "permitopen":
            targets.append(value)
    wanted = (wire_host(server.database.host), server.database.port)
    return forwarding and (not targets or any(_permits(target, *wanted) for target in targets))


def _options(host: str, port: int, openssh: Version | None) -> Iterator[str]:
    if openssh is not None and openssh < SINCE_RESTRICT:
        yield from ("no-agent-forwarding", "no-X11-forwarding", "no-pty", "no-user-rc")
    else:
        yield from ("restrict", "port-forwarding")
    yield f'permitopen="{_target(host, port)}"'
    if openssh is None or openssh >= SINCE_PERMITLISTEN:
        yield 'permitlisten="localhost:1"'
    yield 'command="/bin/false"'


def _target(host: str, port: int) -> str:
    """Return ``host:port`` as ``permitopen`` wants it: an IPv6 address in brackets."""
    if not host or re.search(r"[\s\x00-\x1f\x7f\"'`\\,\[\]]", host):
        raise ValueError(f"{host!r} is no host name or IP address")
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _permits(target: str, host: str, port: int) -> bool:
    found = _TARGET.fullmatch(target)
    if found is None:
        return False
    named = found["literal"] if found["literal"] is not None else found["host"]
    return named in {host, "*"} and found["port"] in {str(port), "*"}


def _parse_options(options: str) -> Iterator[tuple[str, str]]:
    """Yield the names, in lower case as sshd sees them, and the values of an option list."""
    for found in _OPTION.finditer(options):
        yield found["name"].lower(), (found["value"] or "").replace('\\"', '"')


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

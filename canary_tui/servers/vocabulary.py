"""The names of our settings, and what people call them who come from other tools.

The words of others are those of libpq and MySQL URLs, ssh_config(5) and the settings files of common
database clients.
"""

from __future__ import annotations

import difflib

from canary_tui.servers.fleet import Defaults, HistoryLimits
from canary_tui.servers.model import Database, ProbePlan, Server, SshServer

KEYS: dict[str, tuple[str, ...]] = {
    "": ("version", "servers", "defaults", "history"),
    "server": Server.__struct_fields__,
    "database": Database.__struct_fields__,
    "ssh": SshServer.__struct_fields__,
    "probe": ProbePlan.__struct_fields__,
    "defaults": Defaults.__struct_fields__,
    "history": HistoryLimits.__struct_fields__,
    "password": ("env", "command", "keyring"),
}
"""Each kind of block with its settings."""

HOST = "hostname host_name address addr server ip hostaddr"
USER = "username user_name login account role"

OTHERS: dict[str, dict[str, str]] = {
    "": {
        "servers": "server hosts databases connections instances targets",
        "defaults": "default common global settings",
        "history": "retention storage",
    },
    "server": {
        "name": "title label id alias",
        "engine": "type driver kind dialect dbms adapter protocol scheme",
        "enabled": "active",
        "url": "uri dsn connection_string connection_url conninfo jdbc_url",
        "tags": "labels groups",
        "database": "db target",
        "ssh": "tunnel ssh_tunnel jumpbox bastion jump_host jump_server gateway",
        "probe": "check health_check monitor monitoring",
    },
    "database": {
        "url": "uri dsn connection_string connection_url conninfo jdbc_url",
        "host": HOST,
        "name": "dbname database db database_name db_name schema catalog",
        "user": USER,
        "password": "passwd pass pwd",
        "tls": "sslmode ssl use_ssl require_ssl tls_mode encrypt encryption",
        "ca_file": "sslrootcert ssl_ca ca ca_cert tls_ca root_cert ssl_root_cert",
    },
    "ssh": {
        "host": HOST,
        "user": USER,
        "key": "identity_file ssh_key key_file key_path private_key pkey",
        "via": "proxy_jump jump jump_host jump_server bastion gateway hops",
        "proxy": "proxy_command",
        "local_port": "lport bind_port local_bind_port forward_port",
        "allow_users": "allowed_users",
    },
    "probe": {
        "every": "interval period frequency poll_interval",
        "timeout": "connect_timeout time_limit",
        "slow_after": "slow threshold slow_threshold warn_after",
        "query": "sql statement",
    },
    "defaults": {"key_comment": "comment"},
    "history": {"max_size": "size limit max_bytes"},
    "password": {"env": "environment env_var variable var", "command": "cmd exec", "keyring": "keychain"},
}
"""What others call our settings, by kind of block."""

LATER: dict[str, str] = {
    ".after_terminal": "this version ends with its last window",
    ".signs": "this version chooses its signs by itself",
    "ssh.via": "this version has no jump hosts yet; it connects to the SSH server directly",
    "ssh.proxy": "this version has no proxy commands yet; it connects to the SSH server directly",
    "ssh.auth": "this version logs in with a key of its own only",
    "ssh.identity": "this version logs in with a key of its own only",
    "password.valid_for": "this version keeps what the command printed until it is rejected",
}
"""Settings of later versions by their block, and what this one does instead."""

NO_URL = "an entry has no URL; the form of the application fills its fields from one that is pasted"
NEVER: dict[str, str] = {
    "server.url": NO_URL,
    "database.url": NO_URL,
    "ssh.password": "canary-tui logs in over SSH with a key only",
    "ssh.passphrase": "canary-tui logs in over SSH with a key of its own, which has no passphrase",
}
"""What will be no setting, and why."""

INSIDE: dict[str, tuple[str, ...]] = {
    "": ("defaults", "history", "database", "ssh", "probe"),
    "server": ("database", "ssh", "probe"),
    "database": ("ssh", "probe", "server"),
    "ssh": ("database", "probe", "server"),
    "probe": ("database", "ssh", "server"),
    "defaults": ("probe", "database", "ssh", "server"),
}
"""Where else a setting is looked for that stands in the wrong block."""

LONGEST = 40
"""Characters of a key that is compared with ours: no setting's name is longer."""


def fold(word: str) -> str:
    """Return a key without what is only spelling: ``ProxyJump``, ``proxy-jump``, ``proxy_jump`` are one."""
    return word.lower().replace("-", "").replace("_", "")


def _folded(kind: str) -> dict[str, str]:
    words = {fold(word): ours for ours, known in OTHERS.get(kind, {}).items() for word in known.split()}
    places = (place.partition(".") for place in (*LATER, *NEVER))
    others = {fold(key): key for block, _, key in places if block == kind}
    return words | others | {fold(key): key for key in KEYS[kind]}


FOLDED = {kind: _folded(kind) for kind in KEYS}


def foreign(key: str) -> bool:
    """Tell whether a key says itself that it is not meant for this program: ``x-…``."""
    return key[:2].lower() in {"x-", "x_"}


def ours(kind: str, key: str) -> str:
    """Return the setting of this kind of block that ``key`` seems to mean; empty when none does."""
    if len(key) > LONGEST:
        return ""
    word, known = fold(key), FOLDED[kind]
    if word in known:
        return known[word]
    # Two letters exchanged make short words, such as tls and key, too unlike for difflib.
    near = [one for one in known if sorted(one) == sorted(word)] or difflib.get_close_matches(
        word, known, n=1, cutoff=0.75
    )
    return known[near[0]] if near else ""


def elsewhere(kind: str, key: str) -> tuple[str, ...]:
    """Return the settings of other blocks that ``key`` is a name of, such as ``database.tls``."""
    found = ((block, FOLDED[block].get(fold(key), "")) for block in INSIDE.get(kind, ()))
    places = ((f"{block}.{name}", name in KEYS[block]) for block, name in found)
    return tuple(place for place, known in places if known or place in LATER)


def unknown(kind: str, key: str, tls: str) -> str:
    """Say what an unknown key of a block has for an effect (none), and how it is written here.

    ``tls`` is how the block's connections are made as things are.
    """
    name = ours(kind, key)
    place = f"{kind}.{name}"
    places = () if name else elsewhere(kind, key)
    if place in NEVER:
        return f"has no effect: {NEVER[place]}"
    if places:
        later = [LATER[place] for place in places if place in LATER]
        return "; ".join(["has no effect here", f"it would be {' or '.join(places)}", *later])
    if not name:
        return "has no effect: it is no setting of canary-tui (keys that begin with x- are left to others)"
    said = "has no effect" if name == key else f"has no effect; our word is {name}"
    if name == "tls":
        return f"{said} (the connection is made with tls: {tls})"
    return f"{said}; {LATER[place]}" if place in LATER and name not in KEYS[kind] else said

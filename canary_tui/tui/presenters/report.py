"""The report about a connection test for the people who run the SSH server and the database."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from canary_tui.diagnosis.stages import Cause, Stage
from canary_tui.diagnosis.words import complete, fill, host_key_file
from canary_tui.servers.model import Engine
from canary_tui.tui.presenters.words import STAGE_WORDS, utc_words

if TYPE_CHECKING:
    from canary_tui.diagnosis.stages import Failure, ProbeResult
    from canary_tui.keys.authorized import KeyInfo
    from canary_tui.servers.model import Server

LOOK_AT_STAGE: dict[Stage, str] = {
    Stage.RESOLVE: "the DNS entry of {ssh_host}",
    Stage.CONNECT: "whether sshd listens on port {ssh_port} (Port, ListenAddress); the firewall before it",
    Stage.HANDSHAKE: "sshd's log; MaxStartups and PerSourcePenalties in sshd_config",
    Stage.HOST_KEY: "HostKey in sshd_config; on the SSH server: ssh-keygen -lf {host_key_file!sh}",
    Stage.AUTH: "~{ssh_user!code}/.ssh/authorized_keys and its permissions (StrictModes); AllowUsers, "
    "PubkeyAuthentication and AuthorizedKeysFile in sshd_config; sshd's log has the reason",
    Stage.FORWARD: "from the SSH server: nc -vz {db_host!sh} {db_port!sh}",
    Stage.DATABASE: "what listens on {db_host} port {db_port}; the database's log",
    Stage.TLS: "the database's certificate and TLS settings",
    Stage.LOGIN: "the database's user {db_user} and its rights on {db_name}",
    Stage.QUERY: "the database's log; the rights of {db_user}",
}
"""Where to look when nothing more is known than the stage."""

FORWARD_SETTINGS = (
    "AllowTcpForwarding, DisableForwarding and PermitOpen in sshd_config; permitopen= of this key in "
    "authorized_keys, which is compared letter by letter with {db_host}:{db_port}"
)
LOOK_AT: dict[Cause, str] = {
    Cause.SSH_TOO_MANY_CONNECTIONS: "MaxStartups, PerSourceMaxStartups and PerSourcePenalties in sshd_config",
    Cause.SSH_NO_COMMON_ALGORITHM: "KexAlgorithms, HostKeyAlgorithms, Ciphers and MACs in sshd_config",
    Cause.KEY_LOGIN_NOT_OFFERED: "PubkeyAuthentication and AuthenticationMethods in sshd_config",
    Cause.MORE_AUTHENTICATION_REQUIRED: "AuthenticationMethods in sshd_config",
    Cause.TOO_MANY_ATTEMPTS: "MaxAuthTries in sshd_config",
    Cause.AUTH_TIMED_OUT: "LoginGraceTime and UseDNS in sshd_config; PAM modules that wait",
    Cause.FORWARDING_NOT_PERMITTED: FORWARD_SETTINGS,
    Cause.DATABASE_NAME_NOT_FOUND: "names on the SSH server: getent hosts {db_host!sh}",
    Cause.DATABASE_TIMED_OUT: "the firewall on the way; from the SSH server: "
    "nc -vz {db_host!sh} {db_port!sh}",
}
LOOK_AT_POSTGRESQL: dict[Cause, str] = {
    Cause.DATABASE_REFUSED: "listen_addresses and port in postgresql.conf; from the SSH server: "
    "nc -vz {db_host!sh} {db_port!sh}",
    Cause.DATABASE_TOO_MANY_CONNECTIONS: "max_connections in postgresql.conf; CONNECTION LIMIT of {db_user}",
    Cause.DATABASE_HOST_NOT_ALLOWED: "the entry for {db_user} on {db_name} in pg_hba.conf",
    Cause.TLS_NOT_OFFERED: "ssl in postgresql.conf",
    Cause.TLS_DOWNGRADED: "ssl in postgresql.conf, which was on; what is between",
    Cause.PASSWORD_NOT_SENT: "the method for {db_user} in pg_hba.conf: scram-sha-256 needs no clear password",
    Cause.TLS_REQUIRED: "hostssl entries in pg_hba.conf",
    Cause.CLIENT_CERTIFICATE_REQUIRED: "clientcert in pg_hba.conf",
    Cause.PASSWORD_REJECTED: "the password of {db_user}: ALTER ROLE … PASSWORD; its entry in pg_hba.conf",
    Cause.USER_NOT_ALLOWED: "the entry for {db_user} on {db_name} in pg_hba.conf; LOGIN of the role",
    Cause.PASSWORD_EXPIRED: "VALID UNTIL of the role {db_user}",
    Cause.DATABASE_ACCESS_DENIED: "GRANT CONNECT ON DATABASE {db_name!sql} TO {db_user!sql}",
}
LOOK_AT_MYSQL: dict[Cause, str] = {
    Cause.DATABASE_REFUSED: "bind-address and port of the MySQL server; from the SSH server: "
    "nc -vz {db_host!sh} {db_port!sh}",
    Cause.DATABASE_TOO_MANY_CONNECTIONS: "max_connections; MAX_USER_CONNECTIONS of {db_user}",
    Cause.DATABASE_HOST_NOT_ALLOWED: "the host in the account of {db_user}: the SSH server's address",
    Cause.DATABASE_HOST_BLOCKED: "max_connect_errors; mysqladmin flush-hosts",
    Cause.TLS_NOT_OFFERED: "ssl_cert and ssl_key of the MySQL server",
    Cause.TLS_DOWNGRADED: "ssl_cert and ssl_key of the MySQL server, which had TLS; what is between",
    Cause.PASSWORD_NOT_SENT: "the plug-in of {db_user}; ca.pem, of the authority that signed ssl_cert",
    Cause.TLS_REQUIRED: "require_secure_transport; REQUIRE SSL of {db_user}",
    Cause.CLIENT_CERTIFICATE_REQUIRED: "REQUIRE X509 of {db_user}",
    Cause.PASSWORD_REJECTED: "the password of {db_user}, and the host in its account: SHOW GRANTS",
    Cause.USER_NOT_ALLOWED: "the account of {db_user} (its host, ACCOUNT LOCK): SHOW CREATE USER",
    Cause.PASSWORD_EXPIRED: "PASSWORD EXPIRE of {db_user}: SHOW CREATE USER",
    Cause.DATABASE_ACCESS_DENIED: "GRANT … ON {db_name!sql}.* TO {db_user!text}",
}
LOOK_AT_TCP: dict[Cause, str] = {
    Cause.DATABASE_REFUSED: "the address and port that the service listens on; from the SSH server: "
    "nc -vz {db_host!sh} {db_port!sh}",
    Cause.DATABASE_CLOSED_EARLY: "the service's log; the addresses that it lets in",
}
LINE_HELPS = frozenset({Stage.AUTH, Stage.FORWARD})
"""Stages at which the line to install is part of the answer."""


def report(server: Server, result: ProbeResult, key: KeyInfo | None = None) -> str:
    """Return what an administrator needs to know, as plain text without a secret."""
    failure = result.failure
    lines = [f"canary-tui: connection test of {server.name}", *_ends(server, result, key)]
    if failure is None:
        lines.append("Result:    the whole way works")
    else:
        lines += _failure(server, result, failure)
        if key is not None and failure.stage in LINE_HELPS:
            lines.append(f"Line:      {key.restricted}")
    lines.append("Stages:")
    lines += [
        f"  {'ok  ' if s.ok else 'FAIL'} {s.stage.value:<10} {s.ms:9.1f} ms  {s.note}".rstrip()
        for s in result.stages
    ]
    return "\n".join(lines) + "\n"


def _ends(server: Server, result: ProbeResult, key: KeyInfo | None) -> list[str]:
    """Return when it was, and who talked to whom."""
    ssh, database = server.tunnel, server.database
    address = next((stage.note for stage in result.stages if stage.stage is Stage.RESOLVE and stage.note), "")
    seen = f" ({address})" if address else ""
    lines = [f"Time:      {utc_words(result.started_at)}"]
    if ssh is not None:
        lines.append(f"SSH:       {ssh.user}@{ssh.host} port {ssh.port}{seen}")
    if key is not None:
        lines.append(f"Key:       {key.fingerprint}")
    way = "as the SSH server sees it" if ssh is not None else f"direct{seen}"
    lines.append(f"Database:  {server.engine.value} {database.host} port {database.port}, {way}")
    if not server.engine.facts.has_login:
        return lines
    words = server.words
    lines.append(f"Login:     {words['db_user']} on {words['db_name']}")
    return lines


def _failure(server: Server, result: ProbeResult, failure: Failure) -> list[str]:
    lines = [
        f"Stage:     {failure.stage.value} ({STAGE_WORDS[failure.stage]})",
        f"Cause:     {failure.cause.value}",
        f"Meaning:   {failure.summary}",
    ]
    if failure.detail:
        lines.append(f"Said:      {failure.detail}")
    offer = result.host_key
    if offer is not None:
        lines.append(f"Host key:  {offer.key_type} {offer.fingerprint} was shown")
        lines += [f"           {known.key_type} {known.fingerprint} is trusted" for known in offer.known]
    look = look_at(server, failure, host_key_file(offer.key_type) if offer is not None else "")
    return [*lines, f"Look at:   {look}"] if look else lines


def look_at(server: Server, failure: Failure, host_key: str = "") -> str:
    """Return the setting of sshd or of the database to look at; empty where it is ours alone."""
    database = _look_at_database(server.engine)
    text = LOOK_AT.get(failure.cause) or database.get(failure.cause) or LOOK_AT_STAGE.get(failure.stage, "")
    if server.tunnel is None:
        # Without an SSH server the names and connections of a probe are the database's own.
        text = {
            Stage.RESOLVE: "the DNS entry of {db_host}",
            Stage.CONNECT: database[Cause.DATABASE_REFUSED].replace("from the SSH server", "from here"),
        }.get(failure.stage, text)
    file = host_key or "/etc/ssh/ssh_host_ed25519_key.pub"
    return fill(text, complete(server.words) | {"host_key_file": file})


def _look_at_database(engine: Engine) -> dict[Cause, str]:
    match engine:
        case Engine.POSTGRESQL:
            return LOOK_AT_POSTGRESQL
        case Engine.MYSQL:
            return LOOK_AT_MYSQL
        case Engine.TCP:
            return LOOK_AT_TCP
        case _:
            assert_never(engine)

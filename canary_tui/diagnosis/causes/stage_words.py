"""What each stage is called, and where to look when nothing more is known than the stage."""

from __future__ import annotations

from canary_tui.diagnosis.lines import Line, direct, dropbear, openssh, say, tunnel
from canary_tui.diagnosis.stages import Stage

TITLES: dict[Stage, tuple[str, str]] = {
    Stage.SETTINGS: ("settings", "settings"),
    Stage.RESOLVE: ("name look-up", "name look-up"),
    Stage.CONNECT: ("SSH connect", "database connect"),
    Stage.HANDSHAKE: ("SSH handshake", "SSH handshake"),
    Stage.HOST_KEY: ("host key", "host key"),
    Stage.AUTH: ("SSH login", "SSH login"),
    Stage.FORWARD: ("forward", "forward"),
    Stage.DATABASE: ("database", "database"),
    Stage.TLS: ("TLS", "TLS"),
    Stage.LOGIN: ("database login", "database login"),
    Stage.QUERY: ("query", "query"),
}
"""With a tunnel, and without."""

LOOK_AT: dict[Stage, tuple[Line, ...]] = {
    Stage.RESOLVE: say(
        tunnel("the DNS entry of {ssh_host}"),
        direct("the DNS entry of {db_host}"),
    ),
    Stage.CONNECT: say(
        direct(
            "what listens on port {db_port} of {db_host}; the firewall before it; from here: "
            "nc -vz {db_host!sh} {db_port!sh}"
        ),
        tunnel("whether sshd listens on port {ssh_port} (Port, ListenAddress); the firewall before it"),
    ),
    Stage.HANDSHAKE: say("sshd's log; MaxStartups and PerSourcePenalties in sshd_config"),
    Stage.HOST_KEY: say("HostKey in sshd_config; on the SSH server: ssh-keygen -lf {host_key_file!sh}"),
    Stage.AUTH: say(
        openssh(
            "~{ssh_user!code}/.ssh/authorized_keys and its permissions (StrictModes); AllowUsers, "
            "PubkeyAuthentication and AuthorizedKeysFile in sshd_config; sshd's log has the reason"
        ),
        dropbear(
            "~{ssh_user!code}/.ssh/authorized_keys and its permissions; the options -w and -G of dropbear; "
            "the account's shell in /etc/shells; dropbear's log has the reason"
        ),
    ),
    Stage.FORWARD: say("from the SSH server: nc -vz {db_host!sh} {db_port!sh}"),
    Stage.DATABASE: say("what listens on {db_host} port {db_port}; the database's log"),
    Stage.TLS: say("the database's certificate and TLS settings"),
    Stage.LOGIN: say("the database's user {db_user} and its rights on {db_name}"),
    Stage.QUERY: say("the database's log; the rights of {db_user}"),
}

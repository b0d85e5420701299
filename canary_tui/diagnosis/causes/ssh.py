"""What can go wrong with an SSH server before the login: handshake and host key."""

from __future__ import annotations

from canary_tui.diagnosis.causes import retries
from canary_tui.diagnosis.causes.phrases import FLOODED, LOG, RELOAD, WHO_FLOODS
from canary_tui.diagnosis.causes.row import Row
from canary_tui.diagnosis.lines import say, when
from canary_tui.diagnosis.stages import Cause, Stage

ROWS = (
    Row(
        cause=Cause.NOT_SSH,
        stage=Stage.HANDSHAKE,
        retry=retries.NETWORK,
        title="not an SSH server",
        summary=say("Something answers on {ssh_at}, but it is not an SSH server."),
        remedies=say(
            "Check `ssh.port`; on {ssh_host}, `sudo sshd -T | grep '^port '` prints the port that sshd uses.",
            "If {ssh_at} is the database itself, it belongs under `database:`; `ssh:` is the server in front "
            "of it.",
            "If a proxy or a network's login page answers in its place, sign in there or use another "
            "network.",
        ),
    ),
    Row(
        cause=Cause.SSH_TOO_MANY_CONNECTIONS,
        stage=Stage.HANDSHAKE,
        retry=retries.NETWORK,
        no_room=True,
        title="too many SSH connections",
        summary=say("The SSH server {ssh_at} is busy with other logins and refuses more for the moment."),
        remedies=say(
            "Wait: the next attempt follows by itself.",
            "Allow more logins at a time: `MaxStartups 100:30:200` in `/etc/ssh/sshd_config` on {ssh_host}, "
            "then " + RELOAD + ".",
            "If one program keeps logging in, " + LOG + " on {ssh_host} shows from where; since OpenSSH 9.8 "
            "`PerSourcePenaltyExemptList ADDRESS` lifts the "
            "penalty for an address.",
        ),
        look_at=say("MaxStartups, PerSourceMaxStartups and PerSourcePenalties in sshd_config"),
    ),
    Row(
        cause=Cause.SSH_CLOSED_EARLY,
        stage=Stage.HANDSHAKE,
        retry=retries.NETWORK,
        closed=(Stage.HANDSHAKE, Stage.HOST_KEY),
        no_room=True,
        title="SSH closed early",
        summary=say(
            when("has:excess", FLOODED),
            "The SSH server {ssh_at} closed the connection before it said anything of use.",
        ),
        remedies=say(
            when("has:excess", WHO_FLOODS),
            "See the reason in its log: " + LOG + " on {ssh_host}.",
            "This address may be banned or under a penalty: look there with `sudo fail2ban-client status "
            "sshd`, and in `/etc/hosts.deny`.",
            when(
                "lacks:excess",
                "Check its settings with `sudo sshd -t`, and restart it: `sudo systemctl restart ssh`.",
            ),
            "If {ssh_host} is a load balancer, check that a machine behind it is up.",
        ),
    ),
    Row(
        cause=Cause.SSH_NO_ANSWER,
        stage=Stage.HANDSHAKE,
        retry=retries.NETWORK,
        silence=(
            Stage.HANDSHAKE,
            Stage.HOST_KEY,
        ),
        title="SSH server silent",
        summary=say("The connection to {ssh_at} stands, but the SSH server says nothing."),
        remedies=say(
            "Check `ssh.port`: services other than SSH wait for the client to speak first.",
            "If {ssh_host} is overloaded or out of memory, look at it from its console: `uptime`, `free -m`.",
            "Restart the SSH server on {ssh_host}: `sudo systemctl restart ssh` (on some systems `sshd`).",
            "If the line is slow, allow a probe more time: `probe.timeout` in servers.yaml ({timeout} now); "
            "a tunnel always has 15 s to open.",
        ),
    ),
    Row(
        cause=Cause.SSH_NO_COMMON_ALGORITHM,
        stage=Stage.HANDSHAKE,
        retry=retries.NETWORK,
        title="no common algorithm",
        summary=say(
            "The SSH server {ssh_at} and canary-tui have no algorithm in common: that server's are too old "
            "or too few."
        ),
        remedies=say(
            "See what {ssh_host} allows: `sudo sshd -T | grep -E "
            "'^(kexalgorithms|ciphers|macs|hostkeyalgorithms) '`.",
            "Take the lines `KexAlgorithms`, `Ciphers`, `MACs` and `HostKeyAlgorithms` out of "
            "`/etc/ssh/sshd_config` there, so that the defaults hold, then " + RELOAD + ".",
            "If its only host key is DSA or short RSA, make modern ones: `sudo ssh-keygen -A`, then "
            + RELOAD
            + ".",
            "If its OpenSSH is older than 6.5, update it.",
        ),
        look_at=say("KexAlgorithms, HostKeyAlgorithms, Ciphers and MACs in sshd_config"),
    ),
    Row(
        cause=Cause.HOST_KEY_UNKNOWN,
        stage=Stage.HOST_KEY,
        retry=retries.SSH_FOR_PERSON,
        title="host key unknown",
        summary=say(
            when(
                "has:offered",
                "Nobody has confirmed yet that {ssh_at} is the right machine. It shows the host key "
                "{offered}.",
            ),
            "Nobody has confirmed yet that {ssh_at} is the right machine.",
        ),
        remedies=say(
            "Get the fingerprints from the machine's console or its administrator: `for f in "
            '/etc/ssh/ssh_host_*_key.pub; do ssh-keygen -lf "$f"; done`.',
            "If one of them is the one shown, trust it: `canary trust {server!sh}`.",
        ),
    ),
    Row(
        cause=Cause.HOST_KEY_CHANGED,
        stage=Stage.HOST_KEY,
        retry=retries.SSH_FOR_PERSON,
        title="host key changed",
        summary=say(
            when(
                "has:offered has:known",
                "The SSH server {ssh_at} shows another host key than the one that was trusted: {offered} "
                "now, {known} before. It has a new key, or another machine answers in its place. Nothing "
                "was sent to it.",
            ),
            "The SSH server {ssh_at} shows another host key than the one that was trusted. It has a new "
            "key, or another machine answers in its place. Nothing was sent to it.",
        ),
        remedies=say(
            "Ask the administrator of {ssh_host} whether it was reinstalled or its keys were replaced; until "
            "then do not trust the new key.",
            "Compare the fingerprints on its console: `for f in /etc/ssh/ssh_host_*_key.pub; do ssh-keygen "
            '-lf "$f"; done`.',
            "If the new key is there, trust it instead of the old one: `canary trust {server!sh} --replace`.",
            "If several machines answer at this address (a load balancer), each with a key of its own, trust "
            "them beside each other: `canary trust {server!sh} --add`. If none has it, check where the name "
            "leads: `getent hosts {ssh_host!sh}`.",
        ),
    ),
    Row(
        cause=Cause.HOST_KEY_REVOKED,
        stage=Stage.HOST_KEY,
        retry=retries.SSH_FOR_PERSON,
        title="host key revoked",
        summary=say(
            "The SSH server {ssh_at} shows a host key that is marked as revoked here. Nothing was sent to it."
        ),
        remedies=say(
            "Have new host keys made on {ssh_host}: remove the revoked files `/etc/ssh/ssh_host_*_key*`, run "
            "`sudo ssh-keygen -A`, then "
            + RELOAD
            + ". Trust the new one with `canary trust {server!sh} --replace`.",
            "If the revocation is a mistake, remove the line that begins with `@revoked` from "
            "{known_hosts_path}.",
        ),
    ),
)

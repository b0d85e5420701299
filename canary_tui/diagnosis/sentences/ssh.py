"""What is said when the SSH server is reached but lets nobody in: handshake, host key, login."""

from __future__ import annotations

from canary_tui.diagnosis.sentences.entry import Entry, entry, when
from canary_tui.diagnosis.stages import Cause

RELOAD = "`sudo systemctl reload ssh` (on some systems `sshd`)"
LOG = "`sudo journalctl -u ssh -n 50` (on some systems `-u sshd`)"
FLOODED = "The SSH server {ssh_at} sent more than any SSH server does, and canary-tui cut it off."
WHO_FLOODS = (
    "Make sure that {ssh_at} is the server that you mean, and unchanged: compare its host key, and ask its "
    "administrator what runs there."
)

HANDSHAKE: dict[Cause, Entry] = {
    Cause.NOT_SSH: entry(
        "not an SSH server",
        "Something answers on {ssh_at}, but it is not an SSH server.",
        "Check `ssh.port`; on {ssh_host}, `sudo sshd -T | grep '^port '` prints the port that sshd uses.",
        "If {ssh_at} is the database itself, it belongs under `database:`; `ssh:` is the server in front "
        "of it.",
        "If a proxy or a network's login page answers in its place, sign in there or use another network.",
    ),
    Cause.SSH_TOO_MANY_CONNECTIONS: entry(
        "too many SSH connections",
        "The SSH server {ssh_at} is busy with other logins and refuses more for the moment.",
        "Wait: the next attempt follows by itself.",
        "Allow more logins at a time: `MaxStartups 100:30:200` in `/etc/ssh/sshd_config` on {ssh_host}, then "
        + RELOAD
        + ".",
        "If one program keeps logging in, " + LOG + " on {ssh_host} shows from where; since OpenSSH 9.8 "
        "`PerSourcePenaltyExemptList ADDRESS` lifts the "
        "penalty for an address.",
    ),
    Cause.SSH_CLOSED_EARLY: entry(
        "SSH closed early",
        (
            when("has:excess", FLOODED),
            "The SSH server {ssh_at} closed the connection before it said anything of use.",
        ),
        when("has:excess", WHO_FLOODS),
        "See the reason in its log: " + LOG + " on {ssh_host}.",
        "This address may be banned or under a penalty: look there with `sudo fail2ban-client status "
        "sshd`, and in `/etc/hosts.deny`.",
        "Check its settings with `sudo sshd -t`, and restart it: `sudo systemctl restart ssh`.",
        "If {ssh_host} is a load balancer, check that a machine behind it is up.",
    ),
    Cause.SSH_NO_ANSWER: entry(
        "SSH server silent",
        "The connection to {ssh_at} stands, but the SSH server says nothing.",
        "Check `ssh.port`: services other than SSH wait for the client to speak first.",
        "If {ssh_host} is overloaded or out of memory, look at it from its console: `uptime`, `free -m`.",
        "Restart the SSH server on {ssh_host}: `sudo systemctl restart ssh` (on some systems `sshd`).",
        "If the line is slow, allow a probe more time: `probe.timeout` in servers.yaml ({timeout} now); "
        "a tunnel always has 15 s to open.",
    ),
    Cause.SSH_NO_COMMON_ALGORITHM: entry(
        "no common algorithm",
        "The SSH server {ssh_at} and canary-tui have no algorithm in common: that server's are too old "
        "or too few.",
        "See what {ssh_host} allows: `sudo sshd -T | grep -E "
        "'^(kexalgorithms|ciphers|macs|hostkeyalgorithms) '`.",
        "Take the lines `KexAlgorithms`, `Ciphers`, `MACs` and `HostKeyAlgorithms` out of "
        "`/etc/ssh/sshd_config` there, so that the defaults hold, then " + RELOAD + ".",
        "If its only host key is DSA or short RSA, make modern ones: `sudo ssh-keygen -A`, then "
        + RELOAD
        + ".",
        "If its OpenSSH is older than 6.5, update it.",
    ),
}

HOST_KEY: dict[Cause, Entry] = {
    Cause.HOST_KEY_UNKNOWN: entry(
        "host key unknown",
        (
            when(
                "has:offered",
                "Nobody has confirmed yet that {ssh_at} is the right machine. It shows the host key "
                "{offered}.",
            ),
            "Nobody has confirmed yet that {ssh_at} is the right machine.",
        ),
        "Get the fingerprints from the machine's console or its administrator: `for f in "
        '/etc/ssh/ssh_host_*_key.pub; do ssh-keygen -lf "$f"; done`.',
        "If one of them is the one shown, trust it: `canary trust {server!sh}`.",
    ),
    Cause.HOST_KEY_CHANGED: entry(
        "host key changed",
        (
            when(
                "has:offered has:known",
                "The SSH server {ssh_at} shows another host key than the one that was trusted: {offered} "
                "now, {known} before. It has a new key, or another machine answers in its place. Nothing "
                "was sent to it.",
            ),
            "The SSH server {ssh_at} shows another host key than the one that was trusted. It has a new "
            "key, or another machine answers in its place. Nothing was sent to it.",
        ),
        "Ask the administrator of {ssh_host} whether it was reinstalled or its keys were replaced; until "
        "then do not trust the new key.",
        "Compare the fingerprints on its console: `for f in /etc/ssh/ssh_host_*_key.pub; do ssh-keygen "
        '-lf "$f"; done`.',
        "If the new key is there, trust it in place of the old one: `canary trust {server!sh} --replace`.",
        "If several machines answer at this address (a load balancer), each with a key of its own, trust "
        "them beside each other: `canary trust {server!sh} --add`. If none has it, check where the name "
        "leads: `getent hosts {ssh_host!sh}`.",
    ),
    Cause.HOST_KEY_REVOKED: entry(
        "host key revoked",
        "The SSH server {ssh_at} shows a host key that is marked as revoked here. Nothing was sent to it.",
        "Have new host keys made on {ssh_host}: remove the revoked files `/etc/ssh/ssh_host_*_key*`, run "
        "`sudo ssh-keygen -A`, then "
        + RELOAD
        + ". Trust the new one with `canary trust {server!sh} --replace`.",
        "If the revocation is a mistake, remove the line that begins with `@revoked` from "
        "{known_hosts_path}.",
    ),
}

AUTH: dict[Cause, Entry] = {
    Cause.KEY_NOT_ACCEPTED: entry(
        "key not accepted",
        "The SSH server {ssh_at} did not accept the key of {server} for the user {ssh_user}.",
        "Install the key: log in to {ssh_host} as {ssh_user} and run the command that `canary key "
        "{server!sh} --format script` prints (`p` in the server list shows it too).",
        "If it is installed, check the account: the line belongs in "
        "`~{ssh_user!code}/.ssh/authorized_keys` on {ssh_host}, unbroken; if the account has another "
        "name, set `ssh.user`. A server that is not OpenSSH (dropbear) ignores a line that was made for "
        "another one: `canary key {server!sh}` prints the one for it.",
        "Put the permissions right, as {ssh_user} on {ssh_host}: `chmod go-w ~ && chmod 700 ~/.ssh && "
        "chmod 600 ~/.ssh/authorized_keys` (sshd ignores the file otherwise: `StrictModes`).",
        "See the reason in the SSH server's log: "
        + LOG
        + ". It names a `from=` or `expiry-time=` in the key's line, `AllowUsers`, `DenyUsers` or a "
        "`PubkeyAcceptedAlgorithms` without `ecdsa-sha2-nistp256` in `/etc/ssh/sshd_config`, and an "
        "account that is locked (`sudo usermod -p '*' {ssh_user!sh}` unlocks it for keys only) or has "
        "expired (`sudo chage -E -1 {ssh_user!sh}`).",
    ),
    Cause.KEY_LOGIN_NOT_OFFERED: entry(
        "key login not offered",
        "The SSH server {ssh_at} lets nobody log in with a key as {ssh_user}.",
        "Set `PubkeyAuthentication yes` in `/etc/ssh/sshd_config` on {ssh_host}, then " + RELOAD + ".",
        "If an `AuthenticationMethods` line names only other methods, make it `AuthenticationMethods "
        "publickey`.",
        "See what holds for this user, `Match` blocks included: `sudo sshd -T -C "
        "user={ssh_user!sh},host=localhost,addr=127.0.0.1 | grep -E '^(pubkey|authenticationmethods)'`.",
    ),
    Cause.MORE_AUTHENTICATION_REQUIRED: entry(
        "more than key required",
        "The SSH server {ssh_at} accepts the key of {server} and then asks {ssh_user} for a password or "
        "a code as well.",
        "Let this user in with the key alone: at the end of `/etc/ssh/sshd_config` on {ssh_host} the "
        "lines `Match User {ssh_user!code}` and `AuthenticationMethods publickey`, then " + RELOAD + ".",
        "Or use an account that needs only a key, and set `ssh.user` to it.",
    ),
    Cause.TOO_MANY_ATTEMPTS: entry(
        "too many login attempts",
        "The SSH server {ssh_at} ended the login of {ssh_user}: too many attempts.",
        "Install the key of {server}, so that the first attempt succeeds: `canary key {server!sh} "
        "--format script` prints the command to run on {ssh_host} as {ssh_user}.",
        "If `MaxAuthTries` in `/etc/ssh/sshd_config` is 1 or 2, set `MaxAuthTries 6`, then " + RELOAD + ".",
    ),
    Cause.AUTH_TIMED_OUT: entry(
        "SSH login timed out",
        "The SSH server {ssh_at} did not finish the login of {ssh_user} within the time limit.",
        "See what it waits for: " + LOG + " on {ssh_host}.",
        "A slow name look-up there is common: `UseDNS no` in `/etc/ssh/sshd_config`, then " + RELOAD + ".",
        "If a login takes that long there, allow a probe more time: `probe.timeout` in servers.yaml "
        "({timeout} now); a tunnel always has 15 s to open.",
    ),
    Cause.SSH_CLOSED_AT_LOGIN: entry(
        "closed at SSH login",
        (
            when("has:excess", FLOODED),
            "The SSH server {ssh_at} closed the connection while {ssh_user} was logging in.",
        ),
        when("has:excess", WHO_FLOODS),
        "See the reason in its log: " + LOG + " on {ssh_host}.",
        "If the account is expired or barred by PAM, allow it: `sudo chage -E -1 {ssh_user!sh}`, and "
        "look into `/etc/security/access.conf`.",
        "If it was restarted or is out of memory, the next attempt tells: `canary probe {server!sh}`.",
    ),
}

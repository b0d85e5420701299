"""What can go wrong with the login at the SSH server."""

from __future__ import annotations

from canary_tui.diagnosis.causes import retries
from canary_tui.diagnosis.causes.phrases import (
    FLOODED,
    LOG,
    LOG_DROPBEAR,
    OPTIONS_DROPBEAR,
    RELOAD,
    WHO_FLOODS,
)
from canary_tui.diagnosis.causes.row import Row
from canary_tui.diagnosis.lines import dropbear, openssh, say, when
from canary_tui.diagnosis.stages import Cause, Stage

ROWS = (
    Row(
        cause=Cause.KEY_NOT_ACCEPTED,
        stage=Stage.AUTH,
        retry=retries.SSH_REFUSED,
        refuses_key=True,
        title="key not accepted",
        summary=say("The SSH server {ssh_at} did not accept the key of {server} for the user {ssh_user}."),
        remedies=say(
            "Install the key: log in to {ssh_host} as {ssh_user} and run the command that `canary key "
            "{server!sh} --format script` prints (`p` in the server list shows it too).",
            openssh(
                "If it is installed, check the account: the line belongs in "
                "`~{ssh_user!code}/.ssh/authorized_keys` on {ssh_host}, unbroken; if the account has another "
                "name, set `ssh.user`. A server that is not OpenSSH (dropbear) ignores a line that was made "
                "for another one: `canary key {server!sh}` prints the one for it."
            ),
            dropbear(
                "If it is installed, check the account: the line belongs in "
                "`~{ssh_user!code}/.ssh/authorized_keys` on {ssh_host} (OpenWrt: root's in "
                "`/etc/dropbear/authorized_keys`), unbroken; if the account has another name, set "
                "`ssh.user`. It must be the one that `canary key {server!sh}` prints now: dropbear ignores a "
                "line with an option that it does not know."
            ),
            openssh(
                "Put the permissions right, as {ssh_user} on {ssh_host}: `chmod go-w ~ && chmod 700 ~/.ssh "
                "&& chmod 600 ~/.ssh/authorized_keys` (sshd ignores the file otherwise: `StrictModes`)."
            ),
            dropbear(
                "Put the permissions right, as {ssh_user} on {ssh_host}: `chmod go-w ~ && chmod 700 ~/.ssh "
                "&& chmod 600 ~/.ssh/authorized_keys` (dropbear ignores the file otherwise)."
            ),
            openssh(
                "See the reason in the SSH server's log: "
                + LOG
                + ". It names a `from=` or `expiry-time=` in the key's line, `AllowUsers`, `DenyUsers` or a "
                "`PubkeyAcceptedAlgorithms` without `ecdsa-sha2-nistp256` in `/etc/ssh/sshd_config`, and an "
                "account that is locked (`sudo usermod -p '*' {ssh_user!sh}` unlocks it for keys only) or "
                "has expired (`sudo chage -E -1 {ssh_user!sh}`)."
            ),
            dropbear(
                "See the reason in dropbear's log: "
                + LOG_DROPBEAR
                + ". It names an option of the line that is not known, a shell that is not in `/etc/shells`, "
                "root where the option `-w` forbids it, and a user outside the group of `-G`."
            ),
        ),
    ),
    Row(
        cause=Cause.KEY_LOGIN_NOT_OFFERED,
        stage=Stage.AUTH,
        retry=retries.SSH_REFUSED,
        title="key login not offered",
        summary=say(
            when(
                "has:wanted",
                "The SSH server {ssh_at} does not let {ssh_user} begin a login with a key: it wants {wanted} "
                "first.",
            ),
            "The SSH server {ssh_at} lets nobody log in with a key as {ssh_user}.",
        ),
        remedies=say(
            openssh(
                "Set `PubkeyAuthentication yes` in `/etc/ssh/sshd_config` on {ssh_host}, then " + RELOAD + "."
            ),
            openssh(
                "If an `AuthenticationMethods` line names only other methods, or another one before "
                "`publickey`, make it `AuthenticationMethods publickey`."
            ),
            openssh(
                "See what holds for this user, `Match` blocks included: `sudo sshd -T -C "
                "user={ssh_user!sh},host=localhost,addr=127.0.0.1 | grep -E "
                "'^(pubkey|authenticationmethods)'`."
            ),
            dropbear(
                "This dropbear was built without logins by key (`DROPBEAR_SVR_PUBKEY_AUTH 0`); no option "
                "switches them on. Install a dropbear that has them, or OpenSSH, on {ssh_host}."
            ),
        ),
        look_at=say(
            openssh("PubkeyAuthentication and AuthenticationMethods in sshd_config"),
            dropbear("DROPBEAR_SVR_PUBKEY_AUTH, with which dropbear was built"),
        ),
    ),
    Row(
        cause=Cause.MORE_AUTHENTICATION_REQUIRED,
        stage=Stage.AUTH,
        retry=retries.SSH_REFUSED,
        title="more than key required",
        summary=say(
            when(
                "has:wanted",
                "The SSH server {ssh_at} accepts the key of {server} and then wants {wanted} from {ssh_user} "
                "as well.",
            ),
            "The SSH server {ssh_at} accepts the key of {server} and then wants more from {ssh_user}.",
        ),
        remedies=say(
            openssh(
                "Let this user in with the key alone: at the end of `/etc/ssh/sshd_config` on {ssh_host} the "
                "lines `Match User {ssh_user!code}` and `AuthenticationMethods publickey`, then "
                + RELOAD
                + "."
            ),
            dropbear(
                "Start dropbear on {ssh_host} without the option `-t`, which asks for both "
                + OPTIONS_DROPBEAR
                + "."
            ),
            "Or use an account that needs only a key, and set `ssh.user` to it.",
        ),
        look_at=say(
            openssh("AuthenticationMethods in sshd_config"),
            dropbear("the option -t of dropbear"),
        ),
    ),
    Row(
        cause=Cause.TOO_MANY_ATTEMPTS,
        stage=Stage.AUTH,
        retry=retries.SSH_REFUSED,
        refuses_key=True,
        title="too many login attempts",
        summary=say("The SSH server {ssh_at} ended the login of {ssh_user}: too many attempts."),
        remedies=say(
            "Install the key of {server}, so that the first attempt succeeds: `canary key {server!sh} "
            "--format script` prints the command to run on {ssh_host} as {ssh_user}.",
            openssh(
                "If `MaxAuthTries` in `/etc/ssh/sshd_config` is below 3, set `MaxAuthTries 6`, then "
                + RELOAD
                + "."
            ),
            dropbear(
                "If dropbear is started with the option `-T 1` or `-T 2`, take it out: it allows 10 then "
                + OPTIONS_DROPBEAR
                + "."
            ),
        ),
        look_at=say(
            openssh("MaxAuthTries in sshd_config"),
            dropbear("the option -T of dropbear"),
        ),
    ),
    Row(
        cause=Cause.AUTH_TIMED_OUT,
        stage=Stage.AUTH,
        retry=retries.NETWORK,
        silence=(Stage.AUTH,),
        title="SSH login timed out",
        summary=say("The SSH server {ssh_at} did not finish the login of {ssh_user} within the time limit."),
        remedies=say(
            openssh("See what it waits for: " + LOG + " on {ssh_host}."),
            dropbear("See what it waits for: " + LOG_DROPBEAR + " on {ssh_host}."),
            openssh(
                "A slow name look-up there is common: `UseDNS no` in `/etc/ssh/sshd_config`, then "
                + RELOAD
                + "."
            ),
            "If a login takes that long there, allow a probe more time: `probe.timeout` in servers.yaml "
            "({timeout} now); a tunnel always has 15 s to open.",
        ),
        look_at=say(
            openssh("LoginGraceTime and UseDNS in sshd_config; PAM modules that wait"),
            dropbear("dropbear's log; the load of the machine"),
        ),
    ),
    Row(
        cause=Cause.SSH_CLOSED_AT_LOGIN,
        stage=Stage.AUTH,
        retry=retries.NETWORK,
        closed=(Stage.AUTH,),
        title="closed at SSH login",
        summary=say(
            when("has:excess", FLOODED),
            when(
                "has:after_login",
                "The SSH server {ssh_at} let {ssh_user} in and ended the connection at once: it could not "
                "begin the session.",
            ),
            "The SSH server {ssh_at} closed the connection while {ssh_user} was logging in.",
        ),
        remedies=say(
            when("has:excess", WHO_FLOODS),
            openssh("See the reason in its log: " + LOG + " on {ssh_host}."),
            dropbear("See the reason in its log: " + LOG_DROPBEAR + " on {ssh_host}."),
            when(
                "openssh has:after_login",
                "If a `ChrootDirectory` in `/etc/ssh/sshd_config` holds for {ssh_user}, it must exist, and "
                "it and every folder above it must belong to root and be writable by nobody else.",
            ),
            openssh(
                "If the account is expired or barred by PAM, allow it: `sudo chage -E -1 {ssh_user!sh}`, and "
                "look into `/etc/security/access.conf`."
            ),
            "If it was restarted or is out of memory, the next attempt tells: `canary probe {server!sh}`.",
        ),
    ),
)

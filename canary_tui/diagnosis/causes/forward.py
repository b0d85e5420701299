"""What can go wrong between the SSH server and the database."""

from __future__ import annotations

from canary_tui.diagnosis.causes import retries
from canary_tui.diagnosis.causes.phrases import LOG, LOG_DROPBEAR, OPTIONS_DROPBEAR, RELOAD
from canary_tui.diagnosis.causes.row import Row
from canary_tui.diagnosis.lines import Slot, dropbear, openssh, say
from canary_tui.diagnosis.stages import Cause, Stage

REACHED_FROM = "`nc -vz {db_host!sh} {db_port!sh}` on {origin} tells whether it is reached from there."
OPEN_FIREWALL = (
    "Let {origin} in at the firewall of {db_host} or the cloud's security group: inbound TCP {db_port}; "
    "on the host itself `sudo ufw allow {db_port!code}/tcp`."
)

ROWS = (
    Row(
        cause=Cause.FORWARDING_NOT_PERMITTED,
        stage=Stage.FORWARD,
        retry=retries.NETWORK,
        title="forwarding not permitted",
        summary=say("The SSH server {ssh_at} let {ssh_user} in but does not permit a connection to {db_at}."),
        remedies=say(
            openssh(
                "Install the line that `canary key {server!sh}` prints instead of the old one on "
                "{ssh_host}: `permitopen=` must spell `database.host` letter by letter (`localhost` is not "
                "`127.0.0.1`), and `restrict` needs `port-forwarding` after it."
            ),
            dropbear(
                "Install the line that `canary key {server!sh}` prints instead of the old one on "
                "{ssh_host}: `permitopen=` must spell `database.host` letter by letter (`localhost` is not "
                "`127.0.0.1`), and `no-port-forwarding` permits nothing."
            ),
            openssh(
                "Set `AllowTcpForwarding yes` and no `DisableForwarding yes` in `/etc/ssh/sshd_config` "
                "there, then " + RELOAD + "."
            ),
            openssh(
                "If it has a `PermitOpen` line, add the database to it, spelled the same way: `PermitOpen "
                "{db_at!code}`."
            ),
            openssh(
                "See what holds for this user, `Match` blocks included: `sudo sshd -T -C "
                "user={ssh_user!sh},host=localhost,addr=127.0.0.1 | grep -E '(forwarding|permitopen) '`."
            ),
            dropbear(
                "Start dropbear there without the option `-j`, which switches forwarding off for everybody "
                + OPTIONS_DROPBEAR
                + "."
            ),
            dropbear(
                "If neither forbids it, this dropbear was built without forwarding "
                "(`DROPBEAR_SVR_LOCALTCPFWD 0`): install one that has it, or OpenSSH."
            ),
        ),
        look_at=say(
            openssh(
                "AllowTcpForwarding, DisableForwarding and PermitOpen in sshd_config; permitopen= of this "
                "key in authorized_keys, which is compared letter by letter with {db_host}:{db_port}"
            ),
            dropbear(
                "the option -j of dropbear; no-port-forwarding and permitopen= of this key in "
                "authorized_keys, which is compared letter by letter with {db_host}:{db_port}"
            ),
        ),
    ),
    Row(
        cause=Cause.DATABASE_REFUSED,
        stage=Stage.FORWARD,
        retry=retries.NETWORK,
        title="database refused",
        summary=say(
            "The connection from {origin} to the database {db_at} is refused: the host is there, the port is "
            "closed."
        ),
        remedies=say(
            "Check `database.host` and `database.port`, as {origin} sees them: {db_host} may be `127.0.0.1` "
            "there, or have another name. " + REACHED_FROM,
            Slot.OWN,
            OPEN_FIREWALL,
        ),
    ),
    Row(
        cause=Cause.DATABASE_NAME_NOT_FOUND,
        stage=Stage.FORWARD,
        retry=retries.NETWORK,
        title="database name unknown",
        summary=say("The name of the database's host, {db_host}, is not known on {origin}."),
        remedies=say(
            "Check the spelling of `database.host`: the name is looked up on {origin}, not here. There, "
            "`getent hosts {db_host!sh}` must print an address.",
            "Set `database.host` to the IP address, and install the line that `canary key {server!sh}` then "
            "prints: the key's `permitopen=` has to match.",
            "Or make the name known there: a line `ADDRESS {db_host!code}` in `/etc/hosts` on {origin}.",
        ),
        look_at=say("names on the SSH server: getent hosts {db_host!sh}"),
    ),
    Row(
        cause=Cause.DATABASE_TIMED_OUT,
        stage=Stage.FORWARD,
        retry=retries.NETWORK,
        silence=(Stage.FORWARD,),
        doubts_tunnel=True,
        title="database timed out",
        summary=say("The database {db_at} did not answer {origin} within the time limit."),
        remedies=say(
            "Check `database.host` and `database.port`, and that {db_host} is running. " + REACHED_FROM,
            OPEN_FIREWALL,
            "If the way from {origin} is slow, allow more time: `probe.timeout` in servers.yaml ({timeout} "
            "now).",
        ),
        look_at=say("the firewall on the way; from the SSH server: nc -vz {db_host!sh} {db_port!sh}"),
    ),
    Row(
        cause=Cause.DATABASE_UNREACHABLE,
        stage=Stage.FORWARD,
        retry=retries.NETWORK,
        title="database unreachable",
        summary=say("There is no way from {origin} to the database {db_at}."),
        remedies=say(
            "Check `database.host`: the address must be one that {origin} can reach. " + REACHED_FROM,
            "Look for the route there: `ip route get ADDRESS`, with an address that `getent ahosts "
            "{db_host!sh}` prints.",
            "If {origin} reaches that network over a VPN or a peering, bring it up.",
        ),
    ),
    Row(
        cause=Cause.FORWARD_REFUSED,
        stage=Stage.FORWARD,
        retry=retries.DATABASE_REFUSED,
        title="forward refused",
        summary=say(
            "The SSH server {ssh_at} did not open the connection to the database {db_at}; its own words say "
            "why."
        ),
        remedies=say(
            "Try the way that it was to go: " + REACHED_FROM,
            openssh("See the reason in the SSH server's log: " + LOG + " on {ssh_host}."),
            dropbear("See the reason in dropbear's log: " + LOG_DROPBEAR + " on {ssh_host}."),
            "If that server has no connections or memory left, close sessions that are not needed there; "
            "`canary probe {server!sh}` tries again.",
        ),
    ),
)

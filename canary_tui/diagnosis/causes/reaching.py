"""What can go wrong between this machine and the first host: name look-up and TCP connection."""

from __future__ import annotations

from canary_tui.diagnosis.causes import retries
from canary_tui.diagnosis.causes.row import Row
from canary_tui.diagnosis.lines import Slot, direct, say, tunnel
from canary_tui.diagnosis.stages import Cause, Stage

ROWS = (
    Row(
        cause=Cause.NAME_NOT_FOUND,
        stage=Stage.RESOLVE,
        retry=retries.NETWORK,
        title="name not found",
        summary=say("The name {target} is not known to this machine."),
        remedies=say(
            "Check the spelling of `{target_setting!code}`; `getent hosts {target!sh}` must print an "
            "address.",
            "If the name is known only inside a private network, connect the VPN first.",
            direct("If only a jumpbox knows the name, switch on the SSH tunnel: `e` in the server list."),
            "Or set `{target_setting!code}` to the IP address.",
        ),
    ),
    Row(
        cause=Cause.RESOLVER_FAILED,
        stage=Stage.RESOLVE,
        retry=retries.NETWORK,
        title="name look-up failed",
        summary=say(
            "This machine could not look up {target}: its name server is not reached or has a fault."
        ),
        remedies=say(
            "Check that the network or the VPN is up; `getent hosts {target!sh}` must print an address.",
            "Check the `nameserver` lines in `/etc/resolv.conf`, or `resolvectl status`.",
            "Or set `{target_setting!code}` to the IP address.",
        ),
    ),
    Row(
        cause=Cause.RESOLVE_TIMED_OUT,
        stage=Stage.RESOLVE,
        retry=retries.NETWORK,
        silence=(Stage.RESOLVE,),
        title="name look-up timed out",
        summary=say("The look-up of {target} did not end within the time limit."),
        remedies=say(
            "Check that the network or the VPN is up; `time getent hosts {target!sh}` shows how long a "
            "look-up takes.",
            "Take name servers that do not answer out of `/etc/resolv.conf`.",
            "Or set `{target_setting!code}` to the IP address.",
        ),
    ),
    Row(
        cause=Cause.CONNECTION_REFUSED,
        stage=Stage.CONNECT,
        retry=retries.NETWORK,
        title="connection refused",
        summary=say(
            tunnel(
                "The SSH server {ssh_at} refuses the connection: the machine is there, the port is closed."
            ),
            "The database {db_at} refuses the connection: the machine is there, the port is closed.",
        ),
        remedies=say(
            tunnel(
                "Check `ssh.host` and `ssh.port`; on {ssh_host}, `sudo sshd -T | grep '^port '` prints the "
                "port that sshd uses.",
            ),
            tunnel(
                "Start the SSH server on {ssh_host}: `sudo systemctl start ssh` (on some systems `sshd`)."
            ),
            tunnel("Open the port in its firewall: `sudo ufw allow {ssh_port!code}/tcp`."),
            tunnel(
                "If it worked before, this address may be banned; there: `sudo fail2ban-client set sshd "
                "unbanip ADDRESS`.",
            ),
            direct("Check `database.host` and `database.port`; behind a jumpbox, switch the SSH tunnel on."),
            Slot.OWN,
            direct("Open the port in its firewall: `sudo ufw allow {db_port!code}/tcp`."),
        ),
    ),
    Row(
        cause=Cause.CONNECT_TIMED_OUT,
        stage=Stage.CONNECT,
        retry=retries.NETWORK,
        silence=(Stage.CONNECT,),
        title="connection timed out",
        summary=say(
            tunnel("The SSH server {ssh_at} does not answer: nothing came back within the time limit."),
            "The database {db_at} does not answer: nothing came back within the time limit.",
        ),
        remedies=say(
            tunnel("Check `ssh.host` and `ssh.port`, and that {ssh_host} is running."),
            direct("Check `database.host` and `database.port`; behind a jumpbox, switch the SSH tunnel on."),
            "If it is reached only from a private network, connect the VPN.",
            "Let this machine in at the firewall or the cloud's security group: inbound TCP {target_port} "
            "from your address; on the host itself `sudo ufw allow {target_port!code}/tcp`.",
            "If the line is slow, allow a probe more time: `probe.timeout` in servers.yaml ({timeout} now); "
            "a tunnel always has 15 s to open.",
        ),
    ),
    Row(
        cause=Cause.NETWORK_UNREACHABLE,
        stage=Stage.CONNECT,
        retry=retries.NETWORK,
        title="network unreachable",
        summary=say(
            tunnel("There is no way from this machine to the SSH server {ssh_at}."),
            "There is no way from this machine to the database {db_at}.",
        ),
        remedies=say(
            "Check that this machine is online and, where one is needed, that the VPN is up.",
            "Look for the route: `ip route get ADDRESS`, with an address that `getent ahosts {target!sh}` "
            "prints.",
            "If only its IPv6 address is out of reach, set `{target_setting!code}` to its IPv4 address.",
        ),
    ),
)

"""What is said when this machine is to blame, or the first step away from it: settings, resolve, connect."""

from __future__ import annotations

from canary_tui.diagnosis.sentences.entry import Entry, direct, entry, mysql, postgresql, tunnel, when
from canary_tui.diagnosis.stages import Cause

CLOSE_IT = "Close it to others ({exposed}), after a look at whether somebody has changed it already."

SETTINGS: dict[Cause, Entry] = {
    Cause.SETTINGS_INVALID: entry(
        "settings wrong",
        (
            when(
                "has:known_hosts_line",
                "Line {known_hosts_line} of the file of trusted host keys, {known_hosts_path}, is about "
                "{ssh_at} and is not understood.",
            ),
            when(
                "has:known_hosts_path", "The file of trusted host keys, {known_hosts_path}, cannot be used."
            ),
            "The settings of {server} in servers.yaml cannot be used.",
        ),
        when("has:exposed", CLOSE_IT),
        when(
            "has:known_hosts_path",
            "Mend or remove the line that is wrong; what is left of {known_hosts_path} must be readable "
            "by you: `ls -l {known_hosts_path!sh}`.",
        ),
        when(
            "has:known_hosts_path",
            "Or move the file aside, `mv {known_hosts_path!sh} {known_hosts_path!sh}.old`, and trust each "
            "SSH server anew after comparing its fingerprint: `canary trust {server!sh}`.",
        ),
        when(
            "lacks:known_hosts_path",
            "Correct the field that is named here: `canary list` reports every mistake with file, line and "
            "field.",
        ),
        when(
            "lacks:known_hosts_path",
            "The file is read again as soon as it is saved; nothing has to be started anew.",
        ),
    ),
    Cause.KEY_MISSING: entry(
        "key file missing",
        "The private key of {server} is not where it should be: {key_path}.",
        "If the key was moved, put it back, or set `ssh.key` of {server} in servers.yaml to its path.",
        "If it is gone, take the `key:` entry of {server} out of servers.yaml; `canary key {server!sh}` "
        "then makes a new key and prints the line to install on {ssh_host}.",
    ),
    Cause.KEY_UNREADABLE: entry(
        "key file unreadable",
        "The file {key_path} cannot be read as a private key.",
        "See what the file is: `ssh-keygen -y -P '' -f {key_path!sh}` prints the public key of a usable one.",
        'If the file belongs to another user, make it yours: `sudo chown "$(id -un)" {key_path!sh}`.',
        "If it is encrypted, take its passphrase off with `ssh-keygen -p -f {key_path!sh}`: a tunnel "
        "opens without anybody there to type it.",
        "If it is a public key or no key, set `ssh.key` in servers.yaml to the private file, or take the "
        "entry out and run `canary key {server!sh}`, which prints the line to install.",
    ),
    Cause.KEY_PERMISSIONS: entry(
        "key file not private",
        "The private key {key_path} may be read or changed by other users of this machine.",
        when("has:exposed", CLOSE_IT),
        when("lacks:exposed", "Make it private: `chmod 600 {key_path!sh}`."),
        "If others use this machine, they may have read it: move it and its `.pub` file aside, take the "
        "`key:` entry of {server} out of servers.yaml, install what `canary key {server!sh}` prints on "
        "{ssh_host} and remove the old line there.",
    ),
    Cause.PASSWORD_MISSING: entry(
        "password missing",
        (
            when(
                "has:variable",
                "The environment variable {variable} is not set: it should hold the password of {db_user}.",
            ),
            when("login", "The database {db_at} asks for a password for {db_user}, and there is none."),
            "No password for {db_user} on {db_at} was found, and nobody can be asked here.",
        ),
        when(
            "has:variable",
            "Set it where canary is started; in bash and zsh without echo: `read -rs {variable!code} && "
            "export {variable!code}`.",
        ),
        "Keep it in the system's keyring: `canary password {server!sh}`, and `password: {keyring: true}` "
        "under `database` in servers.yaml.",
        postgresql(
            "Or add it to `~/.pgpass` (mode 0600): "
            "`{db_host!pgpass}:{db_port!pgpass}:{db_name!pgpass}:{db_user!pgpass}:PASSWORD`.",
        ),
        mysql(
            "Or add it to `~/.my.cnf` (mode 0600), section `[client]`: `host={db_host!code}`, "
            "`user={db_user!code}`, `password=PASSWORD`.",
        ),
        "Or name a source in servers.yaml: `password: {env: NAME}` or `password: {command: [PROGRAM, "
        "ARGUMENT]}`.",
    ),
    Cause.PASSWORD_COMMAND_FAILED: entry(
        "password command failed",
        (
            when(
                "has:foreign_file",
                "The command that gives the password of {server} was not run: nobody has allowed what "
                "{foreign_file} would run.",
            ),
            "The command that gives the password of {server} failed, took longer than its limit, or printed "
            "nothing.",
        ),
        when(
            "has:foreign_file",
            "Look at what it runs and where the password goes, then allow exactly that: `canary allow "
            "{foreign_file!sh}`.",
        ),
        when(
            "has:foreign_file",
            "Or move the file into canary-tui's own configuration folder, where it counts as your own word.",
        ),
        when(
            "lacks:foreign_file",
            "Run the command of `password:` in servers.yaml by hand, from where canary is started: it must "
            "print the password as its first line, ask nothing and end with status 0 within 30 s.",
        ),
        when("lacks:foreign_file", "If it belongs to a password manager, unlock that first."),
        when(
            "lacks:foreign_file",
            "It runs without a shell: give the program's full path; for pipes, variables or `~` write "
            "`command: [sh, -c, 'LINE']`.",
        ),
    ),
    Cause.CA_FILE_UNREADABLE: entry(
        "CA file unreadable",
        (
            when(
                "has:exposed",
                "The file of certificate authorities of {server}, {ca_file}, is not used: others may change "
                "it.",
            ),
            "The file of certificate authorities of {server}, {ca_file}, cannot be read or holds no "
            "certificate.",
        ),
        when("has:exposed", CLOSE_IT),
        "Set `database.ca_file` in servers.yaml to a PEM file; `openssl x509 -in {ca_file!sh} -noout "
        "-subject -enddate` shows what a good one holds.",
        "If only its permissions are wrong: `sudo chmod a+r {ca_file!sh}`; certificates of authorities "
        "are public.",
        "If the certificate comes from a public authority, take `ca_file` out: the system's store is "
        "used then.",
    ),
    Cause.LOCAL_PORT_TAKEN: entry(
        "local port taken",
        (
            when(
                "has:program has:pid",
                "Local port {local_port} of {server} is in use by {program}, process {pid}.",
            ),
            when("has:program", "Local port {local_port} of {server} is in use by {program}."),
            "Local port {local_port} of {server} is in use by another program.",
        ),
        when("has:pid", "See what it does: `ps -fp {pid!code}`; end it if it is not needed."),
        when(
            "lacks:pid",
            "See who holds it: `sudo ss -ltnp 'sport = :{local_port!code}'`; end that program if it is not "
            "needed.",
        ),
        when(
            "has:free_port",
            "Or give {server} another port, `e` in the server list: {free_port} is free. In servers.yaml: "
            "`local_port: {free_port!code}`.",
        ),
        when(
            "lacks:free_port",
            "Or give {server} another port: `ssh.local_port` in servers.yaml, or `e` in the server list.",
        ),
    ),
}

RESOLVE: dict[Cause, Entry] = {
    Cause.NAME_NOT_FOUND: entry(
        "name not found",
        "The name {target} is not known to this machine.",
        "Check the spelling of `{target_setting!code}`; `getent hosts {target!sh}` must print an address.",
        "If the name is known only inside a private network, connect the VPN first.",
        direct("If only a jumpbox knows the name, switch on the SSH tunnel: `e` in the server list."),
        "Or set `{target_setting!code}` to the IP address.",
    ),
    Cause.RESOLVER_FAILED: entry(
        "name look-up failed",
        "This machine could not look up {target}: its name server is not reached or has a fault.",
        "Check that the network or the VPN is up; `getent hosts {target!sh}` must print an address.",
        "Check the `nameserver` lines in `/etc/resolv.conf`, or `resolvectl status`.",
        "Or set `{target_setting!code}` to the IP address.",
    ),
    Cause.RESOLVE_TIMED_OUT: entry(
        "name look-up timed out",
        "The look-up of {target} did not end within the time limit.",
        "Check that the network or the VPN is up; `time getent hosts {target!sh}` shows how long a "
        "look-up takes.",
        "Take name servers that do not answer out of `/etc/resolv.conf`.",
        "Or set `{target_setting!code}` to the IP address.",
    ),
}

CONNECT: dict[Cause, Entry] = {
    Cause.CONNECTION_REFUSED: entry(
        "connection refused",
        (
            tunnel(
                "The SSH server {ssh_at} refuses the connection: the machine is there, the port is closed."
            ),
            "The database {db_at} refuses the connection: the machine is there, the port is closed.",
        ),
        tunnel(
            "Check `ssh.host` and `ssh.port`; on {ssh_host}, `sudo sshd -T | grep '^port '` prints the "
            "port that sshd uses.",
        ),
        tunnel("Start the SSH server on {ssh_host}: `sudo systemctl start ssh` (on some systems `sshd`)."),
        tunnel("Open the port in its firewall: `sudo ufw allow {ssh_port!code}/tcp`."),
        tunnel(
            "If it worked before, this address may be banned; there: `sudo fail2ban-client set sshd "
            "unbanip ADDRESS`.",
        ),
        direct("Check `database.host` and `database.port`; behind a jumpbox, switch the SSH tunnel on."),
        when("direct postgresql", "Start the database on {db_host}: `sudo systemctl start postgresql`."),
        when("direct mysql", "Start the database on {db_host}: `sudo systemctl start mysql` (or `mariadb`)."),
        when(
            "direct postgresql",
            "Let it listen to other machines: `listen_addresses = '*'` in postgresql.conf, then `sudo "
            "systemctl restart postgresql`.",
        ),
        when(
            "direct mysql",
            "Let it listen to other machines: `bind-address = 0.0.0.0` and no `skip-networking` under "
            "`[mysqld]` in my.cnf, then `sudo systemctl restart mysql` (or `mariadb`).",
        ),
        direct("Open the port in its firewall: `sudo ufw allow {db_port!code}/tcp`."),
    ),
    Cause.CONNECT_TIMED_OUT: entry(
        "connection timed out",
        (
            tunnel("The SSH server {ssh_at} does not answer: nothing came back within the time limit."),
            "The database {db_at} does not answer: nothing came back within the time limit.",
        ),
        tunnel("Check `ssh.host` and `ssh.port`, and that {ssh_host} is running."),
        direct("Check `database.host` and `database.port`; behind a jumpbox, switch the SSH tunnel on."),
        "If it is reached only from a private network, connect the VPN.",
        "Let this machine in at the firewall or the cloud's security group: inbound TCP {target_port} "
        "from your address; on the host itself `sudo ufw allow {target_port!code}/tcp`.",
        "If the line is slow, allow a probe more time: `probe.timeout` in servers.yaml ({timeout} now); "
        "a tunnel always has 15 s to open.",
    ),
    Cause.NETWORK_UNREACHABLE: entry(
        "network unreachable",
        (
            tunnel("There is no way from this machine to the SSH server {ssh_at}."),
            "There is no way from this machine to the database {db_at}.",
        ),
        "Check that this machine is online and, where one is needed, that the VPN is up.",
        "Look for the route: `ip route get ADDRESS`, with an address that `getent ahosts {target!sh}` "
        "prints.",
        "If only its IPv6 address is out of reach, set `{target_setting!code}` to its IPv4 address.",
    ),
}

"""What can go wrong on this machine before anything is dialled."""

from __future__ import annotations

from canary_tui.diagnosis.causes import retries
from canary_tui.diagnosis.causes.row import Row
from canary_tui.diagnosis.lines import Slot, say, when
from canary_tui.diagnosis.stages import Cause, Stage

CLOSE_IT = "Close it to others ({exposed}), after a look at whether somebody has changed it already."

ROWS = (
    Row(
        cause=Cause.SETTINGS_INVALID,
        stage=Stage.SETTINGS,
        retry=retries.SSH_FOR_PERSON,
        title="settings wrong",
        summary=say(
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
        remedies=say(
            when("has:exposed", CLOSE_IT),
            when(
                "has:known_hosts_path",
                "Mend or remove the line that is wrong; what is left of {known_hosts_path} must be readable "
                "by you: `ls -l {known_hosts_path!sh}`.",
            ),
            when(
                "has:known_hosts_path",
                "Or move the file aside, `mv {known_hosts_path!sh} {known_hosts_path!sh}.old`, and trust "
                "each SSH server anew after comparing its fingerprint: `canary trust {server!sh}`.",
            ),
            when(
                "lacks:known_hosts_path",
                "Correct the field that is named here: `canary list` reports every mistake with file, line "
                "and field.",
            ),
            when(
                "lacks:known_hosts_path",
                "The file is read again as soon as it is saved; nothing has to be started anew.",
            ),
        ),
    ),
    Row(
        cause=Cause.KEY_MISSING,
        stage=Stage.SETTINGS,
        retry=retries.SSH_FOR_PERSON,
        title="key file missing",
        summary=say("The private key of {server} is not where it should be: {key_path}."),
        remedies=say(
            "If the key was moved, put it back, or set `ssh.key` of {server} in servers.yaml to its path.",
            "If it is gone, take the `key:` entry of {server} out of servers.yaml; `canary key {server!sh}` "
            "then makes a new key and prints the line to install on {ssh_host}.",
        ),
    ),
    Row(
        cause=Cause.KEY_UNREADABLE,
        stage=Stage.SETTINGS,
        retry=retries.SSH_FOR_PERSON,
        title="key file unreadable",
        summary=say("The file {key_path} cannot be read as a private key."),
        remedies=say(
            "See what the file is: `ssh-keygen -y -P '' -f {key_path!sh}` prints the public key of a usable "
            "one.",
            'If the file belongs to another user, make it yours: `sudo chown "$(id -un)" {key_path!sh}`.',
            "If it is encrypted, take its passphrase off with `ssh-keygen -p -f {key_path!sh}`: a tunnel "
            "opens without anybody there to type it.",
            "If it is a public key or no key, set `ssh.key` in servers.yaml to the private file, or take the "
            "entry out and run `canary key {server!sh}`, which prints the line to install.",
        ),
    ),
    Row(
        cause=Cause.KEY_PERMISSIONS,
        stage=Stage.SETTINGS,
        retry=retries.SSH_FOR_PERSON,
        title="key file not private",
        summary=say("The private key {key_path} may be read or changed by other users of this machine."),
        remedies=say(
            when("has:exposed", CLOSE_IT),
            when("lacks:exposed", "Make it private: `chmod 600 {key_path!sh}`."),
            "If others use this machine, they may have read it: move it and its `.pub` file aside, take the "
            "`key:` entry of {server} out of servers.yaml, install what `canary key {server!sh}` prints on "
            "{ssh_host} and remove the old line there.",
        ),
    ),
    Row(
        cause=Cause.PASSWORD_MISSING,
        stage=Stage.SETTINGS,
        retry=retries.DATABASE_FOR_PERSON,
        password_helps=True,
        title="password missing",
        summary=say(
            when(
                "has:variable",
                "The environment variable {variable} is not set: it should hold the password of {db_user}.",
            ),
            when("login", "The database {db_at} asks for a password for {db_user}, and there is none."),
            "No password for {db_user} on {db_at} was found, and nobody can be asked here.",
        ),
        remedies=say(
            when(
                "has:variable",
                "Set it where canary is started; in bash and zsh without echo: `read -rs {variable!code} && "
                "export {variable!code}`.",
            ),
            "Keep it in the system's keyring: `canary password {server!sh}`, and `password: {keyring: true}` "
            "under `database` in servers.yaml.",
            Slot.OWN,
            "Or name a source in servers.yaml: `password: {env: NAME}` or `password: {command: [PROGRAM, "
            "ARGUMENT]}`.",
        ),
    ),
    Row(
        cause=Cause.PASSWORD_COMMAND_FAILED,
        stage=Stage.SETTINGS,
        retry=retries.DATABASE_REFUSED,
        silence=(Stage.SETTINGS,),
        title="password command failed",
        summary=say(
            when(
                "has:foreign_file",
                "The command that gives the password of {server} was not run: nobody has allowed what "
                "{foreign_file} would run.",
            ),
            "The command that gives the password of {server} failed, took longer than its limit, or printed "
            "nothing.",
        ),
        remedies=say(
            when(
                "has:foreign_file",
                "Look at what it runs and where the password goes, then allow exactly that: `canary allow "
                "{foreign_file!sh}`.",
            ),
            when(
                "has:foreign_file",
                "Or move the file into canary-tui's own configuration folder, where it counts as your own "
                "word.",
            ),
            when(
                "lacks:foreign_file",
                "Run the command of `password:` in servers.yaml by hand, from where canary is started: it "
                "must print the password as its first line, ask nothing and end with status 0 within 30 s.",
            ),
            when("lacks:foreign_file", "If it belongs to a password manager, unlock that first."),
            when(
                "lacks:foreign_file",
                "It runs without a shell: give the program's full path; for pipes, variables or `~` write "
                "`command: [sh, -c, 'LINE']`.",
            ),
        ),
    ),
    Row(
        cause=Cause.CA_FILE_UNREADABLE,
        stage=Stage.SETTINGS,
        retry=retries.DATABASE_FOR_PERSON,
        title="CA file unreadable",
        summary=say(
            when(
                "has:exposed",
                "The file of certificate authorities of {server}, {ca_file}, is not used: others may change "
                "it.",
            ),
            "The file of certificate authorities of {server}, {ca_file}, cannot be read or holds no "
            "certificate.",
        ),
        remedies=say(
            when("has:exposed", CLOSE_IT),
            "Set `database.ca_file` in servers.yaml to a PEM file; `openssl x509 -in {ca_file!sh} -noout "
            "-subject -enddate` shows what a good one holds.",
            "If only its permissions are wrong: `sudo chmod a+r {ca_file!sh}`; certificates of authorities "
            "are public.",
            "If the certificate comes from a public authority, take `ca_file` out: the system's store is "
            "used then.",
        ),
    ),
    Row(
        cause=Cause.LOCAL_PORT_TAKEN,
        stage=Stage.SETTINGS,
        retry=retries.NETWORK,
        title="local port taken",
        summary=say(
            when(
                "has:program has:pid",
                "Local port {local_port} of {server} is in use by {program}, process {pid}.",
            ),
            when("has:program", "Local port {local_port} of {server} is in use by {program}."),
            "Local port {local_port} of {server} is in use by another program.",
        ),
        remedies=say(
            when("has:pid", "See what it does: `ps -fp {pid!code}`; end it if it is not needed."),
            when(
                "lacks:pid",
                "See who holds it: `sudo ss -ltnp 'sport = :{local_port!code}'`; end that program if it is "
                "not needed.",
            ),
            when(
                "has:free_port",
                "Or give {server} another port, `e` in the server list: {free_port} is free. In "
                "servers.yaml: `local_port: {free_port!code}`.",
            ),
            when(
                "lacks:free_port",
                "Or give {server} another port: `ssh.local_port` in servers.yaml, or `e` in the server list.",
            ),
        ),
    ),
)

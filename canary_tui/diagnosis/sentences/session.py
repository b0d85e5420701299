"""What is said when the database is reached but no query comes back: TLS, login, query, and what ends "
"anywhere."""

from __future__ import annotations

from canary_tui.diagnosis.sentences.database import LOG_MYSQL, LOG_POSTGRESQL
from canary_tui.diagnosis.sentences.entry import Entry, direct, entry, mysql, postgresql, tunnel, when
from canary_tui.diagnosis.stages import Cause

CERTIFICATE_POSTGRESQL = postgresql(
    "See the certificate, on {origin}: `openssl s_client -starttls postgres -connect {db_at!sh} "
    "</dev/null | openssl x509 -noout -subject -issuer -enddate -ext subjectAltName`."
)
CERTIFICATE_MYSQL = mysql(
    "See the certificate, on {origin}: `openssl s_client -starttls mysql -connect {db_at!sh} </dev/null "
    "| openssl x509 -noout -subject -issuer -enddate -ext subjectAltName`."
)
ACCOUNTS = "(ADDRESS: as `SELECT user, host FROM mysql.user;` shows it)"

TLS: dict[Cause, Entry] = {
    Cause.TLS_NOT_OFFERED: entry(
        "TLS not offered",
        "The database {db_at} offers no TLS, which `database.tls: {tls!code}` asks for. No password was "
        "sent.",
        postgresql(
            "Switch it on: `ssl = on`, `ssl_cert_file` and `ssl_key_file` in postgresql.conf on "
            "{db_host}, then `SELECT pg_reload_conf();`."
        ),
        mysql(
            "Switch it on: `ssl_cert` and `ssl_key` under `[mysqld]` in my.cnf on {db_host}, then `sudo "
            "systemctl restart mysql` (or `mariadb`)."
        ),
        tunnel(
            "If the way from {ssh_host} to {db_host} is trusted, set `database.tls: prefer`: from here "
            "to {ssh_host} SSH encrypts anyway."
        ),
        direct(
            "If the network to {db_host} is trusted, set `database.tls: prefer`: nothing is encrypted then."
        ),
    ),
    Cause.TLS_DOWNGRADED: entry(
        "TLS no longer offered",
        "The database {db_at} had TLS before and offers none now. No user name and no password was sent.",
        "Ask its administrator whether TLS was switched off. If it was not, somebody between {origin} and "
        "{db_host} takes it out, to read what passes: look into that first.",
        postgresql(
            "Switch it on again: `ssl = on`, `ssl_cert_file` and `ssl_key_file` in postgresql.conf on "
            "{db_host}, then `SELECT pg_reload_conf();`."
        ),
        mysql(
            "Switch it on again: `ssl_cert` and `ssl_key` under `[mysqld]` in my.cnf on {db_host}, then "
            "`sudo systemctl restart mysql` (or `mariadb`)."
        ),
        "If it is to be without TLS from now on, say so: `canary trust {server!sh} --no-tls`.",
    ),
    Cause.TLS_REQUIRED: entry(
        "TLS required",
        "The database {db_at} lets {db_user} in only over TLS.",
        "Set `database.tls: require` in servers.yaml, or `verify-full` to check the certificate as well.",
        postgresql(
            "Or let this user in without: `host {db_name!hba} {db_user!hba} ADDRESS/32 scram-sha-256` in "
            "pg_hba.conf in place of `hostssl` (ADDRESS: {client}), then `SELECT pg_reload_conf();`."
        ),
        mysql(
            "Or let this user in without: `ALTER USER {db_user!text}@'ADDRESS' REQUIRE NONE;` "
            + ACCOUNTS
            + "; with `require_secure_transport = ON` the server wants it of everybody."
        ),
    ),
    Cause.CERTIFICATE_UNTRUSTED: entry(
        "certificate not trusted",
        "The certificate of {db_at} comes from an authority that is not trusted here. No password was sent.",
        "Get the certificate of the authority that signed it from the administrator or the cloud "
        "provider, and set `database.ca_file` in servers.yaml to that PEM file.",
        CERTIFICATE_POSTGRESQL,
        CERTIFICATE_MYSQL,
        "If it is self-signed, the certificate itself can be the `ca_file`.",
        "Or do without the check: `database.tls: require` encrypts but takes any certificate.",
    ),
    Cause.CERTIFICATE_NAME_MISMATCH: entry(
        "certificate name mismatch",
        "The certificate of {db_at} is not made out for the name {db_host}. No password was sent.",
        "Set `database.host` to a name that the certificate carries.",
        CERTIFICATE_POSTGRESQL,
        CERTIFICATE_MYSQL,
        "Have a certificate made with `subjectAltName` for {db_host} (for an address: `IP:{db_host!code}`).",
        "Or set `database.tls: verify-ca`: the authority is checked, the name is not.",
    ),
    Cause.CERTIFICATE_EXPIRED: entry(
        "certificate expired",
        "The certificate of {db_at} is no longer valid, or not yet. No password was sent.",
        postgresql(
            "Renew it on {db_host}, in the file that `SHOW ssl_cert_file;` names, then `SELECT "
            "pg_reload_conf();`."
        ),
        mysql(
            "Renew it on {db_host}, in the file that `SHOW VARIABLES LIKE 'ssl_cert';` names, then "
            "`ALTER INSTANCE RELOAD TLS;` (MariaDB: `FLUSH SSL;`)."
        ),
        CERTIFICATE_POSTGRESQL,
        CERTIFICATE_MYSQL,
        "Check this machine's clock: `date -u`.",
    ),
    Cause.CLIENT_CERTIFICATE_REQUIRED: entry(
        "client certificate required",
        "The database {db_at} asks {db_user} for a client certificate, which canary-tui does not have.",
        postgresql(
            "Let this user in with a password: in pg_hba.conf on {db_host}, above the line with `cert` "
            "or `clientcert=`, `hostssl {db_name!hba} {db_user!hba} ADDRESS/32 scram-sha-256` (ADDRESS: "
            "{client}), then `SELECT pg_reload_conf();`."
        ),
        mysql(
            "Let this user in with TLS alone: `ALTER USER {db_user!text}@'ADDRESS' REQUIRE SSL;` "
            + ACCOUNTS
            + "."
        ),
        "Or make a user for canary-tui that needs none, and set `database.user` to it.",
    ),
    Cause.CERTIFICATE_TOO_WEAK: entry(
        "certificate too weak",
        "The certificate of {db_at}, or of an authority that signed it, is made with a key or a hash that "
        "counts as broken. No password was sent.",
        "Have it made anew with SHA-256 and an RSA key of 2048 bits or more (or ECDSA P-256), by the same "
        "authority if that is not too weak itself: `openssl x509 -in FILE -noout -text | grep -E "
        "'Signature Algorithm|Public-Key'` shows both.",
        CERTIFICATE_POSTGRESQL,
        CERTIFICATE_MYSQL,
        "If the network to {db_host} is trusted meanwhile, `database.tls: require` encrypts without checking "
        "it.",
    ),
    Cause.TLS_TIMED_OUT: entry(
        "TLS timed out",
        "The database {db_at} began the TLS handshake and did not finish it within the time limit.",
        "Check the load of {db_host}: `uptime`, `free -m`.",
        "If something between {origin} and {db_host} inspects or shapes traffic, let port {db_port} "
        "pass: large packets that vanish look like this; `ping -M do -s 1472 {db_host!sh}` on {origin} "
        "shows it.",
        "If the way is slow, allow more time: `probe.timeout` in servers.yaml ({timeout} now).",
    ),
    Cause.TLS_FAILED: entry(
        "TLS failed",
        "The TLS handshake with {db_at} failed. No password was sent.",
        postgresql(
            "Allow TLS 1.2 or newer: `ssl_min_protocol_version = 'TLSv1.2'` in postgresql.conf, with no "
            "`ssl_max_protocol_version` below it, then `SELECT pg_reload_conf();`."
        ),
        mysql(
            "Allow TLS 1.2 or newer: `tls_version = TLSv1.2,TLSv1.3` under `[mysqld]` in my.cnf, then "
            "restart it."
        ),
        LOG_POSTGRESQL,
        LOG_MYSQL,
        "If the network to {db_host} is trusted, `database.tls: disable` does without TLS.",
    ),
}

LOGIN: dict[Cause, Entry] = {
    Cause.PASSWORD_NOT_SENT: entry(
        "password not sent",
        "The database {db_at} asked for the password of {db_user} in a form that it can read. It was not "
        "sent, because TLS has not verified who asks.",
        "Set `database.tls: verify-full`, and `database.ca_file` to the PEM file of the authority that "
        "signed the server's certificate: then only the real server reads the password.",
        mysql(
            "MySQL makes an authority of its own: `ca.pem` in the folder that `SELECT @@datadir;` names on "
            "{db_host}. Copy it here, and set `database.ca_file` to it and `database.tls: verify-ca` (its "
            "certificate carries no host name)."
        ),
        postgresql(
            "Or let the server ask for a proof instead: `scram-sha-256` in place of `password` (or `ldap`, "
            "`pam`, `radius`) in the line of pg_hba.conf on {db_host} that is for {db_user}, then `SELECT "
            "pg_reload_conf();`, and set the password anew: `\\password {db_user!sql}`."
        ),
        mysql(
            "Or give the user a plug-in that never asks for it: `ALTER USER {db_user!text}@'ADDRESS' "
            "IDENTIFIED WITH mysql_native_password BY 'PASSWORD';` (MariaDB: `IDENTIFIED VIA "
            "mysql_native_password USING PASSWORD('PASSWORD')`) " + ACCOUNTS + "."
        ),
        "Or, where everybody on the way to {db_host} may know the password, set "
        "`database.allow_cleartext: true`: it is sent to whoever asks.",
    ),
    Cause.PASSWORD_REJECTED: entry(
        "password rejected",
        "The database {db_at} rejects the user {db_user} with this password. A user that does not exist "
        "looks the same.",
        "Give the right password: `canary password {server!sh}`, or correct what `password:` in "
        "servers.yaml names.",
        postgresql(
            "Check `database.user`: `SELECT rolname, rolcanlogin, rolvaliduntil FROM pg_roles;` lists "
            "the users."
        ),
        postgresql("Set a new password, in psql as an administrator: `\\password {db_user!sql}`."),
        postgresql("If its time is over: `ALTER ROLE {db_user!sql} VALID UNTIL 'infinity';`."),
        mysql(
            "Check `database.user` and its host: `SELECT user, host FROM mysql.user;` must list it for "
            "{client}."
        ),
        mysql("Set a new password: `ALTER USER {db_user!text}@'ADDRESS' IDENTIFIED BY 'PASSWORD';`."),
        mysql(
            "If this user must use TLS, the answer is the same: set `database.tls: require`. If it must "
            "show a client certificate: `ALTER USER {db_user!text}@'ADDRESS' REQUIRE SSL;`."
        ),
    ),
    Cause.USER_NOT_ALLOWED: entry(
        "user not allowed",
        "The database {db_at} knows {db_user} but does not let that user log in.",
        postgresql("Allow it: `ALTER ROLE {db_user!sql} LOGIN;`."),
        mysql("Unlock it: `ALTER USER {db_user!text}@'ADDRESS' ACCOUNT UNLOCK;` " + ACCOUNTS + "."),
        mysql("Check that the user exists for {client}: `SELECT user, host FROM mysql.user;`."),
        "Or set `database.user` to a user that may log in.",
    ),
    Cause.PASSWORD_EXPIRED: entry(
        "password expired",
        "The password of {db_user} on {db_at} has expired.",
        postgresql("Extend it: `ALTER ROLE {db_user!sql} VALID UNTIL 'infinity';`."),
        mysql(
            "Set a new password: `ALTER USER {db_user!text}@'ADDRESS' IDENTIFIED BY 'PASSWORD';` "
            + ACCOUNTS
            + "."
        ),
        mysql("Keep it from expiring again: `ALTER USER {db_user!text}@'ADDRESS' PASSWORD EXPIRE NEVER;`."),
        "If the password is a new one, tell canary: `canary password {server!sh}`, or correct what "
        "`password:` names.",
    ),
    Cause.AUTH_METHOD_UNSUPPORTED: entry(
        "login method unsupported",
        "The database {db_at} wants {db_user} to log in by a method that canary-tui does not have.",
        postgresql(
            "Allow a password: in pg_hba.conf on {db_host}, above the line that matches now, `host "
            "{db_name!hba} {db_user!hba} ADDRESS/32 scram-sha-256` (ADDRESS: {client}), then `SELECT "
            "pg_reload_conf();`."
        ),
        mysql(
            "Choose one it has: `ALTER USER {db_user!text}@'ADDRESS' IDENTIFIED WITH "
            "caching_sha2_password BY 'PASSWORD';` (MariaDB: `IDENTIFIED VIA mysql_native_password USING "
            "PASSWORD('PASSWORD')`) " + ACCOUNTS + "."
        ),
        mysql("If the method needs a safe line, set `database.tls: require`."),
        "Or make a user for canary-tui with such a password, and set `database.user` to it.",
    ),
    Cause.DATABASE_NOT_FOUND: entry(
        "no such database",
        "There is no database {db_name} on {db_at}.",
        postgresql(
            "Check `database.name`: `SELECT datname FROM pg_database;` lists them. Upper case counts."
        ),
        mysql(
            "Check `database.name`: `SHOW DATABASES;` lists those that the user may see. Upper case may "
            "count."
        ),
        "If it is to be there, make it: `CREATE DATABASE {db_name!sql};`.",
        "Check `database.host` and `database.port`: {db_at} may be another server than the one that is "
        "meant.",
    ),
    Cause.DATABASE_ACCESS_DENIED: entry(
        "database access denied",
        "The user {db_user} may not use the database {db_name} on {db_at}.",
        postgresql("Allow it: `GRANT CONNECT ON DATABASE {db_name!sql} TO {db_user!sql};`."),
        postgresql(
            "If it takes no connections at all: `ALTER DATABASE {db_name!sql} ALLOW_CONNECTIONS true;`."
        ),
        mysql("Allow it: `GRANT SELECT ON {db_name!sql}.* TO {db_user!text}@'ADDRESS';` " + ACCOUNTS + "."),
        "Check the spelling of `database.name` and `database.user`.",
    ),
    Cause.LOGIN_TIMED_OUT: entry(
        "database login timed out",
        "The database {db_at} did not finish the login of {db_user} within the time limit.",
        LOG_POSTGRESQL,
        LOG_MYSQL,
        postgresql("If pg_hba.conf asks LDAP, RADIUS or PAM for this user, check that server."),
        mysql(
            "A slow name look-up there is common: `skip-name-resolve` under `[mysqld]` in my.cnf, then "
            "restart it."
        ),
        "If a login takes that long there, allow more time: `probe.timeout` in servers.yaml ({timeout} now).",
    ),
}

# Its own words say what is wrong: the remedies are where to look.
LOGIN |= {
    Cause.LOGIN_REFUSED: entry(
        "login refused",
        "The database {db_at} does not let {db_user} in; its own words say why.",
        "Check `database.user` and `database.name` with the database's administrator or provider: a hosted "
        "pooler may want the project's name in the user (`USER.PROJECT`).",
        LOG_POSTGRESQL,
        LOG_MYSQL,
        postgresql(
            "If a setting of the role or the database is wrong: `SELECT * FROM pg_db_role_setting;`, and "
            "`ALTER ROLE {db_user!sql} RESET ALL;` takes the role's back."
        ),
        mysql("If a statement of `init_connect` is wrong: `SHOW VARIABLES LIKE 'init_connect';`."),
    ),
    Cause.DATABASE_UNAVAILABLE: entry(
        "database unavailable",
        "Something answers for the database on {db_at}, but the database itself cannot be used now.",
        "If {db_at} is a pooler or a proxy, look at the database behind it: its address in the pooler's "
        "settings, whether it runs, whether it lets the pooler in.",
        postgresql(
            "PgBouncer tells: `SHOW SERVERS;` and `SHOW DATABASES;` on its `pgbouncer` database, and its log."
        ),
        mysql(
            "A cluster's node tells: `SHOW STATUS LIKE 'wsrep_ready';`; offline mode: `SET GLOBAL "
            "offline_mode = OFF;`; ProxySQL: `SELECT * FROM runtime_mysql_servers;`."
        ),
        "If its disk or memory is full, make room: `df -h`, `free -m` on {db_host}.",
    ),
}

QUERY: dict[Cause, Entry] = {
    Cause.QUERY_TIMED_OUT: entry(
        "query timed out",
        "The probe's query on {db_at} took longer than {timeout}, the limit of the whole probe.",
        "Use a query that is always fast: `probe.query: select 1`.",
        postgresql(
            "See what it waits for: `SELECT pid, state, wait_event_type, wait_event, query FROM "
            "pg_stat_activity WHERE state <> 'idle';`."
        ),
        mysql("See what it waits for: `SHOW FULL PROCESSLIST;`."),
        "If the query may take that long, allow more time: `probe.timeout` in servers.yaml.",
    ),
    Cause.QUERY_DENIED: entry(
        "query denied",
        "The user {db_user} may not run the probe's query on {db_at}.",
        "Use a query that needs no rights: `probe.query: select 1`.",
        postgresql(
            "Or grant what it reads: `GRANT USAGE ON SCHEMA public TO {db_user!sql};` and `GRANT SELECT "
            "ON TABLE_NAME TO {db_user!sql};`."
        ),
        mysql(
            "Or grant what it reads: `GRANT SELECT ON {db_name!sql}.* TO {db_user!text}@'ADDRESS';` "
            + ACCOUNTS
            + "."
        ),
        "If the query writes: a probe's session is read-only, so that it cannot.",
    ),
    Cause.QUERY_FAILED: entry(
        "query failed",
        "The database {db_at} is reached, but the probe's query failed.",
        "Correct `probe.query` of {server}; the database's own words tell where it is wrong.",
        "Or use the one that always works: `probe.query: select 1`.",
    ),
    Cause.CONNECTION_LOST: entry(
        "connection lost",
        (
            tunnel("The connection from {ssh_host} to the database {db_at} ended in the middle."),
            "The connection to the database {db_at} ended in the middle.",
        ),
        "If it happened once, wait: the next probe follows by itself.",
        LOG_POSTGRESQL,
        LOG_MYSQL,
        "If an administrator or a script ends sessions there, let it spare `canary-tui`, the name that a "
        "probe gives.",
        "If a firewall or a proxy in between drops connections, check its limits.",
    ),
}

ANYWHERE: dict[Cause, Entry] = {
    Cause.TUNNEL_LOST: entry(
        "tunnel lost",
        "The SSH connection to {ssh_at} ended in the middle. It is opened again by itself.",
        "If it happened once, wait: a restart of {ssh_host} or a change of network does this.",
        "If it happens again and again, see the reason in the SSH server's log: `sudo journalctl -u ssh "
        "-n 50` (on some systems `-u sshd`) on {ssh_host}.",
        "If it dies when idle, `ClientAliveInterval 30` in `/etc/ssh/sshd_config` there keeps a NAT or a "
        "firewall from forgetting it.",
    ),
    Cause.INTERNAL_ERROR: entry(
        "internal error",
        (
            when(
                "has:open_files",
                "canary-tui has as many files and connections open as the system lets it: {open_files}.",
            ),
            "canary-tui met something that it does not know, or has a defect. The words reported with it "
            "tell more.",
        ),
        when(
            "has:open_files",
            "Raise the hard limit of open files: `LimitNOFILE=65536` in the unit of a service, else a line "
            "`* hard nofile 65536` in `/etc/security/limits.conf`, and log in anew.",
        ),
        when(
            "has:open_files",
            "Each tunnel takes two of them, and each client of its local port two more: close clients that "
            "are not needed, or switch servers off.",
        ),
        when(
            "lacks:open_files",
            "Report it to the project that you have canary-tui from: those words, the stage, and what "
            "`canary --version` prints.",
        ),
        "Try once more: `canary probe {server!sh}`.",
    ),
}

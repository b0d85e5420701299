"""What a failure is told with at PostgreSQL."""

from __future__ import annotations

from canary_tui.diagnosis.engines.words import EngineWords, Own
from canary_tui.diagnosis.lines import direct, say, when
from canary_tui.diagnosis.stages import Cause

LISTENS = "listen_addresses and port in postgresql.conf"
START = (
    "Start the database on {db_host}: `sudo systemctl start postgresql`.",
    "Let it listen to other machines: `listen_addresses = '*'` in postgresql.conf, then `sudo systemctl "
    "restart postgresql`.",
)
SWITCH_TLS_ON = (
    "`ssl = on`, `ssl_cert_file` and `ssl_key_file` in postgresql.conf on {db_host}, then `SELECT "
    "pg_reload_conf();`."
)
HBA_LINE = "{db_name!hba} {db_user!hba} ADDRESS/32 scram-sha-256` (ADDRESS: {client}"
RELOAD = "then `SELECT pg_reload_conf();`"
NO_TIME_LIMIT = "`ALTER ROLE {db_user!sql} VALID UNTIL 'infinity';`."

WORDS = EngineWords(
    label="PostgreSQL",
    usual_ports="PostgreSQL usually has 5432",
    example={},
    log=say(
        "See the reason in the database's log on {db_host}: `sudo journalctl -u 'postgresql*' -n 50`, or the "
        "files in `/var/log/postgresql`."
    ),
    certificate=say(
        "See the certificate, on {origin}: `openssl s_client -starttls postgres -connect {db_at!sh} "
        "</dev/null | openssl x509 -noout -subject -issuer -enddate -ext subjectAltName`."
    ),
    own={
        Cause.PASSWORD_MISSING: Own(
            remedies=say(
                "Or add it to `~/.pgpass` (mode 0600): "
                "`{db_host!pgpass}:{db_port!pgpass}:{db_name!pgpass}:{db_user!pgpass}:PASSWORD`."
            )
        ),
        Cause.CONNECTION_REFUSED: Own(
            remedies=say(*map(direct, START)),
            look_at=say(direct(LISTENS + "; from here: nc -vz {db_host!sh} {db_port!sh}")),
        ),
        Cause.DATABASE_REFUSED: Own(
            remedies=say(*START),
            look_at=say(LISTENS + "; from the SSH server: nc -vz {db_host!sh} {db_port!sh}"),
        ),
        Cause.DATABASE_STARTING: Own(
            remedies=say(
                "If it is a standby, let it answer queries: `hot_standby = on` in postgresql.conf, then "
                "restart it."
            )
        ),
        Cause.DATABASE_TOO_MANY_CONNECTIONS: Own(
            remedies=say(
                "See who holds them: `SELECT usename, application_name, state, count(*) FROM "
                "pg_stat_activity GROUP BY 1, 2, 3;`, and end what is not needed: `SELECT "
                "pg_terminate_backend(PID);`.",
                "If the limit is the user's or the database's: `ALTER ROLE {db_user!sql} CONNECTION LIMIT "
                "-1;` and `ALTER DATABASE {db_name!sql} CONNECTION LIMIT -1;`.",
                "Raise the server's: `ALTER SYSTEM SET max_connections = 200;`, then restart it.",
            ),
            look_at=say("max_connections in postgresql.conf; CONNECTION LIMIT of {db_user}"),
        ),
        Cause.DATABASE_HOST_NOT_ALLOWED: Own(
            remedies=say(
                "Add a line to pg_hba.conf on {db_host}, above any that reject: `host "
                + HBA_LINE
                + "; IPv6: /128).",
                "Then load it: `SELECT pg_reload_conf();`. `SHOW hba_file;` tells where the file is.",
                when(
                    "has:no_tls",
                    "If such a line says `hostssl`, it is for TLS only: set `database.tls: require`.",
                ),
            ),
            look_at=say("the entry for {db_user} on {db_name} in pg_hba.conf"),
        ),
        Cause.TLS_NOT_OFFERED: Own(
            remedies=say("Switch it on: " + SWITCH_TLS_ON), look_at=say("ssl in postgresql.conf")
        ),
        Cause.TLS_DOWNGRADED: Own(
            remedies=say("Switch it on again: " + SWITCH_TLS_ON),
            look_at=say("ssl in postgresql.conf, which was on; what is between"),
        ),
        Cause.TLS_REQUIRED: Own(
            remedies=say(
                "Or let this user in without: `host "
                + HBA_LINE
                + ") in pg_hba.conf instead of `hostssl`, "
                + RELOAD
                + "."
            ),
            look_at=say("hostssl entries in pg_hba.conf"),
        ),
        Cause.CERTIFICATE_EXPIRED: Own(
            remedies=say(
                "Renew it on {db_host}, in the file that `SHOW ssl_cert_file;` names, " + RELOAD + "."
            )
        ),
        Cause.CLIENT_CERTIFICATE_REQUIRED: Own(
            remedies=say(
                "Let this user in with a password: in pg_hba.conf on {db_host}, above the line with `cert` "
                "or `clientcert=`, `hostssl " + HBA_LINE + "), " + RELOAD + "."
            ),
            look_at=say("clientcert in pg_hba.conf"),
        ),
        Cause.TLS_FAILED: Own(
            remedies=say(
                "Allow TLS 1.2 or newer: `ssl_min_protocol_version = 'TLSv1.2'` in postgresql.conf, with no "
                "`ssl_max_protocol_version` below it, " + RELOAD + "."
            )
        ),
        Cause.PASSWORD_NOT_SENT: Own(
            remedies=say(
                "Or let the server ask for a proof: `scram-sha-256` instead of `password` (or `ldap`, "
                "`pam`, `radius`) in the line of pg_hba.conf on {db_host} that is for {db_user}, "
                + RELOAD
                + ", and set the password anew: `\\password {db_user!sql}`."
            ),
            look_at=say("the method for {db_user} in pg_hba.conf: scram-sha-256 needs no clear password"),
        ),
        Cause.PASSWORD_REJECTED: Own(
            remedies=say(
                when(
                    "lacks:asks_elsewhere",
                    "Check `database.user`: `SELECT rolname, rolcanlogin, rolvaliduntil FROM pg_roles;` "
                    "lists the users.",
                ),
                when(
                    "lacks:asks_elsewhere",
                    "Set a new password, in psql as an administrator: `\\password {db_user!sql}`.",
                ),
                when("lacks:asks_elsewhere", "If its time is over: " + NO_TIME_LIMIT),
                when(
                    "has:asks_elsewhere",
                    "The database has no password of this user: it asks {asks_elsewhere}. Check the account "
                    "there, and whether that answers {db_host} at all; the database's log tells.",
                ),
                when(
                    "has:asks_elsewhere",
                    "Or give canary-tui a user with a password in the database: in pg_hba.conf, above that "
                    "line, `host " + HBA_LINE + "), " + RELOAD + ".",
                ),
            ),
            look_at=say("the password of {db_user}: ALTER ROLE … PASSWORD; its entry in pg_hba.conf"),
        ),
        Cause.USER_NOT_ALLOWED: Own(
            remedies=say("Allow it: `ALTER ROLE {db_user!sql} LOGIN;`."),
            look_at=say("the entry for {db_user} on {db_name} in pg_hba.conf; LOGIN of the role"),
        ),
        Cause.PASSWORD_EXPIRED: Own(
            remedies=say("Extend it: " + NO_TIME_LIMIT), look_at=say("VALID UNTIL of the role {db_user}")
        ),
        Cause.AUTH_METHOD_UNSUPPORTED: Own(
            remedies=say(
                "Allow a password: in pg_hba.conf on {db_host}, above the line that matches now, `host "
                + HBA_LINE
                + "), "
                + RELOAD
                + "."
            )
        ),
        Cause.DATABASE_NOT_FOUND: Own(
            remedies=say(
                "Check `database.name`: `SELECT datname FROM pg_database;` lists them. Upper case counts.",
                "If it is to be there, make it: `CREATE DATABASE {db_name!sql};`.",
            )
        ),
        Cause.DATABASE_ACCESS_DENIED: Own(
            remedies=say(
                "Allow it: `GRANT CONNECT ON DATABASE {db_name!sql} TO {db_user!sql};`.",
                "If it takes no connections at all: `ALTER DATABASE {db_name!sql} ALLOW_CONNECTIONS true;`.",
            ),
            look_at=say("GRANT CONNECT ON DATABASE {db_name!sql} TO {db_user!sql}"),
        ),
        Cause.LOGIN_TIMED_OUT: Own(
            remedies=say("If pg_hba.conf asks LDAP, RADIUS or PAM for this user, check that server.")
        ),
        Cause.LOGIN_REFUSED: Own(
            remedies=say(
                "If a setting of the role or the database is wrong: `SELECT * FROM pg_db_role_setting;`, and "
                "`ALTER ROLE {db_user!sql} RESET ALL;` takes the role's back."
            )
        ),
        Cause.DATABASE_UNAVAILABLE: Own(
            remedies=say(
                "PgBouncer tells: `SHOW SERVERS;` and `SHOW DATABASES;` on its `pgbouncer` database, and its "
                "log."
            )
        ),
        Cause.QUERY_TIMED_OUT: Own(
            remedies=say(
                "See what it waits for: `SELECT pid, state, wait_event_type, wait_event, query FROM "
                "pg_stat_activity WHERE state <> 'idle';`.",
                when(
                    "has:ended_after",
                    "See which limit it is: `SELECT name, setting, source FROM pg_settings WHERE name IN "
                    "('statement_timeout', 'transaction_timeout', 'lock_timeout');`; PgBouncer has "
                    "`query_timeout`.",
                ),
            )
        ),
        Cause.QUERY_DENIED: Own(
            remedies=say(
                "Or grant what it reads: `GRANT USAGE ON SCHEMA public TO {db_user!sql};` and `GRANT SELECT "
                "ON TABLE_NAME TO {db_user!sql};`."
            )
        ),
    },
)

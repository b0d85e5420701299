"""What a failure is told with at MySQL and MariaDB."""

from __future__ import annotations

from canary_tui.diagnosis.engines.words import EngineWords, Own
from canary_tui.diagnosis.lines import direct, say, when
from canary_tui.diagnosis.stages import Cause

LISTENS = "bind-address and port of the MySQL server"
START = (
    "Start the database on {db_host}: `sudo systemctl start mysql` (or `mariadb`).",
    "Let it listen to other machines: `bind-address = 0.0.0.0` and no `skip-networking` under `[mysqld]` in "
    "my.cnf, then `sudo systemctl restart mysql` (or `mariadb`).",
)
SWITCH_TLS_ON = (
    "`ssl_cert` and `ssl_key` under `[mysqld]` in my.cnf on {db_host}, then `sudo systemctl restart mysql` "
    "(or `mariadb`)."
)
USER = "{db_user!text}@'ADDRESS'"
ACCOUNTS = "(ADDRESS: as `SELECT user, host FROM mysql.user;` shows it)"
NEW_PASSWORD = "`ALTER USER " + USER + " IDENTIFIED BY 'PASSWORD';`"

WORDS = EngineWords(
    label="MySQL and MariaDB",
    usual_ports="MySQL and MariaDB usually have 3306 (MySQL's 33060 speaks another protocol)",
    example={"engine": "mysql", "engine_title": "MySQL", "sql": "mysql", "db_port": "3306"},
    log=say(
        "See the reason in the database's log on {db_host}: `sudo journalctl -u mysql -n 50` (or `-u "
        "mariadb`), or the files in `/var/log/mysql`."
    ),
    certificate=say(
        "See the certificate, on {origin}: `openssl s_client -starttls mysql -connect {db_at!sh} </dev/null "
        "| openssl x509 -noout -subject -issuer -enddate -ext subjectAltName`."
    ),
    own={
        Cause.PASSWORD_MISSING: Own(
            remedies=say(
                "Or add it to `~/.my.cnf` (mode 0600), section `[client]`: `host={db_host!code}`, "
                "`user={db_user!code}`, `password=PASSWORD`."
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
        Cause.DATABASE_TOO_MANY_CONNECTIONS: Own(
            remedies=say(
                "See who holds them: `SHOW PROCESSLIST;`, and end what is not needed: `KILL ID;`.",
                "If the limit is the user's: `ALTER USER "
                + USER
                + " WITH MAX_USER_CONNECTIONS 0 MAX_CONNECTIONS_PER_HOUR 0;` "
                + ACCOUNTS
                + ".",
                "Raise the server's: `SET GLOBAL max_connections = 300;`, and `max_connections = 300` in "
                "my.cnf.",
            ),
            look_at=say("max_connections; MAX_USER_CONNECTIONS of {db_user}"),
        ),
        Cause.DATABASE_HOST_NOT_ALLOWED: Own(
            remedies=say(
                "Make the user for that address: `CREATE USER "
                + USER
                + " IDENTIFIED BY 'PASSWORD';` (ADDRESS: {client}).",
                "Then give it the database: `GRANT SELECT ON {db_name!sql}.* TO " + USER + ";`.",
                "`SELECT user, host FROM mysql.user;` lists who may come from where.",
            ),
            look_at=say("the host in the account of {db_user}: the SSH server's address"),
        ),
        Cause.TLS_NOT_OFFERED: Own(
            remedies=say("Switch it on: " + SWITCH_TLS_ON),
            look_at=say("ssl_cert and ssl_key of the MySQL server"),
        ),
        Cause.TLS_DOWNGRADED: Own(
            remedies=say("Switch it on again: " + SWITCH_TLS_ON),
            look_at=say("ssl_cert and ssl_key of the MySQL server, which had TLS; what is between"),
        ),
        Cause.TLS_REQUIRED: Own(
            remedies=say(
                "Or let this user in without: `ALTER USER "
                + USER
                + " REQUIRE NONE;` "
                + ACCOUNTS
                + "; with `require_secure_transport = ON` the server wants it of everybody."
            ),
            look_at=say("require_secure_transport; REQUIRE SSL of {db_user}"),
        ),
        Cause.CERTIFICATE_EXPIRED: Own(
            remedies=say(
                "Renew it on {db_host}, in the file that `SHOW VARIABLES LIKE 'ssl_cert';` names, then "
                "`ALTER INSTANCE RELOAD TLS;` (MariaDB: `FLUSH SSL;`)."
            )
        ),
        Cause.CLIENT_CERTIFICATE_REQUIRED: Own(
            remedies=say(
                "Let this user in with TLS alone: `ALTER USER " + USER + " REQUIRE SSL;` " + ACCOUNTS + "."
            ),
            look_at=say("REQUIRE X509 of {db_user}"),
        ),
        Cause.TLS_FAILED: Own(
            remedies=say(
                "Allow TLS 1.2 or newer: `tls_version = TLSv1.2,TLSv1.3` under `[mysqld]` in my.cnf, then "
                "restart it."
            )
        ),
        Cause.PASSWORD_NOT_SENT: Own(
            remedies=say(
                "MySQL makes an authority of its own: `ca.pem` in the folder that `SELECT @@datadir;` names "
                "on {db_host}. Copy it here, and set `database.ca_file` to it and `database.tls: verify-ca` "
                "(its certificate carries no host name).",
                "Or give the user a plug-in that never asks for it: `ALTER USER "
                + USER
                + " IDENTIFIED WITH mysql_native_password BY 'PASSWORD';` (MariaDB: `IDENTIFIED VIA "
                "mysql_native_password USING PASSWORD('PASSWORD')`) " + ACCOUNTS + ".",
            ),
            look_at=say("the plug-in of {db_user}; ca.pem, of the authority that signed ssl_cert"),
        ),
        Cause.PASSWORD_REJECTED: Own(
            remedies=say(
                "Check `database.user` and its host: `SELECT user, host FROM mysql.user;` must list it for "
                "{client}.",
                "Set a new password: " + NEW_PASSWORD + ".",
                when(
                    "has:no_tls",
                    "If this user must use TLS, the answer is the same: set `database.tls: require`. If it "
                    "must show a client certificate: `ALTER USER " + USER + " REQUIRE SSL;`.",
                ),
                when(
                    "lacks:no_tls",
                    "If this user must show a client certificate, the answer is the same: `ALTER USER "
                    + USER
                    + " REQUIRE SSL;` asks for TLS alone.",
                ),
            ),
            look_at=say("the password of {db_user}, and the host in its account: SHOW GRANTS"),
        ),
        Cause.USER_NOT_ALLOWED: Own(
            remedies=say(
                "Unlock it: `ALTER USER " + USER + " ACCOUNT UNLOCK;` " + ACCOUNTS + ".",
                "Check that the user exists for {client}: `SELECT user, host FROM mysql.user;`.",
            ),
            look_at=say("the account of {db_user} (its host, ACCOUNT LOCK): SHOW CREATE USER"),
        ),
        Cause.PASSWORD_EXPIRED: Own(
            remedies=say(
                "Set a new password: " + NEW_PASSWORD + " " + ACCOUNTS + ".",
                "Keep it from expiring again: `ALTER USER " + USER + " PASSWORD EXPIRE NEVER;`.",
            ),
            look_at=say("PASSWORD EXPIRE of {db_user}: SHOW CREATE USER"),
        ),
        Cause.AUTH_METHOD_UNSUPPORTED: Own(
            remedies=say(
                "Choose one it has: `ALTER USER "
                + USER
                + " IDENTIFIED WITH caching_sha2_password BY 'PASSWORD';` (MariaDB: `IDENTIFIED VIA "
                "mysql_native_password USING PASSWORD('PASSWORD')`) " + ACCOUNTS + ".",
                when("has:no_tls", "If the method needs a safe line, set `database.tls: require`."),
            )
        ),
        Cause.DATABASE_NOT_FOUND: Own(
            remedies=say(
                "Check `database.name`: `SHOW DATABASES;` lists those that the user may see. Upper case may "
                "count.",
                "If it is to be there, make it: `CREATE DATABASE {db_name!sql};`.",
            )
        ),
        Cause.DATABASE_ACCESS_DENIED: Own(
            remedies=say("Allow it: `GRANT SELECT ON {db_name!sql}.* TO " + USER + ";` " + ACCOUNTS + "."),
            look_at=say("GRANT … ON {db_name!sql}.* TO {db_user!text}"),
        ),
        Cause.LOGIN_TIMED_OUT: Own(
            remedies=say(
                "A slow name look-up there is common: `skip-name-resolve` under `[mysqld]` in my.cnf, then "
                "restart it."
            )
        ),
        Cause.LOGIN_REFUSED: Own(
            remedies=say("If a statement of `init_connect` is wrong: `SHOW VARIABLES LIKE 'init_connect';`.")
        ),
        Cause.DATABASE_UNAVAILABLE: Own(
            remedies=say(
                "A cluster's node tells: `SHOW STATUS LIKE 'wsrep_ready';`; offline mode: `SET GLOBAL "
                "offline_mode = OFF;`; ProxySQL: `SELECT * FROM runtime_mysql_servers;`."
            )
        ),
        Cause.QUERY_TIMED_OUT: Own(
            remedies=say(
                "See what it waits for: `SHOW FULL PROCESSLIST;`.",
                when(
                    "has:ended_after",
                    "See which limit it is: `SHOW VARIABLES WHERE Variable_name IN ('max_statement_time', "
                    "'max_execution_time', 'innodb_lock_wait_timeout');`.",
                ),
            )
        ),
        Cause.QUERY_DENIED: Own(
            remedies=say(
                "Or grant what it reads: `GRANT SELECT ON {db_name!sql}.* TO " + USER + ";` " + ACCOUNTS + "."
            )
        ),
    },
)

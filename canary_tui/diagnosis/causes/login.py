"""What can go wrong with the login at the database."""

from __future__ import annotations

from canary_tui.diagnosis.causes import retries
from canary_tui.diagnosis.causes.phrases import ACCOUNTS, LOG_MYSQL, LOG_POSTGRESQL
from canary_tui.diagnosis.causes.row import Row, mysql, postgresql, say, when
from canary_tui.diagnosis.stages import Cause, Stage

ROWS = (
    Row(
        cause=Cause.PASSWORD_NOT_SENT,
        stage=Stage.LOGIN,
        retry=retries.DATABASE_FOR_PERSON,
        unsafe=True,
        title="password not sent",
        summary=say(
            "The database {db_at} asked for the password of {db_user} in a form that it can read. It was not "
            "sent, because TLS has not verified who asks."
        ),
        remedies=say(
            "Set `database.tls: verify-full`, and `database.ca_file` to the PEM file of the authority that "
            "signed the server's certificate: then only the real server reads the password.",
            mysql(
                "MySQL makes an authority of its own: `ca.pem` in the folder that `SELECT @@datadir;` names "
                "on {db_host}. Copy it here, and set `database.ca_file` to it and `database.tls: verify-ca` "
                "(its certificate carries no host name)."
            ),
            postgresql(
                "Or let the server ask for a proof instead: `scram-sha-256` in place of `password` (or "
                "`ldap`, `pam`, `radius`) in the line of pg_hba.conf on {db_host} that is for {db_user}, "
                "then `SELECT pg_reload_conf();`, and set the password anew: `\\password {db_user!sql}`."
            ),
            mysql(
                "Or give the user a plug-in that never asks for it: `ALTER USER {db_user!text}@'ADDRESS' "
                "IDENTIFIED WITH mysql_native_password BY 'PASSWORD';` (MariaDB: `IDENTIFIED VIA "
                "mysql_native_password USING PASSWORD('PASSWORD')`) " + ACCOUNTS + "."
            ),
            "Or, where everybody on the way to {db_host} may know the password, set "
            "`database.allow_cleartext: true`: it is sent to whoever asks.",
        ),
        look_at=say(
            postgresql("the method for {db_user} in pg_hba.conf: scram-sha-256 needs no clear password"),
            mysql("the plug-in of {db_user}; ca.pem, of the authority that signed ssl_cert"),
        ),
    ),
    Row(
        cause=Cause.PASSWORD_REJECTED,
        stage=Stage.LOGIN,
        retry=retries.DATABASE_REFUSED,
        password_helps=True,
        title="password rejected",
        summary=say(
            "The database {db_at} rejects the user {db_user} with this password. A user that does not exist "
            "looks the same."
        ),
        remedies=say(
            "Give the right password: `canary password {server!sh}`, or correct what `password:` in "
            "servers.yaml names.",
            when(
                "postgresql lacks:asks_elsewhere",
                "Check `database.user`: `SELECT rolname, rolcanlogin, rolvaliduntil FROM pg_roles;` lists "
                "the users.",
            ),
            when(
                "postgresql lacks:asks_elsewhere",
                "Set a new password, in psql as an administrator: `\\password {db_user!sql}`.",
            ),
            when(
                "postgresql lacks:asks_elsewhere",
                "If its time is over: `ALTER ROLE {db_user!sql} VALID UNTIL 'infinity';`.",
            ),
            when(
                "postgresql has:asks_elsewhere",
                "The database has no password of this user: it asks {asks_elsewhere}. Check the account "
                "there, and whether that answers {db_host} at all; the database's log tells.",
            ),
            when(
                "postgresql has:asks_elsewhere",
                "Or give canary-tui a user with a password in the database: in pg_hba.conf, above that line, "
                "`host {db_name!hba} {db_user!hba} ADDRESS/32 scram-sha-256` (ADDRESS: {client}), then "
                "`SELECT pg_reload_conf();`.",
            ),
            mysql(
                "Check `database.user` and its host: `SELECT user, host FROM mysql.user;` must list it for "
                "{client}."
            ),
            mysql("Set a new password: `ALTER USER {db_user!text}@'ADDRESS' IDENTIFIED BY 'PASSWORD';`."),
            when(
                "mysql has:no_tls",
                "If this user must use TLS, the answer is the same: set `database.tls: require`. If it must "
                "show a client certificate: `ALTER USER {db_user!text}@'ADDRESS' REQUIRE SSL;`.",
            ),
            when(
                "mysql lacks:no_tls",
                "If this user must show a client certificate, the answer is the same: `ALTER USER "
                "{db_user!text}@'ADDRESS' REQUIRE SSL;` asks for TLS alone.",
            ),
        ),
        look_at=say(
            postgresql("the password of {db_user}: ALTER ROLE … PASSWORD; its entry in pg_hba.conf"),
            mysql("the password of {db_user}, and the host in its account: SHOW GRANTS"),
        ),
    ),
    Row(
        cause=Cause.USER_NOT_ALLOWED,
        stage=Stage.LOGIN,
        retry=retries.DATABASE_REFUSED,
        title="user not allowed",
        summary=say("The database {db_at} knows {db_user} but does not let that user log in."),
        remedies=say(
            postgresql("Allow it: `ALTER ROLE {db_user!sql} LOGIN;`."),
            mysql("Unlock it: `ALTER USER {db_user!text}@'ADDRESS' ACCOUNT UNLOCK;` " + ACCOUNTS + "."),
            mysql("Check that the user exists for {client}: `SELECT user, host FROM mysql.user;`."),
            "Or set `database.user` to a user that may log in.",
        ),
        look_at=say(
            postgresql("the entry for {db_user} on {db_name} in pg_hba.conf; LOGIN of the role"),
            mysql("the account of {db_user} (its host, ACCOUNT LOCK): SHOW CREATE USER"),
        ),
    ),
    Row(
        cause=Cause.PASSWORD_EXPIRED,
        stage=Stage.LOGIN,
        retry=retries.DATABASE_REFUSED,
        title="password expired",
        summary=say("The password of {db_user} on {db_at} has expired."),
        remedies=say(
            postgresql("Extend it: `ALTER ROLE {db_user!sql} VALID UNTIL 'infinity';`."),
            mysql(
                "Set a new password: `ALTER USER {db_user!text}@'ADDRESS' IDENTIFIED BY 'PASSWORD';` "
                + ACCOUNTS
                + "."
            ),
            mysql(
                "Keep it from expiring again: `ALTER USER {db_user!text}@'ADDRESS' PASSWORD EXPIRE NEVER;`."
            ),
            "If the password is a new one, tell canary: `canary password {server!sh}`, or correct what "
            "`password:` names.",
        ),
        look_at=say(
            postgresql("VALID UNTIL of the role {db_user}"),
            mysql("PASSWORD EXPIRE of {db_user}: SHOW CREATE USER"),
        ),
    ),
    Row(
        cause=Cause.AUTH_METHOD_UNSUPPORTED,
        stage=Stage.LOGIN,
        retry=retries.DATABASE_REFUSED,
        title="login method unsupported",
        summary=say(
            "The database {db_at} wants {db_user} to log in by a method that canary-tui does not have."
        ),
        remedies=say(
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
            when("mysql has:no_tls", "If the method needs a safe line, set `database.tls: require`."),
            "Or make a user for canary-tui with such a password, and set `database.user` to it.",
        ),
    ),
    Row(
        cause=Cause.DATABASE_NOT_FOUND,
        stage=Stage.LOGIN,
        retry=retries.DATABASE_REFUSED,
        title="no such database",
        summary=say("There is no database {db_name} on {db_at}."),
        remedies=say(
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
    ),
    Row(
        cause=Cause.DATABASE_ACCESS_DENIED,
        stage=Stage.LOGIN,
        retry=retries.DATABASE_REFUSED,
        title="database access denied",
        summary=say("The user {db_user} may not use the database {db_name} on {db_at}."),
        remedies=say(
            postgresql("Allow it: `GRANT CONNECT ON DATABASE {db_name!sql} TO {db_user!sql};`."),
            postgresql(
                "If it takes no connections at all: `ALTER DATABASE {db_name!sql} ALLOW_CONNECTIONS true;`."
            ),
            mysql(
                "Allow it: `GRANT SELECT ON {db_name!sql}.* TO {db_user!text}@'ADDRESS';` " + ACCOUNTS + "."
            ),
            "Check the spelling of `database.name` and `database.user`.",
        ),
        look_at=say(
            postgresql("GRANT CONNECT ON DATABASE {db_name!sql} TO {db_user!sql}"),
            mysql("GRANT … ON {db_name!sql}.* TO {db_user!text}"),
        ),
    ),
    Row(
        cause=Cause.LOGIN_TIMED_OUT,
        stage=Stage.LOGIN,
        retry=retries.BREAKS_OFF,
        silence=(Stage.LOGIN,),
        title="database login timed out",
        summary=say("The database {db_at} did not finish the login of {db_user} within the time limit."),
        remedies=say(
            LOG_POSTGRESQL,
            LOG_MYSQL,
            postgresql("If pg_hba.conf asks LDAP, RADIUS or PAM for this user, check that server."),
            mysql(
                "A slow name look-up there is common: `skip-name-resolve` under `[mysqld]` in my.cnf, then "
                "restart it."
            ),
            "If a login takes that long there, allow more time: `probe.timeout` in servers.yaml ({timeout} "
            "now).",
        ),
    ),
    Row(
        cause=Cause.LOGIN_REFUSED,
        stage=Stage.LOGIN,
        retry=retries.DATABASE_REFUSED,
        title="login refused",
        summary=say("The database {db_at} does not let {db_user} in; its own words say why."),
        remedies=say(
            "Check `database.user` and `database.name` with the database's administrator or provider: a "
            "hosted pooler may want the project's name in the user (`USER.PROJECT`).",
            LOG_POSTGRESQL,
            LOG_MYSQL,
            postgresql(
                "If a setting of the role or the database is wrong: `SELECT * FROM pg_db_role_setting;`, and "
                "`ALTER ROLE {db_user!sql} RESET ALL;` takes the role's back."
            ),
            mysql("If a statement of `init_connect` is wrong: `SHOW VARIABLES LIKE 'init_connect';`."),
        ),
    ),
    Row(
        cause=Cause.DATABASE_UNAVAILABLE,
        stage=Stage.LOGIN,
        retry=retries.NETWORK,
        title="database unavailable",
        summary=say(
            "Something answers for the database on {db_at}, but the database itself cannot be used now."
        ),
        remedies=say(
            "If {db_at} is a pooler or a proxy, look at the database behind it: its address in the pooler's "
            "settings, whether it runs, whether it lets the pooler in.",
            postgresql(
                "PgBouncer tells: `SHOW SERVERS;` and `SHOW DATABASES;` on its `pgbouncer` database, and its "
                "log."
            ),
            mysql(
                "A cluster's node tells: `SHOW STATUS LIKE 'wsrep_ready';`; offline mode: `SET GLOBAL "
                "offline_mode = OFF;`; ProxySQL: `SELECT * FROM runtime_mysql_servers;`."
            ),
            "If its disk or memory is full, make room: `df -h`, `free -m` on {db_host}.",
        ),
    ),
)

"""What can go wrong when the database is reached but does not begin a session."""

from __future__ import annotations

from canary_tui.diagnosis.causes import retries
from canary_tui.diagnosis.causes.phrases import LOG_MYSQL, LOG_POSTGRESQL
from canary_tui.diagnosis.causes.row import Row, mysql, postgresql, say, when
from canary_tui.diagnosis.stages import Cause, Stage

ROWS = (
    Row(
        cause=Cause.WRONG_PROTOCOL,
        stage=Stage.DATABASE,
        retry=retries.DATABASE_FOR_PERSON,
        title="not the expected database",
        summary=say(
            when("tcp", "What answers on {db_at} sends without end before it is asked anything."),
            when("login", "What answers on {db_at} began a login and went on as no {engine_title} does."),
            when("tls", "What answers on {db_at} began TLS and went on as no {engine_title} does."),
            "Something answers on {db_at}, but it does not speak {engine_title}.",
        ),
        remedies=say(
            "Check `engine` in servers.yaml ({engine} now): `postgresql`, `mysql` for MySQL and MariaDB, or "
            "`tcp` for anything else.",
            "Check `database.port` ({db_port} now): PostgreSQL usually has 5432, MySQL and MariaDB 3306; "
            "MySQL's 33060 speaks another protocol.",
            "Check `database.host`: see what listens there with `sudo ss -ltnp 'sport = :{db_port!code}'` on "
            "{db_host}.",
        ),
    ),
    Row(
        cause=Cause.DATABASE_CLOSED_EARLY,
        stage=Stage.DATABASE,
        retry=retries.NETWORK,
        closed=(Stage.DATABASE, Stage.LOGIN),
        title="database closed early",
        summary=say(
            when("tcp", "The service {db_at} accepted the connection and closed it at once."),
            "The database {db_at} accepted the connection and closed it without a word.",
        ),
        remedies=say(
            LOG_POSTGRESQL,
            LOG_MYSQL,
            when(
                "tcp",
                "See its log on {db_host}. Many services close connections from addresses that they do not "
                "let in, or when they have too many: {client} must be allowed.",
            ),
            "If a load balancer or a proxy listens on {db_at}, check that a database behind it is up.",
            "If the database was restarting, the next probe tells: `canary probe {server!sh}`.",
        ),
        look_at=say(when("tcp", "the service's log; the addresses that it lets in")),
    ),
    Row(
        cause=Cause.DATABASE_NO_ANSWER,
        stage=Stage.DATABASE,
        retry=retries.BREAKS_OFF,
        silence=(Stage.DATABASE,),
        title="database silent",
        summary=say("The connection to {db_at} stands, but the database says nothing."),
        remedies=say(
            "Check `engine` and `database.port` ({engine}, {db_port} now): another service may wait for "
            "other words.",
            "If {db_host} is overloaded, out of memory or its disk is full, look at it: `uptime`, `free -m`, "
            "`df -h`.",
            LOG_POSTGRESQL,
            LOG_MYSQL,
            "If the database is slow to answer, allow more time: `probe.timeout` in servers.yaml ({timeout} "
            "now).",
        ),
    ),
    Row(
        cause=Cause.DATABASE_STARTING,
        stage=Stage.DATABASE,
        retry=retries.NETWORK,
        title="database starting",
        summary=say(
            "The database {db_at} is starting, recovering or shutting down, and takes no connections now."
        ),
        remedies=say(
            "Wait: the next probe follows by itself.",
            LOG_POSTGRESQL,
            LOG_MYSQL,
            postgresql(
                "If it is a standby, let it answer queries: `hot_standby = on` in postgresql.conf, then "
                "restart it."
            ),
        ),
    ),
    Row(
        cause=Cause.DATABASE_TOO_MANY_CONNECTIONS,
        stage=Stage.DATABASE,
        retry=retries.NETWORK,
        title="too many connections",
        summary=say("The database {db_at} has as many connections as it, or the user {db_user}, may have."),
        remedies=say(
            postgresql(
                "See who holds them: `SELECT usename, application_name, state, count(*) FROM "
                "pg_stat_activity GROUP BY 1, 2, 3;`, and end what is not needed: `SELECT "
                "pg_terminate_backend(PID);`."
            ),
            postgresql(
                "If the limit is the user's or the database's: `ALTER ROLE {db_user!sql} CONNECTION LIMIT "
                "-1;` and `ALTER DATABASE {db_name!sql} CONNECTION LIMIT -1;`."
            ),
            postgresql("Raise the server's: `ALTER SYSTEM SET max_connections = 200;`, then restart it."),
            mysql("See who holds them: `SHOW PROCESSLIST;`, and end what is not needed: `KILL ID;`."),
            mysql(
                "If the limit is the user's: `ALTER USER {db_user!text}@'ADDRESS' WITH MAX_USER_CONNECTIONS "
                "0 MAX_CONNECTIONS_PER_HOUR 0;` (ADDRESS: as `SELECT user, host FROM mysql.user;` shows it)."
            ),
            mysql(
                "Raise the server's: `SET GLOBAL max_connections = 300;`, and `max_connections = 300` in "
                "my.cnf."
            ),
        ),
        look_at=say(
            postgresql("max_connections in postgresql.conf; CONNECTION LIMIT of {db_user}"),
            mysql("max_connections; MAX_USER_CONNECTIONS of {db_user}"),
        ),
    ),
    Row(
        cause=Cause.DATABASE_HOST_NOT_ALLOWED,
        stage=Stage.DATABASE,
        retry=retries.DATABASE_REFUSED,
        title="host not allowed",
        summary=say("The database {db_at} does not let {db_user} in from {origin}."),
        remedies=say(
            postgresql(
                "Add a line to pg_hba.conf on {db_host}, above any that reject: `host {db_name!hba} "
                "{db_user!hba} ADDRESS/32 scram-sha-256` (ADDRESS: {client}; IPv6: /128)."
            ),
            postgresql("Then load it: `SELECT pg_reload_conf();`. `SHOW hba_file;` tells where the file is."),
            when(
                "postgresql has:no_tls",
                "If such a line says `hostssl`, it is for TLS only: set `database.tls: require`.",
            ),
            mysql(
                "Make the user for that address: `CREATE USER {db_user!text}@'ADDRESS' IDENTIFIED BY "
                "'PASSWORD';` (ADDRESS: {client})."
            ),
            mysql(
                "Then give it the database: `GRANT SELECT ON {db_name!sql}.* TO {db_user!text}@'ADDRESS';`."
            ),
            mysql("`SELECT user, host FROM mysql.user;` lists who may come from where."),
        ),
        look_at=say(
            postgresql("the entry for {db_user} on {db_name} in pg_hba.conf"),
            mysql("the host in the account of {db_user}: the SSH server's address"),
        ),
    ),
    Row(
        cause=Cause.DATABASE_HOST_BLOCKED,
        stage=Stage.DATABASE,
        retry=retries.DATABASE_FOR_PERSON,
        title="host blocked",
        summary=say(
            "The database {db_at} has blocked {origin} after too many connections that were broken off."
        ),
        remedies=say(
            "Lift it: `FLUSH HOSTS;` (MySQL from 8.4 on: `TRUNCATE TABLE performance_schema.host_cache;`).",
            "Find who breaks them off: port scanners and health checks that connect without logging in; "
            "`SELECT ip, sum_connect_errors FROM performance_schema.host_cache;`.",
            "Allow more of them: `SET GLOBAL max_connect_errors = 10000;`, and the same in my.cnf.",
        ),
        look_at=say(mysql("max_connect_errors; mysqladmin flush-hosts")),
    ),
)

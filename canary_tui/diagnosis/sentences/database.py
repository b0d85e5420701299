"""What is said when the database is not reached, or turns the connection away: forward, database."""

from __future__ import annotations

from canary_tui.diagnosis.sentences.entry import Entry, entry, mysql, postgresql, when
from canary_tui.diagnosis.sentences.ssh import LOG, RELOAD
from canary_tui.diagnosis.stages import Cause

REACHED_FROM = "`nc -vz {db_host!sh} {db_port!sh}` on {origin} tells whether it is reached from there."

START_POSTGRESQL = postgresql("Start the database on {db_host}: `sudo systemctl start postgresql`.")
START_TCP = when(
    "tcp",
    "Start the service on {db_host}, and have it listen where {origin} reaches it: there, `sudo ss -ltnp "
    "'sport = :{db_port!code}'` shows its addresses.",
)
START_MYSQL = mysql("Start the database on {db_host}: `sudo systemctl start mysql` (or `mariadb`).")
LOG_POSTGRESQL = postgresql(
    "See the reason in the database's log on {db_host}: `sudo journalctl -u 'postgresql*' -n 50`, or the "
    "files in `/var/log/postgresql`."
)
LOG_MYSQL = mysql(
    "See the reason in the database's log on {db_host}: `sudo journalctl -u mysql -n 50` (or `-u "
    "mariadb`), or the files in `/var/log/mysql`."
)
OPEN_FIREWALL = (
    "Let {origin} in at the firewall of {db_host} or the cloud's security group: inbound TCP {db_port}; "
    "on the host itself `sudo ufw allow {db_port!code}/tcp`."
)

FORWARD: dict[Cause, Entry] = {
    Cause.FORWARDING_NOT_PERMITTED: entry(
        "forwarding not permitted",
        "The SSH server {ssh_at} let {ssh_user} in but does not permit a connection to {db_at}.",
        "Install the line that `canary key {server!sh}` prints in place of the old one on {ssh_host}: "
        "`permitopen=` must spell `database.host` letter by letter (`localhost` is not `127.0.0.1`), and "
        "`restrict` needs `port-forwarding` after it.",
        "Set `AllowTcpForwarding yes` and no `DisableForwarding yes` in `/etc/ssh/sshd_config` there, then "
        + RELOAD
        + ".",
        "If it has a `PermitOpen` line, add the database to it, spelled the same way: `PermitOpen "
        "{db_at!code}`.",
        "See what holds for this user, `Match` blocks included: `sudo sshd -T -C "
        "user={ssh_user!sh},host=localhost,addr=127.0.0.1 | grep -E '(forwarding|permitopen) '`.",
    ),
    Cause.DATABASE_REFUSED: entry(
        "database refused",
        "The connection from {origin} to the database {db_at} is refused: the host is there, the port is "
        "closed.",
        "Check `database.host` and `database.port`, as {origin} sees them: {db_host} may be `127.0.0.1` "
        "there, or have another name. " + REACHED_FROM,
        START_POSTGRESQL,
        START_MYSQL,
        START_TCP,
        postgresql(
            "Let it listen to other machines: `listen_addresses = '*'` in postgresql.conf, then `sudo "
            "systemctl restart postgresql`."
        ),
        mysql(
            "Let it listen to other machines: `bind-address = 0.0.0.0` and no `skip-networking` under "
            "`[mysqld]` in my.cnf, then `sudo systemctl restart mysql` (or `mariadb`)."
        ),
        OPEN_FIREWALL,
    ),
    Cause.DATABASE_NAME_NOT_FOUND: entry(
        "database name unknown",
        "The name of the database's host, {db_host}, is not known on {origin}.",
        "Check the spelling of `database.host`: the name is looked up on {origin}, not here. There, "
        "`getent hosts {db_host!sh}` must print an address.",
        "Set `database.host` to the IP address, and install the line that `canary key {server!sh}` then "
        "prints: the key's `permitopen=` has to match.",
        "Or make the name known there: a line `ADDRESS {db_host!code}` in `/etc/hosts` on {origin}.",
    ),
    Cause.DATABASE_TIMED_OUT: entry(
        "database timed out",
        "The database {db_at} did not answer {origin} within the time limit.",
        "Check `database.host` and `database.port`, and that {db_host} is running. " + REACHED_FROM,
        OPEN_FIREWALL,
        "If the way from {origin} is slow, allow more time: `probe.timeout` in servers.yaml ({timeout} now).",
    ),
    Cause.DATABASE_UNREACHABLE: entry(
        "database unreachable",
        "There is no way from {origin} to the database {db_at}.",
        "Check `database.host`: the address must be one that {origin} can reach. " + REACHED_FROM,
        "Look for the route there: `ip route get ADDRESS`, with an address that `getent ahosts "
        "{db_host!sh}` prints.",
        "If {origin} reaches that network over a VPN or a peering, bring it up.",
    ),
    Cause.FORWARD_REFUSED: entry(
        "forward refused",
        "The SSH server {ssh_at} did not open the connection to the database {db_at}; its own words say why.",
        "Try the way that it was to go: " + REACHED_FROM,
        "See the reason in the SSH server's log: " + LOG + " on {ssh_host}.",
        "If that server has no connections or memory left, close sessions that are not needed there; `canary "
        "probe {server!sh}` tries again.",
    ),
}

DATABASE: dict[Cause, Entry] = {
    Cause.WRONG_PROTOCOL: entry(
        "not the expected database",
        (
            when("tcp", "What answers on {db_at} sends without end before it is asked anything."),
            when("login", "What answers on {db_at} began a login and went on as no {engine_title} does."),
            when("tls", "What answers on {db_at} began TLS and went on as no {engine_title} does."),
            "Something answers on {db_at}, but it does not speak {engine_title}.",
        ),
        "Check `engine` in servers.yaml ({engine} now): `postgresql`, `mysql` for MySQL and MariaDB, "
        "or `tcp` for anything else.",
        "Check `database.port` ({db_port} now): PostgreSQL usually has 5432, MySQL and MariaDB 3306; "
        "MySQL's 33060 speaks another protocol.",
        "Check `database.host`: see what listens there with `sudo ss -ltnp 'sport = :{db_port!code}'` on "
        "{db_host}.",
    ),
    Cause.DATABASE_CLOSED_EARLY: entry(
        "database closed early",
        (
            when("tcp", "The service {db_at} accepted the connection and closed it at once."),
            "The database {db_at} accepted the connection and closed it without a word.",
        ),
        LOG_POSTGRESQL,
        LOG_MYSQL,
        when(
            "tcp",
            "See its log on {db_host}. Many services close connections from addresses that they do not let "
            "in, or when they have too many: {client} must be allowed.",
        ),
        "If a load balancer or a proxy listens on {db_at}, check that a database behind it is up.",
        "If the database was restarting, the next probe tells: `canary probe {server!sh}`.",
    ),
    Cause.DATABASE_NO_ANSWER: entry(
        "database silent",
        "The connection to {db_at} stands, but the database says nothing.",
        "Check `engine` and `database.port` ({engine}, {db_port} now): another service may wait for "
        "other words.",
        "If {db_host} is overloaded, out of memory or its disk is full, look at it: `uptime`, `free -m`, "
        "`df -h`.",
        LOG_POSTGRESQL,
        LOG_MYSQL,
        "If the database is slow to answer, allow more time: `probe.timeout` in servers.yaml ({timeout} "
        "now).",
    ),
    Cause.DATABASE_STARTING: entry(
        "database starting",
        "The database {db_at} is starting, recovering or shutting down, and takes no connections now.",
        "Wait: the next probe follows by itself.",
        LOG_POSTGRESQL,
        LOG_MYSQL,
        postgresql(
            "If it is a standby, let it answer queries: `hot_standby = on` in postgresql.conf, then "
            "restart it."
        ),
    ),
    Cause.DATABASE_TOO_MANY_CONNECTIONS: entry(
        "too many connections",
        "The database {db_at} has as many connections as it, or the user {db_user}, may have.",
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
            "Raise the server's: `SET GLOBAL max_connections = 300;`, and `max_connections = 300` in my.cnf."
        ),
    ),
    Cause.DATABASE_HOST_NOT_ALLOWED: entry(
        "host not allowed",
        "The database {db_at} does not let {db_user} in from {origin}.",
        postgresql(
            "Add a line to pg_hba.conf on {db_host}, above any that reject: `host {db_name!hba} "
            "{db_user!hba} ADDRESS/32 scram-sha-256` (ADDRESS: {client}; IPv6: /128)."
        ),
        postgresql("Then load it: `SELECT pg_reload_conf();`. `SHOW hba_file;` tells where the file is."),
        postgresql("If such a line says `hostssl`, it is for TLS only: set `database.tls: require`."),
        mysql(
            "Make the user for that address: `CREATE USER {db_user!text}@'ADDRESS' IDENTIFIED BY "
            "'PASSWORD';` (ADDRESS: {client})."
        ),
        mysql("Then give it the database: `GRANT SELECT ON {db_name!sql}.* TO {db_user!text}@'ADDRESS';`."),
        mysql("`SELECT user, host FROM mysql.user;` lists who may come from where."),
    ),
    Cause.DATABASE_HOST_BLOCKED: entry(
        "host blocked",
        "The database {db_at} has blocked {origin} after too many connections that were broken off.",
        "Lift it: `FLUSH HOSTS;` (MySQL from 8.4 on: `TRUNCATE TABLE performance_schema.host_cache;`).",
        "Find who breaks them off: port scanners and health checks that connect without logging in; "
        "`SELECT ip, sum_connect_errors FROM performance_schema.host_cache;`.",
        "Allow more of them: `SET GLOBAL max_connect_errors = 10000;`, and the same in my.cnf.",
    ),
}

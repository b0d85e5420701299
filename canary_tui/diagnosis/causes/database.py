"""What can go wrong when the database is reached but does not begin a session."""

from __future__ import annotations

from canary_tui.diagnosis.causes import retries
from canary_tui.diagnosis.causes.row import Row
from canary_tui.diagnosis.engines import ENGINES
from canary_tui.diagnosis.lines import Slot, say, when
from canary_tui.diagnosis.stages import Cause, Stage

CHOICES = ", ".join(f"`{engine}` for {words.label}" for engine, words in ENGINES.items())
USUAL_PORTS = "; ".join(words.usual_ports for words in ENGINES.values() if words.usual_ports)

ROWS = (
    Row(
        cause=Cause.WRONG_PROTOCOL,
        stage=Stage.DATABASE,
        retry=retries.DATABASE_FOR_PERSON,
        title="not the expected database",
        summary=say(
            when("login", "What answers on {db_at} began a login and went on as no {engine_title} does."),
            when("tls", "What answers on {db_at} began TLS and went on as no {engine_title} does."),
            "Something answers on {db_at}, but it does not speak {engine_title}.",
        ),
        remedies=say(
            "Check `engine` in servers.yaml ({engine} now): " + CHOICES + ".",
            "Check `database.port` ({db_port} now): " + USUAL_PORTS + ".",
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
        summary=say("The database {db_at} accepted the connection and closed it without a word."),
        remedies=say(
            Slot.LOG,
            Slot.OWN,
            "If a load balancer or a proxy listens on {db_at}, check that a database behind it is up.",
            "If the database was restarting, the next probe tells: `canary probe {server!sh}`.",
        ),
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
            Slot.LOG,
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
            Slot.LOG,
            Slot.OWN,
        ),
    ),
    Row(
        cause=Cause.DATABASE_TOO_MANY_CONNECTIONS,
        stage=Stage.DATABASE,
        retry=retries.NETWORK,
        title="too many connections",
        summary=say("The database {db_at} has as many connections as it, or the user {db_user}, may have."),
        remedies=say(
            Slot.OWN,
            "If {db_at} is a pooler or a proxy, raise its own limit of clients.",
        ),
    ),
    Row(
        cause=Cause.DATABASE_HOST_NOT_ALLOWED,
        stage=Stage.DATABASE,
        retry=retries.DATABASE_REFUSED,
        title="host not allowed",
        summary=say("The database {db_at} does not let {db_user} in from {origin}."),
        remedies=say(
            Slot.OWN,
            "If {db_at} is a pooler or a proxy, its own list of addresses counts as well.",
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
        engine="mysql",
        remedies=say(
            "Lift it: `FLUSH HOSTS;` (MySQL from 8.4 on: `TRUNCATE TABLE performance_schema.host_cache;`).",
            "Find who breaks them off: port scanners and health checks that connect without logging in; "
            "`SELECT ip, sum_connect_errors FROM performance_schema.host_cache;`.",
            "Allow more of them: `SET GLOBAL max_connect_errors = 10000;`, and the same in my.cnf.",
        ),
        look_at=say("max_connect_errors; mysqladmin flush-hosts"),
    ),
)

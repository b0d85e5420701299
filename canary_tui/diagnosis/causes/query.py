"""What can go wrong with the probe's query, and what ends a probe at any stage."""

from __future__ import annotations

from canary_tui.diagnosis.causes import retries
from canary_tui.diagnosis.causes.phrases import (
    LOG,
    LOG_DROPBEAR,
    OPTIONS_DROPBEAR,
)
from canary_tui.diagnosis.causes.row import Row
from canary_tui.diagnosis.lines import Slot, dropbear, openssh, say, tunnel, when
from canary_tui.diagnosis.stages import Cause, Stage

ROWS = (
    Row(
        cause=Cause.QUERY_TIMED_OUT,
        stage=Stage.QUERY,
        retry=retries.NETWORK,
        silence=(Stage.QUERY,),
        title="query timed out",
        summary=say(
            when(
                "has:ended_after",
                "A time limit of the database {db_at}, or of a pooler before it, ended the probe's query "
                "after {ended_after}.",
            ),
            "The probe's query on {db_at} took longer than {timeout}, the limit of the whole probe.",
        ),
        remedies=say(
            when("has:own_query", "Use a query that is always fast: `probe.query: {plainest_query!plain}`."),
            Slot.OWN,
            when(
                "lacks:own_query",
                "`{plainest_query!plain}` waits for nothing: check the load of {db_host}, `uptime` and `free "
                "-m`, and of a pooler or proxy before it.",
            ),
            when(
                "lacks:ended_after",
                "If a query may take that long there, allow more time: `probe.timeout` in servers.yaml.",
            ),
        ),
    ),
    Row(
        cause=Cause.QUERY_DENIED,
        stage=Stage.QUERY,
        retry=retries.NETWORK,
        title="query denied",
        summary=say("The user {db_user} may not run the probe's query on {db_at}."),
        remedies=say(
            when("has:own_query", "Use a query that needs no rights: `probe.query: {plainest_query!plain}`."),
            Slot.OWN,
            when("has:own_query", "If the query writes: a probe's session is read-only, so that it cannot."),
            when(
                "lacks:own_query",
                "`{plainest_query!plain}` needs no rights: the words say who refuses it, maybe a pooler or "
                "a proxy.",
            ),
        ),
    ),
    Row(
        cause=Cause.QUERY_FAILED,
        stage=Stage.QUERY,
        retry=retries.DATABASE_REFUSED,
        title="query failed",
        summary=say("The database {db_at} is reached, but the probe's query failed."),
        remedies=say(
            when(
                "has:own_query",
                "Correct `probe.query` of {server}; the database's own words tell where it is wrong.",
            ),
            when("has:own_query", "Or use the one that always works: `probe.query: {plainest_query!plain}`."),
            when(
                "lacks:own_query",
                "`{plainest_query!plain}` needs nothing of the database: its own words say what is in the "
                "way. A pooler, a proxy or a cluster's node may answer queries before it is ready to.",
            ),
            Slot.LOG,
        ),
    ),
    Row(
        cause=Cause.CONNECTION_LOST,
        stage=Stage.QUERY,
        retry=retries.NETWORK,
        closed=(Stage.QUERY,),
        title="connection lost",
        summary=say(
            tunnel("The connection from {ssh_host} to the database {db_at} ended in the middle."),
            "The connection to the database {db_at} ended in the middle.",
        ),
        remedies=say(
            "If it happened once, wait: the next probe follows by itself.",
            Slot.LOG,
            "If an administrator or a script ends sessions there, let it spare `canary-tui`, the name that a "
            "probe gives.",
            "If a firewall or a proxy in between drops connections, check its limits.",
        ),
    ),
    Row(
        cause=Cause.TUNNEL_LOST,
        stage=None,
        retry=retries.NETWORK,
        title="tunnel lost",
        summary=say("The SSH connection to {ssh_at} ended in the middle. It is opened again by itself."),
        remedies=say(
            "If it happened once, wait: a restart of {ssh_host} or a change of network does this.",
            openssh(
                "If it happens again and again, see the reason in the SSH server's log: " + LOG + " on "
                "{ssh_host}."
            ),
            dropbear(
                "If it happens again and again, see the reason in dropbear's log: " + LOG_DROPBEAR + " on "
                "{ssh_host}."
            ),
            openssh(
                "If it dies when idle, `ClientAliveInterval 30` in `/etc/ssh/sshd_config` there keeps a NAT "
                "or a firewall from forgetting it."
            ),
            dropbear(
                "If it dies when idle, the options `-K 30` of dropbear, and no `-I` below that, keep a NAT "
                "or a firewall from forgetting it " + OPTIONS_DROPBEAR + "."
            ),
        ),
    ),
    Row(
        cause=Cause.INTERNAL_ERROR,
        stage=None,
        retry=retries.NETWORK,
        title="internal error",
        summary=say(
            when(
                "has:open_files",
                "canary-tui has as many files and connections open as the system lets it: {open_files}.",
            ),
            "canary-tui met something that it does not know, or has a defect. The words reported with it "
            "tell more.",
        ),
        remedies=say(
            when(
                "has:open_files",
                "Raise the hard limit of open files: `LimitNOFILE=65536` in the unit of a service, else a "
                "line `* hard nofile 65536` in `/etc/security/limits.conf`, and log in anew.",
            ),
            when(
                "has:open_files",
                "Each tunnel takes two of them, and each client of its local port two more: close clients "
                "that are not needed, or switch servers off.",
            ),
            when(
                "lacks:open_files",
                "Report it to the project that you have canary-tui from: those words, the stage, and what "
                "`canary --version` prints.",
            ),
            "Try once more: `canary probe {server!sh}`.",
        ),
    ),
)

"""What can go wrong between TLS and the database."""

from __future__ import annotations

from canary_tui.diagnosis.causes import retries
from canary_tui.diagnosis.causes.row import Row
from canary_tui.diagnosis.lines import Slot, direct, say, tunnel, when
from canary_tui.diagnosis.stages import Cause, Stage

ROWS = (
    Row(
        cause=Cause.TLS_NOT_OFFERED,
        stage=Stage.TLS,
        retry=retries.DATABASE_FOR_PERSON,
        unsafe=True,
        title="TLS not offered",
        summary=say(
            "The database {db_at} offers no TLS, which `database.tls: {tls!code}` asks for. No password was "
            "sent."
        ),
        remedies=say(
            Slot.OWN,
            tunnel(
                "If the way from {ssh_host} to {db_host} is trusted, set `database.tls: prefer`: from here "
                "to {ssh_host} SSH encrypts anyway."
            ),
            direct(
                "If the network to {db_host} is trusted, set `database.tls: prefer`: nothing is encrypted "
                "then."
            ),
        ),
    ),
    Row(
        cause=Cause.TLS_DOWNGRADED,
        stage=Stage.TLS,
        retry=retries.DATABASE_FOR_PERSON,
        unsafe=True,
        title="TLS no longer offered",
        summary=say(
            "The database {db_at} had TLS before and offers none now. No user name and no password was sent."
        ),
        remedies=say(
            "Ask its administrator whether TLS was switched off. If it was not, somebody between {origin} "
            "and {db_host} takes it out, to read what passes: look into that first.",
            Slot.OWN,
            "If it is to be without TLS from now on, say so: `canary trust {server!sh} --no-tls`.",
        ),
    ),
    Row(
        cause=Cause.TLS_REQUIRED,
        stage=Stage.TLS,
        retry=retries.DATABASE_FOR_PERSON,
        title="TLS required",
        summary=say("The database {db_at} lets {db_user} in only over TLS."),
        remedies=say(
            when(
                "has:no_tls",
                "Set `database.tls: require` in servers.yaml, or `verify-full` to check the certificate as "
                "well.",
            ),
            when(
                "lacks:no_tls",
                "No TLS was offered, and yet it is wanted: switch it on for {db_at}, or ask who runs it.",
            ),
            Slot.OWN,
        ),
    ),
    Row(
        cause=Cause.CERTIFICATE_UNTRUSTED,
        stage=Stage.TLS,
        retry=retries.DATABASE_FOR_PERSON,
        title="certificate not trusted",
        summary=say(
            "The certificate of {db_at} comes from an authority that is not trusted here. No password was "
            "sent."
        ),
        remedies=say(
            "Get the certificate of the authority that signed it from the administrator or the cloud "
            "provider, and set `database.ca_file` in servers.yaml to that PEM file.",
            Slot.CERTIFICATE,
            "If it is self-signed, the certificate itself can be the `ca_file`.",
            "Or do without the check: `database.tls: require` encrypts but takes any certificate.",
        ),
    ),
    Row(
        cause=Cause.CERTIFICATE_NAME_MISMATCH,
        stage=Stage.TLS,
        retry=retries.DATABASE_FOR_PERSON,
        title="certificate name mismatch",
        summary=say(
            "The certificate of {db_at} is not made out for the name {db_host}. No password was sent."
        ),
        remedies=say(
            "Set `database.host` to a name that the certificate carries.",
            Slot.CERTIFICATE,
            "Have a certificate made with `subjectAltName` for {db_host} (for an address: "
            "`IP:{db_host!code}`).",
            "Or set `database.tls: verify-ca`: the authority is checked, the name is not.",
        ),
    ),
    Row(
        cause=Cause.CERTIFICATE_EXPIRED,
        stage=Stage.TLS,
        retry=retries.DATABASE_FOR_PERSON,
        title="certificate expired",
        summary=say("The certificate of {db_at} is no longer valid, or not yet. No password was sent."),
        remedies=say(
            Slot.OWN,
            Slot.CERTIFICATE,
            "Check this machine's clock: `date -u`.",
        ),
    ),
    Row(
        cause=Cause.CLIENT_CERTIFICATE_REQUIRED,
        stage=Stage.TLS,
        retry=retries.DATABASE_FOR_PERSON,
        title="client certificate required",
        summary=say(
            "The database {db_at} asks {db_user} for a client certificate, which canary-tui does not have."
        ),
        remedies=say(
            Slot.OWN,
            "Or make a user for canary-tui that needs none, and set `database.user` to it.",
        ),
    ),
    Row(
        cause=Cause.CERTIFICATE_TOO_WEAK,
        stage=Stage.TLS,
        retry=retries.DATABASE_FOR_PERSON,
        title="certificate too weak",
        summary=say(
            "The certificate of {db_at}, or of an authority that signed it, is made with a key or a hash "
            "that counts as broken. No password was sent."
        ),
        remedies=say(
            "Have it made anew with SHA-256 and an RSA key of 2048 bits or more (or ECDSA P-256), by the "
            "same authority if that is not too weak itself: `openssl x509 -in FILE -noout -text | grep -E "
            "'Signature Algorithm|Public-Key'` shows both.",
            Slot.CERTIFICATE,
            "If the network to {db_host} is trusted meanwhile, `database.tls: require` encrypts without "
            "checking it.",
        ),
    ),
    Row(
        cause=Cause.TLS_TIMED_OUT,
        stage=Stage.TLS,
        retry=retries.BREAKS_OFF,
        silence=(Stage.TLS,),
        title="TLS timed out",
        summary=say(
            "The database {db_at} began the TLS handshake and did not finish it within the time limit."
        ),
        remedies=say(
            "Check the load of {db_host}: `uptime`, `free -m`.",
            "If something between {origin} and {db_host} inspects or shapes traffic, let port {db_port} "
            "pass: large packets that vanish look like this; `ping -M do -s 1472 {db_host!sh}` on {origin} "
            "shows it.",
            "If the way is slow, allow more time: `probe.timeout` in servers.yaml ({timeout} now).",
        ),
    ),
    Row(
        cause=Cause.TLS_FAILED,
        stage=Stage.TLS,
        retry=retries.DATABASE_FOR_PERSON,
        closed=(Stage.TLS,),
        title="TLS failed",
        summary=say("The TLS handshake with {db_at} failed. No password was sent."),
        remedies=say(
            Slot.OWN,
            Slot.LOG,
            "If the network to {db_host} is trusted, `database.tls: disable` does without TLS.",
        ),
    ),
)

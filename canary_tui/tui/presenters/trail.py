"""A connection test as a trail of stages, and the report about it for the SSH server's administrator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from canary_tui.diagnosis.stages import Cause, ProbeResult, Stage, StageResult
from canary_tui.tui.presenters.lines import Line, Tone, clip_line, fill, line, numbered, wrap
from canary_tui.tui.presenters.words import (
    STAGE_WORDS,
    cause_words,
    expected_stages,
    ms_words,
    utc_words,
)

if TYPE_CHECKING:
    from canary_tui.diagnosis.stages import HostKeyOffer
    from canary_tui.servers.model import Server

SPINNER = "◐◓◑◒"


class TestView(Protocol):
    """What the trail reads of a connection test under way."""

    @property
    def server(self) -> Server:
        """The server that is tested."""

    @property
    def stage(self) -> Stage | None:
        """The stage under way."""

    @property
    def stages(self) -> tuple[StageResult, ...]:
        """The stages that ended."""

    @property
    def result(self) -> ProbeResult | None:
        """How it ended."""


def trail(test: TestView, width: int, turn: int = 0) -> list[Line]:
    """Return one line a stage: pending ``○``, running, passed ``✓`` with its time, failed ``✕``.

    ``turn`` moves the sign of the stage under way.
    """
    done = test.result.stages if test.result is not None else test.stages
    lines = [_ended(stage) for stage in done]
    over = test.result is not None
    passed = {stage.stage for stage in done}
    if not over and test.stage is not None:
        sign = SPINNER[turn % len(SPINNER)]
        lines.append(line((f"{sign} {fill(STAGE_WORDS[test.stage], 16)}", Tone.ACCENT), ("  …", Tone.MUTED)))
        passed.add(test.stage)
    reached = max((list(Stage).index(stage) for stage in passed), default=-1)
    if not (over and test.result is not None and test.result.ok):
        lines += [
            line((f"○ {STAGE_WORDS[stage]}", Tone.MUTED))
            for stage in expected_stages(test.server)
            if list(Stage).index(stage) > reached
        ]
    return [clip_line(spans, width) for spans in lines]


def _ended(stage: StageResult) -> Line:
    tone = Tone.GOOD if stage.ok else Tone.BAD
    note = "  ".join(text for text in (stage.hop, stage.note) if text)
    return line(
        (f"{'✓' if stage.ok else '✕'} ", tone),
        (fill(STAGE_WORDS[stage.stage], 16), Tone.PLAIN if stage.ok else Tone.BAD),
        fill(ms_words(stage.ms), 9, right=True),
        ("   " + note if note else "", Tone.MUTED),
    )


def verdict(test: TestView, width: int) -> list[Line]:
    """Return the words below the trail: what came of it, what to do, the library's own words."""
    result = test.result
    if result is None:
        return [line(("Testing… escape cancels.", Tone.MUTED))]
    if result.failure is None:
        said = f"The whole way works: {ms_words(result.total_ms)} over a fresh connection."
        return [line(("✓ ", Tone.GOOD), (text, Tone.GOOD)) for text in wrap(said, width - 2)]
    failure = result.failure
    lines = [
        line(("✕ ", Tone.BAD), (f"{STAGE_WORDS[failure.stage]}: {cause_words(failure.cause)}", Tone.BAD)),
        *(line(text) for text in wrap(failure.summary, width)),
        line(),
        *numbered(failure.remedies, width),
    ]
    if failure.detail:
        said = f"In its own words: {failure.detail}"
        lines += [line(), *(line((text, Tone.MUTED)) for text in wrap(said, width))]
    return lines


LOOK_AT: dict[Stage, str] = {
    Stage.RESOLVE: "the DNS entry of the SSH server",
    Stage.CONNECT: "that sshd runs and listens there, and the firewall in front of it",
    Stage.HANDSHAKE: "sshd's log; MaxStartups, PerSourcePenalties and TCP wrappers; ciphers and key exchange",
    Stage.HOST_KEY: "the host key: ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub",
    Stage.AUTH: "~/.ssh/authorized_keys of this user and its permissions (StrictModes), AllowUsers, "
    "PubkeyAuthentication; sshd's log has the reason",
    Stage.FORWARD: "AllowTcpForwarding and PermitOpen in sshd_config, permitopen= in authorized_keys; "
    "from the SSH server: nc -vz DATABASE PORT",
    Stage.DATABASE: "the database's log; limits of connections; what listens on that port",
    Stage.TLS: "the database's certificate and TLS settings",
    Stage.LOGIN: "the database's user, its password and rights; pg_hba.conf",
    Stage.QUERY: "the database's log",
}


def report(server: Server, result: ProbeResult, fingerprint: str = "") -> str:
    """Return what the SSH server's administrator needs to know, as plain text without a secret."""
    ssh, database = server.tunnel, server.database
    address = next((stage.note for stage in result.stages if stage.stage is Stage.RESOLVE and stage.note), "")
    lines = [f"canary-tui: connection test of {server.name}", f"Time:      {utc_words(result.started_at)}"]
    if ssh is not None:
        seen = f" ({address})" if address else ""
        lines.append(f"SSH:       {ssh.user}@{ssh.host} port {ssh.port}{seen}")
    if fingerprint:
        lines.append(f"Key:       {fingerprint}")
    way = "as the SSH server sees it" if ssh is not None else "direct"
    lines.append(f"Database:  {server.engine.value} {database.host} port {database.port} ({way})")
    failure = result.failure
    if failure is None:
        lines.append("Result:    the whole way works")
    else:
        lines += [
            f"Stage:     {failure.stage.value} ({STAGE_WORDS[failure.stage]})",
            f"Cause:     {failure.cause.value}",
            f"Meaning:   {failure.summary}",
        ]
        if failure.detail:
            lines.append(f"Said:      {failure.detail}")
        if failure.stage in LOOK_AT:
            lines.append(f"Look at:   {LOOK_AT[failure.stage]}")
    lines.append("Stages:")
    lines += [
        f"  {'ok  ' if s.ok else 'FAIL'} {s.stage.value:<10} {s.ms:9.1f} ms  {s.note}".rstrip()
        for s in result.stages
    ]
    return "\n".join(lines) + "\n"


def needs_decision(result: ProbeResult) -> bool:
    """Tell whether the test stopped at a host key that a person may accept."""
    return (
        result.host_key is not None
        and result.failure is not None
        and result.failure.cause in {Cause.HOST_KEY_UNKNOWN, Cause.HOST_KEY_CHANGED}
    )


def host_key_lines(offer: HostKeyOffer, width: int) -> list[Line]:
    """Return the host-key question: what is offered, what was known, how to compare."""
    kind = offer.key_type.removeprefix("ssh-").removeprefix("ecdsa-sha2-").split("@")[0]
    file = "ecdsa" if "nistp" in kind else kind
    place = offer.host if offer.port == 22 else f"{offer.host} port {offer.port}"
    changed = bool(offer.known)
    if changed:
        said = (
            f"{place} shows ANOTHER host key than the one you trust. Somebody may stand between, "
            "or the server was set up anew. Ask its administrator before you go on."
        )
    else:
        said = f"{place} is not known yet. Is this really its key? Compare once; from then on it is checked."
    lines = [line((text, Tone.BAD if changed else Tone.PLAIN)) for text in wrap(said, width)]
    lines += [line(), line(("Offered now  ", Tone.MUTED), offer.key_type)]
    lines.append(line(("             ", Tone.MUTED), (offer.fingerprint, Tone.STRONG)))
    for known in offer.known:
        since = f", trusted since {known.since}" if known.since else ""
        lines.append(line(("Trusted      ", Tone.MUTED), f"{known.key_type}{since}"))
        lines.append(line(("             ", Tone.MUTED), known.fingerprint))
    lines += [line(), line("To compare, on the SSH server:")]
    lines.append(line(("  ssh-keygen -lf ", Tone.ACCENT), (f"/etc/ssh/ssh_host_{file}_key.pub", Tone.ACCENT)))
    lines += [line()] if offer.evidence else []
    for evidence in offer.evidence:
        lines += [line((text, Tone.MUTED)) for text in wrap(evidence, width)]
    return lines

"""The report about a connection test for the people who run the SSH server and the database."""

from __future__ import annotations

from typing import TYPE_CHECKING

from canary_tui.diagnosis.catalogue import look_at
from canary_tui.diagnosis.stages import Stage
from canary_tui.diagnosis.words import host_key_file
from canary_tui.tui.presenters.words import stage_words, utc_words

if TYPE_CHECKING:
    from canary_tui.diagnosis.stages import Failure, ProbeResult
    from canary_tui.keys.authorized import KeyInfo
    from canary_tui.servers.model import Server

LINE_HELPS = frozenset({Stage.AUTH, Stage.FORWARD})
"""Stages at which the line to install is part of the answer."""


def report(server: Server, result: ProbeResult, key: KeyInfo | None = None) -> str:
    """Return what an administrator needs to know, as plain text without a secret."""
    failure = result.failure
    lines = [f"canary-tui: connection test of {server.name}", *_ends(server, result, key)]
    if failure is None:
        lines.append("Result:    the whole way works")
    else:
        lines += _failure(result, failure, _words(server, result, key))
        if key is not None and failure.stage in LINE_HELPS:
            lines.append(f"Line:      {key.restricted}")
    lines.append("Stages:")
    lines += [
        f"  {'ok  ' if s.ok else 'FAIL'} {s.stage.value:<10} {s.ms:9.1f} ms  {s.note}".rstrip()
        for s in result.stages
    ]
    return "\n".join(lines) + "\n"


def _ends(server: Server, result: ProbeResult, key: KeyInfo | None) -> list[str]:
    """Return when it was, and who talked to whom."""
    ssh, database = server.tunnel, server.database
    address = next((stage.note for stage in result.stages if stage.stage is Stage.RESOLVE and stage.note), "")
    seen = f" ({address})" if address else ""
    lines = [f"Time:      {utc_words(result.started_at)}"]
    if ssh is not None:
        lines.append(f"SSH:       {ssh.user}@{ssh.host} port {ssh.port}{seen}")
    if key is not None:
        lines.append(f"Key:       {key.fingerprint}")
    way = "as the SSH server sees it" if ssh is not None else f"direct{seen}"
    lines.append(f"Database:  {server.engine.value} {database.host} port {database.port}, {way}")
    if not server.engine.facts.has_login:
        return lines
    words = server.words
    lines.append(f"Login:     {words['db_user']} on {words['db_name']}")
    return lines


def _failure(result: ProbeResult, failure: Failure, words: dict[str, str]) -> list[str]:
    lines = [
        f"Stage:     {failure.stage.value} ({stage_words(failure.stage, direct=result.direct)})",
        f"Cause:     {failure.cause.value}",
        f"Meaning:   {failure.summary}",
    ]
    if failure.detail:
        lines.append(f"Said:      {failure.detail}")
    offer = result.host_key
    if offer is not None:
        lines.append(f"Host key:  {offer.key_type} {offer.fingerprint} was shown")
        lines += [f"           {known.key_type} {known.fingerprint} is trusted" for known in offer.known]
    look = look_at(failure.cause, failure.stage, words)
    return [*lines, f"Look at:   {look}"] if look else lines


def _words(server: Server, result: ProbeResult, key: KeyInfo | None) -> dict[str, str]:
    """Return the names that the setting to look at is told with."""
    offer = result.host_key
    words = server.words | {"host_key_file": host_key_file(offer.key_type if offer else "ssh-ed25519")}
    return words | {"ssh_software": key.ssh_family.value} if key is not None else words

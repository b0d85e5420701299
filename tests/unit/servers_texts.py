"""Texts of ``servers.yaml``, and the mistakes in them."""

from __future__ import annotations

from canary_tui.servers.file import BadFile
from canary_tui.servers.reading import parse

ENTRY = "servers:\n- name: a\n  engine: postgresql\n  database: {host: h}\n"


def mistakes(text: str) -> list[str]:
    """Return what is said about a wrong file, or about wrong entries of one that is used."""
    try:
        fleet = parse(text, "servers.yaml").fleet
    except BadFile as bad:
        return str(bad).splitlines()
    assert fleet.broken
    return [str(problem) for entry in fleet.broken for problem in entry.problems]


def in_database(field: str) -> str:
    return f"servers:\n- name: a\n  engine: mysql\n  database:\n    host: h\n    {field}\n"

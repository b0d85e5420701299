"""The words of every engine, by the name that ``engine:`` has in servers.yaml."""

from __future__ import annotations

from canary_tui.diagnosis.engines import mysql, postgresql, tcp
from canary_tui.diagnosis.engines.words import EngineWords

ENGINES: dict[str, EngineWords] = {
    "postgresql": postgresql.WORDS,
    "mysql": mysql.WORDS,
    "tcp": tcp.WORDS,
}
"""In the order of the manual; the first is meant where no engine is known."""

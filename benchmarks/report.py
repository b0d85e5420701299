"""What the benchmarks found, as Markdown tables between the markers of docs/performance.md."""

from __future__ import annotations

import os
import platform
import re
import statistics
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tests.harness.process import find_binary

if TYPE_CHECKING:
    from collections.abc import Sequence

PAGE = Path(__file__).parents[1] / "docs" / "performance.md"
UNITS = (("s", 1.0), ("ms", 1e3), ("µs", 1e6))
AT_LEAST, AT_MOST = "≥", "≤"


@dataclass(frozen=True)
class Row:
    """One thing that was measured: ours, what it is held against, their ratio, and the aim for that."""

    what: str
    ours: str
    against: str = ""
    ratio: str = ""
    aim: str = ""
    met: bool | None = None

    def cells(self) -> list[str]:
        """Return the row's cells; an aim says whether it was met."""
        verdict = "" if self.met is None else " ✓" if self.met else " ✕"
        return [self.what, self.ours, self.against, self.ratio, self.aim + verdict]


@dataclass
class Section:
    """One benchmark's table."""

    name: str
    columns: Sequence[str]
    rows: list[Row] = field(default_factory=list)
    load: str = ""
    """How busy the machine was before and after."""

    def markdown(self) -> str:
        """Return the table, without the columns that nothing stands in, and the load below it."""
        cells = [row.cells() for row in self.rows]
        used = [n for n in range(len(self.columns)) if n == 0 or any(row[n] for row in cells)]
        lines = [[self.columns[n] for n in used], ["---"] + ["--:"] * (len(used) - 1)]
        lines += [[row[n] for n in used] for row in cells]
        text = "\n".join("| " + " | ".join(line) + " |" for line in lines)
        return f"{text}\n\n{self.load}" if self.load else text


def compared(
    what: str, ours: Sequence[float], theirs: Sequence[float], *, aim: float, unit: str = "time"
) -> Row:
    """Hold medians against each other; ``aim`` limits their ratio (for a speed from below)."""
    mine, other = statistics.median(ours), statistics.median(theirs)
    ratio = mine / other
    say = {"time": duration, "memory": memory, "speed": speed}[unit]
    sign = AT_LEAST if unit == "speed" else AT_MOST
    met = ratio >= aim if unit == "speed" else ratio <= aim
    return Row(what, say(mine), say(other), f"{ratio:.2f} ×", f"{sign} {aim:.2f} ×", met)


def duration(seconds: float) -> str:
    """Return a time in the unit that suits it."""
    name, factor = next((unit for unit in UNITS if seconds * unit[1] >= 1), UNITS[-1])
    return f"{seconds * factor:.3g} {name}"


def memory(size: float) -> str:
    """Return a size in MB."""
    return f"{size / 1e6:.0f} MB"


def speed(rate: float) -> str:
    """Return a rate in MB/s."""
    return f"{rate / 1e6:.0f} MB/s"


def load() -> str:
    """Return how many processes wanted a core, on average over the last minute."""
    return f"{os.getloadavg()[0]:.1f}"


def machine() -> str:
    """Return what it was measured on; no names of hosts or people."""
    model = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text("utf-8"))
    programs = [("sshd", "-V"), ("postgres", "--version"), ("mariadbd", "--version"), ("autossh", "-V")]
    parts = [f"{os.cpu_count()} cores ({model[1] if model else platform.machine()})"]
    parts += [f"Linux {platform.release().partition('-')[0]}", f"Python {platform.python_version()}"]
    parts += [_version(*program) for program in programs]
    return ", ".join(filter(None, parts)) + "."


def _version(program: str, option: str) -> str:
    path = find_binary(program)
    if path is None:
        return f"no {program}"
    done = subprocess.run([path, option], capture_output=True, text=True, check=False)
    said = done.stdout + done.stderr
    patterns = (r"OpenSSH_[\w.]+", r"PostgreSQL\) ([\d.]+)", r"Ver ([\d.]+-MariaDB)", r"autossh ([\w.]+)")
    found = next(filter(None, (re.search(pattern, said) for pattern in patterns)), None)
    names = {"postgres": "PostgreSQL ", "mariadbd": "", "sshd": "", "autossh": "autossh "}
    return f"{names[program]}{found[found.lastindex or 0]}" if found else program


def write(sections: Sequence[Section], page: Path = PAGE) -> None:
    """Put tables between their markers; the words around them stay. Raises ValueError without a marker."""
    text = page.read_text("utf-8")
    for name, table in (*((s.name, s.markdown()) for s in sections), ("machine", machine())):
        begin, end = f"<!-- bench:{name} -->", f"<!-- /bench:{name} -->"
        before, found, rest = text.partition(begin)
        _, closed, after = rest.partition(end)
        if not found or not closed:
            raise ValueError(f"{page.name} has no markers {begin} … {end}")
        text = f"{before}{begin}\n{table}\n{end}{after}"
    page.write_text(text, "utf-8")

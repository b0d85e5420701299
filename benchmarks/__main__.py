"""Run benchmarks: ``python -m benchmarks [NAME …] [--quick] [--minutes N]``."""

from __future__ import annotations

import argparse
import importlib

from benchmarks.report import load, write

NAMES = ("tunnels", "bulk", "query", "connect", "strangers", "attacks", "recovery", "many", "soak", "history")


def main() -> None:
    """Run what was asked for, print each table, and put those of a full run into docs/performance.md."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure canary-tui.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(NAMES)}; all by default")
    parser.add_argument(
        "--quick", action="store_true", help="small and once: shows that it runs; writes nothing"
    )
    parser.add_argument("--minutes", type=float, default=10.0, help="how long the soak takes (default 10)")
    options = parser.parse_args()
    unknown = [name for name in options.names if name not in NAMES]
    if unknown:
        parser.error(f"there is no benchmark {', '.join(unknown)}")
    for name in options.names or NAMES:
        more = {"minutes": options.minutes} if name == "soak" else {}
        before = load()
        section = importlib.import_module(f"benchmarks.{name}").measure(quick=options.quick, **more)
        print(f"\n{name}\n\n{section.markdown()}", flush=True)
        if not options.quick:
            section.load = f"The machine's load before: {before}."
            write([section])


if __name__ == "__main__":
    main()

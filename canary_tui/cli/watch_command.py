"""``canary watch``."""

from __future__ import annotations

import logging
import signal
import time
from datetime import datetime
from typing import TYPE_CHECKING

import click

from canary_tui.ending import END_SECONDS, Ending
from canary_tui.surroundings import wanted_signals

if TYPE_CHECKING:
    from canary_tui.monitor.events import AnyEvent
    from canary_tui.monitor.watch import Watch
    from canary_tui.paths import Paths

log = logging.getLogger(__name__)

STOP_SECONDS = END_SECONDS - 0.4
"""What closing the tunnels may take."""
INTERRUPTED = 130
NAMES = 5
"""How many servers of an incident are named in a line."""


@click.command("watch")
@click.option(
    "--json", "as_json", is_flag=True, help="Every event, one JSON object a line (docs/reference.md)."
)
@click.pass_obj
def command(paths: Paths, as_json: bool) -> int:
    """Hold the tunnels and probe, without screens, until a signal comes: for a service unit.

    Prints what changes; with --json every event. Keeps the same history as the application. Exit status
    0 after SIGTERM and SIGHUP, 130 after Ctrl-C, 1 when another process of yours monitors already.
    """
    from canary_tui.monitor.lock import Lock
    from canary_tui.servers.file import read

    read(paths.servers)  # a file that is wrong at the start is a mistake to be told, not to be waited out
    lock = Lock(paths)
    holder = lock.acquire()
    if holder is not None:
        click.echo(f"{holder.words(time.time())}; canary watch does not run beside it.", err=True)
        return 1
    from canary_tui.monitor.watch import Watch

    watch = Watch(paths, lock)
    # Stopped there too: a terminal that nobody reads may keep this thread.
    ending = Ending(lambda _: watch.stop(STOP_SECONDS), status=_status)
    with ending.on((signal.SIGTERM, *wanted_signals(signal.SIGHUP, signal.SIGINT))):
        watch.start()
        try:
            _print(watch, as_json=as_json)
        finally:
            watch.stop(STOP_SECONDS)
    if watch.failure is not None:
        from canary_tui.cli.errors import in_words

        click.echo(f"The monitor ended. {in_words(watch.failure, paths.state)[0]}", err=True)
        return 1
    return _status(ending.signal)


def _status(number: int) -> int:
    return INTERRUPTED if number == signal.SIGINT else 0


def _print(watch: Watch, *, as_json: bool) -> None:
    from canary_tui.monitor.json_records import event_json, json_line

    words = _Words()
    left_out = 0
    for event in watch.events():
        text = json_line(event_json(event)) if as_json else words.of(event)
        if text:
            _say(text)
        if watch.left_out != left_out:
            click.echo(
                f"{watch.left_out - left_out} events were left out: they were not read in time", err=True
            )
            left_out = watch.left_out


def _say(text: str) -> None:
    """Print a line. A service goes on when what it writes to is full, or a terminal that is gone."""
    try:
        click.echo(text)
    except BrokenPipeError:
        raise
    except OSError:
        log.debug("a line could not be written", exc_info=True)


class _Words:
    """Events as lines for a person or a journal: what changes, not every probe that finds the same."""

    def __init__(self) -> None:
        self._states: dict[str, str] = {}

    def of(self, event: AnyEvent) -> str:
        """Return an event's line; empty for one that says nothing new."""
        said = self._said(event)
        if said is None:
            return ""
        server, text = said
        return (
            f"{datetime.fromtimestamp(event.at).astimezone():%Y-%m-%d %H:%M:%S}  {server or '-':<16} {text}"
        )

    def _said(self, event: AnyEvent) -> tuple[str, str] | None:
        from canary_tui.monitor import events

        match event:
            case events.ProbeFinished():
                name, failure = event.result.server, event.result.failure
                text = f"✕ {failure.summary}" if failure else "✓ answers"
                return (name, text) if self._is_new(f"probe {name}", text) else None
            case events.TunnelChanged():
                new = self._is_new(f"tunnel {event.server}", event.state)
                return (event.server, event.words) if new else None
            case events.FleetLoaded(fleet=fleet):
                wrong = [f"✕ {entry.mistakes}" for entry in fleet.broken]
                wrong += [f"warning: {warning}" for warning in fleet.warnings]
                watched = f"{sum(server.enabled for server in fleet.servers)} servers are watched"
                new = self._is_new("servers file", "; ".join(wrong))
                return "", "; ".join([watched, *wrong] if new else [watched])
            case events.PasswordWanted():
                text = "no source has its database password"
                return (event.server, text) if self._is_new(f"password {event.server}", text) else None
            case _:
                return _always_said(event)

    def _is_new(self, what: str, state: str) -> bool:
        before = self._states.get(what)
        self._states[what] = state
        return state != before


def _always_said(event: AnyEvent) -> tuple[str, str] | None:
    from canary_tui.monitor import events
    from canary_tui.monitor.durations import duration_words

    match event:
        # Who joins one, or leaves it, has said so itself.
        case events.IncidentChanged(change="opened" | "closed"):
            incident = event.incident
            end = f" after {duration_words(incident.ended - incident.started)}" if incident.ended else ""
            text = f"incident {event.change}{end}: {incident.place} ({_names(incident.servers)})"
            return "", f"{text}; {incident.ended_by}" if incident.ended_by else text
        case events.FileRejected():
            return "", "; ".join(event.problems)
        case events.ClientRefused():
            return event.server, f"client refused: {event.reason}"
        case events.LocalEndChanged():
            return event.server, event.words
        case events.Noted():
            return event.server, event.text
        case events.Slept():
            return "", f"the machine slept for {duration_words(event.seconds)}"
        case _:
            return None


def _names(servers: tuple[str, ...]) -> str:
    more = len(servers) - NAMES
    return ", ".join(servers) if more <= 0 else f"{', '.join(servers[:NAMES])} and {more} more"

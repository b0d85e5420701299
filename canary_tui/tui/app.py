"""The application: takes facts from the monitor, hands intents to it, has one worker a tunnel."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, ClassVar, TypeVar

from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.worker import Worker, WorkerState

from canary_tui.monitor.board import Snapshot
from canary_tui.monitor.requests import GivePassword, Remove, Restore, StartClient
from canary_tui.tui.driver import TerminalDriver
from canary_tui.tui.files import Choices, read_choices, write_choices
from canary_tui.tui.holding import Holding
from canary_tui.tui.key_gate import KeyGate
from canary_tui.tui.palette import ServerCommands, system_commands
from canary_tui.tui.places import Places
from canary_tui.tui.presenters import second_copy
from canary_tui.tui.screens.dialogs import AskPassword, Confirm
from canary_tui.tui.screens.help import Reading, help_lines
from canary_tui.tui.screens.page import Page, done, error_words
from canary_tui.tui.screens.server_list import ServerList
from canary_tui.tui.shell import run_client
from canary_tui.tui.styles import style_sheets
from canary_tui.tui.themes import DARK, THEMES
from canary_tui.tui.uptimes import Uptimes
from canary_tui.tui.widgets.bars import reachable_keys

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from concurrent.futures import Future
    from pathlib import Path

    from textual import events
    from textual.screen import Screen

    from canary_tui.monitor.lock import Holder
    from canary_tui.monitor.request import Monitor
    from canary_tui.servers.model import Server
    from canary_tui.servers.secrets import Secret

T = TypeVar("T")

TICK = 0.1
"""Seconds between two looks at the monitor's facts."""
REFUSAL = 5.0
"""Seconds for which it is shown why a key does nothing."""


class CanaryApp(Places):
    """Screens over a monitor that runs on a thread of its own."""

    TITLE = "canary"
    VERTICAL_BREAKPOINTS = [(0, "-short"), (16, "-low"), (22, "-medium"), (30, "-tall")]  # noqa: RUF012 - Textual declares it so
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (60, "-wide")]  # noqa: RUF012
    COMMANDS = App.COMMANDS | {ServerCommands}
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("question_mark,f1", "help", "help"),
        Binding("q", "quit", "quit"),
        Binding("ctrl+q", "quit", "quit", priority=True),
    ]

    def __init__(
        self, monitor: Monitor, state: Path | None = None, *, clock: Callable[[], float] = time.time
    ) -> None:
        super().__init__(css_path=style_sheets(), driver_class=TerminalDriver)
        self.crash: BaseException | None = None
        """The defect by which the application, or the monitor behind it, ends."""
        self.monitor = monitor
        self.clock = clock
        self.facts = Snapshot()
        self.loop: asyncio.AbstractEventLoop | None = None
        self.home = ServerList()
        self.keys = KeyGate(self, starting=lambda: not self.facts.loaded)
        self._state = state
        self._second = 0
        self._refused_until = 0.0
        self.uptimes = Uptimes(self, monitor)
        self._holding = Holding(self, monitor)
        self._removed: list[Server] = []
        self._leaving: Confirm | None = None
        for theme in THEMES:
            self.register_theme(theme)
        chosen = read_choices(state).theme if state is not None else ""
        self.theme = chosen if chosen in self.available_themes else DARK.name

    def on_mount(self) -> None:
        """Show the list and begin to look at the monitor."""
        self.loop = asyncio.get_running_loop()
        if self.crash is not None:
            self.exit(return_code=1)
        # Before the first paint: nothing is offered for a moment that is then taken back.
        self.facts = Snapshot(monitored_by=self.monitor.snapshot().monitored_by)
        self.theme_changed_signal.subscribe(self, lambda _theme: self._remember())
        self.push_screen(self.home)
        self.set_interval(TICK, self._tick)

    async def on_event(self, event: events.Event) -> None:
        """Look at a key when all that was typed before it has been carried out."""
        if self.keys.passes(event):
            await super().on_event(event)

    @contextmanager
    def suspend(self) -> Iterator[None]:
        """Give the terminal away."""
        with self.keys.terminal_away(), super().suspend():
            yield

    def end_for(self, error: BaseException) -> None:
        """End because of a defect, from any thread; who started the application says so then."""
        self.crash = self.crash or error
        if self.loop is not None:
            with suppress(RuntimeError):  # The loop is closed: the application has ended already.
                self.loop.call_soon_threadsafe(partial(self.exit, return_code=1))

    def _handle_exception(self, error: Exception) -> None:
        """End where nobody caught an error; Textual would print the values of variables, passwords too."""
        self._return_code = 1
        if self._exception is None:  # the pilot of a test raises it
            self._exception = error
            self._exception_event.set()
        self.crash = self.crash or error
        self._close_messages_no_wait()

    # Facts

    def _tick(self) -> None:
        """Take the facts over. Time-relative cells move once a second."""
        if not self.home.ready:
            return
        snapshot = self.monitor.snapshot()
        second = int(self.clock())
        changed = snapshot.version != self.facts.version
        if changed:
            before, self.facts = self.facts.monitored_by, snapshot
            if before != snapshot.monitored_by:
                self._monitor_changed(before)
            self._holding.follow(snapshot)
        self.uptimes.keep_fresh()
        page = next((screen for screen in reversed(self.screen_stack) if isinstance(screen, Page)), None)
        # A screen that is being torn down has lost its widgets while this timer still runs.
        if page is not None and page.in_use and not self.keys.closed:
            if changed or self.uptimes.changed or second != self._second:
                self.uptimes.changed = False
                page.show_facts(self.facts)
            page.tick()
        self._second = second

    @property
    def view_only(self) -> bool:
        """Whether another process monitors: nothing is offered that needs the monitor."""
        return self.facts.monitored_by is not None

    def say_who_monitors(self) -> None:
        """Say why something is not possible in this copy."""
        holder, now = self.facts.monitored_by, time.monotonic()
        if holder is not None and now >= self._refused_until:  # a key that is held down is answered once
            self._refused_until = now + REFUSAL
            words = second_copy.refusal(holder, self.clock())
            self.notify(words, severity="warning", timeout=REFUSAL, markup=False)

    def _monitor_changed(self, before: Holder | None) -> None:
        """Offer what is possible now, on every screen."""
        for screen in self.screen_stack:
            if isinstance(screen, Page) and screen.in_use:
                screen.mark()
        if before is not None and not self.view_only:
            self.notify(second_copy.taken_over(before), timeout=10, markup=False)

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """Say why a tunnel's worker, or something that was asked for, ended badly."""
        worker = event.worker
        if event.state is WorkerState.ERROR and worker.error is not None:
            self.notify(
                error_words(worker.error), title=worker.name, severity="error", timeout=12, markup=False
            )

    # Intents that more than one screen has

    def saved(self, server: Server, was: Server | None) -> None:
        """A form was saved: its server is the one under the cursor from now on."""
        verb = "Added" if was is None else "Saved"
        self.notify(f"{verb} {server.name}.", markup=False)
        self.home.table.select_soon(server.name)

    @property
    def can_undo(self) -> bool:
        """Whether a deleted server can be brought back."""
        return bool(self._removed)

    async def done_and_shown(self, future: Future[T]) -> T:
        """Wait for the monitor and show what it did: the next key stands on that."""
        answer = await done(future)
        self._tick()
        return answer

    async def remove_server(self, server: Server) -> None:
        """Delete a server; ``undo_remove`` brings it back."""
        await self.done_and_shown(self.monitor.ask(Remove(server.name)))
        self._removed.append(server)
        self.notify(f"Deleted {server.name}; u brings it back.", markup=False)
        self.screen.refresh_bindings()

    async def undo_remove(self) -> None:
        """Bring the server back that was deleted last."""
        if self._removed:
            server = self._removed[-1]
            self.home.table.select_soon(server.name)
            await self.done_and_shown(self.monitor.ask(Restore(server)))
            self._removed.remove(server)
            self.notify(f"{server.name} is back.", markup=False)
            self.screen.refresh_bindings()

    def ask_password(self, server: Server, given: Callable[[], None] = lambda: None) -> None:
        """Ask for a database password and hand it to the monitor; ``given`` is called when that is done."""

        def answered(password: Secret | None) -> None:
            if password is not None:
                self.monitor.ask(GivePassword(server.name, password))
                given()

        whose = f"{server.words['db_user']} on {server.database.host} ({server.name})"
        self.push_screen(AskPassword(whose), answered)

    def copy(self, text: str, what: str, *, show: bool = True) -> None:
        """Copy to the clipboard of the terminal (OSC 52); a terminal may refuse, so ``show`` it too."""
        self.copy_to_clipboard(text)
        words = f"{text}\n" if show else ""
        self.notify(f"{words}The {what}: copied, where the terminal allows it.", markup=False)

    async def shell(self, name: str) -> None:
        """Give the terminal to psql or mysql until it ends."""
        argv, environment = await done(self.monitor.ask(StartClient(name)))
        trouble = await run_client(self, argv, environment)
        if trouble:
            self.notify(trouble, severity="warning", timeout=10, markup=False)

    # The application itself

    def action_help(self) -> None:
        """Show the keys of this screen and the signs."""
        keys = reachable_keys(self.screen)
        shown = [key for key, in_bar in keys if in_bar]
        hidden = [key for key, in_bar in keys if not in_bar]
        self.push_screen(Reading(help_lines([*shown, *hidden])))

    async def action_quit(self) -> None:
        """Leave; ask first while programs are connected through a tunnel."""
        clients = 0 if self.view_only else sum(row.clients for row in self.monitor.snapshot().rows)
        if not clients:
            self.exit()
            return
        if self._leaving in self.screen_stack:  # ctrl+q reaches the application behind every dialog
            return

        def decided(yes: bool | None) -> None:
            if yes:
                self.exit()

        count = f"{clients} client connection{'' if clients == 1 else 's'}"
        self._leaving = Confirm("Quit canary?", f"{count} through its tunnels will be cut.")
        self.push_screen(self._leaving, decided)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """A question is answered before the palette opens; its key reaches the application behind it."""
        return action != "command_palette" or not self.screen.is_modal

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """Offer every action of the screen in the palette, and the themes."""
        return system_commands(self, screen)

    def _remember(self) -> None:
        if self._state is not None:
            choices = Choices(theme=self.theme)
            self.run_worker(
                asyncio.to_thread(write_choices, self._state, choices),
                name="remember the theme",
                group="choices",
                exit_on_error=False,
            )

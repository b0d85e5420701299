"""What the command palette offers: the screen's actions, and every server."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, cast

from textual.app import SystemCommand
from textual.command import Hit, Hits, Provider

from canary_tui.monitor.board import Health

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from textual.app import App
    from textual.screen import Screen

    from canary_tui.tui.app import CanaryApp


class ServerCommands(Provider):
    """What can be done with a server, found by its name."""

    async def search(self, query: str) -> Hits:
        """Yield the commands whose words match."""
        app = cast("CanaryApp", self.app)
        matcher = self.matcher(query)
        for row in app.facts.rows:
            name = row.server.name
            commands: list[tuple[str, Callable[[], None]]] = [(f"{name}: log", partial(app.open_log, name))]
            usable = row.health is not Health.BROKEN
            if usable and row.server.tunnel is not None:
                commands.append((f"{name}: public key", partial(app.open_key, name)))
            if usable and not app.view_only:
                commands.append((f"{name}: test", partial(app.open_test, name)))
                commands.append((f"{name}: edit", partial(app.open_form, row.server)))
                if row.server.tunnel is not None:
                    commands.append((f"{name}: audit of the key", partial(app.open_audit, name)))
            for words, call in commands:
                score = matcher.match(words)
                if score > 0:
                    yield Hit(score, matcher.highlight(words), call, text=words)


def system_commands(app: App[None], screen: Screen[object]) -> Iterator[SystemCommand]:
    """Go through every action of a screen, and what the application itself offers."""
    for active in screen.active_bindings.values():
        binding = active.binding
        if binding.description and active.enabled and binding.action != "command_palette":
            key = app.get_key_display(binding)
            run = partial(app.run_action, binding.action, active.node)
            yield SystemCommand(binding.description.capitalize(), f"key {key}", run)
    yield SystemCommand("Theme", "Choose other colours; remembered", app.action_change_theme)
    yield SystemCommand("Screenshot", "Save this screen as SVG", app.deliver_screenshot)

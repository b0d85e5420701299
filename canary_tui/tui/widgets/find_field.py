"""The line in which a person types what a list is narrowed to."""

from __future__ import annotations

from textual.widgets import Input


class FindField(Input):
    """Hidden, and out of the way of keys, until it is opened."""

    def __init__(self, placeholder: str, *, id: str) -> None:  # noqa: A002 - Textual's name
        super().__init__(placeholder=placeholder, compact=True, id=id, classes="hidden", disabled=True)

    @property
    def is_open(self) -> bool:
        """Whether it is shown."""
        return not self.disabled

    def open(self) -> None:
        """Show it; the keys go there from now on."""
        self.disabled = False
        self.remove_class("hidden")
        self.focus()

    def close(self) -> None:
        """Empty and hide it."""
        self.value = ""
        self.add_class("hidden")
        self.disabled = True

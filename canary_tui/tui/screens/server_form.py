"""SSH settings form: adds a server or changes one."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.widgets import Input, Static

from canary_tui.monitor.requests import GivePassword, Save
from canary_tui.servers import fields
from canary_tui.servers.model import Engine, Server, TlsMode, name_like
from canary_tui.servers.secrets import Secret
from canary_tui.tui.presenters import form, urls
from canary_tui.tui.presenters.lines import Tone, line
from canary_tui.tui.screens.dialogs import Confirm
from canary_tui.tui.screens.page import Page, error_words
from canary_tui.tui.widgets.bars import Words
from canary_tui.tui.widgets.choice import Choice
from canary_tui.tui.widgets.form_field import FormField, FormInput

if TYPE_CHECKING:
    from collections.abc import Iterable

    from textual.widget import Widget

HINTS: dict[str, str] = {
    "tags": "separated by commas",
    "every": fields.every.allowed,
    "timeout": f"{fields.timeout.allowed}, the whole probe",
}
PLACEHOLDERS: dict[str, str] = {
    "name": "orders-prod, or paste postgresql://… here",
    "db_host": "as the SSH server sees it",
    "db_name": "the user's own when empty",
    "password_env": "ORDERS_PASSWORD",
    "password_command": "op read op://vault/orders/password",
    "ca_file": "the system's when empty",
    "ssh_host": "bastion.example.com",
    "local_port": "chosen once when empty",
}
TAKES_URLS = frozenset({"name", "db_host"})
SECTIONS: dict[str, str] = {"name": "Database", "ssh_enabled": "SSH tunnel", "every": "Probe"}
"""The field before which a section's title stands."""
OPTIONS: dict[str, tuple[str, ...]] = {
    "engine": tuple(Engine),
    "ssh_enabled": ("on", "off"),
    "password_from": (form.ASK, form.ENV, form.COMMAND, form.KEYRING),
    "tls": tuple(TlsMode),
}


class ServerForm(Page):
    """Each field is checked as it is left; nothing that was typed is ever lost."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s", "save", "save"),
        Binding("tab,down", "app.focus_next", "next field", show=False),
        # Priority: a text field has something else to do with it.
        Binding("enter", "app.focus_next", "next field", show=False, priority=True),
        Binding("shift+tab,up", "app.focus_previous", "previous field", show=False),
    ]

    def __init__(self, server: Server | None, taken: frozenset[str]) -> None:
        super().__init__(server.name if server is not None else "new server")
        self._server = server
        self._taken = taken - ({server.name} if server is not None else set())
        self._start = form.values_of(server) if server is not None else form.blank()
        self._pasted: Secret | None = None
        self._saving = False

    def body(self) -> Iterable[Widget]:
        """Three sections."""
        yield Words(id="form-trouble")
        with_sections: list[Widget] = []
        for key in form.LABELS:
            if key in SECTIONS:
                with_sections.append(Static(SECTIONS[key], classes="section"))
            with_sections.append(self._make(key))
        yield VerticalScroll(*with_sections, id="form", can_focus=False)

    def _make(self, key: str) -> FormField:
        value = self._start[key]
        control: Input | Choice
        if key in OPTIONS:
            control = Choice(OPTIONS[key], value)
        else:
            control = FormInput(
                value,
                placeholder=PLACEHOLDERS.get(key, ""),
                compact=True,
                password=key == "password_keyring",
                select_on_focus=False,
            )
            control.takes_urls = key in TAKES_URLS
        return FormField(key, form.LABELS[key], control, HINTS.get(key, ""))

    def on_mount(self) -> None:
        """Begin in the first field."""
        self._show_fields()
        self.query_one("#name").focus()

    # What stands in the form

    def field(self, key: str) -> FormField:
        """Return a field by its key."""
        return self.query_one(f"#field-{key.replace('_', '-')}", FormField)

    @property
    def values(self) -> form.Values:
        """What stands in the fields now."""
        return {key: self.field(key).value for key in form.LABELS}

    def fill(self, values: form.Values) -> None:
        """Put values into fields; messages of those fields go."""
        for key, value in values.items():
            self.field(key).value = value
            self.field(key).complain("")

    def _show_fields(self) -> None:
        values = self.values
        for key in form.LABELS:
            self.field(key).set_class(not form.in_use(key, values), "hidden")
        direct = values["ssh_enabled"] == "off"
        host = self.field("db_host").input
        if isinstance(host, Input):
            host.placeholder = "as this machine sees it" if direct else PLACEHOLDERS["db_host"]

    @on(Choice.Changed)
    def _chosen(self, event: Choice.Changed) -> None:
        if event.choice.id == "engine":
            self._follow_engine(Engine(event.value))
        self._show_fields()

    def _follow_engine(self, engine: Engine) -> None:
        """The default port and query follow the engine until a person has typed others."""
        for key, default in (("db_port", form.default_port), ("query", form.default_query)):
            field = self.field(key)
            if field.value.strip() in {"", *map(default, Engine)}:
                field.value = default(engine)

    @on(FormField.Left)
    def _left(self, event: FormField.Left) -> None:
        field = event.field
        if field.key in TAKES_URLS and urls.is_url(field.value):
            text, field.value = field.value, ""  # it may hold a password
            self._take_url(text)
        if field.key == "ssh_host":
            self._take_destination(field.value)
        field.complain(form.problem(field.key, self.values, self._taken) if self._worth_saying(field) else "")

    def _worth_saying(self, field: FormField) -> bool:
        """A field of a new server that was only passed through is not complained about yet."""
        return bool(field.value.strip()) or field.value != self._start[field.key] or self._server is not None

    # Pasted and joined

    @on(FormInput.Pasted)
    def _url_pasted(self, event: FormInput.Pasted) -> None:
        self._take_url(event.text)

    def _take_url(self, text: str) -> None:
        try:
            parts = urls.parse_url(text)
        except ValueError as error:
            self._say(f"What was pasted {error}.")
            return
        values = {
            "engine": parts.engine.value,
            "db_host": parts.host,
            "db_port": parts.port or form.default_port(parts.engine),
            "db_name": parts.name,
            "db_user": parts.user,
            "ca_file": parts.ca_file,
        }
        if not self.field("name").value.strip():
            values["name"] = name_like(parts.name or parts.host)
        if parts.tls is not None:
            values["tls"] = parts.tls.value
        self.fill(values)
        self._pasted = parts.password
        said = f"Left out: {', '.join(parts.left_out)}. " if parts.left_out else ""
        if parts.password is not None:
            said += (
                "The password of the URL is kept in memory for this run, or in the keyring if you choose it "
                "under 'Password from'. It is not shown or written to servers.yaml."
            )
        self.notify(said or "Check the fields.", title="Filled in from the URL", timeout=10, markup=False)

    def _take_destination(self, text: str) -> None:
        """``user@host:22`` typed into the host's field goes to the three fields that it means."""
        user, host, port = urls.split_destination(text)
        if host == text.strip() or not host:
            return
        values = {"ssh_host": host}
        if user:
            values["ssh_user"] = user
        if port:
            values["ssh_port"] = port
        self.fill(values)
        self.notify("Split into host, port and user.", markup=False)

    # Leaving

    def action_save(self) -> None:
        """Check everything and save; the first wrong field gets the focus."""
        values = self.values
        wrong = form.problems(values, self._taken)
        for key in form.LABELS:
            self.field(key).complain(wrong.get(key, ""))
        if wrong:
            count = len(wrong)
            self._say(f"Not saved: {count} field{'' if count == 1 else 's'} to mend.")
            self.field(next(iter(wrong))).input.focus()
            return
        try:
            server = form.build(values, self._server)
        except ValueError as error:
            self._say(f"Not saved: {error}")
            return
        if not self._saving:
            self._saving = True
            self._say("Saving…", Tone.MUTED)
            self.carry_out(partial(self._save, server, values), "save")

    async def _save(self, server: Server, values: form.Values) -> None:
        old = self._server.name if self._server is not None else None
        typed = values["password_keyring"]
        keyring = values["password_from"] == form.KEYRING and form.in_use("password_from", values)
        secret = (Secret(typed) if typed else self._pasted) if keyring else None
        try:
            saved = await self.canary.done_and_shown(self.canary.monitor.ask(Save(server, old, secret)))
        finally:
            self._saving = False
        if self._pasted is not None and not keyring:
            self.canary.monitor.ask(GivePassword(saved.name, self._pasted))
        self.canary.saved(saved, was=self._server)
        self.dismiss()
        if saved.tunnel is not None and (self._server is None or self._server.tunnel is None):
            self.canary.open_key(saved.name)

    def trouble(self, error: BaseException) -> None:
        """Say above the fields why it was not saved."""
        self._say(f"Not saved: {error_words(error)}")

    def _say(self, words: str, tone: Tone = Tone.BAD) -> None:
        self.query_one("#form-trouble", Words).say(line((words, tone)))

    @property
    def changed(self) -> bool:
        """Whether anything differs from how the form was opened."""
        return self.values != self._start or self._pasted is not None

    def action_back(self) -> None:
        """Leave; ask only when something would be lost."""
        if not self.changed:
            self.dismiss()
            return

        def decided(yes: bool | None) -> None:
            if yes:
                self.dismiss()

        self.app.push_screen(Confirm("Leave without saving?", "What you typed is lost."), decided)

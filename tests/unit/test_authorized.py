"""The restricted line: what it allows, and the steps that install it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary_tui.diagnosis.findings import what_to_do
from canary_tui.keys.authorized import key_info, restricted_line, script, step_commands, steps
from canary_tui.keys.ssh_software import software
from canary_tui.servers.model import Database, Engine, Server, SshServer, host_problem
from tests.unit.authorized_homes import BARE


def server(
    host: str = "10.0.3.12", port: int = 5432, *, user: str = "ssh_user", enabled: bool = True
) -> Server:
    return Server(
        name="orders-prod",
        engine=Engine.POSTGRESQL,
        database=Database(host=host, port=port),
        ssh=SshServer(host="bastion", user=user, enabled=enabled),
    )


LISTEN = 'permitlisten="localhost:1"'


def test_the_line_has_exactly_the_options_that_limit() -> None:
    options = (
        'restrict,port-forwarding,permitopen="10.0.3.12:5432",permitlisten="localhost:1",command="/bin/false"'
    )
    assert restricted_line(BARE, "10.0.3.12", 5432) == f"{options} {BARE}"


def test_an_ipv6_database_stands_in_brackets() -> None:
    assert 'permitopen="[fd00::9]:5432"' in restricted_line(BARE, "fd00::9", 5432)


def test_an_old_sshd_is_given_only_options_that_it_knows() -> None:
    assert "permitlisten" in restricted_line(BARE, "h", 1, software("SSH-2.0-OpenSSH_7.8"))
    before_permitlisten = restricted_line(BARE, "h", 1, software("SSH-2.0-OpenSSH_7.7p1"))
    assert before_permitlisten.startswith('restrict,port-forwarding,permitopen="h:1",command="/bin/false" ')
    before_restrict = restricted_line(BARE, "h", 1, software("SSH-2.0-OpenSSH_6.6.1p1"))
    options = before_restrict.removesuffix(" " + BARE).split(",")
    assert options == [
        "no-agent-forwarding",
        "no-X11-forwarding",
        "no-pty",
        "no-user-rc",
        'permitopen="h:1"',
        'command="/bin/false"',
    ]


@pytest.mark.parametrize("bad", ["", "h\n", 'h"', "a b", "h,x", "`id`", "[::1]", "o'brien", "h\\"])
def test_a_host_that_would_break_the_line_is_refused(bad: str) -> None:
    with pytest.raises(ValueError, match="no host name"):
        restricted_line(BARE, bad, 5432)


@pytest.mark.parametrize("bad", ["", "ssh-rsa", BARE + "\nssh-rsa AAAA", "restrict " + BARE, "hello AAAA!"])
def test_a_text_that_is_no_public_key_line_is_refused(bad: str) -> None:
    with pytest.raises(ValueError, match="not a public key line"):
        restricted_line(bad, "h", 5432)


@given(host=st.text(min_size=1, max_size=40), port=st.integers(1, 65535))
def test_every_host_that_the_settings_allow_makes_a_line(host: str, port: int) -> None:
    if not host_problem(host):
        assert restricted_line(BARE, host, port).endswith(BARE)


NEW = "restrict,port-forwarding"
OLD = "no-agent-forwarding,no-X11-forwarding,no-pty"
TO = 'permitopen="h:1"'
FALSE = 'command="/bin/false"'


@pytest.mark.parametrize(
    ("banner", "name", "options"),
    [
        ("SSH-2.0-OpenSSH_9.2p1 Debian-2", "OpenSSH 9.2", f"{NEW},{TO},{LISTEN},{FALSE}"),
        ("SSH-2.0-OpenSSH_10.0p2", "OpenSSH 10.0", f"{NEW},{TO},{LISTEN},{FALSE}"),
        ("SSH-2.0-OpenSSH_for_Windows_8.1", "OpenSSH 8.1", f"{NEW},{TO},{LISTEN},{FALSE}"),
        ("SSH-1.99-OpenSSH_7.4", "OpenSSH 7.4", f"{NEW},{TO},{FALSE}"),
        ("SSH-2.0-OpenSSH_5.3", "OpenSSH 5.3", f"{OLD},no-user-rc,{TO},{FALSE}"),
        ("SSH-2.0-OpenSSH", "OpenSSH of a version that it does not say", f"{OLD},{TO},{FALSE}"),
        ("SSH-2.0-dropbear_2022.83", "dropbear 2022.83", f"{OLD},{TO},{FALSE}"),
        ("SSH-2.0-dropbear_2025.88", "dropbear 2025.88", f"{OLD},{TO},{FALSE}"),
        ("SSH-2.0-dropbear_2020.81", "dropbear 2020.81", f"{OLD},{FALSE}"),
        ("SSH-2.0-dropbear_0.52", "dropbear 0.52", f"{OLD},{FALSE}"),
        ("SSH-2.0-dropbear", "dropbear of a version that it does not say", f"{OLD},{FALSE}"),
        ("SSH-2.0-Go", "not OpenSSH", f"{OLD},{TO},{FALSE}"),
        ("SSH-2.0-Sun_SSH_1.1", "not OpenSSH", f"{OLD},{TO},{FALSE}"),
        ("", "OpenSSH 7.8", f"{NEW},{TO},{LISTEN},{FALSE}"),
    ],
)  # fmt: skip
def test_the_line_has_only_options_that_the_server_knows(banner: str, name: str, options: str) -> None:
    seen = software(banner)
    assert seen.name == name
    assert restricted_line(BARE, "h", 1, seen) == f"{options} {BARE}"


def test_what_the_line_cannot_limit_is_said() -> None:
    def note(banner: str, user: str = "ssh_user") -> str:
        info = key_info(
            line=BARE,
            fingerprint="SHA256:x",
            created=0.0,
            path="/k",
            server=server(user=user),
            software=software(banner),
        )
        assert info.restricted == restricted_line(BARE, "10.0.3.12", 5432, software(banner))
        assert info.restricted in info.steps[-1]
        return info.limits_note

    assert note("") == note("SSH-2.0-OpenSSH_9.2p1") == ""
    assert note("SSH-2.0-Go").startswith("The SSH server is not OpenSSH and cannot limit reverse forwards")
    advice = what_to_do(["reverse_forward"], ["reverse_forward"], software("SSH-2.0-Go").name)
    assert advice.startswith("The SSH server is not OpenSSH: no line closes this there.")
    assert "OpenSSH 7.4" in note("SSH-2.0-OpenSSH_7.4")
    assert "reverse forwards" in note("SSH-2.0-OpenSSH_7.4")
    assert "everything that the SSH server reaches" in note("SSH-2.0-dropbear_2019.78")
    assert "everything that the SSH server reaches" not in note("SSH-2.0-dropbear_2022.83")
    assert "root" in note("SSH-2.0-OpenSSH_9.2p1", user="root")


def test_the_steps_are_the_five_of_the_key_view_with_their_commands() -> None:
    told = steps(BARE)
    assert [sentence[:3] for sentence in told] == ["1. ", "2. ", "3. ", "4. ", "5. "]
    assert all(
        f"`{command}`" in sentence for sentence, command in zip(told, step_commands(BARE), strict=True)
    )


def test_a_line_break_can_be_smuggled_into_neither_steps_nor_script() -> None:
    for make in (steps, script):
        with pytest.raises(ValueError, match="no line breaks"):
            make(BARE + "\nssh-rsa AAAA evil")
    with pytest.raises(ValueError, match="no public key"):
        script("hello")

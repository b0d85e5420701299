"""Who watches over a client's login adds nothing and changes nothing, whatever is said."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary_tui.databases.registry import login_guard_for
from canary_tui.servers.model import Database, Engine
from tests.unit.logins import CLIENT, SERVER, Heard, Said, guard_of, sent_by


@pytest.mark.parametrize("engine", list(Engine))
def test_who_allows_it_is_not_watched(engine: Engine) -> None:
    assert login_guard_for(engine, Database(host="10.0.0.1", port=1, allow_cleartext=True)) is None


def test_nor_is_who_speaks_what_nobody_knows() -> None:
    assert login_guard_for(Engine.TCP, Database(host="10.0.0.1", port=1)) is None


@pytest.mark.parametrize("engine", [Engine.POSTGRESQL, Engine.MYSQL])
@given(
    said=st.lists(
        st.tuples(st.sampled_from([CLIENT, SERVER]), st.binary(min_size=1, max_size=60)), max_size=30
    )
)
def test_whatever_is_said_nothing_is_added_or_changed(engine: Engine, said: list[Said]) -> None:
    heard = Heard(guard_of(engine)).play(said)
    if not heard.guard.refused:
        up, down = heard.guard.held_back()
        assert heard.by[SERVER] + up == sent_by(CLIENT, said)
        assert heard.by[CLIENT] + down == sent_by(SERVER, said)
    assert sent_by(CLIENT, said).startswith(heard.by[SERVER])
    assert sent_by(SERVER, said).startswith(heard.by[CLIENT])

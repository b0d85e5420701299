"""When something is tried again: by the kind of failure, within bounds, spread by chance."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from canary_tui.diagnosis.causes import CAUSES_BY_STAGE, ROWS, retries
from canary_tui.diagnosis.causes.retries import Retry
from canary_tui.diagnosis.stages import Cause, Stage
from canary_tui.monitor.backoff import SPANS, delay, retry_of_probe
from canary_tui.servers.model import Engine

CHANCE = st.floats(min_value=0, max_value=1, exclude_max=True)
ATTEMPT = st.integers(min_value=1, max_value=10_000)


def test_no_tunnel_is_tried_by_itself_at_a_host_that_nobody_trusts() -> None:
    for cause in CAUSES_BY_STAGE[Stage.HOST_KEY]:
        assert ROWS[cause].retry.tunnel is Retry.PERSON, cause


def test_a_key_that_was_refused_is_offered_seldom() -> None:
    """Jumpboxes ban clients that log in every few seconds."""
    refused = [row for row in ROWS.values() if row.refuses_key]
    assert refused
    assert {row.retry.tunnel for row in refused} == {Retry.REFUSED}


def test_only_this_machine_and_the_ssh_server_put_a_tunnel_off() -> None:
    for cause, row in ROWS.items():
        if row.stage not in {Stage.SETTINGS, Stage.HOST_KEY, Stage.AUTH}:
            assert row.retry.tunnel is Retry.NETWORK, cause


def test_a_probe_that_tells_why_the_tunnel_is_not_open_comes_when_it_is_due() -> None:
    for cause, row in ROWS.items():
        if row.retry.tunnel is not Retry.NETWORK:
            assert row.retry.probe is None, cause


def test_a_handshake_that_our_limit_broke_off_counts_with_mysql_only() -> None:
    broken = [cause for cause in Cause if retry_of_probe(cause, Engine.MYSQL) is Retry.BROKEN_OFF]
    assert broken
    assert {retry_of_probe(cause, Engine.POSTGRESQL) for cause in broken} == {None}


def test_logins_that_were_rejected_are_not_hammered() -> None:
    """What may be over at any time is no rejection: silence, and a database that is away."""
    for cause in CAUSES_BY_STAGE[Stage.LOGIN]:
        if not ROWS[cause].silence and cause is not Cause.DATABASE_UNAVAILABLE:
            assert retry_of_probe(cause) in {Retry.REFUSED, Retry.PERSON}, cause


def test_certificates_that_were_refused_wait_for_a_person() -> None:
    """Dropped handshakes count at MySQL, against everybody behind the jumpbox."""
    for cause in CAUSES_BY_STAGE[Stage.TLS]:
        if not ROWS[cause].silence:
            assert retry_of_probe(cause) is Retry.PERSON, cause


def test_trouble_on_the_way_to_the_first_host_is_probed_again_when_it_is_due() -> None:
    for stage in (Stage.RESOLVE, Stage.CONNECT, Stage.HANDSHAKE):
        for cause in CAUSES_BY_STAGE[stage]:
            assert retry_of_probe(cause) is None, cause


def test_silence_beyond_this_machine_is_no_refusal() -> None:
    for cause, row in ROWS.items():
        if set(row.silence) - {Stage.SETTINGS}:
            assert row.retry in {retries.NETWORK, retries.BREAKS_OFF}, cause


def test_a_no_that_nobody_has_listed_is_met_like_any_other() -> None:
    for cause in (Cause.FORWARD_REFUSED, Cause.LOGIN_REFUSED, Cause.QUERY_FAILED):
        assert retry_of_probe(cause) is Retry.REFUSED, cause


@given(attempt=ATTEMPT, chance=CHANCE)
def test_network_trouble_waits_half_a_minute_at_most(attempt: int, chance: float) -> None:
    first, longest = SPANS[Retry.NETWORK]
    assert (first, longest) == (0.5, 30.0)
    seconds = delay(Retry.NETWORK, attempt, chance)
    assert 0.1 <= seconds <= min(longest, first * 2 ** min(attempt - 1, 10))


@given(attempt=ATTEMPT, chance=CHANCE)
def test_a_refusal_waits_between_one_minute_and_fifteen(attempt: int, chance: float) -> None:
    assert 60 <= delay(Retry.REFUSED, attempt, chance) <= 900


@given(attempt=ATTEMPT, chance=CHANCE)
def test_no_attempt_waits_less_than_the_one_before_at_the_same_chance(attempt: int, chance: float) -> None:
    for retry in SPANS:
        assert delay(retry, attempt + 1, chance) >= delay(retry, attempt, chance)


def test_jitter_is_full_for_network_trouble() -> None:
    """Servers behind one jumpbox must not come back together: the whole span is used."""
    assert delay(Retry.NETWORK, 7, 0.0) == 0.1
    assert delay(Retry.NETWORK, 7, 0.5) == 15.0
    assert delay(Retry.NETWORK, 7, 0.999) > 29.9


def test_the_first_refusals_of_many_servers_are_spread_too() -> None:
    assert delay(Retry.REFUSED, 1, 0.0) < delay(Retry.REFUSED, 1, 0.9)

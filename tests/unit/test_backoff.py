"""When something is tried again: by the kind of failure, within bounds, spread by chance."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary_tui.diagnosis.stages import CAUSES_BY_STAGE, Cause, Stage
from canary_tui.monitor import backoff
from canary_tui.monitor.backoff import SPANS, Retry, delay, retry_of_probe, retry_of_tunnel

CHANCE = st.floats(min_value=0, max_value=1, exclude_max=True)
ATTEMPT = st.integers(min_value=1, max_value=10_000)


def test_no_cause_is_in_two_policies() -> None:
    assert not backoff.TUNNEL_REFUSED & backoff.TUNNEL_FOR_PERSON
    assert not backoff.DATABASE_REFUSED & backoff.DATABASE_FOR_PERSON


@pytest.mark.parametrize("cause", list(Cause))
def test_every_cause_has_one_policy_for_a_tunnel(cause: Cause) -> None:
    expected = Retry.NETWORK
    if cause in CAUSES_BY_STAGE[Stage.HOST_KEY] or cause in {
        Cause.SETTINGS_INVALID, Cause.KEY_MISSING, Cause.KEY_UNREADABLE, Cause.KEY_PERMISSIONS
    }:  # fmt: skip
        expected = Retry.PERSON
    elif cause in {
        Cause.KEY_NOT_ACCEPTED, Cause.KEY_LOGIN_NOT_OFFERED,
        Cause.MORE_AUTHENTICATION_REQUIRED, Cause.TOO_MANY_ATTEMPTS,
    }:  # fmt: skip
        expected = Retry.REFUSED
    assert retry_of_tunnel(cause) is expected


def test_logins_that_were_rejected_are_not_hammered() -> None:
    for cause in CAUSES_BY_STAGE[Stage.LOGIN]:
        expected = {
            Cause.LOGIN_TIMED_OUT: None,
            Cause.DATABASE_UNAVAILABLE: None,
            Cause.PASSWORD_NOT_SENT: Retry.PERSON,
        }.get(cause, Retry.REFUSED)
        assert retry_of_probe(cause) is expected, cause


def test_certificates_that_were_refused_wait_for_a_person() -> None:
    """Dropped handshakes count at MySQL, against everybody behind the jumpbox."""
    for cause in CAUSES_BY_STAGE[Stage.TLS]:
        expected = None if cause is Cause.TLS_TIMED_OUT else Retry.PERSON
        assert retry_of_probe(cause) is expected, cause


def test_trouble_on_the_way_is_probed_again_when_it_is_due() -> None:
    for stage in (Stage.RESOLVE, Stage.CONNECT, Stage.HANDSHAKE, Stage.FORWARD, Stage.QUERY):
        for cause in CAUSES_BY_STAGE[stage]:
            # What nobody has listed is somebody's no, and met like one.
            unlisted = cause in {Cause.FORWARD_REFUSED, Cause.QUERY_FAILED}
            assert retry_of_probe(cause) is (Retry.REFUSED if unlisted else None)


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

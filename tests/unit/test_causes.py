"""The causes: each has one row, and the tables made of the rows have no hole."""

from __future__ import annotations

from collections import Counter

import pytest

from canary_tui.diagnosis.causes import CAUSES_BY_STAGE, ROWS, by_cause
from canary_tui.diagnosis.causes.stage_words import LOOK_AT, TITLES
from canary_tui.diagnosis.stages import Cause, Stage


def test_a_cause_without_a_row_is_named() -> None:
    rows = [row for row in ROWS.values() if row.cause is not Cause.TLS_FAILED]
    with pytest.raises(ValueError, match=r": tls_failed$"):
        by_cause(rows)


def test_a_cause_with_two_rows_is_named() -> None:
    with pytest.raises(ValueError, match=r": tls_failed$"):
        by_cause([*ROWS.values(), ROWS[Cause.TLS_FAILED]])


def test_silence_has_one_name_at_each_stage() -> None:
    assert Counter(stage for row in ROWS.values() for stage in row.silence) == Counter(Stage)


def test_a_closed_connection_has_one_name_at_each_stage_that_has_one() -> None:
    on_a_connection = set(Stage) - {Stage.SETTINGS, Stage.RESOLVE, Stage.CONNECT, Stage.FORWARD}
    assert Counter(stage for row in ROWS.values() for stage in row.closed) == Counter(on_a_connection)


def test_each_cause_belongs_to_one_stage_or_to_none() -> None:
    found = [cause for causes in CAUSES_BY_STAGE.values() for cause in causes]
    anywhere = [cause for cause, row in ROWS.items() if row.stage is None]
    assert Counter([*found, *anywhere]) == Counter(Cause)


def test_each_stage_has_a_title_and_all_but_our_own_a_setting_to_look_at() -> None:
    assert set(TITLES) == set(Stage)
    assert set(LOOK_AT) == set(Stage) - {Stage.SETTINGS}

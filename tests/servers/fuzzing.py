"""How often a property is tried, and words that somebody else makes up."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

MINUTES = pytest.mark.parametrize("times", [1, pytest.param(10, marks=pytest.mark.soak)])
"""A few seconds in each run, and always the same; half a minute of something else by ``make soak``."""

NEUTRAL = st.text("äöüßйцукенあい語 \t", max_size=60).map(str.encode)
"""Words that no table has."""
SENTENCES = st.sampled_from([
    b"Der Mandant wurde nicht gefunden",
    "für Sie gibt es heute nichts".encode("cp1252"),
    "接続できませんでした".encode("cp932"),
    "本日は受け付けておりません".encode("euc-jp"),
    "сегодня никого не пускаем".encode("koi8-r"),
    "由于目标计算机积极拒绝，无法连接。".encode("gbk"),
    "اليوم لا نستقبل أحدا".encode(),
    b"\x1b]52;c;Zm9v\x07 come in \x1b[31m",
    b"two\r\nlines",
])  # fmt: skip
WORDS = st.one_of(NEUTRAL, st.text(max_size=60).map(str.encode), st.binary(max_size=60), SENTENCES)
"""Any words, in any language and encoding."""


def few(examples: int, times: int) -> settings:
    """Try a property so often, and ``times`` as often at length; each time the same where that is once."""
    return settings(
        max_examples=examples * times,
        derandomize=times == 1,
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )

"""For all tests: those whose server is not installed are skipped, and named last of all."""

from __future__ import annotations

import signal
from collections.abc import Generator

import pytest
from _pytest.terminal import TerminalReporter

from tests.harness import needs


def pytest_configure(config: pytest.Config) -> None:
    """Make the mark known, and the signals heard that whoever started the tests ignores."""
    # What `nohup make test &` ignores, the programs that the tests start would ignore too. A lost terminal
    # is still no end of the tests: a handler stays here, and becomes the default in what is started.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, lambda _number, _frame: None)
    config.addinivalue_line("markers", "needs(*what): skipped unless sshd, postgres, mariadb… is installed")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip, or fail with CI=true, what cannot run here."""
    for mark in item.iter_markers("needs"):
        needs.require(*mark.args)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None]:
    """Say as the very last lines what was not run because a server is missing."""
    result = yield
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if isinstance(reporter, TerminalReporter):
        skipped = [report.longrepr for report in reporter.stats.get("skipped", [])]
        reasons = [where[2] for where in skipped if isinstance(where, tuple)]
        for line in needs.not_run(reasons):
            reporter.write_line(line, yellow=True)
    return result

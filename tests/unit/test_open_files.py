"""The limit of open files: raised at the start, and named when it is used up."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
from typing import TYPE_CHECKING

from canary_tui.diagnosis.catalogue import explain
from canary_tui.diagnosis.stages import Cause, Stage
from canary_tui.tunnels.failures import connect_failure
from canary_tui.tunnels.open_files import unexpected

if TYPE_CHECKING:
    from pathlib import Path


START = """
import resource, sys
from pathlib import Path
from canary_tui.monitor.local import LocalMonitor
from canary_tui.paths import Paths
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 128))
monitor = LocalMonitor(Paths.below(Path(sys.argv[1])))
monitor.start()
print(*resource.getrlimit(resource.RLIMIT_NOFILE))
monitor.stop()
"""


def test_a_monitor_that_starts_may_open_as_many_files_as_the_system_lets_it(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", START, str(tmp_path)], capture_output=True, text=True, check=True, timeout=30
    )
    assert done.stdout.split() == ["128", "128"]


def test_no_descriptor_left_is_said_with_the_limit_and_what_to_do() -> None:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    error = OSError(errno.EMFILE, os.strerror(errno.EMFILE))
    for failed in (connect_failure(error), unexpected(error)):
        failure = explain(failed, Stage.CONNECT, {})
        assert failure.cause is Cause.INTERNAL_ERROR
        assert f"as many files and connections open as the system lets it: {soft}" in failure.summary
        assert "LimitNOFILE" in failure.remedies[0]
        assert "Too many open files" in failure.detail


def test_any_other_surprise_is_not_blamed_on_the_limit() -> None:
    failure = explain(unexpected(OSError(errno.EIO, "Input/output error")), Stage.CONNECT, {})
    assert "does not know" in failure.summary
    assert "LimitNOFILE" not in " ".join(failure.remedies)

"""A machine of its own for an sshd (a network namespace), whose packets can vanish on the way."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Self

import pytest

from tests.harness.process import find_binary, run
from tests.harness.sshd import Sshd


class FarAway:
    """A network namespace beside this machine's, joined to it by one link. Only root can make one.

    ``here`` and ``there`` are the addresses of the link's two ends.
    """

    def __init__(self) -> None:
        number = os.getpid() % 512
        network = f"198.{18 + number // 256}.{number % 256}"  # for tests, and nobody's (RFC 2544)
        self.here, self.there = f"{network}.1", f"{network}.2"
        self.name = f"canary{os.getpid()}"

    def __enter__(self) -> Self:
        """Make it, or skip the test."""
        if os.geteuid() != 0 or find_binary("ip") is None:
            pytest.skip("needs root and ip(8), for a network namespace")
        try:
            run(["ip", "netns", "add", self.name])
        except RuntimeError as error:
            pytest.skip(f"needs network namespaces: {error}")
        near, far = f"c{os.getpid()}", f"d{os.getpid()}"
        for command in (
            f"ip link add {near} type veth peer name {far} netns {self.name}",
            f"ip addr add {self.here}/24 dev {near}",
            f"ip link set {near} up",
            f"ip -n {self.name} addr add {self.there}/24 dev {far}",
            f"ip -n {self.name} link set {far} up",
            f"ip -n {self.name} link set lo up",
        ):
            run(command.split())
        return self

    def __exit__(self, *_: object) -> None:
        """Take it away, and the link with it."""
        run(["ip", "netns", "del", self.name])

    def vanish(self) -> None:
        """From now on nothing comes back from there, not even an acknowledgement."""
        run(f"ip -n {self.name} route add blackhole {self.here}/32".split())

    def come_back(self) -> None:
        """Packets pass again."""
        run(f"ip -n {self.name} route del blackhole {self.here}/32".split())


class FarSshd(Sshd):
    """An sshd on that machine."""

    def __init__(self, folder: Path, far: FarAway) -> None:
        self.far = far
        super().__init__(folder)
        self.host = far.there

    def _prepare(self) -> list[str]:
        return ["ip", "netns", "exec", self.far.name, *super()._prepare()]

"""A change of this machine's network is seen, and what is none is not taken for one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from canary_tui.monitor import network
from canary_tui.monitor.network import NetworkMeter, ways_out

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

HEAD = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n"
HOME = "wlan0\t00000000\t0101A8C0\t0003\t0\t0\t600\t00000000\t0\t0\t0\n"
OFFICE = "wlan0\t00000000\t0100000A\t0003\t0\t0\t600\t00000000\t0\t0\t0\n"
LINK = "fe800000000000000000000000000001 04 40 20 80     veth7\n"
OUT = "20010db8000000000000000000000001 04 40 00 {flags}     wlan0\n"


def meter(
    monkeypatch: pytest.MonkeyPatch, folder: Path, routes: str, addresses: str = ""
) -> tuple[NetworkMeter, Path, Path]:
    route, inet6 = folder / "route", folder / "if_inet6"
    monkeypatch.setattr(network, "ROUTES", route)
    monkeypatch.setattr(network, "ADDRESSES", inet6)
    route.write_text(HEAD + routes)
    inet6.write_text(addresses)
    return NetworkMeter(), route, inet6


def test_another_network_is_a_change_and_none_is_not(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    look, route, _ = meter(monkeypatch, tmp_path, HOME)
    assert not look.look()
    route.write_text(HEAD)
    assert not look.look(), "a network that went away is nothing to try again for"
    route.write_text(HEAD + OFFICE)
    assert look.look()
    assert not look.look()


def test_the_same_network_come_back_is_a_change(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    look, route, _ = meter(monkeypatch, tmp_path, HOME)
    route.write_text(HEAD)
    look.look()
    route.write_text(HEAD + HOME)
    assert look.look()


def test_a_container_that_starts_is_no_change(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    look, _, inet6 = meter(monkeypatch, tmp_path, HOME, OUT.format(flags="00"))
    inet6.write_text(OUT.format(flags="20") + LINK)
    assert not look.look()


def test_an_ipv6_address_is_a_way_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    look, _, inet6 = meter(monkeypatch, tmp_path, "")
    inet6.write_text(OUT.format(flags="00"))
    assert look.look()


def test_a_system_that_does_not_tell_never_changes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(network, "ROUTES", tmp_path / "none")
    monkeypatch.setattr(network, "ADDRESSES", tmp_path / "none")
    assert ways_out() == frozenset()
    assert not NetworkMeter().look()

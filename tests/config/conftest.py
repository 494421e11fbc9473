"""A configuration from text and flags, without a name server."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path

import pytest

from tests.config.reading import Reading

HOSTS = {
    "turn.example.com": ("192.0.2.10", "2001:db8::10", "192.0.2.11"),
    "four.example.com": ("192.0.2.4",),
    "inside.example.com": ("10.0.0.5",),
    "turn1.example.com": ("192.0.2.21",),
    "turn2.example.com": ("192.0.2.22", "2001:db8::22"),
    "odd_name.example.com": ("192.0.2.12",),
}


def resolve(name: str) -> tuple[bytes, ...]:
    if name not in HOSTS:
        raise OSError("no such host")
    return tuple(ip_address(text).packed for text in HOSTS[name])


@pytest.fixture
def reading(tmp_path: Path) -> Reading:
    return Reading(tmp_path / "turnserver.conf", resolve)

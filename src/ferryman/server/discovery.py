"""Offers NAT behaviour discovery (RFC 5780) to clients: on which addresses, and by which
names the world knows them.

The answers are the datapath's own.
"""

from __future__ import annotations

from typing import Protocol

from ferryman.datapath.door import RawDiscovery
from ferryman.server.relay_addresses import RelayAddresses
from ferryman.server.settings import Settings


class Discovering(Protocol):
    """What this needs of the native datapath (see `_native.pyi`)."""

    def offer_discovery(self, addresses: RawDiscovery) -> None: ...


def offer_discovery(datapath: Discovering, settings: Settings, addresses: RelayAddresses) -> None:
    """Offer it on every pair of listening IPs; again whenever what they are known by changes."""
    for one, other in settings.discovery_pairs:
        advertised = (addresses.advertised(one), addresses.advertised(other))
        datapath.offer_discovery(((one, other), advertised, settings.discovery_ports))

"""Offers NAT behaviour discovery (RFC 5780) to clients: on which addresses, and by which
names the world knows them.

The answers are the datapath's own.
"""

from __future__ import annotations

from typing import Protocol

from structlog.typing import FilteringBoundLogger

from ferryman.datapath.door import RawDiscovery
from ferryman.server.relay_addresses import RelayAddresses
from ferryman.server.settings import Settings
from ferryman.wire.address import Address, Family


class Discovering(Protocol):
    """What this needs of the native datapath (see `_native.pyi`)."""

    def offer_discovery(self, addresses: RawDiscovery) -> None: ...
    def withdraw_discovery(self, family: int) -> None: ...


def offer_discovery(
    datapath: Discovering, settings: Settings, addresses: RelayAddresses, log: FilteringBoundLogger
) -> None:
    """Offer it on every pair of listening IPs; again whenever what they are known by changes.

    Two IPs that the world sees as one tell a client nothing: they are not offered, nor any longer
    if they have been.
    """
    for one, other in settings.discovery_pairs:
        advertised = (addresses.advertised(one), addresses.advertised(other))
        if advertised[0] == advertised[1]:
            public = Address(advertised[0], 0).host
            datapath.withdraw_discovery(Family.of(one))
            log.warning("rfc5780 is not offered: both addresses are one outside", address=public)
            continue
        datapath.offer_discovery(((one, other), advertised, settings.discovery_ports))

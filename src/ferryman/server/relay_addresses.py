"""Which IP a client's relayed address lies on, and how the world knows it.

`relay-ip` where given, else the local address that the client's packet was sent to; of the other
family, the machine's primary address. `external-ip` maps it to its public face.
"""

from __future__ import annotations

from ferryman.server.own_addresses import is_loopback, loopback_address, primary_address
from ferryman.server.settings import Settings
from ferryman.wire.address import Family


class RelayAddresses:
    """Answers for one server; several `relay-ip` of a family take turns."""

    def __init__(self, settings: Settings) -> None:
        self._turn = 0
        self.use(settings)

    def use(self, settings: Settings) -> None:
        """Relay IPs are these, and known by what these settings say, from now on."""
        self._configured: dict[Family, list[bytes]] = {family: [] for family in Family}
        for ip in settings.relay_ips:
            self._configured[Family.of(ip)].append(ip)
        self._external = dict(settings.external)
        self._by_default = {Family.of(ip): ip for ip in settings.external_by_default}

    def relay_ip(self, family: Family, local: bytes) -> bytes | None:
        """The raw IP to bind for a client that sent to `local`; None when the family has none."""
        configured = self._configured[family]
        if configured:
            self._turn += 1
            return configured[self._turn % len(configured)]
        if any(self._configured.values()):
            return None
        if Family.of(local) is family:
            return local
        return loopback_address(family) if is_loopback(local) else primary_address(family)

    def advertised(self, relay_ip: bytes) -> bytes:
        """The public IP for a relay IP: itself, unless external-ip says otherwise."""
        mapped = self._external.get(relay_ip)
        if mapped is None and not is_loopback(relay_ip):
            mapped = self._by_default.get(Family.of(relay_ip))
        return mapped or relay_ip

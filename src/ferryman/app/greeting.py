"""The greeting of a server that is tried out: iceServers, ready to paste."""

from __future__ import annotations

import contextlib
import json
import time

from ferryman.app.own_addresses import WILDCARDS
from ferryman.auth.time_limited import password_for
from ferryman.config import Configuration
from ferryman.server import settings as server_settings
from ferryman.server.ice_servers import ice_servers
from ferryman.server.own_addresses import loopback_address, primary_address
from ferryman.server.relay_addresses import RelayAddresses
from ferryman.wire.address import Family

GREETING_LIFETIME = 24 * 3600
"""Seconds that the credential of the greeting is good for."""


def greet(
    configuration: Configuration,
    secrets: tuple[str, ...],
    addresses: RelayAddresses,
    listeners: tuple[server_settings.Listener, ...],
    tls_name: str | None,
) -> None:
    """The iceServers JSON on stdout, ready to paste; the only place that shows a credential."""
    credential = None
    if secrets:
        username = f"{int(time.time()) + GREETING_LIFETIME}{configuration.rest_separator}ferryman"
        credential = (username, password_for(username, secrets[0]))
    host = addresses.advertised(_greeting_ip(listeners))
    with contextlib.suppress(OSError):  # nobody may be reading
        servers = ice_servers(host, listeners, credential, tls_name)
        print(json.dumps(servers, indent=2), flush=True)


def _greeting_ip(listeners: tuple[server_settings.Listener, ...]) -> bytes:
    for listener in listeners:
        if listener.address.ip not in WILDCARDS:
            return listener.address.ip
    return (
        primary_address(Family.IPV4)
        or primary_address(Family.IPV6)
        or loopback_address(Family.IPV4)
    )

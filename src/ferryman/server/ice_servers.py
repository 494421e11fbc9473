"""The `iceServers` value that a web page hands to RTCPeerConnection (W3C WebRTC, RFC 7065)."""

from __future__ import annotations

from typing import Any

from ferryman.server.settings import Listener
from ferryman.wire.address import Address


def ice_servers(
    host: bytes,
    listeners: tuple[Listener, ...],
    credential: tuple[str, str] | None,
    tls_name: str | None = None,
) -> dict[str, Any]:
    """`host` is a raw IP; `credential` a username and its password, or None under no-auth.

    `tls_name`: a name that clients will find in the server's certificate; None when there is none
    that they would take.
    """
    ports = dict.fromkeys(
        (listener.transport.name.lower(), listener.address.port) for listener in listeners
    )
    authority = {port: str(Address(host, port)) for _, port in ports}
    plain = ("udp", "tcp")
    urls = [f"turn:{authority[port]}?transport={name}" for name, port in ports if name in plain]
    if tls_name:
        urls += [f"turns:{tls_name}:{port}?transport=tcp" for name, port in ports if name == "tls"]
    turn: dict[str, Any] = {"urls": urls}
    if credential is not None:
        turn["username"], turn["credential"] = credential
    stun = [f"stun:{authority[port]}" for transport, port in ports if transport == "udp"]
    return {"iceServers": [*([{"urls": stun}] if stun else []), turn]}

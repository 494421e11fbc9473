"""ORIGIN: the web page that a client acts for (draft-ietf-tram-stun-origin §2).

Where the operator wants it, an allocation belongs to the origin that it was opened for. The value
proves nothing: any program can send what it likes. Knows no socket.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from ferryman.engine.allocation import Allocation
from ferryman.engine.refusals import Refusal, Refused
from ferryman.wire.message import Message
from ferryman.wire.registry import Attribute

LONGEST = 267
"""Octets of an origin: a scheme, a name of 255 and a port."""

_USUAL_PORTS = {"http": 80, "https": 443}


def origin_of(message: Message) -> str:
    """The first origin of a request; empty where there is none."""
    return next(iter(_origins(message)), "")


def check_origin(allocation: Allocation, message: Message) -> None:
    """Refuses a request whose origins are not that of the allocation."""
    origins = _origins(message)
    is_right = allocation.origin in origins if allocation.origin else not origins
    if not is_right:
        raise Refused(Refusal.OTHER_ORIGIN, ", ".join(origins))


def _origins(message: Message) -> list[str]:
    values = (value for kind, value in message.attributes if kind == Attribute.ORIGIN)
    return [_plain(value) for value in values if value]


def _plain(value: bytes) -> str:
    """Scheme and host in lower case, without the usual port; what is no URL stays as it is."""
    text = value[:LONGEST].decode("utf-8", "replace")
    try:
        parts = urlsplit(text)
        port, host = parts.port, parts.hostname
    except ValueError:
        return text
    if not parts.scheme or not host:
        return text
    host = f"[{host}]" if ":" in host else host
    shown = "" if port in (None, _USUAL_PORTS.get(parts.scheme)) else f":{port}"
    return f"{parts.scheme}://{host}{shown}"

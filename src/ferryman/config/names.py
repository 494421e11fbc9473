"""Host names to addresses, once, while the configuration is read.

coturn takes a host name wherever it takes an address; so does Ferryman. Knows nothing of keys.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address

from ferryman.config.problems import BadValueError

# A host name in, its addresses out (4 or 16 bytes each, at least one); raises OSError.
Resolve = Callable[[str], tuple[bytes, ...]]


def resolve_name(name: str) -> tuple[bytes, ...]:
    """All addresses that the system knows for a name, without repeats; raises OSError for none."""
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_DGRAM)
    except (UnicodeError, ValueError) as error:
        raise OSError(f"not a host name: {error.__class__.__name__}") from None
    texts = (str(entry[4][0]).partition("%")[0] for entry in found)
    return tuple(dict.fromkeys(ip_address(text).packed for text in texts))


def is_address(text: str) -> bool:
    """Whether this is an address and no name."""
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def addresses(text: str, resolve: Resolve) -> tuple[bytes, ...]:
    """The address that `text` writes down, or those of the host that it names."""
    try:
        literal = ip_address(text)
    except ValueError:
        return _looked_up(text, resolve)
    if isinstance(literal, IPv6Address) and literal.scope_id is not None:
        raise BadValueError("expected an address without a zone")
    return (literal.packed,)


def _looked_up(name: str, resolve: Resolve) -> tuple[bytes, ...]:
    # What is neither an address nor a name is not worth a question to a name server.
    if not name or not all(char.isalnum() or char in "-._" for char in name) or _numeric(name):
        raise BadValueError("expected an IP address or a host name")
    try:
        found = resolve(name)
    except OSError:
        found = ()
    if not found:
        raise BadValueError("expected an IP address or a host name that resolves")
    return found


def _numeric(name: str) -> bool:
    """Whether this is a mistyped IPv4 address: resolvers take `10.1`, `1` and `0x7f1` for one."""
    return re.fullmatch("[0-9]+|0[xX][0-9a-fA-F]*", name.rstrip(".").rpartition(".")[2]) is not None

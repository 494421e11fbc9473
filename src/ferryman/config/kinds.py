"""The kinds of value that a key takes: how each is read, and what its readers are told to expect.

A reader takes the text as written and returns a value, or raises `BadValueError` with what was
expected. It never repeats the text: whether that may be shown is the option's matter.
"""

from __future__ import annotations

import binascii
import re
from base64 import b64decode
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address

from pydantic import SecretBytes, SecretStr

from ferryman.auth.access_token import Algorithm, TokenKey
from ferryman.config.names import Resolve, addresses, is_address
from ferryman.config.problems import BadValueError
from ferryman.config.values import ExternalAddress, StaticUser
from ferryman.engine.alternate import Alternate
from ferryman.engine.peer_rules import PeerRule, parse_peer_rule
from ferryman.wire.address import Address
from ferryman.wire.registry import MAX_USERNAME

AUTO = "auto"
STUN_PORT = 3478

Read = Callable[[str, Resolve], object]


@dataclass(frozen=True, slots=True)
class Kind:
    """`word` stands for the value in help. `free`: any text is a value, so `#` and `;` stay in it.

    `bare`: the text that the key stands for when it is given without a value; None when it needs
    one.
    """

    word: str
    read: Read
    free: bool = False
    bare: str | None = None


def _switch(text: str, resolve: Resolve) -> bool:
    """coturn's rule: the first character decides, but `on` and `off` are whole words."""
    if text in ("on", "On", "ON") or text[:1] in tuple("123456789yYtT"):
        return True
    if text in ("off", "Off", "OFF") or text[:1] in tuple("0nNfF"):
        return False
    raise BadValueError("expected yes, no, on, off, true, false, 1, 0 or no value at all")


SWITCH = Kind("yes|no", _switch, bare="yes")


def _number(low: int, high: int, expected: str) -> Read:
    def read(text: str, resolve: Resolve) -> int:
        if not re.fullmatch("[0-9]{1,20}", text) or not low <= int(text) <= high:
            raise BadValueError(f"expected {expected}")
        return int(text)

    return read


def whole(low: int, high: int, *, bare: int | None = None, word: str = "NUMBER") -> Kind:
    """A whole number from `low` to `high`."""
    expected = f"a whole number from {low} to {high}"
    return Kind(word, _number(low, high, expected), bare=None if bare is None else str(bare))


def seconds(low: int, *, bare: int | None = None) -> Kind:
    return whole(low, 2**32 - 1, bare=bare, word="SECONDS")


PORT = Kind("PORT", _number(0, 65535, "a port from 0 to 65535"))
RELAY_PORT = Kind("PORT", _number(1, 65535, "a port from 1 to 65535"))
COUNT = whole(0, 2**31 - 1)
BYTES_PER_SECOND = whole(0, 2**63 - 1, word="BYTES/S")


def choice(*words: str) -> Kind:
    """One of a few words, in lower case."""

    def read(text: str, resolve: Resolve) -> str:
        if text not in words:
            raise BadValueError(f"expected {' or '.join(words)}")
        return text

    return Kind("|".join(words), read)


def _text(text: str, resolve: Resolve) -> str:
    return text


def _some_text(text: str, resolve: Resolve) -> str:
    if not text:
        raise BadValueError("expected a value")
    return text


TEXT = Kind("TEXT", _some_text, free=True)
FILE = Kind("FILE", _text, free=True)


def _url(text: str, resolve: Resolve) -> str:
    """Goes into a header as it is written: printable ASCII without blanks."""
    if not re.fullmatch("https?://[!-~]{1,1000}", text):
        raise BadValueError("expected a URL that begins with http:// or https://")
    return text


URL = Kind("URL", _url, free=True)
FOLDER = Kind("FOLDER", _some_text, free=True)


def _realm(text: str, resolve: Resolve) -> str:
    """RFC 8489 §14.9: fewer than 128 characters."""
    if not 1 <= len(text) <= 127:
        raise BadValueError("expected 1 to 127 characters")
    return text


REALM = Kind("REALM", _realm, free=True)


def _separator(text: str, resolve: Resolve) -> str:
    if len(text) != 1 or not text.isascii():
        raise BadValueError("expected one character")
    return text


SEPARATOR = Kind("CHARACTER", _separator, free=True)


def _secret(text: str, resolve: Resolve) -> SecretStr:
    if not text:
        raise BadValueError("expected a secret that is not empty")
    return SecretStr(text)


SECRET = Kind("SECRET", _secret, free=True)


def _user(text: str, resolve: Resolve) -> StaticUser:
    """`name:password`, or `name:0x` and the key of RFC 8489 §9.2.2 (MD5) in hexadecimal."""
    name, _, password = text.partition(":")
    password = password.lstrip(" \t")
    if not name or not password:
        raise BadValueError("expected name:password, or name:0x and 32 hexadecimal digits")
    if len(name.encode()) > 508:  # RFC 8489 §14.3: fewer than 509 bytes
        raise BadValueError("expected a user name of at most 508 bytes")
    if not password.startswith("0x"):
        return StaticUser(name=name, password=SecretStr(password), key=None)
    if not re.fullmatch("[0-9a-fA-F]{32}", password[2:]):
        raise BadValueError("expected 32 hexadecimal digits after 0x")
    return StaticUser(name=name, password=None, key=SecretBytes(bytes.fromhex(password[2:])))


USER = Kind("NAME:PASSWORD", _user, free=True)


_OAUTH_KEY = "KID:BASE64:A128GCM|A256GCM[:TIMESTAMP:LIFETIME]"


def _oauth_key(text: str, resolve: Resolve) -> TokenKey:
    """A long-term key of RFC 7635, with what coturn keeps in its table `oauth_key`."""
    kid, *rest = text.split(":")
    if not kid or len(kid.encode()) > MAX_USERNAME or len(rest) not in (2, 4):
        raise BadValueError(f"expected {_OAUTH_KEY}")
    if not all(re.fullmatch("[0-9]{1,15}", number) for number in rest[2:]):
        raise BadValueError("expected a UNIX timestamp and a lifetime in seconds")
    timestamp, lifetime = (int(number) for number in rest[2:] or ("0", "0"))
    if rest[1] not in Algorithm.__members__:
        raise BadValueError("expected the algorithm A128GCM or A256GCM")
    try:
        material = b64decode(rest[0], validate=True)
        return TokenKey.of(kid, material, Algorithm[rest[1]], timestamp, lifetime)
    except ValueError as error:
        reason = "the key in base64" if isinstance(error, binascii.Error) else "a longer key"
        raise BadValueError(f"expected {reason}: 16 bytes for A128GCM, 32 for A256GCM") from None


OAUTH_KEY = Kind(_OAUTH_KEY, _oauth_key, free=True)


def _addresses(text: str, resolve: Resolve) -> tuple[bytes, ...]:
    return addresses(text, resolve)


ADDRESS = Kind("ADDRESS", _addresses)


def _external(text: str, resolve: Resolve) -> tuple[ExternalAddress, ...]:
    """`public`, or `public/private`; of a name, the first address of each family counts. Nothing
    for `auto`: that is found out by the server."""
    if text == AUTO:
        return ()
    public, slash, private = (part.strip() for part in text.partition("/"))
    publics = _first_of_each_family(addresses(public, resolve))
    name = "" if is_address(public) else public
    if not slash:
        return tuple(ExternalAddress(ip, None, name) for ip in publics)
    privates = {len(ip): ip for ip in _first_of_each_family(addresses(private, resolve))}
    pairs = [(ip, privates[len(ip)]) for ip in publics if len(ip) in privates]
    if not pairs:
        raise BadValueError("expected PUBLIC/PRIVATE of one address family")
    return tuple(ExternalAddress(ip, inside, name) for ip, inside in pairs)


def _first_of_each_family(found: tuple[bytes, ...]) -> tuple[bytes, ...]:
    return tuple({len(ip): ip for ip in reversed(found)}.values())


EXTERNAL = Kind("PUBLIC[/PRIVATE]|auto", _external)


def _stun_server(text: str, resolve: Resolve) -> tuple[str, int]:
    """`host`, `host:port` or `[ipv6]:port`; the host is looked up whenever it is asked."""
    found = re.fullmatch(r"(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9_.-]+))(?::([0-9]{1,5}))?", text)
    if found is None or not 0 < int(found[3] or STUN_PORT) < 65536:
        raise BadValueError("expected HOST or HOST:PORT")
    if found[1] is not None and not is_address(found[1]):
        raise BadValueError("expected an IPv6 address in the brackets")
    return found[1] or found[2], int(found[3] or STUN_PORT)


STUN_SERVER = Kind("HOST[:PORT]", _stun_server)


def _offload(text: str, resolve: Resolve) -> str:
    """A word, or a name that Linux may give an interface."""
    if not re.fullmatch(r"[^\s/:]{1,15}", text) or text in (".", ".."):
        raise BadValueError("expected auto, off or the name of an interface")
    return text


OFF = "off"
OFFLOAD = Kind("auto|off|IFACE", _offload)


def _peers(text: str, resolve: Resolve) -> tuple[PeerRule, ...]:
    """An address, a network, a range, or a host name: then a rule for each of its addresses."""
    try:
        return (parse_peer_rule(text, text),)
    except ValueError as error:
        if "/" in text or ":" in text or not any(char.isalpha() for char in text):
            raise BadValueError(str(error)) from None
    return tuple(PeerRule(ip, ip, text) for ip in addresses(text, resolve))


PEERS = Kind("ADDRESSES", _peers)


_ENDPOINT = re.compile(r"(?:\[([0-9a-fA-F:.]+)\]|([^\s\[\]:]+)):([0-9]{1,5})")


def _endpoint(text: str, resolve: Resolve) -> tuple[Address, ...]:
    """An address or a name, IPv6 in brackets, and a port. Of a name, every address counts."""
    found = _ENDPOINT.fullmatch(text)
    if found is None or not 1 <= int(found[3]) <= 65535:
        raise BadValueError("expected ADDRESS:PORT, an IPv6 address in brackets")
    ips = addresses(found[1] or found[2], resolve)
    return tuple(Address(ip, int(found[3])) for ip in ips)


ENDPOINT = Kind("ADDRESS:PORT", _endpoint)


def alternate(default_port: int) -> Kind:
    """Another server: an address or a name, IPv6 in brackets, and a port where it is not the
    usual one. Of a name, every address counts."""
    form = re.compile(r"\[([0-9a-fA-F:.]+)\](?::([0-9]{1,5}))?|([^\s\[\]:]+)(?::([0-9]{1,5}))?")

    def read(text: str, resolve: Resolve) -> tuple[Alternate, ...]:
        found = form.fullmatch(text)
        if found is None:
            raise BadValueError("expected HOST or HOST:PORT, an IPv6 address in brackets")
        host = found[1] or found[3]
        port = int(found[2] or found[4] or default_port)
        if not 1 <= port <= 65535:
            raise BadValueError("expected a port from 1 to 65535")
        ips = addresses(host, resolve)
        if any(not any(ip) for ip in ips):
            raise BadValueError("expected an address that clients can reach")
        domain = "" if _is_literal(host) else host
        return tuple(Alternate(Address(ip, port), domain) for ip in ips)

    return Kind("HOST[:PORT]", read)


def _is_literal(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


ALTERNATE = alternate(3478)
TLS_ALTERNATE = alternate(5349)

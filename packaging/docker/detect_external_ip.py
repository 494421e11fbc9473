#!/usr/bin/python3 -IS
"""`detect-external-ip`: prints the address that a STUN server sees this machine come from.

In the container, under the name that coturn's image has for it. Asks the servers in
DETECT_EXTERNAL_IP_STUN (HOST:PORT, divided by blanks), or --stun, until one answers;
REAL_EXTERNAL_IP is printed instead when it is set. Exits with 1 when nobody answers, which makes it
a health check as well: `detect-external-ip --stun=127.0.0.1:3478`. Knows nothing of the server's
configuration.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import socket
import sys
from collections.abc import Iterator
from ipaddress import ip_address
from typing import Final

# Where the package has it; tests have it elsewhere.
sys.path.append("/usr/lib/ferryman")

from ferryman.server.own_addresses import can_have
from ferryman.server.stun_question import mapped_ip
from ferryman.wire.address import Address

PUBLIC_SERVERS: Final = "stun.cloudflare.com:3478 stun.l.google.com:19302"


def main(arguments: list[str]) -> int:
    given = _arguments(arguments)
    if given.is_own:
        return _is_own(given.is_own)
    known = os.environ.get("REAL_EXTERNAL_IP")
    if known and not given.stun:
        print(known)
        return 0
    servers = given.stun or os.environ.get("DETECT_EXTERNAL_IP_STUN") or PUBLIC_SERVERS
    for server in servers.split():
        for address in _addresses(server, socket.AF_INET6 if given.ipv6 else socket.AF_INET):
            found = _asked(address)
            if found is not None:
                print(found)
                return 0
    _say(f"none of {servers} answers; REAL_EXTERNAL_IP tells the address without asking")
    return 1


def _arguments(arguments: list[str]) -> argparse.Namespace:
    about = "Prints the address that the world sees this machine come from."
    parser = argparse.ArgumentParser("detect-external-ip", description=about)
    parser.add_argument("--ipv4", action="store_true", help="an IPv4 address (the default)")
    parser.add_argument("--ipv6", action="store_true", help="an IPv6 address")
    parser.add_argument("--stun", metavar="HOST:PORT", help="the server to ask")
    parser.add_argument("--is-own", metavar="ADDRESS", help="ask whether this machine has it")
    return parser.parse_args(arguments)


def _is_own(address: str) -> int:
    """0 where a relay could bind it. Behind a NAT the detected address is the NAT's."""
    if can_have(ip_address(address).packed):
        return 0
    _say(f"{address} is no address of this machine: there is no --relay-ip for it")
    return 1


def _addresses(server: str, family: socket.AddressFamily) -> Iterator[Address]:
    host, _, port = server.rpartition(":")
    try:
        found = socket.getaddrinfo(host.strip("[]"), port, family, socket.SOCK_DGRAM)
    except OSError as error:
        _say(f"{server}: {error}")
        return
    for *_, place in found:
        yield Address(socket.inet_pton(family, str(place[0])), int(place[1]))


def _asked(server: Address) -> str | None:
    try:
        return Address(asyncio.run(mapped_ip(server)), 0).host
    except OSError as error:
        _say(str(error))
        return None


def _say(text: str) -> None:
    print(f"detect-external-ip: {text}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Which sockets for clients a configuration opens.

Opens none, and knows no address of this machine.
"""

from __future__ import annotations

from ferryman.config.configuration import Configuration
from ferryman.config.values import Dtls
from ferryman.engine.five_tuple import Transport
from ferryman.server.settings import Listener
from ferryman.wire.address import Address


def listeners(configuration: Configuration, ips: tuple[bytes, ...]) -> tuple[Listener, ...]:
    """The listeners on `ips`, which are those of the configuration or wildcards in their place."""
    transports = [Transport.UDP] * configuration.udp + [Transport.TCP] * configuration.tcp
    pairs = configuration.discovery_pairs() if configuration.discovery else ()
    places = [Address(ip, configuration.listening_port) for ip in ips]
    places += [Address(ip, configuration.alternate_port) for pair in pairs for ip in pair]
    places += [place for place in configuration.more_listeners if place not in places]
    plain = [Listener(transport, place) for place in places for transport in transports]
    return (*plain, *_tls_listeners(configuration, ips))


def _tls_listeners(configuration: Configuration, ips: tuple[bytes, ...]) -> tuple[Listener, ...]:
    """The port of TLS and DTLS itself. The listening port takes both as well, so that where they
    are the same there is no second listener."""
    tls = configuration.tls
    if tls is None or tls.port == 0:
        return ()
    is_second = tls.port != configuration.listening_port
    places = [Address(ip, tls.port) for ip in ips]
    found = []
    if tls.stream and (is_second or not configuration.tcp):
        found += [Listener(Transport.TLS, place, configuration.tcp) for place in places]
    if tls.dtls is not Dtls.OFF and is_second:
        found += [Listener(Transport.DTLS, place) for place in places]
    return tuple(found)

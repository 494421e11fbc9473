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
    """The listeners on `ips`, which are those of the configuration or wildcards in their place.

    With `tcp-proxy-port`, clients of TCP and TLS come through it alone, as in coturn."""
    has_fronts = configuration.proxy_port > 0
    is_plain = configuration.tcp and not has_fronts
    transports = [Transport.UDP] * configuration.udp + [Transport.TCP] * is_plain
    pairs = configuration.discovery_pairs() if configuration.discovery else ()
    places = [Address(ip, configuration.listening_port) for ip in ips]
    places += [Address(ip, configuration.alternate_port) for pair in pairs for ip in pair]
    places += [place for place in configuration.more_listeners if place not in places]
    plain = [Listener(transport, place) for place in places for transport in transports]
    streams = _front_listeners if has_fronts else _tls_listeners
    return (*plain, *streams(configuration, ips), *_dtls_listeners(configuration, ips))


def _front_listeners(configuration: Configuration, ips: tuple[bytes, ...]) -> tuple[Listener, ...]:
    fronts = tuple((rule.first, rule.last) for rule in configuration.proxy_fronts)
    tls = configuration.tls is not None and configuration.tls.stream
    if not configuration.tcp and not tls:
        return ()
    places = (Address(ip, configuration.proxy_port) for ip in ips)
    spoken = Transport.TCP if configuration.tcp else Transport.TLS
    return tuple(Listener(spoken, place, configuration.tcp, fronts) for place in places)


def _tls_listeners(configuration: Configuration, ips: tuple[bytes, ...]) -> tuple[Listener, ...]:
    """The port of TLS itself. The listening port takes it as well, so that where they are the same
    there is no second listener."""
    tls = configuration.tls
    if tls is None or tls.port == 0 or not tls.stream:
        return ()
    if tls.port == configuration.listening_port and configuration.tcp:
        return ()
    places = (Address(ip, tls.port) for ip in ips)
    return tuple(Listener(Transport.TLS, place, configuration.tcp) for place in places)


def _dtls_listeners(configuration: Configuration, ips: tuple[bytes, ...]) -> tuple[Listener, ...]:
    """The same for DTLS."""
    tls = configuration.tls
    if tls is None or tls.port in (0, configuration.listening_port) or tls.dtls is Dtls.OFF:
        return ()
    return tuple(Listener(Transport.DTLS, Address(ip, tls.port)) for ip in ips)

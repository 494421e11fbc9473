"""Rows for what carries traffic: listeners, relayed addresses, limits, protocol and TLS."""

from __future__ import annotations

from ferryman.config.kinds import (
    ADDRESS,
    ALTERNATE,
    BYTES_PER_SECOND,
    COUNT,
    ENDPOINT,
    EXTERNAL,
    FILE,
    OFFLOAD,
    PEERS,
    PORT,
    RELAY_PORT,
    SECRET,
    STUN_SERVER,
    SWITCH,
    TEXT,
    TLS_ALTERNATE,
    URL,
    choice,
    seconds,
    whole,
)
from ferryman.config.machine_kinds import DEVICE
from ferryman.config.option import Option, Section, declined, ignored, not_built

_OLDER = "TLS 1.2 and 1.3 are spoken, and nothing older"
_FINITE = "keys are exchanged over elliptic curves (ECDHE), which has no such parameters"
_NO_TLS_DISCOVERY = "RFC 5780 is answered on listening-port and alt-listening-port alone"
_SPREAD = "clients are spread over the workers at every port, and several relay-ip take turns"
_NO_MULTIPLEX = "every allocation has a relay port of its own, from min-port to max-port"
_BATCHES = "the datapath chooses its own batches"

WORKERS = whole(0, 128)

_L = Section.LISTENERS
LISTENER_OPTIONS = (
    Option("listening-port", PORT, _L, "UDP and TCP port", "3478", short="p"),
    Option(
        "listening-ip",
        ADDRESS,
        _L,
        "address to listen on; none: all addresses",
        short="L",
        repeatable=True,
    ),
    Option("no-udp", SWITCH, _L, "no UDP listener", "no"),
    Option("no-tcp", SWITCH, _L, "no TCP listener", "no"),
    Option("listening-device", DEVICE, _L, "network device of the listeners", short="d"),
    Option(
        "alt-listening-port",
        PORT,
        _L,
        "second port of rfc5780; 0: the one after listening-port",
        "0",
    ),
    not_built(
        "alt-tls-listening-port", PORT, _L, "second TLS port, for RFC 5780", _NO_TLS_DISCOVERY
    ),
    Option(
        "tcp-proxy-port",
        PORT,
        _L,
        "port for front ends that speak the PROXY protocol; clients over TCP and TLS then come "
        "through it alone; 0: none",
        "0",
    ),
    Option(
        "tcp-proxy-from",
        PEERS,
        _L,
        "front ends that are believed: address, network, first-last or host; none: private "
        "addresses; this machine always is",
        repeatable=True,
    ),
    Option("aux-server", ENDPOINT, _L, "one more address and port to listen on", repeatable=True),
    ignored("udp-self-balance", SWITCH, _L, "send clients to aux servers", _SPREAD),
    Option(
        "sock-buf-size",
        COUNT,
        _L,
        "bytes that a UDP socket may have waiting, each way; 0: 4 MiB for a listener, 512 KiB for "
        "a relay port, as far as the system permits",
        "0",
    ),
    ignored("udp-recvmmsg", SWITCH, _L, "receive in batches", _BATCHES),
    ignored("udp-recvmmsg-log", SWITCH, _L, "log the size of batches", _BATCHES),
    ignored("udp-sendmmsg-log", SWITCH, _L, "log the size of batches", _BATCHES),
    ignored("drop-invalid-packets", SWITCH, _L, "drop what is no STUN and no ChannelData"),
    Option(
        "drop-invalid-packets-log",
        SWITCH,
        _L,
        "a line for each, with its first octets, at most 50 a second for each worker",
        "no",
    ),
    Option("respond-http-unsupported", SWITCH, _L, "answer HTTP on a TURN port with 400", "no"),
    Option(
        "acme-redirect",
        URL,
        _L,
        "redirect ACME challenges on a TURN port: the URL that their token is appended to",
    ),
)

_R = Section.RELAY
RELAY_OPTIONS = (
    Option(
        "relay-ip",
        ADDRESS,
        _R,
        "address to relay from; none: the one that the client speaks to",
        short="E",
        repeatable=True,
    ),
    Option(
        "external-ip",
        EXTERNAL,
        _R,
        "what relayed addresses are known by outside a NAT: an address, a name that is followed "
        "when it changes, or auto to find it out",
        short="X",
        repeatable=True,
    ),
    Option(
        "external-ip-stun",
        STUN_SERVER,
        _R,
        "STUN server that external-ip=auto asks; none: the interface's public address counts",
    ),
    Option("min-port", RELAY_PORT, _R, "lowest relay port", "49152"),
    Option("max-port", RELAY_PORT, _R, "highest relay port", "65535"),
    Option(
        "allocation-default-address-family",
        choice("ipv4", "ipv6", "keep"),
        _R,
        "family of the relayed address when the client names none; keep: the client's own",
        "ipv4",
        short="A",
    ),
    Option(
        "keep-address-family",
        SWITCH,
        _R,
        "the same as allocation-default-address-family=keep",
        "no",
        short="K",
    ),
    Option("relay-device", DEVICE, _R, "network device of the relay ports", short="i"),
    Option(
        "relay-threads",
        WORKERS,
        _R,
        "worker threads; 0: one for each processor of this process",
        "0",
        short="m",
    ),
    Option("cpus", WORKERS, _R, "the same, where relay-threads does not say it", "0"),
    Option(
        "xdp",
        OFFLOAD,
        _R,
        "have the kernel forward channels, by an eBPF program on this interface; auto: on those "
        "that clients and peers are reached through",
        "off",
        repeatable=True,
    ),
    Option(
        "xdp-mode",
        choice("auto", "driver", "tc", "generic"),
        _R,
        "where the kernel runs that program: in the driver, behind it, or in place of it; auto: in "
        "the first that all the interfaces take",
        "auto",
    ),
    Option("no-udp-relay", SWITCH, _R, "no UDP towards peers", "no"),
    Option("no-tcp-relay", SWITCH, _R, "no TCP towards peers (RFC 6062)", "no"),
    not_built("multiplex-peer", SWITCH, _R, "one relay port for all", _NO_MULTIPLEX),
    not_built("multiplex-peer-port", PORT, _R, "that port", _NO_MULTIPLEX),
    not_built("multiplex-peer-max-peers", COUNT, _R, "peers of an allocation", _NO_MULTIPLEX),
    ignored("udp-gso", SWITCH, _R, "send in trains", _BATCHES),
    declined(
        "server-relay",
        SWITCH,
        _R,
        "take packets from peers without a permission",
        "a peer always needs a permission (RFC 8656 §9)",
    ),
)

_M = Section.LIMITS
LIMIT_OPTIONS = (
    Option("user-quota", COUNT, _M, "allocations of one user; 0: no limit", "0", short="q"),
    Option("total-quota", COUNT, _M, "allocations in all; 0: no limit", "0", short="Q"),
    Option(
        "source-quota",
        COUNT,
        _M,
        "allocations opened from one IPv4 address or IPv6 /64; 0: no limit",
        "0",
    ),
    Option(
        "source-connections",
        COUNT,
        _M,
        "TCP, TLS and DTLS connections from one IPv4 address or IPv6 /64; 0: no limit",
        "0",
    ),
    Option(
        "total-connections", COUNT, _M, "TCP, TLS and DTLS connections in all; 0: no limit", "0"
    ),
    Option("max-permissions", whole(1, 65536), _M, "permissions of an allocation", "1024"),
    Option("max-channels", whole(1, 16384), _M, "channels of an allocation", "1024"),
    Option(
        "max-allocate-lifetime",
        seconds(1, bare=3600),
        _M,
        "longest lifetime of an allocation",
        "3600",
    ),
    Option("permission-lifetime", seconds(1, bare=300), _M, "lifetime of a permission", "300"),
    Option("channel-lifetime", seconds(1, bare=600), _M, "lifetime of a channel binding", "600"),
    Option(
        "max-bps",
        BYTES_PER_SECOND,
        _M,
        "bytes/s of payload that an allocation may carry in each direction; 0: no limit",
        "0",
        short="s",
    ),
    Option(
        "bps-capacity",
        BYTES_PER_SECOND,
        _M,
        "bytes/s of max-bps that all allocations together are promised; 0: no limit",
        "0",
        short="B",
    ),
    ignored(
        "max-allocate-timeout",
        COUNT,
        _M,
        "how long a client may stay without an allocation",
        "a client without an allocation leaves nothing behind",
    ),
    Option(
        "unauthorized-ratelimit",
        SWITCH,
        _M,
        "limit the answers to those of a source who have proved nothing: over UDP all (400, 401, "
        "438), otherwise those that say that a password was wrong (401)",
        "yes",
    ),
    Option(
        "unauthorized-ratelimit-rps",
        whole(1, 1_000_000, bare=100),
        _M,
        "how many of them a second, for each source; ten times as many at once",
        "100",
    ),
    Option(
        "drain-timeout",
        seconds(0),
        _M,
        "seconds until a server that drains ends all the same; 0: none after SIGUSR1, and SIGTERM "
        "does not drain",
        "0",
    ),
    Option("drain-min-allocations", COUNT, _M, "draining is over when so many are left", "0"),
)

_P = Section.PROTOCOL
PROTOCOL_OPTIONS = (
    Option("fingerprint", SWITCH, _P, "FINGERPRINT in every answer", "no", short="f"),
    ignored(
        "include-reason-string",
        SWITCH,
        _P,
        "reason phrases in error answers",
        "clients that have proved their password always get one, strangers never",
    ),
    Option(
        "rfc5766-channel-numbers",
        SWITCH,
        _P,
        "take channel numbers up to 0x7FFF, not only to 0x4FFF",
        "no",
    ),
    Option("stun-only", SWITCH, _P, "answer Binding only, and no TURN request", "no", short="S"),
    Option("no-stun", SWITCH, _P, "do not answer Binding", "no"),
    Option("secure-stun", SWITCH, _P, "answer Binding to those with credentials only", "no"),
    *(
        Option(name, kind, _P, meaning, repeatable=True)
        for name, kind, meaning in (
            ("alternate-server", ALTERNATE, "send UDP and TCP clients there, in turn"),
            ("udp-alternate-server", ALTERNATE, "send UDP clients there instead"),
            ("tcp-alternate-server", ALTERNATE, "send TCP clients there instead"),
            ("tls-alternate-server", TLS_ALTERNATE, "send TLS and DTLS clients there"),
        )
    ),
    Option("mobility", SWITCH, _P, "clients may move to another address (RFC 8016)", "no"),
    Option(
        "rfc5780",
        SWITCH,
        _P,
        "NAT behaviour discovery; needs two listening-ip of one family",
        "no",
    ),
    ignored("no-rfc5780", SWITCH, _P, "no NAT behaviour discovery (unless rfc5780)"),
    Option(
        "stun-backward-compatibility",
        SWITCH,
        _P,
        "MAPPED-ADDRESS beside XOR-MAPPED-ADDRESS",
        "no",
    ),
    Option(
        "rfc3489-compatibility",
        SWITCH,
        _P,
        "answer Binding of RFC 3489 over UDP, which has no magic cookie",
        "no",
    ),
    ignored("response-origin-only-with-rfc5780", SWITCH, _P, "RESPONSE-ORIGIN with RFC 5780 only"),
    Option(
        "software-attribute",
        SWITCH,
        _P,
        "SOFTWARE in answers, without a version; not in those to strangers but to Binding",
        "no",
    ),
    ignored("no-software-attribute", SWITCH, _P, "no SOFTWARE in answers"),
    Option(
        "check-origin-consistency",
        SWITCH,
        _P,
        "ORIGIN must not change while an allocation lasts (441)",
        "no",
    ),
)

_T = Section.TLS
TLS_OPTIONS = (
    Option(
        "tls-listening-port",
        PORT,
        _T,
        "one more port for TLS and DTLS, which the listening port takes as well; 0: none",
        "5349",
    ),
    Option("cert", FILE, _T, "certificate chain (PEM), the server's own first"),
    Option("pkey", FILE, _T, "private key (PEM); none: in the file of cert"),
    Option("pkey-pwd", SECRET, _T, "password of the private key", secret=True),
    Option("cipher-list", TEXT, _T, "ciphers in OpenSSL's words"),
    Option("CA-file", FILE, _T, "who must have signed a client's certificate (PEM)"),
    Option("ec-curve-name", TEXT, _T, "the one curve of the key exchange: X25519, P-256, P-384"),
    Option("no-tlsv1_2", SWITCH, _T, "TLS 1.3 alone", "no"),
    Option("no-tls", SWITCH, _T, "no TLS", "no"),
    ignored("dh-file", FILE, _T, "parameters of the key exchange", _FINITE),
    ignored("dh566", SWITCH, _T, "parameters of 566 bits", _FINITE),
    ignored("dh1066", SWITCH, _T, "parameters of 1066 bits", _FINITE),
    ignored("tlsv1", SWITCH, _T, "TLS 1.0 as well", _OLDER),
    ignored("tlsv1_1", SWITCH, _T, "TLS 1.1 as well", _OLDER),
    not_built(
        "raw-public-keys",
        SWITCH,
        _T,
        "RFC 7250",
        "clients are shown the certificate, also those that ask for its bare key",
    ),
    Option("dtls", SWITCH, _T, "DTLS beside UDP; default: whenever TLS is spoken"),
    Option("no-dtls", SWITCH, _T, "no DTLS", "no"),
)

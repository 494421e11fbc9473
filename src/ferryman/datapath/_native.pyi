"""The compiled datapath, as Python sees it.

IPs are 4 or 16 bytes in network order, every `expires_at` and `now` is CLOCK_MONOTONIC in
nanoseconds. ValueError, TypeError or OverflowError for arguments that are not of these shapes.
"""

from collections.abc import Sequence
from typing import Any, TypeAlias, final

__all__ = ["Datapath", "Gate", "Table"]

# Transport (UDP 17, TCP 6, TLS 0x106, DTLS 0x111), client IP and port, server IP and port, socket.
_RawFiveTuple: TypeAlias = tuple[int, bytes, int, bytes, int, int]

# NAT behaviour discovery (RFC 5780): primary and alternate IP as they are bound, the same two as
# they are advertised, primary and alternate port.
_RawDiscovery: TypeAlias = tuple[tuple[bytes, bytes], tuple[bytes, bytes], tuple[int, int]]

# What strangers are told without a decision: realm, cookie and key of the nonces, their lifetime in
# seconds (0: none), PASSWORD-ALGORITHMS as strangers see it and of MD5 alone, the name in
# THIRD-PARTY-AUTHORIZATION (empty: none), FINGERPRINT in every answer, answers a second for one
# source over UDP (0: any number), nanoseconds that the nonces' clock is ahead of `now`.
_RawGate: TypeAlias = tuple[bytes, bytes, bytes, int, tuple[bytes, bytes], bytes, bool, int, int]

# First item says which:
# (0, _RawFiveTuple, message)                                                       Reply
# (1, allocation, _RawFiveTuple, bound IP, port, advertised IP, port, expires_at,
#     bytes_per_second)                                                            OpenAllocation
# (2, allocation, expires_at)                                                      ExtendAllocation
# (3, allocation)                                                                  CloseAllocation
# (4, allocation, peer IP, relayed_only, expires_at)                               Permit
# (5, allocation, number, peer IP, port, relayed_only, expires_at)                 BindChannel
# (6, allocation, bound IP, port, advertised IP, port, expires_at)                 AddRelayed
# (7, allocation, _RawFiveTuple, until)                                            MoveAllocation
# (8, connection, allocation, peer IP, port, relayed_only)                         Connect
# (9, connection, _RawFiveTuple)                                                   Join
# (10, connection)                                                                 CloseConnection
# (11, as 1)                                                                     OpenTcpAllocation
# (12, allocation, family, expires_at)                                             ExtendRelayed
# (13, allocation, family)                                                         CloseRelayed
# (14, allocation, _RawFiveTuple)                                                  LeavePath
# A CloseAllocation is always answered, also of an allocation that was never there (0 is none's).
# A family is 1 (IPv4) or 2 (IPv6). A connection that the engine asks for (8) has its number, below
# 2**32; one that a peer has begun has the datapath's. The next new word is 15.
_RawCommand: TypeAlias = tuple[Any, ...]

# First item says which:
# (0, _RawFiveTuple, message)     a request for the engine
# (1, allocation, sent packets, sent bytes, received packets, received bytes, dropped packets)
#                                an allocation is closed, and its relay socket
# (2, _RawFiveTuple)              a connection (any but UDP) ended that had asked something
# (3, text)                      something that the operator should know
# (4, connection, succeeded)      the answer to a Connect
# (5, allocation, peer IP, port, connection)
#                                a permitted peer has connected to a TCP allocation
# (6, connection, sent bytes, received bytes)
#                                a peer's connection ended, with the one it was joined with
# (7, allocation, _RawFiveTuple)  a client that was moving has moved to this 5-tuple
# (8, allocation, family)         a relayed address is closed, and its relay socket
# (9, _RawFiveTuple)              a Binding request was answered (`log_binding`)
# (10, _RawFiveTuple, reason, length, beginning)
#                                a client's packet was dropped (`log_invalid`)
_RawEvent: TypeAlias = tuple[Any, ...]

@final
class Datapath:
    """The worker threads and their sockets. Methods may be called from any thread; none waits for
    a worker but `stop`, and no worker waits for Python. An allocation lives with the worker through
    whose socket it was asked for: a 5-tuple's socket number modulo the number of workers.
    """

    def __new__(
        cls,
        *,
        fingerprint: bool,
        mapped_address: bool = False,
        workers: int = 1,
        queue_limit: int = 4096,
        pending_connections: int = 4096,
        connection_timeout: float = 60.0,
        source_connections: int = 0,
        total_connections: int = 0,
        software: bool = False,
        binding: str = "everyone",
        buffer: int = 0,
        listening_device: str = "",
        relay_device: str = "",
        respond_http_unsupported: bool = False,
        acme_redirect: str = "",
        log_binding: bool = False,
        log_invalid: bool = False,
        rfc3489: bool = False,
    ) -> Datapath:
        """`fingerprint`: every Binding answer carries FINGERPRINT. `mapped_address`: every Binding
        success carries MAPPED-ADDRESS, too. `workers`: how many worker threads there are, 0 for
        as many as this process has processors. `queue_limit`: how many
        requests wait; more are dropped (UDP) or not read yet (TCP). `pending_connections`: how
        many TCP connections may be open without an allocation, and for four of them a DTLS
        association (then the oldest is closed of the source that has most), each for
        `connection_timeout` seconds at most.
        `source_connections`, `total_connections`: how many, DTLS associations among them, may be
        open from one IPv4 address or IPv6 /64, and in all (0: no limit); one more is closed at
        once. `software`: every Binding success carries SOFTWARE. `binding`: whose Binding requests
        are answered, `everyone`'s, `nobody`'s, or those of clients who have `proved` themselves to
        the engine. `buffer`: octets that a UDP socket may have waiting each way; 0 for the usual
        number. `listening_device`, `relay_device`: the device of all sockets for clients, and for
        peers; "" for any. `respond_http_unsupported`: HTTP over TCP or TLS is answered with 400.
        `acme_redirect`: a URL that the tokens of ACME's challenges are appended to, for a redirect;
        "" for none. `log_binding`, `log_invalid`: events tell of Binding requests that are answered
        and of packets that are none of TURN, 50 of each a second for each worker; the rest are
        counted, `untold_bindings` and `untold_drops`. `rfc3489`: Binding requests without a cookie
        are answered over UDP. OSError when there is no descriptor left.
        """

    def listen_udp(self, ip: bytes, port: int) -> int:
        """Binds a UDP socket for clients and returns its port (0 takes any). Bound to the
        wildcard, it answers from the address that was asked. OSError."""

    def listen_tcp(self, ip: bytes, port: int) -> int:
        """The same for TCP; once there is a certificate, clients may speak TLS on it as well."""

    def listen_tls(self, ip: bytes, port: int) -> int:
        """The same for TLS and nothing else."""

    def listen_fronts(
        self, ip: bytes, port: int, *, fronts: Sequence[tuple[bytes, bytes]], plain: bool
    ) -> int:
        """The same for front ends, who say by the PROXY protocol (version 1 or 2) who each client
        is; then the client speaks TCP or TLS, without `plain` TLS alone. `fronts`: the first and
        the last IP of those who may connect, and this machine may. All others are closed, and so
        is a connection that does not begin with the protocol. ValueError for an IP that is none,
        OSError."""

    def retire_udp(self, ip: bytes, port: int) -> None:
        """Serves no new clients over UDP at this address. Those with an allocation or a DTLS
        association are served there until they have none; then the socket is closed. Listening at
        the address again meanwhile makes it what it was."""

    def retire_tcp(self, ip: bytes, port: int) -> None:
        """Takes no more connections at this address; those that are open stay."""

    def choose(
        self,
        *,
        fingerprint: bool,
        mapped_address: bool,
        source_connections: int,
        total_connections: int,
        software: bool = False,
        binding: str = "everyone",
        respond_http_unsupported: bool = False,
        acme_redirect: str = "",
        log_binding: bool = False,
        log_invalid: bool = False,
        rfc3489: bool = False,
    ) -> None:
        """Changes these from now on; connections that are open stay. NAT behaviour discovery is
        offered no more, until it is offered again."""

    def stop_tls(self) -> None:
        """Speaks no TLS with those who connect from now on, until there is a certificate again."""

    def stop_dtls(self) -> None:
        """The same for DTLS."""

    def use_certificate(
        self,
        chain: Sequence[bytes],
        key: bytes,
        *,
        cipher_suites: Sequence[int],
        groups: Sequence[int],
        tls12: bool,
        client_roots: Sequence[bytes],
    ) -> None:
        """Shows this certificate to all who connect from now on; connections that stand keep what
        they have. `chain`: X.509 in DER, the server's own first. `key`: PKCS#8 in DER, not
        encrypted. `cipher_suites` and `groups`: IANA's numbers of those that may be used, none for
        all there are. `client_roots`: X.509 in DER, one of which must have signed the certificate
        that a client then has to have. ValueError when this cannot be spoken, or the key is not
        the certificate's; then all stays as it was."""

    def serve_dtls(
        self,
        chain: Sequence[bytes],
        key: bytes,
        *,
        cipher_suites: Sequence[int],
        groups: Sequence[int],
        dtls12: bool,
        client_roots: Sequence[bytes],
    ) -> str | None:
        """Speaks DTLS beside UDP on every UDP listener, told apart by the first byte (RFC 7983),
        and shows this certificate to all who come from now on; the rest as in `use_certificate`,
        `dtls12` as `tls12`. Returns why DTLS 1.3 is not spoken, None when it is. ValueError also
        when the machine has no OpenSSL 3, or no NSS for DTLS 1.3 alone."""

    def offer_discovery(self, addresses: _RawDiscovery) -> None:
        """Offers NAT behaviour discovery on listeners that are bound to these four addresses, and
        on them alone; replaces what was offered for the same family. May be called at any time.
        ValueError for IPs of two families."""

    def withdraw_discovery(self, family: int) -> None:
        """Offers it no more on addresses of this family (1 IPv4, 2 IPv6); nothing where it was
        not offered. ValueError for another number."""

    def guard(self, settings: _RawGate | None) -> None:
        """Answers strangers in this way from now on, without asking the engine; None: the engine is
        asked about every request. May be called at any time. ValueError for a cookie that has not
        13 characters or a name above 763 bytes."""

    def offload(self, interfaces: Sequence[str], modes: Sequence[str]) -> tuple[str, str]:
        """Has the kernel forward the channels that are bound from now on, by an eBPF program on
        these interfaces, until `stop` or the end of the process. Returns the mode, which is the
        first of these that all of them take, and why it is not one before it: "driver" (XDP in the
        driver), "tc" (TCX, behind any driver, Linux 6.6) or "generic" (XDP in place of the driver,
        slower). `counters` has `xdp_...` besides. ValueError when they take none, and why; then
        all stays as it was. Once is enough."""

    def bind_relay(self, ip: bytes, port: int) -> None:
        """Binds a relay socket ahead of need, for an Open that names this address. OSError."""

    def release_relay(self, ip: bytes, port: int) -> None:
        """Closes a relay socket that no Open has taken; nothing for any other address."""

    def bind_tcp_relay(self, ip: bytes, port: int) -> None:
        """Binds a socket that peers connect to, for an OpenTcpAllocation that names this address.
        It listens from now on; whoever connects before the allocation is there has no permission.
        OSError."""

    def release_tcp_relay(self, ip: bytes, port: int) -> None:
        """Closes such a socket that no OpenTcpAllocation has taken; nothing for any other."""

    def start(self) -> None:
        """Starts the worker threads; once is enough. OSError when one cannot be started; then none
        runs."""

    def fileno(self) -> int:
        """A descriptor that is readable while `drain` has something."""

    def drain(self, limit: int = 64) -> list[_RawEvent]:
        """Takes up to `limit` events, those of each worker in order; `fileno` stays readable if
        some are left."""

    def apply(self, commands: Sequence[_RawCommand]) -> None:
        """Gives commands to the workers; those for one client are obeyed in order. A Reply leaves
        after what stands before it for that client is in force. Unknown allocations are ignored."""

    def counters(self) -> dict[str, int]:
        """What has been counted so far, drops by reason (`dropped_...`)."""

    def worker_counters(self) -> list[dict[str, int]]:
        """The same of each worker."""

    def stop(self) -> None:
        """Lets the workers obey what they were given before, ends them and closes every socket.
        Twice is fine."""

@final
class Gate:
    """The gate alone, which judges requests of strangers, with verdicts to look at: ("ask",),
    ("answer", bytes), ("drop", reason).
    """

    def __new__(cls, settings: _RawGate) -> Gate:
        """ValueError as of `Datapath.guard`."""

    def judge(self, five_tuple: _RawFiveTuple, packet: bytes, now: int) -> tuple[Any, ...]: ...

@final
class Table:
    """The flow table alone, or those of several workers together: the same commands, no sockets,
    verdicts to look at.

    Verdicts: ("answer", bytes, from IP, from port, to IP, to port), ("ask",),
    ("peer", allocation, IP, port, payload, dont_fragment),
    ("client", allocation, bytes as they would leave), ("drop", reason).
    """

    def __new__(
        cls,
        *,
        fingerprint: bool = False,
        mapped_address: bool = False,
        software: bool = False,
        binding: str = "everyone",
        workers: int = 1,
    ) -> Table: ...
    def offer_discovery(self, addresses: _RawDiscovery) -> None: ...
    def withdraw_discovery(self, family: int) -> None: ...
    def apply(self, command: _RawCommand) -> tuple[int, int, int, int, int] | None:
        """Obeys a command; a Close returns packets and bytes sent, packets and bytes received,
        packets dropped."""

    def from_client(self, five_tuple: _RawFiveTuple, packet: bytes, now: int) -> tuple[Any, ...]:
        """The verdict on a packet from a client."""

    def take_moved(self) -> int | None:
        """The allocation whose client the last packet from a client has moved, asked once."""

    def from_peer(
        self,
        bound_ip: bytes,
        bound_port: int,
        peer_ip: bytes,
        peer_port: int,
        payload: bytes,
        now: int,
    ) -> tuple[Any, ...]:
        """The verdict on a packet from a peer."""

    def from_network(
        self,
        bound_ip: bytes,
        bound_port: int,
        peer_ip: bytes,
        peer_port: int,
        kind: int,
        code: int,
        mtu: int,
        now: int,
    ) -> tuple[Any, ...]:
        """The verdict on an ICMP error about a packet to a peer: type, code, and the MTU of the
        next hop (what it says of that where it tells none is passed over)."""

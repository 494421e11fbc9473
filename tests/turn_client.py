"""A small TURN client over real sockets, for tests that need to misbehave exactly so.

Blocking, one request at a time (RFC 8489 §6.2, RFC 8656 §6); it reads with the wire room and
knows nothing of the server's insides.
"""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
from collections.abc import Iterable

from ferryman.auth.long_term import hashed_name, long_term_key
from ferryman.wire.address import Address
from ferryman.wire.channel_data import decode_channel_data_untrusted, encode_channel_data
from ferryman.wire.framing import StreamFrames
from ferryman.wire.message import decode_untrusted, encode
from ferryman.wire.registry import Attribute, MessageClass, Method, PasswordAlgorithm
from ferryman.wire.values import (
    decode_xor_address_untrusted,
    encode_channel_number,
    encode_password_algorithms,
    encode_requested_transport,
    encode_uint32,
    encode_xor_address,
)
from tests.answer import Answer

TIMEOUT = 3.0
UDP_TRANSPORT = (Attribute.REQUESTED_TRANSPORT, encode_requested_transport(17))

Attributes = Iterable[tuple[int, bytes]]


class TurnClient:
    """One 5-tuple to the server at `host`:`port`; over TCP when `stream` is set, and over TLS as
    the `tls` context has it. `source`: the IP that it speaks from, by default the system's choice.

    Speaks RFC 5389 unless told otherwise: `sha256` signs with MESSAGE-INTEGRITY-SHA256,
    `password_algorithm` names the one that its key is made with (RFC 8489 §9.2.5), `userhash`
    sends USERHASH in place of USERNAME.
    """

    def __init__(
        self,
        port: int,
        username: str,
        password: str,
        *,
        host: str = "127.0.0.1",
        stream: bool = False,
        source: str = "",
        sha256: bool = False,
        userhash: bool = False,
        password_algorithm: PasswordAlgorithm | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.stream = stream or tls is not None
        kind = socket.SOCK_STREAM if self.stream else socket.SOCK_DGRAM
        self.socket = socket.socket(family, kind)
        self.socket.settimeout(TIMEOUT)
        if source:
            self.socket.bind((source, 0))
        try:
            self.socket.connect((host, port))
            if tls is not None:
                self.socket = tls.wrap_socket(self.socket, server_hostname=host)
        except BaseException:
            self.socket.close()
            raise
        self.username = username
        self.password = password
        self.realm = ""
        self.nonce = b""
        self.sha256 = sha256
        self.userhash = userhash
        self.password_algorithm = password_algorithm
        self.password_algorithms = b""
        self._frames = StreamFrames()
        self._waiting: list[bytes] = []

    def __enter__(self) -> TurnClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def abandon(self) -> None:
        """End the allocation, if there is one, without waiting for an answer; close the socket."""
        with contextlib.suppress(OSError):
            if self.nonce:
                lifetime = (Attribute.LIFETIME, encode_uint32(0))
                self.send(self.signed(Method.REFRESH, (lifetime,)))
        self.socket.close()

    @property
    def local(self) -> Address:
        host, port = self.socket.getsockname()[:2]
        return Address.of(host, port)

    def send(self, packet: bytes) -> None:
        self.socket.sendall(packet)

    def receive(self) -> bytes:
        """The next message or ChannelData; raises TimeoutError or ConnectionError."""
        if not self.stream:
            return self.socket.recv(65_536)
        while not self._waiting:
            octets = self.socket.recv(65_536)
            if not octets:
                raise ConnectionResetError("the server has closed the connection")
            self._waiting += self._frames.feed_untrusted(octets)
        return self._waiting.pop(0)

    def is_silent(self, seconds: float = 0.3) -> bool:
        """Whether nothing at all arrives for so long."""
        self.socket.settimeout(seconds)
        try:
            self._waiting.insert(0, self.receive())
        except TimeoutError:
            return True
        finally:
            self.socket.settimeout(TIMEOUT)
        return False

    def signed(
        self, method: int, attributes: Attributes = (), transaction_id: bytes | None = None
    ) -> bytes:
        key = self.key()
        return encode(
            MessageClass.REQUEST,
            method,
            transaction_id or os.urandom(12),
            (*attributes, *self.credentials()),
            key=None if self.sha256 else key,
            sha256_key=key if self.sha256 else None,
        )

    def key(self) -> bytes:
        algorithm = self.password_algorithm or PasswordAlgorithm.MD5
        return long_term_key(self.username, self.realm, self.password, algorithm)

    def credentials(self) -> list[tuple[int, bytes]]:
        """The attributes that say who asks, in answer to the challenge that came last."""
        name: tuple[int, bytes] = (Attribute.USERNAME, self.username.encode())
        if self.userhash:
            name = (Attribute.USERHASH, hashed_name(self.username, self.realm))
        found: list[tuple[int, bytes]] = [
            name,
            (Attribute.REALM, self.realm.encode()),
            (Attribute.NONCE, self.nonce),
        ]
        if self.password_algorithm is not None:
            named = encode_password_algorithms((self.password_algorithm,))
            found.append((Attribute.PASSWORD_ALGORITHMS, self.password_algorithms))
            found.append((Attribute.PASSWORD_ALGORITHM, named))
        return found

    def proves(self, answer: Answer) -> bool:
        """Whether whoever answered holds the password as well."""
        message, key = answer.message, self.key()
        return message.verifies_sha256(key) if message.has_sha256 else message.verifies(key)

    def ask(self, packet: bytes) -> Answer:
        """Send a request and wait for its answer; what else arrives is kept for `receive`."""
        self.send(packet)
        aside: list[bytes] = []
        while True:
            answer = self.receive()
            if answer[0] < 0x40 and answer[8:20] == packet[8:20]:
                self._waiting += aside
                return Answer(decode_untrusted(answer), answer)
            aside.append(answer)

    def challenge(self) -> Answer:
        packet = encode(MessageClass.REQUEST, Method.ALLOCATE, os.urandom(12), (UDP_TRANSPORT,))
        response = self.ask(packet)
        self.learn(response)
        return response

    def learn(self, response: Answer) -> None:
        """Realm, nonce and password algorithms of a 401 or 438."""
        realm = response.message.first(Attribute.REALM)
        nonce = response.message.first(Attribute.NONCE)
        assert realm is not None
        assert nonce is not None
        self.realm, self.nonce = realm.decode(), nonce
        self.password_algorithms = response.message.first(Attribute.PASSWORD_ALGORITHMS) or b""

    def request(self, method: int, attributes: Attributes = ()) -> Answer:
        if not self.nonce:
            self.challenge()
        return self.ask(self.signed(method, attributes))

    def allocate(self, *attributes: tuple[int, bytes]) -> Answer:
        return self.request(Method.ALLOCATE, (UDP_TRANSPORT, *attributes))

    def relayed(self, *attributes: tuple[int, bytes]) -> Address:
        """Allocate and return the relayed address; the allocation must succeed."""
        response = self.allocate(*attributes)
        assert response.code == 0, f"the Allocate was refused with {response.code}"
        return response.address(Attribute.XOR_RELAYED_ADDRESS)

    def refresh(self, lifetime: int) -> Answer:
        return self.request(Method.REFRESH, ((Attribute.LIFETIME, encode_uint32(lifetime)),))

    def permit(self, peer: Address) -> Answer:
        return self._with_peer(Method.CREATE_PERMISSION, peer)

    def bind(self, number: int, peer: Address) -> Answer:
        channel = (Attribute.CHANNEL_NUMBER, encode_channel_number(number))
        return self._with_peer(Method.CHANNEL_BIND, peer, channel)

    def _with_peer(self, method: int, peer: Address, *attributes: tuple[int, bytes]) -> Answer:
        if not self.nonce:
            self.challenge()
        transaction_id = os.urandom(12)
        encoded = (Attribute.XOR_PEER_ADDRESS, encode_xor_address(peer, transaction_id))
        return self.ask(self.signed(method, (*attributes, encoded), transaction_id))

    def bind_without_number(self, peer: Address) -> Answer:
        return self._with_peer(Method.CHANNEL_BIND, peer)

    def send_to(self, peer: Address, payload: bytes) -> None:
        """A Send indication (RFC 8656 §11.1)."""
        transaction_id = os.urandom(12)
        attributes = (
            (Attribute.XOR_PEER_ADDRESS, encode_xor_address(peer, transaction_id)),
            (Attribute.DATA, payload),
        )
        self.send(encode(MessageClass.INDICATION, Method.SEND, transaction_id, attributes))

    def send_on(self, channel: int, payload: bytes) -> None:
        self.send(encode_channel_data(channel, payload, padded=self.stream))

    def receive_data(self) -> tuple[Address, bytes]:
        """The next Data indication: the peer and its payload."""
        message = decode_untrusted(self.receive())
        assert message.method == Method.DATA
        peer = message.first(Attribute.XOR_PEER_ADDRESS)
        payload = message.first(Attribute.DATA)
        assert peer is not None
        assert payload is not None
        return decode_xor_address_untrusted(peer, message.transaction_id), payload

    def receive_channel(self) -> tuple[int, bytes]:
        return decode_channel_data_untrusted(self.receive())


class Peer:
    """A plain UDP socket, as the client's correspondent."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        self.socket = socket.socket(
            socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM
        )
        self.socket.settimeout(TIMEOUT)
        self.socket.bind((host, 0))

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    @property
    def address(self) -> Address:
        host, port = self.socket.getsockname()[:2]
        return Address.of(host, port)

    def send(self, to: Address, payload: bytes) -> None:
        self.socket.sendto(payload, (to.host, to.port))

    def receive(self) -> tuple[bytes, Address]:
        payload, source = self.socket.recvfrom(65_536)
        return payload, Address.of(*source[:2])

    def is_silent(self, seconds: float = 0.3) -> bool:
        self.socket.settimeout(seconds)
        try:
            self.socket.recvfrom(65_536)
        except TimeoutError:
            return True
        finally:
            self.socket.settimeout(TIMEOUT)
        return False

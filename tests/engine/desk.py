"""An engine on a desk: requests in, outcomes out, a clock turned by hand, no socket anywhere."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import count

from ferryman.auth.long_term import long_term_key
from ferryman.auth.sources import Keys, StaticKeys, StaticUsers
from ferryman.engine.admission import admit
from ferryman.engine.allocate import relay_needs
from ferryman.engine.changes import Change, Reply
from ferryman.engine.credential import ANONYMOUS, Claim, Credential, NoCredential
from ferryman.engine.decision import decide
from ferryman.engine.five_tuple import FiveTuple, Transport
from ferryman.engine.journal import Entry
from ferryman.engine.nonce import Nonces
from ferryman.engine.peer_rules import PeerPolicy, PeerRules
from ferryman.engine.proof import prove
from ferryman.engine.refusals import Refusal
from ferryman.engine.relay import RelayLease, RelayNeed
from ferryman.engine.settings import SECOND, Settings
from ferryman.engine.state import Outcome, State
from ferryman.engine.ticket import KEY_LENGTH, Tickets
from ferryman.wire.address import Address, Family
from ferryman.wire.message import decode_untrusted, encode
from ferryman.wire.registry import Attribute, MessageClass, Method
from ferryman.wire.values import (
    encode_channel_number,
    encode_requested_transport,
    encode_uint32,
    encode_xor_address,
)
from tests.answer import Answer

REALM = "ferry.example"
PASSWORDS = {"alice": "sesame", "bob": "hunter2"}
OLD_USER = "carol"
"""Has no password in the configuration, only an MD5 key; it is made of `sesame`."""
SERVER = Address.of("198.51.100.1", 3478)
RELAY_V4 = "198.51.100.1"
RELAY_V6 = "2001:db8:1::1"
PEER = Address.of("8.8.4.4", 5000)
PEER_V6 = Address.of("2a00:1450::5", 5000)
UDP_TRANSPORT = (Attribute.REQUESTED_TRANSPORT, encode_requested_transport(17))
OWN = frozenset((Address.of(RELAY_V4, 0).ip, Address.of(RELAY_V6, 0).ip))

USERS = Keys(
    (
        StaticUsers(
            {
                **{name: StaticKeys.of(name, REALM, word) for name, word in PASSWORDS.items()},
                OLD_USER: StaticKeys(long_term_key(OLD_USER, REALM, "sesame")),
            },
            REALM,
        ),
    )
)

Attributes = Iterable[tuple[int, bytes]]


def make_state(settings: Settings, nonce_lifetime: int) -> State:
    tokens = count(1)
    return State(
        settings=settings,
        peer_rules=PeerRules(PeerPolicy.PUBLIC, (), (), False, False, OWN),
        nonces=Nonces(b"secret of the test", nonce_lifetime),
        random_token=lambda: next(tokens).to_bytes(8, "big"),
        tickets=Tickets(bytes(KEY_LENGTH)),
    )


class Decided(Answer):
    """A reply, with what else the request caused."""

    def __init__(self, packet: bytes, outcome: Outcome) -> None:
        super().__init__(decode_untrusted(packet), packet)
        self.outcome = outcome

    @property
    def changes(self) -> list[Change]:
        return [change for change in self.outcome.changes if not isinstance(change, Reply)]

    @property
    def journal(self) -> list[Entry]:
        return self.outcome.journal


@dataclass
class Desk:
    """One engine, its clock (`now`, nanoseconds) and relay ports that never run out."""

    settings: Settings = field(default_factory=lambda: Settings(realm=REALM))
    now: int = 1_000 * SECOND
    nonce_lifetime: int = 600
    lease_refusal: Refusal | None = None
    short_of: dict[Family, Refusal] = field(default_factory=dict)
    credential: Credential | NoCredential | None = None
    keys: Keys = field(default_factory=lambda: USERS)

    def __post_init__(self) -> None:
        self.state = make_state(self.settings, self.nonce_lifetime)
        self._ports = count(50_000)
        self.given_back: list[RelayLease] = []

    def pass_seconds(self, seconds: float) -> None:
        self.now += int(seconds * SECOND)

    def client(
        self,
        port: int = 40_000,
        username: str = "alice",
        host: str = "203.0.113.9",
        transport: Transport = Transport.UDP,
    ) -> Client:
        five_tuple = FiveTuple(transport, Address.of(host, port), SERVER, 1)
        return Client(self, five_tuple, username)

    def receive(self, five_tuple: FiveTuple, packet: bytes) -> Outcome:
        """What the server's pump does with one request, without its sockets."""
        admitted = admit(self.state, five_tuple, packet, now=self.now)
        if isinstance(admitted, Outcome):
            return admitted
        credential = self._resolve(admitted.claim)
        proved = prove(self.state, admitted, credential, now=self.now)
        if isinstance(proved, Outcome):
            return proved
        needs = relay_needs(self.state, proved.request, now=self.now)
        leases = tuple(self._lease(need) for need in needs)
        outcome = decide(self.state, proved, leases, now=self.now)
        for lease in leases:
            if isinstance(lease, RelayLease) and lease not in outcome.taken:
                self.given_back.append(lease)
        return outcome

    def _resolve(self, claim: Claim | None) -> Credential | NoCredential:
        if self.credential is not None:
            return self.credential
        return ANONYMOUS if claim is None else self.keys.resolve(claim, unix_time=self.now / SECOND)

    def _lease(self, need: RelayNeed) -> RelayLease | Refusal:
        if self.lease_refusal is not None:
            return self.lease_refusal
        if need.family in self.short_of:
            return self.short_of[need.family]
        port = next(self._ports)
        if need.even and port % 2:
            port = next(self._ports)
        host = RELAY_V4 if need.family is Family.IPV4 else RELAY_V6
        relayed = Address.of(host, port)
        lease = RelayLease(relayed, relayed, transport=need.transport)
        if need.pair:
            higher = Address.of(host, next(self._ports))
            lease = lease._replace(next_higher=RelayLease(higher, higher))
        return lease


@dataclass
class Client:
    """Speaks for one 5-tuple; learns realm and nonce from the first challenge."""

    desk: Desk
    five_tuple: FiveTuple
    username: str
    nonce: bytes = b""

    def send(self, packet: bytes) -> Decided:
        outcome = self.desk.receive(self.five_tuple, packet)
        replies = [change for change in outcome.changes if isinstance(change, Reply)]
        assert len(replies) == 1, f"one answer expected, got {len(replies)}"
        assert outcome.changes[-1] is replies[0], "the reply must leave after the changes"
        assert replies[0].five_tuple == self.five_tuple
        return Decided(replies[0].message, outcome)

    def challenge(self) -> None:
        answer = self.send(self.plain(Method.ALLOCATE, (UDP_TRANSPORT,)))
        assert answer.code == 401
        nonce = answer.message.first(Attribute.NONCE)
        assert nonce is not None
        self.nonce = nonce

    def plain(self, method: int, attributes: Attributes = ()) -> bytes:
        return encode(MessageClass.REQUEST, method, self.transaction_id(), attributes)

    def signed(
        self,
        method: int,
        attributes: Attributes = (),
        *,
        password: str | None = None,
        transaction_id: bytes | None = None,
    ) -> bytes:
        if not self.nonce:
            self.challenge()
        credentials = (
            (Attribute.USERNAME, self.username.encode()),
            (Attribute.REALM, REALM.encode()),
            (Attribute.NONCE, self.nonce),
        )
        secret = password or PASSWORDS.get(self.username, "no password")
        key = long_term_key(self.username, REALM, secret)
        return encode(
            MessageClass.REQUEST,
            method,
            transaction_id or self.transaction_id(),
            (*attributes, *credentials),
            key=key,
        )

    def request(self, method: int, attributes: Attributes = ()) -> Decided:
        return self.send(self.signed(method, attributes))

    def allocate(self, *attributes: tuple[int, bytes]) -> Decided:
        return self.request(Method.ALLOCATE, (UDP_TRANSPORT, *attributes))

    def refresh(self, lifetime: int | None = None) -> Decided:
        wish = () if lifetime is None else ((Attribute.LIFETIME, encode_uint32(lifetime)),)
        return self.request(Method.REFRESH, wish)

    def permit(self, *peers: Address) -> Decided:
        return self.with_peers(Method.CREATE_PERMISSION, (), *peers)

    def bind(self, number: int, peer: Address) -> Decided:
        channel = ((Attribute.CHANNEL_NUMBER, encode_channel_number(number)),)
        return self.with_peers(Method.CHANNEL_BIND, channel, peer)

    def with_peers(self, method: int, attributes: Attributes, *peers: Address) -> Decided:
        """A signed request with XOR-PEER-ADDRESSes, which depend on the transaction id."""
        transaction_id = self.transaction_id()
        encoded = tuple(
            (Attribute.XOR_PEER_ADDRESS, encode_xor_address(peer, transaction_id)) for peer in peers
        )
        return self.send(
            self.signed(method, (*attributes, *encoded), transaction_id=transaction_id)
        )

    def transaction_id(self) -> bytes:
        return next(_transaction_ids).to_bytes(12, "big")


_transaction_ids = count(1)

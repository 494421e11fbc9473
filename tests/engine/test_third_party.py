"""Requests with access tokens (RFC 7635): the challenge that asks for one, what it opens, and for
how long.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest

from ferryman.auth.sources import Keys
from ferryman.auth.third_party import DELTA, ListedKeys, ThirdParty
from ferryman.engine.changes import ExtendAllocation, OpenAllocation, OpenTcpAllocation, Reply
from ferryman.engine.connection_attempt import attempted
from ferryman.engine.five_tuple import Transport
from ferryman.engine.journal import RefusedRequest
from ferryman.engine.refusals import Refusal
from ferryman.engine.settings import SECOND, Settings
from ferryman.wire.message import decode_untrusted, encode
from ferryman.wire.registry import Attribute, MessageClass, Method
from ferryman.wire.values import (
    encode_even_port,
    encode_requested_transport,
    encode_uint32,
    encode_xor_address,
)
from tests.conformance.clause import clause
from tests.engine.desk import PEER, REALM, UDP_TRANSPORT, USERS, Client, Decided, Desk
from tests.tokens import MAC_KEY, NORTH, SERVER_NAME, UNION, seal

OTHER_KEY = bytes(range(101, 121))
LONG_KEY = bytes(range(32))
SETTINGS = Settings(realm=REALM, third_party=SERVER_NAME)


@pytest.fixture
def desk() -> Desk:
    third_party = ThirdParty((ListedKeys([NORTH, UNION]),), SERVER_NAME)
    return Desk(settings=SETTINGS, keys=Keys((third_party, *USERS.sources)))


def learn(client: Client) -> None:
    """A nonce that is none to spare room: the request is long enough for all that it may hold."""
    packet = client.plain(Method.ALLOCATE, ((Attribute.SOFTWARE, bytes(100)),))
    nonce = client.send(packet).message.first(Attribute.NONCE)
    assert nonce is not None
    client.nonce = nonce


def with_password(desk: Desk, port: int = 40_000, username: str = "alice") -> Client:
    client = desk.client(port, username)
    learn(client)
    return client


def signed(
    client: Client,
    method: int,
    attributes: Iterable[tuple[int, bytes]] = (),
    *,
    token: bytes | None = None,
    kid: str = "north",
    key: bytes = MAC_KEY,
    sha256: bool = False,
    transaction_id: bytes | None = None,
) -> Decided:
    """A request that a session key signs, with or without its token."""
    if not client.nonce:
        learn(client)
    tokens = () if token is None else ((Attribute.ACCESS_TOKEN, token),)
    credentials = (
        (Attribute.USERNAME, kid.encode()),
        (Attribute.REALM, REALM.encode()),
        (Attribute.NONCE, client.nonce),
    )
    packet = encode(
        MessageClass.REQUEST,
        method,
        transaction_id or client.transaction_id(),
        (*attributes, *tokens, *credentials),
        key=None if sha256 else key,
        sha256_key=key if sha256 else None,
    )
    return client.send(packet)


def token_now(desk: Desk, lifetime: int = 600, mac_key: bytes = MAC_KEY) -> bytes:
    return seal(NORTH, desk.now / SECOND, lifetime, mac_key=mac_key)


def allocate(client: Client, token: bytes, key: bytes = MAC_KEY) -> Decided:
    return signed(client, Method.ALLOCATE, (UDP_TRANSPORT,), token=token, key=key)


def lifetime(answer: Decided) -> int:
    value = answer.message.first(Attribute.LIFETIME)
    assert value is not None
    return int.from_bytes(value)


def test_a_stranger_is_told_whose_token_is_wanted(desk: Desk) -> None:
    client = desk.client()
    answer = client.send(client.plain(Method.ALLOCATE, (UDP_TRANSPORT,)))
    assert answer.code == 401
    assert answer.message.first(Attribute.THIRD_PARTY_AUTHORIZATION) == SERVER_NAME.encode()
    assert answer.message.first(Attribute.REALM) == REALM.encode()
    assert answer.message.first(Attribute.NONCE)


def test_a_stale_nonce_comes_with_it_as_well(desk: Desk) -> None:
    client = with_password(desk)
    desk.pass_seconds(601)
    answer = allocate(client, token_now(desk))
    assert answer.code == 438
    assert answer.message.first(Attribute.THIRD_PARTY_AUTHORIZATION) == SERVER_NAME.encode()


@pytest.mark.parametrize("length", [1, 20, 40, 60, 100, 127])
def test_no_challenge_is_more_than_4_times_its_request(length: int) -> None:
    desk = Desk(settings=replace(SETTINGS, third_party="s" * length))
    client = desk.client()
    for attributes in ((), (UDP_TRANSPORT,), ((0x8022, bytes(100)),)):
        packet = client.plain(Method.ALLOCATE, attributes)
        answer = client.send(packet)
        assert answer.code == 401
        assert len(answer.packet) <= 4 * len(packet)
    # The last one has room for all.
    assert answer.message.first(Attribute.THIRD_PARTY_AUTHORIZATION) == b"s" * length


@clause(
    "RFC 7635 §6.1",
    "a server that takes no tokens tells of none",
    "src/ferryman/engine/admission.py",
)
def test_where_tokens_are_not_taken_nobody_is_told_and_none_is_understood() -> None:
    desk = Desk()
    client = desk.client()
    answer = client.send(client.plain(Method.ALLOCATE, (UDP_TRANSPORT,)))
    assert answer.message.first(Attribute.THIRD_PARTY_AUTHORIZATION) is None
    answer = client.allocate((Attribute.ACCESS_TOKEN, token_now(desk)))
    assert answer.code == 420
    assert signed(client, Method.ALLOCATE, (UDP_TRANSPORT,), token=token_now(desk)).code == 401


def test_passwords_work_beside_tokens(desk: Desk) -> None:
    assert with_password(desk).allocate().code == 0
    assert with_password(desk, 2, "bob").allocate().code == 0


def test_a_token_opens_an_allocation(desk: Desk) -> None:
    answer = allocate(desk.client(), token_now(desk))
    assert answer.code == 0
    assert answer.message.verifies(MAC_KEY)
    assert isinstance(answer.changes[0], OpenAllocation)


def test_the_integrity_may_be_sha256_and_so_is_the_answers(desk: Desk) -> None:
    client = desk.client()
    token = token_now(desk, mac_key=LONG_KEY)
    answer = signed(
        client, Method.ALLOCATE, (UDP_TRANSPORT,), token=token, key=LONG_KEY, sha256=True
    )
    assert answer.code == 0
    assert answer.message.verifies_sha256(LONG_KEY)


def test_what_coturns_clients_make_of_a_session_key_is_taken(desk: Desk) -> None:
    answer = allocate(desk.client(), token_now(desk), key=MAC_KEY[:16])
    assert answer.code == 0
    assert answer.message.verifies(MAC_KEY[:16])


@pytest.mark.parametrize(
    ("token", "detail"),
    [
        (seal(NORTH, 1_000, server_name="elsewhere"), "not sealed with this key for this server"),
        (seal(UNION, 1_000), "not sealed"),
        (seal(NORTH, 1_000 - 600 - DELTA, 600), "expired"),
        (b"", "too short"),
        (bytes(2000), "too long"),
    ],
    ids=["for another server", "under another key", "expired", "empty", "long"],
)
def test_a_bad_token_is_401_and_the_log_knows_why(desk: Desk, token: bytes, detail: str) -> None:
    answer = allocate(desk.client(), token)
    assert answer.code == 401
    assert answer.message.first(Attribute.THIRD_PARTY_AUTHORIZATION) == SERVER_NAME.encode()
    entry = answer.journal[0]
    assert isinstance(entry, RefusedRequest)
    assert entry.refusal is Refusal.BAD_ACCESS_TOKEN
    assert detail in entry.detail
    assert len(desk.state.allocations) == 0


def test_a_good_token_and_another_session_key_is_401(desk: Desk) -> None:
    answer = allocate(desk.client(), token_now(desk), key=OTHER_KEY)
    assert answer.code == 401
    assert isinstance(answer.journal[0], RefusedRequest)
    assert answer.journal[0].refusal is Refusal.WRONG_PASSWORD


def test_a_kid_that_is_a_users_name_gives_nothing_away(desk: Desk) -> None:
    token = seal(NORTH, desk.now / SECOND)
    assert (
        signed(desk.client(), Method.ALLOCATE, (UDP_TRANSPORT,), token=token, kid="alice").code
        == 401
    )


@pytest.mark.parametrize(
    ("token_lifetime", "asked", "granted"),
    [(100, None, 105), (100, 50, 105), (100, 3600, 105), (3000, None, 600), (1000, 3600, 1005)],
)
def test_an_allocation_lives_no_longer_than_its_token(
    desk: Desk, token_lifetime: int, asked: int | None, granted: int
) -> None:
    wish = () if asked is None else ((Attribute.LIFETIME, encode_uint32(asked)),)
    client = desk.client()
    answer = signed(
        client, Method.ALLOCATE, (UDP_TRANSPORT, *wish), token=token_now(desk, token_lifetime)
    )
    assert lifetime(answer) == granted
    opened = answer.changes[0]
    assert isinstance(opened, OpenAllocation)
    assert opened.expires_at == desk.now + granted * SECOND


def permit(client: Client, *, kid: str = "north", key: bytes = MAC_KEY) -> Decided:
    transaction_id = client.transaction_id()
    peer = (Attribute.XOR_PEER_ADDRESS, encode_xor_address(PEER, transaction_id))
    return signed(
        client,
        Method.CREATE_PERMISSION,
        (peer,),
        transaction_id=transaction_id,
        kid=kid,
        key=key,
    )


@clause(
    "RFC 7635 §9",
    "requests that follow are sealed with the session key, without a token",
    "src/ferryman/engine/grant.py",
)
def test_later_requests_need_the_session_key_and_no_token(desk: Desk) -> None:
    client = desk.client()
    allocate(client, token_now(desk))
    answer = permit(client)
    assert answer.code == 0
    assert answer.message.verifies(MAC_KEY)
    assert permit(client, key=OTHER_KEY).code == 401
    assert permit(client, kid="union").code == 401


@clause(
    "RFC 7635 §11",
    "a session key without its token serves its 5-tuple alone",
    "src/ferryman/engine/grant.py",
)
def test_the_session_key_is_of_no_use_on_another_5_tuple(desk: Desk) -> None:
    allocate(desk.client(), token_now(desk))
    other = desk.client(50_000)
    assert permit(other).code == 401
    assert signed(other, Method.ALLOCATE, (UDP_TRANSPORT,)).code == 401


def test_a_refresh_without_a_token_reaches_to_the_end_of_the_first(desk: Desk) -> None:
    client = desk.client()
    allocate(client, token_now(desk, 1000))
    desk.pass_seconds(500)
    answer = signed(client, Method.REFRESH)
    assert (answer.code, lifetime(answer)) == (0, 505)
    desk.pass_seconds(504.5)
    client.nonce = b""
    answer = signed(client, Method.REFRESH)
    assert answer.code == 401, "less than a second is left"


@clause(
    "RFC 7635 §9", "a Refresh with a new token goes on with that", "src/ferryman/engine/grant.py"
)
def test_a_refresh_with_a_new_token_goes_on_with_that(desk: Desk) -> None:
    client = desk.client()
    allocate(client, token_now(desk, 300))
    desk.pass_seconds(200)
    token = seal(UNION, desk.now / SECOND, 600, mac_key=OTHER_KEY)
    answer = signed(client, Method.REFRESH, token=token, kid="union", key=OTHER_KEY)
    assert (answer.code, lifetime(answer)) == (0, 600)
    assert answer.message.verifies(OTHER_KEY)
    assert isinstance(answer.changes[0], ExtendAllocation)
    assert permit(client, kid="union", key=OTHER_KEY).code == 0
    assert permit(client).code == 401, "the first session key is gone"


@clause(
    "RFC 7635 §9",
    "after the token has expired nothing is refreshed",
    "src/ferryman/engine/grant.py",
)
def test_an_expired_token_does_not_refresh(desk: Desk) -> None:
    client = desk.client()
    token = token_now(desk, 200)
    allocate(client, token)
    desk.pass_seconds(206)
    assert signed(client, Method.REFRESH, token=token).code == 401
    assert signed(client, Method.REFRESH).code == 401


@clause(
    "RFC 7635 §11",
    "users and holders of tokens keep out of each other's allocations",
    "WRONG_CREDENTIALS",
)
def test_users_and_token_holders_keep_out_of_each_others_allocations(desk: Desk) -> None:
    holder, user = desk.client(), with_password(desk, 50_000)
    allocate(holder, token_now(desk))
    user.allocate()
    assert holder.refresh().code == 441
    assert signed(user, Method.REFRESH, token=token_now(desk)).code == 441


def test_the_quota_counts_by_token() -> None:
    third_party = ThirdParty((ListedKeys([NORTH]),), SERVER_NAME)
    desk = Desk(settings=replace(SETTINGS, user_quota=1), keys=Keys((third_party,)))
    token, other = token_now(desk), token_now(desk, mac_key=OTHER_KEY)
    assert allocate(desk.client(1), token).code == 0
    assert allocate(desk.client(2), token).code == 486
    assert allocate(desk.client(3), other, key=OTHER_KEY).code == 0


def test_a_reserved_port_is_for_any_token_holder_and_for_no_user(desk: Desk) -> None:
    even = (Attribute.EVEN_PORT, encode_even_port(True))
    client = desk.client()
    answer = signed(client, Method.ALLOCATE, (UDP_TRANSPORT, even), token=token_now(desk))
    reserved = answer.message.first(Attribute.RESERVATION_TOKEN)
    assert reserved is not None
    redeem = (Attribute.RESERVATION_TOKEN, reserved)
    assert with_password(desk, 2).allocate(redeem).code == 508
    other = seal(UNION, desk.now / SECOND, mac_key=OTHER_KEY)
    answer = signed(
        desk.client(3),
        Method.ALLOCATE,
        (UDP_TRANSPORT, redeem),
        token=other,
        kid="union",
        key=OTHER_KEY,
    )
    assert answer.code == 0


def test_a_users_reserved_port_is_not_for_token_holders(desk: Desk) -> None:
    answer = with_password(desk).allocate((Attribute.EVEN_PORT, encode_even_port(True)))
    reserved = answer.message.first(Attribute.RESERVATION_TOKEN)
    assert reserved is not None
    redeem = (Attribute.RESERVATION_TOKEN, reserved)
    client = desk.client(2)
    answer = signed(client, Method.ALLOCATE, (UDP_TRANSPORT, redeem), token=token_now(desk))
    assert answer.code == 508


def test_over_tcp_a_token_works_as_well(desk: Desk) -> None:
    client = desk.client()
    client.five_tuple = client.five_tuple._replace(transport=Transport.TCP)
    assert allocate(client, token_now(desk)).code == 0


def test_nothing_that_is_kept_shows_a_session_key(desk: Desk) -> None:
    client = desk.client()
    allocate(client, token_now(desk))
    shown = repr(desk.state.allocations.of(client.five_tuple, now=desk.now))
    assert "north" in shown
    assert repr(MAC_KEY)[2:-1] not in shown
    assert repr(MAC_KEY[:16])[2:-1] not in shown


def test_a_connection_is_bound_with_the_session_key_of_its_allocation_and_no_token(
    desk: Desk,
) -> None:
    """The client's data connection is another 5-tuple (RFC 6062 §4.3), and a token names nobody."""
    control = desk.client(transport=Transport.TCP)
    learn(control)
    tcp = (Attribute.REQUESTED_TRANSPORT, encode_requested_transport(6))
    opened = signed(control, Method.ALLOCATE, (tcp,), token=token_now(desk))
    assert opened.code == 0
    (change,) = (one for one in opened.changes if isinstance(one, OpenTcpAllocation))
    arrived = attempted(desk.state, change.allocation, PEER, 2**32 + 1, now=desk.now)
    (told,) = (one for one in arrived.changes if isinstance(one, Reply))
    identity = decode_untrusted(told.message).first(Attribute.CONNECTION_ID)
    assert identity is not None
    number = (Attribute.CONNECTION_ID, identity)
    thief = desk.client(41_000, transport=Transport.TCP)
    assert signed(thief, Method.CONNECTION_BIND, (number,), key=OTHER_KEY).code == 401
    channel = desk.client(41_001, transport=Transport.TCP)
    assert signed(channel, Method.CONNECTION_BIND, (number,)).code == 0

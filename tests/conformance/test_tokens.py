"""Third-party authorization: RFC 7635. A Ferryman of its own: the key is known to the test."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import pytest

from ferryman.wire.message import encode
from ferryman.wire.registry import Attribute, MessageClass, Method
from tests.answer import Answer
from tests.conformance.clause import clause
from tests.conformance.conftest import CONFIGURATION
from tests.servers import RunningServer, start_server
from tests.tokens import MAC_KEY, NORTH, SERVER_NAME, UNION, oauth_key_line, seal
from tests.turn_client import UDP_TRANSPORT, TurnClient

TOKEN = "src/ferryman/auth/access_token.py"
THIRD_PARTY = "src/ferryman/auth/third_party.py"
ADMISSION = "src/ferryman/engine/admission.py"


@pytest.fixture(scope="module")
def server(
    pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningServer]:
    if pytestconfig.getoption("server"):
        pytest.skip("the key of another server's tokens is not known")
    lines = [*CONFIGURATION, "oauth", f"server-name={SERVER_NAME}", oauth_key_line(NORTH)]
    with start_server(lines, tmp_path_factory.mktemp("tokens")) as running:
        yield running


@pytest.fixture
def client(server: RunningServer) -> Iterator[TurnClient]:
    with TurnClient(server.port, NORTH.kid, "", stream=True) as client:
        client.challenge()
        yield client


def allocate(
    client: TurnClient, token: bytes, *, kid: str = NORTH.kid, mac_key: bytes = MAC_KEY
) -> Answer:
    attributes = (
        UDP_TRANSPORT,
        (Attribute.ACCESS_TOKEN, token),
        (Attribute.USERNAME, kid.encode()),
        (Attribute.REALM, client.realm.encode()),
        (Attribute.NONCE, client.nonce),
    )
    packet = encode(MessageClass.REQUEST, Method.ALLOCATE, os.urandom(12), attributes, key=mac_key)
    return client.ask(packet)


@clause("RFC 7635 §6.1", "the 401 names the server in THIRD-PARTY-AUTHORIZATION", ADMISSION)
def test_the_challenge_names_the_server(client: TurnClient) -> None:
    answer = client.challenge()
    named = answer.message.first(Attribute.THIRD_PARTY_AUTHORIZATION)
    assert named == SERVER_NAME.encode()


@clause("RFC 7635 §7", "a token under a known key lets its holder in", THIRD_PARTY)
def test_a_token_lets_its_holder_in(client: TurnClient) -> None:
    answer = allocate(client, seal(NORTH, time.time()))
    assert answer.code == 0
    assert answer.message.verifies(MAC_KEY)


@clause("RFC 7635 §7", "an expired token is 401", "BAD_ACCESS_TOKEN")
def test_an_expired_token_is_refused(client: TurnClient) -> None:
    assert allocate(client, seal(NORTH, time.time() - 4000, 3600)).code == 401


@clause("RFC 7635 §7", "a token that is not yet good is 401", THIRD_PARTY)
def test_a_token_from_the_future_is_refused(client: TurnClient) -> None:
    assert allocate(client, seal(NORTH, time.time() + 7200)).code == 401


@clause("RFC 7635 §6.2", "a token under another key, or for another server, is 401", TOKEN)
def test_a_token_of_others_is_refused(client: TurnClient) -> None:
    assert allocate(client, seal(UNION, time.time())).code == 401
    assert allocate(client, seal(NORTH, time.time(), server_name="another.example")).code == 401


@clause("RFC 7635 §6.2", "a damaged token is 401, whatever its length", TOKEN)
@pytest.mark.parametrize("length", [0, 1, 2, 13, 30, 60, 1200])
def test_a_damaged_token_is_refused(client: TurnClient, length: int) -> None:
    assert allocate(client, os.urandom(length)).code in (400, 401)


@clause("RFC 7635 §7", "the request must be sealed with the key in the token", "WRONG_PASSWORD")
def test_the_key_in_the_token_seals_the_request(client: TurnClient) -> None:
    answer = allocate(client, seal(NORTH, time.time()), mac_key=bytes(20))
    assert answer.code == 401


@clause("RFC 7635 §9", "an allocation lives no longer than its token", THIRD_PARTY)
def test_the_lifetime_ends_with_the_token(client: TurnClient) -> None:
    answer = allocate(client, seal(NORTH, time.time(), 300))
    assert answer.code == 0
    assert 290 <= answer.lifetime <= 305  # the RFC allows clocks 5 s apart

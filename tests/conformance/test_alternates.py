"""ALTERNATE-SERVER: RFC 8489 §10. A Ferryman of its own, told where to send its clients."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ferryman.wire.address import Address
from ferryman.wire.registry import Attribute
from ferryman.wire.values import decode_address_untrusted
from tests.conformance.clause import clause
from tests.conformance.conftest import CONFIGURATION
from tests.conformance.crafting import md5_key, plain
from tests.servers import RunningServer, start_server
from tests.turn_client import TurnClient

ELSEWHERE = Address.of("192.0.2.9", 3478)


@pytest.fixture(scope="module")
def server(
    pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningServer]:
    if pytestconfig.getoption("server"):
        pytest.skip("it is not known where another server sends its clients")
    lines = [*CONFIGURATION, f"alternate-server={ELSEWHERE}"]
    with start_server(lines, tmp_path_factory.mktemp("alternates")) as running:
        yield running


@pytest.fixture(params=[False, True], ids=["udp", "tcp"])
def client(server: RunningServer, request: pytest.FixtureRequest) -> Iterator[TurnClient]:
    with TurnClient(server.port, "alice", "sesame", stream=request.param) as client:
        yield client


@clause("RFC 8489 §10", "an Allocate is answered with 300 and ALTERNATE-SERVER", "TRY_ALTERNATE")
def test_the_client_is_sent_elsewhere(client: TurnClient) -> None:
    answer = client.allocate()
    assert answer.code == 300
    value = answer.message.first(Attribute.ALTERNATE_SERVER)
    assert value is not None
    assert decode_address_untrusted(value) == ELSEWHERE


@clause("RFC 8489 §10", "the client can trust a 300, for it is sealed", "TRY_ALTERNATE")
def test_a_300_is_sealed(client: TurnClient) -> None:
    answer = client.allocate()
    key = md5_key(client.username, client.realm, client.password)
    assert answer.message.verifies(key)


@clause("RFC 8489 §10", "Binding is answered as ever", "native/flow/src/binding.rs")
def test_binding_stays_here(client: TurnClient) -> None:
    assert client.ask(plain(0x0001)).address(Attribute.XOR_MAPPED_ADDRESS) == client.local

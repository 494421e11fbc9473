"""A front that sends its clients on to another server, both running."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from ferryman.wire.registry import Attribute
from ferryman.wire.values import decode_address_untrusted
from tests.running.conftest import ACCOUNTS, logged
from tests.servers import RunningServer, start_server
from tests.turn_client import Peer, TurnClient


@dataclass(frozen=True)
class Pair:
    front: RunningServer
    behind: RunningServer


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with start_server(
        [*ACCOUNTS, "allow-loopback-peers"], tmp_path_factory.mktemp("behind")
    ) as behind:
        lines = [f"alternate-server={host}:{behind.port}" for host in ("127.0.0.1", "[::1]")]
        with start_server([*ACCOUNTS, *lines], tmp_path_factory.mktemp("front")) as front:
            yield Pair(front, behind)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("stream", [False, True], ids=["udp", "tcp"])
def test_a_client_that_is_sent_on_relays_through_the_other_server(
    pair: Pair, stream: bool, host: str
) -> None:
    with TurnClient(pair.front.port, "alice", "sesame", stream=stream, host=host) as client:
        answer = client.allocate()
        assert answer.code == 300
        assert client.proves(answer)
        value = answer.message.first(Attribute.ALTERNATE_SERVER)
        assert value is not None
        there = decode_address_untrusted(value)
    assert (there.host, there.port) == (host, pair.behind.port)
    with (
        TurnClient(there.port, "alice", "sesame", stream=stream, host=there.host) as client,
        Peer() as peer,
    ):
        relayed = client.relayed()
        assert client.bind(0x4000, peer.address).code == 0
        client.send_on(0x4000, b"sent on")
        assert peer.receive() == (b"sent on", relayed)
    (line, *_) = logged(pair.front, "sent to another server")
    assert f":{pair.behind.port}" in line
    assert "user=alice" in line

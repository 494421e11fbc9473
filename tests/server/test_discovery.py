"""What is offered to clients of NAT behaviour discovery, shown by a native table's own answers."""

from __future__ import annotations

import structlog
from structlog.testing import LogCapture
from structlog.typing import FilteringBoundLogger

from ferryman.datapath._native import Table
from ferryman.server.discovery import offer_discovery
from ferryman.server.relay_addresses import RelayAddresses
from ferryman.server.settings import Settings
from ferryman.wire.address import Address
from ferryman.wire.message import decode_untrusted, encode
from ferryman.wire.registry import Attribute, MessageClass, Method
from ferryman.wire.values import decode_address_untrusted

ONE, OTHER = Address.of("10.0.0.1", 3478), Address.of("10.0.0.2", 3479)
OUTSIDE = Address.of("203.0.113.1", 0).ip
FURTHER = Address.of("203.0.113.2", 0).ip
CLIENT = Address.of("198.51.100.7", 4000)
REQUEST = encode(MessageClass.REQUEST, Method.BINDING, bytes(12), [(Attribute.SOFTWARE, bytes(8))])


def settings(**more: object) -> Settings:
    pairs = ((ONE.ip, OTHER.ip),)
    return Settings((), discovery_pairs=pairs, discovery_ports=(3478, 3479), **more)  # type: ignore[arg-type]


def make_log() -> tuple[FilteringBoundLogger, LogCapture]:
    capture = LogCapture()
    return structlog.wrap_logger(structlog.PrintLogger(), processors=[capture]), capture


def other_address(table: Table) -> Address | None:
    """What a client of the first address is told."""
    answer = table.from_client((17, *CLIENT, *ONE, 1), REQUEST, 0)[1]
    value = decode_untrusted(answer).first(Attribute.OTHER_ADDRESS)
    return None if value is None else decode_address_untrusted(value)


def test_a_pair_is_offered_as_the_world_knows_it() -> None:
    table, (log, capture) = Table(), make_log()
    known = settings(external={ONE.ip: OUTSIDE, OTHER.ip: FURTHER})
    offer_discovery(table, known, RelayAddresses(known), log)
    assert other_address(table) == Address(FURTHER, 3479)
    assert capture.entries == []


def test_an_offer_follows_what_the_addresses_are_known_by() -> None:
    table, (log, _) = Table(), make_log()
    addresses = RelayAddresses(settings())
    offer_discovery(table, settings(), addresses, log)
    assert other_address(table) == OTHER
    changed = settings(external={OTHER.ip: FURTHER})
    addresses.use(changed)
    offer_discovery(table, changed, addresses, log)
    assert other_address(table) == Address(FURTHER, 3479)


def test_two_addresses_that_are_one_outside_are_not_offered() -> None:
    table, (log, capture) = Table(), make_log()
    known = settings(external_by_default=(OUTSIDE,))
    offer_discovery(table, known, RelayAddresses(known), log)
    assert other_address(table) is None
    assert [entry["address"] for entry in capture.entries] == ["203.0.113.1"]


def test_an_offer_is_withdrawn_when_its_addresses_become_one_outside() -> None:
    table, (log, capture) = Table(), make_log()
    two = settings(external={ONE.ip: OUTSIDE, OTHER.ip: FURTHER})
    addresses = RelayAddresses(two)
    offer_discovery(table, two, addresses, log)
    one = settings(external={ONE.ip: OUTSIDE, OTHER.ip: OUTSIDE})
    addresses.use(one)
    offer_discovery(table, one, addresses, log)
    assert other_address(table) is None
    assert [entry["address"] for entry in capture.entries] == ["203.0.113.1"]
    addresses.use(two)
    offer_discovery(table, two, addresses, log)
    assert other_address(table) == Address(FURTHER, 3479)


def test_nothing_is_offered_without_a_pair() -> None:
    table, (log, capture) = Table(), make_log()
    offer_discovery(table, Settings(()), RelayAddresses(Settings(())), log)
    assert other_address(table) is None
    assert capture.entries == []

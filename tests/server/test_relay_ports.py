"""Relay ports: bound ahead, random, even when asked, and never lost."""

from __future__ import annotations

import errno

import pytest

from ferryman.engine.five_tuple import Transport
from ferryman.engine.refusals import Refusal
from ferryman.engine.relay import RelayLease, RelayNeed
from ferryman.server.relay_addresses import RelayAddresses
from ferryman.server.relay_ports import IDLE, RELAY_IPS, RELAY_IPS_EVER, STOCK, RelayPorts
from ferryman.server.settings import Settings
from ferryman.wire.address import Address, Family

LOCAL = Address.of("192.0.2.7", 3478)
IPV4 = RelayNeed(Family.IPV4)
TCP = RelayNeed(Family.IPV4, transport=Transport.TCP)
EVEN = RelayNeed(Family.IPV4, even=True)
PAIR = RelayNeed(Family.IPV4, even=True, pair=True)


class Sockets:
    """Bookkeeping in place of the kernel: which addresses are bound, which others occupy."""

    def __init__(self, occupied: set[int] | None = None, error: int = errno.EADDRINUSE) -> None:
        self.bound: set[tuple[Transport, Address]] = set()
        self.occupied = occupied or set()
        self.error = error
        self.broken: bytes | None = None
        self.tried = 0

    def bind(self, transport: Transport, address: Address) -> None:
        self.tried += 1
        if address.ip == self.broken:
            raise OSError(errno.EADDRNOTAVAIL, "no such address")
        if address.port in self.occupied:
            raise OSError(self.error, "refused")
        assert (transport, address) not in self.bound
        self.bound.add((transport, address))

    def release(self, transport: Transport, address: Address) -> None:
        self.bound.remove((transport, address))


def make(sockets: Sockets, first: int, last: int, **settings: object) -> RelayPorts:
    addresses = RelayAddresses(Settings(listeners=(), **settings))  # type: ignore[arg-type]
    return RelayPorts(addresses, first, last, sockets.bind, sockets.release)


def taken(ports: RelayPorts, need: RelayNeed = IPV4) -> RelayLease:
    lease = ports.lease(need, LOCAL, now=0)
    assert isinstance(lease, RelayLease)
    return lease


def test_every_port_of_the_range_is_given_once_and_then_none() -> None:
    ports = make(Sockets(), 50_000, 50_099)
    given = {taken(ports).bound.port for _ in range(100)}
    assert given == set(range(50_000, 50_100))
    assert ports.lease(IPV4, LOCAL, now=0) is Refusal.NO_PORT


def test_a_closed_port_can_be_given_again() -> None:
    sockets = Sockets()
    ports = make(sockets, 50_000, 50_000)
    lease = taken(ports)
    assert ports.lease(IPV4, LOCAL, now=0) is Refusal.NO_PORT
    sockets.release(lease.transport, lease.bound)
    ports.closed(lease)
    assert taken(ports) == lease


def test_ports_come_in_no_order() -> None:
    ports = make(Sockets(), 49_152, 65_535)
    given = [taken(ports).bound.port for _ in range(50)]
    assert given != sorted(given)
    assert len({port // 1024 for port in given}) > 5


def test_a_port_that_another_program_holds_is_passed_over_and_tried_again_later() -> None:
    sockets = Sockets(occupied={50_000, 50_001, 50_002})
    ports = make(sockets, 50_000, 50_003)
    assert taken(ports).bound.port == 50_003
    assert ports.lease(IPV4, LOCAL, now=0) is Refusal.NO_PORT
    sockets.occupied.clear()
    ports.top_up(now=0)
    assert taken(ports).bound.port in (50_000, 50_001, 50_002)


@pytest.mark.parametrize("error", [errno.EMFILE, errno.EADDRNOTAVAIL])
def test_another_failure_to_bind_is_no_port_and_loses_none(error: int) -> None:
    sockets = Sockets(occupied={50_000}, error=error)
    ports = make(sockets, 50_000, 50_000)
    assert ports.lease(IPV4, LOCAL, now=0) is Refusal.NO_PORT
    assert ports.take_trouble() == "192.0.2.7:50000: refused"
    assert ports.take_trouble() == ""
    sockets.occupied.clear()
    assert taken(ports).bound.port == 50_000


def test_the_trouble_of_one_address_is_not_anothers() -> None:
    broken, good = Address.of("192.0.2.8", 3478), LOCAL
    for _ in range(20):
        sockets = Sockets(occupied={50_000, 50_001, 50_002})
        sockets.broken = broken.ip
        ports = make(sockets, 50_000, 50_003)
        assert ports.lease(IPV4, broken, now=0) is Refusal.NO_PORT
        lease = ports.lease(IPV4, good, now=0)
        assert isinstance(lease, RelayLease)
        assert lease.bound == good._replace(port=50_003)
        assert ports.take_trouble().endswith("no such address")


@pytest.mark.parametrize("need", [IPV4, EVEN, PAIR])
def test_without_descriptors_a_request_costs_one_attempt(need: RelayNeed) -> None:
    sockets = Sockets()
    sockets.broken = LOCAL.ip
    ports = make(sockets, 49_152, 65_535)
    assert ports.lease(need, LOCAL, now=0) is Refusal.NO_PORT
    assert sockets.tried == 1


def test_half_a_pair_is_kept_when_descriptors_end_between_the_two() -> None:
    sockets = Sockets(occupied={50_001}, error=errno.EMFILE)
    ports = make(sockets, 50_000, 50_001)
    assert ports.lease(PAIR, LOCAL, now=0) is Refusal.NO_PORT
    assert taken(ports, EVEN).bound.port == 50_000


def test_an_even_port_that_is_bound_ahead_needs_no_descriptor() -> None:
    sockets = Sockets()
    ports = make(sockets, 49_152, 65_535)
    lease = taken(ports, EVEN)
    ports.give_back(lease)
    sockets.broken = LOCAL.ip
    assert taken(ports, EVEN) == lease


def test_an_even_port_is_even_also_when_the_stock_holds_them_all() -> None:
    ports = make(Sockets(), 50_001, 50_006)
    for lease in [taken(ports) for _ in range(6)]:
        ports.give_back(lease)
    given = {taken(ports, EVEN).bound.port for _ in range(3)}
    assert given == {50_002, 50_004, 50_006}
    assert ports.lease(EVEN, LOCAL, now=0) is Refusal.NO_PORT


def test_a_pair_is_an_even_port_and_the_next_one() -> None:
    ports = make(Sockets(), 50_000, 50_007)
    for _ in range(4):
        lease = taken(ports, PAIR)
        assert lease.next_higher is not None
        assert lease.bound.port % 2 == 0
        assert lease.next_higher.bound.port == lease.bound.port + 1
    assert ports.lease(IPV4, LOCAL, now=0) is Refusal.NO_PORT


def test_half_a_pair_is_not_lost() -> None:
    sockets = Sockets(occupied={50_001})
    ports = make(sockets, 50_000, 50_001)
    assert ports.lease(PAIR, LOCAL, now=0) is Refusal.NO_PORT
    assert taken(ports).bound.port == 50_000


def test_a_pair_in_a_large_range_is_found_quickly() -> None:
    ports = make(Sockets(), 49_152, 65_535)
    assert taken(ports, PAIR).next_higher is not None


def test_a_lease_that_nobody_took_stays_bound_for_the_next() -> None:
    sockets = Sockets()
    ports = make(sockets, 50_000, 50_000)
    lease = taken(ports)
    ports.give_back(lease)
    assert (lease.transport, lease.bound) in sockets.bound
    assert taken(ports) == lease


def test_a_large_stock_is_closed_rather_than_kept() -> None:
    sockets = Sockets()
    ports = make(sockets, 50_000, 50_999)
    for lease in [taken(ports) for _ in range(200)]:
        ports.give_back(lease)
    assert len(sockets.bound) == 2 * STOCK
    assert len({taken(ports).bound for _ in range(1000)}) == 1000


def test_topping_up_binds_ahead_of_need_for_addresses_in_use() -> None:
    sockets = Sockets()
    ports = make(sockets, 50_000, 50_999)
    ports.top_up(now=0)
    assert not sockets.bound
    taken(ports)
    ports.top_up(now=0)
    assert len(sockets.bound) == 1 + STOCK


def test_a_small_range_is_not_all_bound_ahead() -> None:
    sockets = Sockets()
    ports = make(sockets, 50_000, 50_007)
    taken(ports)
    ports.top_up(now=0)
    assert len(sockets.bound) == 1 + 2


def test_a_tcp_socket_listens_for_nobody_ahead_of_need_nor_after() -> None:
    sockets = Sockets()
    ports = make(sockets, 50_000, 50_999)
    lease = taken(ports, TCP)
    assert lease.transport is Transport.TCP
    ports.top_up(now=0)
    assert sockets.bound == {(Transport.TCP, lease.bound)}
    ports.give_back(lease)
    assert not sockets.bound


def test_udp_and_tcp_share_no_port_numbers() -> None:
    sockets = Sockets()
    ports = make(sockets, 50_000, 50_000)
    assert taken(ports, TCP).bound == taken(ports).bound
    assert ports.lease(TCP, LOCAL, now=0) is Refusal.NO_PORT
    ports.closed(RelayLease(*(Address(LOCAL.ip, 50_000),) * 2, transport=Transport.TCP))
    assert ports.lease(IPV4, LOCAL, now=0) is Refusal.NO_PORT


def raw(host: str) -> bytes:
    return Address.of(host, 0).ip


def test_clients_cannot_make_it_bind_on_ever_more_addresses() -> None:
    sockets = Sockets()
    ports = make(sockets, 50_000, 50_009)
    given = [ask_at(ports, number) for number in range(300)]
    assert given[RELAY_IPS:] == [Refusal.NO_PORT] * (300 - RELAY_IPS)
    assert Refusal.NO_PORT not in given[:RELAY_IPS]
    assert len(sockets.bound) == RELAY_IPS


def test_an_address_that_nobody_uses_is_forgotten_after_a_minute() -> None:
    sockets = Sockets()
    ports = make(sockets, 50_000, 50_009)
    given = [ask_at(ports, number) for number in range(RELAY_IPS)]
    for lease in given[1:]:
        assert isinstance(lease, RelayLease)
        ports.give_back(lease)
    ports.top_up(now=IDLE - 1)
    assert ask_at(ports, 300) is Refusal.NO_PORT
    ports.top_up(now=IDLE)
    assert {address.ip for _, address in sockets.bound} == {bytes((127, 1, 0, 0))}
    assert isinstance(ask_at(ports, 300), RelayLease)


def test_nor_on_ever_more_one_after_the_other() -> None:
    """What the datapath knows of an IP that was relayed from, it does not forget."""
    ports = make(Sockets(), 50_000, 50_009)
    for number in range(RELAY_IPS_EVER):
        lease = ask_at(ports, number)
        assert isinstance(lease, RelayLease)
        ports.give_back(lease)
        ports.top_up(now=IDLE)
    assert ask_at(ports, RELAY_IPS_EVER) is Refusal.NO_PORT
    assert "relay-ip" in ports.take_trouble()
    assert isinstance(ask_at(ports, 7), RelayLease)


def ask_at(ports: RelayPorts, number: int) -> RelayLease | Refusal:
    local = Address(bytes((127, 1, number // 256, number % 256)), 3478)
    return ports.lease(IPV4, local, now=0)


def test_two_relay_ips_behind_one_public_ip_never_share_a_port() -> None:
    ports = make(
        Sockets(),
        50_000,
        50_009,
        relay_ips=(raw("10.0.0.1"), raw("10.0.0.2")),
        external_by_default=(raw("8.8.8.8"),),
    )
    given = [taken(ports) for _ in range(10)]
    assert len({lease.advertised for lease in given}) == 10
    assert {lease.bound.ip for lease in given} == {raw("10.0.0.1"), raw("10.0.0.2")}


def test_a_pair_form_of_external_ip_maps_its_own_address_only() -> None:
    addresses = RelayAddresses(Settings(listeners=(), external={raw("10.0.0.1"): raw("8.8.8.8")}))
    assert addresses.advertised(raw("10.0.0.1")) == raw("8.8.8.8")
    assert addresses.advertised(raw("10.0.0.2")) == raw("10.0.0.2")


def test_a_bare_external_ip_leaves_loopback_and_the_other_family_alone() -> None:
    addresses = RelayAddresses(Settings(listeners=(), external_by_default=(raw("8.8.8.8"),)))
    assert addresses.advertised(raw("10.0.0.1")) == raw("8.8.8.8")
    assert addresses.advertised(raw("127.0.0.1")) == raw("127.0.0.1")
    assert addresses.advertised(raw("2001:db8::1")) == raw("2001:db8::1")


def test_the_relayed_address_is_where_the_client_sent_to() -> None:
    assert taken(make(Sockets(), 50_000, 50_009)).bound.ip == LOCAL.ip


def test_a_configured_relay_ip_wins_and_its_missing_family_is_440() -> None:
    ports = make(Sockets(), 50_000, 50_009, relay_ips=(raw("10.0.0.1"),))
    assert taken(ports).bound.ip == raw("10.0.0.1")
    assert ports.lease(RelayNeed(Family.IPV6), LOCAL, now=0) is Refusal.UNSUPPORTED_FAMILY


def test_a_loopback_client_gets_loopback_of_the_other_family() -> None:
    addresses = RelayAddresses(Settings(listeners=()))
    assert addresses.relay_ip(Family.IPV6, raw("127.0.0.1")) == raw("::1")
    assert addresses.relay_ip(Family.IPV4, raw("::1")) == raw("127.0.0.1")


class Renamed:
    """Relay ports on 192.0.2.7 (and on 192.0.2.8) whose public IPs are changed by hand."""

    def __init__(self, first: int, last: int, **public: str) -> None:
        self.sockets = Sockets()
        self.addresses = RelayAddresses(Settings(listeners=(), external=self._external(public)))
        self.ports = RelayPorts(
            self.addresses, first, last, self.sockets.bind, self.sockets.release
        )

    @staticmethod
    def _external(public: dict[str, str]) -> dict[bytes, bytes]:
        return {
            Address.of(f"192.0.2.{name[1:]}", 0).ip: Address.of(known_by, 0).ip
            for name, known_by in public.items()
        }

    def rename(self, **public: str) -> None:
        self.addresses.use(Settings(listeners=(), external=self._external(public)))
        self.ports.readvertise()

    def taken(self, at: str = "192.0.2.7") -> RelayLease:
        lease = self.ports.lease(IPV4, Address.of(at, 3478), now=0)
        assert isinstance(lease, RelayLease)
        return lease

    def close(self, lease: RelayLease) -> None:
        self.sockets.release(lease.transport, lease.bound)
        self.ports.closed(lease)


def test_after_a_change_leases_say_the_new_address_and_the_stock_is_made_anew() -> None:
    relay = Renamed(50_000, 50_099, r7="203.0.113.1")
    before = relay.taken()
    relay.ports.top_up(now=0)
    assert len(relay.sockets.bound) > 1
    relay.rename(r7="203.0.113.2")
    assert relay.sockets.bound == {(before.transport, before.bound)}
    assert before.advertised.host == "203.0.113.1"
    given = [relay.taken() for _ in range(99)]
    assert {lease.advertised.host for lease in given} == {"203.0.113.2"}
    assert before.bound.port not in {lease.bound.port for lease in given}
    relay.close(before)
    assert relay.taken().advertised == Address.of("203.0.113.2", before.bound.port)


def test_two_relay_ips_that_come_behind_one_address_never_give_one_port_twice() -> None:
    relay = Renamed(50_000, 50_009, r7="203.0.113.1", r8="203.0.113.2")
    out = [relay.taken("192.0.2.7") for _ in range(2)]
    out += [relay.taken("192.0.2.8") for _ in range(4)]
    relay.ports.top_up(now=0)
    relay.rename(r7="203.0.113.3", r8="203.0.113.3")
    given: list[RelayLease] = []
    while isinstance(one := relay.ports.lease(IPV4, Address.of("192.0.2.8", 1), now=0), RelayLease):
        given.append(one)
    ports = [lease.advertised.port for lease in given]
    assert len(ports) == len(set(ports))
    assert not set(ports) & {lease.bound.port for lease in out}
    assert relay.ports.lease(IPV4, Address.of("192.0.2.7", 1), now=0) is Refusal.NO_PORT
    for lease in [*out, *given]:
        relay.close(lease)
    relay.rename(r7="203.0.113.4", r8="203.0.113.5")
    assert len({relay.taken().bound.port for _ in range(10)}) == 10


def test_a_reservation_that_comes_back_after_a_change_is_given_with_the_new_address() -> None:
    relay = Renamed(50_000, 50_000, r7="203.0.113.1")
    lease = relay.taken()
    relay.rename(r7="203.0.113.2")
    relay.ports.give_back(lease)
    assert relay.taken().advertised == Address.of("203.0.113.2", 50_000)


def test_another_range_holds_for_new_leases_and_for_those_that_come_back() -> None:
    sockets = Sockets()
    ports = make(sockets, 50_000, 50_099)
    old = [taken(ports) for _ in range(3)]
    ports.use_range(40_000, 40_009)
    assert {address.port for _, address in sockets.bound} == {lease.bound.port for lease in old}
    new = {taken(ports).bound.port for _ in range(10)}
    assert new == set(range(40_000, 40_010))
    assert ports.lease(IPV4, LOCAL, now=0) is Refusal.NO_PORT
    ports.give_back(old[0])
    assert (Transport.UDP, old[0].bound) not in sockets.bound
    ports.closed(old[1])
    assert ports.lease(IPV4, LOCAL, now=0) is Refusal.NO_PORT


def test_a_lease_is_remembered_while_another_range_holds() -> None:
    """Two relay IPs behind one public IP share their numbers, also those that are out of range."""
    sockets = Sockets()
    public = Address.of("203.0.113.1", 0).ip
    ips = tuple(Address.of(host, 0).ip for host in ("192.0.2.7", "192.0.2.8"))
    ports = make(sockets, 50_000, 50_003, relay_ips=ips, external=dict.fromkeys(ips, public))
    leases = [taken(ports) for _ in range(2)]
    ports.use_range(40_000, 40_003)
    ports.use_range(50_000, 50_003)
    again = [taken(ports) for _ in range(2)]
    assert len({lease.advertised for lease in leases + again}) == 4
    assert ports.lease(IPV4, LOCAL, now=0) is Refusal.NO_PORT
    ports.closed(leases[0])
    assert taken(ports).bound.port == leases[0].bound.port


def test_an_overlapping_range_keeps_what_is_out() -> None:
    ports = make(Sockets(), 50_000, 50_003)
    out = {taken(ports).bound.port for _ in range(4)}
    ports.use_range(50_000, 50_007)
    assert {taken(ports).bound.port for _ in range(4)}.isdisjoint(out)
    assert ports.lease(IPV4, LOCAL, now=0) is Refusal.NO_PORT

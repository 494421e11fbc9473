"""Keys whose effect would otherwise be shown by their configuration alone: the running server."""

from __future__ import annotations

import grp
import os
import re
import signal
import ssl
import time
from pathlib import Path

import pytest

from ferryman.auth.time_limited import password_for
from ferryman.wire.address import Address
from ferryman.wire.registry import Attribute
from tests.certificates import make_pair, pem
from tests.running.conftest import ACCOUNTS, logged
from tests.running.reloading import CHANNEL, OPEN, call_of, reloadable
from tests.running.test_tls import trusting
from tests.servers import has_ipv6, start_server
from tests.turn_client import Peer, TurnClient


def code_of(port: int, *, stream: bool = False, tls: ssl.SSLContext | None = None) -> int:
    with TurnClient(port, "alice", "sesame", stream=stream, tls=tls) as client:
        return client.allocate().code


def test_rest_api_separator_stands_between_time_and_name(tmp_path: Path) -> None:
    with start_server([*ACCOUNTS, "rest-api-separator=-"], tmp_path) as server:
        for separator, code in (("-", 0), (":", 401)):
            name = f"{int(time.time()) + 600}{separator}carol"
            with TurnClient(server.port, name, password_for(name, "north")) as client:
                assert client.allocate().code == code


def test_permission_lifetime_ends_a_permission(tmp_path: Path) -> None:
    lines = [*OPEN, "permission-lifetime=2"]
    with (
        start_server(lines, tmp_path) as server,
        TurnClient(server.port, "alice", "sesame") as client,
        Peer() as peer,
    ):
        relayed = client.relayed()
        assert client.permit(peer.address).code == 0
        peer.send(relayed, b"in time")
        assert client.receive_data() == (peer.address, b"in time")
        time.sleep(2.2)
        peer.send(relayed, b"too late")
        assert client.is_silent()


def test_channel_lifetime_ends_a_channel(tmp_path: Path) -> None:
    with (
        start_server([*OPEN, "channel-lifetime=2"], tmp_path) as server,
        call_of(TurnClient(server.port, "alice", "sesame")) as call,
    ):
        time.sleep(2.2)
        call.client.send_on(CHANNEL, b"too late")
        assert call.peer.is_silent()
        call.is_over = True


def test_drain_min_allocations_are_not_waited_for(tmp_path: Path) -> None:
    with reloadable(tmp_path, [*OPEN, "drain-min-allocations=1"]) as running:
        first, second = (TurnClient(running.port, "alice", "sesame") for _ in range(2))
        with first, second:
            for client in (first, second):
                client.relayed()
            running.server.process.send_signal(signal.SIGUSR1)
            assert logged(running.server, "draining allocations=2")
            time.sleep(1.5)
            assert running.server.process.poll() is None
            first.refresh(0)
            assert running.server.process.wait(5) == 0
            assert logged(running.server, "allocations=1")


@pytest.mark.parametrize("kind", ["udp", "tcp", "tls"])
def test_an_alternate_server_of_one_transport_is_for_its_clients(tmp_path: Path, kind: str) -> None:
    pair = make_pair(tmp_path, authority=True)
    lines = [*ACCOUNTS, *pair.lines, "tls-listening-port=0", f"{kind}-alternate-server=127.0.0.9"]
    with start_server(lines, tmp_path) as server:
        codes = {
            "udp": code_of(server.port),
            "tcp": code_of(server.port, stream=True),
            "tls": code_of(server.port, tls=trusting(pair)),
        }
    assert codes == {"udp": 0, "tcp": 0, "tls": 0, kind: 300}


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
@pytest.mark.parametrize(
    ("line", "length"),
    [
        ("allocation-default-address-family=ipv6", 16),
        ("allocation-default-address-family=ipv4", 4),
        ("allocation-default-address-family=keep", 4),
        ("keep-address-family", 4),
    ],
)
def test_the_default_family_is_what_a_client_gets_that_names_none(
    tmp_path: Path, line: str, length: int
) -> None:
    with start_server([*ACCOUNTS, line], tmp_path) as server:
        with TurnClient(server.port, "alice", "sesame") as client:
            assert len(client.relayed().ip) == length
        keeps = "keep" in line
        with TurnClient(server.port, "alice", "sesame", host="::1") as client:
            assert len(client.relayed().ip) == (16 if keeps else length)


@pytest.mark.parametrize("key", ["verbose", "Verbose"])
def test_verbose_tells_of_permissions_as_well(tmp_path: Path, key: str) -> None:
    with (
        start_server([*OPEN, key], tmp_path) as server,
        TurnClient(server.port, "alice", "sesame") as client,
    ):
        client.relayed()
        client.permit(Address.of("127.0.0.1", 9))
        assert logged(server, "permission installed")


@pytest.mark.parametrize(
    ("line", "form"),
    [
        ("new-log-timestamp=no", r"\d{1,2} "),
        (
            "new-log-timestamp-format=%Y/%m/%d at %H:%M:%S.%f",
            r"\d{4}/\d\d/\d\d at [\d:]{8}\.\d{3} ",
        ),
    ],
)
def test_the_time_of_a_line_has_the_form_that_was_asked_for(
    tmp_path: Path, line: str, form: str
) -> None:
    with start_server([*ACCOUNTS, line], tmp_path) as server:
        pass
    for said in server.log.splitlines():
        assert re.match(rf"{form}(info|warning) ", said), said


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes somebody else")
def test_proc_group_is_the_group_without_another_user(tmp_path: Path) -> None:
    group = grp.getgrnam("nogroup").gr_gid
    with start_server([*ACCOUNTS, "proc-group=nogroup"], tmp_path) as server:
        status = Path(f"/proc/{server.process.pid}/status").read_text()
    assert f"Gid:\t{group}\t{group}\t{group}\t{group}" in status
    assert "Uid:\t0\t0\t0\t0" in status
    assert f"Groups:\t{group} \n" in status


def test_pkey_pwd_opens_the_key(tmp_path: Path) -> None:
    pair = make_pair(tmp_path, authority=True)
    pair.key.write_bytes(pem(pair.private, password="open sesame"))
    lines = [*ACCOUNTS, *pair.lines, "tls-listening-port=0", "pkey-pwd=open sesame"]
    with start_server(lines, tmp_path) as server:
        assert code_of(server.port, tls=trusting(pair)) == 0
    assert "open sesame" not in server.log


def test_without_tls_1_2_only_1_3_is_spoken(tmp_path: Path) -> None:
    pair = make_pair(tmp_path, authority=True)
    lines = [*ACCOUNTS, *pair.lines, "tls-listening-port=0", "no-tlsv1_2"]
    with start_server(lines, tmp_path) as server:
        assert code_of(server.port, tls=trusting(pair, ssl.TLSVersion.TLSv1_3)) == 0
        with pytest.raises(ssl.SSLError):
            code_of(server.port, tls=trusting(pair, ssl.TLSVersion.TLSv1_2))


def test_ec_curve_name_narrows_the_key_exchange(tmp_path: Path) -> None:
    pair = make_pair(tmp_path, authority=True)
    lines = [*ACCOUNTS, *pair.lines, "tls-listening-port=0", "ec-curve-name=secp384r1"]
    with start_server(lines, tmp_path) as server:
        for curve, is_spoken in (("secp384r1", True), ("prime256v1", False)):
            tls = trusting(pair)
            tls.set_ecdh_curve(curve)
            if is_spoken:
                assert code_of(server.port, tls=tls) == 0
            else:
                with pytest.raises(ssl.SSLError):
                    code_of(server.port, tls=tls)


@pytest.mark.parametrize(("lines", "count"), [(["cpus=3"], 3), (["cpus=3", "relay-threads=1"], 1)])
def test_cpus_is_the_number_of_workers_where_relay_threads_is_not(
    tmp_path: Path, lines: list[str], count: int
) -> None:
    with start_server([*ACCOUNTS, *lines], tmp_path) as server:
        tasks = Path(f"/proc/{server.process.pid}/task").iterdir()
        names = [(task / "comm").read_text().strip() for task in tasks]
    assert sum(re.fullmatch(r"ferryman-\d+", name) is not None for name in names) == count


def test_a_shorter_lifetime_is_told_to_the_client(tmp_path: Path) -> None:
    with (
        start_server([*ACCOUNTS, "max-allocate-lifetime=60"], tmp_path) as server,
        TurnClient(server.port, "alice", "sesame") as client,
    ):
        answer = client.allocate()
        assert answer.message.first(Attribute.LIFETIME) == (60).to_bytes(4, "big")

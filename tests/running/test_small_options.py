"""Keys with one effect each, as the running server shows it."""

from __future__ import annotations

import contextlib
import re
import subprocess
import time
from http.client import HTTPConnection
from os import urandom
from pathlib import Path

import pytest

from ferryman.wire.address import Address
from ferryman.wire.message import encode
from ferryman.wire.registry import Attribute, MessageClass, Method
from tests.conformance.clause import clause
from tests.running.conftest import ACCOUNTS
from tests.servers import RunningServer, answers, ferryman, free_port, program, start_server
from tests.turn_client import UDP_TRANSPORT, TurnClient


def start_silent(lines: list[str], folder: Path) -> RunningServer:
    """A server that does not answer everybody's Binding."""
    return start_server(lines, folder, is_ready=is_challenging)


def is_challenging(port: int, method: Method = Method.ALLOCATE) -> bool:
    """Whether such a request without credentials is answered with 401."""
    with TurnClient(port, "", "") as client, contextlib.suppress(OSError):
        client.socket.settimeout(0.2)
        return client.ask(encode(MessageClass.REQUEST, method, urandom(12), ())).code == 401
    return False


def is_challenging_binding(port: int) -> bool:
    return is_challenging(port, Method.BINDING)


@pytest.mark.parametrize("stream", [False, True])
def test_aux_server_is_one_more_place_to_come_to(tmp_path: Path, stream: bool) -> None:
    more = free_port()
    with (
        start_server([*ACCOUNTS, f"aux-server=127.0.0.1:{more}"], tmp_path) as server,
        TurnClient(server.port, "alice", "sesame", stream=stream) as first,
        TurnClient(more, "alice", "sesame", stream=stream) as second,
    ):
        assert first.relayed() != second.relayed()


def test_stun_only_answers_binding_and_no_turn_request(tmp_path: Path) -> None:
    with (
        start_server(["stun-only"], tmp_path) as server,
        TurnClient(server.port, "alice", "sesame") as client,
    ):
        with pytest.raises(TimeoutError):
            client.challenge()
        assert answers(server.port)
    assert "no credentials" not in server.log


def test_no_stun_leaves_binding_without_an_answer(tmp_path: Path) -> None:
    with start_silent([*ACCOUNTS, "no-stun"], tmp_path) as server:
        assert not answers(server.port)
        with TurnClient(server.port, "alice", "sesame") as client:
            client.relayed()


@pytest.mark.parametrize("stream", [False, True])
def test_secure_stun_answers_those_who_prove_themselves(tmp_path: Path, stream: bool) -> None:
    with start_silent([*ACCOUNTS, "secure-stun"], tmp_path) as server:
        with TurnClient(server.port, "alice", "sesame", stream=stream) as client:
            plain = encode(MessageClass.REQUEST, Method.BINDING, urandom(12), ())
            assert client.ask(plain).code == 401
            answer = client.request(Method.BINDING)
            assert answer.code == 0
            assert client.proves(answer)
            assert answer.address(Attribute.XOR_MAPPED_ADDRESS) == client.local
            client.relayed()
        with TurnClient(server.port, "alice", "mustard", stream=stream) as client:
            assert client.request(Method.BINDING).code == 401


def test_stun_only_with_secure_stun_is_binding_for_those_who_prove_themselves(
    tmp_path: Path,
) -> None:
    with (
        start_server(
            [*ACCOUNTS, "secure-stun", "stun-only"], tmp_path, is_ready=is_challenging_binding
        ) as server,
        TurnClient(server.port, "alice", "sesame") as client,
    ):
        plain = encode(MessageClass.REQUEST, Method.BINDING, urandom(12), ())
        client.learn(client.ask(plain))
        # The first nonce was a decoy: a 401 to so short a request has no room for more.
        client.learn(client.ask(client.signed(Method.BINDING, ())))
        assert client.ask(client.signed(Method.BINDING, ())).code == 0
        client.send(client.signed(Method.ALLOCATE, (UDP_TRANSPORT,)))
        assert client.is_silent()


@clause(
    "RFC 8489 §14.14",
    "SOFTWARE is told where it is asked for, without a version",
    "native/flow/src/binding.rs",
)
@pytest.mark.parametrize("lines", [[], ["software-attribute"]])
def test_software_attribute_tells_a_name_and_no_version(tmp_path: Path, lines: list[str]) -> None:
    name = b"Ferryman" if lines else None
    with (
        start_server([*ACCOUNTS, *lines], tmp_path) as server,
        TurnClient(server.port, "alice", "sesame") as client,
    ):
        plain = encode(MessageClass.REQUEST, Method.BINDING, urandom(12), ())
        assert client.ask(plain).message.first(Attribute.SOFTWARE) == name
        stranger = client.challenge()
        assert stranger.message.first(Attribute.SOFTWARE) is None
        client.learn(stranger)
        answer = client.allocate()
        assert answer.code == 0
        assert client.proves(answer)
        assert answer.message.first(Attribute.SOFTWARE) == name
        refused = client.permit(Address.of("127.0.0.1", 9))
        assert refused.code == 403
        assert refused.message.first(Attribute.SOFTWARE) == name


def test_listeners_and_relay_ports_have_the_device_and_the_buffer_that_were_asked_for(
    tmp_path: Path,
) -> None:
    lines = ["listening-device=lo", "relay-device=lo", "sock-buf-size=65536"]
    with (
        start_server([*ACCOUNTS, *lines], tmp_path, addresses=["127.0.0.1"]) as server,
        TurnClient(server.port, "alice", "sesame") as client,
    ):
        relayed = client.relayed()
        command = [program("ss"), "--udp", "--listening", "--numeric", "--memory"]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    for place in (f"127.0.0.1%lo:{server.port}", f"127.0.0.1%lo:{relayed.port}"):
        # A listener has a socket for each worker.
        sockets = re.findall(rf" {re.escape(place)} .*\n?.*skmem:\((.*)\)", said)
        assert sockets
        for memory in sockets:
            assert "rb131072" in memory
            assert "tb131072" in memory


def test_a_device_that_is_not_there_is_a_problem(tmp_path: Path) -> None:
    file = tmp_path / "turnserver.conf"
    file.write_text("user=a:b\nrelay-device=nowhere7\n")
    command = [ferryman(), "serve", "-c", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
    assert done.returncode == 1
    assert "relay-device: expected a network device of this machine, got 'nowhere7'" in done.stderr


def test_http_is_answered_where_the_file_asks_for_it(tmp_path: Path) -> None:
    lines = ["respond-http-unsupported", "acme-redirect=http://web.test/.well-known/"]
    token = "abcdefghijklmnopqrstuvwxyz"
    with start_server([*ACCOUNTS, *lines], tmp_path) as server:
        for path, status, place in (
            ("/", 400, None),
            (f"/.well-known/acme-challenge/{token}", 301, f"http://web.test/.well-known/{token}"),
        ):
            connection = HTTPConnection("127.0.0.1", server.port, timeout=5)
            connection.request("GET", path)
            answer = connection.getresponse()
            assert (answer.status, answer.getheader("Location")) == (status, place)
            answer.read()
            connection.close()


def eventually(server: RunningServer, *texts: str) -> None:
    """Until the log has all of these."""
    deadline = time.monotonic() + 5
    while not all(text in server.log for text in texts):
        assert time.monotonic() < deadline, server.log
        time.sleep(0.05)


@pytest.mark.parametrize("stream", [False, True])
def test_binding_is_logged_where_the_file_asks_for_it(tmp_path: Path, stream: bool) -> None:
    plain = encode(MessageClass.REQUEST, Method.BINDING, urandom(12), ())
    with (
        start_server([*ACCOUNTS, "log-binding"], tmp_path) as server,
        TurnClient(server.port, "alice", "sesame", stream=stream) as client,
    ):
        assert client.ask(plain).code == 0
        name = "tcp" if stream else "udp"
        eventually(server, f"binding answered client={client.local} transport={name}")


def test_a_flood_of_binding_is_counted(tmp_path: Path) -> None:
    lines = [*ACCOUNTS, "log-binding", "relay-threads=1", "log-format=coturn"]
    with (
        start_server(lines, tmp_path) as server,
        TurnClient(server.port, "alice", "sesame") as client,
    ):
        for _ in range(1000):
            plain = encode(MessageClass.REQUEST, Method.BINDING, urandom(12), ())
            assert client.ask(plain).code == 0
        eventually(server, "Binding requests not logged one by one")
        log = server.log
    one = f"user <>: incoming packet BINDING processed, success, remote {client_text(log)}"
    assert 50 <= log.count(one) <= 500, log
    assert log.count("BINDING processed") + untold(log) >= 900


def client_text(log: str) -> str:
    found = re.search(r"BINDING processed, success, remote (127\.0\.0\.1:\d+)", log)
    assert found is not None
    return found[1].partition(":")[0]


def untold(log: str) -> int:
    return sum(int(count) for count in re.findall(r"not logged one by one.*?count=(\d+)", log))


def test_packets_that_are_none_are_logged_where_the_file_asks_for_it(tmp_path: Path) -> None:
    with (
        start_server([*ACCOUNTS, "drop-invalid-packets-log"], tmp_path) as server,
        TurnClient(server.port, "alice", "sesame") as client,
        TurnClient(server.port, "alice", "sesame", stream=True) as caller,
    ):
        client.send(b"\xff" * 100)
        caller.send(b"SSH-2.0-OpenSSH_9.2\r\n")
        octets = "ff" * 20
        eventually(
            server,
            f"client={client.local} transport=udp why=not_turn length=100 octets={octets}",
            f"client={caller.local} transport=tcp why=not_turn",
        )
    assert "binding answered" not in server.log


def test_neither_is_logged_by_itself(tmp_path: Path) -> None:
    with (
        start_server(ACCOUNTS, tmp_path) as server,
        TurnClient(server.port, "alice", "sesame") as client,
    ):
        client.send(b"\xff" * 100)
        client.relayed()
    assert "packet dropped" not in server.log
    assert "binding answered" not in server.log


@pytest.mark.parametrize("lines", [[], ["rfc3489-compatibility"]])
def test_binding_of_rfc_3489_is_answered_where_the_file_asks_for_it(
    tmp_path: Path, lines: list[str]
) -> None:
    identity = urandom(16)
    with (
        start_server([*ACCOUNTS, *lines], tmp_path) as server,
        TurnClient(server.port, "alice", "sesame") as client,
    ):
        client.send(b"\x00\x01\x00\x00" + identity)
        if not lines:
            assert client.is_silent()
            return
        answer = client.receive()
        local, port = client.local.ip, client.local.port.to_bytes(2, "big")
        assert answer[:20] == b"\x01\x01\x00\x18" + identity
        assert answer[20:32] == b"\x00\x01\x00\x08\x00\x01" + port + local
        client.relayed()

"""SIGHUP: the whole configuration read anew while calls run, all or nothing."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ferryman.auth.time_limited import password_for
from ferryman.wire.address import Address
from ferryman.wire.message import encode
from ferryman.wire.registry import Attribute, MessageClass, Method
from ferryman.wire.values import decode_address_untrusted
from tests.answer import Answer
from tests.certificates import make_pair, pem
from tests.running.reloading import CHANNEL, OPEN, call_of, reloadable
from tests.running.test_tls import der, shown, trusting
from tests.servers import STARTS_WITHIN, answers, ferryman, free_port
from tests.turn_client import TurnClient


def alice(port: int, **options: object) -> TurnClient:
    return TurnClient(port, "alice", "sesame", **options)  # type: ignore[arg-type]


def code_of(port: int, username: str, password: str) -> int:
    with TurnClient(port, username, password) as client:
        return client.allocate().code


def speaks_tls(port: int) -> bool:
    try:
        return bool(shown(port))
    except OSError:
        return False


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("max-prot=1000", "unknown"),
        ("max-port=many", "expected"),
        ("cert=/nowhere/to/be/found.pem", "/nowhere/to/be/found.pem"),
    ],
)
def test_a_bad_file_changes_nothing_and_one_line_says_what_was_expected(
    tmp_path: Path, line: str, said: str
) -> None:
    with reloadable(tmp_path) as running, call_of(alice(running.port)) as call:
        number = len(running.file.read_text().splitlines()) + 1
        verdict = running.change(("user=bob:hunter2", ""), ("", "user=dave:late"), ("", line))
        assert "not reloaded, all stays as it was" in verdict
        assert f"turnserver.conf:{number}" in verdict
        assert said in verdict
        assert len(running.since()) == 1
        call.goes_on()
        assert code_of(running.port, "bob", "hunter2") == 0
        assert code_of(running.port, "dave", "late") == 401
        assert "reloaded changed=users" in running.change((line, ""))
        assert code_of(running.port, "dave", "late") == 0


def test_a_file_that_is_cut_short_for_a_moment_changes_nothing(tmp_path: Path) -> None:
    """As editors and scripts write: emptied first. Peer rules must not be gone meanwhile."""
    with reloadable(tmp_path) as running, call_of(alice(running.port)) as call:
        text = running.file.read_text()
        running.file.write_text("")
        assert running.reload().endswith(f'reason="{running.file}: it is empty"')
        assert call.client.refresh(600).code == 0
        running.file.write_text(text)
        assert running.reload().endswith('reloaded changed=""')


def test_a_file_of_the_same_name_in_another_folder_is_not_the_one(tmp_path: Path) -> None:
    """coturn looks for `turnserver.conf` in many folders, at the start."""
    here, there = tmp_path / "turnserver.conf", tmp_path / "etc" / "turnserver.conf"
    there.parent.mkdir()
    port = free_port()
    lines = [f"listening-port={port}", "listening-ip=127.0.0.1", *OPEN, ""]
    here.write_text("\n".join(lines))
    there.write_text("user=mallory:guess\n")
    with start_turnserver(tmp_path, port, "-c", "turnserver.conf") as process:
        here.unlink()
        process.send_signal(signal.SIGHUP)
        assert logged_in(tmp_path / "err", f'not reloaded, all stays as it was reason="{here}')
        assert code_of(port, "bob", "hunter2") == 0


@contextlib.contextmanager
def start_turnserver(folder: Path, port: int, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    command = [str(Path(ferryman()).with_name("turnserver")), *arguments]
    with (
        (folder / "err").open("wb") as err,
        subprocess.Popen(command, cwd=folder, stderr=err) as process,
    ):
        try:
            assert logged_in(folder / "err", "ready realm=")
            yield process
        finally:
            process.terminate()
    assert process.returncode == 0


def logged_in(path: Path, words: str) -> bool:
    until = time.monotonic() + STARTS_WITHIN
    while words not in path.read_text():
        assert time.monotonic() < until, path.read_text()
        time.sleep(0.02)
    return True


def test_users_and_secrets_change_while_a_call_runs(tmp_path: Path) -> None:
    with reloadable(tmp_path) as running, call_of(alice(running.port)) as call:
        running.change(
            ("user=bob:hunter2", "user=dave:late"),
            ("static-auth-secret=north", "static-auth-secret=south"),
        )
        assert call.client.refresh(600).code == 0
        name = f"{int(time.time()) + 600}:carol"
        assert code_of(running.port, name, password_for(name, "north")) == 401
        assert code_of(running.port, name, password_for(name, "south")) == 0
        assert code_of(running.port, "bob", "hunter2") == 401
        assert code_of(running.port, "dave", "late") == 0


def test_a_user_who_is_gone_keeps_the_call_until_its_next_request(tmp_path: Path) -> None:
    with reloadable(tmp_path) as running, call_of(alice(running.port)) as call:
        running.change(("user=alice:sesame", ""))
        call.goes_on()
        assert call.client.refresh(600).code == 401


def test_peer_rules_change_and_the_permissions_that_stand_run_out(tmp_path: Path) -> None:
    with reloadable(tmp_path) as running, call_of(alice(running.port)) as call:
        assert "changed=denied-peers" in running.change(("", "denied-peer-ip=127.0.0.1"))
        call.goes_on()
        assert call.client.bind(CHANNEL, call.peer.address).code == 403
        running.change(("denied-peer-ip=127.0.0.1", ""))
        assert call.client.bind(CHANNEL, call.peer.address).code == 0


def test_quotas_and_limits_change(tmp_path: Path) -> None:
    with reloadable(tmp_path) as running, call_of(alice(running.port)) as call:
        running.change(("", "user-quota=1"), ("", "max-allocate-lifetime=60"))
        assert code_of(running.port, "alice", "sesame") == 486
        answer = call.client.refresh(600)
        assert answer.message.first(Attribute.LIFETIME) == (60).to_bytes(4, "big")


def test_the_lifetime_of_nonces_changes_also_for_those_that_are_out(tmp_path: Path) -> None:
    with reloadable(tmp_path) as running, call_of(alice(running.port)) as call:
        running.change(("", "stale-nonce=1"))
        time.sleep(2.1)
        assert call.client.refresh(600).code == 438
        running.change(("stale-nonce=1", "stale-nonce=600"))
        assert call.client.refresh(600).code == 0


@pytest.mark.parametrize(
    ("line", "attribute"),
    [
        ("fingerprint", Attribute.FINGERPRINT),
        ("stun-backward-compatibility", Attribute.MAPPED_ADDRESS),
        ("software-attribute", Attribute.SOFTWARE),
    ],
)
def test_what_the_datapath_answers_changes(tmp_path: Path, line: str, attribute: Attribute) -> None:
    with reloadable(tmp_path) as running, call_of(alice(running.port)):
        for change in (("", line), (line, "")):
            running.change(change)
            answer = binding(running.port)
            assert (answer.message.first(attribute) is not None) is (change[1] == line)


def test_who_gets_a_binding_answer_changes(tmp_path: Path) -> None:
    with reloadable(tmp_path) as running, call_of(alice(running.port)):
        running.change(("", "no-stun"))
        assert not answers(running.port)
        running.change(("no-stun", "secure-stun"))
        assert binding(running.port).code == 401
        running.change(("secure-stun", ""))
        assert answers(running.port)


@pytest.mark.parametrize("line", ["source-connections=1", "total-connections=1"])
def test_how_many_connections_there_may_be_changes(tmp_path: Path, line: str) -> None:
    with reloadable(tmp_path) as running, call_of(alice(running.port, stream=True)):
        running.change(("", line))
        with pytest.raises(ConnectionError), alice(running.port, stream=True) as client:
            client.allocate()
        running.change((line, ""))
        with alice(running.port, stream=True) as client:
            assert client.allocate().code == 0


def test_clients_are_sent_elsewhere_from_now_on(tmp_path: Path) -> None:
    with reloadable(tmp_path) as running, call_of(alice(running.port)):
        running.change(("", "alternate-server=127.0.0.9"))
        assert code_of(running.port, "alice", "sesame") == 300


def test_the_certificate_changes_while_a_call_runs(tmp_path: Path) -> None:
    old, new = make_pair(tmp_path, authority=True), make_pair(tmp_path, name="new.test")
    lines = [*OPEN, *old.lines, "tls-listening-port=0"]
    with (
        reloadable(tmp_path, lines) as running,
        call_of(alice(running.port, tls=trusting(old))) as call,
    ):
        running.change(*zip(old.lines, new.lines, strict=True))
        assert shown(running.port) == der(new)
        call.goes_on()
        new.key.write_bytes(pem(old.private))
        verdict = running.reload()
        assert "not reloaded" in verdict
        assert "is not the key of the certificate" in verdict
        assert shown(running.port) == der(new)


def test_tls_is_switched_on_and_off(tmp_path: Path) -> None:
    pair = make_pair(tmp_path, authority=True)
    with reloadable(tmp_path) as running:
        assert not speaks_tls(running.port)
        running.change(*[("", line) for line in (*pair.lines, "tls-listening-port=0")])
        assert shown(running.port) == der(pair)
        with call_of(alice(running.port, tls=trusting(pair))) as call:
            running.change(("", "no-tls"))
            assert not speaks_tls(running.port)
            call.goes_on()


def test_listeners_come_and_go_and_their_calls_go_on(tmp_path: Path) -> None:
    other = free_port()
    with (
        reloadable(tmp_path) as running,
        call_of(alice(running.port)) as datagrams,
        call_of(alice(running.port, stream=True)) as stream,
    ):
        old, new = f"listening-port={running.port}", f"listening-port={other}"
        running.change((old, new))
        assert answers(other)
        assert not answers(running.port)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", running.port))
        for call in (datagrams, stream):
            call.goes_on()
            assert call.client.refresh(600).code == 0
        with alice(other, stream=True) as client:
            assert client.allocate().code == 0
        running.change((new, old))
        assert answers(running.port)
        assert not answers(other)


def test_a_listener_that_cannot_be_opened_changes_nothing(tmp_path: Path) -> None:
    other = free_port()
    with (
        socket.socket(socket.AF_INET, socket.SOCK_STREAM) as taken,
        reloadable(tmp_path) as running,
        call_of(alice(running.port)),
    ):
        taken.bind(("127.0.0.1", other))
        verdict = running.change(
            (f"listening-port={running.port}", f"listening-port={other}"),
            ("user=bob:hunter2", ""),
        )
        assert f"cannot listen on TCP 127.0.0.1:{other}: Address already in use" in verdict
        assert answers(running.port)
        assert not answers(other)
        assert code_of(running.port, "bob", "hunter2") == 0
        with alice(running.port, stream=True) as client:
            assert client.allocate().code == 0


def test_the_certificate_goes_back_where_a_listener_cannot_be_opened(tmp_path: Path) -> None:
    old, new = make_pair(tmp_path, authority=True), make_pair(tmp_path, name="new.test")
    other = free_port()
    lines = [*OPEN, *old.lines, "tls-listening-port=0"]
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken,
        reloadable(tmp_path, lines) as running,
    ):
        taken.bind(("127.0.0.1", other))
        moved = (f"listening-port={running.port}", f"listening-port={other}")
        assert "cannot listen" in running.change(moved, *zip(old.lines, new.lines, strict=True))
        assert shown(running.port) == der(old)


def test_what_it_goes_back_to_is_the_certificate_that_was_renewed(tmp_path: Path) -> None:
    """SIGUSR2 between the start and a reload that fails."""
    pair, other = make_pair(tmp_path, authority=True), free_port()
    lines = [*OPEN, *pair.lines, "tls-listening-port=0"]
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken,
        reloadable(tmp_path, lines) as running,
    ):
        taken.bind(("127.0.0.1", other))
        first, renewed = der(pair), make_pair(tmp_path, authority=True)
        running.server.process.send_signal(signal.SIGUSR2)
        while shown(running.port) == first:
            time.sleep(0.02)
        verdict = running.change((f"listening-port={running.port}", f"listening-port={other}"))
        assert "cannot listen" in verdict
        assert shown(running.port) == der(renewed)


def test_two_signals_at_once_are_both_followed(tmp_path: Path) -> None:
    pair = make_pair(tmp_path, authority=True)
    with reloadable(tmp_path, [*OPEN, *pair.lines, "tls-listening-port=0"]) as running:
        running.told = len(running.server.log.splitlines())
        for number in (signal.SIGSTOP, signal.SIGHUP, signal.SIGUSR2, signal.SIGCONT):
            running.server.process.send_signal(number)
        running.wait_for("reloaded")
        until = time.monotonic() + 5
        while sum("certificate in use" in line for line in running.since()) < 2:
            assert time.monotonic() < until, running.since()
            time.sleep(0.02)


def test_nat_behaviour_discovery_is_switched_on_and_off(tmp_path: Path) -> None:
    """Its second port is opened with it, and OTHER-ADDRESS shows that it is offered."""
    other = free_port()
    asked = ["listening-ip=127.0.0.2", "rfc5780", f"alt-listening-port={other}"]
    with reloadable(tmp_path) as running, call_of(alice(running.port)):
        assert other_address(running.port) is None
        running.change(*[("", line) for line in asked])
        assert other_address(running.port) == Address.of("127.0.0.2", other)
        assert answers(other)
        running.change(*[(line, "") for line in asked])
        assert other_address(running.port) is None
        assert not answers(other)


def binding(port: int) -> Answer:
    with TurnClient(port, "", "") as client:
        return client.ask(encode(MessageClass.REQUEST, Method.BINDING, bytes(12), ()))


def other_address(port: int) -> Address | None:
    value = binding(port).message.first(Attribute.OTHER_ADDRESS)
    return None if value is None else decode_address_untrusted(value)


def test_an_address_under_an_open_wildcard_waits_for_a_restart(tmp_path: Path) -> None:
    with reloadable(tmp_path, [*OPEN, "listening-ip=0.0.0.0"], addresses=()) as running:
        running.change(("listening-ip=0.0.0.0", "listening-ip=127.0.0.1"))
        said = [line for line in running.since() if "needs a restart" in line]
        assert len(said) == 2, "one for UDP, one for TCP"
        assert f"UDP 127.0.0.1:{running.port}" in "".join(said)
        assert answers(running.port, address="127.0.0.2")


def test_relay_ports_change_and_the_calls_on_the_old_ones_go_on(tmp_path: Path) -> None:
    with reloadable(tmp_path) as running, call_of(alice(running.port)) as call:
        low, high = [
            line for line in running.file.read_text().splitlines() if line[:4] in ("min-", "max-")
        ]
        first = 32_100 if call.relayed.port < 32_000 else 20_000
        running.change((low, f"min-port={first}"), (high, f"max-port={first + 9}"))
        call.goes_on()
        for _ in range(3):
            with alice(running.port) as client:
                assert first <= client.relayed().port <= first + 9


def test_the_external_address_changes_for_those_who_come(tmp_path: Path) -> None:
    with reloadable(tmp_path) as running, call_of(alice(running.port)):
        running.change(("", "external-ip=203.0.113.10/127.0.0.1"))
        with alice(running.port) as client:
            assert client.relayed().host == "203.0.113.10"


def test_the_log_says_more_and_less(tmp_path: Path) -> None:
    with reloadable(tmp_path) as running, call_of(alice(running.port)) as call:
        running.change(("", "verbose"))
        assert call.client.refresh(600).code == 0
        running.wait_for("refreshed", 3)
        assert code_of(running.port, "bob", "hunter2") == 0
        running.wait_for("challenged", 3)
        running.change(("verbose", "log-min-level=error"))
        assert code_of(running.port, "mallory", "guess") == 401
        assert "refused" not in "".join(running.since())


def test_what_needs_a_restart_is_named_and_stays(tmp_path: Path) -> None:
    with reloadable(tmp_path) as running, call_of(alice(running.port)) as call:
        verdict = running.change(
            ("realm=ferry.example", "realm=other.example"),
            ("", "log-format=json"),
            ("", "xdp=auto"),
            ("", "xdp-mode=tc"),
            ("", "user=dave:late"),
        )
        said = [line for line in running.since() if "needs a restart, stays as it was" in line]
        assert [line.rpartition("what=")[2] for line in said] == [
            *("realm", "xdp", "xdp-mode", "log-format")
        ]
        assert "changed=users" in verdict
        assert call.client.refresh(600).code == 0
        with TurnClient(running.port, "bob", "hunter2") as client:
            assert client.allocate().code == 0
            assert client.realm == "ferry.example"


def test_a_reload_makes_no_open_relay(tmp_path: Path) -> None:
    with reloadable(tmp_path) as running:
        gone = [(line, "") for line in OPEN if line.startswith(("user=", "static-auth-secret="))]
        verdict = running.change(("", "no-auth"), *gone)
        assert "not reloaded" in verdict
        assert "no-auth: needs a restart" in verdict
        assert code_of(running.port, "mallory", "guess") == 401


def test_the_log_is_reopened_also_where_the_file_is_bad(tmp_path: Path) -> None:
    log, moved = tmp_path / "turn.log", tmp_path / "turn.log.1"
    lines = [*OPEN, f"log-file={log}", "simple-log"]
    with reloadable(tmp_path, lines) as running:
        log.rename(moved)
        running.change(("", "max-prot=1"))
        assert "not reloaded" in log.read_text()
        assert "not reloaded" not in moved.read_text()


def test_a_reload_that_changes_nothing_says_so(tmp_path: Path) -> None:
    with reloadable(tmp_path) as running:
        assert running.reload().endswith('reloaded changed=""')
        assert len(running.since()) == 1


def test_a_hundred_reloads_under_load_lose_no_packet(tmp_path: Path) -> None:
    """Packets leave in a steady stream, each way, while users, peer rules, relay ports, choices of
    the datapath and a listener change a hundred times."""
    with reloadable(tmp_path) as running, call_of(alice(running.port)) as call:
        text = running.file.read_text()
        changed = ["user=dave:late", "denied-peer-ip=10.0.0.0/8", "listening-ip=127.0.0.2"]
        changed += ["max-port=32500", "fingerprint", "external-ip=203.0.113.10"]
        variants = (text, "\n".join([*text.splitlines(), *changed, ""]))
        there = Stream(
            lambda octets: call.client.send_on(CHANNEL, octets), lambda: call.peer.receive()[0]
        )
        back = Stream(
            lambda octets: call.peer.send(call.relayed, octets),
            lambda: call.client.receive_channel()[1],
        )
        with there, back:
            for turn in range(100):
                running.file.write_text(variants[turn % 2 == 0])
                assert "not reloaded" not in running.reload()
        for stream in (there, back):
            assert stream.sent > 100
            assert stream.received == list(range(stream.sent))


class Stream:
    """Numbered packets, about a thousand a second, and those of them that arrive."""

    def __init__(self, send: Callable[[bytes], None], receive: Callable[[], bytes]) -> None:
        self.sent = 0
        self.received: list[int] = []
        self._send, self._receive = send, receive
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=work) for work in (self._talk, self._listen)]

    def __enter__(self) -> None:
        for thread in self._threads:
            thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(10)

    def _talk(self) -> None:
        while not self._stop.wait(0.001):
            self._send(self.sent.to_bytes(4))
            self.sent += 1

    def _listen(self) -> None:
        with contextlib.suppress(TimeoutError):
            while len(self.received) < self.sent or not self._stop.is_set():
                self.received.append(int.from_bytes(self._receive()))

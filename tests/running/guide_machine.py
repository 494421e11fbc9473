"""A machine for a configuration of a guide: its addresses, names and log folders, and nothing else.

Run as a program in network and mount namespaces of its own, where the server starts with the file
as it stands in the guide, only that certificates are ours. Checks where it listens, whom it lets in
and which peers it refuses.

Arguments: a folder for the server's files, and the guide's name; `NAME+tls` is a part of a guide
together with the part that has the certificate.
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

from ferryman.auth.time_limited import password_for
from ferryman.wire.address import Address
from tests.certificates import make_pair
from tests.servers import ferryman
from tests.turn_client import TurnClient

GUIDES = Path(__file__).parents[1] / "config" / "guides"
EXAMPLE = "coturns-example"
"""The file that coturn comes with, of the installed package: all of its keys are comments."""
EXAMPLES = (
    Path("/usr/share/doc/coturn/examples/etc/turnserver.conf"),
    Path("/etc/turnserver.conf"),
)
WITH_CERTIFICATE = ("basic+tls", "port-443+tls")
"""Parts that name a port for TLS; by themselves they are served without."""
RELAY_PORTS = 32_768
"""No guide listens above, and none relays below."""

PLAIN = {"udp *:3478", "tcp *:3478"}
BOTH = PLAIN | {"udp *:5349", "tcp *:5349"}
LISTENERS = {
    "hubs": BOTH,
    "basic+tls": BOTH,
    "tls": BOTH,
    "production": BOTH,
    "port-443+tls": PLAIN | {"udp *:443", "tcp *:443"},
    "talk": {"udp *:443", "tcp *:443"},
    "meetings": {f"{t} 192.0.2.10:{port}" for t in ("udp", "tcp") for port in (3478, 443)},
    "without-udp": {"tcp *:3478"},
    "without-tcp": {"udp *:3478"},
}
"""Where the guide says that it listens; the others say nothing, or the usual port."""


def main(folder: Path, name: str) -> None:
    """Raises AssertionError when anything is not as the guide says."""
    file = prepare(folder, name)
    text = file.read_text()
    with (folder / "err").open("wb") as err:
        server = subprocess.Popen([ferryman(), "serve", "-c", str(file)], stderr=err, cwd=folder)
    try:
        wait_until_ready(server, folder)
        expected = LISTENERS.get(name, PLAIN)
        assert listening() == expected, f"{listening()} != {expected}"
        check_clients(text, min(expected))
    finally:
        server.terminate()
        assert server.wait(10) == 0


def prepare(folder: Path, name: str) -> Path:
    """The machine, and the file on it."""
    pair = make_pair(folder)
    text = written(name)
    for key, path in (("cert", pair.certificate), ("pkey", pair.key)):
        text = re.sub(rf"^{key}=.*$", f"{key}={path}", text, flags=re.MULTILINE)
    run("ip", "link", "set", "lo", "up")
    for host in set(re.findall(r"^(?:listening|relay)-ip=([0-9.]+)$", text, re.MULTILINE)):
        if host != "0.0.0.0":
            run("ip", "address", "add", f"{host}/32", "dev", "lo")
    hosts = folder / "hosts"
    hosts.write_text("192.0.2.21 turn1.example.com\n192.0.2.22 turn2.example.com\n")
    run("mount", "--bind", str(hosts), "/etc/hosts")
    (folder / "log" / "turnserver").mkdir(parents=True)
    run("mount", "--bind", str(folder / "log"), "/var/log")
    file = folder / "turnserver.conf"
    file.write_text(text)
    return file


def written(name: str) -> str:
    if name == EXAMPLE:
        return next(path for path in EXAMPLES if path.exists()).read_text()
    return "".join((GUIDES / f"{part}.conf").read_text() for part in name.split("+"))


def run(*command: str) -> None:
    subprocess.run(command, check=True)


def wait_until_ready(server: subprocess.Popen[bytes], folder: Path) -> None:
    """The log is where the guide has it, so that all places are looked at."""
    deadline = time.monotonic() + 20
    while True:
        logs = [folder / "err", *(path for path in (folder / "log").rglob("*") if path.is_file())]
        text = "".join(path.read_text() for path in logs)
        if re.search(r"\binfo +ready ", text):
            return
        assert server.poll() is None, text
        assert time.monotonic() < deadline, text
        time.sleep(0.05)


def listening() -> set[str]:
    """`tcp 192.0.2.1:3478` for every socket that clients may come to; * for any address."""
    return {
        f"{transport} {host}:{port}"
        for transport in ("udp", "tcp")
        for host, port in sockets(transport)
        if port < RELAY_PORTS
    }


def sockets(transport: str) -> Iterator[tuple[str, int]]:
    for table in (transport, f"{transport}6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            host, _, port = fields[1].partition(":")
            if fields[3] in ("0A", "07"):  # listens; a UDP socket that is not connected
                words = [bytes.fromhex(host[at : at + 8])[::-1] for at in range(0, len(host), 8)]
                ip = ip_address(b"".join(words))
                yield "*" if ip.is_unspecified else str(ip), int(port, 16)


def check_clients(text: str, listener: str) -> None:
    transport, _, place = listener.partition(" ")
    host, _, port = place.rpartition(":")
    stream, host = transport == "tcp", "127.0.0.1" if host == "*" else host
    with TurnClient(int(port), "mallory", "x", host=host, stream=stream) as stranger:
        assert stranger.allocate().code == 401
    credential = credential_of(text)
    if credential is None:
        return
    with TurnClient(int(port), *credential, host=host, stream=stream) as client:
        assert client.allocate().code == (300 if "alternate-server" in text else 0)
        for peer, code in peers(text):
            assert client.permit(Address.of(peer, 9)).code == code, peer


def credential_of(text: str) -> tuple[str, str] | None:
    user = re.search(r"^user=([^:\n]+):(\S+)$", text, re.MULTILINE)
    secret = re.search(r"^static-auth-secret=(\S+)$", text, re.MULTILINE)
    if secret is not None:
        username = f"{int(time.time()) + 600}:someone"
        return username, password_for(username, secret[1])
    return (user[1], user[2]) if user is not None else None


def peers(text: str) -> Iterator[tuple[str, int]]:
    """Peers with the code that they get: the ends of each denied range of IPv4, and others."""
    yield "8.8.8.8", 0
    yield "127.0.0.1", 403
    for first, last in re.findall(r"^denied-peer-ip=([0-9.]+)-([0-9.]+)$", text, re.MULTILINE):
        yield from ((first, 403), (last, 403))
    if "no-multicast-peers" in text:
        yield "224.0.0.1", 403
    for host in re.findall(r"^allowed-peer-ip=([0-9.]+)$", text, re.MULTILINE):
        yield host, 0


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])

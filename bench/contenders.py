"""Starts a TURN server on loopback, on one core, with the same settings whichever it is.

Knows Ferryman, coturn (4.5 and later), pion/turn behind the `main` in bench/pion, and turn-rs (4);
knows nothing of what will be measured.
"""

from __future__ import annotations

import base64
import contextlib
import datetime
import hmac
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

REALM = "bench.example"
BINDING = bytes.fromhex("000100002112a442") + b"readiness..."
START_LIMIT = 30.0
COMPILED = Path(__file__).resolve().parent.parent / "build" / "compiled"
"""Ferryman as its packages have it (`make compile`); coturn looks for nothing there."""


class NotStarted(Exception):
    """A server that is not there or does not answer."""


def in_front(
    command: Sequence[str],
    *,
    core: int | str,
    stdin: int | None = None,
    stdout: int | IO[str] = subprocess.DEVNULL,
    stderr: int | IO[str] = subprocess.PIPE,
    ahead: bool = True,
) -> subprocess.Popen[str]:
    """Starts `command` on one core; `ahead` of whatever else the machine does, if that is allowed.

    A session of its own, because the scheduler shares the cores out between sessions first.
    """
    first = ["nice", "-n", "-20"] if ahead and os.geteuid() == 0 else []
    process = subprocess.Popen(
        ["taskset", "--cpu-list", str(core), *first, *command],
        env={**os.environ, "PYTHONPATH": str(COMPILED)},
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        text=True,
        start_new_session=True,
    )
    if ahead:
        with contextlib.suppress(OSError):
            Path(f"/proc/{process.pid}/autogroup").write_text("-20")
    return process


@dataclass(frozen=True)
class Settings:
    """What both servers are told."""

    port: int
    first_relay_port: int
    last_relay_port: int
    secret: str

    def credentials(self) -> tuple[str, str]:
        """A REST user name, good for a day, and its password."""
        user = f"{int(time.time()) + 86400}:bench"
        code = hmac.digest(self.secret.encode(), user.encode(), "sha1")
        return user, base64.b64encode(code).decode()


PLACES = {
    "coturn": ("COTURN", "turnserver"),
    "pion": ("PION", "pion-turn"),
    "turn-rs": ("TURN_RS", "turn-server"),
}
"""For each server of others: the variable that says where it is, and its name on the PATH."""


@dataclass(frozen=True)
class Program:
    """A server that could be started: its name in the table, its version, its executable, and
    further lines of its configuration (Ferryman's alone)."""

    name: str
    version: str
    path: Path
    more: str = ""

    def command(self, settings: Settings, folder: Path) -> list[str]:
        """The words that start it in the foreground."""
        if self.name == "coturn":
            return [str(self.path), *_coturn_words(self.path, settings, folder)]
        if self.name == "pion":
            return [str(self.path), *_pion_words(settings)]
        if self.name == "turn-rs":
            file = folder / "turn-rs.toml"
            file.write_text(_turn_rs_configuration(settings))
            return [str(self.path), "--config", str(file)]
        file = folder / "turnserver.conf"
        # One machine stands for many clients here, and coturn has no such limit by default.
        more = f"no-dtls\nunauthorized-ratelimit=no\n{self.more}"
        file.write_text(_configuration(settings, _certificate(folder)) + more)
        return [str(self.path), "serve", "-c", str(file), "--state-dir", str(folder)]


@dataclass(frozen=True)
class Server:
    """A running server on `core`. `watched` are the processes whose CPU is its own."""

    program: Program
    settings: Settings
    core: int
    process: subprocess.Popen[str]
    watched: tuple[int, ...]

    def address_words(self) -> list[str]:
        """How the load reaches it."""
        user, password = self.settings.credentials()
        address = f"127.0.0.1:{self.settings.port}"
        return ["--server", address, "--user", user, "--password", password]

    def memory(self) -> int:
        """What the process has for itself, bytes. Without the pages of files: of those its share
        changes whenever another process with the same libraries begins or ends."""
        text = Path(f"/proc/{self.process.pid}/smaps_rollup").read_text()
        own = re.findall(r"^(?:Pss_Anon|Pss_Shmem|SwapPss):\s+(\d+) kB", text, re.MULTILINE)
        return sum(map(int, own)) * 1024


def find(name: str) -> Program:
    """`ferryman`, one of `PLACES`, or a path to a turnserver. Raises `NotStarted`."""
    if name == "ferryman":
        place = str(Path(sys.executable).with_name("ferryman"))
        if not COMPILED.is_dir():
            raise NotStarted(f"there is no {COMPILED}: make compile")
    elif name in PLACES:
        variable, usual = PLACES[name]
        place = os.environ.get(variable, usual)
    else:
        place = name
    found = shutil.which(place)
    if not found:
        told = f" ({PLACES[name][0]} says where it is)" if name in PLACES else ""
        raise NotStarted(f"{name} is not here: there is no {place}{told}")
    said = subprocess.run([found, "--version"], capture_output=True, text=True, check=False)
    versions = re.findall(r"\d+(?:\.\d+)+", said.stdout)
    return Program(
        name=name if name == "ferryman" or name in PLACES else "coturn",
        version=versions[-1] if versions else "?",
        path=Path(found),
    )


@contextlib.contextmanager
def running(
    program: Program,
    *,
    core: int,
    place: int,
    folder: Path,
    cores: str = "",
    ahead: bool = True,
) -> Iterator[Server]:
    """Starts the server, waits for a Binding answer, and ends it afterwards.

    `place` (0 or 1) gives each of two servers ports of its own, 2 gives one alone twice as many.
    `cores`: those that it may use where that is not `core` alone; `ahead` as for `in_front`.
    Raises `NotStarted`.
    """
    ports = ((2048, 16999), (17000, 31999), (2048, 31999))[place]
    settings = Settings(_free_port(), *ports, secrets.token_hex(16))
    folder.mkdir(parents=True, exist_ok=True)
    complaints = folder / "stderr"
    with complaints.open("w") as stderr:
        process = in_front(
            program.command(settings, folder), core=cores or core, stderr=stderr, ahead=ahead
        )
    try:
        _wait_until_ready(process, settings.port, complaints)
        watched = (process.pid, *_softirq_threads(core))
        yield Server(program, settings, core, process, watched)
    finally:
        _end(process)


def _wait_until_ready(process: subprocess.Popen[str], port: int, complaints: Path) -> None:
    until = time.monotonic() + START_LIMIT
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(0.1)
        client.connect(("127.0.0.1", port))
        while time.monotonic() < until and process.poll() is None:
            with contextlib.suppress(OSError):
                client.send(BINDING)
                if client.recv(2048)[8:20] == BINDING[8:]:
                    return
                continue
            time.sleep(0.05)
    raise NotStarted(complaints.read_text()[-2000:] or "no answer to a Binding request")


def _end(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _softirq_threads(core: int) -> list[int]:
    """The kernel thread that delivers packets on that core when there are very many."""
    named = Path("/proc").glob("[0-9]*/comm")
    wanted = f"ksoftirqd/{core}\n"
    return [int(file.parent.name) for file in named if _text(file) == wanted]


def _text(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:
        return ""


def _free_port() -> int:
    """A port that is free for UDP and for TCP on loopback, for now."""
    while True:
        with socket.socket() as tcp, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            tcp.bind(("127.0.0.1", 0))
            port: int = tcp.getsockname()[1]
            with contextlib.suppress(OSError):
                udp.bind(("127.0.0.1", port))
                return port


def _certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate and its key (ECDSA P-256), for a server on loopback."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, REALM)])
    now = datetime.datetime.now(datetime.UTC)
    issued = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    files = (folder / "bench.crt", folder / "bench.key")
    files[0].write_bytes(issued.public_bytes(Encoding.PEM))
    files[1].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return files


def _configuration(settings: Settings, certificate: tuple[Path, Path]) -> str:
    return f"""\
cert={certificate[0]}
pkey={certificate[1]}
listening-ip=127.0.0.1
relay-ip=127.0.0.1
listening-port={settings.port}
tls-listening-port={_free_port()}
min-port={settings.first_relay_port}
max-port={settings.last_relay_port}
use-auth-secret
static-auth-secret={settings.secret}
realm={REALM}
allow-loopback-peers
"""


def _coturn_words(path: Path, settings: Settings, folder: Path) -> list[str]:
    """Everything on the command line: 4.x asks for no file with -n."""
    lines = _configuration(settings, _certificate(folder)).splitlines()
    same = [f"--{line}" for line in lines]
    own = [
        *("--relay-threads=1", "--log-file=/dev/null", "--no-stdout-log"),
        *(f"--pidfile={folder / 'pid'}", f"--userdb={folder / 'userdb'}"),
    ]
    return ["-n", *same, *own, *_if_known(path, ["no-dtls", "no-cli"])]


def _pion_words(settings: Settings) -> list[str]:
    return [
        *("-port", str(settings.port), "-realm", REALM, "-secret", settings.secret),
        *("-min-port", str(settings.first_relay_port)),
        *("-max-port", str(settings.last_relay_port)),
    ]


def _turn_rs_configuration(settings: Settings) -> str:
    """Its relay ports must begin at 49152; it binds none of them."""
    return f"""\
[server]
port-range = "49152..65535"
max-threads = 1
realm = "{REALM}"
[[server.interfaces]]
transport = "udp"
listen = "127.0.0.1:{settings.port}"
external = "127.0.0.1:{settings.port}"
[log]
level = "error"
stdout = false
[auth]
static-auth-secret = "{settings.secret}"
"""


def _if_known(path: Path, names: list[str]) -> list[str]:
    """Those of the flags that this version's help names."""
    said = subprocess.run([path, "--help"], capture_output=True, text=True, check=False)
    return [f"--{name}" for name in names if f"--{name}" in said.stdout + said.stderr]

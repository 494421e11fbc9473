"""A client of DTLS 1.3 for tests: NSS's own program `tstclnt`, with an NSS that is new enough.

What it is told on stdin it sends, and what it hears it writes to stdout. It trusts any certificate.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.servers import ferryman, program

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / ".venv" / "nss"
DTLS_13 = "tls1.3:tls1.3"
EITHER = "tls1.2:tls1.3"
PATIENCE = 5.0
"""Seconds after which there is no handshake if nothing was said of one."""


def with_nss(folder: Path = FOLDER) -> list[str]:
    """The server's command, with the NSS of this folder."""
    return ["env", f"LD_LIBRARY_PATH={folder}", ferryman(), "serve"]


def bring_nss() -> None:
    """Installs what is needed, if it is not there."""
    subprocess.run([ROOT / "scripts" / "install-test-nss", FOLDER], check=True)


def _command(port: int, versions: str, *flags: str) -> list[str]:
    where = ["-h", "127.0.0.1", "-p", str(port), "-P", "client"]
    # Groups whose key shares leave a ClientHello in one datagram.
    return [program("tstclnt"), *where, "-V", versions, "-I", "x25519,P256", "-o", "-D", *flags]


def _environment() -> dict[str, str]:
    return {**os.environ, "LD_LIBRARY_PATH": str(FOLDER)}


def handshake(port: int, versions: str = DTLS_13) -> str:
    """What the program says of a handshake; empty when there was none.

    It is to quit after the handshake, but waits for more where that is over before it has looked
    at its stdin: it is ended then, and has said all that it has to say.
    """
    command = _command(port, versions, "-Q", "-C", "-v")
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=_environment(),
    ) as running:
        try:
            said, _ = running.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            running.kill()
            said, _ = running.communicate()
    text = said.decode(errors="replace")
    return text if "SSL version" in text else ""


def exchange(port: int, message: bytes, length: int) -> bytes:
    """The first `length` octets that come back for a message over DTLS 1.3."""
    command = _command(port, DTLS_13)
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=_environment(),
    ) as running:
        assert running.stdin is not None
        assert running.stdout is not None
        running.stdin.write(message)
        running.stdin.flush()
        try:
            return running.stdout.read(length)
        finally:
            running.kill()

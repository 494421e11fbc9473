"""certbot's deploy hook, run as certbot runs it, beside a running server."""

from __future__ import annotations

import grp
import os
import ssl
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

from cryptography import x509

from tests.certificates import make_pair
from tests.packaging.files import PACKAGING, with_systemctl
from tests.servers import RunningServer, start_server

HOOK = PACKAGING / "certbot/ferryman"
LINES = ("user=alice:wonderland", "realm=example.org")


def lineage(folder: Path, name: str) -> tuple[Path, int]:
    """A folder as certbot keeps one, and the serial number of its certificate."""
    live = folder / name
    live.mkdir(parents=True, exist_ok=True)
    pair = make_pair(folder, name="renewed")
    (live / "fullchain.pem").write_bytes(pair.certificate.read_bytes())
    (live / "privkey.pem").write_bytes(pair.key.read_bytes())
    return live, pair.issued.serial_number


def run_hook(
    live: Path | None, target: Path, environment: Mapping[str, str], **more: str
) -> subprocess.CompletedProcess[str]:
    settings = {
        **environment,
        "FERRYMAN_DEFAULTS": "/dev/null",
        "FERRYMAN_CERTIFICATE_FOLDER": str(target),
        "FERRYMAN_GROUP": grp.getgrgid(os.getgid()).gr_name,
        **({"RENEWED_LINEAGE": str(live)} if live else {}),
        **more,
    }
    return subprocess.run(
        [HOOK], env=settings, check=False, capture_output=True, text=True, timeout=30
    )


def serial_shown_by(port: int) -> int:
    shown = ssl.get_server_certificate(("127.0.0.1", port))
    return x509.load_pem_x509_certificate(shown.encode()).serial_number


def wait_for_serial(server: RunningServer, serial: int) -> None:
    deadline = time.monotonic() + 10
    while serial_shown_by(server.port) != serial:
        assert time.monotonic() < deadline, server.log
        time.sleep(0.05)


def test_a_renewed_certificate_is_the_one_that_clients_see(tmp_path: Path) -> None:
    target = tmp_path / "turnserver"
    live, first = lineage(tmp_path / "live", "turn.test")
    assert run_hook(live, target, without_service(tmp_path)).returncode == 0
    files = [f"cert={target}/fullchain.pem", f"pkey={target}/privkey.pem"]
    with start_server([*LINES, *files, "tls-listening-port=0"], tmp_path) as server:
        assert serial_shown_by(server.port) == first
        live, second = lineage(tmp_path / "live", "turn.test")
        assert second != first
        found = run_hook(live, target, with_systemctl(tmp_path, server.process.pid))
        assert (found.returncode, found.stderr) == (0, "")
        wait_for_serial(server, second)


def test_nobody_else_may_read_the_key_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    live, _ = lineage(tmp_path / "live", "turn.test")
    (live / "privkey.pem").chmod(0o644)
    target = tmp_path / "turnserver"
    run_hook(live, target, without_service(tmp_path))
    modes = {path.name: path.stat().st_mode & 0o777 for path in target.iterdir()}
    assert modes == {"fullchain.pem": 0o640, "privkey.pem": 0o640}
    assert target.stat().st_mode & 0o007 == 0


def test_a_lineage_that_is_not_the_servers_is_passed_over(tmp_path: Path) -> None:
    live, _ = lineage(tmp_path / "live", "www.test")
    target = tmp_path / "turnserver"
    found = run_hook(live, target, without_service(tmp_path), FERRYMAN_LINEAGE="turn.test")
    assert (found.returncode, target.exists()) == (0, False)


def test_a_key_that_is_missing_changes_nothing(tmp_path: Path) -> None:
    live, _ = lineage(tmp_path / "live", "turn.test")
    target = tmp_path / "turnserver"
    run_hook(live, target, without_service(tmp_path))
    before = (target / "fullchain.pem").read_bytes()
    live, _ = lineage(tmp_path / "live", "turn.test")
    (live / "privkey.pem").unlink()
    assert run_hook(live, target, without_service(tmp_path)).returncode != 0
    assert (target / "fullchain.pem").read_bytes() == before
    assert sorted(path.name for path in target.iterdir()) == ["fullchain.pem", "privkey.pem"]


def test_by_hand_it_says_what_it_needs(tmp_path: Path) -> None:
    found = run_hook(None, tmp_path, without_service(tmp_path))
    assert found.returncode == 2
    assert "RENEWED_LINEAGE" in found.stderr


def without_service(folder: Path) -> dict[str, str]:
    """systemctl says that no unit is active."""
    (folder / "systemctl").write_text("#!/bin/sh\nexit 3\n")
    (folder / "systemctl").chmod(0o755)
    return {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}

"""A home folder whose certificate store (NSS) trusts a certificate, for Chromium."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.servers import program


def home_that_trusts(certificate: Path, home: Path) -> Path:
    """Makes the store in this folder, `sql:$HOME/.pki/nssdb`, where Chromium looks for it."""
    store = home / ".pki" / "nssdb"
    store.mkdir(parents=True)
    _certutil(store, "-N", "--empty-password")
    _certutil(store, "-A", "-n", "ferryman test", "-t", "C,,", "-i", str(certificate))
    return home


def _certutil(store: Path, *arguments: str) -> None:
    subprocess.run(
        [program("certutil"), "-d", f"sql:{store}", *arguments],
        check=True,
        capture_output=True,
        timeout=30,
    )

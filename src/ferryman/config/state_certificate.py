"""The certificate that a server without a configuration signs for itself, so that it speaks TLS.

Nobody vouches for it: a client must be told to take it, and browsers cannot be told.
"""

from __future__ import annotations

import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ferryman.config import state_file

FILE_NAME = "certificate.pem"
_GOOD_FOR = timedelta(days=3650)
_CLOCKS_DIFFER = timedelta(days=1)


def read_or_make(folder: Path) -> None:
    """Makes FILE_NAME in this folder on first use: an ECDSA key over P-256, and its certificate.

    The folder is made with mode 0700, the file with 0600. Raises StateFileError.
    """
    state_file.read_or_make(folder / FILE_NAME, _key_and_certificate, 1 << 16)


def _key_and_certificate() -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    written = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    certificate = _self_signed(key).public_bytes(serialization.Encoding.PEM)
    return (written + certificate).decode("ascii")


def _self_signed(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ferryman")])
    hosts = dict.fromkeys(("localhost", socket.gethostname()))
    names = [x509.DNSName(host) for host in hosts if host.isascii()]
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCKS_DIFFER)
        .not_valid_after(now + _GOOD_FOR)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )

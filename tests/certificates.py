"""Certificates and keys for tests, as PEM files."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID

PrivateKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey


def new_key(kind: str = "P-256") -> PrivateKey:
    """`P-256`, `P-384`, `P-521`, `Ed25519`, or `RSA-` and a number of bits."""
    if kind.startswith("RSA-"):
        return rsa.generate_private_key(65537, int(kind.removeprefix("RSA-")))
    if kind == "Ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    return ec.generate_private_key(
        {"P-256": ec.SECP256R1(), "P-384": ec.SECP384R1(), "P-521": ec.SECP521R1()}[kind]
    )


@dataclass(frozen=True)
class Pair:
    """A certificate and its key, in files."""

    certificate: Path
    key: Path
    issued: x509.Certificate
    private: PrivateKey

    @property
    def lines(self) -> list[str]:
        return [f"cert={self.certificate}", f"pkey={self.key}"]


def make_pair(
    folder: Path,
    kind: str = "P-256",
    *,
    name: str = "turn.test",
    days: int = 30,
    issuer: tuple[PrivateKey, x509.Certificate] | None = None,
    authority: bool = False,
) -> Pair:
    """`name.crt` and `name.key` in the folder: self-signed, or by an issuer."""
    key = new_key(kind)
    issued = certificate(key, name, days, issuer, authority=authority)
    pair = Pair(folder / f"{name}.crt", folder / f"{name}.key", issued, key)
    pair.certificate.write_bytes(issued.public_bytes(serialization.Encoding.PEM))
    pair.key.write_bytes(pem(key))
    return pair


def pem(
    key: PrivateKey,
    form: serialization.PrivateFormat = serialization.PrivateFormat.PKCS8,
    password: str | None = None,
) -> bytes:
    encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if password is not None:
        encryption = serialization.BestAvailableEncryption(password.encode())
    return key.private_bytes(serialization.Encoding.PEM, form, encryption)


def certificate(
    key: PrivateKey,
    name: str,
    days: int,
    issuer: tuple[PrivateKey, x509.Certificate] | None = None,
    *,
    authority: bool = False,
) -> x509.Certificate:
    """For a DNS name and for the loopback addresses; good for so many days, or bad since."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    issuer_key, issuer_name = (key, subject) if issuer is None else (issuer[0], issuer[1].subject)
    now = datetime.now(UTC)
    names: list[x509.GeneralName] = [x509.DNSName(name), x509.DNSName("localhost")]
    names += [x509.IPAddress(ip_address(ip)) for ip in ("127.0.0.1", "::1")]
    digest = None if isinstance(issuer_key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer_name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=100))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .sign(issuer_key, digest)
    )

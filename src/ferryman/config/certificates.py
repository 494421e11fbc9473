"""A certificate with its key, and who may sign those of clients, from the files that are named.

PEM: a chain with the server's own certificate first; a key in PKCS#8, PKCS#1 or SEC1, encrypted or
not. Whatever is wrong with a file is one line that names it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes
from pydantic import SecretBytes

from ferryman.config.settled_file import open_unblocked
from ferryman.config.values import Tls

_PRIVATE_KEY = re.compile(rb"-----BEGIN ([A-Z0-9 ]*PRIVATE KEY)-----.+?-----END \1-----", re.DOTALL)
_LONGEST = 1 << 20
"""More octets than any chain has; what is longer is no file of certificates."""


class CertificateError(Exception):
    """`key`: the configuration key whose file is at fault; the text names the file."""

    def __init__(self, key: str, text: str) -> None:
        super().__init__(text)
        self.key = key


@dataclass(frozen=True, slots=True)
class Certificate:
    """`chain` and `client_roots`: X.509 in DER; `key`: PKCS#8 in DER, not encrypted.

    `names`: the DNS names that it is for.
    """

    chain: tuple[bytes, ...]
    key: SecretBytes
    client_roots: tuple[bytes, ...]
    names: tuple[str, ...]
    expires: datetime


def read_certificate(tls: Tls) -> Certificate:
    """What the files hold now. Raises CertificateError."""
    chain = _certificates("cert", tls.certificate)
    key = _private_key(tls)
    own = chain[0]
    if _public(own.public_key()) != _public(key.public_key()):
        others = any(_public(one.public_key()) == _public(key.public_key()) for one in chain)
        hint = ": it is that of a later one in the chain" if others else ""
        text = f"{tls.private_key} is not the key of the certificate {tls.certificate}{hint}"
        raise CertificateError("pkey", text)
    roots = _certificates("CA-file", tls.client_roots) if tls.client_roots else []
    return Certificate(
        tuple(_der(one) for one in chain),
        SecretBytes(
            key.private_bytes(
                serialization.Encoding.DER,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        ),
        tuple(_der(one) for one in roots),
        _names(own),
        own.not_valid_after_utc,
    )


def _content(key: str, path: Path) -> bytes:
    try:
        with open_unblocked(path) as file:
            return file.read(_LONGEST)
    except OSError as error:
        raise CertificateError(key, f"{path} cannot be read: {error.strerror}") from None


def _certificates(key: str, path: Path) -> list[x509.Certificate]:
    content = _content(key, path)
    try:
        found = x509.load_pem_x509_certificates(content)
        for one in found:
            one.public_key()  # raises where the rest does not
    except (ValueError, UnsupportedAlgorithm):
        raise CertificateError(key, f"{path} holds no certificate that can be read (PEM)") from None
    return found


def _private_key(
    tls: Tls,
) -> ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey:
    path = tls.private_key
    found = _PRIVATE_KEY.search(_content("pkey", path))
    if found is None:
        raise CertificateError("pkey", f"{path} holds no private key (PEM)")
    key = _decrypted(tls, found[0])
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key
    if isinstance(key, rsa.RSAPrivateKey) and 2048 <= key.key_size <= 4096:
        return key
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name in ("secp256r1", "secp384r1"):
        return key
    expected = "RSA of 2048 to 4096 bits, ECDSA over P-256 or P-384, or Ed25519"
    raise CertificateError("pkey", f"{path} holds a key of another kind than {expected}")


def _decrypted(tls: Tls, pem: bytes) -> PrivateKeyTypes:
    password = tls.password.get_secret_value().encode() if tls.password else None
    path = tls.private_key
    try:
        return _loaded(pem, password)
    except TypeError:  # encrypted, and there is no password
        raise CertificateError("pkey", f"{path} is encrypted: expected pkey-pwd") from None
    except (ValueError, UnsupportedAlgorithm):
        if password is not None and b"ENCRYPTED" in pem:
            raise CertificateError("pkey-pwd", f"it does not open {path}") from None
        raise CertificateError("pkey", f"{path} holds no key that can be read") from None


def _loaded(pem: bytes, password: bytes | None) -> PrivateKeyTypes:
    """A password for a key that has none is passed over, as in coturn."""
    is_encrypted = b"ENCRYPTED" in pem
    return serialization.load_pem_private_key(pem, password if is_encrypted else None)


def _der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.DER)


def _public(key: PublicKeyTypes) -> bytes:
    return key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except (x509.ExtensionNotFound, ValueError):
        return ()
    return tuple(found.value.get_values_for_type(x509.DNSName))

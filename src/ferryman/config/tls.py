"""Whether and how TLS and DTLS are spoken, from the keys that say so.

TLS is never off by accident. Whoever names a certificate or a key gets TLS, or a line that says why
the server does not start; a port alone, which guides write down before they come to certificates,
is a warning, unless nothing else is left to listen on. DTLS goes with TLS, unless `no-dtls` is
given; `dtls` asks for it, also beside `no-tls`.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from pydantic import SecretStr

from ferryman.config import state_certificate
from ferryman.config.certificates import CertificateError, read_certificate
from ferryman.config.chosen import Chosen
from ferryman.config.ciphers import TLS12, spoken
from ferryman.config.file_reader import find_file
from ferryman.config.notices import Findings
from ferryman.config.values import Dtls, Tls

_DEFAULT_NAMES = {"cert": "turn_server_cert.pem", "pkey": "turn_server_pkey.pem"}
"""What coturn looks for when the key is not given."""

_GROUPS = {
    "x25519": 0x001D,
    "prime256v1": 0x0017,
    "secp256r1": 0x0017,
    "p-256": 0x0017,
    "secp384r1": 0x0018,
    "p-384": 0x0018,
}
"""Curves of the key exchange, by OpenSSL's names in lower case (IANA's numbers)."""


def is_wanted(chosen: Chosen, *, has_file: bool) -> bool:
    """Whether TLS is to be spoken; without a file it is, as long as nobody says otherwise."""
    if chosen.one("no-tls", bool):
        return False
    port = chosen.is_given("tls-listening-port") and chosen.one("tls-listening-port", int) > 0
    return port or _names_files(chosen) or not has_file


def _names_files(chosen: Chosen) -> bool:
    return any(chosen.maybe(name, str) for name in _DEFAULT_NAMES)


def choose_tls(chosen: Chosen, findings: Findings, state: Path, *, has_file: bool) -> Tls | None:
    """None when TLS is not spoken, and when there is a problem with it."""
    stream, dtls = is_wanted(chosen, has_file=has_file), _dtls(chosen, findings, has_file=has_file)
    if not stream and dtls is Dtls.OFF:
        if not chosen.one("no-tls", bool):
            findings.note("cert", "not given: clients are served without TLS")
        return None
    is_own = not has_file and not _names_files(chosen)
    own = state / state_certificate.FILE_NAME
    files = (own, own) if is_own else _files(chosen, findings)
    suites, groups = _suites(chosen, findings), _groups(chosen, findings)
    roots = _client_roots(chosen, findings)
    if files is None or findings.doubtful & {"cert", "pkey", "CA-file", "cipher-list"}:
        return None
    tls = Tls(
        port=chosen.one("tls-listening-port", int),
        certificate=files[0],
        private_key=files[1],
        password=chosen.maybe("pkey-pwd", SecretStr),
        client_roots=roots,
        cipher_suites=suites,
        groups=groups,
        tls12=not chosen.one("no-tlsv1_2", bool),
        is_own=is_own,
        stream=stream,
        dtls=dtls,
    )
    tls = _without_dtls_12(tls, chosen, findings)
    if not is_own:
        _check(tls, chosen, findings)
    return tls


def _dtls(chosen: Chosen, findings: Findings, *, has_file: bool) -> Dtls:
    asked = chosen.maybe("dtls", bool)
    for other in ("no-dtls", "no-udp"):
        if chosen.one(other, bool):
            if asked:
                findings.warn(
                    "dtls", f"together with {other} it is not spoken", chosen.where("dtls")
                )
            return Dtls.OFF
    if asked is None:
        return Dtls.WITH_TLS if is_wanted(chosen, has_file=has_file) else Dtls.OFF
    return Dtls.ASKED if asked else Dtls.OFF


def _without_dtls_12(tls: Tls, chosen: Chosen, findings: Findings) -> Tls:
    """Without what DTLS 1.2 needs there is DTLS 1.3 alone, which not every machine has."""
    suites = {suite.number for suite in TLS12}
    lacking = None
    if not tls.tls12:
        lacking = "no-tlsv1_2"
    elif tls.cipher_suites and suites.isdisjoint(tls.cipher_suites):
        lacking = "cipher-list"
    if lacking is None or tls.dtls is Dtls.OFF:
        return tls
    text = f"{lacking} leaves nothing of DTLS 1.2: DTLS 1.3 alone is spoken, where NSS is installed"
    findings.note("dtls", text)
    return replace(tls, dtls12=False)


def _files(chosen: Chosen, findings: Findings) -> tuple[Path, Path] | None:
    certificate, key = (_file(name, chosen, findings) for name in ("cert", "pkey"))
    if certificate is None:
        if "cert" not in findings.doubtful:
            _without_certificate(chosen, findings)
        return None
    if "pkey" in findings.doubtful:
        return None
    # One file may hold both.
    return certificate, key or certificate


def _without_certificate(chosen: Chosen, findings: Findings) -> None:
    keys = ("pkey", "dtls", "tls-listening-port")
    name = next(one for one in keys if chosen.is_given(one))
    where = chosen.where(name)
    if name == "tls-listening-port" and not _is_nothing_else_spoken(chosen):
        text = "no certificate: TLS and DTLS are not spoken; expected cert beside it, or no-tls"
        findings.warn(name, text, where)
        return
    without = "no-dtls" if name == "dtls" else "no-tls"
    findings.problem(f"no certificate: expected cert beside it, or {without}", where, key=name)


def _is_nothing_else_spoken(chosen: Chosen) -> bool:
    return chosen.one("no-tcp", bool) and chosen.one("no-udp", bool)


def _file(name: str, chosen: Chosen, findings: Findings) -> Path | None:
    given = chosen.maybe(name, str)
    found = find_file(Path(given or _DEFAULT_NAMES[name]))
    if given and found is None:
        findings.problem(f"{given}: no such file", chosen.where(name), key=name)
    return found


def _client_roots(chosen: Chosen, findings: Findings) -> Path | None:
    given = chosen.maybe("CA-file", str)
    if not given:
        return None
    found = find_file(Path(given))
    if found is None:
        findings.problem(f"{given}: no such file", chosen.where("CA-file"), key="CA-file")
    return found


def _suites(chosen: Chosen, findings: Findings) -> tuple[int, ...]:
    given = chosen.maybe("cipher-list", str)
    if given is None:
        return ()
    numbers, unmet = spoken(given)
    where = chosen.where("cipher-list")
    if not numbers:
        text = "it leaves none of the ciphers that are spoken here (ECDHE with AES-GCM or ChaCha20)"
        findings.problem(text, where, key="cipher-list")
    elif unmet:
        findings.note("cipher-list", f"not spoken here, and left out: {', '.join(unmet)}", where)
    return numbers


def _groups(chosen: Chosen, findings: Findings) -> tuple[int, ...]:
    given = chosen.maybe("ec-curve-name", str)
    if given is None:
        return ()
    number = _GROUPS.get(given.lower())
    if number is None:
        text = "not spoken here: keys are exchanged over X25519, P-256 or P-384"
        findings.note("ec-curve-name", text, chosen.where("ec-curve-name"))
        return ()
    return (number,)


def _check(tls: Tls, chosen: Chosen, findings: Findings) -> None:
    try:
        certificate = read_certificate(tls)
    except CertificateError as error:
        findings.problem(str(error), chosen.where(error.key), key=error.key)
        return
    if certificate.expires < datetime.now(UTC):
        text = f"{tls.certificate} expired on {certificate.expires:%Y-%m-%d}: clients refuse it"
        findings.warn("cert", text, chosen.where("cert"))

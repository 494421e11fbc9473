"""TLS: when it is spoken, with which certificate, and the one line about one that is no good."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from ferryman.config import state_certificate
from ferryman.config.certificates import Certificate, CertificateError, read_certificate
from ferryman.config.state_file import StateFileError
from ferryman.config.values import Tls
from ferryman.datapath import _native
from tests.certificates import Pair, certificate, make_pair, new_key, pem
from tests.config.reading import CREDENTIALS, Reading, tls_of_files

OFF = "info: cert: not given: clients are served without TLS"


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return make_pair(tmp_path_factory.mktemp("pair"))


def tls_of(reading: Reading, *lines: str) -> Tls:
    tls = reading.lines(*lines).tls
    assert tls is not None
    return tls


def problem(reading: Reading, *lines: str) -> str:
    """The one problem of a file with these lines, of which the first is line 2."""
    (line,) = reading.problems(CREDENTIALS + "\n".join(lines))
    return line


def test_a_file_that_does_not_speak_of_tls_has_none_and_says_so(reading: Reading) -> None:
    configuration = reading.lines("realm=r")
    assert configuration.tls is None
    assert OFF in reading.notices(configuration)


def test_no_tls_is_no_tls_whatever_else_is_there(reading: Reading) -> None:
    configuration = reading.lines("no-tls", "cert=/nowhere", "pkey=/nowhere", "realm=r")
    assert configuration.tls is None
    assert not any("cert" in line for line in reading.notices(configuration))


def test_without_a_file_the_server_has_a_certificate_of_its_own(reading: Reading) -> None:
    tls = reading.flags(("state-dir", "/var/lib/turn")).tls
    assert tls is not None
    assert tls.is_own
    assert tls.certificate == tls.private_key == Path("/var/lib/turn/certificate.pem")
    assert (tls.port, tls.tls12) == (5349, True)
    assert reading.flags(("no-tls", None)).tls is None


def test_flags_may_name_the_certificate(reading: Reading, pair: Pair) -> None:
    tls = reading.flags(("cert", str(pair.certificate)), ("pkey", str(pair.key))).tls
    assert tls is not None
    assert not tls.is_own
    assert tls.certificate == pair.certificate


def test_a_file_with_a_certificate_has_tls(reading: Reading, pair: Pair) -> None:
    tls = tls_of(reading, *pair.lines)
    assert (tls.certificate, tls.private_key, tls.port) == (pair.certificate, pair.key, 5349)
    assert (tls.cipher_suites, tls.groups, tls.client_roots) == ((), (), None)
    assert tls_of(reading, *pair.lines, "tls-listening-port=443").port == 443
    assert tls_of(reading, *pair.lines, "tls-listening-port=0").port == 0


def test_one_file_may_hold_certificate_and_key(
    reading: Reading, pair: Pair, tmp_path: Path
) -> None:
    both = tmp_path / "both.pem"
    both.write_bytes(pair.key.read_bytes() + pair.certificate.read_bytes())
    tls = tls_of(reading, f"cert={both}")
    assert tls.certificate == tls.private_key == both
    assert read_certificate(tls).names == ("turn.test", "localhost")


def test_files_without_a_folder_are_sought_where_coturn_seeks_them(
    reading: Reading, pair: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "my.crt").write_bytes(pair.certificate.read_bytes())
    (tmp_path / "turn_server_pkey.pem").write_bytes(pair.key.read_bytes())
    tls = tls_of(reading, "cert=my.crt")
    assert tls.certificate.resolve() == tmp_path / "etc" / "my.crt"
    assert tls.private_key.resolve() == tmp_path / "turn_server_pkey.pem"


@pytest.mark.parametrize("line", ["tls-listening-port=5349", "tls-listening-port=443"])
def test_a_port_for_tls_without_a_certificate_is_a_warning(reading: Reading, line: str) -> None:
    """coturn serves such a file without TLS, and guides have it."""
    configuration = reading.lines(line)
    assert configuration.tls is None
    assert (
        "warning: turnserver.conf:2: tls-listening-port: no certificate: TLS and DTLS are not "
        "spoken; expected cert beside it, or no-tls"
    ) in reading.notices(configuration)


def test_without_a_certificate_nothing_is_left_where_tls_alone_is_asked_for(
    reading: Reading,
) -> None:
    assert problem(reading, "tls-listening-port=443", "no-tcp", "no-udp") == (
        "turnserver.conf:2: tls-listening-port: no certificate: expected cert beside it, or no-tls"
    )


def test_a_key_without_a_certificate_does_not_start(reading: Reading, pair: Pair) -> None:
    assert problem(reading, f"pkey={pair.key}") == (
        "turnserver.conf:2: pkey: no certificate: expected cert beside it, or no-tls"
    )


def test_files_that_are_not_there_are_named(reading: Reading, pair: Pair) -> None:
    certificate, key = pair.lines
    assert problem(reading, "cert=/nowhere/a.pem", key) == (
        "turnserver.conf:2: cert: /nowhere/a.pem: no such file"
    )
    assert problem(reading, certificate, "pkey=a.pem") == (
        "turnserver.conf:3: pkey: a.pem: no such file"
    )
    assert problem(reading, certificate, key, "CA-file=a.pem") == (
        "turnserver.conf:4: CA-file: a.pem: no such file"
    )


def test_a_file_that_cannot_be_read_is_named(reading: Reading, pair: Pair) -> None:
    certificate, key = pair.lines
    unreadable = "/proc/self/mem cannot be read: Input/output error"
    assert problem(reading, "cert=/proc/self/mem", key) == (
        f"turnserver.conf:2: cert: {unreadable}"
    )
    assert problem(reading, certificate, "pkey=/proc/self/mem") == (
        f"turnserver.conf:3: pkey: {unreadable}"
    )


BAD_CONTENT = [
    b"",
    b"certificate\n",
    b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    b"-----BEGIN CERTIFICATE-----\n!\n",
    b"\xff\x00" * 100,
]


@pytest.mark.parametrize("content", BAD_CONTENT)
def test_a_file_without_a_certificate_is_named(
    reading: Reading, pair: Pair, tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "bad.pem"
    path.write_bytes(content)
    assert problem(reading, f"cert={path}", pair.lines[1]) == (
        f"turnserver.conf:2: cert: {path} holds no certificate that can be read (PEM)"
    )
    assert problem(reading, *pair.lines, f"CA-file={path}") == (
        f"turnserver.conf:4: CA-file: {path} holds no certificate that can be read (PEM)"
    )


def key_problem(reading: Reading, pair: Pair, content: bytes, *lines: str) -> str:
    path = reading.path.with_name("bad.key")
    path.write_bytes(content)
    line = problem(reading, pair.lines[0], f"pkey={path}", *lines)
    return line.removeprefix("turnserver.conf:").replace(str(path), "bad.key")


def test_a_key_that_is_no_good_is_named(reading: Reading, pair: Pair) -> None:
    broken = b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"
    kinds = "RSA of 2048 to 4096 bits, ECDSA over P-256 or P-384, or Ed25519"
    for content, line in (
        (b"", "3: pkey: bad.key holds no private key (PEM)"),
        (pair.certificate.read_bytes(), "3: pkey: bad.key holds no private key (PEM)"),
        (broken, "3: pkey: bad.key holds no key that can be read"),
        (pem(new_key()), f"3: pkey: bad.key is not the key of the certificate {pair.certificate}"),
        (pem(new_key("P-521")), f"3: pkey: bad.key holds a key of another kind than {kinds}"),
        (pem(new_key("RSA-1024")), f"3: pkey: bad.key holds a key of another kind than {kinds}"),
    ):
        assert key_problem(reading, pair, content) == line


def test_a_password_that_is_missing_or_wrong_is_told_apart(reading: Reading, pair: Pair) -> None:
    encrypted = pem(new_key(), password="sesame")
    assert key_problem(reading, pair, encrypted) == (
        "3: pkey: bad.key is encrypted: expected pkey-pwd"
    )
    line = key_problem(reading, pair, encrypted, "pkey-pwd=looking-glass")
    assert line == "4: pkey-pwd: it does not open bad.key"


def test_a_chain_that_begins_with_the_wrong_certificate_is_named(
    reading: Reading, tmp_path: Path
) -> None:
    pair, other = make_pair(tmp_path), make_pair(tmp_path, name="other.test")
    chain = tmp_path / "chain.pem"
    chain.write_bytes(other.certificate.read_bytes() + pair.certificate.read_bytes())
    line = problem(reading, f"cert={chain}", pair.lines[1])
    assert line.endswith("is not the key of the certificate "
                         f"{chain}: it is that of a later one in the chain")  # fmt: skip


def test_an_expired_certificate_is_shown_with_a_warning(reading: Reading, tmp_path: Path) -> None:
    pair = make_pair(tmp_path, days=-1)
    (line,) = (one for one in reading.notices(reading.lines(*pair.lines)) if "cert:" in one)
    assert line.startswith(f"warning: turnserver.conf:2: cert: {pair.certificate} expired on 20")


KINDS = ["P-256", "P-384", "RSA-2048", "RSA-4096", "Ed25519"]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_key_crosses_into_the_datapath(tmp_path: Path, kind: str) -> None:
    pair = make_pair(tmp_path, kind)
    use(read_certificate(tls_of_files(pair.certificate, pair.key)))


PKCS8 = serialization.PrivateFormat.PKCS8
OLDER = serialization.PrivateFormat.TraditionalOpenSSL
FORMS = [
    ("P-256", PKCS8),
    ("P-256", OLDER),
    ("RSA-2048", OLDER),
    ("RSA-2048", PKCS8),
    ("Ed25519", PKCS8),
]


@pytest.mark.parametrize("password", [None, "open ;# sesame"])
@pytest.mark.parametrize(("kind", "form"), FORMS)
def test_keys_may_be_written_in_every_form(
    reading: Reading,
    tmp_path: Path,
    kind: str,
    form: serialization.PrivateFormat,
    password: str | None,
) -> None:
    key = new_key(kind)
    path, own = tmp_path / "a.key", tmp_path / "a.crt"
    own.write_bytes(certificate(key, "a.test", 9).public_bytes(serialization.Encoding.PEM))
    # As OpenSSL writes it: parameters or text before the key.
    path.write_bytes(b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n"
                     b"-----END EC PARAMETERS-----\n" + pem(key, form, password))  # fmt: skip
    # A password that the key does not need does no harm.
    tls = tls_of(reading, f"cert={own}", f"pkey={path}", f'pkey-pwd="{password or "unneeded"}"')
    use(read_certificate(tls))


def use(found: Certificate) -> None:
    datapath = _native.Datapath(fingerprint=False)
    datapath.use_certificate(
        found.chain,
        found.key.get_secret_value(),
        cipher_suites=(),
        groups=(),
        tls12=True,
        client_roots=found.chain,
    )
    datapath.stop()


def test_neither_key_nor_password_shows(reading: Reading, tmp_path: Path) -> None:
    pair = make_pair(tmp_path)
    tls = tls_of(reading, *pair.lines, "pkey-pwd=looking-glass")
    found = read_certificate(tls)
    assert "looking-glass" not in repr(tls)
    assert repr(found.key.get_secret_value()) not in repr(found)


def test_who_signs_clients_certificates_is_read(reading: Reading, pair: Pair) -> None:
    tls = tls_of(reading, *pair.lines, f"CA-file={pair.certificate}")
    assert read_certificate(tls).client_roots == read_certificate(tls).chain


def test_versions_and_curves_can_be_narrowed(reading: Reading, pair: Pair) -> None:
    assert not tls_of(reading, *pair.lines, "no-tlsv1_2").tls12
    for name, number in (("X25519", 29), ("prime256v1", 23), ("P-384", 24), ("secp384r1", 24)):
        assert tls_of(reading, *pair.lines, f"ec-curve-name={name}").groups == (number,)
    configuration = reading.lines(*pair.lines, "ec-curve-name=sect163k1")
    assert configuration.tls is not None
    assert configuration.tls.groups == ()
    assert ("info: turnserver.conf:4: ec-curve-name: not spoken here: keys are exchanged over "
            "X25519, P-256 or P-384") in reading.notices(configuration)  # fmt: skip


def test_tls_alone_is_enough_to_listen_on(reading: Reading, pair: Pair) -> None:
    configuration = reading.lines(*pair.lines, "no-udp", "no-tcp")
    assert configuration.tls is not None
    (line,) = reading.problems(CREDENTIALS + "no-udp\nno-tcp\nno-tls\n")
    assert line.endswith("no-tcp: together with no-udp nothing is left to listen on")


def test_the_servers_own_certificate_is_made_once_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "state" / state_certificate.FILE_NAME
    state_certificate.read_or_make(path.parent)
    first = path.read_bytes()
    state_certificate.read_or_make(path.parent)
    assert path.read_bytes() == first
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    found = read_certificate(tls_of_files(path, path))
    assert "localhost" in found.names
    use(found)


def test_an_own_certificate_that_others_can_read_is_refused(tmp_path: Path) -> None:
    state_certificate.read_or_make(tmp_path)
    (tmp_path / state_certificate.FILE_NAME).chmod(0o640)
    with pytest.raises(StateFileError, match=r"others may read it \(mode 0640\)"):
        state_certificate.read_or_make(tmp_path)


def test_files_that_were_replaced_are_read_anew(tmp_path: Path) -> None:
    pair = make_pair(tmp_path)
    tls = tls_of_files(pair.certificate, pair.key)
    first = read_certificate(tls)
    make_pair(tmp_path)
    assert read_certificate(tls).chain != first.chain
    pair.key.write_bytes(pem(new_key()))
    with pytest.raises(CertificateError, match="is not the key of the certificate"):
        read_certificate(tls)

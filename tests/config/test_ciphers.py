"""cipher-list: OpenSSL's words, and what is left of them here."""

from __future__ import annotations

import pytest

from ferryman.config.certificates import read_certificate
from ferryman.config.ciphers import TLS12, TLS13, Suite, spoken
from ferryman.datapath import _native
from tests.certificates import make_pair
from tests.config.reading import CREDENTIALS, Reading, tls_of_files

ALL13 = {0x1301, 0x1302, 0x1303}
ECDSA = {0xC02B, 0xC02C, 0xCCA9}
RSA = {0xC02F, 0xC030, 0xCCA8}
GCM = {0xC02B, 0xC02C, 0xC02F, 0xC030}
ALL12 = ECDSA | RSA

ROWS: list[tuple[str, set[int], list[str]]] = [
    ("ECDHE-RSA-AES128-GCM-SHA256", ALL13 | {0xC02F}, []),
    ("ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-CHACHA20-POLY1305", ALL13 | {0xC02F, 0xCCA9}, []),
    ("HIGH", ALL13 | ALL12, []),
    ("DEFAULT", ALL13 | ALL12, []),
    ("ALL:!aNULL:!eNULL:!LOW:!EXPORT:!MD5:!RC4:!3DES:@STRENGTH", ALL13 | ALL12, []),
    ("ECDHE+AESGCM:!aNULL", ALL13 | GCM, []),
    ("ECDSA+AESGCM", ALL13 | (ECDSA & GCM), []),
    ("aRSA", ALL13 | RSA, []),
    ("HIGH:!ECDSA", ALL13 | RSA, []),
    ("HIGH:!CHACHA20", ALL13 | GCM, []),
    ("HIGH:-AESGCM", ALL13 | (ALL12 - GCM), []),
    ("HIGH:-AESGCM:AES128", ALL13 | (ALL12 - GCM) | {0xC02B, 0xC02F}, []),
    ("HIGH:!AESGCM:AES128", ALL13 | (ALL12 - GCM), []),
    ("HIGH:+AES256", ALL13 | ALL12, []),
    ("HIGH, !ECDSA !CHACHA20", ALL13 | (RSA & GCM), []),
    ("TLS_AES_256_GCM_SHA384", {0x1302}, []),
    ("TLS_AES_256_GCM_SHA384:ECDHE-RSA-AES256-GCM-SHA384", {0x1302, 0xC030}, []),
    ("TLS_CHACHA20_POLY1305_SHA256:HIGH:!ECDSA", {0x1303} | RSA, []),
    ("HIGH:!TLS_AES_128_GCM_SHA256", (ALL13 - {0x1301}) | ALL12, []),
    ("HIGH:@SECLEVEL=2", ALL13 | ALL12, []),
    ("DHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:AES128-SHA:kDHE", ALL13 | {0xC02F},
     ["DHE-RSA-AES128-GCM-SHA256", "AES128-SHA", "kDHE"]),
    ("HIGH:CAMELLIA:no-such-thing", ALL13 | ALL12, ["CAMELLIA", "no-such-thing"]),
    ("AES256-SHA", ALL13, ["AES256-SHA"]),
    ("TLS_AES_128_CCM_SHA256", set(), ["TLS_AES_128_CCM_SHA256"]),
]  # fmt: skip


@pytest.mark.parametrize(("text", "numbers", "unmet"), ROWS)
def test_a_list_leaves_what_openssl_would_leave_of_these_ciphers(
    text: str, numbers: set[int], unmet: list[str]
) -> None:
    left = spoken(text)
    assert set(left.numbers) == numbers
    assert len(left.numbers) == len(numbers)
    assert list(left.unmet) == unmet


def test_what_is_not_spoken_is_named_in_one_line(
    reading: Reading, tmp_path_factory: pytest.TempPathFactory
) -> None:
    pair = make_pair(tmp_path_factory.mktemp("pair"))
    words = "DHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES128-GCM-SHA256:kDHE"
    configuration = reading.lines(*pair.lines, f"cipher-list={words}")
    assert configuration.tls is not None
    assert set(configuration.tls.cipher_suites) == ALL13 | {0xC02B}
    assert (
        "info: turnserver.conf:4: cipher-list: not spoken here, and left out: "
        "DHE-RSA-AES128-GCM-SHA256, kDHE"
    ) in reading.notices(configuration)
    (line,) = reading.problems(
        CREDENTIALS + "\n".join([*pair.lines, "cipher-list=TLS_AES_128_CCM_SHA256"])
    )
    assert line.startswith("turnserver.conf:4: cipher-list: it leaves none of the ciphers")


@pytest.mark.parametrize("suite", [*TLS12, *TLS13], ids=lambda suite: hex(suite.number))
def test_every_suite_is_one_that_the_datapath_speaks(
    suite: Suite, tmp_path_factory: pytest.TempPathFactory
) -> None:
    pair = make_pair(tmp_path_factory.mktemp("pair"))
    found = read_certificate(tls_of_files(pair.certificate, pair.key))
    datapath = _native.Datapath(fingerprint=False)
    # Alone, it would be refused if it were unknown.
    datapath.use_certificate(
        found.chain,
        found.key.get_secret_value(),
        cipher_suites=(suite.number,),
        groups=(),
        tls12=True,
        client_roots=(),
    )
    datapath.stop()

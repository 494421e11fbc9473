"""DTLS: with TLS unless told otherwise, also without it, and the line where it cannot be."""

from __future__ import annotations

import pytest

from ferryman.config.values import Dtls, Tls
from tests.certificates import Pair, make_pair
from tests.config.reading import CREDENTIALS, Reading


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return make_pair(tmp_path_factory.mktemp("pair"))


def spoken(tls: Tls | None) -> tuple[bool, Dtls]:
    """Whether TLS is spoken over TCP, and whether DTLS is."""
    return (False, Dtls.OFF) if tls is None else (tls.stream, tls.dtls)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([], (True, Dtls.WITH_TLS)),
        (["dtls"], (True, Dtls.ASKED)),
        (["dtls=yes"], (True, Dtls.ASKED)),
        (["dtls=no"], (True, Dtls.OFF)),
        (["no-dtls"], (True, Dtls.OFF)),
        (["no-dtls=no"], (True, Dtls.WITH_TLS)),
        (["dtls", "no-dtls"], (True, Dtls.OFF)),
        (["no-udp"], (True, Dtls.OFF)),
        (["dtls", "no-udp"], (True, Dtls.OFF)),
        (["no-tls"], (False, Dtls.OFF)),
        (["no-tls", "dtls"], (False, Dtls.ASKED)),
        (["no-tls", "dtls", "no-dtls"], (False, Dtls.OFF)),
        (["no-tcp"], (True, Dtls.WITH_TLS)),
    ],
    ids=lambda value: ",".join(value) if isinstance(value, list) else "",
)
def test_dtls_goes_with_tls_unless_told_otherwise(
    reading: Reading, pair: Pair, lines: list[str], expected: tuple[bool, Dtls]
) -> None:
    assert spoken(reading.lines(*pair.lines, *lines).tls) == expected


def test_without_a_certificate_there_is_none(reading: Reading) -> None:
    assert reading.lines("realm=r").tls is None
    assert reading.lines("realm=r", "no-dtls").tls is None


def test_with_embedded_defaults_it_has_the_servers_own_certificate(reading: Reading) -> None:
    assert spoken(reading.flags().tls) == (True, Dtls.WITH_TLS)
    assert spoken(reading.flags(("no-dtls", None)).tls) == (True, Dtls.OFF)
    assert spoken(reading.flags(("no-tls", None)).tls) == (False, Dtls.OFF)


def test_dtls_without_a_certificate_does_not_start(reading: Reading) -> None:
    (line,) = reading.problems(CREDENTIALS + "dtls")
    assert line == "turnserver.conf:2: dtls: no certificate: expected cert beside it, or no-dtls"


@pytest.mark.parametrize(
    ("lines", "text"),
    [
        (["dtls", "no-dtls"], "dtls: together with no-dtls it is not spoken"),
        (["dtls", "no-udp"], "dtls: together with no-udp it is not spoken"),
    ],
    ids=lambda value: ",".join(value) if isinstance(value, list) else "",
)
def test_where_it_is_off_although_it_was_asked_for_a_line_says_why(
    reading: Reading, pair: Pair, lines: list[str], text: str
) -> None:
    configuration = reading.lines(*pair.lines, *lines)
    assert spoken(configuration.tls) == (True, Dtls.OFF)
    (line,) = [line for line in reading.notices(configuration) if "dtls:" in line]
    assert line.startswith("warning: ")
    assert text in line


@pytest.mark.parametrize(
    "line", ["no-tlsv1_2", "cipher-list=TLS_AES_128_GCM_SHA256"], ids=["no-tlsv1_2", "cipher-list"]
)
def test_where_nothing_is_left_of_dtls_12_it_is_13_alone_and_a_line_says_so(
    reading: Reading, pair: Pair, line: str
) -> None:
    configuration = reading.lines(*pair.lines, line)
    assert spoken(configuration.tls) == (True, Dtls.WITH_TLS)
    assert configuration.tls is not None
    assert not configuration.tls.dtls12
    (notice,) = [one for one in reading.notices(configuration) if "dtls:" in one]
    key = line.split("=")[0]
    text = f"dtls: {key} leaves nothing of DTLS 1.2: DTLS 1.3 alone is spoken"
    assert notice.startswith("info: ")
    assert text in notice

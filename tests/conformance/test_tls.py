"""TLS to the client: RFC 8656 §3.1, §12.5, and the ALPN names of RFC 7443."""

from __future__ import annotations

import ssl

import pytest

from ferryman.wire.registry import Attribute
from tests.conformance.clause import STREAM, clause
from tests.conformance.crafting import plain
from tests.conformance.subject import Subject
from tests.turn_client import Peer, TurnClient

CERTIFICATE = "native/udp/src/certificate.rs"
VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


def context(
    version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3, *, alpn: tuple[str, ...] = ()
) -> ssl.SSLContext:
    """The certificate is not what is asked about here."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    tls.minimum_version = tls.maximum_version = version
    if alpn:
        tls.set_alpn_protocols(list(alpn))
    return tls


def connect(subject: Subject, tls: ssl.SSLContext) -> TurnClient:
    if subject.tls_port is None:
        pytest.skip("this test needs --tls-port")
    username, password = subject.account()
    return TurnClient(subject.tls_port, username, password, host=subject.host, tls=tls)


def agreed(client: TurnClient) -> str | None:
    assert isinstance(client.socket, ssl.SSLSocket)
    return client.socket.selected_alpn_protocol()


@clause(
    "RFC 8656 §21.1.6",
    "what passes between client and server can be hidden",
    "native/udp/src/tls.rs",
)
@clause("RFC 8656 §3.1", "TLS carries STUN and ChannelData as TCP does", STREAM)
@pytest.mark.parametrize("version", VERSIONS, ids=["1.2", "1.3"])
def test_a_call_goes_over_tls(subject: Subject, peer: Peer, version: ssl.TLSVersion) -> None:
    with connect(subject, context(version)) as client:
        mapped = client.ask(plain(0x0001)).address(Attribute.XOR_MAPPED_ADDRESS)
        assert mapped == client.local
        relayed = client.relayed()
        client.bind(0x4000, peer.address)
        client.send_on(0x4000, b"sealed")
        assert peer.receive() == (b"sealed", relayed)
        peer.send(relayed, b"x" * 1001)
        assert client.receive_channel() == (0x4000, b"x" * 1001)


@clause("RFC 8489 §6.2.3", "versions below TLS 1.2 are not spoken", CERTIFICATE)
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
def test_old_versions_are_refused(subject: Subject) -> None:
    tls = context(ssl.TLSVersion.TLSv1_1)
    tls.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises((ssl.SSLError, ConnectionError)):
        connect(subject, tls)


@clause("RFC 7443 §2", "`stun.turn` and `stun.nat-discovery` are agreed to", CERTIFICATE)
@pytest.mark.parametrize("name", ["stun.turn", "stun.nat-discovery"])
def test_the_protocol_can_be_named(subject: Subject, name: str) -> None:
    with connect(subject, context(alpn=(name,))) as client:
        assert agreed(client) == name
        assert client.allocate().code == 0


@clause("RFC 7301 §3.2", "a client that offers other protocols only is refused", CERTIFICATE)
def test_another_protocol_is_refused(subject: Subject) -> None:
    with pytest.raises((ssl.SSLError, ConnectionError)):
        connect(subject, context(alpn=("h2",)))


@clause("RFC 7443 §2", "a client need not name a protocol", CERTIFICATE)
def test_no_protocol_need_be_named(subject: Subject) -> None:
    with connect(subject, context()) as client:
        assert agreed(client) is None
        assert client.allocate().code == 0

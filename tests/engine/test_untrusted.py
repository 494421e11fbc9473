"""No bytes make the engine raise; that no order of requests breaks its tables is for
`test_engine_machine.py` to show."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ferryman.engine.state import Outcome
from ferryman.wire.registry import Attribute, Method
from tests.engine.desk import Desk

METHODS = [Method.ALLOCATE, Method.REFRESH, Method.CREATE_PERMISSION, Method.CHANNEL_BIND]
ATTRIBUTES = st.lists(
    st.tuples(
        st.one_of(st.sampled_from([int(number) for number in Attribute]), st.integers(0, 0xFFFF)),
        st.binary(max_size=24),
    ).filter(lambda pair: pair[0] not in (Attribute.MESSAGE_INTEGRITY, Attribute.FINGERPRINT)),
    max_size=8,
)


@given(st.binary(max_size=600))
def test_no_bytes_make_admission_raise(packet: bytes) -> None:
    desk = Desk()
    assert isinstance(desk.receive(desk.client().five_tuple, packet), Outcome)


@given(st.sampled_from(METHODS), ATTRIBUTES, st.booleans())
def test_no_attributes_make_a_decision_raise(
    method: Method, attributes: list[tuple[int, bytes]], allocated: bool
) -> None:
    client = Desk().client()
    if allocated:
        client.allocate()
    answer = client.request(method, attributes)
    assert answer.code in (0, 400, 401, 403, 405, 420, 437, 438, 440, 441, 442, 443, 486, 508)


@given(st.data(), st.sampled_from(METHODS))
def test_no_damaged_request_makes_the_engine_raise(data: st.DataObject, method: Method) -> None:
    client = Desk().client()
    client.allocate()
    packet = bytearray(client.signed(method, ((Attribute.XOR_PEER_ADDRESS, bytes(8)),)))
    for _ in range(data.draw(st.integers(1, 6))):
        packet[data.draw(st.integers(0, len(packet) - 1))] = data.draw(st.integers(0, 255))
    assert isinstance(client.desk.receive(client.five_tuple, bytes(packet)), Outcome)

"""A retransmitted request gets the same answer (RFC 8489 §6.3.1, RFC 8656 §5)."""

from __future__ import annotations

import pytest

from ferryman.engine.answered import Answered
from ferryman.engine.changes import Reply
from ferryman.engine.ending import expire
from ferryman.engine.five_tuple import FiveTuple, Transport
from ferryman.engine.refusals import Refusal
from ferryman.engine.settings import SECOND
from ferryman.wire.registry import Attribute, Method
from ferryman.wire.values import encode_uint32
from tests.engine.desk import UDP_TRANSPORT, Desk


def test_a_retransmitted_allocate_gets_the_same_bytes_and_no_second_allocation() -> None:
    desk = Desk()
    client = desk.client()
    packet = client.signed(Method.ALLOCATE, (UDP_TRANSPORT,))
    first = client.send(packet)
    desk.pass_seconds(39)
    again = client.send(packet)
    assert again.packet == first.packet
    assert not again.changes
    assert not again.journal
    assert len(desk.state.allocations) == 1


def test_a_retransmitted_refresh_to_zero_is_still_a_success() -> None:
    desk = Desk()
    client = desk.client()
    client.allocate()
    packet = client.signed(Method.REFRESH, ((Attribute.LIFETIME, encode_uint32(0)),))
    first = client.send(packet)
    assert first.code == 0
    assert client.send(packet).packet == first.packet


def test_a_retransmitted_failure_stays_a_failure() -> None:
    desk = Desk(lease_refusal=Refusal.NO_PORT)
    client = desk.client()
    packet = client.signed(Method.ALLOCATE, (UDP_TRANSPORT,))
    assert client.send(packet).code == 508
    desk.lease_refusal = None
    assert client.send(packet).code == 508


def test_the_same_transaction_id_with_other_content_is_another_request() -> None:
    desk = Desk()
    client = desk.client()
    client.allocate()
    same = bytes(12)
    zero = ((Attribute.LIFETIME, encode_uint32(0)),)
    longer = ((Attribute.LIFETIME, encode_uint32(900)),)
    assert client.send(client.signed(Method.REFRESH, longer, transaction_id=same)).lifetime == 900
    assert client.send(client.signed(Method.REFRESH, zero, transaction_id=same)).lifetime == 0


def test_another_client_cannot_fetch_the_answer() -> None:
    desk = Desk()
    client, stranger = desk.client(1), desk.client(2)
    packet = client.signed(Method.ALLOCATE, (UDP_TRANSPORT,))
    client.send(packet)
    assert stranger.send(packet).code == 438


def test_answers_are_forgotten_after_the_window() -> None:
    desk = Desk()
    client = desk.client()
    packet = client.signed(Method.ALLOCATE, (UDP_TRANSPORT,))
    client.send(packet)
    desk.pass_seconds(40)
    assert client.send(packet).code == 437


def test_forgotten_answers_take_no_memory() -> None:
    desk = Desk()
    client = desk.client()
    client.allocate()
    assert len(desk.state.answered) == 1
    desk.pass_seconds(39.9)
    expire(desk.state, now=desk.now)
    assert len(desk.state.answered) == 1
    desk.pass_seconds(0.1)
    expire(desk.state, now=desk.now)
    assert len(desk.state.answered) == 0


@pytest.mark.parametrize("transport", Transport)
def test_in_a_stream_nothing_is_remembered(transport: Transport) -> None:
    desk = Desk()
    client = desk.client()
    client.five_tuple = FiveTuple(transport, *client.five_tuple[1:])
    client.allocate()
    in_stream = transport in (Transport.TCP, Transport.TLS)
    assert len(desk.state.answered) == (0 if in_stream else 1)


def test_the_memory_of_answers_is_bounded_and_the_oldest_go_first() -> None:
    answered = Answered(capacity=3)
    client = Desk().client().five_tuple
    for number in range(5):
        answered.remember(client, bytes([number]), b"answer", now=number)
    assert len(answered) == 3
    assert answered.answer_to(client, b"\x01", now=5) is None
    assert answered.answer_to(client, b"\x04", now=5) == b"answer"
    answered.expire(now=100 * SECOND)
    assert len(answered) == 0


def test_a_repeated_answer_is_one_reply_to_its_client() -> None:
    desk = Desk()
    client = desk.client()
    packet = client.signed(Method.ALLOCATE, (UDP_TRANSPORT,))
    first = client.send(packet)
    outcome = desk.receive(client.five_tuple, packet)
    assert outcome.changes == [Reply(client.five_tuple, first.packet)]

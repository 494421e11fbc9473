"""Mobility tickets: RFC 8016 §3.3, §5 and appendix A."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferryman.engine.ticket import KEY_LENGTH, TICKET_LENGTH, Tickets
from ferryman.wire.errors import Malformed

TICKETS = Tickets(bytes(KEY_LENGTH))


@given(st.integers(0, 2**48 - 1), st.integers(0, 2**40 - 1), st.text(max_size=30))
def test_what_was_sealed_is_opened(number: int, serial: int, username: str) -> None:
    sealed = TICKETS.seal(number, serial, username)
    ticket = TICKETS.open_untrusted(sealed)
    assert (ticket.allocation, ticket.serial) == (number, serial)
    assert ticket.belongs_to(username)
    assert not ticket.belongs_to(username + "x")
    assert TICKETS.seal(number, serial, username) == sealed


@given(st.integers(0, 2**48 - 1), st.integers(0, 2**40 - 1))
def test_every_client_can_keep_a_ticket(number: int, serial: int) -> None:
    """Also one that keeps it as a string of C's."""
    sealed = TICKETS.seal(number, serial, "alice")
    assert len(sealed) == TICKET_LENGTH
    assert 0 not in sealed


@given(st.binary(max_size=80) | st.binary(min_size=TICKET_LENGTH, max_size=TICKET_LENGTH))
def test_whatever_else_comes_is_malformed(sealed: bytes) -> None:
    with pytest.raises(Malformed):
        TICKETS.open_untrusted(sealed)


def test_a_ticket_sealed_under_another_key_is_malformed() -> None:
    with pytest.raises(Malformed):
        TICKETS.open_untrusted(Tickets(b"x" * KEY_LENGTH).seal(1, 1, "alice"))


def test_nothing_can_be_gleaned_by_looking_at_tickets() -> None:
    """§5. Neighbours share no more octets than chance has it, and no name stands in them."""
    sealed = [TICKETS.seal(1, serial, "alice") for serial in range(200)]
    assert len(set(sealed)) == 200
    shared = sum(
        one == other
        for first, second in pairwise(sealed)
        for one, other in zip(first, second, strict=True)
    )
    assert shared < 100, "of 6,368 pairs of octets; chance makes it 25"

"""The wire vectors, through both tables."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ferryman.wire.address import Address
from ferryman.wire.message import decode_untrusted
from ferryman.wire.registry import Attribute, MessageClass
from ferryman.wire.values import (
    decode_error_untrusted,
    decode_types_untrusted,
    decode_xor_address_untrusted,
)
from tests.datapath.arena import CLIENTS, NOW, OUTSIDE, OUTSIDE_V6
from tests.datapath.twins import Twins, Verdict

VECTORS = Path(__file__).parents[2] / "vectors" / "messages.json"
ROWS: list[dict[str, Any]] = json.loads(VECTORS.read_text())
CLIENT = CLIENTS[0]
PEER = Address.of("192.0.2.1", 5000)

_REASONS = {
    "class": {"unexpected"},
    "size": {"too_long"},
    "attribute": {"missing_attribute", "unknown_attribute"},
    "peer": {"malformed", "port_zero"},
}


def twins_for(row: dict[str, Any]) -> Twins:
    """Tables in which the vector's peer is permitted and its channel bound."""
    peer = _peer(row)
    relayed = Address(OUTSIDE if len(peer.ip) == 4 else OUTSIDE_V6, 50001)
    twins = Twins()
    twins.apply(1, 1, CLIENT, *relayed, *relayed, NOW + 1, 0)
    twins.apply(4, 1, peer.ip, False, NOW + 1)
    if row["verdict"] == "channel_data":
        twins.apply(5, 1, row["number"], *PEER, False, NOW + 1)
    return twins


def _peer(row: dict[str, Any]) -> Address:
    peer = row.get("peer")
    return Address.of(peer["ip"], peer["port"]) if peer else PEER


def _check_answer(row: dict[str, Any], answer: bytes) -> None:
    message = decode_untrusted(answer)
    assert message.has_fingerprint == row["fingerprint"]
    if row["answer"] == "success":
        assert message.message_class is MessageClass.SUCCESS
        mapped = message.first(Attribute.XOR_MAPPED_ADDRESS)
        assert mapped is not None
        address = decode_xor_address_untrusted(mapped, message.transaction_id)
        assert address == Address(*CLIENT[1:3])
        return
    error, unknown = (
        message.first(Attribute.ERROR_CODE),
        message.first(Attribute.UNKNOWN_ATTRIBUTES),
    )
    assert error is not None
    assert unknown is not None
    assert decode_error_untrusted(error)[0] == 420
    assert decode_types_untrusted(unknown) == row["unknown"]


def _check(row: dict[str, Any], verdict: Verdict) -> None:
    match row["verdict"]:
        case "binding":
            assert verdict[0] == "answer"
            _check_answer(row, verdict[1])
        case "request":
            assert verdict == ("ask",)
        case "send" | "channel_data":
            whole = row.get("dont_fragment", False)
            assert verdict == ("peer", 1, *_peer(row), bytes.fromhex(row["payload"]), whole)
        case "malformed" if row["native"] == "ask":
            assert verdict == ("ask",)
        case "malformed":
            assert verdict in [("drop", "malformed"), ("drop", "not_turn")]
        case "ignored":
            assert verdict[0] == "drop"
            assert verdict[1] in _REASONS[row["reason"]]
        case other:
            pytest.fail(f"a verdict that nobody described: {other}")


@pytest.mark.parametrize("row", ROWS, ids=[row["name"] for row in ROWS])
def test_a_datagram_gets_the_verdict_of_its_vector(row: dict[str, Any]) -> None:
    verdict = twins_for(row).from_client(CLIENT, bytes.fromhex(row["hex"]), NOW)
    _check(row, verdict)

"""Binding for those who prove themselves (RFC 8489 §12, `secure-stun`).

Where Binding is for everybody, the datapath answers it and no request comes here.
"""

from __future__ import annotations

from ferryman.engine.state import Exchange, State
from ferryman.wire.registry import Attribute
from ferryman.wire.values import encode_xor_address


def binding(state: State, exchange: Exchange) -> tuple[tuple[int, bytes], ...]:
    """Where the request came from."""
    client = exchange.five_tuple.client
    mapped = encode_xor_address(client, exchange.message.transaction_id)
    return ((Attribute.XOR_MAPPED_ADDRESS, mapped),)

"""The one way in which a decision becomes a message to a client."""

from __future__ import annotations

from ferryman.engine.changes import Reply
from ferryman.engine.five_tuple import FiveTuple
from ferryman.wire.message import encode
from ferryman.wire.registry import Attribute, MessageClass

SOFTWARE = b"Ferryman"
"""What SOFTWARE holds (RFC 8489 §14.14), here and in the datapath: without a version, which helps
nobody but who looks for old ones."""


def reply(
    five_tuple: FiveTuple,
    message_class: MessageClass,
    method: int,
    transaction_id: bytes,
    attributes: tuple[tuple[int, bytes], ...],
    *,
    key: bytes | None = None,
    sha256: bool = False,
    software: bool = False,
    fingerprint: bool,
) -> Reply:
    """A message of these attributes, with MESSAGE-INTEGRITY where there is a key, or
    MESSAGE-INTEGRITY-SHA256 where `sha256` says so. `software`: with SOFTWARE."""
    if software:
        attributes = (*attributes, (Attribute.SOFTWARE, SOFTWARE))
    message = encode(
        message_class,
        method,
        transaction_id,
        attributes,
        key=None if sha256 else key,
        sha256_key=key if sha256 else None,
        fingerprint=fingerprint,
    )
    return Reply(five_tuple, message)

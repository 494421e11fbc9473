"""Whether an address is one of an automatic tunnel (RFC 8656 §21.4). As a client such an address is
refused here; as a peer it is one that `peer_rules` never takes."""

from __future__ import annotations

from ferryman.engine.five_tuple import FiveTuple
from ferryman.engine.refusals import Refusal, Refused
from ferryman.engine.special_ranges import TUNNELLED


def check_client(five_tuple: FiveTuple) -> None:
    """Raises Refused for a client that speaks from 6to4 or Teredo."""
    ip = five_tuple.client.ip
    for row in TUNNELLED:
        if len(ip) == len(row.first) and row.first <= ip <= row.last:
            raise Refused(Refusal.TUNNELLED_CLIENT, row.name)

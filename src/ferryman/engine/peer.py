"""Whether an allocation may reach a peer: family, peer rules, and the one exception to them.

Another live allocation's relayed address on this server, of the same transport, is always a good
peer (that exact port), so that calls in which both sides relay work everywhere; such traffic never
leaves the machine.
"""

from __future__ import annotations

from ferryman.engine.allocation import Allocation
from ferryman.engine.refusals import Refusal, Refused
from ferryman.engine.state import State
from ferryman.wire.address import Address


def relayed_only(state: State, allocation: Allocation, peer: Address, *, now: int) -> bool:
    """Whether the peer may be reached only as a relayed address; raises Refused when not at all."""
    if not allocation.relays(peer.family, now=now):
        raise Refused(Refusal.PEER_FAMILY, str(peer))
    rule = state.peer_rules.refusal(peer.ip)
    if rule is None:
        return False
    other = state.allocations.relaying(allocation.transport, peer, now=now)
    if other is None or other is allocation:
        raise Refused(Refusal.FORBIDDEN_PEER, f"{peer} refused by {rule}")
    return True

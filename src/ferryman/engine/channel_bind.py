"""ChannelBind (RFC 8656 §12.2): a channel for a peer, and the permission that goes with it."""

from __future__ import annotations

from ferryman.engine.allocation import Allocation
from ferryman.engine.changes import BindChannel, Permit
from ferryman.engine.channel import ChannelBinding
from ferryman.engine.five_tuple import Transport
from ferryman.engine.journal import ChannelBound
from ferryman.engine.peer import relayed_only
from ferryman.engine.refusals import Refusal, Refused
from ferryman.engine.settings import SECOND, Settings
from ferryman.engine.state import Exchange, State
from ferryman.wire.address import Address
from ferryman.wire.message import Message
from ferryman.wire.registry import CHANNEL_NUMBERS_RFC5766, Attribute
from ferryman.wire.values import decode_channel_number_untrusted, decode_xor_address_untrusted


def channel_bind(state: State, exchange: Exchange) -> tuple[tuple[int, bytes], ...]:
    """Attributes of the success response (none); raises Refused or Malformed."""
    allocation = exchange.allocation_in(state)
    if allocation.transport is Transport.TCP:
        raise Refused(Refusal.CHANNEL_OVER_TCP)
    number = _number(exchange.message, state.settings)
    peer = _peer(exchange.message)
    inside = relayed_only(state, allocation, peer, now=exchange.now)
    allocation.channels.check(number, peer, now=exchange.now)
    allocation.permissions.check({peer.ip}, now=exchange.now)
    _bind(state.settings, exchange, allocation, number, peer, inside)
    return ()


def _number(message: Message, settings: Settings) -> int:
    value = message.first(Attribute.CHANNEL_NUMBER)
    if value is None:
        raise Refused(Refusal.NO_CHANNEL_NUMBER)
    number = decode_channel_number_untrusted(value)
    if number not in settings.channel_numbers:
        older = ", good with rfc5766-channel-numbers" if number in CHANNEL_NUMBERS_RFC5766 else ""
        raise Refused(Refusal.CHANNEL_RANGE, f"0x{number:04X}{older}")
    return number


def _peer(message: Message) -> Address:
    value = message.first(Attribute.XOR_PEER_ADDRESS)
    if value is None:
        raise Refused(Refusal.NO_PEER)
    peer = decode_xor_address_untrusted(value, message.transaction_id)
    if peer.port == 0:
        raise Refused(Refusal.CHANNEL_PORT, str(peer))
    return peer


def _bind(
    settings: Settings,
    exchange: Exchange,
    allocation: Allocation,
    number: int,
    peer: Address,
    inside: bool,
) -> None:
    permitted_until = exchange.now + settings.permission_lifetime * SECOND
    bound_until = exchange.now + settings.channel_lifetime * SECOND
    free_at = bound_until + settings.channel_quarantine * SECOND
    allocation.permissions.install(peer.ip, expires_at=permitted_until)
    allocation.channels.bind(ChannelBinding(number, peer, bound_until, free_at))
    exchange.outcome.changes.append(Permit(allocation.number, peer.ip, inside, permitted_until))
    exchange.outcome.changes.append(
        BindChannel(allocation.number, number, peer, inside, bound_until)
    )
    exchange.outcome.journal.append(
        ChannelBound(allocation.five_tuple, allocation.number, allocation.username, number, peer)
    )

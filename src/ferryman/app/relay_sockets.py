"""Relay sockets of both kinds, bound and let go through the datapath."""

from __future__ import annotations

from ferryman.datapath import _native
from ferryman.engine.five_tuple import Transport
from ferryman.wire.address import Address


def bind_relay(datapath: _native.Datapath, transport: Transport, bound: Address) -> None:
    bind = datapath.bind_tcp_relay if transport is Transport.TCP else datapath.bind_relay
    bind(bound.ip, bound.port)


def release_relay(datapath: _native.Datapath, transport: Transport, bound: Address) -> None:
    tcp = transport is Transport.TCP
    release = datapath.release_tcp_relay if tcp else datapath.release_relay
    release(bound.ip, bound.port)

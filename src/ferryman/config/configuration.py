"""The whole of what an operator asked for, as one frozen value.

Natural units: seconds, whole numbers, raw IP bytes (4 or 16). Knows nothing of how it was written
down, nor of the rooms that it is for.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, InstanceOf, SecretStr

from ferryman.config.notices import Notice
from ferryman.config.values import (
    Binding,
    ExternalAddress,
    LogFormat,
    LogLevel,
    LogOutput,
    RunAs,
    StaticUser,
    ThirdPartyKeys,
    Tls,
)
from ferryman.engine.alternate import Alternate
from ferryman.engine.five_tuple import Transport
from ferryman.engine.peer_rules import PeerPolicy, PeerRule, PeerRules
from ferryman.engine.settings import DefaultFamily
from ferryman.wire.address import Address


class Configuration(BaseModel):
    """Every key that is honoured; see docs/configuration.md for the keys themselves.

    `listening_ips`: () means all addresses; `more_listeners` come besides. `alternate_port`: the
    second port while `discovery` (RFC 5780) is on. `relay_ips`: () means the local address that
    the client's packet was sent to. `secret_in_state_folder`: no file and no credentials were
    given, so the one secret is that of `state_secret.read_or_make(state_dir)`. `nonce_lifetime` 0:
    for ever; a quota, `bytes_per_second` (of one allocation, each way) or `capacity` (of all, in
    bytes per second) of 0: no limit. A device "": any; `socket_buffer` 0: the datapath's own;
    `workers` 0: one for each processor. `offload`: interfaces that have the kernel forward
    channels, or `auto` alone; `offload_mode`: how, or `auto`. `proxy_port` 0: none;
    `proxy_fronts`: who may connect to it. Values of the engine's are `InstanceOf` their classes:
    where those are compiled, pydantic does not find the types of their fields.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    file: Path | None
    state_dir: Path

    listening_port: int
    listening_ips: tuple[bytes, ...]
    more_listeners: tuple[InstanceOf[Address], ...]
    listening_device: str
    socket_buffer: int
    alternate_port: int
    discovery: bool
    udp: bool
    tcp: bool
    proxy_port: int
    proxy_fronts: tuple[InstanceOf[PeerRule], ...]
    tls: Tls | None

    relay_ips: tuple[bytes, ...]
    relay_device: str
    external_ips: tuple[ExternalAddress, ...]
    external_auto: bool
    external_stun: tuple[str, int] | None
    min_port: int
    max_port: int
    default_family: DefaultFamily
    workers: int
    offload: tuple[str, ...]
    offload_mode: str
    udp_relay: bool
    tcp_relay: bool

    realm: str
    no_auth: bool
    users: tuple[StaticUser, ...]
    auth_secrets: tuple[SecretStr, ...]
    rest_separator: str
    third_party: ThirdPartyKeys | None
    secret_in_state_folder: bool
    nonce_lifetime: int
    nonce_secret: SecretStr | None

    peer_policy: PeerPolicy
    allowed_peers: tuple[InstanceOf[PeerRule], ...]
    denied_peers: tuple[InstanceOf[PeerRule], ...]
    allow_loopback_peers: bool
    no_multicast_peers: bool

    user_quota: int
    total_quota: int
    source_quota: int
    unauthorized_per_second: int
    source_connections: int
    total_connections: int
    maximum_permissions: int
    maximum_channels: int
    bytes_per_second: int
    capacity: int
    maximum_lifetime: int
    permission_lifetime: int
    channel_lifetime: int
    drain_seconds: int
    drain_allocations: int

    alternates: Mapping[Transport, tuple[InstanceOf[Alternate], ...]]
    fingerprint: bool
    mapped_address: bool
    rfc5766_channel_numbers: bool
    mobility: bool
    stun_only: bool
    binding: Binding
    software: bool
    origin_consistency: bool
    respond_http_unsupported: bool
    acme_redirect: str
    rfc3489: bool
    log_binding: bool
    log_invalid: bool

    log_level: LogLevel
    log_format: LogFormat
    log_output: LogOutput

    daemon: bool
    pid_file: Path | None
    run_as: RunAs

    notices: tuple[Notice, ...]

    def discovery_pairs(self) -> tuple[tuple[bytes, bytes], ...]:
        """The first two listening addresses of each family that has two."""
        families = (
            [ip for ip in self.listening_ips if len(ip) == length and any(ip)] for length in (4, 16)
        )
        return tuple((ips[0], ips[1]) for ips in families if len(ips) > 1)

    def peer_rules(self, own: frozenset[bytes]) -> PeerRules:
        """The peer rules of a server whose own addresses (4 or 16 bytes) are these."""
        return PeerRules(
            policy=self.peer_policy,
            allowed=self.allowed_peers,
            denied=self.denied_peers,
            allow_loopback=self.allow_loopback_peers,
            no_multicast=self.no_multicast_peers,
            own=own,
        )

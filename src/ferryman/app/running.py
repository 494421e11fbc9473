"""The parts of a running server that a reload reaches, and how each takes to new settings.

Nothing here waits or fails: what may do so has been done before (`reload`).
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

from structlog.typing import FilteringBoundLogger

from ferryman.app.certificate import Secured
from ferryman.app.nonces import renewed_nonces
from ferryman.app.own_addresses import own_address_watch
from ferryman.app.translation import to_alternates, to_engine_settings
from ferryman.auth.sources import Keys
from ferryman.config import Configuration
from ferryman.datapath import _native, door
from ferryman.engine.gate import gate_of
from ferryman.engine.state import State
from ferryman.server import settings as server_settings
from ferryman.server.discovery import offer_discovery
from ferryman.server.external_address import ExternalAddresses
from ferryman.server.journal_log import JournalLog
from ferryman.server.leaving import Patience
from ferryman.server.listening import Listeners
from ferryman.server.log_line import Threshold
from ferryman.server.pump import Pump
from ferryman.server.relay_addresses import RelayAddresses
from ferryman.server.relay_ports import RelayPorts
from ferryman.store.oauth_keys import OauthKeys


@dataclass(slots=True)
class Running:
    """`configuration` is the one in force; `database`: the keys of access tokens, if any."""

    configuration: Configuration
    datapath: _native.Datapath
    state: State
    pump: Pump
    listeners: Listeners
    addresses: RelayAddresses
    ports: RelayPorts
    externals: ExternalAddresses
    secured: Secured | None
    database: OauthKeys | None
    log: FilteringBoundLogger
    threshold: Threshold
    journal: JournalLog
    besieged: bool = False

    def patience(self) -> Patience:
        """How long this server drains."""
        return Patience(self.configuration.drain_seconds, self.configuration.drain_allocations)

    def guard(self) -> None:
        """Has the datapath answer strangers, unless the log is to tell of every challenge."""
        tells = self.log.is_enabled_for(logging.DEBUG) and not self.besieged
        door.guard(self.datapath, None if tells else gate_of(self.state))

    def besiege(self, besieged: bool) -> None:
        """Whether there are too many strangers to tell of each."""
        self.besieged = besieged
        self.guard()

    def say(self, level: int) -> None:
        """Log what has this level at least, as `logging` numbers it."""
        self.threshold.level = level
        self.guard()

    def refresh_own_addresses(self) -> None:
        """Keeps the peer rules true while the machine's addresses come and go."""
        own_address_watch(self.state, lambda: self.externals.settings, self.log)()

    def use(self, settings: server_settings.Settings) -> None:
        """What relayed addresses are known by has changed; open allocations keep theirs."""
        self.addresses.use(settings)
        self.ports.readvertise()
        offer_discovery(self.datapath, settings, self.addresses, self.log)
        self.refresh_own_addresses()

    def adopt(
        self, configuration: Configuration, settings: server_settings.Settings, keys: Keys
    ) -> None:
        """From the next request on this configuration is in force. Allocations keep what they
        were granted; their refreshes are decided under the new rules."""
        state = self.state
        state.settings = to_engine_settings(configuration)
        state.nonces = renewed_nonces(state.nonces, self.configuration, configuration)
        state.alternates = to_alternates(configuration, settings)
        state.peer_rules = configuration.peer_rules(state.peer_rules.own)
        self.guard()
        self.pump.use_keys(keys)
        self.ports.use_range(settings.minimum_port, settings.maximum_port)
        self.datapath.choose(
            fingerprint=configuration.fingerprint,
            mapped_address=configuration.mapped_address,
            source_connections=configuration.source_connections,
            total_connections=configuration.total_connections,
            software=configuration.software,
            binding=configuration.binding.value,
            respond_http_unsupported=configuration.respond_http_unsupported,
            acme_redirect=configuration.acme_redirect,
            log_binding=configuration.log_binding,
            log_invalid=configuration.log_invalid,
            rfc3489=configuration.rfc3489,
        )
        relays_as_before = _relaying(settings) == _relaying(self.externals.settings)
        self.configuration, self.externals.settings = configuration, settings
        if relays_as_before:
            offer_discovery(self.datapath, settings, self.addresses, self.log)
            self.refresh_own_addresses()
        else:
            self.use(settings)


def _relaying(settings: server_settings.Settings) -> server_settings.Settings:
    """What relayed addresses hang on."""
    return replace(settings, listeners=(), discovery_pairs=(), discovery_ports=(0, 0))

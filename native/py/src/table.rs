//! The flow table alone, for tests that hold it against its readable twin: the same commands, no
//! sockets. With several workers, each has its own, and what crosses arrives at once.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use ferryman_flow::binding::Served;
use ferryman_flow::{
    binding, write_header, write_icmp, Applied, Change, Family, FiveTuple, Framing, FromClient,
    FromPeer, Icmp, Reason, RelayOwners, Slot, TransactionIds, HEADROOM, ICMP_LENGTH, TAILROOM,
};
use ferryman_udp::Command;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};

use crate::address::{
    address_of, discovery_of, family_of, five_tuple_of, ip_bytes, RawDiscovery, RawFiveTuple,
};
use crate::command::command_of;
use crate::served::served_of;

type Closed = (u64, u64, u64, u64, u64);
/// A worker and a slot of its table.
type Place = (usize, Slot);

/// The flow table with its verdicts as tuples: ("answer", bytes, from ip, from port, to ip, to port), ("ask",),
/// ("peer", allocation, ip, port, payload), ("client", allocation, bytes as they would leave),
/// ("drop", reason).
#[pyclass(module = "ferryman.datapath._native")]
pub(crate) struct Table {
    /// One of each worker; a 5-tuple's socket number modulo their number tells whose it is.
    tables: Vec<ferryman_flow::Table>,
    homes: HashMap<u64, usize>,
    by_bound: HashMap<SocketAddr, Place>,
    bound: HashMap<Place, Vec<SocketAddr>>,
    transaction_ids: TransactionIds,
    binding: binding::Settings,
}

#[pymethods]
#[allow(clippy::wrong_self_convention)] // the verdict is on a packet from somewhere
impl Table {
    #[new]
    #[pyo3(signature = (*, fingerprint = false, mapped_address = false, software = false, binding = "everyone", workers = 1))]
    fn new(
        fingerprint: bool,
        mapped_address: bool,
        software: bool,
        binding: &str,
        workers: u16,
    ) -> PyResult<Self> {
        let owners = Arc::new(RelayOwners::default());
        let among = |worker| ferryman_flow::Table::among(Arc::clone(&owners), worker);
        let tables = match workers {
            0 | 1 => vec![ferryman_flow::Table::new()],
            several => (0..several).map(among).collect(),
        };
        Ok(Self {
            tables,
            homes: HashMap::new(),
            by_bound: HashMap::new(),
            bound: HashMap::new(),
            transaction_ids: TransactionIds::new(),
            binding: binding::Settings {
                fingerprint,
                mapped_address,
                software,
                served: served_of(binding)?,
                rfc3489: false,
                discovery: Vec::new(),
            },
        })
    }

    fn offer_discovery(&mut self, addresses: RawDiscovery<'_>) -> PyResult<()> {
        self.binding.offer(discovery_of(&addresses)?);
        Ok(())
    }

    fn withdraw_discovery(&mut self, family: u8) -> PyResult<()> {
        self.binding.withdraw(family_of(family)?);
        Ok(())
    }

    /// Obeys a command; Close returns the usage: packets and bytes sent, packets and bytes
    /// received, packets dropped.
    fn apply(&mut self, command: &Bound<'_, PyTuple>) -> PyResult<Option<Closed>> {
        let Command::Change(change) = command_of(command)? else {
            return Ok(None);
        };
        Ok(self.change(change))
    }

    /// The allocation whose client the last packet from a client has moved to another path.
    fn take_moved(&mut self) -> Option<u64> {
        let mut tables = self.tables.iter_mut().enumerate();
        let (home, rerouted) =
            tables.find_map(|(home, table)| Some((home, table.take_moved()?)))?;
        self.unhost(rerouted.left, home);
        Some(rerouted.allocation)
    }

    fn from_client<'py>(
        &mut self,
        py: Python<'py>,
        five_tuple: RawFiveTuple<'py>,
        packet: &[u8],
        now: u64,
    ) -> PyResult<Bound<'py, PyTuple>> {
        let five_tuple = five_tuple_of(&five_tuple)?;
        let asked = self.worker_of(&five_tuple);
        let verdict = self.tables[asked].from_client(&five_tuple, packet, now);
        let (worker, verdict) = match verdict {
            FromClient::Stray { home } => {
                let home = usize::from(home);
                (
                    home,
                    self.tables[home].from_client(&five_tuple, packet, now),
                )
            }
            verdict => (asked, verdict),
        };
        match verdict {
            FromClient::Answer => match self.binding.served {
                Served::Everyone => self.answer(py, &five_tuple, packet),
                Served::Proved => ("ask",).into_pyobject(py),
                Served::Nobody => dropped(py, Reason::NotServed),
            },
            FromClient::Ask => ("ask",).into_pyobject(py),
            FromClient::ToPeer {
                slot,
                peer,
                payload,
                dont_fragment,
            } => {
                let payload = PyBytes::new(py, &packet[payload]);
                let ip = ip_bytes(py, peer.ip());
                (
                    "peer",
                    self.tables[worker].allocation(slot),
                    ip,
                    peer.port(),
                    payload,
                    dont_fragment,
                )
                    .into_pyobject(py)
            }
            FromClient::HandOver {
                to,
                source,
                framing,
                payload,
            } => self.client_verdict(py, (worker, to), framing, source, &packet[payload]),
            FromClient::PassOn {
                worker,
                to,
                source,
                payload,
            } => {
                let worker = usize::from(worker);
                match self.tables[worker].from_relay(to, source, payload.len(), now) {
                    (Some(slot), FromPeer::ToClient { framing }) => {
                        self.client_verdict(py, (worker, slot), framing, source, &packet[payload])
                    }
                    (_, FromPeer::Drop(reason)) => dropped(py, reason),
                    (None, FromPeer::ToClient { .. }) => dropped(py, Reason::NoAllocation),
                }
            }
            FromClient::Stray { .. } => dropped(py, Reason::NoAllocation),
            FromClient::Drop(reason) => dropped(py, reason),
        }
    }

    #[pyo3(signature = (bound_ip, bound_port, peer_ip, peer_port, payload, now))]
    #[allow(clippy::too_many_arguments)] // addresses come as bytes and numbers
    fn from_peer<'py>(
        &mut self,
        py: Python<'py>,
        bound_ip: &[u8],
        bound_port: u16,
        peer_ip: &[u8],
        peer_port: u16,
        payload: &[u8],
        now: u64,
    ) -> PyResult<Bound<'py, PyTuple>> {
        let bound = address_of(bound_ip, bound_port)?;
        let peer = address_of(peer_ip, peer_port)?;
        let Some(&(worker, slot)) = self.by_bound.get(&bound) else {
            return dropped(py, Reason::NoAllocation);
        };
        match self.tables[worker].from_peer(slot, peer, payload.len(), now) {
            FromPeer::ToClient { framing } => {
                self.client_verdict(py, (worker, slot), framing, peer, payload)
            }
            FromPeer::Drop(reason) => dropped(py, reason),
        }
    }

    #[pyo3(signature = (bound_ip, bound_port, peer_ip, peer_port, kind, code, mtu, now))]
    #[allow(clippy::too_many_arguments)] // addresses come as bytes and numbers
    fn from_network<'py>(
        &mut self,
        py: Python<'py>,
        bound_ip: &[u8],
        bound_port: u16,
        peer_ip: &[u8],
        peer_port: u16,
        kind: u8,
        code: u8,
        mtu: u32,
        now: u64,
    ) -> PyResult<Bound<'py, PyTuple>> {
        let bound = address_of(bound_ip, bound_port)?;
        let peer = address_of(peer_ip, peer_port)?;
        let icmp = Icmp { kind, code, mtu };
        let Some(&(worker, slot)) = self.by_bound.get(&bound) else {
            return dropped(py, Reason::NoAllocation);
        };
        if let Err(reason) = self.tables[worker].from_network(slot, peer, icmp, now) {
            return dropped(py, reason);
        }
        let mut message = [0; ICMP_LENGTH];
        let length = write_icmp(peer, icmp, self.transaction_ids.draw(), &mut message);
        let message = PyBytes::new(py, &message[..length]);
        let allocation = self.tables[worker].allocation(slot);
        ("client", allocation, message).into_pyobject(py)
    }
}

impl Table {
    fn worker_of(&self, five_tuple: &FiveTuple) -> usize {
        (five_tuple.socket % self.tables.len() as u64) as usize
    }

    fn home(&mut self, change: &Change) -> usize {
        let number = change.allocation();
        match change {
            Change::Open { five_tuple, .. } => {
                let worker = self.worker_of(five_tuple);
                *self.homes.entry(number).or_insert(worker)
            }
            _ => self.homes.get(&number).copied().unwrap_or(0),
        }
    }

    fn unhost(&mut self, path: Option<FiveTuple>, home: usize) {
        if let Some(path) = path {
            let worker = self.worker_of(&path);
            self.tables[worker].unhost(&path, home as u16);
        }
    }

    fn change(&mut self, change: Change) -> Option<Closed> {
        let worker = self.home(&change);
        match (self.tables[worker].apply(change), change) {
            (Applied::Opened(slot), Change::Open { bound, .. })
            | (Applied::Added(slot), Change::AddRelayed { bound, .. }) => {
                self.by_bound.insert(bound, (worker, slot));
                self.bound.entry((worker, slot)).or_default().push(bound);
                None
            }
            (Applied::Removed(slot), Change::CloseRelayed { family, .. }) => {
                self.unbind((worker, slot), |bound| Family::of(bound.ip()) == family);
                None
            }
            (Applied::Rerouted(rerouted), change) => {
                self.unhost(rerouted.left, worker);
                if let Change::Move { five_tuple, .. } = change {
                    let other = self.worker_of(&five_tuple);
                    if other != worker {
                        self.tables[other].host(five_tuple, worker as u16);
                    }
                }
                None
            }
            (
                Applied::Closed {
                    slot,
                    usage,
                    five_tuple,
                    second,
                },
                change,
            ) => {
                self.homes.remove(&change.allocation());
                self.unhost(Some(five_tuple), worker);
                self.unhost(second, worker);
                self.unbind((worker, slot), |_| true);
                Some((
                    usage.sent_packets,
                    usage.sent_bytes,
                    usage.received_packets,
                    usage.received_bytes,
                    usage.dropped_packets,
                ))
            }
            _ => None,
        }
    }

    fn unbind(&mut self, place: Place, goes: impl Fn(&SocketAddr) -> bool) {
        let held = self.bound.remove(&place).unwrap_or_default();
        let (gone, kept): (Vec<_>, Vec<_>) = held.into_iter().partition(goes);
        for bound in gone {
            if self.by_bound.get(&bound) == Some(&place) {
                self.by_bound.remove(&bound);
            }
        }
        if !kept.is_empty() {
            self.bound.insert(place, kept);
        }
    }

    fn answer<'py>(
        &self,
        py: Python<'py>,
        five_tuple: &FiveTuple,
        packet: &[u8],
    ) -> PyResult<Bound<'py, PyTuple>> {
        let mut out = [0; binding::ANSWER_LIMIT];
        match binding::answer(packet, five_tuple, &self.binding, &mut out) {
            Some(answer) => (
                "answer",
                PyBytes::new(py, &out[..answer.length]),
                ip_bytes(py, answer.from.ip()),
                answer.from.port(),
                ip_bytes(py, answer.to.ip()),
                answer.to.port(),
            )
                .into_pyobject(py),
            None => dropped(py, Reason::Malformed),
        }
    }

    fn client_verdict<'py>(
        &mut self,
        py: Python<'py>,
        (worker, slot): Place,
        framing: Framing,
        peer: SocketAddr,
        payload: &[u8],
    ) -> PyResult<Bound<'py, PyTuple>> {
        let table = &self.tables[worker];
        let Some(transport) = table.five_tuple(slot).map(|client| client.transport) else {
            return dropped(py, Reason::NoAllocation);
        };
        let (mut head, mut tail) = ([0; HEADROOM], [0; TAILROOM]);
        let id = self.transaction_ids.draw();
        let (header, padding) = write_header(
            framing,
            transport,
            peer,
            payload.len(),
            id,
            &mut head,
            &mut tail,
        );
        let message = [&head[HEADROOM - header..], payload, &tail[..padding]].concat();
        let message = PyBytes::new(py, &message);
        let allocation = self.tables[worker].allocation(slot);
        ("client", allocation, message).into_pyobject(py)
    }
}

fn dropped(py: Python<'_>, reason: Reason) -> PyResult<Bound<'_, PyTuple>> {
    ("drop", reason.name()).into_pyobject(py)
}

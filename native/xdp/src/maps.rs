//! The kernel program's tables, written and read from here.

use std::collections::HashMap as Placed;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, MutexGuard, PoisonError};

use aya::maps::{HashMap, MapData, MapError, PerCpuArray, PerCpuValues};
use aya::util::nr_cpus;
use ferryman_flow::{ChannelFlow, Usage};

use crate::rows::Rows;
use crate::tables::{to_client, to_peer, Count, Flow, Key};

/// How many channels the tables have room for, as in `program/tables.h`.
pub(crate) const CHANNELS: u32 = 32_768;

/// The tables; whoever shares them takes turns.
pub(crate) struct Maps {
    inner: Mutex<Inner>,
}

struct Inner {
    flows: HashMap<MapData, Key, Flow>,
    counts: PerCpuArray<MapData, Count>,
    processors: usize,
    rows: Rows,
    placed: Placed<Key, u32>,
}

impl fmt::Debug for Maps {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Maps").finish_non_exhaustive()
    }
}

impl Maps {
    pub(crate) fn new(
        flows: HashMap<MapData, Key, Flow>,
        counts: PerCpuArray<MapData, Count>,
    ) -> std::io::Result<Self> {
        let processors = nr_cpus().map_err(|(_, error)| error)?;
        let inner = Inner {
            flows,
            counts,
            processors,
            rows: Rows::new(CHANNELS),
            placed: Placed::new(),
        };
        Ok(Self {
            inner: Mutex::new(inner),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn insert(&self, channel: &ChannelFlow) -> bool {
        has_no_scope(channel) && self.lock().insert(channel)
    }

    pub(crate) fn extend(&self, channel: &ChannelFlow) -> bool {
        let mut inner = self.lock();
        let row = inner.row(channel);
        row.is_some_and(|row| inner.write(channel, row).is_ok())
    }

    pub(crate) fn remove(&self, channel: &ChannelFlow) -> Usage {
        self.lock().remove(channel)
    }

    pub(crate) fn carried(&self, channel: &ChannelFlow) -> Usage {
        let inner = self.lock();
        let row = inner.row(channel);
        row.map_or_else(Usage::default, |row| inner.carried(row))
    }
}

impl Inner {
    fn row(&self, channel: &ChannelFlow) -> Option<u32> {
        self.placed.get(&to_peer(channel, 0).0).copied()
    }

    fn insert(&mut self, channel: &ChannelFlow) -> bool {
        let Some(row) = self.rows.take() else {
            return false;
        };
        let written = self.clear(row).and_then(|()| self.write(channel, row));
        if written.is_err() {
            self.delete(channel);
            self.rows.give_back(row);
            return false;
        }
        self.placed.insert(to_peer(channel, 0).0, row);
        true
    }

    fn write(&mut self, channel: &ChannelFlow, row: u32) -> Result<(), MapError> {
        for (key, flow) in [to_peer(channel, row), to_client(channel, row + 1)] {
            self.flows.insert(key, flow, 0)?;
        }
        Ok(())
    }

    fn remove(&mut self, channel: &ChannelFlow) -> Usage {
        self.delete(channel);
        let Some(row) = self.placed.remove(&to_peer(channel, 0).0) else {
            return Usage::default();
        };
        let carried = self.carried(row);
        self.rows.give_back(row);
        carried
    }

    fn delete(&mut self, channel: &ChannelFlow) {
        for (key, _) in [to_peer(channel, 0), to_client(channel, 0)] {
            // It may not be there.
            let _ = self.flows.remove(&key);
        }
    }

    fn clear(&mut self, row: u32) -> Result<(), MapError> {
        for row in [row, row + 1] {
            let nothing = PerCpuValues::try_from(vec![Count::default(); self.processors])?;
            self.counts.set(row, nothing, 0)?;
        }
        Ok(())
    }

    fn carried(&self, row: u32) -> Usage {
        let (sent, received) = (self.sum(row), self.sum(row + 1));
        Usage {
            sent_packets: sent.packets,
            sent_bytes: sent.bytes,
            received_packets: received.packets,
            received_bytes: received.bytes,
            dropped_packets: 0,
        }
    }

    fn sum(&self, row: u32) -> Count {
        let mut sum = Count::default();
        if let Ok(counts) = self.counts.get(&row, 0) {
            for count in counts.iter() {
                sum.packets += count.packets;
                sum.bytes += count.bytes;
            }
        }
        sum
    }
}

/// A link-local address means nothing without an interface, which the tables do not tell.
fn has_no_scope(channel: &ChannelFlow) -> bool {
    let is_local = |address: SocketAddr| match address.ip() {
        IpAddr::V4(_) => false,
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    };
    ![channel.client, channel.peer].into_iter().any(is_local)
}

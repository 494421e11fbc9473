//! The kernel program's tables, written and read from here.

use std::collections::HashMap as Placed;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, MutexGuard, PoisonError};

use aya::maps::{HashMap, MapData, MapError, PerCpuArray, PerCpuValues};
use aya::util::nr_cpus;
use ferryman_flow::{ChannelFlow, Usage};

use crate::places::Places;
use crate::tables::{to_client, to_peer, Flow, Key, Place, Track};

/// How many channels the tables have room for, as in `program/tables.h`.
pub(crate) const CHANNELS: u32 = 32_768;

/// The tables; whoever shares them takes turns.
pub(crate) struct Maps {
    inner: Mutex<Inner>,
}

struct Inner {
    flows: HashMap<MapData, Key, Flow>,
    tracks: PerCpuArray<MapData, Track>,
    processors: usize,
    places: Places,
    placed: Placed<Key, Place>,
}

impl fmt::Debug for Maps {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Maps").finish_non_exhaustive()
    }
}

impl Maps {
    pub(crate) fn new(
        flows: HashMap<MapData, Key, Flow>,
        tracks: PerCpuArray<MapData, Track>,
    ) -> std::io::Result<Self> {
        let processors = nr_cpus().map_err(|(_, error)| error)?;
        let inner = Inner {
            flows,
            tracks,
            processors,
            places: Places::new(CHANNELS),
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
        let place = inner.place(channel);
        place.is_some_and(|place| inner.write(channel, place).is_ok())
    }

    pub(crate) fn remove(&self, channel: &ChannelFlow) -> Usage {
        self.lock().remove(channel)
    }

    pub(crate) fn carried(&self, channel: &ChannelFlow) -> Usage {
        let inner = self.lock();
        let place = inner.place(channel);
        place.map_or_else(Usage::default, |place| inner.carried(place))
    }
}

impl Inner {
    fn place(&self, channel: &ChannelFlow) -> Option<Place> {
        self.placed.get(&key_of(channel)).copied()
    }

    fn insert(&mut self, channel: &ChannelFlow) -> bool {
        let Some(place) = self.places.take() else {
            return false;
        };
        let written = self.clear(place).and_then(|()| self.write(channel, place));
        if written.is_err() {
            self.delete(channel);
            self.places.give_back(place);
            return false;
        }
        self.placed.insert(key_of(channel), place);
        true
    }

    fn write(&mut self, channel: &ChannelFlow, place: Place) -> Result<(), MapError> {
        for (key, flow) in [to_peer(channel, place), to_client(channel, place)] {
            self.flows.insert(key, flow, 0)?;
        }
        Ok(())
    }

    fn remove(&mut self, channel: &ChannelFlow) -> Usage {
        self.delete(channel);
        let Some(place) = self.placed.remove(&key_of(channel)) else {
            return Usage::default();
        };
        let carried = self.carried(place);
        self.places.give_back(place);
        carried
    }

    fn delete(&mut self, channel: &ChannelFlow) {
        let nowhere = Place::default();
        for (key, _) in [to_peer(channel, nowhere), to_client(channel, nowhere)] {
            // It may not be there.
            let _ = self.flows.remove(&key);
        }
    }

    fn clear(&mut self, place: Place) -> Result<(), MapError> {
        for track in [place.track, place.track + 1] {
            let nothing = PerCpuValues::try_from(vec![Track::default(); self.processors])?;
            self.tracks.set(track, nothing, 0)?;
        }
        Ok(())
    }

    fn carried(&self, place: Place) -> Usage {
        let (sent, received) = (self.sum(place.track), self.sum(place.track + 1));
        Usage {
            sent_packets: sent.0,
            sent_bytes: sent.1,
            received_packets: received.0,
            received_bytes: received.1,
            dropped_packets: 0,
        }
    }

    /// Packets and octets, of all processors.
    fn sum(&self, track: u32) -> (u64, u64) {
        let mut sum = (0, 0);
        if let Ok(tracks) = self.tracks.get(&track, 0) {
            for track in tracks.iter() {
                sum.0 += track.packets;
                sum.1 += track.bytes;
            }
        }
        sum
    }
}

fn key_of(channel: &ChannelFlow) -> Key {
    to_peer(channel, Place::default()).0
}

/// A link-local address means nothing without an interface, which the tables do not tell.
fn has_no_scope(channel: &ChannelFlow) -> bool {
    let is_local = |address: SocketAddr| match address.ip() {
        IpAddr::V4(_) => false,
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    };
    ![channel.client, channel.peer].into_iter().any(is_local)
}

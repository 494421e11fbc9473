//! The kernel program: loaded, and attached to interfaces for as long as this value lives.

use std::fmt;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use aya::maps::{DevMapHash, HashMap, Map, MapData, PerCpuArray};
use aya::{include_bytes_aligned, Ebpf, EbpfLoader};
use ferryman_flow::{ChannelFlow, Offload, Usage};

use crate::attach::{self, loaded, Interface, Link, LOADING};
use crate::maps::Maps;
use crate::mode::Mode;
use crate::routes;
use crate::trouble::Trouble;
use crate::verdict::VERDICTS;

static OBJECT: &[u8] = include_bytes_aligned!("../object/ferryman.o");

/// The program in the kernel. It is taken off all interfaces when this is dropped, and when the
/// process ends in whatever way: nothing is pinned.
pub struct Program {
    ebpf: Ebpf,
    interfaces: DevMapHash<MapData>,
    verdicts: PerCpuArray<MapData, u64>,
    maps: Arc<Maps>,
    links: Vec<Link>,
}

impl fmt::Debug for Program {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Program").finish_non_exhaustive()
    }
}

/// How the program came onto the interfaces.
#[derive(Debug, PartialEq, Eq)]
pub struct Attached {
    /// Of all of them.
    pub mode: Mode,
    /// Why not in the modes that come before it; empty when it is the first.
    pub instead: String,
}

impl Program {
    /// Makes its tables; it is on no interface yet.
    pub fn load() -> Result<Self, Trouble> {
        if cfg!(target_endian = "big") {
            return Err(Trouble::of("it is made for little-endian machines"));
        }
        routes::let_lookups_work()?;
        let (ipv4, ipv6) = (routes::default_ttl(), routes::default_hop_limit());
        let ebpf = EbpfLoader::new()
            .set_global("ipv4_ttl", &ipv4, true)
            .set_global("ipv6_hop_limit", &ipv6, true)
            .load(OBJECT);
        let mut ebpf = ebpf.map_err(|error| Trouble::new(LOADING, error))?;
        let flows: HashMap<_, _, _> = take(&mut ebpf, "flows")?;
        let tracks: PerCpuArray<_, _> = take(&mut ebpf, "tracks")?;
        let maps = Maps::new(flows, tracks).map_err(|error| Trouble::new("tables", error))?;
        Ok(Self {
            interfaces: take(&mut ebpf, "interfaces")?,
            verdicts: take(&mut ebpf, "verdicts")?,
            ebpf,
            maps: Arc::new(maps),
            links: Vec::new(),
        })
    }

    /// The program of a mode, to be tried out on packets.
    pub fn descriptor(&mut self, mode: Mode) -> Result<BorrowedFd<'_>, Trouble> {
        let descriptor = loaded(&mut self.ebpf, mode)?.fd();
        let descriptor = descriptor.map_err(|error| Trouble::new("it is not loaded", error))?;
        Ok(descriptor.as_fd())
    }

    /// Nanoseconds that the program of a mode has run and for how many packets, as far as the kernel
    /// counts them (`kernel.bpf_stats_enabled`).
    pub fn run_time(&mut self, mode: Mode) -> Result<(u64, u64), Trouble> {
        let info = loaded(&mut self.ebpf, mode)?.info();
        let info = info.map_err(|error| Trouble::new("it cannot be looked at", error))?;
        Ok((info.run_time().as_nanos() as u64, info.run_count()))
    }

    /// Runs the program on these interfaces from now on, all in the first of these modes that all of
    /// them take, or on none of them. One that has another program keeps that one. Once is enough.
    pub fn attach(&mut self, interfaces: &[String], modes: &[Mode]) -> Result<Attached, Trouble> {
        let named: Vec<_> = interfaces
            .iter()
            .map(|name| Interface::of(name))
            .collect::<Result<_, _>>()?;
        for Interface { name, index } in &named {
            let entered = self.interfaces.insert(*index, *index, None, 0);
            entered.map_err(|error| Trouble::new(name, error))?;
        }
        let mut refused = Vec::new();
        for &mode in modes {
            match attach::all(&mut self.ebpf, &named, mode) {
                Ok(links) => {
                    self.links = links;
                    let instead = refused.join("; ");
                    return Ok(Attached { mode, instead });
                }
                Err(trouble) if trouble.is_forbidden() => return Err(trouble),
                Err(trouble) => refused.push(trouble.to_string()),
            }
        }
        Err(Trouble::of(&refused.join("; ")))
    }

    /// What a flow table hands its channels out to.
    pub fn offload(&self) -> Box<dyn Offload> {
        Box::new(Handle(Arc::clone(&self.maps)))
    }

    /// Packets by what became of them: forwarded, or why they were left to user space.
    pub fn verdicts(&self) -> Vec<(&'static str, u64)> {
        let count = |at: usize| {
            let counts = self.verdicts.get(&(at as u32), 0);
            counts.map_or(0, |counts| counts.iter().sum())
        };
        let names = VERDICTS.iter().enumerate();
        names.map(|(at, name)| (*name, count(at))).collect()
    }
}

fn take<T: TryFrom<Map>>(ebpf: &mut Ebpf, name: &str) -> Result<T, Trouble> {
    let map = ebpf.take_map(name).and_then(|map| T::try_from(map).ok());
    map.ok_or_else(|| Trouble::of(&format!("its table {name} is not as expected")))
}

#[derive(Debug)]
struct Handle(Arc<Maps>);

impl Offload for Handle {
    fn insert(&mut self, flow: &ChannelFlow) -> bool {
        self.0.insert(flow)
    }

    fn extend(&mut self, flow: &ChannelFlow) -> bool {
        self.0.extend(flow)
    }

    fn remove(&mut self, flow: &ChannelFlow) -> Usage {
        self.0.remove(flow)
    }

    fn carried(&self, flow: &ChannelFlow) -> Usage {
        self.0.carried(flow)
    }
}

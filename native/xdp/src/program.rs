//! The kernel program: loaded, and attached to interfaces for as long as this value lives.

use std::ffi::CString;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use aya::maps::{DevMapHash, HashMap, Map, MapData, PerCpuArray};
use aya::programs::xdp::XdpLinkId;
use aya::programs::{Xdp, XdpFlags};
use aya::{include_bytes_aligned, Ebpf, EbpfLoader};
use ferryman_flow::{ChannelFlow, Offload, Usage};

use crate::features;
use crate::maps::Maps;
use crate::routes;
use crate::trouble::Trouble;
use crate::verdict::VERDICTS;

static OBJECT: &[u8] = include_bytes_aligned!("../object/ferryman.o");

/// How often an interface is tried that has a program, and how long to wait in between.
const ATTEMPTS: usize = 20;
const PAUSE: Duration = Duration::from_millis(5);

/// Whose code runs the program on an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The drivers': fast. Only where the kernel says that they send what is redirected to them,
    /// for what they do not send is lost.
    Driver,
    /// The network stack's, for drivers that cannot: slower.
    Generic,
}

impl Mode {
    fn flags(self) -> XdpFlags {
        match self {
            Self::Driver => XdpFlags::DRV_MODE,
            Self::Generic => XdpFlags::SKB_MODE,
        }
    }

    /// In a word, for the log.
    pub fn name(self) -> &'static str {
        match self {
            Self::Driver => "driver",
            Self::Generic => "generic",
        }
    }
}

/// The program in the kernel. It is taken off all interfaces when this is dropped, and when the
/// process ends in whatever way: nothing is pinned.
pub struct Program {
    ebpf: Ebpf,
    interfaces: DevMapHash<MapData>,
    verdicts: PerCpuArray<MapData, u64>,
    maps: Arc<Maps>,
}

impl fmt::Debug for Program {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Program").finish_non_exhaustive()
    }
}

impl Program {
    /// Loads the program; it is on no interface yet.
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
        let mut ebpf = ebpf.map_err(|error| Trouble::new("it cannot be loaded", error))?;
        let flows: HashMap<_, _, _> = take(&mut ebpf, "flows")?;
        let counts: PerCpuArray<_, _> = take(&mut ebpf, "counts")?;
        let maps = Maps::new(flows, counts).map_err(|error| Trouble::new("tables", error))?;
        let mut program = Self {
            interfaces: take(&mut ebpf, "interfaces")?,
            verdicts: take(&mut ebpf, "verdicts")?,
            ebpf,
            maps: Arc::new(maps),
        };
        let loaded = program.xdp()?.load();
        loaded.map_err(|error| Trouble::new("it cannot be loaded", error))?;
        Ok(program)
    }

    /// The program itself, to be tried out on packets.
    pub fn descriptor(&mut self) -> Result<BorrowedFd<'_>, Trouble> {
        let descriptor = self.xdp()?.fd();
        let descriptor = descriptor.map_err(|error| Trouble::new("it is not loaded", error))?;
        Ok(descriptor.as_fd())
    }

    /// Nanoseconds that the program has run and for how many packets, as far as the kernel counts
    /// them (`kernel.bpf_stats_enabled`).
    pub fn run_time(&mut self) -> Result<(u64, u64), Trouble> {
        let info = self.xdp()?.info();
        let info = info.map_err(|error| Trouble::new("it cannot be looked at", error))?;
        Ok((info.run_time().as_nanos() as u64, info.run_count()))
    }

    /// Runs the program on these interfaces from now on, all in the same mode, or on none of them.
    /// One that has another program keeps that one. `driver_only`: not in the mode that every
    /// interface has. Once is enough.
    pub fn attach(&mut self, interfaces: &[String], driver_only: bool) -> Result<Mode, Trouble> {
        let named = interfaces
            .iter()
            .map(|name| Ok((name.as_str(), index_of(name)?)));
        let named: Vec<_> = named.collect::<Result<_, Trouble>>()?;
        for (name, index) in &named {
            let entered = self.interfaces.insert(*index, *index, None, 0);
            entered.map_err(|error| Trouble::new(name, error))?;
        }
        match self.attach_all(&named, Mode::Driver) {
            Ok(()) => Ok(Mode::Driver),
            Err(trouble) if driver_only => Err(trouble),
            Err(_) => self.attach_generic(&named).map(|()| Mode::Generic),
        }
    }

    /// After another mode, which may take a moment to be gone: a program that is being started
    /// meanwhile by another thread holds every descriptor.
    fn attach_generic(&mut self, interfaces: &[(&str, u32)]) -> Result<(), Trouble> {
        for _ in 1..ATTEMPTS {
            match self.attach_all(interfaces, Mode::Generic) {
                Err(trouble) if trouble.is_taken() => thread::sleep(PAUSE),
                other => return other,
            }
        }
        self.attach_all(interfaces, Mode::Generic)
    }

    fn attach_all(&mut self, interfaces: &[(&str, u32)], mode: Mode) -> Result<(), Trouble> {
        let mut links = Vec::new();
        let attached = interfaces.iter().try_for_each(|interface| {
            links.push(self.attach_one(interface, mode)?);
            Ok(())
        });
        // Drivers may begin to send only when they have a program.
        let sending = attached.and_then(|()| match mode {
            Mode::Driver => interfaces.iter().try_for_each(sends),
            Mode::Generic => Ok(()),
        });
        if sending.is_err() {
            for link in links {
                // What cannot be detached goes with the program.
                let _ = self.xdp()?.detach(link);
            }
        }
        sending
    }

    fn attach_one(
        &mut self,
        (name, index): &(&str, u32),
        mode: Mode,
    ) -> Result<XdpLinkId, Trouble> {
        let attached = self.xdp()?.attach_to_if_index(*index, mode.flags());
        attached.map_err(|error| Trouble::new(name, error))
    }

    fn xdp(&mut self) -> Result<&mut Xdp, Trouble> {
        let program = self.ebpf.program_mut("ferryman");
        let program = program.ok_or_else(|| Trouble::of("it is not in its object"))?;
        program
            .try_into()
            .map_err(|error| Trouble::new("it is of another kind", error))
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

fn sends((name, index): &(&str, u32)) -> Result<(), Trouble> {
    match features::sends(*index) {
        Ok(true) => Ok(()),
        Ok(false) => {
            let text = format!("{name}: its driver does not send what is redirected to it");
            Err(Trouble::of(&text))
        }
        Err(error) => Err(Trouble::new(name, error)),
    }
}

fn take<T: TryFrom<Map>>(ebpf: &mut Ebpf, name: &str) -> Result<T, Trouble> {
    let map = ebpf.take_map(name).and_then(|map| T::try_from(map).ok());
    map.ok_or_else(|| Trouble::of(&format!("its table {name} is not as expected")))
}

fn index_of(interface: &str) -> Result<u32, Trouble> {
    let index = CString::new(interface).map_or(0, |name| {
        // SAFETY: `name` ends in a zero byte and outlives the call.
        unsafe { libc::if_nametoindex(name.as_ptr()) }
    });
    if index == 0 {
        let error = io::Error::from_raw_os_error(libc::ENODEV);
        return Err(Trouble::new(interface, error));
    }
    Ok(index)
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

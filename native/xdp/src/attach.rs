//! How the program comes onto interfaces.

use std::ffi::CString;
use std::io;
use std::thread;
use std::time::Duration;

use aya::programs::tc::{SchedClassifierLink, TcAttachOptions};
use aya::programs::xdp::XdpLink;
use aya::programs::{
    LinkOrder, ProgramError, ProgramFd, ProgramInfo, SchedClassifier, TcAttachType, Xdp, XdpFlags,
};
use aya::Ebpf;

use crate::features;
use crate::mode::Mode;
use crate::trouble::Trouble;

pub(crate) const LOADING: &str = "it cannot be loaded";

/// How often an interface is tried that has a program, and how long to wait in between.
const ATTEMPTS: usize = 20;
const PAUSE: Duration = Duration::from_millis(5);

/// Keeps the program on an interface for as long as it lives.
#[derive(Debug)]
pub(crate) enum Link {
    Xdp(#[expect(dead_code, reason = "held")] XdpLink),
    Tc(#[expect(dead_code, reason = "held")] SchedClassifierLink),
}

/// An interface by its name and its number.
#[derive(Debug)]
pub(crate) struct Interface {
    pub(crate) name: String,
    pub(crate) index: u32,
}

impl Interface {
    pub(crate) fn of(name: &str) -> Result<Self, Trouble> {
        let index = CString::new(name).map_or(0, |name| {
            // SAFETY: `name` ends in a zero byte and outlives the call.
            unsafe { libc::if_nametoindex(name.as_ptr()) }
        });
        if index == 0 {
            let error = io::Error::from_raw_os_error(libc::ENODEV);
            return Err(Trouble::new(name, error));
        }
        let name = name.to_string();
        Ok(Self { name, index })
    }
}

/// One of the two programs of the object.
#[derive(Debug)]
pub(crate) enum Loaded<'a> {
    Xdp(&'a mut Xdp),
    Tc(&'a mut SchedClassifier),
}

impl<'a> Loaded<'a> {
    pub(crate) fn fd(self) -> Result<&'a ProgramFd, ProgramError> {
        match self {
            Self::Xdp(program) => program.fd(),
            Self::Tc(program) => program.fd(),
        }
    }

    pub(crate) fn info(&self) -> Result<ProgramInfo, ProgramError> {
        match self {
            Self::Xdp(program) => program.info(),
            Self::Tc(program) => program.info(),
        }
    }

    fn load(&mut self) -> Result<(), ProgramError> {
        match self {
            Self::Xdp(program) => program.load(),
            Self::Tc(program) => program.load(),
        }
    }

    fn attach(&mut self, on: &Interface, flags: XdpFlags) -> Result<Link, ProgramError> {
        match self {
            Self::Xdp(program) => {
                let link = program.attach_to_if_index(on.index, flags)?;
                program.take_link(link).map(Link::Xdp)
            }
            Self::Tc(program) => {
                // What it does not forward goes on to the programs that were there before.
                let order = TcAttachOptions::TcxOrder(LinkOrder::first());
                let link = program.attach_with_options(&on.name, TcAttachType::Ingress, order)?;
                program.take_link(link).map(Link::Tc)
            }
        }
    }
}

/// The program of a mode, in the kernel.
pub(crate) fn loaded(ebpf: &mut Ebpf, mode: Mode) -> Result<Loaded<'_>, Trouble> {
    let name = match mode {
        Mode::Driver | Mode::Generic => "in_driver",
        Mode::Tc => "behind_driver",
    };
    let program = ebpf.program_mut(name);
    let program = program.ok_or_else(|| Trouble::of("it is not in its object"))?;
    let program = match mode {
        Mode::Driver | Mode::Generic => program.try_into().map(Loaded::Xdp),
        Mode::Tc => program.try_into().map(Loaded::Tc),
    };
    let mut program = program.map_err(|error| Trouble::new("it is of another kind", error))?;
    match program.load() {
        Ok(()) | Err(ProgramError::AlreadyLoaded) => Ok(program),
        Err(error) => Err(Trouble::new(LOADING, error)),
    }
}

/// Onto all interfaces, or onto none.
pub(crate) fn all(
    ebpf: &mut Ebpf,
    interfaces: &[Interface],
    mode: Mode,
) -> Result<Vec<Link>, Trouble> {
    let mut program = loaded(ebpf, mode)?;
    match mode {
        Mode::Driver => {
            let links = each(&mut program, interfaces, XdpFlags::DRV_MODE)?;
            // Drivers may begin to send only when they have a program.
            interfaces.iter().try_for_each(sends)?;
            Ok(links)
        }
        Mode::Tc => each(&mut program, interfaces, XdpFlags::empty()),
        Mode::Generic => generic(&mut program, interfaces),
    }
}

/// After another mode, which may take a moment to be gone: a program that is being started meanwhile
/// by another thread holds every descriptor.
fn generic(program: &mut Loaded<'_>, interfaces: &[Interface]) -> Result<Vec<Link>, Trouble> {
    for _ in 1..ATTEMPTS {
        match each(program, interfaces, XdpFlags::SKB_MODE) {
            Err(trouble) if trouble.is_taken() => thread::sleep(PAUSE),
            other => return other,
        }
    }
    each(program, interfaces, XdpFlags::SKB_MODE)
}

/// What is on some of them when another fails goes off again.
fn each(
    program: &mut Loaded<'_>,
    interfaces: &[Interface],
    flags: XdpFlags,
) -> Result<Vec<Link>, Trouble> {
    let attached = interfaces.iter().map(|interface| {
        let link = program.attach(interface, flags);
        link.map_err(|error| Trouble::new(&interface.name, error))
    });
    attached.collect()
}

fn sends(Interface { name, index }: &Interface) -> Result<(), Trouble> {
    match features::sends(*index) {
        Ok(true) => Ok(()),
        Ok(false) => {
            let text = format!("{name}: its driver does not send what is redirected to it");
            Err(Trouble::of(&text))
        }
        Err(error) => Err(Trouble::new(name, error)),
    }
}

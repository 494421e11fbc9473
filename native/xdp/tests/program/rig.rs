//! A network namespace with two interfaces, the program on them, and the kernel to run it.

use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::process::Command;

use ferryman_flow::{ChannelFlow, Offload};
use ferryman_xdp::{Mode, Program};

use crate::frame::{Checksum, Frame, TTL};

/// What the program says of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Left to the stack.
    Pass,
    /// Out through the interface it came from; behind the drivers that is a redirection like another.
    Back,
    /// Out through another interface.
    Redirect,
}

impl Verdict {
    fn of(mode: Mode, number: u32, is_far: bool) -> Self {
        const NEXT: u32 = u32::MAX;
        match (mode, number) {
            (Mode::Tc, NEXT) | (Mode::Driver, 2) => Self::Pass,
            (Mode::Tc, 7) if is_far => Self::Redirect,
            (Mode::Tc, 7) | (Mode::Driver, 3) => Self::Back,
            (Mode::Driver, 4) => Self::Redirect,
            other => panic!("{other:?}"),
        }
    }
}

pub(crate) const NUMBER: u16 = 0x4001;
/// Of the interface that packets come from, of who is behind it, and of who is behind the other.
pub(crate) const NEAR_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
pub(crate) const NEIGHBOUR_MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];
pub(crate) const FAR_MAC: [u8; 6] = [2, 0, 0, 0, 0, 3];
pub(crate) const FAR_NEIGHBOUR_MAC: [u8; 6] = [2, 0, 0, 0, 0, 4];

/// `near` has a client behind it and a peer, `far` a peer; `aside` is an interface without the
/// program.
const NETWORK: &str = "
link set lo up
link add near address 02:00:00:00:00:01 type veth peer name near-end
link add far address 02:00:00:00:00:03 mtu 1300 type veth peer name far-end mtu 1300
link add aside type veth peer name aside-end
link set near up
link set near-end up
link set far up
link set far-end up
link set aside up
link set aside-end up
address add 192.0.2.1/24 dev near
address add 2001:db8::1/64 dev near nodad
address add 198.51.100.1/24 dev far
address add 2001:db8:1::1/64 dev far nodad
address add 203.0.113.1/24 dev aside
neighbour add 192.0.2.2 lladdr 02:00:00:00:00:02 dev near
neighbour add 192.0.2.3 lladdr 02:00:00:00:00:02 dev near
neighbour add 2001:db8::2 lladdr 02:00:00:00:00:02 dev near
neighbour add 2001:db8::3 lladdr 02:00:00:00:00:02 dev near
neighbour add 198.51.100.4 lladdr 02:00:00:00:00:04 dev far
neighbour add 2001:db8:1::4 lladdr 02:00:00:00:00:04 dev far
neighbour add 203.0.113.4 lladdr 02:00:00:00:00:05 dev aside
route add 192.0.3.0/24 via 192.0.2.3 dev near
";

/// What a rig may do once its network is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rights {
    All,
    /// CAP_BPF and CAP_NET_ADMIN: the kernel guards the program against speculation.
    Few,
}

pub(crate) struct Rig {
    pub(crate) program: Program,
    pub(crate) offload: Box<dyn Offload>,
    pub(crate) mode: Mode,
    near: u32,
    /// Octets of each of the packets that a frame stands for (GRO); 0: it is one.
    pub(crate) gso_size: u32,
}

/// What the program made of a frame.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) verdict: Verdict,
    pub(crate) frame: Vec<u8>,
    /// What it counted: the one verdict that has one more now.
    pub(crate) tallied: &'static str,
}

impl Rig {
    /// One after the other, for each place that the kernel runs the program in.
    pub(crate) fn each() -> impl Iterator<Item = Self> {
        [Mode::Driver, Mode::Tc].into_iter().map_while(Self::of)
    }

    /// `None` where the kernel forbids it.
    pub(crate) fn of(mode: Mode) -> Option<Self> {
        Self::with(mode, Rights::All)
    }

    pub(crate) fn with(mode: Mode, rights: Rights) -> Option<Self> {
        // SAFETY: takes no pointers; this thread alone leaves its network namespace.
        if unsafe { libc::unshare(libc::CLONE_NEWNET) } != 0 {
            eprintln!(
                "skipped: no network namespace: {}",
                std::io::Error::last_os_error()
            );
            return None;
        }
        NETWORK.lines().filter(|line| !line.is_empty()).for_each(ip);
        // Who says nothing of its own is not counted.
        for end in ["near-end", "far-end"] {
            let quiet = format!("/proc/sys/net/ipv6/conf/{end}/disable_ipv6");
            std::fs::write(quiet, "1").expect("a setting of a namespace of ours");
        }
        if rights == Rights::Few {
            keep_few_rights();
        }
        let mut program = match Program::load() {
            Ok(program) => program,
            Err(trouble) if trouble.is_forbidden() => {
                eprintln!("skipped: {trouble}");
                return None;
            }
            Err(trouble) => panic!("{trouble}"),
        };
        let interfaces = ["near".to_string(), "far".to_string()];
        let attached = program.attach(&interfaces, &[mode, Mode::Generic]);
        attached.expect("every interface takes a program");
        // SAFETY: a literal that ends in a zero byte.
        let near = unsafe { libc::if_nametoindex(c"near".as_ptr()) };
        let offload = program.offload();
        Some(Self {
            program,
            offload,
            mode,
            near,
            gso_size: 0,
        })
    }

    /// Runs the program on a frame that arrived at `near`.
    pub(crate) fn run(&mut self, frame: &[u8]) -> Outcome {
        let before = self.program.verdicts();
        let (number, frame) = self.run_untold(frame);
        let verdict = Verdict::of(self.mode, number, frame[6..12] == FAR_MAC);
        let after = self.program.verdicts();
        let mut tallied = before
            .iter()
            .zip(&after)
            .filter(|(one, other)| one != other);
        let (one, other) = tallied.next().expect("every packet is counted");
        assert_eq!(
            (one.1 + 1, tallied.next()),
            (other.1, None),
            "{before:?} {after:?}"
        );
        Outcome {
            verdict,
            frame,
            tallied: one.0,
        }
    }

    /// A frame as it is when the program has sent it off: behind the drivers nobody has filled it up.
    pub(crate) fn sent(&self, frame: &Frame) -> Vec<u8> {
        match self.mode {
            Mode::Tc => frame.bare_octets(),
            Mode::Driver | Mode::Generic => frame.octets(),
        }
    }

    /// What the kernel tells the program about a frame that came to `near`.
    fn context(&self, length: usize) -> Vec<u32> {
        match self.mode {
            // `struct xdp_md`: data, data_end, data_meta, ingress_ifindex, ...
            Mode::Driver | Mode::Generic => vec![0, length as u32, 0, self.near, 0, 0],
            // `struct __sk_buff`: the interface is its eleventh word, `gso_size` the forty-fifth.
            Mode::Tc => {
                let mut words = vec![0; 48];
                words[10] = self.near;
                words[44] = self.gso_size;
                words
            }
        }
    }

    pub(crate) fn run_time(&mut self) -> (u64, u64) {
        self.program.run_time(self.mode).expect("counted")
    }

    pub(crate) fn run_untold(&mut self, frame: &[u8]) -> (u32, Vec<u8>) {
        self.try_run(frame).expect("the kernel runs it")
    }

    /// An error where the kernel cannot make such a packet.
    pub(crate) fn try_run(&mut self, frame: &[u8]) -> std::io::Result<(u32, Vec<u8>)> {
        let descriptor = self
            .program
            .descriptor(self.mode)
            .expect("loaded")
            .as_raw_fd();
        test_run(descriptor, frame, &self.context(frame.len()))
    }
}

/// The program `ip` with these words.
pub(crate) fn ip(words: &str) {
    let status = Command::new("ip").args(words.split(' ')).status();
    assert!(status.expect("the program `ip`").success(), "ip {words}");
}

/// Of this thread.
fn keep_few_rights() {
    const VERSION_3: u32 = 0x2008_0522;
    const NET_ADMIN: u32 = 12;
    const BPF: u32 = 39;
    let header = [VERSION_3, 0];
    let (low, high) = (1 << NET_ADMIN, 1 << (BPF - 32));
    // Effective, permitted, inheritable: the lower half of each, and the upper.
    let sets: [u32; 6] = [low, low, 0, high, high, 0];
    // SAFETY: a header and two triples of sets, as version 3 has them, are read and nothing is kept.
    let status = unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), sets.as_ptr()) };
    assert_eq!(status, 0, "{}", std::io::Error::last_os_error());
}

/// `bpf_attr` for BPF_PROG_TEST_RUN.
#[repr(C)]
#[derive(Default)]
struct TestRun {
    program: u32,
    verdict: u32,
    size_in: u32,
    size_out: u32,
    data_in: u64,
    data_out: u64,
    repeat: u32,
    duration: u32,
    context_size_in: u32,
    context_size_out: u32,
    context_in: u64,
    context_out: u64,
    flags: u32,
    processor: u32,
    batch: u32,
    padding: u32,
}

const BPF_PROG_TEST_RUN: libc::c_int = 10;

fn test_run(program: i32, frame: &[u8], context: &[u32]) -> std::io::Result<(u32, Vec<u8>)> {
    let mut out = vec![0u8; 16_384];
    let mut run = TestRun {
        program: program as u32,
        size_in: frame.len() as u32,
        size_out: out.len() as u32,
        data_in: frame.as_ptr() as u64,
        data_out: out.as_mut_ptr() as u64,
        context_size_in: size_of_val(context) as u32,
        context_in: context.as_ptr() as u64,
        ..TestRun::default()
    };
    // SAFETY: `run` is laid out as the kernel expects; it points to `frame` and `context`, which
    // are read, and to `out`, which is written, each of the length that is told and alive.
    let status = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            BPF_PROG_TEST_RUN,
            &raw mut run,
            size_of::<TestRun>(),
        )
    };
    if status != 0 {
        return Err(std::io::Error::last_os_error());
    }
    out.truncate(run.size_out as usize);
    Ok((run.verdict, out))
}

pub(crate) fn now() -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the kernel writes one `timespec` to a pointer to one.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

pub(crate) fn address(text: &str) -> SocketAddr {
    text.parse().unwrap_or_else(|_| panic!("{text}"))
}

/// Families of a channel: of the client, and of the peer.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Families {
    V4V4,
    V4V6,
    V6V4,
    V6V6,
}

pub(crate) const EVERY: [Families; 4] = [
    Families::V4V4,
    Families::V4V6,
    Families::V6V4,
    Families::V6V6,
];

/// A channel that lives for a minute, from a client behind `near` to a peer there or behind `far`.
pub(crate) fn channel(families: Families, is_far: bool) -> ChannelFlow {
    let (client, server) = match families {
        Families::V4V4 | Families::V4V6 => ("192.0.2.2:40000", "192.0.2.1:3478"),
        Families::V6V4 | Families::V6V6 => ("[2001:db8::2]:40000", "[2001:db8::1]:3478"),
    };
    let (relayed, peer) = match (families, is_far) {
        (Families::V4V4 | Families::V6V4, false) => ("192.0.2.1:50000", "192.0.2.3:60001"),
        (Families::V4V4 | Families::V6V4, true) => ("198.51.100.1:50000", "198.51.100.4:60001"),
        (_, false) => ("[2001:db8::1]:50000", "[2001:db8::3]:60001"),
        (_, true) => ("[2001:db8:1::1]:50000", "[2001:db8:1::4]:60001"),
    };
    let until = now() + 60_000_000_000;
    ChannelFlow {
        client: address(client),
        server: address(server),
        number: NUMBER,
        relayed: address(relayed),
        peer: address(peer),
        sent_until: until,
        received_until: until,
    }
}

/// A frame as it arrives at `near`.
pub(crate) fn arriving(from: SocketAddr, to: SocketAddr, body: Vec<u8>) -> Frame {
    Frame {
        to_mac: NEAR_MAC,
        from_mac: NEIGHBOUR_MAC,
        from,
        to,
        ttl: 17,
        id: 0x1234,
        body,
        checksum: Checksum::Whole,
    }
}

/// A frame as it leaves `near`, or `far`; `id` of its IP header.
pub(crate) fn leaving(
    is_far: bool,
    from: SocketAddr,
    to: SocketAddr,
    body: Vec<u8>,
    like: &[u8],
) -> Frame {
    let (from_mac, to_mac) = if is_far {
        (FAR_MAC, FAR_NEIGHBOUR_MAC)
    } else {
        (NEAR_MAC, NEIGHBOUR_MAC)
    };
    Frame {
        to_mac,
        from_mac,
        from,
        to,
        ttl: TTL,
        id: u16::from_be_bytes([like[18], like[19]]),
        body,
        checksum: Checksum::Whole,
    }
}

//! Opens the sockets of the load, and asks the system for the room that they need.

use std::io;
use std::net::{SocketAddrV4, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, RawFd};

const BUFFER: libc::c_int = 4 << 20;

/// A UDP socket that never blocks and holds many packets.
pub(crate) fn udp(local: SocketAddrV4) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind(local)?;
    socket.set_nonblocking(true)?;
    enlarge(socket.as_raw_fd(), libc::SO_RCVBUF);
    enlarge(socket.as_raw_fd(), libc::SO_SNDBUF);
    Ok(socket)
}

/// A connected UDP socket for a few packets only.
pub(crate) fn plain_udp(local: SocketAddrV4, remote: SocketAddrV4) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind(local)?;
    socket.set_nonblocking(true)?;
    socket.connect(remote)?;
    Ok(socket)
}

/// A UDP socket connected to `remote`, on any port of `local`'s address.
pub(crate) fn connected_udp(local: SocketAddrV4, remote: SocketAddrV4) -> io::Result<UdpSocket> {
    let socket = udp(local)?;
    socket.connect(remote)?;
    Ok(socket)
}

/// A TCP connection that never blocks and sends at once.
pub(crate) fn tcp(remote: SocketAddrV4) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(remote)?;
    stream.set_nodelay(true)?;
    stream.set_nonblocking(true)?;
    Ok(stream)
}

/// Has the kernel leave trains together, or else tell when each datagram came.
pub(crate) fn note_arrivals(socket: RawFd, trains: bool) -> io::Result<()> {
    if trains {
        set(socket, libc::SOL_UDP, libc::UDP_GRO, 1)
    } else {
        set(socket, libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, 1)
    }
}

/// Best effort: the kernel cuts it to its own limit.
fn enlarge(socket: RawFd, which: libc::c_int) {
    let _ = set(socket, libc::SOL_SOCKET, which, BUFFER);
}

fn set(
    socket: RawFd,
    level: libc::c_int,
    which: libc::c_int,
    value: libc::c_int,
) -> io::Result<()> {
    let size = size_of_val(&value) as u32;
    // SAFETY: the option's value is a live int of exactly `size` bytes.
    let failed = unsafe { libc::setsockopt(socket, level, which, (&raw const value).cast(), size) };
    if failed != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Lets this process open as many files as the system allows.
pub(crate) fn allow_many_files() {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: both calls get a pointer to a live `rlimit`.
    unsafe {
        libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit);
        limit.rlim_cur = limit.rlim_max;
        libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit);
    }
}

/// Keeps the calling thread on one core.
pub(crate) fn pin_thread(core: usize) -> io::Result<()> {
    // SAFETY: a zeroed `cpu_set_t` is an empty set; CPU_SET stays inside it (it checks), and
    // the kernel reads exactly the size given.
    let failed = unsafe {
        let mut cores: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(core, &mut cores);
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const cores)
    };
    if failed != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// The kernel's number of the calling thread.
pub(crate) fn thread_number() -> u32 {
    // SAFETY: takes nothing and cannot fail.
    unsafe { libc::gettid() as u32 }
}

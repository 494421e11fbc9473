//! What is set on a socket when it is made. Nothing is ever set per packet.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd};

use rustix::net::sockopt;
use socket2::{Domain, Protocol, Socket, Type};

/// Bytes that a listener may have waiting, each way: all clients share it.
pub(crate) const LISTENER_BUFFER: usize = 4 << 20;
/// The same for one allocation's relay socket.
pub(crate) const RELAY_BUFFER: usize = 512 << 10;

/// An unbound datagram socket for the family of `address`.
pub(crate) fn datagram_socket(address: SocketAddr, buffer: usize) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::DGRAM,
        Some(Protocol::UDP),
    )?;
    only_own_family(&socket, address)?;
    widen(&socket, buffer);
    // No client asks for DF (DONT-FRAGMENT is not understood), and a forged ICMP message must not
    // shrink anyone's packets.
    if address.is_ipv4() {
        sockopt::set_ip_mtu_discover(&socket, sockopt::Ipv4PathMtuDiscovery::DONT)?;
    } else {
        sockopt::set_ipv6_mtu_discover(&socket, sockopt::Ipv6PathMtuDiscovery::DONT)?;
    }
    // Older kernels know no trains; then each datagram comes alone.
    let _ = set(&socket, libc::SOL_UDP, libc::UDP_GRO, 1);
    Ok(socket)
}

/// An unbound stream socket for the family of `address`.
pub(crate) fn stream_socket(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    only_own_family(&socket, address)?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    // Accepted connections inherit it.
    socket.set_tcp_nodelay(true)?;
    Ok(socket)
}

/// Makes the kernel tell to which local address each datagram was sent.
pub(crate) fn tell_local_address(socket: &Socket, address: SocketAddr) -> io::Result<()> {
    if address.is_ipv4() {
        set(socket, libc::IPPROTO_IP, libc::IP_PKTINFO, 1)
    } else {
        set(socket, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, 1)
    }
}

/// Whether the kernel cuts trains of datagrams (Linux 4.18).
pub(crate) fn kernel_cuts_trains() -> bool {
    let any = SocketAddr::from(([0, 0, 0, 0], 0));
    Socket::new(Domain::for_address(any), Type::DGRAM, None)
        .and_then(|socket| set(&socket, libc::SOL_UDP, libc::UDP_SEGMENT, 0))
        .is_ok()
}

fn only_own_family(socket: &Socket, address: SocketAddr) -> io::Result<()> {
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    Ok(())
}

/// As much as is permitted: beyond the system's limit only a privileged process gets it.
fn widen(socket: &Socket, size: usize) {
    if sockopt::set_socket_recv_buffer_size_force(socket, size).is_err() {
        let _ = sockopt::set_socket_recv_buffer_size(socket, size);
    }
    if sockopt::set_socket_send_buffer_size_force(socket, size).is_err() {
        let _ = sockopt::set_socket_send_buffer_size(socket, size);
    }
}

fn set(socket: &Socket, level: i32, option: i32, value: libc::c_int) -> io::Result<()> {
    // SAFETY: the kernel reads one int from a pointer to one int that outlives the call.
    let status = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            level,
            option,
            (&raw const value).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    if status == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

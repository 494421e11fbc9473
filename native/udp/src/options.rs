//! What is set on a socket when it is made. Nothing is set per packet, but where DONT-FRAGMENT asks
//! for it.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use ferryman_flow::Family;
use rustix::net::sockopt;
use socket2::{Domain, Protocol, Socket, Type};

/// Bytes that a listener may have waiting, each way: all clients share it.
const LISTENER_BUFFER: usize = 4 << 20;
/// The same for one allocation's relay socket.
const RELAY_BUFFER: usize = 512 << 10;

/// What an operator chose for all sockets of a side.
#[derive(Clone, Debug, Default)]
pub struct Outfit {
    /// Bytes that a datagram socket may have waiting, each way; 0 is the usual number.
    pub buffer: usize,
    /// The device that packets come and go by; empty for any.
    pub device: String,
}

impl Outfit {
    fn buffer_or(&self, usual: usize) -> usize {
        if self.buffer == 0 {
            usual
        } else {
            self.buffer
        }
    }

    fn bind(&self, socket: &Socket) -> io::Result<()> {
        if self.device.is_empty() {
            return Ok(());
        }
        socket.bind_device(Some(self.device.as_bytes()))
    }
}

/// An unbound datagram socket for clients.
pub(crate) fn listener_socket(address: SocketAddr, outfit: &Outfit) -> io::Result<Socket> {
    datagram_socket(address, LISTENER_BUFFER, outfit)
}

/// An unbound datagram socket for the family of `address`.
fn datagram_socket(address: SocketAddr, usual: usize, outfit: &Outfit) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::DGRAM,
        Some(Protocol::UDP),
    )?;
    only_own_family(&socket, address)?;
    outfit.bind(&socket)?;
    widen(&socket, outfit.buffer_or(usual));
    // DF is for those who ask for it (`unfragmented`), and a forged ICMP message must not shrink
    // anyone's packets.
    if address.is_ipv4() {
        sockopt::set_ip_mtu_discover(&socket, sockopt::Ipv4PathMtuDiscovery::DONT)?;
    } else {
        sockopt::set_ipv6_mtu_discover(&socket, sockopt::Ipv6PathMtuDiscovery::DONT)?;
    }
    // Older kernels know no trains; then each datagram comes alone.
    let _ = set(&socket, libc::SOL_UDP, libc::UDP_GRO, 1);
    Ok(socket)
}

/// An unbound datagram socket for relaying, with an error queue.
pub(crate) fn relay_socket(address: SocketAddr, outfit: &Outfit) -> io::Result<Socket> {
    let socket = datagram_socket(address, RELAY_BUFFER, outfit)?;
    if address.is_ipv4() {
        set(&socket, libc::IPPROTO_IP, libc::IP_RECVERR, 1)?;
    } else {
        set(&socket, libc::IPPROTO_IPV6, libc::IPV6_RECVERR, 1)?;
    }
    may_fragment(&socket, Family::of(address.ip()))?;
    Ok(socket)
}

/// As relay sockets are almost always. With `DONT`, an IPv4 socket would never hear that a packet
/// was too big, with `OMIT` an IPv6 socket; the other value lets both be taken apart as well.
fn may_fragment(socket: impl AsFd, family: Family) -> io::Result<()> {
    match family {
        Family::V4 => sockopt::set_ip_mtu_discover(socket, sockopt::Ipv4PathMtuDiscovery::OMIT)?,
        Family::V6 => sockopt::set_ipv6_mtu_discover(socket, sockopt::Ipv6PathMtuDiscovery::DONT)?,
    }
    Ok(())
}

/// Sends with DF (IPv6: without taking apart) whatever `send` sends: the client probes the path,
/// not the kernel. An error when that cannot be had; then nothing was sent.
pub(crate) fn unfragmented<T>(
    socket: BorrowedFd<'_>,
    family: Family,
    send: impl FnOnce() -> T,
) -> io::Result<T> {
    match family {
        Family::V4 => sockopt::set_ip_mtu_discover(socket, sockopt::Ipv4PathMtuDiscovery::PROBE)?,
        Family::V6 => sockopt::set_ipv6_mtu_discover(socket, sockopt::Ipv6PathMtuDiscovery::PROBE)?,
    }
    let sent = send();
    may_fragment(socket, family)?;
    Ok(sent)
}

/// An unbound stream socket for the family of `address`.
pub(crate) fn stream_socket(address: SocketAddr, outfit: &Outfit) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    only_own_family(&socket, address)?;
    outfit.bind(&socket)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    fn discovery(socket: &Socket, family: Family) -> (bool, bool) {
        match family {
            Family::V4 => {
                let found = sockopt::ip_mtu_discover(socket).expect("an option");
                (
                    found == sockopt::Ipv4PathMtuDiscovery::OMIT,
                    found == sockopt::Ipv4PathMtuDiscovery::PROBE,
                )
            }
            Family::V6 => {
                let found = sockopt::ipv6_mtu_discover(socket).expect("an option");
                (
                    found == sockopt::Ipv6PathMtuDiscovery::DONT,
                    found == sockopt::Ipv6PathMtuDiscovery::PROBE,
                )
            }
        }
    }

    #[test]
    fn a_chosen_buffer_and_device_are_taken() {
        let address: SocketAddr = "127.0.0.1:0".parse().expect("an address");
        let outfit = Outfit {
            buffer: 65_536,
            device: "lo".to_owned(),
        };
        for socket in [
            listener_socket(address, &outfit).expect("a socket"),
            relay_socket(address, &outfit).expect("a socket"),
        ] {
            // The kernel counts what it needs itself as well.
            assert_eq!(socket.recv_buffer_size().expect("an option"), 2 * 65_536);
            assert_eq!(socket.send_buffer_size().expect("an option"), 2 * 65_536);
            assert_eq!(socket.device().expect("an option"), Some(b"lo".to_vec()));
        }
        let stream = stream_socket(address, &outfit).expect("a socket");
        assert_eq!(stream.device().expect("an option"), Some(b"lo".to_vec()));
        let nowhere = Outfit {
            device: "nowhere".to_owned(),
            ..Outfit::default()
        };
        let error = stream_socket(address, &nowhere).expect_err("no such device");
        assert_eq!(error.raw_os_error(), Some(libc::ENODEV));
    }

    #[test]
    fn what_must_stay_whole_is_sent_so_and_nothing_else() {
        for (ip, family) in [("127.0.0.1:0", Family::V4), ("[::1]:0", Family::V6)] {
            let address: SocketAddr = ip.parse().expect("an address");
            let socket = relay_socket(address, &Outfit::default()).expect("a socket");
            assert_eq!(discovery(&socket, family), (true, false));
            let during = unfragmented(socket.as_fd(), family, || discovery(&socket, family));
            assert_eq!(during.expect("an option"), (false, true));
            assert_eq!(discovery(&socket, family), (true, false));
        }
    }
}

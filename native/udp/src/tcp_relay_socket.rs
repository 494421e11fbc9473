//! Sockets on the relayed addresses of TCP allocations (RFC 6062 §5): one that peers connect to,
//! and those from which peers are reached.

use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::net::{acceptfrom_with, SocketFlags};
use socket2::Socket;

use crate::address::{needs_scope, plain};
use crate::options::{stream_socket, Outfit};

/// Peers that may wait to be accepted; they are in every turn.
const BACKLOG: i32 = 64;

/// A socket that peers connect to.
pub(crate) struct TcpRelaySocket {
    socket: Socket,
}

/// What waits at such a socket.
pub(crate) enum Arrived {
    Peer(TcpStream, SocketAddr),
    /// A connection that was gone before it was taken, or that nobody can use.
    Useless,
    Nothing,
    /// No descriptor or memory for another one.
    Exhausted,
}

impl TcpRelaySocket {
    /// Binds and listens. The port is opened to sockets of this process only after that: bound
    /// so from the start, two servers could sit on one port and share its connections.
    pub(crate) fn bind(address: SocketAddr, outfit: &Outfit) -> io::Result<Self> {
        if address.port() == 0 {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let socket = stream_socket(address, outfit)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        socket.set_reuse_port(true)?;
        Ok(Self { socket })
    }

    pub(crate) fn accept(&self) -> Arrived {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        match acceptfrom_with(&self.socket, flags) {
            Ok((fd, _)) => name(fd.into()).unwrap_or(Arrived::Useless),
            Err(error) => match error.raw_os_error() {
                libc::EAGAIN => Arrived::Nothing,
                libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM => Arrived::Exhausted,
                _ => Arrived::Useless,
            },
        }
    }
}

impl AsFd for TcpRelaySocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn name(stream: TcpStream) -> Option<Arrived> {
    let peer = plain(stream.peer_addr().ok()?);
    let usable = !needs_scope(peer.ip());
    usable.then_some(Arrived::Peer(stream, peer))
}

/// Begins to connect from a relayed address, whose own socket listens at the same time.
pub(crate) fn connect_from(
    bound: SocketAddr,
    to: SocketAddr,
    outfit: &Outfit,
) -> io::Result<TcpStream> {
    let socket = stream_socket(bound, outfit)?;
    socket.set_reuse_port(true)?;
    socket.bind(&bound.into())?;
    match socket.connect(&to.into()) {
        Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => Err(error),
        _ => Ok(socket.into()),
    }
}

/// Sockets that are bound and not yet anyone's.
pub(crate) struct ParkedTcp {
    /// How sockets are made.
    pub(crate) outfit: Outfit,
    sockets: Mutex<HashMap<SocketAddr, TcpRelaySocket>>,
}

impl ParkedTcp {
    /// None yet.
    pub(crate) fn new(outfit: Outfit) -> Self {
        Self {
            outfit,
            sockets: Mutex::default(),
        }
    }

    pub(crate) fn bind(&self, address: SocketAddr) -> io::Result<()> {
        let socket = TcpRelaySocket::bind(address, &self.outfit)?;
        self.lock().insert(plain(address), socket);
        Ok(())
    }

    /// Gives a socket out, or closes it when the result is dropped.
    pub(crate) fn take(&self, address: SocketAddr) -> Option<TcpRelaySocket> {
        self.lock().remove(&plain(address))
    }

    pub(crate) fn clear(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SocketAddr, TcpRelaySocket>> {
        self.sockets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

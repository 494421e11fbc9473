//! A TCP socket that clients connect to.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use rustix::net::{acceptfrom_with, SocketFlags};
use socket2::Socket;

use crate::address::{needs_scope, plain};
use crate::listener::bound_port;
use crate::options::{stream_socket, Outfit};

const BACKLOG: i32 = 1024;

/// A TCP socket that clients connect to.
pub(crate) struct Acceptor {
    socket: Arc<Socket>,
    address: SocketAddr,
    /// Whether TCP is spoken without TLS, too.
    pub(crate) plain: bool,
    /// When to look again after the process ran out of descriptors, ns.
    pub(crate) resumes_at: Option<u64>,
}

/// What waits at an acceptor.
pub(crate) enum Accepted {
    Connection {
        stream: TcpStream,
        client: SocketAddr,
        server: SocketAddr,
    },
    /// A connection that was gone before it was taken, or that nobody can use.
    Useless,
    Nothing,
    /// No descriptor or memory for another one.
    Exhausted,
}

impl Acceptor {
    /// Binds and listens; port 0 takes any.
    pub(crate) fn bind(address: SocketAddr, plain: bool, outfit: &Outfit) -> io::Result<Self> {
        let socket = stream_socket(address, outfit)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        let port = bound_port(&socket)?;
        let address = SocketAddr::new(address.ip(), port);
        Ok(Self::of(Arc::new(socket), address, plain))
    }

    /// A socket that listens already.
    pub(crate) fn of(socket: Arc<Socket>, address: SocketAddr, plain: bool) -> Self {
        Self {
            socket,
            address,
            plain,
            resumes_at: None,
        }
    }

    pub(crate) fn socket(&self) -> &Arc<Socket> {
        &self.socket
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    pub(crate) fn accept(&self) -> Accepted {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        match acceptfrom_with(&self.socket, flags) {
            Ok((fd, _)) => self.name(fd.into()).unwrap_or(Accepted::Useless),
            Err(error) => match error.raw_os_error() {
                libc::EAGAIN => Accepted::Nothing,
                libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM => Accepted::Exhausted,
                _ => Accepted::Useless,
            },
        }
    }

    fn name(&self, stream: TcpStream) -> Option<Accepted> {
        let client = plain(stream.peer_addr().ok()?);
        let server = if self.address.ip().is_unspecified() {
            plain(stream.local_addr().ok()?)
        } else {
            self.address
        };
        let usable = !needs_scope(client.ip());
        usable.then_some(Accepted::Connection {
            stream,
            client,
            server,
        })
    }
}

impl AsFd for Acceptor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

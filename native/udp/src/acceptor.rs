//! A TCP socket that clients connect to.

use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use rustix::net::{acceptfrom_with, SocketFlags};

use crate::address::{needs_scope, plain};
use crate::sockets::Sockets;

/// A TCP socket that clients connect to.
pub(crate) struct Acceptor {
    sockets: Arc<Sockets>,
    worker: usize,
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
    /// A worker's; `plain` as in the field.
    pub(crate) fn of(sockets: Arc<Sockets>, worker: usize, plain: bool) -> Self {
        Self {
            sockets,
            worker,
            plain,
            resumes_at: None,
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.sockets.address()
    }

    pub(crate) fn accept(&self) -> Accepted {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        match acceptfrom_with(self, flags) {
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
        let server = if self.address().ip().is_unspecified() {
            plain(stream.local_addr().ok()?)
        } else {
            self.address()
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
        self.sockets.of(self.worker).as_fd()
    }
}

//! A TCP socket that clients connect to.

use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use rustix::net::{acceptfrom_with, SocketFlags};
use rustls::ServerConfig;

use crate::address::{needs_scope, plain};
use crate::carrier::{Carrier, Spoken};
use crate::sockets::Sockets;

/// The front ends that are believed when they say whose a connection is (PROXY protocol): IPs from
/// the first to the last of each pair, and this machine itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fronts(pub Vec<(IpAddr, IpAddr)>);

impl Fronts {
    fn believe(&self, front: IpAddr, here: IpAddr) -> bool {
        let is_named = |(first, last): &(IpAddr, IpAddr)| {
            first.is_ipv4() == front.is_ipv4() && (*first..=*last).contains(&front)
        };
        front == here || self.0.iter().any(is_named)
    }
}

/// What is spoken at an acceptor.
#[derive(Clone, Debug, Default)]
pub(crate) struct Speech {
    /// Whether TCP is spoken without TLS, too.
    pub(crate) plain: bool,
    /// Only front ends connect, and say who the clients are.
    pub(crate) fronts: Option<Arc<Fronts>>,
}

/// A TCP socket that clients connect to.
pub(crate) struct Acceptor {
    sockets: Arc<Sockets>,
    worker: usize,
    speech: Speech,
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
    /// A connection to a port of front ends, from elsewhere.
    Impostor(SocketAddr),
    /// A connection that was gone before it was taken, or that nobody can use.
    Useless,
    Nothing,
    /// No descriptor or memory for another one.
    Exhausted,
}

impl Acceptor {
    /// A worker's.
    pub(crate) fn of(sockets: Arc<Sockets>, worker: usize, speech: Speech) -> Self {
        Self {
            sockets,
            worker,
            speech,
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
        if needs_scope(client.ip()) {
            return None;
        }
        if !self.believes(client.ip(), server.ip()) {
            return Some(Accepted::Impostor(client));
        }
        Some(Accepted::Connection {
            stream,
            client,
            server,
        })
    }

    /// Whether who connects may do so.
    fn believes(&self, client: IpAddr, here: IpAddr) -> bool {
        let fronts = self.speech.fronts.as_ref();
        fronts.is_none_or(|fronts| fronts.believe(client, here))
    }

    /// What carries a connection that was accepted here.
    pub(crate) fn carrier(&self, stream: TcpStream, tls: Option<Arc<ServerConfig>>) -> Carrier {
        let spoken = Spoken {
            plain: self.speech.plain,
            tls,
        };
        match self.speech.fronts {
            Some(_) => Carrier::announced(stream, spoken),
            None => Carrier::new(stream, spoken),
        }
    }
}

impl AsFd for Acceptor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.sockets.of(self.worker).as_fd()
    }
}

//! The sockets that listen at one address, one for each worker: the kernel chooses among them by a
//! hash of both addresses (`SO_REUSEPORT`), so that a client's packets come to one worker.
//!
//! They are closed together: with one of them, the hash would lead clients elsewhere.

use std::io;
use std::net::SocketAddr;

use socket2::Socket;

use crate::options::{listener_socket, stream_socket, tell_local_address, Outfit};

/// Connections that may wait to be accepted, for each worker.
const BACKLOG: i32 = 1024;

/// The sockets of one address.
pub(crate) struct Sockets {
    of_workers: Vec<Socket>,
    address: SocketAddr,
}

impl Sockets {
    /// Binds UDP sockets for so many workers; port 0 takes any.
    pub(crate) fn datagrams(
        address: SocketAddr,
        workers: usize,
        outfit: &Outfit,
    ) -> io::Result<Self> {
        let make = |address: SocketAddr| {
            let socket = listener_socket(address, outfit)?;
            if address.ip().is_unspecified() {
                tell_local_address(&socket, address)?;
            }
            Ok(socket)
        };
        let sockets = Self::bind(address, workers, make, |_| Ok(()))?;
        if workers > 1 {
            // Before all were there, the kernel chose among fewer.
            sockets.of_workers.iter().for_each(empty);
        }
        Ok(sockets)
    }

    /// The same for TCP.
    pub(crate) fn streams(
        address: SocketAddr,
        workers: usize,
        outfit: &Outfit,
    ) -> io::Result<Self> {
        let make = |address| stream_socket(address, outfit);
        Self::bind(address, workers, make, |socket| socket.listen(BACKLOG))
    }

    /// The first socket is bound as if it were to be alone: otherwise two servers could sit on one
    /// port and share its clients.
    fn bind(
        address: SocketAddr,
        workers: usize,
        make: impl Fn(SocketAddr) -> io::Result<Socket>,
        open: impl Fn(&Socket) -> io::Result<()>,
    ) -> io::Result<Self> {
        let first = make(address)?;
        first.bind(&address.into())?;
        let address = SocketAddr::new(address.ip(), bound_port(&first)?);
        if workers > 1 {
            first.set_reuse_port(true)?;
        }
        open(&first)?;
        let mut of_workers = vec![first];
        for _ in 1..workers {
            let socket = make(address)?;
            socket.set_reuse_port(true)?;
            socket.bind(&address.into())?;
            open(&socket)?;
            of_workers.push(socket);
        }
        Ok(Self {
            of_workers,
            address,
        })
    }

    pub(crate) fn of(&self, worker: usize) -> &Socket {
        &self.of_workers[worker]
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Forgets the datagrams that wait.
fn empty(socket: &Socket) {
    while socket.recv_with_flags(&mut [], libc::MSG_DONTWAIT).is_ok() {}
}

fn bound_port(socket: &Socket) -> io::Result<u16> {
    let address = socket.local_addr()?.as_socket();
    Ok(address.map_or(0, |address| address.port()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn several_sockets_share_an_address_with_nobody_else() {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let usual = Outfit::default();
        for bind in [Sockets::datagrams, Sockets::streams] {
            for (ours, theirs) in [(1, 1), (1, 2), (3, 1), (3, 3)] {
                let sockets = bind(any, ours, &usual).unwrap();
                let error = bind(sockets.address(), theirs, &usual).err().unwrap();
                assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
                drop(sockets);
            }
        }
    }

    #[test]
    fn what_came_while_sockets_were_bound_is_forgotten() {
        let sockets =
            Sockets::datagrams(SocketAddr::from(([127, 0, 0, 1], 0)), 1, &Outfit::default())
                .unwrap();
        let client = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        client.send_to(b"early", sockets.address()).unwrap();
        client.send_to(b"", sockets.address()).unwrap();
        empty(sockets.of(0));
        let nothing = sockets
            .of(0)
            .recv_with_flags(&mut [], libc::MSG_DONTWAIT)
            .unwrap_err();
        assert_eq!(nothing.kind(), io::ErrorKind::WouldBlock);
    }
}

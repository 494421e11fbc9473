//! What happens when the process has no file descriptor left. Alone in its program: the limit is
//! everyone's.
#![allow(clippy::unwrap_used)]

mod rig;

use std::fs::File;
use std::io::Write;
use std::net::{TcpStream, UdpSocket};

use ferryman_udp::Event;
use rig::*;

#[test]
fn without_descriptors_connections_wait_and_the_rest_goes_on() {
    let rig = Rig::new();
    let udp = rig.udp_client(7);
    let clients: Vec<_> = (0..3).map(|_| client_socket()).collect();
    limit(200);
    let mut hoard: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
    let streams: Vec<TcpStream> = clients
        .into_iter()
        .map(|socket| connected(socket, rig.tcp))
        .collect();
    assert!(matches!(rig.event(), Event::Notice { .. }));
    rig.reply(udp.five_tuple, b"still there");
    assert_eq!(udp.receive(), b"still there");
    assert_eq!(rig.counter("connections_accepted"), 0);
    hoard.clear();
    for mut stream in streams {
        let asked = request(BINDING);
        stream.write_all(&asked).unwrap();
        assert!(answers(&receive_exactly(&mut stream, 32), &asked));
    }
    assert!(rig.datapath.drain(64).is_empty(), "reported more than once");
    let _ = UdpSocket::bind(rig.udp).unwrap_err();
}

fn client_socket() -> socket2::Socket {
    socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap()
}

fn connected(socket: socket2::Socket, server: std::net::SocketAddr) -> TcpStream {
    socket.connect(&server.into()).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn limit(count: u64) {
    let limit = libc::rlimit {
        rlim_cur: count,
        rlim_max: count,
    };
    // SAFETY: the kernel reads a structure from a pointer to one.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) }, 0);
}

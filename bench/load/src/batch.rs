//! Many datagrams per system call: `sendmmsg` and `recvmmsg` on buffers made once. Knows
//! connected sockets, and those that speak with anyone.

use std::net::SocketAddrV4;
use std::os::fd::RawFd;
use std::ptr;

/// Datagrams per call, at most.
pub(crate) const BATCH: usize = 64;
/// Not a power of two, so that the slots do not all meet in the same cache set.
const SLOT: usize = 2048 + 64;

/// Buffers with the kernel's descriptions of them, which point into the same heap blocks.
struct Slots {
    octets: Vec<u8>,
    vectors: Vec<libc::iovec>,
    names: Vec<libc::sockaddr_in>,
    headers: Vec<libc::mmsghdr>,
}

impl Slots {
    fn new(named: bool) -> Self {
        // SAFETY: all three are plain C structs for which zero bytes are a valid value.
        let (vector, name, header) = unsafe { std::mem::zeroed() };
        let mut slots = Slots {
            octets: vec![0; BATCH * SLOT],
            vectors: vec![vector; BATCH],
            names: vec![name; BATCH],
            headers: vec![header; BATCH],
        };
        for index in 0..BATCH {
            slots.describe(index, named);
        }
        slots
    }

    /// The vectors never grow, so the pointers stay good as long as `self` lives.
    fn describe(&mut self, index: usize, named: bool) {
        let base: *mut libc::c_void = self.octets[index * SLOT..].as_mut_ptr().cast();
        let iov_len = SLOT;
        self.vectors[index] = libc::iovec {
            iov_base: base,
            iov_len,
        };
        let header = &mut self.headers[index].msg_hdr;
        header.msg_iov = ptr::from_mut(&mut self.vectors[index]);
        header.msg_iovlen = 1;
        if named {
            header.msg_name = ptr::from_mut(&mut self.names[index]).cast();
            header.msg_namelen = size_of::<libc::sockaddr_in>() as u32;
        }
    }
}

/// Datagrams on their way out, all of one socket.
pub(crate) struct Outgoing(Slots);

impl Outgoing {
    /// `named`: each datagram says where it goes, see `address`.
    pub(crate) fn new(named: bool) -> Self {
        Outgoing(Slots::new(named))
    }

    /// Where the datagram at `index` goes.
    pub(crate) fn address(&mut self, index: usize, to: SocketAddrV4) {
        let name = &mut self.0.names[index];
        name.sin_family = libc::AF_INET as u16;
        name.sin_port = to.port().to_be();
        name.sin_addr.s_addr = u32::from(*to.ip()).to_be();
    }

    /// The buffer of the datagram at `index` (below `BATCH`), made `length` bytes long.
    pub(crate) fn slot(&mut self, index: usize, length: usize) -> &mut [u8] {
        self.0.vectors[index].iov_len = length;
        &mut self.0.octets[index * SLOT..][..length]
    }

    /// Sends the first `count` slots; returns how many the kernel took.
    pub(crate) fn send(&mut self, socket: RawFd, count: usize) -> usize {
        self.send_from(socket, 0, count)
    }

    /// Sends `count` slots from `first` on.
    pub(crate) fn send_from(&mut self, socket: RawFd, first: usize, count: usize) -> usize {
        let headers = &mut self.0.headers[first..first + count];
        // SAFETY: `headers` has `count` entries, each describing one live buffer of `self`
        // (see `describe`); the kernel only reads them and writes `msg_len`.
        let taken = unsafe {
            libc::sendmmsg(
                socket,
                headers.as_mut_ptr(),
                count as u32,
                libc::MSG_DONTWAIT,
            )
        };
        usize::try_from(taken).unwrap_or(0)
    }
}

/// Datagrams that came in.
pub(crate) struct Incoming(Slots);

impl Incoming {
    /// `named`: each datagram says where it came from, see `source_port`.
    pub(crate) fn new(named: bool) -> Self {
        Incoming(Slots::new(named))
    }

    /// Takes up to `BATCH` datagrams; returns how many there were.
    pub(crate) fn receive(&mut self, socket: RawFd) -> usize {
        // SAFETY: the headers describe `BATCH` live buffers (and source addresses) of `self`
        // with their true lengths; nobody else holds a reference to them during the call.
        let count = unsafe {
            libc::recvmmsg(
                socket,
                self.0.headers.as_mut_ptr(),
                BATCH as u32,
                libc::MSG_DONTWAIT,
                ptr::null_mut(),
            )
        };
        usize::try_from(count).unwrap_or(0)
    }

    /// The datagram at `index` of the last `receive`.
    pub(crate) fn packet(&self, index: usize) -> &[u8] {
        let length = self.0.headers[index].msg_len as usize;
        &self.0.octets[index * SLOT..][..length.min(SLOT)]
    }

    /// The port that the datagram at `index` came from.
    pub(crate) fn source_port(&self, index: usize) -> u16 {
        u16::from_be(self.0.names[index].sin_port)
    }
}

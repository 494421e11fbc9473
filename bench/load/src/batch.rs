//! Many datagrams per system call: `sendmmsg` and `recvmmsg` on buffers made once. Knows
//! connected sockets, and those that speak with anyone; trains of datagrams, which the kernel
//! cuts (`UDP_SEGMENT`) and leaves together (`UDP_GRO`); and when the kernel saw a datagram come.

use std::net::SocketAddrV4;
use std::os::fd::RawFd;
use std::ptr;

use crate::notes::{Note, Notes};

/// Datagrams per call, at most.
pub(crate) const BATCH: usize = 64;
/// Trains sent per call, at most.
const TRAINS: usize = 4;
/// Not a power of two, so that the slots do not all meet in the same cache set.
const SLOT: usize = 2048 + 64;
/// The same for trains.
const TRAIN_SLOT: usize = 65536 + 64;

/// Buffers with the kernel's descriptions of them, which point into the same heap blocks.
struct Slots {
    stride: usize,
    octets: Vec<u8>,
    vectors: Vec<libc::iovec>,
    names: Vec<libc::sockaddr_in>,
    notes: Vec<Notes>,
    headers: Vec<libc::mmsghdr>,
}

impl Slots {
    fn new(count: usize, stride: usize) -> Self {
        // SAFETY: all three are plain C structs for which zero bytes are a valid value.
        let (vector, name, header) = unsafe { std::mem::zeroed() };
        let mut slots = Slots {
            stride,
            octets: vec![0; count * stride],
            vectors: vec![vector; count],
            names: vec![name; count],
            notes: vec![Notes::default(); count],
            headers: vec![header; count],
        };
        for index in 0..count {
            slots.describe(index);
        }
        slots
    }

    /// The vectors never grow, so the pointers stay good as long as `self` lives.
    fn describe(&mut self, index: usize) {
        let base: *mut libc::c_void = self.octets[index * self.stride..].as_mut_ptr().cast();
        self.vectors[index] = libc::iovec {
            iov_base: base,
            iov_len: self.stride,
        };
        let header = &mut self.headers[index].msg_hdr;
        header.msg_iov = ptr::from_mut(&mut self.vectors[index]);
        header.msg_iovlen = 1;
    }

    /// With room for addresses.
    fn named(mut self) -> Self {
        for (header, name) in self.headers.iter_mut().zip(&mut self.names) {
            header.msg_hdr.msg_name = ptr::from_mut(name).cast();
            header.msg_hdr.msg_namelen = size_of::<libc::sockaddr_in>() as u32;
        }
        self
    }

    /// With room for what the kernel notes beside a datagram, in the first `count` slots.
    fn make_notable(&mut self, count: usize) {
        for (header, notes) in self.headers[..count].iter_mut().zip(&mut self.notes) {
            header.msg_hdr.msg_control = ptr::from_mut(notes).cast();
            header.msg_hdr.msg_controllen = size_of::<Notes>();
        }
    }
}

/// Datagrams on their way out, all of one socket.
pub(crate) struct Outgoing(Slots);

impl Outgoing {
    /// For connected sockets.
    pub(crate) fn new() -> Self {
        Outgoing(Slots::new(BATCH, SLOT))
    }

    /// For sockets that speak with anyone: each datagram says where it goes, see `address`.
    pub(crate) fn named() -> Self {
        Outgoing(Slots::new(BATCH, SLOT).named())
    }

    /// Of trains, for connected sockets: what is put into a slot is cut every `length` bytes.
    pub(crate) fn trains(length: usize) -> Self {
        let mut slots = Slots::new(TRAINS, TRAIN_SLOT);
        for index in 0..TRAINS {
            let written = slots.notes[index].cut_every(length as u16);
            let header = &mut slots.headers[index].msg_hdr;
            header.msg_control = ptr::from_mut(&mut slots.notes[index]).cast();
            header.msg_controllen = written;
        }
        Outgoing(slots)
    }

    /// How many datagrams (or trains) one call can send.
    pub(crate) fn room(&self) -> usize {
        self.0.headers.len()
    }

    /// Where the datagram at `index` goes.
    pub(crate) fn address(&mut self, index: usize, to: SocketAddrV4) {
        let name = &mut self.0.names[index];
        name.sin_family = libc::AF_INET as u16;
        name.sin_port = to.port().to_be();
        name.sin_addr.s_addr = u32::from(*to.ip()).to_be();
    }

    /// The buffer of the datagram (or train) at `index` (below `room`), made `length` bytes long.
    pub(crate) fn slot(&mut self, index: usize, length: usize) -> &mut [u8] {
        self.0.vectors[index].iov_len = length;
        &mut self.0.octets[index * self.0.stride..][..length]
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
pub(crate) struct Incoming {
    slots: Slots,
    /// How many of the slots hold what the kernel noted.
    noted: usize,
    has_notes: bool,
}

impl Incoming {
    /// From connected sockets.
    pub(crate) fn new() -> Self {
        Incoming::of(Slots::new(BATCH, SLOT), false)
    }

    /// From anyone: each datagram says where it came from, see `source_port`.
    pub(crate) fn named() -> Self {
        Incoming::of(Slots::new(BATCH, SLOT).named(), false)
    }

    /// From connected sockets that leave trains together, or tell when a datagram came.
    pub(crate) fn noted() -> Self {
        Incoming::of(Slots::new(BATCH, TRAIN_SLOT), true)
    }

    fn of(slots: Slots, has_notes: bool) -> Self {
        Incoming {
            slots,
            noted: BATCH,
            has_notes,
        }
    }

    /// Takes up to `BATCH` datagrams or trains; returns how many there were.
    pub(crate) fn receive(&mut self, socket: RawFd) -> usize {
        if self.has_notes {
            // The kernel shrinks the room to what it wrote.
            self.slots.make_notable(self.noted);
        }
        // SAFETY: the headers describe `BATCH` live buffers (source addresses, room for notes) of
        // `self` with their true lengths; nobody else holds a reference to them during the call.
        let count = unsafe {
            libc::recvmmsg(
                socket,
                self.slots.headers.as_mut_ptr(),
                BATCH as u32,
                libc::MSG_DONTWAIT,
                ptr::null_mut(),
            )
        };
        self.noted = usize::try_from(count).unwrap_or(0);
        self.noted
    }

    /// The datagrams that lie at `index` of the last `receive`: one, or those of a train.
    pub(crate) fn packets(&self, index: usize) -> impl Iterator<Item = &[u8]> {
        let octets = self.packet(index);
        let length = self.note(index).segment.unwrap_or(octets.len()).max(1);
        let empty = octets.is_empty().then_some(octets);
        empty.into_iter().chain(octets.chunks(length))
    }

    /// All the octets at `index` of the last `receive`.
    pub(crate) fn packet(&self, index: usize) -> &[u8] {
        let length = self.slots.headers[index].msg_len as usize;
        let stride = self.slots.stride;
        &self.slots.octets[index * stride..][..length.min(stride)]
    }

    /// What the kernel noted beside it.
    pub(crate) fn note(&self, index: usize) -> Note {
        if !self.has_notes {
            return Note::default();
        }
        let length = self.slots.headers[index].msg_hdr.msg_controllen;
        self.slots.notes[index].read(length)
    }

    /// The port that the datagram at `index` came from.
    pub(crate) fn source_port(&self, index: usize) -> u16 {
        u16::from_be(self.slots.names[index].sin_port)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::os::fd::AsRawFd;
    use std::time::SystemTime;

    use super::*;
    use crate::flows;
    use crate::sockets;

    const ANY_PORT: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0);

    /// Sends a train of three datagrams of 20 bytes, numbered; returns what one read brought.
    fn train(to_leave_together: bool) -> Vec<Vec<Vec<u8>>> {
        let receiver = sockets::udp(ANY_PORT).expect("a socket");
        let to = flows::address(&receiver).expect("an address");
        let sender = sockets::connected_udp(ANY_PORT, to).expect("a socket");
        sockets::note_arrivals(receiver.as_raw_fd(), to_leave_together).expect("an option");
        let mut outgoing = Outgoing::trains(20);
        let octets = outgoing.slot(0, 60).chunks_exact_mut(20).enumerate();
        octets.for_each(|(number, packet)| packet.fill(number as u8));
        assert_eq!(outgoing.send(sender.as_raw_fd(), 1), 1);
        let mut incoming = Incoming::noted();
        let came = incoming.receive(receiver.as_raw_fd());
        (0..came)
            .map(|index| incoming.packets(index).map(<[u8]>::to_vec).collect())
            .collect()
    }

    #[test]
    fn a_train_is_cut_for_those_who_do_not_ask_for_it_whole() {
        let packets: Vec<_> = (0..3).map(|number| vec![number; 20]).collect();
        assert_eq!(train(true), std::slice::from_ref(&packets));
        let apart: Vec<_> = packets.into_iter().map(|packet| vec![packet]).collect();
        assert_eq!(train(false), apart);
    }

    #[test]
    fn the_kernel_tells_when_a_datagram_came() {
        let receiver = sockets::udp(ANY_PORT).expect("a socket");
        sockets::note_arrivals(receiver.as_raw_fd(), false).expect("an option");
        let to = flows::address(&receiver).expect("an address");
        let now = || {
            SystemTime::UNIX_EPOCH
                .elapsed()
                .expect("after 1970")
                .as_nanos() as u64
        };
        let mut incoming = Incoming::noted();
        // More than once: the room for notes is made anew.
        for _ in 0..3 {
            let before = now();
            receiver.send_to(b"x", to).expect("sent");
            assert_eq!(incoming.receive(receiver.as_raw_fd()), 1);
            let came_at = incoming.note(0).came_at.expect("a time");
            assert!((before..=now()).contains(&came_at));
        }
    }
}

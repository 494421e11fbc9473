//! `recvmmsg` and `sendmmsg`: the only place that hands pointers to the kernel.

use std::io::{self, IoSlice};
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::os::fd::{AsRawFd, BorrowedFd};

use crate::address::{RawAddress, ADDRESS_LENGTH};
use crate::control::{Beside, Control};
use crate::fixed::Fixed;

/// What the kernel says of one slot.
pub(crate) struct Letter {
    pub(crate) from: RawAddress,
    pub(crate) beside: Beside,
    pub(crate) length: usize,
    pub(crate) truncated: bool,
}

/// Receives into slots of one block of memory. The kernel's structures are written once: a call
/// touches only those of the datagrams that came.
pub(crate) struct Intake {
    headers: Fixed<libc::mmsghdr>,
    /// Read by the kernel alone.
    _iovecs: Fixed<libc::iovec>,
    names: Fixed<RawAddress>,
    controls: Fixed<Control>,
}

// SAFETY: the pointers in `headers` and `iovecs` lead into the other arrays and into the block
// given to `new`, all of which stay in place when their owners move to another thread.
unsafe impl Send for Intake {}

impl Intake {
    /// For `slots` slots of `stride` bytes from the beginning of `octets`, which must live as
    /// long as the result (`Slots` owns both).
    pub(crate) fn new(octets: &Fixed<u8>, slots: usize, stride: usize) -> Self {
        let mut headers = Fixed::<libc::mmsghdr>::new(slots);
        let mut iovecs = Fixed::<libc::iovec>::new(slots);
        let names = Fixed::<RawAddress>::new(slots);
        let controls = Fixed::<Control>::new(slots);
        assert!(slots * stride <= octets.all().len());
        for slot in 0..slots {
            iovecs.all_mut()[slot] = libc::iovec {
                iov_base: octets.pointer(slot * stride).cast(),
                iov_len: stride,
            };
            let header = &mut headers.all_mut()[slot].msg_hdr;
            header.msg_name = names.pointer(slot).cast();
            header.msg_control = controls.pointer(slot).cast();
            header.msg_iovlen = 1;
        }
        for slot in 0..slots {
            headers.all_mut()[slot].msg_hdr.msg_iov = iovecs.pointer(slot);
            rearm(&mut headers.all_mut()[slot]);
        }
        Self {
            headers,
            _iovecs: iovecs,
            names,
            controls,
        }
    }

    /// Receives without waiting into the slots from `first` on; 0 when nothing waits.
    pub(crate) fn receive(&mut self, socket: BorrowedFd<'_>, first: usize) -> io::Result<usize> {
        let slots = self.headers.all().len() - first;
        if slots == 0 {
            return Ok(0);
        }
        // SAFETY: the headers from `first` on lead to distinct slots, names, controls and iovecs
        // that live as long as `self` (the slots: as its owner), and `&mut self` of the owner
        // keeps everyone else from them during the call.
        let count = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                self.headers.pointer(first),
                slots as libc::c_uint,
                libc::MSG_DONTWAIT as _,
                std::ptr::null_mut(),
            )
        };
        match usize::try_from(count) {
            Ok(count) => Ok(count),
            Err(_) => none_waits(io::Error::last_os_error()),
        }
    }

    /// What the kernel wrote about a slot that it filled.
    pub(crate) fn letter(&self, slot: usize) -> Letter {
        let header = &self.headers.all()[slot];
        #[allow(clippy::unnecessary_cast)] // not every C library has a usize there
        let control_length = header.msg_hdr.msg_controllen as usize;
        Letter {
            from: self.names.all()[slot],
            beside: self.controls.all()[slot].decode(control_length),
            length: header.msg_len as usize,
            truncated: header.msg_hdr.msg_flags & (libc::MSG_TRUNC | libc::MSG_CTRUNC) != 0,
        }
    }

    /// Makes slots that were filled ready for the next datagrams.
    pub(crate) fn ready(&mut self, slots: Range<usize>) {
        self.headers.all_mut()[slots].iter_mut().for_each(rearm);
    }
}

/// The kernel shrinks these to what it wrote.
fn rearm(header: &mut libc::mmsghdr) {
    header.msg_hdr.msg_namelen = ADDRESS_LENGTH;
    header.msg_hdr.msg_controllen = Control::LENGTH as _;
}

fn none_waits(error: io::Error) -> io::Result<usize> {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Ok(0),
        _ => Err(error),
    }
}

/// One message for `Outlet::send`: a datagram, or a train that the kernel cuts.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) to: SocketAddr,
    pub(crate) source: Option<IpAddr>,
    /// The length of the first datagram, and of all others but the last.
    pub(crate) first: usize,
    /// How many datagrams it is.
    pub(crate) count: usize,
    /// The length of all.
    pub(crate) length: usize,
    /// Where its bytes are among the parts.
    pub(crate) parts: Range<usize>,
}

/// How many messages one call sends at most.
pub(crate) const MESSAGES: usize = 64;

/// Sends many messages in one call.
pub(crate) struct Outlet {
    headers: Fixed<libc::mmsghdr>,
    names: Fixed<RawAddress>,
    controls: Fixed<Control>,
}

// SAFETY: as for `Intake`; pointers to parts are stale outside `send` and not followed.
unsafe impl Send for Outlet {}

impl Outlet {
    pub(crate) fn new() -> Self {
        let mut headers = Fixed::<libc::mmsghdr>::new(MESSAGES);
        let names = Fixed::<RawAddress>::new(MESSAGES);
        let controls = Fixed::<Control>::new(MESSAGES);
        for index in 0..MESSAGES {
            let header = &mut headers.all_mut()[index].msg_hdr;
            header.msg_name = names.pointer(index).cast();
            header.msg_control = controls.pointer(index).cast();
        }
        Self {
            headers,
            names,
            controls,
        }
    }

    /// Sends up to `MESSAGES` messages; returns how many the kernel took. An error speaks of the
    /// first message alone.
    pub(crate) fn send(
        &mut self,
        socket: BorrowedFd<'_>,
        messages: &[Message],
        parts: &[IoSlice<'_>],
    ) -> io::Result<usize> {
        let count = messages.len().min(MESSAGES);
        for (index, message) in messages[..count].iter().enumerate() {
            self.address(index, message, &parts[message.parts.clone()]);
        }
        // SAFETY: `count` headers were written just now; their names and controls live as long as
        // `self`, their iovecs are the `IoSlice`s (the same layout, by its documentation) that are
        // borrowed until the end of this call. The kernel only reads what these lead to.
        let sent = unsafe {
            libc::sendmmsg(
                socket.as_raw_fd(),
                self.headers.pointer(0),
                count as libc::c_uint,
                (libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL) as _,
            )
        };
        usize::try_from(sent).map_err(|_| io::Error::last_os_error())
    }

    fn address(&mut self, index: usize, message: &Message, parts: &[IoSlice<'_>]) {
        let (name, name_length) = RawAddress::of(message.to);
        self.names.all_mut()[index] = name;
        let control = &mut self.controls.all_mut()[index];
        let segment = (message.count > 1).then_some(message.first as u16);
        let control_length = control.encode(message.source, segment);
        let header = &mut self.headers.all_mut()[index].msg_hdr;
        header.msg_namelen = name_length;
        header.msg_controllen = control_length as _;
        header.msg_iov = parts.as_ptr().cast_mut().cast();
        header.msg_iovlen = parts.len() as _;
    }
}

//! Tells which of many sockets have something to read (epoll, level-triggered).

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

/// An epoll set; each socket carries the number that it was added with.
pub(crate) struct Poller {
    set: OwnedFd,
    events: Vec<libc::epoll_event>,
}

impl Poller {
    pub(crate) fn new() -> io::Result<Self> {
        // SAFETY: takes flags only.
        let set = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        if set < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: a fresh descriptor that nobody else owns.
        let set = unsafe { OwnedFd::from_raw_fd(set) };
        let events = vec![libc::epoll_event { events: 0, u64: 0 }; 256];
        Ok(Poller { set, events })
    }

    /// Watches `socket` until it is removed or closed.
    pub(crate) fn add(&self, socket: RawFd, number: usize) -> io::Result<()> {
        let mut event = libc::epoll_event {
            events: libc::EPOLLIN as u32,
            u64: number as u64,
        };
        let set = self.set.as_raw_fd();
        // SAFETY: `event` lives through the call; the kernel copies it.
        if unsafe { libc::epoll_ctl(set, libc::EPOLL_CTL_ADD, socket, &raw mut event) } < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(())
    }

    /// Watches `socket` no more.
    pub(crate) fn remove(&self, socket: RawFd) {
        let set = self.set.as_raw_fd();
        // SAFETY: since Linux 2.6.9 the event may be null when a socket is removed.
        unsafe { libc::epoll_ctl(set, libc::EPOLL_CTL_DEL, socket, std::ptr::null_mut()) };
    }

    /// Puts the numbers of the readable sockets into `ready`.
    pub(crate) fn wait(&mut self, milliseconds: i32, ready: &mut Vec<usize>) {
        let room = self.events.len() as i32;
        let set = self.set.as_raw_fd();
        // SAFETY: `events` has `room` entries that the kernel may fill.
        let count = unsafe { libc::epoll_wait(set, self.events.as_mut_ptr(), room, milliseconds) };
        let count = usize::try_from(count).unwrap_or(0);
        ready.clear();
        ready.extend(self.events[..count].iter().map(|event| event.u64 as usize));
    }
}

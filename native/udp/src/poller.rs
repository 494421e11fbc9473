//! Level-triggered epoll: which sockets have something.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, Event, EventData, EventFlags};

use crate::clock;
use crate::relay::RelayPlace;

/// Who is ready. Places and slots may be reused, so that a token may be stale within one turn: it
/// costs one read that finds nothing. Connection numbers are never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    Inbox,
    Listener(u32),
    Acceptor(u32),
    Relay(RelayPlace),
    Connection(u64),
    /// The socket of a TCP allocation, by the engine's number of it.
    TcpRelay(u64),
    /// A peer's connection.
    Peer(u64),
}

const KIND_SHIFT: u32 = 60;

impl Token {
    fn encode(self) -> EventData {
        let (kind, value) = match self {
            Token::Inbox => (0, 0),
            Token::Listener(place) => (1, u64::from(place)),
            Token::Acceptor(place) => (2, u64::from(place)),
            Token::Relay(place) => (3, u64::from(place.number())),
            Token::Connection(number) => (4, number),
            Token::TcpRelay(allocation) => (5, allocation),
            Token::Peer(number) => (6, number),
        };
        EventData::new_u64(kind << KIND_SHIFT | value)
    }

    fn decode(raw: u64) -> Self {
        let value = raw & ((1 << KIND_SHIFT) - 1);
        match raw >> KIND_SHIFT {
            0 => Token::Inbox,
            1 => Token::Listener(value as u32),
            2 => Token::Acceptor(value as u32),
            3 => Token::Relay(RelayPlace::from_number(value as u32)),
            4 => Token::Connection(value),
            5 => Token::TcpRelay(value),
            _ => Token::Peer(value),
        }
    }
}

/// What a socket is watched for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Interest {
    pub(crate) read: bool,
    pub(crate) write: bool,
}

impl Interest {
    pub(crate) const READ: Self = Self {
        read: true,
        write: false,
    };
    pub(crate) const WRITE: Self = Self {
        read: false,
        write: true,
    };
    pub(crate) const NONE: Self = Self {
        read: false,
        write: false,
    };

    fn flags(self) -> EventFlags {
        let mut flags = EventFlags::empty();
        flags.set(EventFlags::IN, self.read);
        flags.set(EventFlags::OUT, self.write);
        flags
    }
}

/// A socket that is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ready {
    pub(crate) token: Token,
    pub(crate) write: bool,
    /// The other side is gone altogether (for streams).
    pub(crate) broken: bool,
}

/// How many sockets a turn serves at most; the kernel brings the others next.
const TURN: usize = 512;

/// What one wait brought; made by the thread that waits.
pub(crate) struct Round {
    events: Vec<Event>,
}

impl Round {
    pub(crate) fn new() -> Self {
        Self {
            events: Vec::with_capacity(TURN),
        }
    }

    /// The sockets that are ready.
    pub(crate) fn ready(&self) -> impl Iterator<Item = Ready> + '_ {
        self.events.iter().map(|event| {
            // Copied out of a packed structure.
            let (flags, token) = (event.flags, event.data);
            Ready {
                token: Token::decode(token.u64()),
                write: flags.contains(EventFlags::OUT),
                broken: flags.intersects(EventFlags::HUP | EventFlags::ERR),
            }
        })
    }
}

/// The epoll instance.
pub(crate) struct Poller {
    epoll: OwnedFd,
}

impl Poller {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
        })
    }

    /// Watches a socket until it is closed.
    pub(crate) fn add(&self, fd: impl AsFd, token: Token, interest: Interest) -> io::Result<()> {
        Ok(epoll::add(
            &self.epoll,
            fd,
            token.encode(),
            interest.flags(),
        )?)
    }

    pub(crate) fn change(&self, fd: impl AsFd, token: Token, interest: Interest) -> io::Result<()> {
        Ok(epoll::modify(
            &self.epoll,
            fd,
            token.encode(),
            interest.flags(),
        )?)
    }

    /// Watches a socket no more.
    pub(crate) fn remove(&self, fd: impl AsFd) -> io::Result<()> {
        Ok(epoll::delete(&self.epoll, fd)?)
    }

    /// Watches a socket for something else than before, and not at all for nothing: the kernel
    /// would tell again and again that a connection is over which is not read yet.
    pub(crate) fn watch(
        &self,
        fd: impl AsFd,
        token: Token,
        before: Interest,
        after: Interest,
    ) -> io::Result<()> {
        match (before, after) {
            _ if before == after => Ok(()),
            (_, Interest::NONE) => self.remove(fd),
            (Interest::NONE, _) => self.add(fd, token, after),
            _ => self.change(fd, token, after),
        }
    }

    /// Waits until something is ready or `timeout` nanoseconds are over.
    pub(crate) fn wait(&self, timeout: Option<u64>, round: &mut Round) -> io::Result<()> {
        round.events.clear();
        let timeout = timeout.map(clock::timespec);
        match epoll::wait(
            &self.epoll,
            spare_capacity(&mut round.events),
            timeout.as_ref(),
        ) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_survives_the_kernel() {
        let tokens = [
            Token::Inbox,
            Token::Listener(3),
            Token::Acceptor(u32::MAX),
            Token::Relay(RelayPlace::from_number(u32::MAX)),
            Token::Connection((1 << KIND_SHIFT) - 1),
            Token::TcpRelay(1),
            Token::Peer(1 << 32),
        ];
        for token in tokens {
            assert_eq!(Token::decode(token.encode().u64()), token);
        }
    }
}

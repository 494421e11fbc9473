//! Many clients in flight at once: sends their requests, again when no answer comes
//! (RFC 8489 §6.2.1), and hands back those that have finished. Knows UDP, TCP and TLS clients.

use std::io::{self, Read, Write};
use std::net::{SocketAddrV4, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, RawFd};
use std::time::{Duration, Instant};

use crate::dialogue::{Account, Aim, Dialogue, Outcome};
use crate::poller::Poller;
use crate::stun;
use crate::tls::SharedTls;
use crate::Trouble;

const RETRANSMIT: Duration = Duration::from_millis(500);
const TRIES: u32 = 7;

/// A client's way to the server.
pub(crate) enum Path {
    Udp(UdpSocket),
    /// With what has been read of the message to come.
    Tcp(TcpStream, Vec<u8>),
    Tls(SharedTls, Vec<u8>),
}

impl Path {
    pub(crate) fn socket(&self) -> RawFd {
        match self {
            Path::Udp(socket) => socket.as_raw_fd(),
            Path::Tcp(stream, _) => stream.as_raw_fd(),
            Path::Tls(tls, _) => tls.borrow().socket(),
        }
    }

    fn send(&mut self, request: &[u8]) -> io::Result<()> {
        match self {
            Path::Udp(socket) => socket.send(request).map(drop),
            Path::Tcp(stream, _) => stream.write_all(request),
            Path::Tls(tls, _) => tls.borrow_mut().send(request),
        }
    }

    /// The next whole message, if it is there.
    fn receive(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut octets = [0; 2048];
        match self {
            Path::Udp(socket) => {
                let length = socket.recv(&mut octets);
                Ok(there(length)?.map(|length| octets[..length].to_vec()))
            }
            Path::Tcp(stream, partial) => {
                let length = there(stream.read(&mut octets))?;
                partial.extend_from_slice(&octets[..length.unwrap_or(0)]);
                Ok(first_message(partial))
            }
            Path::Tls(tls, partial) => {
                let length = tls.borrow_mut().receive(&mut octets)?;
                partial.extend_from_slice(&octets[..length]);
                Ok(first_message(partial))
            }
        }
    }
}

fn there(length: io::Result<usize>) -> io::Result<Option<usize>> {
    match length {
        Ok(length) => Ok(Some(length)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}

fn first_message(partial: &mut Vec<u8>) -> Option<Vec<u8>> {
    let length = u16::from_be_bytes([*partial.get(2)?, *partial.get(3)?]);
    let end = stun::HEADER + usize::from(length);
    (partial.len() >= end).then(|| partial.drain(..end).collect())
}

/// One client: its path and its place in the dialogue.
pub(crate) struct Client {
    pub(crate) number: usize,
    pub(crate) path: Path,
    dialogue: Dialogue,
    sent_at: Instant,
    tries: u32,
}

impl Client {
    /// The relayed address that the server gave.
    pub(crate) fn relayed(&self) -> Result<SocketAddrV4, Trouble> {
        let relayed = self.dialogue.relayed;
        relayed.ok_or_else(|| "no IPv4 XOR-RELAYED-ADDRESS in the Allocate success".into())
    }

    fn send(&mut self) -> io::Result<()> {
        self.sent_at = Instant::now();
        self.tries += 1;
        self.path.send(&self.dialogue.request)
    }
}

/// How a client came out of it.
pub(crate) enum Ended {
    Finished(Client),
    /// With the error code.
    Refused(Client, u16),
}

/// The clients in flight.
pub(crate) struct Fleet {
    account: Account,
    poller: Poller,
    berths: Vec<Option<Client>>,
    ready: Vec<usize>,
    serial: u64,
    next_sweep: Instant,
    pub(crate) in_flight: usize,
    pub(crate) retransmissions: u64,
}

impl Fleet {
    /// At most `capacity` clients at once.
    pub(crate) fn new(account: Account, capacity: usize) -> io::Result<Self> {
        Ok(Fleet {
            account,
            poller: Poller::new()?,
            berths: (0..capacity).map(|_| None).collect(),
            ready: Vec::with_capacity(256),
            serial: u64::from(std::process::id()) << 32,
            next_sweep: Instant::now(),
            in_flight: 0,
            retransmissions: 0,
        })
    }

    pub(crate) fn has_room(&self) -> bool {
        self.in_flight < self.berths.len()
    }

    /// Starts a client; call only when there is room.
    pub(crate) fn launch(&mut self, number: usize, path: Path, aim: Aim) -> Result<(), Trouble> {
        self.serial += 1;
        self.enter(Client {
            number,
            path,
            dialogue: Dialogue::new(&self.account, aim, self.serial),
            sent_at: Instant::now(),
            tries: 0,
        })
    }

    /// Has a client that had finished give its allocation back; call only when there is room.
    pub(crate) fn release(&mut self, mut client: Client) -> Result<(), Trouble> {
        client.dialogue.release(&self.account);
        client.tries = 0;
        self.enter(client)
    }

    fn enter(&mut self, mut client: Client) -> Result<(), Trouble> {
        let berth = self.berths.iter().position(Option::is_none);
        let berth = berth.ok_or("no room for another client")?;
        self.poller.add(client.path.socket(), berth)?;
        client.send()?;
        self.berths[berth] = Some(client);
        self.in_flight += 1;
        Ok(())
    }

    /// Takes the answers that are there, waiting for `milliseconds` at most.
    pub(crate) fn turn(&mut self, milliseconds: i32) -> Result<Vec<Ended>, Trouble> {
        let mut ready = std::mem::take(&mut self.ready);
        self.poller.wait(milliseconds, &mut ready);
        let mut ended = Vec::new();
        for &berth in &ready {
            ended.extend(self.attend(berth)?);
        }
        self.ready = ready;
        self.sweep()?;
        Ok(ended)
    }

    fn attend(&mut self, berth: usize) -> Result<Option<Ended>, Trouble> {
        let Some(client) = &mut self.berths[berth] else {
            return Ok(None);
        };
        let Some(packet) = client.path.receive()? else {
            return Ok(None);
        };
        match client.dialogue.answer_untrusted(&self.account, &packet) {
            Outcome::Ignored => Ok(None),
            Outcome::Next => {
                client.tries = 0;
                client.send()?;
                Ok(None)
            }
            Outcome::Finished => Ok(self.leave(berth).map(Ended::Finished)),
            Outcome::Refused(code) => {
                let client = self.leave(berth);
                Ok(client.map(|client| Ended::Refused(client, code)))
            }
        }
    }

    fn leave(&mut self, berth: usize) -> Option<Client> {
        let client = self.berths[berth].take()?;
        self.poller.remove(client.path.socket());
        self.in_flight -= 1;
        Some(client)
    }

    /// Sends again what has waited too long.
    fn sweep(&mut self) -> Result<(), Trouble> {
        let now = Instant::now();
        if now < self.next_sweep {
            return Ok(());
        }
        self.next_sweep = now + RETRANSMIT / 10;
        let waiting = self.berths.iter_mut().flatten();
        for client in waiting.filter(|client| now - client.sent_at > RETRANSMIT) {
            if client.tries > TRIES {
                return Err("the server does not answer".into());
            }
            self.retransmissions += 1;
            match client.path {
                Path::Udp(_) => client.send()?,
                Path::Tcp(..) | Path::Tls(..) => {
                    (client.sent_at, client.tries) = (now, client.tries + 1)
                }
            }
        }
        Ok(())
    }
}

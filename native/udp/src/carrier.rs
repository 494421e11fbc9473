//! What carries a client's stream: TCP, or TLS over it. Which of them, the first octet tells. Before
//! it a front end may have to say whose the stream is.
//!
//! Whoever reads and writes sees octets of the stream alone.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use ferryman_flow::proxy::{header_untrusted, Announced, Header, PROXY_LIMIT};
use rustls::ServerConfig;

use crate::tls::{Content, Tls, RECORD};

/// The first octet of a TLS connection: a record of type handshake (RFC 8446 §5.1).
///
/// In plain TCP it would begin a STUN message of a method from 0x580 on (RFC 8489 §5). Methods end
/// at 0x0FF, those above are set aside so that TLS and STUN can be told apart (RFC 7983 §3).
const TLS_HANDSHAKE: u8 = 0x16;

/// What is spoken on the ports of an acceptor.
#[derive(Clone)]
pub(crate) struct Spoken {
    pub(crate) plain: bool,
    pub(crate) tls: Option<Arc<ServerConfig>>,
}

enum Guise {
    /// A front end is to say who the client is; what has come of that.
    Announced(Spoken, Vec<u8>),
    /// Nothing has come yet.
    Unknown(Spoken),
    Plain,
    Tls(Box<Tls>),
}

/// A stream to a client.
pub(crate) struct Carrier {
    stream: TcpStream,
    guise: Guise,
}

impl From<TcpStream> for Carrier {
    /// Plain TCP.
    fn from(stream: TcpStream) -> Self {
        Self {
            stream,
            guise: Guise::Plain,
        }
    }
}

impl Carrier {
    /// A stream of which the first octet is yet to come.
    pub(crate) fn new(stream: TcpStream, spoken: Spoken) -> Self {
        Self {
            stream,
            guise: Guise::Unknown(spoken),
        }
    }

    /// A stream of which a front end says first whose it is (PROXY protocol).
    pub(crate) fn announced(stream: TcpStream, spoken: Spoken) -> Self {
        Self {
            stream,
            guise: Guise::Announced(spoken, Vec::new()),
        }
    }

    /// Whether a front end has yet to say whose the stream is: nothing is read before `announcement`
    /// has heard it.
    pub(crate) fn is_unannounced(&self) -> bool {
        matches!(self.guise, Guise::Announced(..))
    }

    /// Reads on in what the front end says and no further; returns it when it is complete. `None` in
    /// it: the front end speaks for itself. InvalidData for what is no PROXY header, otherwise as
    /// `read`.
    pub(crate) fn announcement(&mut self) -> io::Result<Option<Announced>> {
        let Guise::Announced(spoken, header) = &mut self.guise else {
            return Ok(None);
        };
        let mut room = [0; PROXY_LIMIT];
        let held = header.len();
        room[..held].copy_from_slice(header);
        let end = held + peek_some(&self.stream, &mut room[held..])?;
        let (length, announced) = match header_untrusted(&room[..end]) {
            Header::Complete(length, announced) => (length, announced),
            Header::NeedMore => {
                self.stream.read_exact(&mut room[held..end])?;
                header.extend_from_slice(&room[held..end]);
                return Err(io::ErrorKind::WouldBlock.into());
            }
            Header::Bad => return Err(io::ErrorKind::InvalidData.into()),
        };
        self.stream.read_exact(&mut room[held..length])?;
        self.guise = Guise::Unknown(spoken.clone());
        Ok(announced)
    }

    pub(crate) fn is_tls(&self) -> bool {
        matches!(self.guise, Guise::Tls(_))
    }

    /// Whether the next read may cost the arithmetic of a TLS handshake.
    pub(crate) fn is_handshaking(&self) -> bool {
        match &self.guise {
            Guise::Announced(..) | Guise::Unknown(_) => true,
            Guise::Plain => false,
            Guise::Tls(tls) => tls.is_handshaking(),
        }
    }

    /// Whether the client has said that nothing more comes, though its TCP stream stands.
    pub(crate) fn has_ended(&self) -> bool {
        matches!(&self.guise, Guise::Tls(tls) if tls.ended)
    }

    /// How much room `read` needs to take `fresh` octets from the network.
    pub(crate) fn room_to_read(&self, fresh: usize) -> usize {
        match &self.guise {
            Guise::Announced(..) | Guise::Unknown(_) => RECORD + fresh,
            Guise::Plain => fresh,
            Guise::Tls(tls) => tls.landing() + fresh,
        }
    }

    /// Reads once from the network; returns how many octets of the stream are in `room` now, which
    /// may be none. UnexpectedEof at the end of the stream, WouldBlock when nothing is there.
    pub(crate) fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        if let Guise::Unknown(spoken) = &self.guise {
            self.guise = guise(&self.stream, spoken)?;
        }
        match &mut self.guise {
            Guise::Tls(tls) => {
                let count = read_some(&mut self.stream, &mut room[tls.landing()..])?;
                tls.open(room, count)
            }
            _ => read_some(&mut self.stream, room),
        }
    }

    /// How many octets have been taken by `write` and not by the network.
    pub(crate) fn waiting(&self) -> usize {
        match &self.guise {
            Guise::Tls(tls) => tls.records().len(),
            _ => 0,
        }
    }

    /// Takes some octets to be sent, all that TLS can put into a batch of records; returns how
    /// many. WouldBlock when the network takes no more. `spare` gives and gets memory.
    pub(crate) fn write(
        &mut self,
        octets: &[u8],
        content: Content,
        spare: &mut Vec<Vec<u8>>,
    ) -> io::Result<usize> {
        let Guise::Tls(tls) = &mut self.guise else {
            return write_some(&mut self.stream, octets);
        };
        flush(&mut self.stream, tls, spare)?;
        if octets.is_empty() {
            return Ok(0);
        }
        let count = tls.seal(octets, content, spare)?;
        match flush(&mut self.stream, tls, spare) {
            Err(error) if !is_not_yet(&error) => Err(error),
            _ => Ok(count),
        }
    }

    /// Nothing more is to be sent: what TLS says about it is ready for `write`.
    pub(crate) fn finish(&mut self) {
        if let Guise::Tls(tls) = &mut self.guise {
            tls.finish();
        }
    }
}

impl Carrier {
    /// Octets that have been read and say nothing yet: the beginning of a record.
    pub(crate) fn held(&self) -> usize {
        match &self.guise {
            Guise::Tls(tls) => tls.landing() - RECORD,
            _ => 0,
        }
    }

    /// Ends the TCP stream to the client; the other direction stays open.
    pub(crate) fn shut_down(&self) {
        // A client that is gone is noticed elsewhere.
        let _ = self.stream.shutdown(Shutdown::Write);
    }
}

impl AsFd for Carrier {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

fn guise(stream: &TcpStream, spoken: &Spoken) -> io::Result<Guise> {
    let mut first = [0];
    peek_some(stream, &mut first)?;
    match (&spoken.tls, first[0] == TLS_HANDSHAKE) {
        (Some(config), true) => Ok(Guise::Tls(Box::new(Tls::new(Arc::clone(config))?))),
        (_, false) if spoken.plain => Ok(Guise::Plain),
        _ => Err(io::ErrorKind::Unsupported.into()),
    }
}

fn flush(stream: &mut TcpStream, tls: &mut Tls, spare: &mut Vec<Vec<u8>>) -> io::Result<()> {
    while !tls.records().is_empty() {
        let count = write_some(stream, tls.records())?;
        tls.note_sent(count, spare);
    }
    Ok(())
}

fn read_some(stream: &mut TcpStream, room: &mut [u8]) -> io::Result<usize> {
    match stream.read(room)? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        count => Ok(count),
    }
}

fn peek_some(stream: &TcpStream, room: &mut [u8]) -> io::Result<usize> {
    match stream.peek(room)? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        count => Ok(count),
    }
}

fn write_some(stream: &mut TcpStream, octets: &[u8]) -> io::Result<usize> {
    match stream.write(octets)? {
        0 => Err(io::ErrorKind::WriteZero.into()),
        count => Ok(count),
    }
}

/// Whether an error says that it is worth trying again later.
pub(crate) fn is_not_yet(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}

//! Reads `--name value` pairs from the command line; knows nothing of what they are for.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use crate::Trouble;

/// Which way the payload travels.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    /// From client to peer.
    Up,
    /// From peer to client.
    Down,
    /// Both at once.
    Both,
}

/// How clients speak to the server.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    Udp,
    Tcp,
    Tls,
}

impl Transport {
    /// Whether messages come in a stream.
    pub(crate) fn is_stream(self) -> bool {
        self != Transport::Udp
    }
}

/// Everything that the command line can say; each subcommand reads what concerns it.
pub(crate) struct Options {
    pub(crate) server: SocketAddrV4,
    /// Where clients and peers are, on any port.
    pub(crate) client: Ipv4Addr,
    pub(crate) peer: Ipv4Addr,
    pub(crate) user: String,
    pub(crate) password: String,
    pub(crate) realm: Option<String>,
    pub(crate) flows: usize,
    pub(crate) size: usize,
    pub(crate) direction: Direction,
    pub(crate) transport: Transport,
    pub(crate) channels: bool,
    pub(crate) window: Option<u32>,
    pub(crate) burst: Option<usize>,
    pub(crate) rate: Option<u64>,
    /// How many datagrams are sent as one train, by peers where clients have streams; more than one:
    /// whoever receives datagrams takes trains whole.
    pub(crate) train: usize,
    pub(crate) sockets: usize,
    pub(crate) in_flight: usize,
    pub(crate) allocations: usize,
    /// Of how many cycles one leaves its allocation to expire; 0: none does.
    pub(crate) leave: u64,
    pub(crate) core: usize,
    pub(crate) watch: Vec<u32>,
    pub(crate) watch_core: Vec<usize>,
    pub(crate) seconds: Duration,
    pub(crate) warmup: Duration,
}

impl Options {
    fn defaults() -> Self {
        Options {
            server: SocketAddrV4::new(Ipv4Addr::LOCALHOST, 3478),
            client: Ipv4Addr::LOCALHOST,
            peer: Ipv4Addr::LOCALHOST,
            user: String::new(),
            password: String::new(),
            realm: None,
            flows: 1,
            size: 160,
            direction: Direction::Up,
            transport: Transport::Udp,
            channels: true,
            window: None,
            burst: None,
            rate: None,
            train: 1,
            sockets: 8,
            in_flight: 48,
            allocations: 2000,
            leave: 0,
            core: 0,
            watch: Vec::new(),
            watch_core: Vec::new(),
            seconds: Duration::from_secs(2),
            warmup: Duration::from_millis(500),
        }
    }

    /// Reads the words after the subcommand.
    pub(crate) fn read(mut words: impl Iterator<Item = String>) -> Result<Self, Trouble> {
        let mut options = Options::defaults();
        while let Some(name) = words.next() {
            let value = words.next().ok_or(format!("{name} needs a value"))?;
            options
                .set(&name, &value)
                .map_err(|why| format!("{name} {value}: {why}"))?;
        }
        options.check()
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), Trouble> {
        match name {
            "--server" => self.server = value.parse()?,
            "--client" => self.client = value.parse()?,
            "--peer" => self.peer = value.parse()?,
            "--user" => self.user = value.into(),
            "--password" => self.password = value.into(),
            "--realm" => self.realm = (value != "auto").then(|| value.into()),
            "--direction" => self.direction = direction(value)?,
            "--transport" => self.transport = transport(value)?,
            "--method" => self.channels = either(value, "channel", "send")?,
            "--watch" => self.watch.push(value.parse()?),
            "--watch-core" => self.watch_core.push(value.parse()?),
            "--seconds" => self.seconds = Duration::try_from_secs_f64(value.parse()?)?,
            "--warmup" => self.warmup = Duration::try_from_secs_f64(value.parse()?)?,
            _ => self.set_number(name, value)?,
        }
        Ok(())
    }

    fn set_number(&mut self, name: &str, value: &str) -> Result<(), Trouble> {
        match name {
            "--flows" => self.flows = value.parse()?,
            "--size" => self.size = value.parse()?,
            "--window" => self.window = Some(value.parse()?),
            "--burst" => self.burst = Some(value.parse()?),
            "--rate" => self.rate = Some(value.parse()?),
            "--train" => self.train = value.parse()?,
            "--sockets" => self.sockets = value.parse()?,
            "--in-flight" => self.in_flight = value.parse()?,
            "--allocations" => self.allocations = value.parse()?,
            "--leave" => self.leave = value.parse()?,
            "--core" => self.core = value.parse()?,
            _ => return Err("no such option".into()),
        }
        Ok(())
    }

    fn check(self) -> Result<Self, Trouble> {
        if !(16..=1400).contains(&self.size) {
            return Err("--size: 16 to 1400 bytes".into());
        }
        if !(1..=4000).contains(&self.flows) {
            return Err("--flows: 1 to 4000".into());
        }
        if !(1..=64).contains(&self.train) || self.train * (self.size + 64) > 65_000 {
            return Err("--train: 1 to 64 packets, 65,000 bytes at most with their headers".into());
        }
        if self.sockets == 0 || self.in_flight == 0 || self.allocations == 0 {
            return Err("--sockets, --in-flight and --allocations: at least 1".into());
        }
        Ok(self)
    }

    /// Whether the kernel is asked to note something beside what arrives.
    pub(crate) fn notes(&self) -> bool {
        self.train > 1 || self.rate.is_some()
    }

    /// Whether clients send to peers.
    pub(crate) fn up(&self) -> bool {
        self.direction != Direction::Down
    }

    /// Whether peers send to clients.
    pub(crate) fn down(&self) -> bool {
        self.direction != Direction::Up
    }
}

fn direction(value: &str) -> Result<Direction, Trouble> {
    match value {
        "up" => Ok(Direction::Up),
        "down" => Ok(Direction::Down),
        "both" => Ok(Direction::Both),
        _ => Err("up, down or both".into()),
    }
}

fn transport(value: &str) -> Result<Transport, Trouble> {
    match value {
        "udp" => Ok(Transport::Udp),
        "tcp" => Ok(Transport::Tcp),
        "tls" => Ok(Transport::Tls),
        _ => Err("udp, tcp or tls".into()),
    }
}

fn either(value: &str, yes: &str, no: &str) -> Result<bool, Trouble> {
    if value != yes && value != no {
        return Err(format!("{yes} or {no}").into());
    }
    Ok(value == yes)
}

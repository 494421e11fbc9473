//! A TURN load: plays clients and peers on loopback against any TURN server.
//!
//! Each subcommand prints one JSON object on standard output. It knows nothing of any server's
//! insides: it speaks RFC 8489 and RFC 8656 (IPv4 only) and reads the clocks of the processes
//! that it is told to watch.

mod batch;
mod binding;
mod ceiling;
mod cycles;
mod dialogue;
mod fleet;
mod flows;
mod hold;
mod lane;
mod notes;
mod options;
mod poller;
mod pump;
mod relay;
mod siege;
mod sockets;
mod stream;
mod stun;
mod tally;
mod tls;
mod watch;
use std::process::ExitCode;

use options::Options;

/// What went wrong, in words for the terminal.
pub(crate) type Trouble = Box<dyn std::error::Error>;

const USAGE: &str = "\
usage: ferryman-load relay    --server IP:PORT --user U --password P [--flows 1] [--size 160]
                              [--direction up|down|both] [--transport udp|tcp|tls]
                              [--method channel|send] [--window 128] [--burst 16]
                              [--rate PACKETS_PER_SECOND] [--train 1]
       ferryman-load binding  --server IP:PORT [--sockets 8] [--window 32]
       ferryman-load allocate --server IP:PORT --user U --password P [--in-flight 48]
                              [--rate CYCLES_PER_SECOND] [--leave ONE_OF]
       ferryman-load siege    --server IP:PORT --user U --password P --rate HOSTILE_PER_SECOND
       ferryman-load hold     --server IP:PORT --user U --password P --allocations N
       ferryman-load ceiling  [--flows 1] [--size 160] [--direction up|down|both] [--core 0]
each also takes: --seconds 2 --warmup 0.5 --realm auto
and, any number of times: --watch PID --watch-core CORE";

fn main() -> ExitCode {
    match run() {
        Ok(report) => {
            println!("{report}");
            ExitCode::SUCCESS
        }
        Err(trouble) => {
            eprintln!("ferryman-load: {trouble}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<String, Trouble> {
    let mut words = std::env::args().skip(1);
    let subcommand = words.next().unwrap_or_default();
    let options = Options::read(words)?;
    match subcommand.as_str() {
        "relay" => relay::run(&options),
        "binding" => binding::run(&options),
        "allocate" => cycles::run(&options),
        "siege" => siege::run(&options),
        "hold" => hold::run(&options),
        "ceiling" => ceiling::run(&options),
        _ => Err(USAGE.into()),
    }
}

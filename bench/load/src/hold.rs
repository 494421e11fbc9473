//! Opens idle allocations and holds them until its standard input ends, so that somebody can
//! look at the server's memory meanwhile.

use std::io::{Read, Write};

use crate::dialogue::Aim;
use crate::flows;
use crate::options::Options;
use crate::tally::Report;
use crate::Trouble;

const IDLE: Aim = Aim {
    peer: None,
    release: false,
};

/// Says `holding` on a line of its own when all are open.
pub(crate) fn run(options: &Options) -> Result<String, Trouble> {
    let clients = flows::open_all(options, options.allocations, |_| IDLE)?;
    println!("holding");
    std::io::stdout().flush()?;
    std::io::stdin().read_to_end(&mut Vec::new())?;
    let report = Report::new("hold").integer("allocations", clients.len() as u64);
    Ok(report.finish())
}

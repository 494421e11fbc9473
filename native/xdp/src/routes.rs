//! What the kernel program's route look-up needs, and what the system puts into its own packets.

use std::fs;
use std::path::Path;

use crate::Trouble;

/// The kernel answers a program's question for a route only where the interface it names forwards.
/// The program names the loopback interface, as the stack does for packets of this machine's own:
/// the real interfaces forward no more than before, and nothing arrives at this one from outside.
const FORWARDING: [&str; 2] = [
    "/proc/sys/net/ipv4/conf/lo/forwarding",
    "/proc/sys/net/ipv6/conf/lo/forwarding",
];

/// Switches on what is not on yet.
pub(crate) fn let_lookups_work() -> Result<(), Trouble> {
    for path in FORWARDING
        .into_iter()
        .filter(|path| Path::new(path).exists())
    {
        if number(path) != Some(1) {
            fs::write(path, "1").map_err(|error| Trouble::new(path, error))?;
        }
    }
    Ok(())
}

/// The TTL of this machine's own packets.
pub(crate) fn default_ttl() -> u32 {
    number("/proc/sys/net/ipv4/ip_default_ttl").unwrap_or(64)
}

/// Their Hop Limit.
pub(crate) fn default_hop_limit() -> u32 {
    number("/proc/sys/net/ipv6/conf/default/hop_limit").unwrap_or(64)
}

fn number(path: &str) -> Option<u32> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

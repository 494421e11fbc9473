//! Which worker relays from which address: what a worker asks about a peer that it does not know
//! itself. Read for every packet that leaves, so that nothing here is ever locked.
//!
//! Knows no allocation, only that some worker has one there.

use std::array;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::OnceLock;

use crate::endpoint::ip_number;

const BUCKETS: usize = 256;
const ROW: usize = 256;
/// Of an address from which nobody relays; a worker's entry is its number and one.
const NOBODY: u16 = 0;

type Row = [AtomicU16; ROW];

/// The ports of one IP, in rows that are made when they are needed.
#[derive(Debug)]
struct Page {
    ip: IpAddr,
    rows: [OnceLock<Box<Row>>; 65_536 / ROW],
    next: Chain,
}

type Chain = OnceLock<Box<Page>>;

/// The relayed addresses of all workers. Pages are never given back: there are as many as relay IPs,
/// which are few.
#[derive(Debug)]
pub struct RelayOwners {
    pages: [Chain; BUCKETS],
}

impl Default for RelayOwners {
    fn default() -> Self {
        Self {
            pages: array::from_fn(|_| Chain::new()),
        }
    }
}

impl RelayOwners {
    /// A worker relays from this address, whoever did before.
    pub(crate) fn claim(&self, address: SocketAddr, worker: u16) {
        self.entry(address).store(worker + 1, Ordering::Release);
    }

    /// A worker relays from this address no more; nothing when another one has claimed it since.
    pub(crate) fn release(&self, address: SocketAddr, worker: u16) {
        let entry = self.entry(address);
        let _ = entry.compare_exchange(worker + 1, NOBODY, Ordering::AcqRel, Ordering::Relaxed);
    }

    /// The worker that relays from this address.
    #[inline]
    pub(crate) fn find(&self, address: SocketAddr) -> Option<u16> {
        let mut chain = self.chain(address.ip());
        loop {
            let page = chain.get()?;
            if page.ip == address.ip() {
                let (row, place) = split(address.port());
                let entry = page.rows[row].get()?[place].load(Ordering::Acquire);
                return entry.checked_sub(1);
            }
            chain = &page.next;
        }
    }

    fn entry(&self, address: SocketAddr) -> &AtomicU16 {
        let mut chain = self.chain(address.ip());
        loop {
            let page = chain.get_or_init(|| Box::new(Page::of(address.ip())));
            if page.ip == address.ip() {
                let (row, place) = split(address.port());
                let row =
                    page.rows[row].get_or_init(|| Box::new(array::from_fn(|_| NOBODY.into())));
                return &row[place];
            }
            chain = &page.next;
        }
    }

    fn chain(&self, ip: IpAddr) -> &Chain {
        let number = ip_number(ip);
        let folded = (number ^ (number >> 64)) as u64;
        let spread = folded.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        &self.pages[(spread >> 56) as usize]
    }
}

impl Page {
    fn of(ip: IpAddr) -> Self {
        Self {
            ip,
            rows: array::from_fn(|_| OnceLock::new()),
            next: Chain::new(),
        }
    }
}

fn split(port: u16) -> (usize, usize) {
    (usize::from(port) / ROW, usize::from(port) % ROW)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap_or_else(|_| panic!("{text}"))
    }

    #[test]
    fn the_last_claim_counts_and_only_its_owner_takes_it_back() {
        let owners = RelayOwners::default();
        let (one, other) = (address("192.0.2.1:50000"), address("[::192.0.2.1]:50000"));
        assert_eq!(owners.find(one), None);
        owners.claim(one, 0);
        owners.claim(other, 7);
        assert_eq!((owners.find(one), owners.find(other)), (Some(0), Some(7)));
        owners.claim(one, 3);
        owners.release(one, 0);
        assert_eq!(owners.find(one), Some(3));
        owners.release(one, 3);
        assert_eq!((owners.find(one), owners.find(other)), (None, Some(7)));
    }

    #[test]
    fn more_ips_than_buckets_keep_apart() {
        let owners = RelayOwners::default();
        let all: Vec<_> = (0..=255)
            .flat_map(|net| (0..4).map(move |host| SocketAddr::from(([10, 0, net, host], 1))))
            .collect();
        for (worker, address) in all.iter().enumerate() {
            owners.claim(*address, worker as u16);
        }
        for (worker, address) in all.iter().enumerate() {
            assert_eq!(owners.find(*address), Some(worker as u16));
        }
    }
}

//! What the engine's changes do to the table (RFC 8656 §7, §9, §12; RFC 8016).

use super::Table;
use crate::allocation::{Allocation, Relayed};
use crate::channel::Channel;
use crate::permission::Permission;
use crate::slots::Slot;
use crate::{Applied, Change, Family, FiveTuple, Rerouted};

impl Table {
    /// Obeys one change.
    pub fn apply(&mut self, change: Change) -> Applied {
        self.last_way = None;
        if self.offloading.is_none() {
            return self.obey(change);
        }
        self.take_back(&change);
        let applied = self.obey(change);
        self.hand_out(&change);
        applied
    }

    fn obey(&mut self, change: Change) -> Applied {
        match change {
            Change::Open {
                allocation,
                five_tuple,
                bound,
                advertised,
                expires_at,
                bytes_per_second,
            } => self.open(Allocation::new(
                allocation,
                five_tuple,
                Relayed::new(bound, advertised, expires_at),
                bytes_per_second,
            )),
            Change::AddRelayed {
                allocation,
                bound,
                advertised,
                expires_at,
            } => self.add_relayed(allocation, Relayed::new(bound, advertised, expires_at)),
            Change::CloseRelayed { allocation, family } => self.close_relayed(allocation, family),
            Change::Close { allocation } => self.close(allocation),
            Change::Move {
                allocation,
                five_tuple,
                until,
            } => self.open_second_path(allocation, five_tuple, until),
            Change::Leave {
                allocation,
                five_tuple,
            } => self.leave(allocation, five_tuple),
            Change::Extend {
                allocation,
                expires_at,
            } => self.change(allocation, |allocation, _| {
                allocation.extend(None, expires_at)
            }),
            Change::ExtendRelayed {
                allocation,
                family,
                expires_at,
            } => self.change(allocation, |allocation, _| {
                allocation.extend(Some(family), expires_at)
            }),
            Change::Permit {
                allocation,
                peer_ip,
                relayed_only,
                expires_at,
            } => {
                let permission = Permission {
                    relayed_only,
                    expires_at,
                };
                self.change(allocation, |allocation, clock| {
                    allocation.permit(peer_ip, permission, clock);
                })
            }
            Change::BindChannel {
                allocation,
                number,
                peer,
                relayed_only,
                expires_at,
            } => {
                let channel = Channel {
                    number,
                    peer,
                    relayed_only,
                    expires_at,
                };
                self.change(allocation, |allocation, clock| {
                    allocation.bind(channel, clock)
                })
            }
        }
    }

    fn open(&mut self, allocation: Allocation) -> Applied {
        let number = allocation.number;
        if self.by_number.contains_key(&number) {
            return Applied::Unknown;
        }
        let five_tuple = allocation.paths.current();
        let slot = self.slots.insert(allocation);
        self.by_number.insert(number, slot);
        self.by_client.insert(five_tuple, slot);
        for relayed in self.slots.get(slot).iter().flat_map(|it| it.all_relayed()) {
            self.relayed.claim(relayed, slot);
        }
        Applied::Opened(slot)
    }

    fn add_relayed(&mut self, number: u64, relayed: Relayed) -> Applied {
        let family = Family::of(relayed.bound.ip());
        let Some(slot) = self.slot_of(number) else {
            return Applied::Unknown;
        };
        match self.slots.get_mut(slot) {
            Some(allocation) if !allocation.has(family) => {
                self.relayed.claim(&relayed, slot);
                allocation.add(relayed);
                Applied::Added(slot)
            }
            _ => Applied::Unknown,
        }
    }

    fn close_relayed(&mut self, number: u64, family: Family) -> Applied {
        let Some(slot) = self.slot_of(number) else {
            return Applied::Unknown;
        };
        let allocation = self.slots.get_mut(slot);
        match allocation.and_then(|allocation| allocation.remove(family)) {
            Some(relayed) => {
                self.relayed.release(&relayed, slot);
                Applied::Removed(slot)
            }
            None => Applied::Unknown,
        }
    }

    fn close(&mut self, number: u64) -> Applied {
        let Some(slot) = self.by_number.remove(&number) else {
            return Applied::Unknown;
        };
        let Some(allocation) = self.slots.remove(slot) else {
            return Applied::Unknown;
        };
        let (five_tuple, second) = (allocation.paths.current(), allocation.paths.second());
        self.forget_path(Some(five_tuple), slot);
        self.forget_path(second, slot);
        for relayed in allocation.all_relayed() {
            self.relayed.release(relayed, slot);
        }
        Applied::Closed {
            slot,
            usage: allocation.usage,
            five_tuple,
            second,
        }
    }

    fn open_second_path(&mut self, number: u64, five_tuple: FiveTuple, until: u64) -> Applied {
        let Some((slot, allocation)) = self.numbered(number) else {
            return Applied::Unknown;
        };
        if allocation.paths.current() == five_tuple {
            return Applied::Done;
        }
        let left = allocation.paths.open_second(five_tuple, until);
        self.by_client.insert(five_tuple, slot);
        self.rerouted(number, slot, left)
    }

    fn leave(&mut self, number: u64, five_tuple: FiveTuple) -> Applied {
        let Some((slot, allocation)) = self.numbered(number) else {
            return Applied::Unknown;
        };
        if !allocation.paths.leave(&five_tuple) {
            return Applied::Done;
        }
        self.rerouted(number, slot, Some(five_tuple))
    }

    pub(super) fn rerouted(&mut self, number: u64, slot: Slot, left: Option<FiveTuple>) -> Applied {
        self.forget_path(left, slot);
        match self.slots.get(slot) {
            Some(allocation) => Applied::Rerouted(Rerouted {
                allocation: number,
                slot,
                five_tuple: allocation.paths.current(),
                left,
            }),
            None => Applied::Unknown,
        }
    }

    /// Takes a path away from a slot that still holds it.
    fn forget_path(&mut self, path: Option<FiveTuple>, slot: Slot) {
        if let Some(path) = path.filter(|path| self.by_client.get(path) == Some(&slot)) {
            self.by_client.remove(&path);
        }
    }

    fn numbered(&mut self, number: u64) -> Option<(Slot, &mut Allocation)> {
        let slot = *self.by_number.get(&number)?;
        Some((slot, self.slots.get_mut(slot)?))
    }

    fn change(&mut self, number: u64, change: impl FnOnce(&mut Allocation, u64)) -> Applied {
        let clock = self.clock;
        match self.numbered(number) {
            Some((_, allocation)) => {
                change(allocation, clock);
                Applied::Done
            }
            None => Applied::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, SocketAddr};

    use super::*;
    use crate::Transport;

    const PATHS: u64 = 3;

    fn address(host: u8, port: u64) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, host], port as u16))
    }

    fn path(number: u64) -> FiveTuple {
        FiveTuple {
            transport: Transport::Udp,
            client: address(1, number),
            server: address(2, 3478),
            socket: 0,
        }
    }

    /// Everything that an allocation can have, and then its end; it moves and comes back.
    fn life(allocation: u64) -> Vec<Change> {
        let (here, expires_at) = (allocation * PATHS, 1);
        let second = SocketAddr::from(([0xfd00, 0, 0, 0, 0, 0, 0, 1], allocation as u16));
        let to = |number| Change::Move {
            allocation,
            five_tuple: path(number),
            until: 1,
        };
        let permit = |peer_ip| Change::Permit {
            allocation,
            peer_ip,
            relayed_only: false,
            expires_at,
        };
        vec![
            Change::Open {
                allocation,
                five_tuple: path(here),
                bound: address(3, allocation),
                advertised: address(4, allocation),
                expires_at,
                bytes_per_second: 1,
            },
            Change::AddRelayed {
                allocation,
                bound: second,
                advertised: second,
                expires_at,
            },
            permit(IpAddr::from([198, 51, 100, 1])),
            permit(second.ip()),
            Change::BindChannel {
                allocation,
                number: 0x4000,
                peer: address(5, 9),
                relayed_only: false,
                expires_at,
            },
            to(here + 1),
            to(here + 2),
            Change::Leave {
                allocation,
                five_tuple: path(here),
            },
            to(here + 1),
            Change::CloseRelayed {
                allocation,
                family: Family::of(second.ip()),
            },
            Change::Close { allocation },
        ]
    }

    #[test]
    fn of_those_that_came_and_went_no_table_has_a_row() {
        const AT_ONCE: u64 = 20;
        let mut table = Table::new();
        let lives: Vec<_> = (1..=10 * AT_ONCE).map(life).collect();
        for crowd in lives.chunks(AT_ONCE as usize) {
            for step in 0..crowd[0].len() {
                for life in crowd {
                    assert_ne!(
                        table.apply(life[step]),
                        Applied::Unknown,
                        "{:?}",
                        life[step]
                    );
                }
            }
        }
        assert_eq!((table.by_number.len(), table.by_client.len()), (0, 0));
        assert_eq!(
            (table.relayed.len(), table.slots.len()),
            (0, AT_ONCE as usize)
        );
    }
}

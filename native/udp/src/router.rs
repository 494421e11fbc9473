//! To which worker a command goes: to the one whose socket its client speaks through, or to the one
//! where its allocation lives.
//!
//! Commands for one worker stay in order. Where a command concerns two workers, the one that must
//! not be late is told first.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use ferryman_flow::{Change, FiveTuple};

use crate::crew::Crew;
use crate::inbox::{Command, Order};
use crate::queue::Event;

#[derive(Clone, Copy)]
struct Home {
    worker: usize,
    /// Of a TCP allocation, which may have connections.
    is_tcp: bool,
}

/// Where allocations and the connections of their peers live, when there are several workers.
#[derive(Default)]
pub(crate) struct Router {
    homes: HashMap<u64, Home>,
    /// Connections that were begun for an allocation; those that peers begin tell it themselves.
    connections: HashMap<u64, u64>,
    /// IPs that anyone has relayed from.
    relay_ips: HashSet<IpAddr>,
}

impl Router {
    /// Posts commands to the workers.
    pub(crate) fn post(&mut self, commands: impl IntoIterator<Item = Command>, crew: &Crew) {
        self.hand_out(commands, crew, |worker, orders| {
            crew.inboxes[worker].post(orders.drain(..));
        });
    }

    /// Hands orders to `deliver`, a worker's at a time: what must be known to one worker before
    /// another acts upon it comes first.
    fn hand_out(
        &mut self,
        commands: impl IntoIterator<Item = Command>,
        crew: &Crew,
        mut deliver: impl FnMut(usize, &mut Vec<Order>),
    ) {
        let mut waiting: Vec<Vec<Order>> = (0..crew.count()).map(|_| Vec::new()).collect();
        let mut flush = |waiting: &mut [Vec<Order>]| {
            for (worker, orders) in waiting.iter_mut().enumerate() {
                if !orders.is_empty() {
                    deliver(worker, orders);
                }
            }
        };
        // Whom the commands since the last reply concern.
        let mut changed = Vec::new();
        for command in commands {
            let worker = self.worker(&command, crew);
            for ip in self.new_relay_ips(&command) {
                for (_, orders) in others(&mut waiting, worker) {
                    orders.push(Order::Inside(ip));
                }
            }
            match command {
                Command::Change(Change::Move { five_tuple, .. })
                    if crew.worker_of(five_tuple.socket) != worker =>
                {
                    // What the client sends over the new path must find its way from its first
                    // packet on, which may follow the reply at once.
                    let path = Order::Host {
                        path: five_tuple,
                        home: worker,
                    };
                    waiting[crew.worker_of(five_tuple.socket)].push(path);
                    waiting[worker].push(Order::Obey(command));
                    flush(&mut waiting);
                }
                Command::Join {
                    connection,
                    five_tuple,
                } => {
                    let (of_client, order) = self.join(connection, five_tuple, crew);
                    waiting[of_client].push(order);
                }
                Command::Reply { .. } => {
                    // A client that has moved hears through one worker what another one is to do:
                    // its next packet may be there before the order would.
                    if changed.drain(..).any(|home| home != worker) {
                        flush(&mut waiting);
                    }
                    waiting[worker].push(Order::Obey(command));
                }
                _ => {
                    changed.push(worker);
                    waiting[worker].push(Order::Obey(command));
                }
            }
        }
        flush(&mut waiting);
    }

    /// The IPs of a relayed address that nobody has relayed from before.
    fn new_relay_ips(&mut self, command: &Command) -> Vec<IpAddr> {
        let ips = match command {
            Command::Change(
                Change::Open {
                    bound, advertised, ..
                }
                | Change::AddRelayed {
                    bound, advertised, ..
                },
            ) => [bound.ip(), advertised.ip()],
            _ => return Vec::new(),
        };
        let new = ips.into_iter().filter(|ip| self.relay_ips.insert(*ip));
        new.collect()
    }

    /// The worker of the client's connection, and what it is told.
    fn join(&self, connection: u64, five_tuple: FiveTuple, crew: &Crew) -> (usize, Order) {
        let of_client = crew.worker_of(five_tuple.socket);
        let home = self.of_connection(connection, crew);
        let order = if home == of_client {
            Order::Obey(Command::Join {
                connection,
                five_tuple,
            })
        } else {
            Order::Lead {
                five_tuple,
                connection,
                home,
            }
        };
        (of_client, order)
    }

    fn worker(&mut self, command: &Command, crew: &Crew) -> usize {
        match *command {
            Command::Change(Change::Open {
                allocation,
                five_tuple,
                ..
            }) => self.settle(allocation, five_tuple, false, crew),
            Command::OpenTcp {
                allocation,
                five_tuple,
                ..
            } => self.settle(allocation, five_tuple, true, crew),
            Command::Change(change) => self.of_allocation(change.allocation()),
            Command::Connect {
                connection,
                allocation,
                ..
            } => {
                self.connections.insert(connection, allocation);
                self.of_allocation(allocation)
            }
            Command::CloseConnection { connection } => {
                let worker = self.of_connection(connection, crew);
                self.connections.remove(&connection);
                worker
            }
            Command::Reply { five_tuple, .. } | Command::Join { five_tuple, .. } => {
                crew.worker_of(five_tuple.socket)
            }
        }
    }

    /// A number that is taken stays where it is.
    fn settle(&mut self, number: u64, client: FiveTuple, is_tcp: bool, crew: &Crew) -> usize {
        let worker = crew.worker_of(client.socket);
        let home = Home { worker, is_tcp };
        self.homes.entry(number).or_insert(home).worker
    }

    fn of_allocation(&self, number: u64) -> usize {
        self.homes.get(&number).map_or(0, |home| home.worker)
    }

    fn of_connection(&self, number: u64, crew: &Crew) -> usize {
        match self.connections.get(&number) {
            Some(allocation) => self.of_allocation(*allocation),
            None => crew.worker_of(number),
        }
    }

    /// What the workers tell ends what is known here.
    pub(crate) fn note(&mut self, event: &Event) {
        match *event {
            Event::Closed { allocation, .. } => {
                let home = self.homes.remove(&allocation);
                if home.is_some_and(|home| home.is_tcp) {
                    self.connections.retain(|_, owner| *owner != allocation);
                }
            }
            Event::Ended { connection, .. }
            | Event::Connected {
                connection,
                succeeded: false,
            } => {
                self.connections.remove(&connection);
            }
            _ => {}
        }
    }
}

fn others(
    waiting: &mut [Vec<Order>],
    worker: usize,
) -> impl Iterator<Item = (usize, &mut Vec<Order>)> {
    let all = waiting.iter_mut().enumerate();
    all.filter(move |(other, _)| *other != worker)
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use ferryman_flow::{Transport, Usage};

    use super::*;
    use crate::options::Outfit;

    fn client(socket: u64) -> FiveTuple {
        FiveTuple {
            transport: Transport::Tcp,
            client: SocketAddr::from(([192, 0, 2, 1], 9)),
            server: SocketAddr::from(([192, 0, 2, 2], 3478)),
            socket,
        }
    }

    fn open_tcp(allocation: u64, socket: u64) -> Command {
        let bound = SocketAddr::from(([192, 0, 2, 2], 50_000));
        Command::OpenTcp {
            allocation,
            five_tuple: client(socket),
            bound,
            advertised: bound,
            expires_at: 1,
            bytes_per_second: 0,
        }
    }

    fn connect(connection: u64, allocation: u64) -> Command {
        Command::Connect {
            connection,
            allocation,
            peer: SocketAddr::from(([192, 0, 2, 3], 80)),
            relayed_only: false,
        }
    }

    /// The number of orders that each worker has got.
    fn got(crew: &Crew) -> Vec<usize> {
        let inboxes = crew.inboxes.iter();
        inboxes.map(|inbox| inbox.take().len()).collect()
    }

    #[test]
    fn what_a_reply_promises_is_posted_before_it_whichever_worker_sends_it() {
        let (mut router, crew) = (
            Router::default(),
            Crew::new(3, Outfit::default()).expect("descriptors"),
        );
        router.post([open_tcp(7, 5)], &crew);
        got(&crew);
        let permit = || {
            Command::Change(Change::Permit {
                allocation: 7,
                peer_ip: [192, 0, 2, 3].into(),
                relayed_only: false,
                expires_at: 1,
            })
        };
        let reply = |socket| Command::Reply {
            five_tuple: client(socket),
            message: Vec::new(),
        };
        // Worker 2 has the allocation; its client is heard by worker 0, by 2 and by 1.
        let commands = [3, 5, 4].map(|socket| [permit(), reply(socket)]);
        let mut told = Vec::new();
        router.hand_out(commands.into_iter().flatten(), &crew, |worker, orders| {
            told.extend(orders.drain(..).map(|order| {
                let is_reply = matches!(order, Order::Obey(Command::Reply { .. }));
                (worker, is_reply)
            }));
        });
        let permits_before = |at| {
            told[..at]
                .iter()
                .filter(|told| **told == (2, false))
                .count()
        };
        let place = |worker| told.iter().position(|told| *told == (worker, true));
        let before = [0, 2, 1].map(|worker| permits_before(place(worker).expect("a reply")));
        assert!(
            before[0] >= 1 && before[1] >= 2 && before[2] >= 3,
            "{told:?}"
        );
        assert_eq!(told.len(), 6);
    }

    #[test]
    fn what_concerns_an_allocation_goes_where_it_lives_until_it_is_closed() {
        let (mut router, crew) = (
            Router::default(),
            Crew::new(3, Outfit::default()).expect("descriptors"),
        );
        router.post([open_tcp(7, 5), connect(1, 7)], &crew);
        assert_eq!(got(&crew), [0, 0, 2]);
        let close = Command::CloseConnection { connection: 1 };
        router.post([connect(2, 7), close, connect(3, 7)], &crew);
        assert_eq!(got(&crew), [0, 0, 3]);
        router.note(&Event::Ended {
            connection: 2,
            sent_bytes: 0,
            received_bytes: 0,
        });
        assert_eq!(router.connections.len(), 1);
        let usage = Usage::default();
        let allocation = 7;
        router.note(&Event::Closed { allocation, usage });
        assert!(router.homes.is_empty() && router.connections.is_empty());
    }

    #[test]
    fn a_client_is_led_to_the_worker_that_has_its_peer() {
        let (mut router, crew) = (
            Router::default(),
            Crew::new(2, Outfit::default()).expect("descriptors"),
        );
        router.post([open_tcp(7, 5), connect(1, 7)], &crew);
        got(&crew);
        let join = |socket| Command::Join {
            connection: 1,
            five_tuple: client(socket),
        };
        router.post([join(4)], &crew);
        let orders = crew.inboxes[0].take();
        assert!(matches!(orders[..], [Order::Lead { home: 1, .. }]));
        router.post([join(9)], &crew);
        let orders = crew.inboxes[1].take();
        assert!(matches!(orders[..], [Order::Obey(Command::Join { .. })]));
    }

    #[test]
    fn a_path_to_another_worker_is_known_there_before_anything_else() {
        let (mut router, crew) = (
            Router::default(),
            Crew::new(2, Outfit::default()).expect("descriptors"),
        );
        let moves = Command::Change(Change::Move {
            allocation: 7,
            five_tuple: client(4),
            until: 1,
        });
        let reply = Command::Reply {
            five_tuple: client(4),
            message: Vec::new(),
        };
        router.post([open_tcp(7, 5), moves, reply], &crew);
        let orders = crew.inboxes[0].take();
        assert!(matches!(
            orders[..],
            [
                Order::Host { home: 1, .. },
                Order::Obey(Command::Reply { .. })
            ]
        ));
        assert_eq!(crew.inboxes[1].take().len(), 2);
    }
}

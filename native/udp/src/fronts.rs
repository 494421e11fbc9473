//! The worker's dealings with front ends, which say with the PROXY protocol whose a connection is.

use std::io;
use std::net::SocketAddr;

use crate::address::needs_scope;
use crate::carrier::is_not_yet;
use crate::counters::Counter;
use crate::worker::Worker;

impl Worker {
    /// Somebody has connected to a port of front ends, and is none.
    pub(crate) fn send_away(&mut self, client: SocketAddr) {
        let counters = &self.forwarder.shared.counters;
        counters.add(Counter::ConnectionsRefused, 1);
        let what = "a connection to tcp-proxy-port that tcp-proxy-from does not allow";
        self.tell(what, &client.to_string());
    }

    /// Reads on in what a front end says about a connection; what follows it is read in another
    /// turn.
    pub(crate) fn read_announcement(&mut self, number: u64) {
        let Some(connection) = self.forwarder.connections.get_mut(number) else {
            return;
        };
        let front = connection.five_tuple.client;
        match connection.carrier.announcement() {
            Ok(Some(announced)) if needs_scope(announced.client.ip()) => self.close(number),
            Ok(Some(announced)) => {
                let limits = self.forwarder.limits;
                let connections = &mut self.forwarder.connections;
                if let Err(full) = connections.introduce(number, announced, limits) {
                    self.turn_away(announced.client.ip(), full);
                    self.close(number);
                }
            }
            Ok(None) => {}
            Err(error) if is_not_yet(&error) => {}
            Err(error) => {
                if error.kind() == io::ErrorKind::InvalidData {
                    let what = "a connection to tcp-proxy-port does not begin with a PROXY header";
                    self.tell(what, &front.to_string());
                }
                self.close(number);
            }
        }
    }
}

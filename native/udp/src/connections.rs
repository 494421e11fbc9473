//! All connections over TCP and TLS, and which of them have yet to prove their worth.

use std::collections::{BTreeSet, VecDeque};
use std::mem;
use std::net::IpAddr;
use std::sync::Arc;

use ferryman_flow::proxy::Announced;
use ferryman_flow::Source;
use hashbrown::HashMap;

use crate::census::Census;
use crate::connection::{Connection, Role, Standing};
use crate::limits::{Full, Limits};
use crate::sources::Sources;

/// All connections, by their numbers.
pub(crate) struct Connections {
    open: HashMap<u64, Connection>,
    /// Those without an allocation, oldest first: since when, and number.
    pending: BTreeSet<(u64, u64)>,
    pending_limit: usize,
    sources: Sources,
    census: Arc<Census>,
    /// How long a connection may stay without an allocation, ns.
    timeout: u64,
    dirty: Vec<u64>,
    /// Those that wait for room in the queue, longest waiting first.
    paused: VecDeque<u64>,
    spare: Vec<Vec<u8>>,
}

impl Connections {
    /// `census` is the same for all workers.
    pub(crate) fn new(pending_limit: usize, timeout: u64, census: &Arc<Census>) -> Self {
        Self {
            open: HashMap::new(),
            pending: BTreeSet::new(),
            pending_limit: pending_limit.max(1),
            sources: Sources::default(),
            census: Arc::clone(census),
            timeout,
            dirty: Vec::new(),
            paused: VecDeque::new(),
            spare: Vec::new(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.open.len()
    }

    pub(crate) fn get_mut(&mut self, number: u64) -> Option<&mut Connection> {
        self.open.get_mut(&number)
    }

    /// Gives back the room of one that was not inserted.
    pub(crate) fn forgo(&self, client: IpAddr) {
        self.census.leave(Source::of(client));
    }

    /// A new connection, which has room; it is pending.
    pub(crate) fn insert(&mut self, connection: Connection, now: u64) {
        let number = connection.five_tuple.socket;
        let source = source(&connection);
        self.open.insert(number, connection);
        self.sources.add(source);
        self.wait(source, (now, number));
    }

    fn wait(&mut self, source: Source, waiting: (u64, u64)) {
        self.pending.insert(waiting);
        self.sources.wait(source, waiting);
    }

    fn settle(&mut self, source: Source, waiting: (u64, u64)) {
        self.pending.remove(&waiting);
        self.sources.settle(source, waiting);
    }

    /// Another worker's connection, which has been given away there; it is pending here.
    pub(crate) fn take_over(&mut self, mut connection: Connection, now: u64) {
        connection.standing = Standing::Pending { since: now };
        self.insert(connection, now);
    }

    /// A pending connection that was counted for the front end that passes it on is a client's from
    /// now on. Where the client has too many, all is as it was.
    pub(crate) fn introduce(
        &mut self,
        number: u64,
        announced: Announced,
        limits: Limits,
    ) -> Result<(), Full> {
        let Some(connection) = self.open.get_mut(&number) else {
            return Ok(());
        };
        let (front, client) = (source(connection), Source::of(announced.client.ip()));
        self.census.pass(front, client, limits)?;
        let five_tuple = &mut connection.five_tuple;
        five_tuple.client = announced.client;
        if five_tuple.server.ip().is_loopback() {
            five_tuple.server = announced.server;
        }
        if let Standing::Pending { since } = connection.standing {
            self.settle(front, (since, number));
            self.sources.remove(front);
            self.sources.add(client);
            self.wait(client, (since, number));
        }
        Ok(())
    }

    /// Forgets a connection; dropping it closes it.
    pub(crate) fn remove(&mut self, number: u64) -> Option<Connection> {
        let connection = self.give_away(number)?;
        self.census.leave(source(&connection));
        Some(connection)
    }

    /// Forgets a connection that goes to another worker, with the room that it has.
    pub(crate) fn give_away(&mut self, number: u64) -> Option<Connection> {
        let connection = self.open.remove(&number)?;
        let source = source(&connection);
        if let Standing::Pending { since } = connection.standing {
            self.settle(source, (since, number));
        }
        self.sources.remove(source);
        if connection.paused {
            // Otherwise those who come and go while Python stands still would be many here.
            self.paused.retain(|waiting| *waiting != number);
        }
        Some(connection)
    }

    /// The connection carries an allocation from now on.
    pub(crate) fn own(&mut self, number: u64) {
        let Some(connection) = self.open.get_mut(&number) else {
            return;
        };
        let before = mem::replace(&mut connection.standing, Standing::Owner);
        if let Standing::Pending { since } = before {
            let source = source(connection);
            self.settle(source, (since, number));
        }
    }

    /// The allocation is gone; the connection is pending again.
    pub(crate) fn disown(&mut self, number: u64, now: u64) {
        let Some(connection) = self.open.get_mut(&number) else {
            return;
        };
        if connection.standing == Standing::Owner {
            connection.standing = Standing::Pending { since: now };
            let source = source(connection);
            self.wait(source, (now, number));
        }
    }

    /// A pending connection that must go: one whose time is over, or, if there are too many, one
    /// of the most that come from one source.
    pub(crate) fn overdue(&self, now: u64) -> Option<u64> {
        let (since, number) = *self.pending.first()?;
        if since.saturating_add(self.timeout) <= now {
            return Some(number);
        }
        let too_many = self.pending.len() > self.pending_limit;
        too_many.then(|| self.least_worthy()).flatten()
    }

    /// The pending connection that goes first when room is needed: the oldest of the source that
    /// has most of them, so that nobody pushes out the others.
    pub(crate) fn least_worthy(&self) -> Option<u64> {
        self.sources.first_of_the_largest_crowd()
    }

    /// When the next pending connection's time is over.
    pub(crate) fn deadline(&self) -> Option<u64> {
        self.pending
            .first()
            .map(|(since, _)| since.saturating_add(self.timeout))
    }

    /// Sends a relayed packet; false when the connection is gone or too far behind.
    pub(crate) fn relay(&mut self, number: u64, parts: [&[u8]; 3]) -> bool {
        let Some(connection) = self.open.get_mut(&number) else {
            return false;
        };
        let length = parts.iter().map(|part| part.len()).sum();
        if connection.is_behind(length, &mut self.spare) {
            return false;
        }
        connection.append(parts, &mut self.spare);
        mark(&mut self.dirty, connection);
        true
    }

    /// Sends a reply, if the connection is there; one that answers a ConnectionBind without a join
    /// lets the messages behind it be read.
    pub(crate) fn reply(&mut self, number: u64, message: &[u8]) {
        if let Some(connection) = self.open.get_mut(&number) {
            connection.append([message, &[], &[]], &mut self.spare);
            mark(&mut self.dirty, connection);
            if matches!(connection.role, Role::Binding(asked) if message.get(8..20) == Some(&asked))
                && connection.leading.is_none()
            {
                connection.role = Role::Messages;
                connection.paused = true;
                self.paused.push_back(number);
            }
        }
    }

    /// Closes a connection at the end of the turn, after what it has been sent.
    pub(crate) fn doom(&mut self, number: u64) {
        if let Some(connection) = self.open.get_mut(&number) {
            connection.doomed = true;
            mark(&mut self.dirty, connection);
        }
    }

    /// Reads no more messages until this transaction of the connection is answered.
    pub(crate) fn hold(&mut self, number: u64, transaction_id: [u8; 12]) {
        if let Some(connection) = self.open.get_mut(&number) {
            connection.role = Role::Binding(transaction_id);
            mark(&mut self.dirty, connection);
        }
    }

    /// The kernel takes more of the connection's bytes.
    pub(crate) fn touch(&mut self, number: u64) {
        if let Some(connection) = self.open.get_mut(&number) {
            connection.unstick();
            mark(&mut self.dirty, connection);
        }
    }

    /// The connection has something to write.
    pub(crate) fn mark(&mut self, number: u64) {
        if let Some(connection) = self.open.get_mut(&number) {
            mark(&mut self.dirty, connection);
        }
    }

    /// Stops reading a connection until `next_paused` names it.
    pub(crate) fn pause(&mut self, number: u64) {
        if let Some(connection) = self.open.get_mut(&number) {
            connection.paused = true;
            self.paused.push_back(number);
            mark(&mut self.dirty, connection);
        }
    }

    /// How many connections wait for the queue.
    pub(crate) fn paused(&self) -> usize {
        self.paused.len()
    }

    /// The connection that has waited longest for the queue; it no longer does.
    pub(crate) fn next_paused(&mut self) -> Option<u64> {
        let number = self.paused.pop_front()?;
        if let Some(connection) = self.open.get_mut(&number) {
            connection.paused = false;
            mark(&mut self.dirty, connection);
        }
        Some(number)
    }

    /// The connections with something to write or to change.
    pub(crate) fn take_dirty(&mut self) -> Vec<u64> {
        mem::take(&mut self.dirty)
    }

    /// Writes what waits; `None` when the connection is gone.
    pub(crate) fn write(&mut self, number: u64) -> Option<&mut Connection> {
        let connection = self.open.get_mut(&number)?;
        connection.dirty = false;
        connection.try_write(&mut self.spare);
        Some(connection)
    }
}

fn source(connection: &Connection) -> Source {
    Source::of(connection.five_tuple.client.ip())
}

fn mark(dirty: &mut Vec<u64>, connection: &mut Connection) {
    if !connection.dirty {
        connection.dirty = true;
        dirty.push(connection.five_tuple.socket);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use ferryman_flow::{FiveTuple, Transport};

    use super::*;

    fn connection(listener: &TcpListener, number: u64) -> Connection {
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let five_tuple = FiveTuple {
            transport: Transport::Tcp,
            client: stream.local_addr().unwrap(),
            server: stream.peer_addr().unwrap(),
            socket: number,
        };
        Connection::new(stream, five_tuple, 0)
    }

    #[test]
    fn who_goes_waits_for_the_queue_no_more() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut all = Connections::new(9, 9, &Arc::default());
        for number in 1..=3 {
            all.insert(connection(&listener, number), 0);
            all.pause(number);
        }
        assert!(all.remove(2).is_some());
        assert!(all.give_away(1).is_some());
        assert_eq!(all.paused(), 1);
        assert_eq!(all.next_paused(), Some(3));
        assert_eq!(all.next_paused(), None);
        // Nothing else is left of them either.
        assert!(all.remove(3).is_some());
        assert_eq!((all.len(), all.deadline()), (0, None));
    }
}

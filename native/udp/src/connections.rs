//! All connections over TCP and TLS, and which of them have yet to prove their worth.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::mem;

use crate::connection::{Connection, Standing};

/// All connections, by their numbers.
pub(crate) struct Connections {
    open: HashMap<u64, Connection>,
    /// Those without an allocation, oldest first: since when, and number.
    pending: BTreeSet<(u64, u64)>,
    pending_limit: usize,
    /// How long a connection may stay without an allocation, ns.
    timeout: u64,
    dirty: Vec<u64>,
    /// Those that wait for room in the queue, longest waiting first.
    paused: VecDeque<u64>,
    spare: Vec<Vec<u8>>,
}

impl Connections {
    pub(crate) fn new(pending_limit: usize, timeout: u64) -> Self {
        Self {
            open: HashMap::new(),
            pending: BTreeSet::new(),
            pending_limit: pending_limit.max(1),
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

    /// A new connection; it is pending.
    pub(crate) fn insert(&mut self, connection: Connection, now: u64) {
        let number = connection.five_tuple.socket;
        self.open.insert(number, connection);
        self.pending.insert((now, number));
    }

    /// Forgets a connection; dropping it closes it.
    pub(crate) fn remove(&mut self, number: u64) -> Option<Connection> {
        let connection = self.open.remove(&number)?;
        if let Standing::Pending { since } = connection.standing {
            self.pending.remove(&(since, number));
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
            self.pending.remove(&(since, number));
        }
    }

    /// The allocation is gone; the connection is pending again.
    pub(crate) fn disown(&mut self, number: u64, now: u64) {
        let Some(connection) = self.open.get_mut(&number) else {
            return;
        };
        if connection.standing == Standing::Owner {
            connection.standing = Standing::Pending { since: now };
            self.pending.insert((now, number));
        }
    }

    /// A pending connection that must go: the oldest, if there are too many or its time is over.
    pub(crate) fn overdue(&self, now: u64) -> Option<u64> {
        let (since, number) = *self.pending.first()?;
        let over =
            self.pending.len() > self.pending_limit || since.saturating_add(self.timeout) <= now;
        over.then_some(number)
    }

    /// The pending connection that has been so for longest.
    pub(crate) fn oldest_pending(&self) -> Option<u64> {
        self.pending.first().map(|(_, number)| *number)
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

    /// Sends a reply, if the connection is there.
    pub(crate) fn reply(&mut self, number: u64, message: &[u8]) {
        if let Some(connection) = self.open.get_mut(&number) {
            connection.append([message, &[], &[]], &mut self.spare);
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

fn mark(dirty: &mut Vec<u64>, connection: &mut Connection) {
    if !connection.dirty {
        connection.dirty = true;
        dirty.push(connection.five_tuple.socket);
    }
}

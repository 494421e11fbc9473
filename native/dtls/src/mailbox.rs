//! What stands for the network: a library reads the datagram that has arrived and leaves the
//! datagrams that are to be sent, each with its own bounds.

/// Datagrams in and out.
#[derive(Default)]
pub(crate) struct Mailbox {
    arrived: Vec<u8>,
    waiting: bool,
    octets: Vec<u8>,
    ends: Vec<usize>,
}

impl Mailbox {
    /// Puts a datagram where the library reads; one that was not read is replaced.
    pub(crate) fn arrive(&mut self, datagram: &[u8]) {
        self.arrived.clear();
        self.arrived.extend_from_slice(datagram);
        self.waiting = true;
    }

    /// Takes what is to be sent, in order.
    pub(crate) fn take(&mut self, mut send: impl FnMut(&[u8])) {
        let mut start = 0;
        for end in self.ends.drain(..) {
            send(&self.octets[start..end]);
            start = end;
        }
        self.octets.clear();
    }

    /// The datagram that has arrived, once, as much of it as there is room for.
    pub(crate) fn read(&mut self, room: usize) -> Option<&[u8]> {
        std::mem::take(&mut self.waiting)
            .then(|| &self.arrived[..self.arrived.len().min(room)])
            .filter(|octets| !octets.is_empty())
    }

    pub(crate) fn write(&mut self, datagram: &[u8]) {
        self.octets.extend_from_slice(datagram);
        self.ends.push(self.octets.len());
    }
}

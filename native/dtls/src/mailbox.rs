//! What stands for the network: a library reads the datagram that has arrived and leaves the
//! datagrams that are to be sent, each with its own bounds.

/// So much memory is kept from one datagram to the next, in bytes: there are thousands of mailboxes, and
/// who sends one long datagram may never send another.
const KEPT: usize = 2048;

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

    /// Takes what is to be sent, in order, now that what has arrived is read.
    pub(crate) fn take(&mut self, mut send: impl FnMut(&[u8])) {
        let mut start = 0;
        for end in self.ends.drain(..) {
            send(&self.octets[start..end]);
            start = end;
        }
        empty(&mut self.octets);
        if !self.waiting {
            empty(&mut self.arrived);
        }
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

/// Forgets octets, and long ones with their memory.
fn empty(octets: &mut Vec<u8>) {
    octets.clear();
    if octets.capacity() > KEPT {
        *octets = Vec::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datagrams_keep_their_bounds_and_long_ones_cost_nothing_when_they_are_gone() {
        let mut mailbox = Mailbox::default();
        let mut sent = Vec::new();
        for length in [60_000, 5, 0] {
            mailbox.write(&vec![7; length]);
        }
        mailbox.arrive(&[8; 60_000]);
        mailbox.take(|datagram| sent.push(datagram.len()));
        assert_eq!(sent, [60_000, 5, 0]);
        assert_eq!(
            mailbox.read(60_000).map(<[u8]>::len),
            Some(60_000),
            "not read yet"
        );
        mailbox.take(|_| panic!("taken twice"));
        let kept = mailbox.octets.capacity() + mailbox.arrived.capacity();
        assert!(kept <= 2 * KEPT, "{kept}");
        // Short ones need no memory anew.
        mailbox.arrive(&[8; 100]);
        mailbox.read(100);
        mailbox.take(|_| {});
        assert!(mailbox.arrived.capacity() >= 100);
    }
}

//! What a worker counts. One thread writes, anyone reads.

use std::sync::atomic::{AtomicU64, Ordering};

use ferryman_flow::Reason;

use crate::post::Sent;

/// What is counted beside the reasons for drops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub(crate) enum Counter {
    ClientPackets,
    PeerPackets,
    SentPackets,
    Answered,
    Asked,
    Challenged,
    QueueFull,
    NoRoom,
    Refused,
    Backlog,
    Unanswerable,
    ReceiveErrors,
    IcmpErrors,
    Connections,
    ConnectionsAccepted,
    ConnectionsRefused,
    TlsHandshakes,
    TlsFailures,
    Associations,
    AskedBack,
    Unassociated,
    PeersTooMany,
    Crossed,
    Retired,
    UntoldBindings,
    UntoldDrops,
}

const NAMES: &[(Counter, &str)] = &[
    (Counter::ClientPackets, "client_packets"),
    (Counter::PeerPackets, "peer_packets"),
    (Counter::SentPackets, "sent_packets"),
    (Counter::Answered, "answered"),
    (Counter::Asked, "asked"),
    (Counter::Challenged, "challenged"),
    (Counter::QueueFull, "dropped_queue_full"),
    (Counter::NoRoom, "dropped_no_room"),
    (Counter::Refused, "dropped_refused"),
    (Counter::Backlog, "dropped_backlog"),
    (Counter::Unanswerable, "dropped_unanswerable"),
    (Counter::ReceiveErrors, "receive_errors"),
    (Counter::IcmpErrors, "icmp_errors"),
    (Counter::Connections, "connections"),
    (Counter::ConnectionsAccepted, "connections_accepted"),
    (Counter::ConnectionsRefused, "connections_refused"),
    (Counter::TlsHandshakes, "tls_handshakes"),
    (Counter::TlsFailures, "tls_failures"),
    (Counter::Associations, "associations"),
    (Counter::AskedBack, "dtls_asked_back"),
    (Counter::Unassociated, "dropped_unassociated"),
    (Counter::PeersTooMany, "dropped_peers_too_many"),
    (Counter::Crossed, "crossed"),
    (Counter::Retired, "dropped_retired"),
    (Counter::UntoldBindings, "untold_bindings"),
    (Counter::UntoldDrops, "untold_drops"),
];

/// The counts.
#[derive(Default)]
pub(crate) struct Counters {
    counts: [AtomicU64; NAMES.len()],
    drops: [AtomicU64; Reason::ALL.len()],
}

impl Counters {
    pub(crate) fn add(&self, counter: Counter, count: u64) {
        add(&self.counts[counter as usize], count);
    }

    pub(crate) fn set(&self, counter: Counter, value: u64) {
        self.counts[counter as usize].store(value, Ordering::Relaxed);
    }

    pub(crate) fn drop_for(&self, reason: Reason) {
        add(&self.drops[reason as usize], 1);
    }

    pub(crate) fn add_sent(&self, sent: Sent) {
        self.add(Counter::SentPackets, sent.sent);
        self.add(Counter::NoRoom, sent.no_room);
        self.add(Counter::Refused, sent.refused);
    }

    /// All counts by name.
    pub(crate) fn read(&self) -> Vec<(String, u64)> {
        let counts = NAMES.iter().map(|(counter, name)| {
            let count = self.counts[*counter as usize].load(Ordering::Relaxed);
            ((*name).to_string(), count)
        });
        let drops = Reason::ALL.iter().map(|reason| {
            let count = self.drops[*reason as usize].load(Ordering::Relaxed);
            (format!("dropped_{}", reason.name()), count)
        });
        counts.chain(drops).collect()
    }
}

/// Not `fetch_add`: there is one writer, and a locked instruction per packet is not free.
fn add(count: &AtomicU64, more: u64) {
    count.store(
        count.load(Ordering::Relaxed).wrapping_add(more),
        Ordering::Relaxed,
    );
}

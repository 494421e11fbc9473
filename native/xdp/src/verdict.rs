//! What the kernel program does with a packet, in the order of `program/tables.h`.

/// Names of the verdicts: one packet forwarded, or why one was left to user space.
pub(crate) const VERDICTS: [&str; 10] = [
    "forwarded",
    "not_udp",
    "odd",
    "no_flow",
    "expired",
    "no_checksum",
    "partial_checksum",
    "no_route",
    "no_interface",
    "no_room",
];

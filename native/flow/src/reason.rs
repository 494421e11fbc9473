//! Why a packet was dropped: one name for each rule.

/// Why a packet was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Reason {
    /// Neither STUN nor ChannelData (RFC 8656 §12.5).
    NotTurn,
    /// Lengths that lie, or an XOR-PEER-ADDRESS that is none.
    Malformed,
    /// A request above `REQUEST_LIMIT`, or a payload that its framing cannot carry.
    TooLong,
    /// A response, or an indication that a server does not take.
    Unexpected,
    /// No live allocation for this 5-tuple or on this relay socket.
    NoAllocation,
    /// The channel is not bound (RFC 8656 §12.6).
    NoChannel,
    /// No permission for the peer's IP (RFC 8656 §9).
    NoPermission,
    /// A Send indication without XOR-PEER-ADDRESS or DATA (RFC 8656 §11.2).
    MissingAttribute,
    /// A comprehension-required attribute that is not understood (RFC 8489 §6.3.2).
    UnknownAttribute,
    /// A peer of another family than the relayed address.
    WrongFamily,
    /// A peer with port 0.
    PortZero,
    /// One of the server's own addresses, and no live relayed address is there.
    OwnAddress,
    /// More than the allocation may carry in this direction.
    OverBandwidth,
    /// More ICMP errors than a client is told of.
    TooManyErrors,
    /// A stranger's source has had as many answers as it may have.
    TooManyStrangers,
    /// No answer to a stranger is short enough for its request.
    NoShortAnswer,
    /// A Binding request where nobody's is answered.
    NotServed,
}

impl Reason {
    /// Every reason, in the order of their numbers: `ALL[reason as usize] == reason`.
    pub const ALL: [Reason; 17] = [
        Reason::NotTurn,
        Reason::Malformed,
        Reason::TooLong,
        Reason::Unexpected,
        Reason::NoAllocation,
        Reason::NoChannel,
        Reason::NoPermission,
        Reason::MissingAttribute,
        Reason::UnknownAttribute,
        Reason::WrongFamily,
        Reason::PortZero,
        Reason::OwnAddress,
        Reason::OverBandwidth,
        Reason::TooManyErrors,
        Reason::TooManyStrangers,
        Reason::NoShortAnswer,
        Reason::NotServed,
    ];

    /// The name in counters and verdicts.
    pub const fn name(self) -> &'static str {
        match self {
            Reason::NotTurn => "not_turn",
            Reason::Malformed => "malformed",
            Reason::TooLong => "too_long",
            Reason::Unexpected => "unexpected",
            Reason::NoAllocation => "no_allocation",
            Reason::NoChannel => "no_channel",
            Reason::NoPermission => "no_permission",
            Reason::MissingAttribute => "missing_attribute",
            Reason::UnknownAttribute => "unknown_attribute",
            Reason::WrongFamily => "wrong_family",
            Reason::PortZero => "port_zero",
            Reason::OwnAddress => "own_address",
            Reason::OverBandwidth => "over_bandwidth",
            Reason::TooManyErrors => "too_many_errors",
            Reason::TooManyStrangers => "too_many_strangers",
            Reason::NoShortAnswer => "no_short_answer",
            Reason::NotServed => "not_served",
        }
    }
}

//! What a Binding request asks for: what its answer depends on.

use crate::stun::{self, Attributes};

/// How many unknown attributes an error lists at most.
pub(super) const LISTED: usize = 64;
const CHANGE_IP: u8 = 0x04;
const CHANGE_PORT: u8 = 0x02;

/// What an answer depends on.
pub(super) struct Asked {
    unknown: [u16; LISTED],
    count: usize,
    pub(super) fingerprint: bool,
    pub(super) change_ip: bool,
    pub(super) change_port: bool,
    pub(super) response_port: Option<u16>,
    /// How long its PADDING is, in bytes.
    pub(super) padding: Option<usize>,
    /// An attribute of RFC 5780 that is malformed, or two that exclude each other.
    pub(super) is_bad: bool,
}

impl Asked {
    /// Reads a message whose header has been read. `discovering`: the attributes of RFC 5780 are
    /// understood. `None`: nothing to be answered.
    pub(super) fn read_untrusted(request: &[u8], discovering: bool) -> Option<Self> {
        let mut asked = Self::nothing();
        let mut sealed = false;
        let (mut change, mut port, mut padding) = (None, None, None);
        let mut attributes = Attributes::of(request);
        while let Some(attribute) = attributes.next_untrusted() {
            let (kind, value) = attribute.ok()?;
            match kind {
                stun::FINGERPRINT if !stun::is_fingerprint_right(request, value.start) => {
                    return None
                }
                stun::FINGERPRINT => asked.fingerprint = true,
                // RFC 8489 §14.5: what follows MESSAGE-INTEGRITY is ignored.
                _ if sealed => {}
                stun::MESSAGE_INTEGRITY | stun::MESSAGE_INTEGRITY_SHA256 => sealed = true,
                stun::CHANGE_REQUEST if discovering => change = change.or(Some(value)),
                stun::RESPONSE_PORT if discovering => port = port.or(Some(value)),
                stun::PADDING if discovering => padding = padding.or(Some(value)),
                _ if stun::is_unknown_required(kind, stun::BINDING) => asked.list(kind),
                _ => {}
            }
        }
        asked.padding = padding.map(|value| value.len());
        if let Some(value) = change {
            asked.change(&request[value]);
        }
        if let Some(value) = port {
            asked.port(&request[value]);
        }
        // RFC 5780 §6.1: fragments must not be sent where nobody may have asked for them.
        asked.is_bad |= asked.padding.is_some() && asked.response_port.is_some();
        Some(asked)
    }

    fn nothing() -> Self {
        Self {
            unknown: [0; LISTED],
            count: 0,
            fingerprint: false,
            change_ip: false,
            change_port: false,
            response_port: None,
            padding: None,
            is_bad: false,
        }
    }

    /// The comprehension-required attributes that are not understood, in order.
    pub(super) fn unknown(&self) -> &[u16] {
        &self.unknown[..self.count]
    }

    fn list(&mut self, kind: u16) {
        if self.count < LISTED && !self.unknown().contains(&kind) {
            self.unknown[self.count] = kind;
            self.count += 1;
        }
    }

    /// RFC 5780 §7.2.
    fn change(&mut self, value: &[u8]) {
        let &[_, _, _, flags] = value else {
            self.is_bad = true;
            return;
        };
        self.change_ip = flags & CHANGE_IP != 0;
        self.change_port = flags & CHANGE_PORT != 0;
    }

    /// RFC 5780 §7.5: a port and two bytes of padding, which some count in the length.
    fn port(&mut self, value: &[u8]) {
        let port = match *value {
            [high, low] | [high, low, _, _] => u16::from_be_bytes([high, low]),
            _ => 0,
        };
        self.is_bad |= port == 0;
        self.response_port = Some(port);
    }
}

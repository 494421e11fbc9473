//! What is said beside a datagram, as control messages (`cmsg(3)`): where to cut a train, where one
//! was joined, and when a datagram came.

/// Room for two control messages, aligned as the kernel wants it.
#[derive(Clone, Copy, Default)]
#[repr(C, align(8))]
pub(crate) struct Notes([u64; 8]);

/// The notes that matter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Note {
    /// The length of the datagrams in a train; the last one may be shorter.
    pub(crate) segment: Option<usize>,
    /// When it came, ns since 1970.
    pub(crate) came_at: Option<u64>,
}

/// `struct cmsghdr` on 64-bit little-endian Linux: a length, a level, a kind; then the value.
const HEAD: usize = 16;

impl Notes {
    /// Asks to have a train cut every `length` bytes; returns the bytes written.
    pub(crate) fn cut_every(&mut self, length: u16) -> usize {
        let kind = (libc::UDP_SEGMENT as u64) << 32 | libc::SOL_UDP as u64;
        self.0[..3].copy_from_slice(&[HEAD as u64 + 2, kind, u64::from(length)]);
        HEAD + 8
    }

    /// Reads the first `length` bytes.
    pub(crate) fn read(&self, length: usize) -> Note {
        let mut note = Note::default();
        let mut at = 0;
        while at + HEAD < length.min(size_of::<Self>()) {
            let words = &self.0[at / 8..];
            let (level, kind) = (words[1] as i32, (words[1] >> 32) as i32);
            match (level, kind) {
                (libc::SOL_UDP, libc::UDP_GRO) => note.segment = Some(words[2] as u32 as usize),
                (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) if words.len() > 3 => {
                    note.came_at = Some(words[2] * 1_000_000_000 + words[3]);
                }
                _ => {}
            }
            at += (words[0] as usize).max(HEAD).next_multiple_of(8);
        }
        note
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notes(words: &[u64]) -> (Notes, usize) {
        let mut notes = Notes::default();
        notes.0[..words.len()].copy_from_slice(words);
        (notes, words.len() * 8)
    }

    fn kind(level: i32, kind: i32) -> u64 {
        (kind as u64) << 32 | level as u64
    }

    #[test]
    fn both_notes_are_read_in_either_order() {
        let train = [20, kind(libc::SOL_UDP, libc::UDP_GRO), 164];
        let time = [32, kind(libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS), 2, 7];
        let wanted = Note {
            segment: Some(164),
            came_at: Some(2_000_000_007),
        };
        for words in [[&train[..], &time].concat(), [&time[..], &train].concat()] {
            let (notes, length) = notes(&words);
            assert_eq!(notes.read(length), wanted);
        }
    }

    #[test]
    fn what_was_not_written_is_not_read() {
        let (notes, _) = notes(&[20, kind(libc::SOL_UDP, libc::UDP_GRO), 164]);
        assert_eq!(notes.read(0), Note::default());
    }
}

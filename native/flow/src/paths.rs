//! The ways to one client (RFC 8016 §3.2.2): the path it is sent to, and a second one while it
//! moves.

use crate::FiveTuple;

#[derive(Debug)]
pub(crate) struct Paths {
    current: FiveTuple,
    next: Option<Next>,
}

/// The path that a client moves to; dead from `until` on.
#[derive(Debug)]
struct Next {
    five_tuple: FiveTuple,
    until: u64,
}

impl Paths {
    pub(crate) fn new(current: FiveTuple) -> Self {
        Self {
            current,
            next: None,
        }
    }

    /// Where the client is sent to.
    pub(crate) fn current(&self) -> FiveTuple {
        self.current
    }

    /// Where it moves to, whether or not there is time left.
    pub(crate) fn second(&self) -> Option<FiveTuple> {
        self.next.as_ref().map(|next| next.five_tuple)
    }

    /// Whether the client may be heard over a path that has led to its allocation.
    #[inline]
    pub(crate) fn is_live(&self, path: &FiveTuple, now: u64) -> bool {
        match &self.next {
            Some(next) if next.five_tuple == *path => next.until > now,
            _ => true,
        }
    }

    /// Whether it is the path that the client moves to.
    #[inline]
    pub(crate) fn is_second(&self, path: &FiveTuple) -> bool {
        self.next
            .as_ref()
            .is_some_and(|next| next.five_tuple == *path)
    }

    /// Opens a second path; returns the one it replaces.
    pub(crate) fn open_second(&mut self, five_tuple: FiveTuple, until: u64) -> Option<FiveTuple> {
        let before = self.next.replace(Next { five_tuple, until });
        before
            .map(|next| next.five_tuple)
            .filter(|before| *before != five_tuple)
    }

    /// Forgets a path where there is another; false when nothing was to be forgotten.
    pub(crate) fn leave(&mut self, path: &FiveTuple) -> bool {
        let Some(next) = self.next.take() else {
            return false;
        };
        if self.current == *path {
            self.current = next.five_tuple;
        } else if next.five_tuple != *path {
            self.next = Some(next);
            return false;
        }
        true
    }
}

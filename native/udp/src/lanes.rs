//! Requests in lanes, one for each source, served in turn: whoever floods the engine waits behind
//! himself, and nobody else does.

use std::collections::{BTreeSet, HashMap, VecDeque};

use ferryman_flow::Source;

use crate::queue::Event;

/// All requests that wait.
#[derive(Default)]
pub(crate) struct Lanes {
    lanes: HashMap<Source, VecDeque<Event>>,
    /// The sources with something in their lane, the next one to be served first.
    turns: VecDeque<Source>,
    /// The same by how much they have, most of it last.
    crowds: BTreeSet<(usize, Source)>,
    length: usize,
}

impl Lanes {
    pub(crate) fn is_empty(&self) -> bool {
        self.length == 0
    }

    pub(crate) fn len(&self) -> usize {
        self.length
    }

    /// Appends to the lane of a source.
    pub(crate) fn push(&mut self, source: Source, event: Event) {
        if !self.lanes.contains_key(&source) {
            self.turns.push_back(source);
        }
        self.change(source, |lane| lane.push_back(event));
        self.length += 1;
    }

    /// The oldest of the lane whose turn it is.
    pub(crate) fn next(&mut self) -> Option<Event> {
        let source = self.turns.pop_front()?;
        let event = self.change(source, VecDeque::pop_front);
        if self.lanes.contains_key(&source) {
            self.turns.push_back(source);
        }
        self.length -= usize::from(event.is_some());
        event
    }

    /// Takes the latest out of the longest lane, unless that is about as long as this source's.
    pub(crate) fn make_room(&mut self, source: Source) -> Option<Event> {
        let (most, crowded) = *self.crowds.last()?;
        let own = self.lanes.get(&source).map_or(0, VecDeque::len);
        if own + 1 >= most {
            return None;
        }
        // It has two at least, so that its turn stays.
        let lost = self.change(crowded, VecDeque::pop_back)?;
        self.length -= 1;
        Some(lost)
    }

    fn change<T>(&mut self, source: Source, change: impl FnOnce(&mut VecDeque<Event>) -> T) -> T {
        let lane = self.lanes.entry(source).or_default();
        self.crowds.remove(&(lane.len(), source));
        let result = change(lane);
        if lane.is_empty() {
            self.lanes.remove(&source);
        } else {
            self.crowds.insert((lane.len(), source));
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(number: u32) -> Source {
        Source::Address(number)
    }

    fn event(text: &str) -> Event {
        let text = text.into();
        Event::Notice { text }
    }

    fn lanes(events: &[(u32, &str)]) -> Lanes {
        let mut lanes = Lanes::default();
        for (number, text) in events {
            lanes.push(source(*number), event(text));
        }
        lanes
    }

    fn drained(lanes: &mut Lanes) -> Vec<Event> {
        let events: Vec<_> = std::iter::from_fn(|| lanes.next()).collect();
        assert!(lanes.is_empty() && lanes.lanes.is_empty() && lanes.crowds.is_empty());
        events
    }

    #[test]
    fn sources_take_turns_and_each_keeps_its_order() {
        let mut lanes = lanes(&[(1, "a"), (1, "b"), (1, "c"), (2, "d"), (3, "e"), (2, "f")]);
        assert_eq!(lanes.len(), 6);
        let expected = ["a", "d", "e", "b", "f", "c"].map(event);
        assert_eq!(drained(&mut lanes), expected);
    }

    #[test]
    fn the_longest_lane_gives_way_to_others_and_not_to_itself() {
        let mut lanes = lanes(&[(1, "a"), (1, "b"), (1, "c"), (2, "d")]);
        assert_eq!(lanes.make_room(source(1)), None);
        assert_eq!(lanes.make_room(source(3)), Some(event("c")));
        assert_eq!(lanes.make_room(source(2)), None, "nobody has two more");
        assert_eq!(lanes.make_room(source(3)), Some(event("b")));
        assert_eq!(lanes.make_room(source(3)), None, "all have as little");
        assert_eq!(drained(&mut lanes), ["a", "d"].map(event));
    }
}

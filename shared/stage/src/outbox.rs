//! Publishing one producer's journal for one target to a broker, in order.
//!
//! The journal is the truth; this only remembers how much of it the broker has confirmed. A confirm
//! is not an fsync, so each attach starts a little earlier; on any doubt it starts again at the
//! first unconfirmed frame. Readers drop what they have. It never skips, and never reorders. (Where
//! streams are the journals themselves there is nothing to publish.)

use std::collections::BTreeSet;

use crate::Seq;

/// At most this many frames wait for their confirm: brokers and clients slow down beyond it.
pub const PUBLISH_WINDOW: u64 = 256;
/// On each attach this many confirmed frames are said again: a broker may lose its unsynced tail.
pub const REPUBLISH_ON_ATTACH: u64 = 1_024;

/// How far a broker's stream has confirmed a journal. Losing it costs time only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Which life of the stream confirmed.
    pub incarnation: String,
    /// The last frame confirmed with all before it.
    pub confirmed: Seq,
}

/// The state of one publication.
#[derive(Debug)]
pub struct Outbox {
    incarnation: String,
    first_unconfirmed: Seq,
    next: Seq,
    /// Invariant: all greater than `first_unconfirmed`.
    confirmed_ahead: BTreeSet<Seq>,
}

impl Outbox {
    /// Begins on a stream whose first message says `incarnation`. A stream that began a new life
    /// gets the journal from its start.
    pub fn attach(mark: Option<&Mark>, incarnation: &str) -> Self {
        let confirmed = match mark {
            Some(mark) if mark.incarnation == incarnation => mark.confirmed.0,
            Some(_) | None => 0,
        };
        let start = Seq(confirmed.saturating_sub(REPUBLISH_ON_ATTACH) + 1);
        let incarnation = incarnation.to_owned();
        Self { incarnation, first_unconfirmed: start, next: start, confirmed_ahead: BTreeSet::new() }
    }

    /// The next frame to publish, unless the window is full.
    pub fn wants(&self) -> Option<Seq> {
        (self.next.0 < self.first_unconfirmed.0 + PUBLISH_WINDOW).then_some(self.next)
    }

    /// The wanted frame has been handed to the broker.
    pub fn sent(&mut self) {
        self.next = self.next.next();
    }

    /// The broker has one frame.
    pub fn confirmed(&mut self, seq: Seq) {
        if seq < self.first_unconfirmed || seq >= self.next {
            return;
        }
        self.confirmed_ahead.insert(seq);
        while self.confirmed_ahead.remove(&self.first_unconfirmed) {
            self.first_unconfirmed = self.first_unconfirmed.next();
        }
    }

    /// A nack, a return, a closed channel: everything not confirmed is published again.
    pub fn doubt(&mut self) {
        self.next = self.first_unconfirmed;
        self.confirmed_ahead.clear();
    }

    /// Whether all frames up to `last` are confirmed.
    pub fn is_done(&self, last: Seq) -> bool {
        self.first_unconfirmed > last
    }

    /// What to remember.
    pub fn mark(&self) -> Mark {
        let confirmed = Seq(self.first_unconfirmed.0 - 1);
        Mark { incarnation: self.incarnation.clone(), confirmed }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(incarnation: &str, confirmed: u64) -> Mark {
        Mark { incarnation: incarnation.into(), confirmed: Seq(confirmed) }
    }

    fn send(outbox: &mut Outbox, frames: u64) {
        (0..frames).for_each(|_| outbox.sent());
    }

    #[test]
    fn each_attach_starts_before_its_mark_and_a_new_life_at_the_start() {
        let first = |mark: Option<&Mark>| Outbox::attach(mark, "a").wants();
        assert_eq!(first(None), Some(Seq(1)));
        assert_eq!(first(Some(&mark("a", 5_000))), Some(Seq(5_000 - 1_024 + 1)));
        assert_eq!(first(Some(&mark("a", 3))), Some(Seq(1)));
        assert_eq!(first(Some(&mark("b", 5_000))), Some(Seq(1)));
    }

    #[test]
    fn confirms_out_of_order_move_the_mark_only_without_holes() {
        let mut outbox = Outbox::attach(None, "a");
        send(&mut outbox, 3);
        outbox.confirmed(Seq(2));
        assert_eq!(outbox.mark(), mark("a", 0));
        outbox.confirmed(Seq(1));
        assert_eq!(outbox.mark(), mark("a", 2));
        assert!(!outbox.is_done(Seq(3)));
        outbox.confirmed(Seq(9));
        outbox.confirmed(Seq(3));
        assert!(outbox.is_done(Seq(3)));
    }

    #[test]
    fn after_doubt_it_starts_again_at_the_first_unconfirmed() {
        let mut outbox = Outbox::attach(None, "a");
        send(&mut outbox, 4);
        outbox.confirmed(Seq(1));
        outbox.confirmed(Seq(3));
        outbox.doubt();
        assert_eq!(outbox.wants(), Some(Seq(2)));
        send(&mut outbox, 1);
        outbox.confirmed(Seq(2));
        assert_eq!(outbox.wants(), Some(Seq(3)));
    }

    #[test]
    fn the_window_is_bounded() {
        let mut outbox = Outbox::attach(None, "a");
        send(&mut outbox, PUBLISH_WINDOW);
        assert_eq!(outbox.wants(), None);
        outbox.confirmed(Seq(1));
        assert_eq!(outbox.wants(), Some(Seq(PUBLISH_WINDOW + 1)));
    }
}

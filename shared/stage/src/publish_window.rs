//! Publishing one producer's journal for one target to a broker, in order.
//!
//! The journal is the truth; this only remembers how much of it the broker has confirmed. It begins behind
//! what the stream was found to hold ([`StreamScan`](crate::StreamScan)). On any doubt whoever drives it
//! attaches again, looks what the stream holds by now, and begins with a new one. It never skips, and never
//! reorders. (Where streams are the journals themselves there is nothing to publish.)

use std::collections::BTreeSet;

use crate::Seq;

/// At most this many frames wait for their confirm: brokers and clients slow down beyond it.
pub const PUBLISH_WINDOW: u64 = 256;

/// The state of one publication.
#[derive(Debug)]
pub struct PublishWindow {
    first_unconfirmed: Seq,
    next: Seq,
    /// Invariant: all greater than `first_unconfirmed`.
    confirmed_ahead: BTreeSet<Seq>,
}

impl PublishWindow {
    /// Begins behind the last frame that the stream holds with all before it.
    pub fn behind(held: Seq) -> Self {
        Self { first_unconfirmed: held.next(), next: held.next(), confirmed_ahead: BTreeSet::new() }
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

    /// The last frame that the stream holds with all before it; 0: none.
    pub fn held(&self) -> Seq {
        Seq(self.first_unconfirmed.0 - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn send(window: &mut PublishWindow, frames: u64) {
        (0..frames).for_each(|_| window.sent());
    }

    #[test]
    fn it_begins_behind_what_is_there() {
        assert_eq!(PublishWindow::behind(Seq(0)).wants(), Some(Seq(1)));
        assert_eq!(PublishWindow::behind(Seq(5_000)).wants(), Some(Seq(5_001)));
        assert_eq!(PublishWindow::behind(Seq(5_000)).held(), Seq(5_000));
    }

    #[test]
    fn confirms_out_of_order_count_only_without_holes() {
        let mut window = PublishWindow::behind(Seq(0));
        send(&mut window, 3);
        window.confirmed(Seq(2));
        assert_eq!(window.held(), Seq(0));
        window.confirmed(Seq(1));
        assert_eq!(window.held(), Seq(2));
        window.confirmed(Seq(9));
        window.confirmed(Seq(3));
        assert_eq!(window.held(), Seq(3));
    }

    #[test]
    fn the_window_is_bounded() {
        let mut window = PublishWindow::behind(Seq(0));
        send(&mut window, PUBLISH_WINDOW);
        assert_eq!(window.wants(), None);
        window.confirmed(Seq(1));
        assert_eq!(window.wants(), Some(Seq(PUBLISH_WINDOW + 1)));
    }
}

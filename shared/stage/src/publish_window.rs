//! Publishing one producer's journal for one target to a broker, in order.
//!
//! The journal is the truth; the window only tracks how much of it the broker has confirmed. It starts after the frames
//! that the stream was found to hold ([`StreamScan`](crate::StreamScan)). In any doubt, the session attaches again,
//! checks what the stream holds by then, and starts with a new window. It never skips and never reorders. (Where the
//! journals themselves are the streams, there is nothing to publish.)

use std::collections::BTreeSet;

use crate::Seq;

/// The maximum number of frames that wait for their confirm. Brokers and clients slow down beyond it.
pub const PUBLISH_WINDOW: u64 = 256;

/// The progress of one publication.
#[derive(Debug)]
pub struct PublishWindow {
    first_unconfirmed: Seq,
    next: Seq,
    /// Invariant: all are greater than `first_unconfirmed`.
    confirmed_ahead: BTreeSet<Seq>,
}

impl PublishWindow {
    /// Starts after the last frame that the stream holds together with all earlier ones.
    pub fn behind(held: Seq) -> Self {
        Self { first_unconfirmed: held.next(), next: held.next(), confirmed_ahead: BTreeSet::new() }
    }

    /// The next frame to publish, unless the window is full.
    pub fn wants(&self) -> Option<Seq> {
        (self.next.0 < self.first_unconfirmed.0 + PUBLISH_WINDOW).then_some(self.next)
    }

    /// Records that the wanted frame was handed to the broker.
    pub fn sent(&mut self) {
        self.next = self.next.next();
    }

    /// Records that the broker has confirmed a frame.
    pub fn confirmed(&mut self, seq: Seq) {
        if seq < self.first_unconfirmed || seq >= self.next {
            return;
        }
        self.confirmed_ahead.insert(seq);
        while self.confirmed_ahead.remove(&self.first_unconfirmed) {
            self.first_unconfirmed = self.first_unconfirmed.next();
        }
    }

    /// The last frame that the stream holds together with all earlier ones; 0 if there is none.
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
    fn it_starts_after_the_frames_the_stream_holds() {
        assert_eq!(PublishWindow::behind(Seq(0)).wants(), Some(Seq(1)));
        assert_eq!(PublishWindow::behind(Seq(5_000)).wants(), Some(Seq(5_001)));
        assert_eq!(PublishWindow::behind(Seq(5_000)).held(), Seq(5_000));
    }

    #[test]
    fn confirms_out_of_order_count_only_without_gaps() {
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

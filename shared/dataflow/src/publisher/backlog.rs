//! The backlog: how much a service has emitted that its broker has not confirmed, and which publisher to wake for it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use stage::{Frame, LastFrame, Producer, Seq, StreamPartition};
use tokio::sync::Notify;

/// The unconfirmed frames of all of a service's producers. Clones share the same backlog.
///
/// The journal holds the frames themselves; the backlog holds only their sizes, so that the ingress stage can be closed
/// before the journal outgrows the disk.
#[derive(Clone, Debug)]
pub struct Backlog(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    bytes: AtomicU64,
    bytes_max: u64,
    windows: Mutex<BTreeMap<(StreamPartition, Producer), ProducerWindow>>,
    wakeups: BTreeMap<StreamPartition, Arc<Notify>>,
}

#[derive(Debug, Default)]
struct ProducerWindow {
    /// The last `seq` emitted, 0 before the first.
    last: u64,
    /// The last `seq` ever confirmed.
    confirmed: u64,
    has_begun: bool,
    /// Ranges of frames, each with its last `seq` and its bytes. Frames from before this process are in larger ranges.
    unconfirmed: VecDeque<(Seq, u64)>,
}

impl Backlog {
    /// An empty backlog for the streams that the service publishes.
    pub fn new(targets: impl IntoIterator<Item = StreamPartition>, bytes_max: u64) -> Self {
        let wakeups = targets.into_iter().map(|target| (target, Arc::default())).collect();
        Self(Arc::new(Shared { bytes: AtomicU64::new(0), bytes_max, windows: Mutex::default(), wakeups }))
    }

    fn windows(&self) -> MutexGuard<'_, BTreeMap<(StreamPartition, Producer), ProducerWindow>> {
        self.0.windows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of unconfirmed bytes.
    pub fn bytes(&self) -> u64 {
        self.0.bytes.load(Ordering::Relaxed)
    }

    /// The number of unconfirmed frames of producers whose journals were read.
    pub fn frames(&self) -> u64 {
        let begun = |window: &&ProducerWindow| window.has_begun;
        self.windows().values().filter(begun).map(|window| window.last.saturating_sub(window.confirmed)).sum()
    }

    /// The limit of unconfirmed bytes.
    pub fn bytes_max(&self) -> u64 {
        self.0.bytes_max
    }

    /// Whether the limit is reached, so that no more requests may be accepted.
    pub fn is_full(&self) -> bool {
        self.bytes() >= self.bytes_max()
    }

    /// Is notified when a frame was emitted to the target.
    pub(crate) fn wakeup(&self, target: &StreamPartition) -> Arc<Notify> {
        self.0.wakeups.get(target).cloned().unwrap_or_default()
    }

    /// Whether [`Backlog::begin`] was called for this producer.
    pub(crate) fn knows(&self, target: &StreamPartition, producer: &Producer) -> bool {
        self.windows().get(&(target.clone(), producer.clone())).is_some_and(|window| window.has_begun)
    }

    /// Sets what the journal held after the `confirmed` frame when this process began to publish it: ranges of frames,
    /// each with its last `seq` and the bytes of its bodies.
    pub(crate) fn begin(&self, target: &StreamPartition, producer: &Producer, confirmed: Seq, ranges: Vec<(Seq, u64)>) {
        let mut windows = self.windows();
        let window = windows.entry((target.clone(), producer.clone())).or_default();
        let last = ranges.last().map_or(confirmed, |(last, _)| *last);
        // Frames emitted meanwhile are part of the ranges.
        while let Some((_, counted)) = window.unconfirmed.pop_front_if(|(seq, _)| *seq <= last) {
            self.0.bytes.fetch_sub(counted, Ordering::Relaxed);
        }
        for run in ranges.into_iter().rev() {
            self.0.bytes.fetch_add(run.1, Ordering::Relaxed);
            window.unconfirmed.push_front(run);
        }
        window.last = window.last.max(last.0);
        window.confirmed = confirmed.0;
        window.has_begun = true;
    }

    /// Sets the last frames of a producer at the time its partition was claimed. They include frames that another
    /// instance emitted just before, after the journal was read here.
    pub fn claimed(&self, producer: &Producer, last_frames: &BTreeMap<StreamPartition, LastFrame>) {
        let mut windows = self.windows();
        for (target, head) in last_frames {
            let window = windows.entry((target.clone(), producer.clone())).or_default();
            window.last = window.last.max(head.seq.0);
        }
        drop(windows);
        last_frames.keys().for_each(|target| self.notify(target));
    }

    fn notify(&self, target: &StreamPartition) {
        if let Some(wakeup) = self.0.wakeups.get(target) {
            wakeup.notify_one();
        }
    }

    /// Adds frames that are in the journal now.
    pub fn emitted(&self, frames: &[Frame]) {
        let mut windows = self.windows();
        for frame in frames {
            let window = windows.entry((frame.target.clone(), frame.producer.clone())).or_default();
            if frame.seq.0 > window.last {
                let bytes = frame.body.len() as u64;
                window.last = frame.seq.0;
                window.unconfirmed.push_back((frame.seq, bytes));
                self.0.bytes.fetch_add(bytes, Ordering::Relaxed);
            }
        }
        drop(windows);
        frames.iter().for_each(|frame| self.notify(&frame.target));
    }

    /// Removes all frames of a producer up to this one, which the broker has confirmed.
    pub fn confirmed(&self, target: &StreamPartition, producer: &Producer, up_to: Seq) {
        let mut windows = self.windows();
        let Some(window) = windows.get_mut(&(target.clone(), producer.clone())) else { return };
        // After a rewind, `up_to` is smaller for a while.
        window.confirmed = window.confirmed.max(up_to.0);
        // A publisher may read a frame from the journal before its owner knows that the commit succeeded.
        window.last = window.last.max(up_to.0);
        while let Some((_, bytes)) = window.unconfirmed.pop_front_if(|(seq, _)| *seq <= up_to) {
            self.0.bytes.fetch_sub(bytes, Ordering::Relaxed);
        }
    }

    /// The last frame that a producer has emitted to a target.
    pub(crate) fn last(&self, target: &StreamPartition, producer: &Producer) -> Seq {
        let windows = self.windows();
        Seq(windows.get(&(target.clone(), producer.clone())).map_or(0, |window| window.last))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stage::{Hash, Partition};

    fn frame(seq: u64, bytes: usize) -> Frame {
        Frame::seal(producer(), target(), Seq(seq), Hash::ZERO, 1, "x".repeat(bytes))
    }

    fn target() -> StreamPartition {
        StreamPartition::new("purchases", Partition(0))
    }

    fn producer() -> Producer {
        Producer::new("accept", Partition(0))
    }

    #[test]
    fn emitted_frames_count_until_they_are_confirmed() {
        let backlog = Backlog::new([target()], 100);
        backlog.begin(&target(), &producer(), Seq(2), vec![(Seq(3), 30), (Seq(5), 20)]);
        backlog.emitted(&[frame(5, 10), frame(6, 40), frame(7, 20)]);
        assert_eq!((backlog.bytes(), backlog.is_full()), (110, true));
        assert_eq!(backlog.last(&target(), &producer()), Seq(7));
        assert_eq!(backlog.frames(), 5);
        backlog.confirmed(&target(), &producer(), Seq(4));
        assert_eq!((backlog.bytes(), backlog.frames()), (80, 3), "the rest of a range still counts");
        backlog.confirmed(&target(), &producer(), Seq(6));
        assert_eq!((backlog.bytes(), backlog.frames(), backlog.is_full()), (20, 1, false));
        for again in [6, 3] {
            backlog.confirmed(&target(), &producer(), Seq(again));
            assert_eq!((backlog.bytes(), backlog.frames()), (20, 1));
        }
    }

    #[test]
    fn a_claim_reveals_the_last_frames_of_another_instance() {
        let backlog = Backlog::new([target()], 100);
        backlog.begin(&target(), &producer(), Seq(3), Vec::new());
        backlog.claimed(&producer(), &BTreeMap::from([(target(), LastFrame { seq: Seq(4), hash: Hash::ZERO })]));
        assert_eq!((backlog.last(&target(), &producer()), backlog.bytes(), backlog.frames()), (Seq(4), 0, 1));
        let rung = backlog.wakeup(&target());
        assert!(futures_util::FutureExt::now_or_never(rung.notified()).is_some());
    }

    #[test]
    fn a_frame_that_is_confirmed_before_its_owner_reports_it_does_not_count() {
        let backlog = Backlog::new([target()], 100);
        backlog.begin(&target(), &producer(), Seq(0), Vec::new());
        backlog.confirmed(&target(), &producer(), Seq(1));
        backlog.emitted(&[frame(1, 10)]);
        assert_eq!((backlog.bytes(), backlog.frames(), backlog.last(&target(), &producer())), (0, 0, Seq(1)));
        backlog.emitted(&[frame(2, 10)]);
        assert_eq!((backlog.bytes(), backlog.frames()), (10, 1));
    }

    #[test]
    fn frames_emitted_before_the_journal_is_read_count_once() {
        let backlog = Backlog::new([target()], 100);
        backlog.emitted(&[frame(3, 10), frame(4, 10), frame(5, 7)]);
        assert_eq!((backlog.bytes(), backlog.frames()), (27, 0));
        backlog.begin(&target(), &producer(), Seq(0), vec![(Seq(4), 45)]);
        assert_eq!((backlog.bytes(), backlog.frames(), backlog.last(&target(), &producer())), (52, 5, Seq(5)));
        backlog.confirmed(&target(), &producer(), Seq(4));
        assert_eq!(backlog.bytes(), 7);
    }
}

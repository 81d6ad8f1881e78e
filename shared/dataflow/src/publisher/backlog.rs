//! What a service has said and its broker has not confirmed: how much, and who is to be woken for it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use stage::{Frame, Head, Producer, Seq, Target};
use tokio::sync::Notify;

/// The unconfirmed frames of all of a service's producers. Clones are the same.
///
/// It is the journal that holds them; here are only their sizes, so that the way in can be closed before the
/// journal outgrows the disk.
#[derive(Clone, Debug)]
pub struct Backlog(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    bytes: AtomicU64,
    bytes_max: u64,
    lines: Mutex<BTreeMap<(Target, Producer), Line>>,
    bells: BTreeMap<Target, Arc<Notify>>,
}

#[derive(Debug, Default)]
struct Line {
    /// The last `seq` said, 0 before the first.
    last: u64,
    /// The last `seq` ever confirmed.
    confirmed: u64,
    has_begun: bool,
    /// Runs of frames by their last `seq`, with their bytes. What was there before this process is in runs of many.
    unconfirmed: VecDeque<(Seq, u64)>,
}

impl Backlog {
    /// Nothing unconfirmed yet, for streams that are published to.
    pub fn new(targets: impl IntoIterator<Item = Target>, bytes_max: u64) -> Self {
        let bells = targets.into_iter().map(|target| (target, Arc::default())).collect();
        Self(Arc::new(Shared { bytes: AtomicU64::new(0), bytes_max, lines: Mutex::default(), bells }))
    }

    fn lines(&self) -> MutexGuard<'_, BTreeMap<(Target, Producer), Line>> {
        self.0.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes that wait.
    pub fn bytes(&self) -> u64 {
        self.0.bytes.load(Ordering::Relaxed)
    }

    /// Frames that wait, of producers whose journals were looked at.
    pub fn frames(&self) -> u64 {
        let begun = |line: &&Line| line.has_begun;
        self.lines().values().filter(begun).map(|line| line.last.saturating_sub(line.confirmed)).sum()
    }

    /// So many bytes may wait.
    pub fn bytes_max(&self) -> u64 {
        self.0.bytes_max
    }

    /// Whether so much waits that no more may be taken in.
    pub fn is_full(&self) -> bool {
        self.bytes() >= self.bytes_max()
    }

    /// Is rung when something was said to the target.
    pub(crate) fn bell(&self, target: &Target) -> Arc<Notify> {
        self.0.bells.get(target).cloned().unwrap_or_default()
    }

    /// Whether [`Backlog::begin`] was told about this producer.
    pub(crate) fn knows(&self, target: &Target, producer: &Producer) -> bool {
        self.lines().get(&(target.clone(), producer.clone())).is_some_and(|line| line.has_begun)
    }

    /// What the journal held behind what was `confirmed` when this process began to publish it: runs of frames, each
    /// with its last `seq` and the bytes of its bodies.
    pub(crate) fn begin(&self, target: &Target, producer: &Producer, confirmed: Seq, runs: Vec<(Seq, u64)>) {
        let mut lines = self.lines();
        let line = lines.entry((target.clone(), producer.clone())).or_default();
        let last = runs.last().map_or(confirmed, |(last, _)| *last);
        // Frames said meanwhile are part of it.
        while let Some((_, counted)) = line.unconfirmed.pop_front_if(|(seq, _)| *seq <= last) {
            self.0.bytes.fetch_sub(counted, Ordering::Relaxed);
        }
        for run in runs.into_iter().rev() {
            self.0.bytes.fetch_add(run.1, Ordering::Relaxed);
            line.unconfirmed.push_front(run);
        }
        line.last = line.last.max(last.0);
        line.confirmed = confirmed.0;
        line.has_begun = true;
    }

    /// So far had a producer said when its partition was claimed: also what another instance said in its last
    /// moment, after the journal was looked at here.
    pub(crate) fn claimed(&self, producer: &Producer, heads: &BTreeMap<Target, Head>) {
        let mut lines = self.lines();
        for (target, head) in heads {
            let line = lines.entry((target.clone(), producer.clone())).or_default();
            line.last = line.last.max(head.seq.0);
        }
        drop(lines);
        heads.keys().for_each(|target| self.ring(target));
    }

    fn ring(&self, target: &Target) {
        if let Some(bell) = self.0.bells.get(target) {
            bell.notify_one();
        }
    }

    /// These frames are in the journal now.
    pub(crate) fn said(&self, frames: &[Frame]) {
        let mut lines = self.lines();
        for frame in frames {
            let line = lines.entry((frame.target.clone(), frame.producer.clone())).or_default();
            if frame.seq.0 > line.last {
                let bytes = frame.body.len() as u64;
                line.last = frame.seq.0;
                line.unconfirmed.push_back((frame.seq, bytes));
                self.0.bytes.fetch_add(bytes, Ordering::Relaxed);
            }
        }
        drop(lines);
        frames.iter().for_each(|frame| self.ring(&frame.target));
    }

    /// The broker has all of a producer's frames up to this one.
    pub(crate) fn confirmed(&self, target: &Target, producer: &Producer, up_to: Seq) {
        let mut lines = self.lines();
        let Some(line) = lines.get_mut(&(target.clone(), producer.clone())) else { return };
        // After a rewind it is less for a while.
        line.confirmed = line.confirmed.max(up_to.0);
        while let Some((_, bytes)) = line.unconfirmed.pop_front_if(|(seq, _)| *seq <= up_to) {
            self.0.bytes.fetch_sub(bytes, Ordering::Relaxed);
        }
    }

    /// The last frame that a producer has said to a target.
    pub(crate) fn last(&self, target: &Target, producer: &Producer) -> Seq {
        let lines = self.lines();
        Seq(lines.get(&(target.clone(), producer.clone())).map_or(0, |line| line.last))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stage::{Hash, Partition};

    fn frame(seq: u64, bytes: usize) -> Frame {
        Frame::seal(producer(), target(), Seq(seq), Hash::ZERO, 1, "x".repeat(bytes))
    }

    fn target() -> Target {
        Target::new("purchases", Partition(0))
    }

    fn producer() -> Producer {
        Producer::new("accept", Partition(0))
    }

    #[test]
    fn what_is_said_counts_until_it_is_confirmed() {
        let backlog = Backlog::new([target()], 100);
        backlog.begin(&target(), &producer(), Seq(2), vec![(Seq(3), 30), (Seq(5), 20)]);
        backlog.said(&[frame(5, 10), frame(6, 40), frame(7, 20)]);
        assert_eq!((backlog.bytes(), backlog.is_full()), (110, true));
        assert_eq!(backlog.last(&target(), &producer()), Seq(7));
        assert_eq!(backlog.frames(), 5);
        backlog.confirmed(&target(), &producer(), Seq(4));
        assert_eq!((backlog.bytes(), backlog.frames()), (80, 3), "what is left is counted, not all or nothing");
        backlog.confirmed(&target(), &producer(), Seq(6));
        assert_eq!((backlog.bytes(), backlog.frames(), backlog.is_full()), (20, 1, false));
        for again in [6, 3] {
            backlog.confirmed(&target(), &producer(), Seq(again));
            assert_eq!((backlog.bytes(), backlog.frames()), (20, 1));
        }
    }

    #[test]
    fn what_another_instance_said_at_last_is_known_with_the_claim() {
        let backlog = Backlog::new([target()], 100);
        backlog.begin(&target(), &producer(), Seq(3), Vec::new());
        backlog.claimed(&producer(), &BTreeMap::from([(target(), Head { seq: Seq(4), hash: Hash::ZERO })]));
        assert_eq!((backlog.last(&target(), &producer()), backlog.bytes(), backlog.frames()), (Seq(4), 0, 1));
        let rung = backlog.bell(&target());
        assert!(futures_util::FutureExt::now_or_never(rung.notified()).is_some());
    }

    #[test]
    fn what_was_said_before_the_journal_was_looked_at_counts_once() {
        let backlog = Backlog::new([target()], 100);
        backlog.said(&[frame(3, 10), frame(4, 10), frame(5, 7)]);
        assert_eq!((backlog.bytes(), backlog.frames()), (27, 0));
        backlog.begin(&target(), &producer(), Seq(0), vec![(Seq(4), 45)]);
        assert_eq!((backlog.bytes(), backlog.frames(), backlog.last(&target(), &producer())), (52, 5, Seq(5)));
        backlog.confirmed(&target(), &producer(), Seq(4));
        assert_eq!(backlog.bytes(), 7);
    }
}

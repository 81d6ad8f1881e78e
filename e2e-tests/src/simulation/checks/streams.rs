//! Checks of streams: every frame in a stream is in a journal, byte for byte, unless it was damaged on its way.

use std::collections::{BTreeMap, BTreeSet};

use conformance::MemorySubscription;
use dataflow::{Delivery, Subscription};
use stage::{Checkpoint, Positions, Producer, Seq, StreamPartition};

use super::JournalFrame;
use crate::simulation::scene::{Scene, now};
use crate::simulation::violation::{Checked, ensure, stopped};

type Journals = BTreeMap<(Producer, StreamPartition), Vec<JournalFrame>>;

/// The frames that were seen in the streams.
#[derive(Debug, Default)]
pub(super) struct Streams {
    feeds: BTreeMap<StreamPartition, Box<dyn Subscription>>,
    held: BTreeSet<(Producer, StreamPartition, Seq)>,
}

impl Streams {
    /// Continues to read a stream, and checks its frames.
    pub(super) fn look(&mut self, target: &StreamPartition, scene: &Scene<'_>, journals: &Journals) -> Checked {
        let attach = || -> Box<dyn Subscription> {
            let targets = [target.clone()];
            Box::new(MemorySubscription::attach(scene.broker.streams.clone(), &targets, &Checkpoint::default()))
        };
        let subscription = self.feeds.entry(target.clone()).or_insert_with(attach);
        loop {
            let ready = now(subscription.ready(&Positions::default())).map_err(|error| stopped(&error))?;
            if ready.is_empty() {
                return Ok(());
            }
            for Delivery { frame, .. } in ready.into_iter().filter(|delivery| delivery.frame.is_intact()) {
                let from = (frame.producer.clone(), frame.target.clone());
                let at = usize::try_from(frame.seq.0).unwrap_or_default().wrapping_sub(1);
                let emitted = journals.get(&from).and_then(|emitted| emitted.get(at));
                let same = emitted.is_some_and(|emitted| emitted.hash == frame.hash);
                ensure!(same, Recorded, "{}>{}#{} is in the stream and not in the journal", from.0, from.1, frame.seq);
                self.held.insert((from.0, from.1, frame.seq));
            }
        }
    }

    /// Ends the subscription to a stream, so that the next look begins with the first message.
    pub(super) fn detach(&mut self, target: &StreamPartition) {
        self.feeds.remove(target);
    }

    /// Checks all streams from their first messages.
    pub(super) fn look_again(&mut self, scene: &Scene<'_>, journals: &Journals) -> Checked {
        self.held.clear();
        self.feeds.clear();
        let targets: BTreeSet<_> = journals.keys().map(|(_, target)| target.clone()).collect();
        targets.iter().try_for_each(|target| self.look(target, scene, journals))
    }

    /// Checks that every frame in a journal is in its stream.
    pub(super) fn hold_all(&self, journals: &Journals) -> Checked {
        for ((producer, target), emitted) in journals {
            for seq in (1..=emitted.len() as u64).map(Seq) {
                let held = self.held.contains(&(producer.clone(), target.clone(), seq));
                ensure!(held, Recorded, "{producer}>{target}#{seq} is in the journal and not in the stream");
            }
        }
        Ok(())
    }
}

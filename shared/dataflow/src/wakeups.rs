//! The readers in this process to wake when a stream partition has new frames.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use actix::{Message, Recipient};
use stage::{Frame, Producer, Seq, StreamPartition};

/// Signals that there may be something new to read, without details. One can stand for many.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct Wakeup;

/// The readers of each stream partition, and the newest frames that they were woken for. Clones share both.
#[derive(Clone, Default)]
pub struct Wakeups(Arc<Mutex<BTreeMap<StreamPartition, Woken>>>);

/// One stream partition.
#[derive(Default)]
struct Woken {
    readers: Vec<Recipient<Wakeup>>,
    /// The newest frame of each producer that has emitted one since the start of this process.
    newest: BTreeMap<Producer, Seq>,
}

impl Wakeups {
    /// Subscribes a reader to new frames of the stream partition.
    pub fn subscribe(&self, target: StreamPartition, reader: Recipient<Wakeup>) {
        self.lock().entry(target).or_default().readers.push(reader);
    }

    /// Wakes all readers of the stream partitions that these frames went to.
    pub fn notify(&self, frames: &[Frame]) {
        let mut targets = self.lock();
        for frame in frames {
            let woken = targets.entry(frame.target.clone()).or_default();
            woken.newest.insert(frame.producer.clone(), frame.seq);
        }
        drop(targets);
        frames.iter().for_each(|frame| self.wake(&frame.target));
    }

    /// Wakes all readers of this stream partition.
    pub fn wake(&self, target: &StreamPartition) {
        for reader in self.lock().get(target).into_iter().flat_map(|woken| &woken.readers) {
            // A full mailbox already holds an unprocessed wakeup, which covers this one too.
            let _full_or_gone = reader.try_send(Wakeup);
        }
    }

    /// Whether a producer, whose owner is in this process, may have emitted this frame. It is known only of producers
    /// that have emitted something since the start.
    pub(crate) fn may_have(&self, target: &StreamPartition, producer: &Producer, seq: Seq) -> bool {
        let newest = self.lock().get(target).and_then(|woken| woken.newest.get(producer).copied());
        newest.is_none_or(|newest| newest >= seq)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<StreamPartition, Woken>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

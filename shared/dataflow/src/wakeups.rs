//! The readers in this process to wake when a stream partition has new frames.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use actix::{Message, Recipient};
use stage::{Frame, StreamPartition};

/// Signals that there may be something new to read, without details. One can stand for many.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct Wakeup;

/// The readers of each stream partition. Clones share the same list.
#[derive(Clone, Default)]
pub struct Wakeups(Arc<Mutex<BTreeMap<StreamPartition, Vec<Recipient<Wakeup>>>>>);

impl Wakeups {
    /// Subscribes a reader to new frames of the stream partition.
    pub fn subscribe(&self, target: StreamPartition, reader: Recipient<Wakeup>) {
        let mut readers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        readers.entry(target).or_default().push(reader);
    }

    /// Wakes all readers of the stream partitions that these frames went to.
    pub fn notify(&self, frames: &[Frame]) {
        frames.iter().for_each(|frame| self.wake(&frame.target));
    }

    /// Wakes all readers of this stream partition.
    pub fn wake(&self, target: &StreamPartition) {
        let readers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for reader in readers.get(target).into_iter().flatten() {
            // A full mailbox already holds an unprocessed wakeup, which covers this one too.
            let _full_or_gone = reader.try_send(Wakeup);
        }
    }
}

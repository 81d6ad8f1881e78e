//! Who wants to know when a stream partition has new frames, in this process.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use actix::{Message, Recipient};
use stage::{Frame, StreamPartition};

/// There may be something new to read. Says nothing about what; one stands for many.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct Wakeup;

/// The readers of each stream partition. Clones are the same list.
#[derive(Clone, Default)]
pub struct Wakeups(Arc<Mutex<BTreeMap<StreamPartition, Vec<Recipient<Wakeup>>>>>);

impl Wakeups {
    /// Wakes this reader from now on when the stream partition has new frames.
    pub fn subscribe(&self, target: StreamPartition, reader: Recipient<Wakeup>) {
        let mut readers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        readers.entry(target).or_default().push(reader);
    }

    /// Wakes everybody who reads where these frames went.
    pub fn notify(&self, frames: &[Frame]) {
        frames.iter().for_each(|frame| self.wake(&frame.target));
    }

    /// Wakes everybody who reads this stream partition.
    pub fn wake(&self, target: &StreamPartition) {
        let readers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for reader in readers.get(target).into_iter().flatten() {
            // A full mailbox holds a wake that has not been looked at: it stands for this one too.
            let _full_or_gone = reader.try_send(Wakeup);
        }
    }
}

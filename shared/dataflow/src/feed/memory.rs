//! A broker in memory that fails like a real one: it repeats, loses its tail, loses everything.
//!
//! A stream's first message is a marker with a random incarnation. Whoever attaches reads it first: if
//! it is another than before, the stream began a new life, and all are to start from the beginning.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use stage::{Checkpoint, Frame, Hint, Target};

use super::Delivery;

/// What a stream holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// The first message: which life of the stream this is.
    Marker {
        /// A random text.
        incarnation: String,
    },
    /// A frame.
    Frame(Box<Frame>),
}

/// Streams in memory. Clones are the same broker.
#[derive(Clone, Debug, Default)]
pub struct Broker(Arc<Mutex<BTreeMap<Target, Log>>>);

#[derive(Debug, Default)]
struct Log {
    messages: Vec<Message>,
    /// How many it has lost from its end in this life.
    lost: usize,
}

impl Log {
    fn incarnation(&self) -> Option<String> {
        match self.messages.first()? {
            Message::Marker { incarnation } => Some(incarnation.clone()),
            Message::Frame(_) => None,
        }
    }
}

impl Broker {
    fn streams(&self) -> MutexGuard<'_, BTreeMap<Target, Log>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Declares a stream, writes a marker if it is empty, and reads the first message back: of
    /// several that write one, the first wins.
    pub fn attach(&self, target: &Target, marker: &str) -> String {
        let mut streams = self.streams();
        let log = streams.entry(target.clone()).or_default();
        if log.messages.is_empty() {
            log.messages.push(Message::Marker { incarnation: marker.to_owned() });
        }
        log.incarnation().unwrap_or_default()
    }

    /// Appends a frame. `false` when there is no such stream: nothing was kept.
    pub fn publish(&self, frame: &Frame) -> bool {
        let mut streams = self.streams();
        let Some(log) = streams.get_mut(&frame.target) else {
            return false;
        };
        log.messages.push(Message::Frame(Box::new(frame.clone())));
        true
    }

    /// Which life of the stream this is; `None` when it does not exist.
    pub fn incarnation(&self, target: &Target) -> Option<String> {
        self.streams().get(target).and_then(Log::incarnation)
    }

    /// Which life of the stream this is, and where the next message goes.
    pub fn end(&self, target: &Target) -> Hint {
        let offset = self.streams().get(target).map_or(0, |log| log.messages.len() as u64);
        Hint { incarnation: self.incarnation(target).unwrap_or_default(), offset }
    }

    /// Loses a stream with all it held.
    pub fn lose(&self, target: &Target) {
        self.streams().remove(target);
    }

    /// Loses the newest messages of a stream, as after a crash before they were synced.
    pub fn lose_tail(&self, target: &Target, messages: usize) {
        if let Some(log) = self.streams().get_mut(target) {
            let left = log.messages.len().saturating_sub(messages).max(1);
            log.lost += log.messages.len() - left;
            log.messages.truncate(left);
        }
    }

    /// How many messages a stream has lost from its end: what comes later has their offsets.
    fn lost(&self, target: &Target) -> u64 {
        self.streams().get(target).map_or(0, |log| log.lost as u64)
    }

    fn read(&self, target: &Target, from: u64, limit: usize) -> Vec<(u64, Message)> {
        let streams = self.streams();
        let log = streams.get(target).map(|log| log.messages.as_slice()).unwrap_or_default();
        let skipped = usize::try_from(from).unwrap_or(usize::MAX).min(log.len());
        let messages = (from..).zip(&log[skipped..]).take(limit);
        messages.map(|(offset, message)| (offset, message.clone())).collect()
    }
}

/// One reader's subscription to streams of a [`Broker`].
#[derive(Debug)]
pub struct MemoryFeed {
    broker: Broker,
    cursors: BTreeMap<Target, Hint>,
}

impl MemoryFeed {
    /// Reads these streams from where the checkpoint's hints say.
    pub fn attach(broker: Broker, targets: &[Target], checkpoint: &Checkpoint) -> Self {
        let unknown = Hint { incarnation: String::new(), offset: 0 };
        let cursors = targets.iter().map(|target| (target.clone(), unknown.clone())).collect();
        let mut feed = Self { broker, cursors };
        feed.rewind(checkpoint);
        feed
    }

    /// Begins again at the hints, and as much earlier as the stream may have lost from its end since. A
    /// broker that does not say how much that is has to be given a bound; here no more is read again, so
    /// that no wrong hint is hidden.
    pub(super) fn rewind(&mut self, checkpoint: &Checkpoint) {
        for (target, cursor) in &mut self.cursors {
            let hint = checkpoint.hints.get(target).cloned();
            *cursor = hint.unwrap_or(Hint { incarnation: String::new(), offset: 0 });
            cursor.offset = cursor.offset.saturating_sub(self.broker.lost(target));
        }
    }

    pub(super) fn ready(&mut self) -> Vec<Delivery> {
        let mut ready = Vec::new();
        for (target, cursor) in &mut self.cursors {
            let Some(incarnation) = self.broker.incarnation(target) else {
                continue;
            };
            if incarnation != cursor.incarnation {
                *cursor = Hint { incarnation, offset: 0 };
            }
            for (offset, message) in self.broker.read(target, cursor.offset, super::READ_FRAMES_MAX) {
                cursor.offset = offset + 1;
                match message {
                    Message::Marker { .. } => {}
                    Message::Frame(frame) => {
                        ready.push(Delivery { frame: *frame, hint: Some(cursor.clone()) });
                    }
                }
            }
        }
        ready
    }
}

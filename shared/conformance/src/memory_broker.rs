//! A broker in memory that fails like a real one: it repeats messages, and loses its tail or everything.
//!
//! Every publishing session begins with a marker. A reader that resumes checks whether the last message it knows is
//! still at its offset, and otherwise starts with the stream's first message.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::future::{LocalBoxFuture, ready};
use stage::{Checkpoint, Frame, Positions, PublishPosition, ResumePoint, StreamPartition, StreamScan};

use dataflow::{Delivery, READ_FRAMES_MAX, StoreError, Subscription};

/// A message in a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MemoryMessage {
    /// The first message of a session.
    Marker {
        /// The incarnation of the stream: the name of its first session.
        incarnation: String,
        /// The session.
        session: String,
    },
    /// A frame.
    Frame {
        /// The frame.
        frame: Box<Frame>,
        /// The session that published it.
        session: String,
    },
}

impl MemoryMessage {
    fn resume_point(&self, offset: u64) -> ResumePoint {
        match self {
            MemoryMessage::Marker { session, .. } => ResumePoint { offset, session: session.clone(), frame: None },
            MemoryMessage::Frame { frame, session } => {
                let frame = Some((frame.producer.clone(), frame.seq));
                ResumePoint { offset, session: session.clone(), frame }
            }
        }
    }
}

type Streams = BTreeMap<StreamPartition, Vec<MemoryMessage>>;

/// Streams in memory. Clones share the same broker.
#[derive(Clone, Debug, Default)]
pub struct MemoryBroker(Arc<Mutex<Streams>>);

fn incarnation_of(stream: &[MemoryMessage]) -> Option<&str> {
    match stream.first()? {
        MemoryMessage::Marker { incarnation, .. } => Some(incarnation),
        MemoryMessage::Frame { .. } => None,
    }
}

impl MemoryBroker {
    fn streams(&self) -> MutexGuard<'_, Streams> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Declares a stream and begins a session there with a marker. Returns the incarnation of the stream.
    pub fn attach(&self, target: &StreamPartition, session: &str) -> String {
        let mut streams = self.streams();
        let stream = streams.entry(target.clone()).or_default();
        let incarnation = incarnation_of(stream).unwrap_or(session).to_owned();
        stream.push(MemoryMessage::Marker { incarnation: incarnation.clone(), session: session.to_owned() });
        incarnation
    }

    /// Appends a frame. Returns `false` and stores nothing when the stream does not exist.
    pub fn publish(&self, frame: &Frame, session: &str) -> bool {
        let mut streams = self.streams();
        let Some(stream) = streams.get_mut(&frame.target) else {
            return false;
        };
        stream.push(MemoryMessage::Frame { frame: Box::new(frame.clone()), session: session.to_owned() });
        true
    }

    /// Scans a stream, starting after the noted message if it is still there. Also returns the stream's last message.
    pub fn scan(&self, target: &StreamPartition, noted: &PublishPosition) -> (StreamScan, Option<ResumePoint>) {
        let behind = noted.resume.as_ref().and_then(|point| self.behind(target, point));
        let mut scan = if behind.is_some() { StreamScan::behind(noted) } else { StreamScan::from_first() };
        let messages = self.read(target, behind.unwrap_or(0), usize::MAX);
        for (offset, message) in &messages {
            let frame = if let MemoryMessage::Frame { frame, .. } = message { Some(&**frame) } else { None };
            scan.see(*offset, frame);
        }
        (scan, messages.last().map(|(offset, message)| message.resume_point(*offset)))
    }

    /// The incarnation of the stream; `None` when it does not exist.
    pub fn incarnation(&self, target: &StreamPartition) -> Option<String> {
        self.streams().get(target).and_then(|stream| incarnation_of(stream).map(str::to_owned))
    }

    /// The offset after a message, if that message is still at its offset.
    pub fn behind(&self, target: &StreamPartition, point: &ResumePoint) -> Option<u64> {
        let found = self.read(target, point.offset, 1);
        let is_there = |(offset, message): &(u64, MemoryMessage)| message.resume_point(*offset) == *point;
        found.first().is_some_and(is_there).then_some(point.offset + 1)
    }

    /// The last message of a stream.
    pub fn end(&self, target: &StreamPartition) -> Option<ResumePoint> {
        let streams = self.streams();
        let stream = streams.get(target)?;
        Some(stream.last()?.resume_point(stream.len() as u64 - 1))
    }

    /// Loses a stream with all its messages.
    pub fn lose(&self, target: &StreamPartition) {
        self.streams().remove(target);
    }

    /// Loses the newest messages of a stream, as after a crash before they were synced.
    pub fn lose_tail(&self, target: &StreamPartition, messages: usize) {
        if let Some(stream) = self.streams().get_mut(target) {
            stream.truncate(stream.len().saturating_sub(messages).max(1));
        }
    }

    fn read(&self, target: &StreamPartition, from: u64, limit: usize) -> Vec<(u64, MemoryMessage)> {
        let streams = self.streams();
        let stream = streams.get(target).map(Vec::as_slice).unwrap_or_default();
        let skipped = usize::try_from(from).unwrap_or(usize::MAX).min(stream.len());
        let messages = (from..).zip(&stream[skipped..]).take(limit);
        messages.map(|(offset, message)| (offset, message.clone())).collect()
    }
}

/// One reader's subscription to streams of a [`MemoryBroker`].
#[derive(Debug)]
pub struct MemorySubscription {
    broker: MemoryBroker,
    /// The last message that was read from each stream.
    cursors: BTreeMap<StreamPartition, Option<ResumePoint>>,
}

impl MemorySubscription {
    /// Reads these streams from the checkpoint on.
    pub fn attach(broker: MemoryBroker, targets: &[StreamPartition], checkpoint: &Checkpoint) -> Self {
        let cursors = targets.iter().map(|target| (target.clone(), None)).collect();
        let mut subscription = Self { broker, cursors };
        subscription.rewind(checkpoint);
        subscription
    }

    /// Returns what is available. If a stream or its end was lost, it is read again from its first message.
    pub fn available(&mut self) -> Vec<Delivery> {
        let mut ready = Vec::new();
        for (target, cursor) in &mut self.cursors {
            let from = cursor.as_ref().and_then(|point| self.broker.behind(target, point));
            for (offset, message) in self.broker.read(target, from.unwrap_or(0), READ_FRAMES_MAX) {
                let point = message.resume_point(offset);
                *cursor = Some(point.clone());
                if let MemoryMessage::Frame { frame, .. } = message {
                    ready.push(Delivery { frame: *frame, resume_point: Some(point) });
                }
            }
        }
        ready
    }
}

impl Subscription for MemorySubscription {
    fn ready<'a>(&'a mut self, _: &'a Positions) -> LocalBoxFuture<'a, Result<Vec<Delivery>, StoreError>> {
        Box::pin(ready(Ok(self.available())))
    }

    fn rewind(&mut self, checkpoint: &Checkpoint) {
        for (target, cursor) in &mut self.cursors {
            *cursor = checkpoint.resume_points.get(target).cloned();
        }
    }

    fn seek_to_start(&mut self, target: &StreamPartition) {
        if let Some(cursor) = self.cursors.get_mut(target) {
            *cursor = None;
        }
    }
}

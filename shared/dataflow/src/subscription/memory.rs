//! A broker in memory that fails like a real one: it repeats, loses its tail, loses everything.
//!
//! Every session that publishes begins with a marker. Whoever reads on looks whether the last message that it
//! knows is still at its place, and else begins with the stream's first one.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use stage::{Checkpoint, Frame, PublishPosition, ResumePoint, StreamPartition, StreamScan};

use super::Delivery;

/// What a stream holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MemoryMessage {
    /// The first of a session.
    Marker {
        /// Which incarnation of the stream this is: the name of its first session.
        incarnation: String,
        /// The session.
        session: String,
    },
    /// A frame.
    Frame {
        /// It.
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

/// Streams in memory. Clones are the same broker.
#[derive(Clone, Debug, Default)]
pub struct Broker(Arc<Mutex<Streams>>);

fn incarnation_of(stream: &[MemoryMessage]) -> Option<&str> {
    match stream.first()? {
        MemoryMessage::Marker { incarnation, .. } => Some(incarnation),
        MemoryMessage::Frame { .. } => None,
    }
}

impl Broker {
    fn streams(&self) -> MutexGuard<'_, Streams> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Declares a stream and begins a session there with a marker. Which incarnation of the stream it is.
    pub fn attach(&self, target: &StreamPartition, session: &str) -> String {
        let mut streams = self.streams();
        let stream = streams.entry(target.clone()).or_default();
        let incarnation = incarnation_of(stream).unwrap_or(session).to_owned();
        stream.push(MemoryMessage::Marker { incarnation: incarnation.clone(), session: session.to_owned() });
        incarnation
    }

    /// Appends a frame. `false` when there is no such stream: nothing was kept.
    pub fn publish(&self, frame: &Frame, session: &str) -> bool {
        let mut streams = self.streams();
        let Some(stream) = streams.get_mut(&frame.target) else {
            return false;
        };
        stream.push(MemoryMessage::Frame { frame: Box::new(frame.clone()), session: session.to_owned() });
        true
    }

    /// What a stream holds, read from the noted message on, and its last message.
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

    /// Which incarnation of the stream this is; `None` when it does not exist.
    pub fn incarnation(&self, target: &StreamPartition) -> Option<String> {
        self.streams().get(target).and_then(|stream| incarnation_of(stream).map(str::to_owned))
    }

    /// The offset behind a message, if that is still at its place.
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

    /// Loses a stream with all it held.
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

/// One reader's subscription to streams of a [`Broker`].
#[derive(Debug)]
pub struct MemorySubscription {
    broker: Broker,
    /// The last message that was read in each stream.
    cursors: BTreeMap<StreamPartition, Option<ResumePoint>>,
}

impl MemorySubscription {
    /// Reads these streams from where the checkpoint says.
    pub fn attach(broker: Broker, targets: &[StreamPartition], checkpoint: &Checkpoint) -> Self {
        let cursors = targets.iter().map(|target| (target.clone(), None)).collect();
        let mut subscription = Self { broker, cursors };
        subscription.rewind(checkpoint);
        subscription
    }

    /// Begins again where the checkpoint says.
    pub(super) fn rewind(&mut self, checkpoint: &Checkpoint) {
        for (target, cursor) in &mut self.cursors {
            *cursor = checkpoint.resume_points.get(target).cloned();
        }
    }

    /// Begins again at a stream's first message.
    pub(super) fn seek_to_start(&mut self, target: &StreamPartition) {
        if let Some(cursor) = self.cursors.get_mut(target) {
            *cursor = None;
        }
    }

    /// A stream that was lost, or its end, breaks off whoever reads it: then it is attached to again.
    pub(crate) fn ready(&mut self) -> Vec<Delivery> {
        let mut ready = Vec::new();
        for (target, cursor) in &mut self.cursors {
            let from = cursor.as_ref().and_then(|point| self.broker.behind(target, point));
            for (offset, message) in self.broker.read(target, from.unwrap_or(0), super::READ_FRAMES_MAX) {
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

//! A broker in memory that fails like a real one: it repeats messages, and loses its tail or everything.
//!
//! It only keeps messages. What publishers and readers make of them is the code of production ([`StreamBroker`]).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::{LocalBoxFuture, pending, ready};
use stage::{Checkpoint, Positions, ResumePoint, StreamPartition};

use dataflow::message::BrokerMessage;
use dataflow::{
    BrokerError, Confirm, Delivery, MessageReceiver, MessageSender, READ_FRAMES_MAX, StartAt, StoreError, StreamBroker,
    Subscription,
};

/// The number of messages in each chunk.
const CHUNK: u64 = 4;

#[derive(Debug, Default)]
struct Content {
    streams: BTreeMap<StreamPartition, Vec<BrokerMessage>>,
    sessions: u64,
}

/// Streams in memory. Clones share the same broker.
#[derive(Clone, Debug, Default)]
pub struct MemoryBroker(Arc<Mutex<Content>>);

impl MemoryBroker {
    fn content(&self) -> MutexGuard<'_, Content> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends a message. Returns `false` and stores nothing when the stream does not exist.
    pub fn append(&self, target: &StreamPartition, mut message: BrokerMessage) -> bool {
        let mut content = self.content();
        let Some(stream) = content.streams.get_mut(target) else { return false };
        message.offset = stream.len() as u64;
        stream.push(message);
        true
    }

    /// Creates a stream if it does not exist.
    pub fn declare(&self, target: &StreamPartition) {
        self.content().streams.entry(target.clone()).or_default();
    }

    /// The last message of a stream that can be resumed from.
    pub fn end(&self, target: &StreamPartition) -> Option<ResumePoint> {
        self.content().streams.get(target)?.iter().rev().find_map(BrokerMessage::resume_point)
    }

    /// Whether a stream exists.
    pub fn exists(&self, target: &StreamPartition) -> bool {
        self.content().streams.contains_key(target)
    }

    /// Loses a stream with all its messages.
    pub fn lose(&self, target: &StreamPartition) {
        self.content().streams.remove(target);
    }

    /// Loses the newest messages of a stream, as after a crash before they were synced.
    pub fn lose_tail(&self, target: &StreamPartition, messages: usize) {
        if let Some(stream) = self.content().streams.get_mut(target) {
            stream.truncate(stream.len().saturating_sub(messages).max(1));
        }
    }

    fn message(&self, target: &StreamPartition, offset: u64) -> Result<Option<BrokerMessage>, BrokerError> {
        let content = self.content();
        let stream = content.streams.get(target).ok_or_else(|| BrokerError::Ended(target.to_string()))?;
        Ok(usize::try_from(offset).ok().and_then(|offset| stream.get(offset)).cloned())
    }
}

#[async_trait]
impl StreamBroker for MemoryBroker {
    async fn open(&self, target: &StreamPartition) -> Result<Box<dyn MessageSender>, BrokerError> {
        self.declare(target);
        Ok(Box::new(MemorySender { broker: self.clone(), target: target.clone() }))
    }

    async fn consume(
        &self,
        target: &StreamPartition,
        start: StartAt,
        _: u16,
    ) -> Result<Box<dyn MessageReceiver>, BrokerError> {
        let length = self.length(target).await?;
        let next = match start {
            StartAt::First => 0,
            StartAt::LastChunk => length.saturating_sub(1) / CHUNK * CHUNK,
            StartAt::Offset(offset) => offset,
        };
        Ok(Box::new(MemoryReceiver { broker: self.clone(), target: target.clone(), next }))
    }

    async fn length(&self, target: &StreamPartition) -> Result<u64, BrokerError> {
        let content = self.content();
        let stream = content.streams.get(target).ok_or_else(|| BrokerError::NoStream(target.to_string()))?;
        Ok(stream.len() as u64)
    }

    fn is_blocked(&self) -> bool {
        false
    }

    /// A number, so that equal runs have equal names.
    fn new_session(&self) -> String {
        let mut content = self.content();
        content.sessions += 1;
        format!("session-{}", content.sessions)
    }
}

/// Stores each message at once.
struct MemorySender {
    broker: MemoryBroker,
    target: StreamPartition,
}

#[async_trait]
impl MessageSender for MemorySender {
    async fn send(&self, message: BrokerMessage) -> Result<Confirm, BrokerError> {
        let is_stored = self.broker.append(&self.target, message);
        Ok(Confirm::new(ready(if is_stored { Ok(()) } else { Err(BrokerError::NotKept("its stream is gone")) })))
    }

    fn check(&self) -> Result<(), BrokerError> {
        Ok(())
    }

    async fn close(self: Box<Self>) {}
}

/// Reads messages that are there, and never waits for one that may come.
struct MemoryReceiver {
    broker: MemoryBroker,
    target: StreamPartition,
    next: u64,
}

#[async_trait]
impl MessageReceiver for MemoryReceiver {
    async fn next(&mut self) -> Result<BrokerMessage, BrokerError> {
        match self.next_within(Duration::ZERO).await? {
            Some(message) => Ok(message),
            None => pending().await,
        }
    }

    async fn next_within(&mut self, _: Duration) -> Result<Option<BrokerMessage>, BrokerError> {
        let message = self.broker.message(&self.target, self.next)?;
        self.next += u64::from(message.is_some());
        Ok(message)
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
    async fn available(&mut self) -> Result<Vec<Delivery>, BrokerError> {
        let mut deliveries = Vec::new();
        for (target, cursor) in &mut self.cursors {
            let mut reading = match self.broker.read(target, cursor.as_ref()).await {
                Err(BrokerError::NoStream(_)) => continue,
                reading => reading?,
            };
            for _ in 0..READ_FRAMES_MAX {
                let Some(message) = reading.next_within(Duration::ZERO).await? else { break };
                let resume_point = message.resume_point();
                if let Ok(frame) = message.frame(target) {
                    deliveries.push(Delivery { frame, resume_point: resume_point.clone() });
                }
                *cursor = resume_point.or(cursor.take());
            }
        }
        Ok(deliveries)
    }
}

impl Subscription for MemorySubscription {
    fn ready<'a>(&'a mut self, _: &'a Positions) -> LocalBoxFuture<'a, Result<Vec<Delivery>, StoreError>> {
        Box::pin(async { self.available().await.map_err(|error| StoreError::Unavailable(Box::new(error))) })
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

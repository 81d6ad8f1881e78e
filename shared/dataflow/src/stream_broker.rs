//! The streams of a broker, as publishers and readers use them.
//!
//! A broker provides little: a channel to publish to a stream, and messages from an offset on. What publishers and
//! readers conclude from that is here, once for every broker: markers, incarnations, and whether a message that was
//! seen before is still at its offset.
//!
//! Every publishing session begins with a marker. In an empty stream the marker is the first message and names the
//! incarnation. A stream loses its end, or all of it, but nothing in between. So while a known message is still at its
//! offset, everything before it is there too.

mod channel;
mod consumer;

use std::fmt;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use stage::{ResumePoint, StreamPartition};
use tokio::time::timeout;

use crate::broker_error::BrokerError;
use crate::message::BrokerMessage;

pub use self::channel::{Confirm, MessageSender, PublishChannel};
pub use self::consumer::{MessageReceiver, StreamConsumer};

/// The timeout of every request to the broker. Without a reply in time, a request counts as not done.
pub(crate) const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// Messages that were written together arrive together, within this time. A later message may be new.
pub(crate) const TOGETHER: Duration = Duration::from_secs(2);
/// The first message arrives within this time, unless there is none or the broker is slow. Which of the two is then
/// found out by another request.
const SOON: Duration = Duration::from_millis(500);
/// The maximum number of messages of one stream in flight to a reader: enough to keep it busy, and few enough to fit
/// into memory at their largest size.
const PREFETCH: u16 = 64;

/// The message with which reading a stream begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartAt {
    /// The first message that still exists.
    First,
    /// The first message of the last chunk, that is of the last messages that were written together.
    LastChunk,
    /// The message at this offset. Past the end, nothing arrives until the stream has grown past it.
    Offset(u64),
}

/// A broker that keeps streams: RabbitMQ, or for tests one in memory.
///
/// Only the first four methods differ between brokers.
#[async_trait]
pub trait StreamBroker: fmt::Debug + Send + Sync {
    /// Creates a stream if it does not exist, and opens a channel that publishes to it.
    ///
    /// # Errors
    /// [`BrokerError`].
    async fn open(&self, target: &StreamPartition) -> Result<Box<dyn MessageSender>, BrokerError>;

    /// Reads a stream, with at most `prefetch` messages in flight.
    ///
    /// # Errors
    /// [`BrokerError::NoStream`] when the stream does not exist; another error when that is unknown.
    async fn consume(
        &self,
        target: &StreamPartition,
        start: StartAt,
        prefetch: u16,
    ) -> Result<Box<dyn MessageReceiver>, BrokerError>;

    /// The number of messages in a stream, at most some seconds old.
    ///
    /// # Errors
    /// [`BrokerError::NoStream`] when the stream does not exist; another error when that is unknown.
    async fn length(&self, target: &StreamPartition) -> Result<u64, BrokerError>;

    /// Whether the broker blocks publishing because it is short of memory or disk space.
    fn is_blocked(&self) -> bool;

    /// The name of a new session, which no other session has.
    fn new_session(&self) -> String {
        uuid::Uuid::new_v4().simple().to_string()
    }

    /// Declares a stream for publishing and begins a session with a marker. Once the marker is confirmed, publishing
    /// works: a broker that is short of memory or disk space accepts everything up to that point. In an empty stream
    /// the marker is the first message and names the incarnation. If several sessions write a marker at the same time,
    /// the first wins.
    ///
    /// # Errors
    /// [`BrokerError`].
    async fn attach(&self, target: &StreamPartition) -> Result<PublishChannel, BrokerError> {
        let sender = self.open(target).await?;
        let (session, known) = (self.new_session(), self.incarnation(target).await?);
        let incarnation = known.clone().unwrap_or_else(|| session.clone());
        let mut publishing = PublishChannel::new(incarnation, session, sender);
        let marker = BrokerMessage::marker(&publishing.incarnation, &publishing.session);
        let mut confirm = publishing.send(marker).await?;
        loop {
            match timeout(ANSWER_TIMEOUT, confirm.confirmed()).await {
                Ok(confirmed) => break confirmed?,
                // The broker accepts the marker as soon as it can; over another connection it would not accept more.
                Err(_) if self.is_blocked() => {}
                Err(_) => {
                    publishing.close().await;
                    return Err(BrokerError::Silent(ANSWER_TIMEOUT));
                }
            }
        }
        if known.is_none() {
            let first = self.incarnation(target).await?;
            publishing.incarnation = first.ok_or(BrokerError::NotKept("the marker is missing"))?;
        }
        Ok(publishing)
    }

    /// The incarnation of the stream, as its first message states; `None` when the stream is empty.
    ///
    /// # Errors
    /// [`BrokerError::NoStream`] when the stream does not exist; another error when that is unknown.
    async fn incarnation(&self, target: &StreamPartition) -> Result<Option<String>, BrokerError> {
        let mut messages = self.consume(target, StartAt::First, 1).await?;
        let mut next = match messages.next_within(SOON).await? {
            None if self.length(target).await? > 0 => {
                Some(messages.next_within(ANSWER_TIMEOUT).await?.ok_or(BrokerError::Silent(ANSWER_TIMEOUT))?)
            }
            first => first,
        };
        let mut has_beginning = false;
        while let Some(message) = next {
            // If the stream's beginning was removed, every frame states the incarnation too. Otherwise frames before
            // the first marker do not: they were meant for an earlier incarnation. Foreign messages do not count.
            has_beginning |= message.offset == 0;
            let says = message.is_marker() || !has_beginning;
            if let Some(incarnation) = message.incarnation().filter(|_| says) {
                return Ok(Some(incarnation.to_owned()));
            }
            next = messages.next_within(ANSWER_TIMEOUT).await?;
        }
        Ok(None)
    }

    /// Reads a stream after a message that is still at its offset, or else from its first message. The first message to
    /// arrive, or the presence of that message, proves that reading works.
    ///
    /// # Errors
    /// [`BrokerError`].
    async fn read(
        &self,
        target: &StreamPartition,
        behind: Option<&ResumePoint>,
    ) -> Result<StreamConsumer, BrokerError> {
        if let Some(point) = behind
            && let Some(reading) = self.find(target, point).await?
        {
            return Ok(reading);
        }
        Ok(StreamConsumer::from_first(self.consume(target, StartAt::First, PREFETCH).await?))
    }

    /// Reads a stream after a message; `None` when that message is no longer at its offset.
    ///
    /// An offset past the stream's end silently delivers nothing until the stream has grown past it. If nothing arrives
    /// soon, the stream's last messages show whether the offset exists.
    ///
    /// # Errors
    /// [`BrokerError`].
    async fn find(&self, target: &StreamPartition, point: &ResumePoint) -> Result<Option<StreamConsumer>, BrokerError> {
        let mut reading = self.consume(target, StartAt::Offset(point.offset), PREFETCH).await?;
        let mut next = reading.next_within(SOON).await?;
        if next.is_none() && self.reaches(target, point.offset).await? {
            next = Some(reading.next_within(ANSWER_TIMEOUT).await?.ok_or(BrokerError::Silent(ANSWER_TIMEOUT))?);
        }
        while let Some(message) = next {
            if message.offset >= point.offset {
                let is_there = message.resume_point().as_ref() == Some(point);
                return Ok(is_there.then(|| StreamConsumer::resumed(reading)));
            }
            next = reading.next_within(ANSWER_TIMEOUT).await?;
        }
        Ok(None)
    }

    /// Whether a stream has a message at this offset, or had one.
    ///
    /// # Errors
    /// [`BrokerError`].
    async fn reaches(&self, target: &StreamPartition, offset: u64) -> Result<bool, BrokerError> {
        let mut reading = self.consume(target, StartAt::LastChunk, PREFETCH).await?;
        let mut next = reading.next_within(ANSWER_TIMEOUT).await?;
        let end = Instant::now() + TOGETHER;
        while let Some(message) = next {
            if message.offset >= offset {
                return Ok(true);
            }
            next = reading.next_within(end.saturating_duration_since(Instant::now())).await?;
        }
        Ok(false)
    }
}

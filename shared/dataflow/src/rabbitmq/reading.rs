//! Reading one stream, starting after a message that was seen there before.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{BasicProperties, Channel, Consumer};
use stage::{ResumePoint, StreamPartition};
use tokio::time::timeout;

use super::{ANSWER_TIMEOUT, RabbitMq, answered, missing, table};
use crate::broker_error::BrokerError;
use crate::message::{BrokerMessage, Scalar};

/// Received messages are acknowledged after this time, even if no more arrive.
const ACKNOWLEDGE_AFTER: Duration = Duration::from_secs(1);
/// The maximum number of messages of one stream in flight to a reader: enough to keep it busy, and few enough to fit
/// into memory at their largest size.
const PREFETCH: u16 = 64;
/// Messages that were written together arrive together, within this time. A later message may be new.
pub(crate) const TOGETHER: Duration = Duration::from_secs(2);

impl RabbitMq {
    /// Reads a stream after a message that is still at its offset, or else from its first message. The first message to
    /// arrive, or the presence of that message, proves that reading works.
    ///
    /// # Errors
    /// [`BrokerError`].
    pub async fn read(
        &self,
        target: &StreamPartition,
        behind: Option<&ResumePoint>,
    ) -> Result<StreamConsumer, BrokerError> {
        if let Some(point) = behind
            && let Some(reading) = self.find(target, point).await?
        {
            return Ok(reading);
        }
        self.consume(target, first(), PREFETCH).await
    }

    /// Reads a stream after a message; `None` when that message is no longer at its offset.
    ///
    /// An offset past the stream's end silently delivers nothing until the stream has grown past it. The stream's last
    /// messages are therefore read first: they show whether the offset exists.
    ///
    /// # Errors
    /// [`BrokerError`].
    pub async fn find(
        &self,
        target: &StreamPartition,
        point: &ResumePoint,
    ) -> Result<Option<StreamConsumer>, BrokerError> {
        let mut reading = self.consume(target, last(), PREFETCH).await?;
        let mut next = reading.next_within(ANSWER_TIMEOUT).await?;
        if next.as_ref().is_some_and(|first| first.offset > point.offset) {
            let offset = AMQPValue::LongLongInt(i64::try_from(point.offset).unwrap_or(i64::MAX));
            reading = self.consume(target, offset, PREFETCH).await?;
            next = Some(reading.next_within(ANSWER_TIMEOUT).await?.ok_or(BrokerError::Silent(ANSWER_TIMEOUT))?);
        }
        let end = Instant::now() + TOGETHER;
        while let Some(message) = next {
            if message.offset >= point.offset {
                let is_there = message.resume_point().as_ref() == Some(point);
                reading.is_resumed = true;
                return Ok(is_there.then_some(reading));
            }
            next = reading.next_within(end.saturating_duration_since(Instant::now())).await?;
        }
        Ok(None)
    }

    /// Reads a stream from the last chunk of messages that were written together, with at most `prefetch` in flight.
    ///
    /// # Errors
    /// [`BrokerError`].
    pub async fn read_last(&self, target: &StreamPartition, prefetch: u16) -> Result<StreamConsumer, BrokerError> {
        self.consume(target, last(), prefetch).await
    }

    pub(super) async fn consume(
        &self,
        target: &StreamPartition,
        offset: AMQPValue,
        prefetch: u16,
    ) -> Result<StreamConsumer, BrokerError> {
        let (queue, channel) = (self.queue(target), self.0.consuming.channel(&self.0.uri).await?);
        answered(channel.basic_qos(prefetch, BasicQosOptions::default())).await?;
        let (tag, options) = (ShortString::default(), BasicConsumeOptions::default());
        let arguments = table([("x-stream-offset", offset)]);
        let consumer = answered(channel.basic_consume(queue.as_str().into(), tag, options, arguments)).await;
        let consumer = consumer.map_err(|error| missing(error, &queue))?;
        Ok(StreamConsumer { channel, consumer, queue, prefetch, unacknowledged: 0, last: 0, is_resumed: false })
    }
}

/// The offset of the stream's first existing message.
pub(super) fn first() -> AMQPValue {
    AMQPValue::LongString("first".into())
}

/// The offset of the first message in the last chunk that was written together.
fn last() -> AMQPValue {
    AMQPValue::LongString("last".into())
}

/// A consumer of one stream.
pub struct StreamConsumer {
    channel: Channel,
    consumer: Consumer,
    queue: String,
    prefetch: u16,
    unacknowledged: u16,
    /// The delivery tag of the last received message.
    last: u64,
    /// Whether it started after the requested message, and not at the stream's first.
    pub is_resumed: bool,
}

impl StreamConsumer {
    /// Waits for the next message.
    ///
    /// # Errors
    /// [`BrokerError`] when no more messages can arrive.
    pub async fn next(&mut self) -> Result<BrokerMessage, BrokerError> {
        let delivery = loop {
            match timeout(ACKNOWLEDGE_AFTER, self.consumer.next()).await {
                Ok(delivery) => break delivery.ok_or_else(|| BrokerError::Ended(self.queue.clone()))??,
                Err(_) => self.acknowledge().await?,
            }
        };
        self.unacknowledged += 1;
        self.last = delivery.delivery_tag;
        if self.unacknowledged > self.prefetch / 2 {
            self.acknowledge().await?;
        }
        received(&delivery.properties, delivery.data)
    }

    /// The next message, if one arrives in time.
    ///
    /// # Errors
    /// [`BrokerError`] when no more messages can arrive.
    pub async fn next_within(&mut self, limit: Duration) -> Result<Option<BrokerMessage>, BrokerError> {
        timeout(limit, self.next()).await.ok().transpose()
    }

    /// Acknowledges all messages received so far. For a stream this only requests more; the read position is stored
    /// elsewhere. Without an acknowledgement for a long time, the broker would consider us dead.
    async fn acknowledge(&mut self) -> Result<(), BrokerError> {
        if std::mem::take(&mut self.unacknowledged) == 0 {
            return Ok(());
        }
        let all_so_far = BasicAckOptions { multiple: true };
        answered(self.channel.basic_ack(self.last, all_so_far)).await
    }
}

/// Converts a received message. Headers of other types than ours are ignored.
fn received(properties: &BasicProperties, body: Vec<u8>) -> Result<BrokerMessage, BrokerError> {
    let scalar = |value: &AMQPValue| match value {
        AMQPValue::LongString(text) => Some(Scalar::Text(String::from_utf8_lossy(text.as_bytes()).into_owned())),
        AMQPValue::ShortString(text) => Some(Scalar::Text(text.to_string())),
        AMQPValue::LongLongInt(number) => Some(Scalar::Number(*number)),
        AMQPValue::LongInt(number) => Some(Scalar::Number(i64::from(*number))),
        _ => None,
    };
    let table = properties.headers().as_ref().map(FieldTable::inner);
    let entries = table.into_iter().flatten();
    let mut headers: BTreeMap<_, _> =
        entries.filter_map(|(name, value)| Some((name.to_string(), scalar(value)?))).collect();
    let offset = match headers.remove("x-stream-offset") {
        Some(Scalar::Number(offset)) => u64::try_from(offset).ok(),
        Some(Scalar::Text(_)) | None => None,
    };
    let offset = offset.ok_or(BrokerError::NoOffset)?;
    let kind = properties.kind().as_ref().map(ToString::to_string);
    let encoding = properties.content_encoding().as_ref().map(ToString::to_string);
    Ok(BrokerMessage { kind, encoding, headers, body, offset })
}

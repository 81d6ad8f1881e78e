//! Reading one stream.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt as _;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{BasicProperties, Channel, Consumer};
use tokio::time::timeout;

use super::channels::Channels;
use super::{answered, missing, table};
use crate::broker_error::BrokerError;
use crate::message::{BrokerMessage, Scalar};
use crate::stream_broker::{MessageReceiver, StartAt};

/// Received messages are acknowledged after this time, even if no more arrive.
const ACKNOWLEDGE_AFTER: Duration = Duration::from_secs(1);

/// A consumer of one stream.
pub(super) struct Consuming {
    channels: Arc<Channels>,
    channel: Channel,
    /// `None` once it is being dropped.
    consumer: Option<Consumer>,
    queue: String,
    prefetch: u16,
    unacknowledged: u16,
    /// The delivery tag of the last received message.
    last: u64,
}

impl Consuming {
    /// Starts to consume a stream over a channel of these, which gets it back.
    pub async fn start(
        channels: Arc<Channels>,
        channel: Channel,
        queue: String,
        start: StartAt,
        prefetch: u16,
    ) -> Result<Self, BrokerError> {
        match consume(&channel, &queue, start, prefetch).await {
            Ok(consumer) => {
                Ok(Self { channels, channel, consumer: Some(consumer), queue, prefetch, unacknowledged: 0, last: 0 })
            }
            Err(error) => {
                // The broker may answer later after all; then nobody would end the consumer.
                tokio::spawn(async move { answered(channel.close(200, "no answer".into())).await });
                Err(error)
            }
        }
    }

    /// Acknowledges all messages received so far. For a stream this only requests more; the read position is stored
    /// elsewhere. Without an acknowledgement for a long time, the broker would consider us dead.
    async fn acknowledge(&mut self) -> Result<(), BrokerError> {
        if self.unacknowledged > 0 {
            answered(self.channel.basic_ack(self.last, BasicAckOptions { multiple: true })).await?;
            self.unacknowledged = 0;
        }
        Ok(())
    }
}

async fn consume(channel: &Channel, queue: &str, start: StartAt, prefetch: u16) -> Result<Consumer, BrokerError> {
    answered(channel.basic_qos(prefetch, BasicQosOptions::default())).await?;
    let (tag, options) = (ShortString::default(), BasicConsumeOptions::default());
    let offset = match start {
        StartAt::First => AMQPValue::LongString("first".into()),
        StartAt::LastChunk => AMQPValue::LongString("last".into()),
        StartAt::Offset(offset) => AMQPValue::LongLongInt(i64::try_from(offset).unwrap_or(i64::MAX)),
    };
    let arguments = table([("x-stream-offset", offset)]);
    let consumer = answered(channel.basic_consume(queue.into(), tag, options, arguments)).await;
    consumer.map_err(|error| missing(error, queue))
}

impl Drop for Consuming {
    fn drop(&mut self) {
        if let Some(consumer) = self.consumer.take() {
            self.channels.keep_after_reading(self.channel.clone(), consumer);
        }
    }
}

#[async_trait]
impl MessageReceiver for Consuming {
    async fn next(&mut self) -> Result<BrokerMessage, BrokerError> {
        // The wait can be canceled, so nothing is waited for once a message has arrived.
        if self.unacknowledged > self.prefetch / 2 {
            self.acknowledge().await?;
        }
        let delivery = loop {
            let ended = || BrokerError::Ended(self.queue.clone());
            let consumer = self.consumer.as_mut().ok_or_else(ended)?;
            match timeout(ACKNOWLEDGE_AFTER, consumer.next()).await {
                Ok(delivery) => break delivery.ok_or_else(ended)??,
                Err(_) => self.acknowledge().await?,
            }
        };
        self.unacknowledged += 1;
        self.last = delivery.delivery_tag;
        received(&delivery.properties, delivery.data)
    }

    async fn next_within(&mut self, limit: Duration) -> Result<Option<BrokerMessage>, BrokerError> {
        timeout(limit, self.next()).await.ok().transpose()
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

//! RabbitMQ streams over AMQP 0.9.1. This is the only module that uses lapin.
//!
//! A stream provides order, replay, confirms and the offset of every message. It does not deliver each message exactly
//! once, nor keep it forever: [`StreamBroker`] says how publishers and readers deal with that. Only producers declare
//! streams; a reader that declared one would hide from them that the stream was lost.
//!
//! Nothing here recovers by itself. On any error or timeout, the caller attaches again. Publishers and readers have a
//! connection each (an alarm blocks only publishers), which is recreated after a failure.

mod channels;
mod publishing;
mod reading;

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;

use async_trait::async_trait;
use lapin::options::{ConfirmSelectOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::protocol::{AMQPErrorKind, AMQPSoftError};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::uri::AMQPUri;
use lapin::{ErrorKind, ExchangeKind};
use stage::StreamPartition;
use tokio::time::timeout;

use crate::broker_error::{BadBrokerUrl, BrokerError};
use crate::stream_broker::{ANSWER_TIMEOUT, MessageReceiver, MessageSender, StartAt, StreamBroker};

use self::channels::Channels;
use self::publishing::Publishing;
use self::reading::Consuming;

/// The heartbeat interval in seconds. A peer that is silent for twice this long is gone.
const HEARTBEAT_S: u16 = 10;

impl From<lapin::Error> for BrokerError {
    fn from(error: lapin::Error) -> Self {
        BrokerError::Away(Box::new(error))
    }
}

/// A broker. Clones share its connections.
#[derive(Clone)]
pub struct RabbitMq(Arc<Shared>);

struct Shared {
    uri: AMQPUri,
    /// The name of the exchange, and the prefix of all stream names.
    exchange: String,
    publishing: Channels,
    consuming: Arc<Channels>,
}

impl std::fmt::Debug for RabbitMq {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RabbitMq").field("exchange", &self.0.exchange).finish_non_exhaustive()
    }
}

async fn answered<T>(reply: impl Future<Output = lapin::Result<T>>) -> Result<T, BrokerError> {
    Ok(timeout(ANSWER_TIMEOUT, reply).await.map_err(|_| BrokerError::Silent(ANSWER_TIMEOUT))??)
}

impl RabbitMq {
    /// A broker at this URL, without a connection yet. All names in the broker begin with `prefix`, so that several
    /// systems can share it. `client` is the connection name that the broker's operator sees.
    ///
    /// # Errors
    /// [`BadBrokerUrl`].
    pub fn new(url: &str, prefix: &str, client: &str) -> Result<Self, BadBrokerUrl> {
        let mut uri: AMQPUri = url.parse().map_err(BadBrokerUrl::Url)?;
        if uri.scheme != lapin::uri::AMQPScheme::AMQP {
            return Err(BadBrokerUrl::Tls);
        }
        uri.query.heartbeat.get_or_insert(HEARTBEAT_S);
        let channels = |what| Channels::new(format!("{client} {what}"));
        let (publishing, consuming) = (channels("publishes"), Arc::new(channels("reads")));
        Ok(Self(Arc::new(Shared { uri, exchange: prefix.to_owned(), publishing, consuming })))
    }

    /// The name of a stream partition in the broker.
    pub fn queue(&self, target: &StreamPartition) -> String {
        format!("{}.{}.{}", self.0.exchange, target.stream, target.partition.0)
    }

    /// Closes both connections.
    pub async fn close(&self) {
        self.0.publishing.close().await;
        self.0.consuming.close().await;
    }
}

#[async_trait]
impl StreamBroker for RabbitMq {
    async fn open(&self, target: &StreamPartition) -> Result<Box<dyn MessageSender>, BrokerError> {
        let queue = self.queue(target);
        let channel = self.0.publishing.open(&self.0.uri).await?;
        let durable = ExchangeDeclareOptions { durable: true, ..Default::default() };
        let exchange: ShortString = self.0.exchange.as_str().into();
        let declared = channel.exchange_declare(exchange.clone(), ExchangeKind::Direct, durable, FieldTable::default());
        answered(declared).await?;
        let durable = QueueDeclareOptions { durable: true, ..Default::default() };
        let arguments = table([("x-queue-type", AMQPValue::LongString("stream".into()))]);
        answered(channel.queue_declare(queue.as_str().into(), durable, arguments)).await?;
        let (name, options) = (ShortString::from(queue.as_str()), QueueBindOptions::default());
        answered(channel.queue_bind(name.clone(), exchange.clone(), name, options, FieldTable::default())).await?;
        answered(channel.confirm_select(ConfirmSelectOptions::default())).await?;
        Ok(Box::new(Publishing { channel, exchange, queue: queue.as_str().into() }))
    }

    async fn consume(
        &self,
        target: &StreamPartition,
        start: StartAt,
        prefetch: u16,
    ) -> Result<Box<dyn MessageReceiver>, BrokerError> {
        let (queue, channel) = (self.queue(target), self.0.consuming.take(&self.0.uri).await?);
        Ok(Box::new(Consuming::start(self.0.consuming.clone(), channel, queue, start, prefetch).await?))
    }

    async fn length(&self, target: &StreamPartition) -> Result<u64, BrokerError> {
        let (queue, channel) = (self.queue(target), self.0.consuming.take(&self.0.uri).await?);
        let passive = QueueDeclareOptions { passive: true, ..Default::default() };
        let declared = answered(channel.queue_declare(queue.as_str().into(), passive, FieldTable::default())).await;
        let messages = declared.map_err(|error| missing(error, &queue))?.message_count();
        self.0.consuming.keep(channel);
        Ok(messages.into())
    }

    fn is_blocked(&self) -> bool {
        self.0.publishing.is_blocked()
    }
}

fn missing(error: BrokerError, queue: &str) -> BrokerError {
    let not_found = AMQPErrorKind::Soft(AMQPSoftError::NOTFOUND);
    let source = if let BrokerError::Away(source) = &error { source.downcast_ref::<lapin::Error>() } else { None };
    let kind = source.map(lapin::Error::kind);
    let is_missing = matches!(kind, Some(ErrorKind::ProtocolError(error)) if *error.kind() == not_found);
    if is_missing { BrokerError::NoStream(queue.to_owned()) } else { error }
}

fn table<const N: usize>(entries: [(&str, AMQPValue); N]) -> FieldTable {
    entries.into_iter().map(|(name, value)| (ShortString::from(name), value)).collect::<BTreeMap<_, _>>().into()
}

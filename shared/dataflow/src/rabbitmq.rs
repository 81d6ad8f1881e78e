//! RabbitMQ streams over AMQP 0.9.1. This is the only module that uses lapin.
//!
//! A stream provides order, replay, confirms and the offset of every message. It does not deliver each message exactly
//! once, nor keep it forever: [`StreamBroker`] says how publishers and readers deal with that. Only producers declare
//! streams; a reader that declared one would hide from them that the stream was lost.
//!
//! Nothing here recovers by itself. On any error or timeout, the caller attaches again. Publishers and readers have a
//! connection each (an alarm blocks only publishers), which is recreated after a failure.

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
use lapin::{Channel, Connection, ConnectionProperties, ErrorKind, ExchangeKind};
use stage::StreamPartition;
use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::broker_error::{BadBrokerUrl, BrokerError};
use crate::stream_broker::{ANSWER_TIMEOUT, MessageReceiver, MessageSender, StartAt, StreamBroker};

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
    publishing: ReusedConnection,
    consuming: ReusedConnection,
}

impl std::fmt::Debug for RabbitMq {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RabbitMq").field("exchange", &self.0.exchange).finish_non_exhaustive()
    }
}

/// A connection that is created on demand and recreated after a failure.
struct ReusedConnection {
    name: String,
    connection: Mutex<Option<Connection>>,
}

impl ReusedConnection {
    async fn channel(&self, uri: &AMQPUri) -> Result<Channel, BrokerError> {
        let mut slot = self.connection.lock().await;
        if let Some(connection) = slot.take_if(|connection| connection.status().connected()) {
            if let Ok(channel) = answered(connection.create_channel()).await {
                *slot = Some(connection);
                return Ok(channel);
            }
            // If the broker answers later after all, the connection is no longer needed.
            tokio::spawn(async move { answered(connection.close(200, "no answer".into())).await });
        }
        let properties = ConnectionProperties::default().with_connection_name(self.name.as_str().into());
        let connection = answered(Connection::connect_uri(uri.clone(), properties)).await?;
        let channel = answered(connection.create_channel()).await?;
        *slot = Some(connection);
        Ok(channel)
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
        let connection_of = |what| ReusedConnection { name: format!("{client} {what}"), connection: Mutex::default() };
        let (publishing, consuming) = (connection_of("publishes"), connection_of("reads"));
        Ok(Self(Arc::new(Shared { uri, exchange: prefix.to_owned(), publishing, consuming })))
    }

    /// The name of a stream partition in the broker.
    pub fn queue(&self, target: &StreamPartition) -> String {
        format!("{}.{}.{}", self.0.exchange, target.stream, target.partition.0)
    }

    /// Closes both connections.
    pub async fn close(&self) {
        for connection_of in [&self.0.publishing, &self.0.consuming] {
            if let Some(connection) = connection_of.connection.lock().await.take() {
                // A broker that does not answer is already gone.
                let _gone = answered(connection.close(200, "stopped".into())).await;
            }
        }
    }
}

#[async_trait]
impl StreamBroker for RabbitMq {
    async fn open(&self, target: &StreamPartition) -> Result<Box<dyn MessageSender>, BrokerError> {
        let queue = self.queue(target);
        let channel = self.0.publishing.channel(&self.0.uri).await?;
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
        let (queue, channel) = (self.queue(target), self.0.consuming.channel(&self.0.uri).await?);
        Ok(Box::new(Consuming::start(channel, queue, start, prefetch).await?))
    }

    async fn length(&self, target: &StreamPartition) -> Result<u64, BrokerError> {
        let (queue, channel) = (self.queue(target), self.0.consuming.channel(&self.0.uri).await?);
        let passive = QueueDeclareOptions { passive: true, ..Default::default() };
        let declared = answered(channel.queue_declare(queue.as_str().into(), passive, FieldTable::default())).await;
        Ok(declared.map_err(|error| missing(error, &queue))?.message_count().into())
    }

    /// While the lock is held, a new connection is being made.
    fn is_blocked(&self) -> bool {
        self.0.publishing.connection.try_lock().is_ok_and(|slot| slot.as_ref().is_some_and(|c| c.status().blocked()))
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

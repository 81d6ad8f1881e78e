//! RabbitMQ streams over AMQP 0.9.1. Nothing else knows lapin.
//!
//! What a stream gives: order, replay, confirms, the offset of every message. What it does not: each message
//! once, or for ever. So a stream's first message is a marker with a random incarnation, and whoever attaches
//! looks at it: another one than before means that the stream began a new life. Only producers declare; a
//! reader that declared would hide from them that a stream was lost.
//!
//! Nothing here recovers by itself. On any error, or no answer in time, the caller attaches again. Publishers
//! and readers have a connection each (an alarm blocks publishers only), made anew when it is broken.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, ConfirmSelectOptions,
    ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions,
};
use lapin::protocol::{AMQPErrorKind, AMQPSoftError};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::uri::AMQPUri;
use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, Consumer, ErrorKind, ExchangeKind,
    PublisherConfirm,
};
use stage::{Frame, Hint, Target};
use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::broker_error::{BadBrokerUrl, BrokerError};
use crate::message::{CONTENT_TYPE, Message, Scalar};

/// Whatever is asked of the broker is answered in this time, or taken as not done.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// A stream that says it is empty is not waited for longer; it gets a marker. One too many does no harm.
const EMPTY_TIMEOUT: Duration = Duration::from_millis(500);
/// A peer that is silent for twice this long is gone.
const HEARTBEAT_S: u16 = 10;
/// What was given out is acknowledged after this, also when nothing more comes.
const ACKNOWLEDGE_AFTER: Duration = Duration::from_secs(1);
/// Messages of one stream on their way to a reader: enough to keep it busy, few enough to keep in memory at their biggest.
const PREFETCH: u16 = 64;

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
    /// The exchange's name, and how the names of all streams begin.
    exchange: String,
    publishing: Line,
    consuming: Line,
}

impl std::fmt::Debug for RabbitMq {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RabbitMq").field("exchange", &self.0.exchange).finish_non_exhaustive()
    }
}

/// One connection, made when it is needed and made anew when it is broken.
struct Line {
    name: String,
    connection: Mutex<Option<Connection>>,
}

impl Line {
    async fn channel(&self, uri: &AMQPUri) -> Result<Channel, BrokerError> {
        let mut slot = self.connection.lock().await;
        if let Some(connection) = slot.take_if(|connection| connection.status().connected())
            && let Ok(channel) = answered(connection.create_channel()).await
        {
            *slot = Some(connection);
            return Ok(channel);
        }
        let properties = ConnectionProperties::default().with_connection_name(self.name.as_str().into());
        let connection = answered(Connection::connect_uri(uri.clone(), properties)).await?;
        let channel = answered(connection.create_channel()).await?;
        *slot = Some(connection);
        Ok(channel)
    }
}

async fn answered<T>(answer: impl Future<Output = lapin::Result<T>>) -> Result<T, BrokerError> {
    Ok(timeout(ANSWER_TIMEOUT, answer).await.map_err(|_| BrokerError::Silent(ANSWER_TIMEOUT))??)
}

impl RabbitMq {
    /// The broker of this URL. Nothing is connected yet. All names in the broker begin with `prefix`, so that
    /// several systems can share it; `client` is how its operator sees us.
    ///
    /// # Errors
    /// [`BadBrokerUrl`].
    pub fn new(url: &str, prefix: &str, client: &str) -> Result<Self, BadBrokerUrl> {
        let mut uri: AMQPUri = url.parse().map_err(BadBrokerUrl::Url)?;
        if uri.scheme != lapin::uri::AMQPScheme::AMQP {
            return Err(BadBrokerUrl::Tls);
        }
        uri.query.heartbeat.get_or_insert(HEARTBEAT_S);
        let line = |what| Line { name: format!("{client} {what}"), connection: Mutex::default() };
        let (publishing, consuming) = (line("publishes"), line("reads"));
        Ok(Self(Arc::new(Shared { uri, exchange: prefix.to_owned(), publishing, consuming })))
    }

    /// The name of a stream partition in the broker.
    pub fn queue(&self, target: &Target) -> String {
        format!("{}.{}.{}", self.0.exchange, target.stream, target.partition.0)
    }

    /// Whether the broker takes nothing from us: it is short of memory or disk. (Who holds the lock connects anew.)
    pub fn is_blocked(&self) -> bool {
        self.0.publishing.connection.try_lock().is_ok_and(|slot| slot.as_ref().is_some_and(|c| c.status().blocked()))
    }

    /// Declares a stream for publishing, and learns which life of it this is. An empty one gets a marker; of
    /// several that write one at the same time, the first wins.
    ///
    /// # Errors
    /// [`BrokerError`].
    pub async fn attach(&self, target: &Target) -> Result<Publishing, BrokerError> {
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
        let mut publishing = Publishing { channel, exchange, queue: queue.as_str().into(), incarnation: String::new() };
        publishing.incarnation = match self.incarnation(target).await? {
            Some(incarnation) => incarnation,
            None => {
                let marker = uuid::Uuid::new_v4().simple().to_string();
                let mut confirm = publishing.send(Message::marker(&marker)).await?;
                let confirmed = timeout(ANSWER_TIMEOUT, confirm.confirmed()).await;
                confirmed.map_err(|_| BrokerError::Silent(ANSWER_TIMEOUT))??;
                self.incarnation(target).await?.ok_or(BrokerError::NotKept("the marker is not there"))?
            }
        };
        Ok(publishing)
    }

    /// Which life of the stream this is, as its first message says; `None` when it holds nothing.
    ///
    /// # Errors
    /// [`BrokerError::NoStream`] when it does not exist, another when that is not known.
    pub async fn incarnation(&self, target: &Target) -> Result<Option<String>, BrokerError> {
        let is_empty = self.length(target).await? == 0;
        let wait = if is_empty { EMPTY_TIMEOUT } else { ANSWER_TIMEOUT };
        let mut has_strangers = false;
        let mut messages = self.consume(target, first(), 1).await?;
        loop {
            let message = match timeout(wait, messages.next()).await {
                Ok(message) => message?,
                Err(_) if is_empty || has_strangers => return Ok(None),
                Err(_) => return Err(BrokerError::Silent(wait)),
            };
            // Where the beginning was removed, every frame says it too. A frame at the very beginning does not: it was
            // on its way to an earlier life. What strangers put there says nothing.
            let says = message.is_marker() || message.offset > 0;
            if let Some(incarnation) = message.incarnation().filter(|_| says) {
                return Ok(Some(incarnation.to_owned()));
            }
            has_strangers = true;
        }
    }

    /// How many messages a stream held, some seconds ago at most.
    ///
    /// # Errors
    /// [`BrokerError`].
    pub async fn length(&self, target: &Target) -> Result<u64, BrokerError> {
        let (queue, channel) = (self.queue(target), self.0.consuming.channel(&self.0.uri).await?);
        let passive = QueueDeclareOptions { passive: true, ..Default::default() };
        let declared = answered(channel.queue_declare(queue.as_str().into(), passive, FieldTable::default())).await;
        Ok(declared.map_err(|error| missing(error, &queue))?.message_count().into())
    }

    /// Reads a stream from a place in a life of it, or, when it has another life by now or does not reach so far,
    /// from its beginning.
    ///
    /// # Errors
    /// [`BrokerError`].
    pub async fn read(&self, target: &Target, from: Option<&Hint>) -> Result<Reading, BrokerError> {
        let Some(from) = from else { return self.consume(target, first(), PREFETCH).await };
        // First read, then ask which life it is: the other way round, a stream made anew in between would
        // give nothing until it has grown past the place. One deleted after that ends the reading.
        let offset = AMQPValue::LongLongInt(i64::try_from(from.offset).unwrap_or(i64::MAX));
        let reading = self.consume(target, offset, PREFETCH).await?;
        let is_same = self.incarnation(target).await?.as_ref() == Some(&from.incarnation);
        // Past its end it would give nothing either, and nobody would know.
        if is_same && from.offset <= self.length(target).await? {
            return Ok(reading);
        }
        drop(reading);
        self.consume(target, first(), PREFETCH).await
    }

    async fn consume(&self, target: &Target, offset: AMQPValue, prefetch: u16) -> Result<Reading, BrokerError> {
        let (queue, channel) = (self.queue(target), self.0.consuming.channel(&self.0.uri).await?);
        answered(channel.basic_qos(prefetch, BasicQosOptions::default())).await?;
        let (tag, options) = (ShortString::default(), BasicConsumeOptions::default());
        let arguments = table([("x-stream-offset", offset)]);
        let consumer = answered(channel.basic_consume(queue.as_str().into(), tag, options, arguments)).await;
        let consumer = consumer.map_err(|error| missing(error, &queue))?;
        Ok(Reading { channel, consumer, queue, prefetch, unacknowledged: 0, last: 0 })
    }

    /// Ends both connections.
    pub async fn close(&self) {
        for line in [&self.0.publishing, &self.0.consuming] {
            if let Some(connection) = line.connection.lock().await.take() {
                // Whoever does not answer is gone already.
                let _gone = answered(connection.close(200, "stopped".into())).await;
            }
        }
    }
}

fn missing(error: BrokerError, queue: &str) -> BrokerError {
    let not_found = AMQPErrorKind::Soft(AMQPSoftError::NOTFOUND);
    let source = if let BrokerError::Away(source) = &error { source.downcast_ref::<lapin::Error>() } else { None };
    let kind = source.map(lapin::Error::kind);
    let is_missing = matches!(kind, Some(ErrorKind::ProtocolError(error)) if *error.kind() == not_found);
    if is_missing { BrokerError::NoStream(queue.to_owned()) } else { error }
}

fn first() -> AMQPValue {
    AMQPValue::LongString("first".into())
}

fn table<const N: usize>(entries: [(&str, AMQPValue); N]) -> FieldTable {
    entries.into_iter().map(|(name, value)| (ShortString::from(name), value)).collect::<BTreeMap<_, _>>().into()
}

/// A channel that publishes to one stream, in order.
pub struct Publishing {
    channel: Channel,
    exchange: ShortString,
    queue: ShortString,
    /// Which life of the stream it was when attached.
    pub incarnation: String,
}

impl Publishing {
    /// Hands a frame to the broker. Confirms come in the same order; after one that fails, nothing later counts.
    ///
    /// # Errors
    /// [`BrokerError`] when the channel is broken.
    pub async fn publish(&self, frame: &Frame) -> Result<Confirm, BrokerError> {
        self.send(Message::of_frame(frame, &self.incarnation)).await
    }

    /// Hands any message to the broker.
    ///
    /// # Errors
    /// [`BrokerError`] when the channel is broken.
    pub async fn send(&self, message: Message) -> Result<Confirm, BrokerError> {
        let options = BasicPublishOptions { mandatory: true, ..Default::default() };
        let (exchange, queue, body) = (self.exchange.clone(), self.queue.clone(), message.body.clone());
        let publish = self.channel.basic_publish(exchange, queue, options, &body, properties(message));
        Ok(Confirm(answered(publish).await?))
    }

    /// Ends it at once: no confirm of what was sent can come any more.
    pub async fn close(self) {
        let _gone = answered(self.channel.close(200, "attaching again".into())).await;
    }
}

/// The answer to one message, to come.
pub struct Confirm(PublisherConfirm);

impl Confirm {
    /// Waits until the broker has it, however long. Can be given up and waited for again.
    ///
    /// # Errors
    /// [`BrokerError`] when it has not, or nobody knows.
    pub async fn confirmed(&mut self) -> Result<(), BrokerError> {
        match (&mut self.0).await? {
            Confirmation::Ack(None) => Ok(()),
            Confirmation::Ack(Some(_)) => Err(BrokerError::NotKept("its stream is gone")),
            Confirmation::Nack(_) => Err(BrokerError::NotKept("it was refused")),
            Confirmation::NotRequested => Err(BrokerError::NotKept("the channel does not confirm")),
        }
    }
}

/// A stream being read.
pub struct Reading {
    channel: Channel,
    consumer: Consumer,
    queue: String,
    prefetch: u16,
    unacknowledged: u16,
    /// The tag of the last message given out.
    last: u64,
}

impl Reading {
    /// The next message, whenever it comes.
    ///
    /// # Errors
    /// [`BrokerError`] when none can come any more.
    pub async fn next(&mut self) -> Result<Message, BrokerError> {
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

    /// A stream's acknowledgement only asks for more; what was read is remembered elsewhere. Without any for a long
    /// time the broker would take us for dead.
    async fn acknowledge(&mut self) -> Result<(), BrokerError> {
        if std::mem::take(&mut self.unacknowledged) == 0 {
            return Ok(());
        }
        let all_so_far = BasicAckOptions { multiple: true };
        answered(self.channel.basic_ack(self.last, all_so_far)).await
    }
}

fn properties(message: Message) -> BasicProperties {
    let value = |value| match value {
        Scalar::Text(text) => AMQPValue::LongString(text.into()),
        Scalar::Number(number) => AMQPValue::LongLongInt(number),
    };
    let mut headers = FieldTable::default();
    for (name, scalar) in message.headers {
        headers.insert(name.into(), value(scalar));
    }
    let properties = BasicProperties::default().with_headers(headers);
    let properties = match message.kind {
        Some(kind) => properties.with_type(kind.into()),
        None => properties.with_content_type(CONTENT_TYPE.into()),
    };
    match message.encoding {
        Some(encoding) => properties.with_content_encoding(encoding.into()),
        None => properties,
    }
}

/// A message as it came. Headers of other kinds than ours play no part.
fn received(properties: &BasicProperties, body: Vec<u8>) -> Result<Message, BrokerError> {
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
    Ok(Message { kind, encoding, headers, body, offset })
}

//! Direct access to the streams of a broker, also to damage them.

use std::collections::BTreeSet;

use dataflow::message::BrokerMessage;
use dataflow::{PublishChannel, RabbitMq, StreamBroker as _};
use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions, QueueDeleteOptions};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{Channel, Connection, ConnectionProperties, ExchangeKind};
use stage::{Producer, Seq, StreamPartition};

use crate::scenarios::harness::wait_until;

/// The maximum number of messages without a confirm.
const WINDOW: usize = 200;

/// The streams of one system.
pub struct RawStreams {
    url: String,
    prefix: String,
    /// The client that the services use.
    pub broker: RabbitMq,
}

impl RawStreams {
    /// The streams whose names begin with `prefix`.
    pub fn new(url: &str, prefix: &str) -> Self {
        let broker = RabbitMq::new(url, prefix, "a test").unwrap();
        Self { url: url.to_owned(), prefix: prefix.to_owned(), broker }
    }

    /// Attaches a publisher with a session of its own, once the broker is available.
    async fn attach(&self, target: &StreamPartition) -> PublishChannel {
        wait_until(&format!("{target} can be published to"), async || self.broker.attach(target).await.ok()).await
    }

    /// All messages of a stream in order. To find the end, this writes a marker, which is not returned.
    pub async fn messages(&self, target: &StreamPartition) -> Vec<BrokerMessage> {
        let publishing = self.attach(target).await;
        let mut reading = self.broker.read(target, None).await.unwrap();
        let mut messages = Vec::new();
        loop {
            let message = reading.next().await.unwrap();
            if message.session() == Some(&publishing.session) {
                return messages;
            }
            messages.push(message);
        }
    }

    /// All frames of a stream, including duplicates.
    pub async fn frames(&self, target: &StreamPartition) -> Vec<BrokerMessage> {
        let mut messages = self.messages(target).await;
        messages.retain(|message| !message.is_marker());
        messages
    }

    /// The producer and the number of each frame of a stream, without duplicates.
    pub async fn distinct_frames(&self, target: &StreamPartition) -> BTreeSet<(Producer, Seq)> {
        let frames = self.frames(target).await;
        frames
            .iter()
            .filter_map(|message| message.frame(target).ok())
            .map(|frame| (frame.producer, frame.seq))
            .collect()
    }

    /// Deletes a stream.
    pub async fn delete(&self, target: &StreamPartition) -> Channel {
        let connection = Connection::connect(&self.url, ConnectionProperties::default()).await.unwrap();
        let channel = connection.create_channel().await.unwrap();
        channel.queue_delete(self.broker.queue(target).into(), QueueDeleteOptions::default()).await.unwrap();
        channel
    }

    /// The number of messages in a stream, as the broker last counted them; `None` if the stream does not exist.
    pub async fn count(&self, target: &StreamPartition) -> Option<u32> {
        let connection = Connection::connect(&self.url, ConnectionProperties::default()).await.unwrap();
        let channel = connection.create_channel().await.unwrap();
        let passive = QueueDeclareOptions { passive: true, durable: true, ..Default::default() };
        let queue = channel.queue_declare(self.broker.queue(target).into(), passive, FieldTable::default()).await;
        queue.ok().map(|queue| queue.message_count())
    }

    /// Creates an empty stream with its exchange and binding.
    pub async fn declare(&self, target: &StreamPartition) -> Channel {
        let connection = Connection::connect(&self.url, ConnectionProperties::default()).await.unwrap();
        let (channel, queue) = (connection.create_channel().await.unwrap(), self.broker.queue(target));
        let exchange: ShortString = self.prefix.as_str().into();
        let durable = ExchangeDeclareOptions { durable: true, ..Default::default() };
        let kind = ExchangeKind::Direct;
        channel.exchange_declare(exchange.clone(), kind, durable, FieldTable::default()).await.unwrap();
        let mut arguments = FieldTable::default();
        arguments.insert("x-queue-type".into(), AMQPValue::LongString("stream".into()));
        let durable = QueueDeclareOptions { durable: true, ..Default::default() };
        channel.queue_declare(queue.as_str().into(), durable, arguments).await.unwrap();
        let (queue, options) = (ShortString::from(queue.as_str()), QueueBindOptions::default());
        channel.queue_bind(queue.clone(), exchange, queue, options, FieldTable::default()).await.unwrap();
        channel
    }

    /// Replaces a stream by one that contains exactly these messages, from offset 0 on.
    pub async fn recreate(&self, target: &StreamPartition, messages: Vec<BrokerMessage>) {
        let publishing = self.attach(target).await;
        self.delete(target).await;
        self.declare(target).await;
        send_all(&publishing, messages).await;
    }

    /// Appends this many markers, which are messages without a frame, to a stream.
    pub async fn append_markers(&self, target: &StreamPartition, messages: usize) {
        let publishing = self.attach(target).await;
        let marker = BrokerMessage::marker(&publishing.incarnation, &publishing.session);
        send_all(&publishing, std::iter::repeat_n(marker, messages)).await;
    }
}

async fn send_all(publishing: &PublishChannel, messages: impl IntoIterator<Item = BrokerMessage>) {
    let mut unconfirmed = std::collections::VecDeque::new();
    for message in messages {
        unconfirmed.push_back(publishing.send(message).await.unwrap());
        if unconfirmed.len() > WINDOW {
            unconfirmed.pop_front().expect("some").confirmed().await.unwrap();
        }
    }
    for mut confirm in unconfirmed {
        confirm.confirmed().await.unwrap();
    }
}

//! Publishing to one stream, in order, each message confirmed.

use lapin::options::BasicPublishOptions;
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{BasicProperties, Channel, Confirmation, PublisherConfirm};
use stage::Frame;

use super::answered;
use crate::broker_error::BrokerError;
use crate::message::{BrokerMessage, CONTENT_TYPE, Scalar};

/// A channel that publishes to one stream, in order.
pub struct PublishChannel {
    pub(super) channel: Channel,
    pub(super) exchange: ShortString,
    pub(super) queue: ShortString,
    /// Which incarnation of the stream it was when attached.
    pub incarnation: String,
    /// The name of this attachment, in each message that it publishes.
    pub session: String,
}

impl PublishChannel {
    /// Hands a frame to the broker. Confirms come in the same order; after one that fails, nothing later counts.
    ///
    /// # Errors
    /// [`BrokerError`] when the channel is broken.
    pub async fn publish(&self, frame: &Frame) -> Result<Confirm, BrokerError> {
        self.send(BrokerMessage::of_frame(frame, &self.incarnation, &self.session)).await
    }

    /// Hands any message to the broker.
    ///
    /// # Errors
    /// [`BrokerError`] when the channel is broken.
    pub async fn send(&self, message: BrokerMessage) -> Result<Confirm, BrokerError> {
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

fn properties(message: BrokerMessage) -> BasicProperties {
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

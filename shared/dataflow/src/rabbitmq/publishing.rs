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
    /// The incarnation of the stream at the time of attaching.
    pub incarnation: String,
    /// The name of this attachment, in each message that it publishes.
    pub session: String,
}

impl PublishChannel {
    /// Sends a frame to the broker. Confirms arrive in the same order; after one that fails, no later one counts.
    ///
    /// # Errors
    /// [`BrokerError`] when the channel has failed.
    pub async fn publish(&self, frame: &Frame) -> Result<Confirm, BrokerError> {
        self.send(BrokerMessage::of_frame(frame, &self.incarnation, &self.session)).await
    }

    /// Sends any message to the broker.
    ///
    /// # Errors
    /// [`BrokerError`] when the channel has failed.
    pub async fn send(&self, message: BrokerMessage) -> Result<Confirm, BrokerError> {
        let options = BasicPublishOptions { mandatory: true, ..Default::default() };
        let (exchange, queue, body) = (self.exchange.clone(), self.queue.clone(), message.body.clone());
        let publish = self.channel.basic_publish(exchange, queue, options, &body, properties(message));
        Ok(Confirm(answered(publish).await?))
    }

    /// Checks that the channel is still open. Nothing else notices a lost connection while nothing is sent.
    ///
    /// # Errors
    /// [`BrokerError::Ended`] when it is not.
    pub fn check(&self) -> Result<(), BrokerError> {
        if self.channel.status().connected() { Ok(()) } else { Err(BrokerError::Ended(self.queue.to_string())) }
    }

    /// Closes the channel at once. No confirm of sent messages can arrive any more.
    pub async fn close(self) {
        let _gone = answered(self.channel.close(200, "attaching again".into())).await;
    }
}

/// The pending confirm of one message.
pub struct Confirm(PublisherConfirm);

impl Confirm {
    /// Waits until the broker has stored the message, without a limit. The wait can be canceled and repeated.
    ///
    /// # Errors
    /// [`BrokerError`] when the broker has not stored it, or that is unknown.
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

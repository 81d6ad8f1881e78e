//! A channel that publishes to one stream.

use async_trait::async_trait;
use lapin::options::BasicPublishOptions;
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{BasicProperties, Channel, Confirmation, PublisherConfirm};

use super::answered;
use crate::broker_error::BrokerError;
use crate::message::{BrokerMessage, CONTENT_TYPE, Scalar};
use crate::stream_broker::{Confirm, MessageSender};

/// A channel that publishes to one stream, in order.
pub(super) struct Publishing {
    pub channel: Channel,
    pub exchange: ShortString,
    pub queue: ShortString,
}

#[async_trait]
impl MessageSender for Publishing {
    async fn send(&self, message: BrokerMessage) -> Result<Confirm, BrokerError> {
        let options = BasicPublishOptions { mandatory: true, ..Default::default() };
        let (exchange, queue, body) = (self.exchange.clone(), self.queue.clone(), message.body.clone());
        let publish = self.channel.basic_publish(exchange, queue, options, &body, properties(message));
        Ok(Confirm::new(confirmed(answered(publish).await?)))
    }

    fn check(&self) -> Result<(), BrokerError> {
        if self.channel.status().connected() { Ok(()) } else { Err(BrokerError::Ended(self.queue.to_string())) }
    }

    async fn close(self: Box<Self>) {
        let _gone = answered(self.channel.close(200, "attaching again".into())).await;
    }
}

async fn confirmed(confirm: PublisherConfirm) -> Result<(), BrokerError> {
    match confirm.await? {
        Confirmation::Ack(None) => Ok(()),
        Confirmation::Ack(Some(_)) => Err(BrokerError::NotKept("its stream is gone")),
        Confirmation::Nack(_) => Err(BrokerError::NotKept("it was refused")),
        Confirmation::NotRequested => Err(BrokerError::NotKept("the channel does not confirm")),
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

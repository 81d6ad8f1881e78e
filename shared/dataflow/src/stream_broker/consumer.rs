//! Reading one stream, starting after a message that was seen there before.

use std::time::Duration;

use async_trait::async_trait;

use crate::broker_error::BrokerError;
use crate::message::BrokerMessage;

/// The messages of one stream, as a broker delivers them.
#[async_trait]
pub trait MessageReceiver: Send {
    /// Waits for the next message.
    ///
    /// # Errors
    /// [`BrokerError`] when no more messages can arrive.
    async fn next(&mut self) -> Result<BrokerMessage, BrokerError>;

    /// The next message, if one arrives in time.
    ///
    /// # Errors
    /// [`BrokerError`] when no more messages can arrive.
    async fn next_within(&mut self, limit: Duration) -> Result<Option<BrokerMessage>, BrokerError>;
}

/// A consumer of one stream.
pub struct StreamConsumer {
    messages: Box<dyn MessageReceiver>,
    /// Whether it started after the requested message, and not at the stream's first.
    pub is_resumed: bool,
}

impl StreamConsumer {
    /// These messages, which begin with the stream's first.
    pub fn from_first(messages: Box<dyn MessageReceiver>) -> Self {
        Self { messages, is_resumed: false }
    }

    /// These messages, which begin after the requested one.
    pub fn resumed(messages: Box<dyn MessageReceiver>) -> Self {
        Self { messages, is_resumed: true }
    }

    /// Waits for the next message.
    ///
    /// # Errors
    /// [`BrokerError`] when no more messages can arrive.
    pub async fn next(&mut self) -> Result<BrokerMessage, BrokerError> {
        self.messages.next().await
    }

    /// The next message, if one arrives in time.
    ///
    /// # Errors
    /// [`BrokerError`] when no more messages can arrive.
    pub async fn next_within(&mut self, limit: Duration) -> Result<Option<BrokerMessage>, BrokerError> {
        self.messages.next_within(limit).await
    }
}

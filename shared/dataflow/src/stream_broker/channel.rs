//! Publishing to one stream, in order, each message confirmed.

use std::pin::Pin;

use async_trait::async_trait;
use stage::Frame;

use crate::broker_error::BrokerError;
use crate::message::BrokerMessage;

/// A broker's channel to one stream.
#[async_trait]
pub trait MessageSender: Send + Sync {
    /// Sends a message to the broker. Confirms arrive in the same order; after one that fails, no later one counts.
    ///
    /// # Errors
    /// [`BrokerError`] when the channel has failed.
    async fn send(&self, message: BrokerMessage) -> Result<Confirm, BrokerError>;

    /// Checks that the channel is still open. Nothing else notices a lost connection while nothing is sent.
    ///
    /// # Errors
    /// [`BrokerError::Ended`] when it is not.
    fn check(&self) -> Result<(), BrokerError>;

    /// Closes the channel at once. No confirm of sent messages can arrive any more.
    async fn close(self: Box<Self>);
}

/// A channel that publishes to one stream, in order.
pub struct PublishChannel {
    sender: Box<dyn MessageSender>,
    /// The incarnation of the stream at the time of attaching.
    pub incarnation: String,
    /// The name of this attachment, in each message that it publishes.
    pub session: String,
}

impl PublishChannel {
    pub(super) fn new(incarnation: String, session: String, sender: Box<dyn MessageSender>) -> Self {
        Self { sender, incarnation, session }
    }

    /// Sends a frame to the broker, as [`MessageSender::send`] does.
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
        self.sender.send(message).await
    }

    /// Checks that the channel is still open.
    ///
    /// # Errors
    /// [`BrokerError::Ended`] when it is not.
    pub fn check(&self) -> Result<(), BrokerError> {
        self.sender.check()
    }

    /// Closes the channel at once.
    pub async fn close(self) {
        self.sender.close().await;
    }
}

/// The pending confirm of one message.
pub struct Confirm(Pin<Box<dyn Future<Output = Result<(), BrokerError>> + Send + Sync>>);

impl Confirm {
    /// A confirm that this future waits for.
    pub fn new(confirmed: impl Future<Output = Result<(), BrokerError>> + Send + Sync + 'static) -> Self {
        Self(Box::pin(confirmed))
    }

    /// Waits until the broker has stored the message, without a limit. The wait can be canceled and repeated.
    ///
    /// # Errors
    /// [`BrokerError`] when the broker has not stored it, or that is unknown.
    pub async fn confirmed(&mut self) -> Result<(), BrokerError> {
        (&mut self.0).await
    }
}

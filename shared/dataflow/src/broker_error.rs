//! The errors of a broker.

use std::time::Duration;

/// An error in communication with the broker. The remedy is always the same: attach again later.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// The broker cannot be reached, or closed the channel.
    #[error("the broker does not answer")]
    Away(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The broker is connected and does not answer in time.
    #[error("the broker does not answer within {} s", .0.as_secs())]
    Silent(Duration),
    /// The stream does not exist yet: its producer will declare it.
    #[error("there is no stream {0} yet: the service that produces it declares it")]
    NoStream(String),
    /// A message was refused or reached no stream. All messages from this one on must be published again.
    #[error("the broker did not store a message: {0}")]
    NotKept(&'static str),
    /// The messages come from something other than a stream: a queue of another type has the stream's name.
    #[error("messages have no offset: the queue with the stream's name is not a stream")]
    NoOffset,
    /// The messages of the stream ended: it was deleted, or the connection was lost.
    #[error("the broker ended the subscription to {0}")]
    Ended(String),
}

/// A URL that is not valid for a broker.
#[derive(Debug, thiserror::Error)]
pub enum BadBrokerUrl {
    /// It is not an AMQP URL.
    #[error("{0}: expected something like amqp://user:password@host:5672/%2f")]
    Url(String),
    /// It requires TLS, which this build does not support.
    #[error("amqps is not supported: use amqp, in a network you trust")]
    Tls,
}

//! What goes wrong with a broker.

use std::time::Duration;

/// What went wrong between us and the broker. The same remedy for all: attach again, later.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// It cannot be reached, or closed the channel.
    #[error("the broker does not answer")]
    Away(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It is reached, and says nothing.
    #[error("the broker does not answer within {} s", .0.as_secs())]
    Silent(Duration),
    /// Nobody has declared the stream: its producer will.
    #[error("there is no stream {0} yet: the service that produces it declares it")]
    NoStream(String),
    /// A message was refused or found no stream. From it on, all have to be published again.
    #[error("the broker did not keep a message: {0}")]
    NotKept(&'static str),
    /// What it gives is not read from a stream: there is a queue of another type under its name.
    #[error("the broker gives messages without an offset: what has the stream's name is no stream")]
    NoOffset,
    /// The stream's messages end: it was deleted, or the connection is lost.
    #[error("the broker ended the reading of {0}")]
    Ended(String),
}

/// A URL that names no broker.
#[derive(Debug, thiserror::Error)]
pub enum BadBrokerUrl {
    /// Not an AMQP URL.
    #[error("{0}: expected something like amqp://user:password@host:5672/%2f")]
    Url(String),
    /// Built without TLS.
    #[error("amqps is not supported: use amqp, in a network you trust")]
    Tls,
}

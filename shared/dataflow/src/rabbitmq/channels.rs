//! The channels of one connection to the broker.

use std::sync::{Arc, MutexGuard, PoisonError};

use lapin::options::{BasicAckOptions, BasicCancelOptions};
use lapin::uri::AMQPUri;
use lapin::{Channel, Connection, ConnectionProperties, Consumer};
use tokio::runtime::Handle;
use tokio::sync::{Mutex, Semaphore};

use super::answered;
use crate::broker_error::BrokerError;

/// The maximum number of unused channels that stay open. A running service rarely uses more at a time; one that starts
/// does.
const UNUSED_MAX: usize = 16;
/// The maximum number of channels that are being opened. Each reply has to arrive in time, also when many are opened.
const OPENING_MAX: usize = 16;

/// A connection that is created on demand and recreated after a failure, and its channels. For the broker, opening and
/// closing a channel is as much work as a short read over it, so channels are used again.
pub(super) struct Channels {
    name: String,
    connection: Mutex<Option<Arc<Connection>>>,
    opening: Semaphore,
    unused: std::sync::Mutex<Vec<Channel>>,
}

impl Channels {
    /// The channels of a connection with this name, which the broker's operator sees.
    pub fn new(name: String) -> Self {
        let (connection, unused) = (Mutex::default(), std::sync::Mutex::default());
        Self { name, connection, opening: Semaphore::new(OPENING_MAX), unused }
    }

    /// A new channel. Several can be opened at the same time.
    pub async fn open(&self, uri: &AMQPUri) -> Result<Channel, BrokerError> {
        // The semaphore is never closed.
        let _turn = self.opening.acquire().await;
        let connection = self.connection(uri).await?;
        let opened = answered(connection.create_channel()).await;
        if matches!(opened, Err(BrokerError::Silent(_))) {
            self.give_up(&connection).await;
        }
        opened
    }

    /// The connection, or a new one.
    async fn connection(&self, uri: &AMQPUri) -> Result<Arc<Connection>, BrokerError> {
        let mut slot = self.connection.lock().await;
        if let Some(connection) = slot.as_ref().filter(|connection| connection.status().connected()) {
            return Ok(connection.clone());
        }
        let properties = ConnectionProperties::default().with_connection_name(self.name.as_str().into());
        let connection = Arc::new(answered(Connection::connect_uri(uri.clone(), properties)).await?);
        *slot = Some(connection.clone());
        Ok(connection)
    }

    /// The connection is used for nothing new. If the broker answers later after all, it is closed.
    async fn give_up(&self, connection: &Arc<Connection>) {
        let mut slot = self.connection.lock().await;
        if let Some(given_up) = slot.take_if(|current| Arc::ptr_eq(current, connection)) {
            tokio::spawn(async move { answered(given_up.close(200, "no answer".into())).await });
        }
    }

    fn unused(&self) -> MutexGuard<'_, Vec<Channel>> {
        self.unused.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An unused channel, or a new one.
    pub async fn take(&self, uri: &AMQPUri) -> Result<Channel, BrokerError> {
        let unused = {
            let mut unused = self.unused();
            unused.retain(|channel| channel.status().connected());
            unused.pop()
        };
        match unused {
            Some(channel) => Ok(channel),
            None => self.open(uri).await,
        }
    }

    /// Keeps a channel for later, if it still works and there are not enough already.
    pub fn keep(&self, channel: Channel) {
        let mut unused = self.unused();
        if channel.status().connected() && unused.len() < UNUSED_MAX {
            unused.push(channel);
        }
    }

    /// Like [`Channels::keep`], for a channel with a consumer, which is cancelled. The messages that it has received are
    /// acknowledged, because the broker would wait for that, and consider us dead without it.
    pub fn keep_after_reading(self: &Arc<Self>, channel: Channel, consumer: Consumer) {
        let channels = self.clone();
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(async move {
                answered(channel.basic_cancel(consumer.tag(), BasicCancelOptions::default())).await?;
                answered(channel.basic_ack(0, BasicAckOptions { multiple: true })).await?;
                channels.keep(channel);
                Ok::<_, BrokerError>(())
            });
        }
    }

    /// Whether the broker blocks this connection. While the lock is held, a new connection is being made.
    pub fn is_blocked(&self) -> bool {
        self.connection.try_lock().is_ok_and(|slot| slot.as_ref().is_some_and(|c| c.status().blocked()))
    }

    /// Closes the connection.
    pub async fn close(&self) {
        if let Some(connection) = self.connection.lock().await.take() {
            // A broker that does not answer is already gone.
            let _gone = answered(connection.close(200, "stopped".into())).await;
        }
        self.unused().clear();
    }
}

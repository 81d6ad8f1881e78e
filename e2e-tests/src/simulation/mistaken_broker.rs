//! A broker that misleads publishers, for the deliberate bugs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use dataflow::{BrokerError, MessageReceiver, MessageSender, PublishChannel, StartAt, StreamBroker, StreamConsumer};
use stage::{ResumePoint, StreamPartition};

use super::broker::Broker;
use super::scene::Mutant;

/// The broker that publishers use: as it is, or one that causes the deliberate bug.
pub fn for_publishers(broker: &Broker, mutant: Option<Mutant>) -> Arc<dyn StreamBroker> {
    match mutant {
        Some(mutant @ (Mutant::NoScan | Mutant::NoIncarnation)) => {
            Arc::new(MistakenBroker { broker: broker.clone(), mutant, attached: Mutex::default() })
        }
        _ => Arc::new(broker.clone()),
    }
}

#[derive(Debug)]
struct MistakenBroker {
    broker: Broker,
    mutant: Mutant,
    /// The incarnation that each stream had when it was last attached to.
    attached: Mutex<BTreeMap<StreamPartition, String>>,
}

impl MistakenBroker {
    fn attached(&self) -> MutexGuard<'_, BTreeMap<StreamPartition, String>> {
        self.attached.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl StreamBroker for MistakenBroker {
    async fn open(&self, target: &StreamPartition) -> Result<Box<dyn MessageSender>, BrokerError> {
        self.broker.open(target).await
    }

    async fn consume(
        &self,
        target: &StreamPartition,
        start: StartAt,
        prefetch: u16,
    ) -> Result<Box<dyn MessageReceiver>, BrokerError> {
        self.broker.consume(target, start, prefetch).await
    }

    async fn length(&self, target: &StreamPartition) -> Result<u64, BrokerError> {
        self.broker.length(target).await
    }

    fn is_blocked(&self) -> bool {
        self.broker.is_blocked()
    }

    fn new_session(&self) -> String {
        self.broker.new_session()
    }

    /// Says that the stream was resumed after the requested message, even if that message is gone.
    async fn read(
        &self,
        target: &StreamPartition,
        behind: Option<&ResumePoint>,
    ) -> Result<StreamConsumer, BrokerError> {
        let reading = self.broker.read(target, behind).await?;
        if self.mutant != Mutant::NoScan || behind.is_none() || reading.is_resumed {
            return Ok(reading);
        }
        Ok(StreamConsumer::resumed(self.broker.consume(target, StartAt::LastChunk, 1).await?))
    }

    async fn attach(&self, target: &StreamPartition) -> Result<PublishChannel, BrokerError> {
        let publishing = self.broker.attach(target).await?;
        self.attached().insert(target.clone(), publishing.incarnation.clone());
        Ok(publishing)
    }

    /// Says that the stream is still the one that was attached to, even if it was created again.
    async fn incarnation(&self, target: &StreamPartition) -> Result<Option<String>, BrokerError> {
        match self.mutant {
            Mutant::NoIncarnation => Ok(self.attached().get(target).cloned()),
            _ => self.broker.incarnation(target).await,
        }
    }
}

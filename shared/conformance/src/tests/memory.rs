//! The conformance of the stores and streams in memory.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use stage::{Checkpoint, Frame, Positions, Producer, ResumePoint, Seq, StreamPartition, Table};

use crate::{Damage, Failure, MemoryStore, Outcome, Publisher, StoreFactory, Streams};
use crate::{MemoryBroker, MemorySubscription};
use dataflow::message::BrokerMessage;
use dataflow::{
    BrokerError, Delivery, Meta, PublishPositions as _, Session, Store, StoreError, StreamBroker as _, Subscription,
};

/// Stores and streams in memory.
#[derive(Default)]
pub(crate) struct Maps {
    stores: Mutex<BTreeMap<&'static str, MemoryStore>>,
    broker: MemoryBroker,
}

impl Maps {
    fn front(&self) -> MemoryStore {
        self.stores.lock().unwrap()["front"].clone()
    }

    async fn all(&self, target: &StreamPartition) -> Result<Vec<Delivery>, StoreError> {
        let targets = [target.clone()];
        let mut subscription = MemorySubscription::attach(self.broker.clone(), &targets, &Checkpoint::default());
        let mut all = Vec::new();
        loop {
            let ready = subscription.ready(&Positions::default()).await?;
            if ready.is_empty() {
                return Ok(all);
            }
            all.extend(ready);
        }
    }
}

impl StoreFactory for Maps {
    async fn open(&self, meta: Meta, _: &'static [&'static Table]) -> Result<Store, StoreError> {
        let mut stores = self.stores.lock().unwrap();
        Ok(stores.entry(meta.service).or_insert_with(|| MemoryStore::new(meta)).clone().into())
    }

    async fn damage(&self, service: &'static str, damage: Damage) -> Result<(), Failure> {
        self.stores.lock().unwrap()[service].damage(&damage);
        Ok(())
    }
}

impl Streams for Maps {
    async fn publish(&self, publisher: &mut Publisher, journal: &Store) -> Outcome {
        let Publisher { producer, target, noted } = publisher;
        let store = self.front();
        match noted {
            None => store.lose_publish_position(target),
            Some(noted) if !noted.republish.is_empty() => store.republish(producer, target),
            Some(_) => {}
        }
        crate::publish(Arc::new(self.broker.clone()), Arc::new(store.clone()), journal, producer, target).await?;
        *noted = Some(store.publish_position(target).await?);
        Ok(())
    }

    async fn attach(&self, publisher: &Publisher, journal: &Store) -> Result<Session, Failure> {
        let Publisher { producer, target, .. } = publisher;
        crate::attach(Arc::new(self.broker.clone()), Arc::new(self.front()), journal, producer, target).await
    }

    async fn publish_alone(&self, frame: &Frame) -> Outcome {
        let publishing = self.broker.attach(&frame.target).await?;
        Ok(publishing.publish(frame).await?.confirmed().await?)
    }

    async fn subscription(
        &self,
        targets: &[StreamPartition],
        checkpoint: &Checkpoint,
    ) -> Result<Box<dyn Subscription>, Failure> {
        Ok(Box::new(MemorySubscription::attach(self.broker.clone(), targets, checkpoint)))
    }

    async fn end(&self, target: &StreamPartition) -> Result<Option<ResumePoint>, Failure> {
        Ok(self.all(target).await?.last().and_then(|last| last.resume_point.clone()))
    }

    async fn frames(&self, target: &StreamPartition) -> Result<usize, Failure> {
        Ok(self.all(target).await?.len())
    }

    async fn lose(&self, target: &StreamPartition) -> Result<(), Failure> {
        self.broker.lose(target);
        Ok(())
    }

    async fn recreate(&self, target: &StreamPartition) -> Outcome {
        self.broker.lose(target);
        self.broker.declare(target);
        Ok(())
    }

    async fn lose_tail(&self, target: &StreamPartition, messages: usize) -> Result<(), Failure> {
        self.broker.lose_tail(target, messages);
        Ok(())
    }
}

crate::conformance!(Maps::default());
crate::conformance_of_streams!(Maps::default());

#[tokio::test]
async fn a_missing_stream_stores_nothing() {
    let producer = Producer::new("a", stage::Partition(0));
    let target = StreamPartition::new("b", stage::Partition(0));
    let frame = Frame::seal(producer, target.clone(), Seq::FIRST, stage::Hash::ZERO, 0, "[]".to_owned());
    let broker = MemoryBroker::default();
    let publishing = broker.attach(&target).await.unwrap();
    broker.lose(&target);
    let confirmed = publishing.publish(&frame).await.unwrap().confirmed().await;
    assert!(matches!(confirmed, Err(BrokerError::NotKept(_))), "{confirmed:?}");
    assert!(!broker.append(&target, BrokerMessage::of_frame(&frame, "incarnation", "session")));
}

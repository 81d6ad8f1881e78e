//! The conformance of the stores and streams in memory.

use std::collections::BTreeMap;
use std::sync::Mutex;

use stage::{Checkpoint, Frame, Producer, PublishPosition, ResumePoint, Seq, StreamPartition, Table};

use crate::{Damage, Failure, MemoryStore, Publisher, StoreFactory, Streams};
use crate::{MemoryBroker, MemorySubscription};
use dataflow::{Delivery, Meta, Store, StoreError, Subscription};

/// Stores and streams in memory.
#[derive(Default)]
pub(crate) struct Maps {
    stores: Mutex<BTreeMap<&'static str, MemoryStore>>,
    broker: MemoryBroker,
    sessions: Mutex<u64>,
}

impl Maps {
    fn session(&self) -> String {
        let mut sessions = self.sessions.lock().unwrap();
        *sessions += 1;
        format!("session {sessions}")
    }

    fn all(&self, target: &StreamPartition) -> Vec<Delivery> {
        let targets = [target.clone()];
        let mut subscription = MemorySubscription::attach(self.broker.clone(), &targets, &Checkpoint::default());
        std::iter::repeat_with(|| subscription.available()).take_while(|ready| !ready.is_empty()).flatten().collect()
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
    async fn publish(&self, publisher: &mut Publisher, journal: &Store) -> Result<(), Failure> {
        let session = self.session();
        self.broker.attach(&publisher.target, &session);
        let noted = publisher.noted.take().unwrap_or_default();
        let (scan, resume) = self.broker.scan(&publisher.target, &noted);
        let is_rewound = noted.republish.contains(&publisher.producer);
        let held = if is_rewound { Seq(0) } else { scan.held(&publisher.producer) };
        let mut window = stage::PublishWindow::behind(held);
        while let Some(seq) = window.wants() {
            let frames = journal.journal(&publisher.producer, &publisher.target, seq, 1, usize::MAX).await?;
            let Some(frame) = frames.first() else { break };
            assert!(self.broker.publish(frame, &session));
            window.sent();
            window.confirmed(seq);
        }
        let confirmed = [(publisher.producer.clone(), held)].into();
        publisher.noted = Some(PublishPosition { resume, confirmed, ..PublishPosition::default() });
        Ok(())
    }

    async fn publish_alone(&self, frame: &Frame) -> Result<(), Failure> {
        let session = self.session();
        self.broker.attach(&frame.target, &session);
        assert!(self.broker.publish(frame, &session));
        Ok(())
    }

    async fn subscription(
        &self,
        targets: &[StreamPartition],
        checkpoint: &Checkpoint,
    ) -> Result<Box<dyn Subscription>, Failure> {
        Ok(Box::new(MemorySubscription::attach(self.broker.clone(), targets, checkpoint)))
    }

    async fn end(&self, target: &StreamPartition) -> Result<Option<ResumePoint>, Failure> {
        Ok(self.all(target).last().and_then(|last| last.resume_point.clone()))
    }

    async fn frames(&self, target: &StreamPartition) -> Result<usize, Failure> {
        Ok(self.all(target).len())
    }

    async fn lose(&self, target: &StreamPartition) -> Result<(), Failure> {
        self.broker.lose(target);
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
    let frame = Frame::seal(
        Producer::new("a", stage::Partition(0)),
        StreamPartition::new("b", stage::Partition(0)),
        Seq::FIRST,
        stage::Hash::ZERO,
        0,
        "[]".to_owned(),
    );
    assert!(!MemoryBroker::default().publish(&frame, "session"));
}

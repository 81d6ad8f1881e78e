//! Conformance of the streams in a real RabbitMQ, with stores in a real Postgres.

use std::sync::Arc;

use conformance::{Damage, Failure, Outcome, Publisher, StoreFactory, Streams, fixture};
use dataflow::message::BrokerMessage;
use dataflow::{Meta, PublishPositions as _, Session, Store, StoreError, StreamBroker as _, Subscription};
use stage::{Checkpoint, Frame, Hash, Partition, Producer, ResumePoint, Seq, Stage as _, StreamPartition, Table};

use super::harness::RawStreams;
use super::postgres::Databases;

/// The URL of the broker that all tests share.
pub fn shared_broker() -> String {
    std::env::var("UNBUNDLED_TEST_RABBITMQ")
        .expect("UNBUNDLED_TEST_RABBITMQ is not set: `make e2e` sets it to the URL of a broker")
}

/// The streams and the databases of one test, whose names have a unique prefix.
struct Broker {
    databases: Databases,
    streams: RawStreams,
}

conformance::conformance_of_streams!(Broker::new());

impl Broker {
    fn new() -> Self {
        let databases = Databases::new();
        let streams = RawStreams::new(&shared_broker(), &databases.prefix);
        Self { databases, streams }
    }
}

impl StoreFactory for Broker {
    async fn open(&self, meta: Meta, tables: &'static [&'static Table]) -> Result<Store, StoreError> {
        self.databases.open(meta, tables).await
    }

    async fn damage(&self, service: &'static str, damage: Damage) -> Outcome {
        self.databases.damage(service, damage).await
    }
}

impl Streams for Broker {
    async fn publish(&self, publisher: &mut Publisher, journal: &Store) -> Outcome {
        let Publisher { producer, target, noted } = publisher;
        let database = Arc::new(self.databases.postgres("front").await);
        match noted {
            None => {
                let lose = "DELETE FROM publish_positions";
                sqlx::raw_sql(lose).execute(&mut self.databases.raw("front").await).await?;
            }
            Some(noted) if !noted.republish.is_empty() => {
                database.republish(&[(producer.clone(), target.clone())]).await?;
            }
            Some(_) => {}
        }
        let broker = Arc::new(self.streams.broker.clone());
        conformance::publish(broker, database.clone(), journal, producer, target).await?;
        *noted = Some(database.publish_position(target).await?);
        Ok(())
    }

    async fn attach(&self, publisher: &Publisher, journal: &Store) -> Result<Session, Failure> {
        let Publisher { producer, target, .. } = publisher;
        let (broker, database) = (self.streams.broker.clone(), self.databases.postgres("front").await);
        conformance::attach(Arc::new(broker), Arc::new(database), journal, producer, target).await
    }

    async fn publish_alone(&self, frame: &Frame) -> Outcome {
        let publishing = self.streams.broker.attach(&frame.target).await?;
        Ok(publishing.publish(frame).await?.confirmed().await?)
    }

    async fn subscription(
        &self,
        targets: &[StreamPartition],
        checkpoint: &Checkpoint,
    ) -> Result<Box<dyn Subscription>, Failure> {
        let database = Arc::new(self.databases.postgres("back").await);
        conformance::subscribe(&self.streams.broker, &database, targets, checkpoint)
    }

    async fn end(&self, target: &StreamPartition) -> Result<Option<ResumePoint>, Failure> {
        Ok(self.streams.frames(target).await.last().and_then(BrokerMessage::resume_point))
    }

    async fn frames(&self, target: &StreamPartition) -> Result<usize, Failure> {
        Ok(self.streams.frames(target).await.len())
    }

    async fn lose(&self, target: &StreamPartition) -> Outcome {
        self.streams.delete(target).await;
        Ok(())
    }

    async fn recreate(&self, target: &StreamPartition) -> Outcome {
        self.streams.delete(target).await;
        self.streams.declare(target).await;
        Ok(())
    }

    /// Creates the stream again in the same incarnation, with fewer messages, each at its old offset.
    async fn lose_tail(&self, target: &StreamPartition, messages: usize) -> Outcome {
        let mut all = self.streams.messages(target).await;
        let lost = all
            .iter()
            .rev()
            .filter(|message| !message.is_marker())
            .nth(messages - 1)
            .ok_or("the stream has fewer frames")?;
        all.truncate(usize::try_from(lost.offset)?);
        self.streams.recreate(target, all).await;
        Ok(())
    }
}

#[tokio::test]
async fn published_frames_are_the_same_in_the_stream_as_in_the_journal() -> Outcome {
    let broker = Broker::new();
    let front = broker.open(fixture::meta("front").ok_or("partitions")?, fixture::FRONT).await?;
    let mut collect = fixture::claim(&front, fixture::Collect::default()).await?;
    for id in ["1", "2", "3"] {
        fixture::submit(&mut collect, vec![fixture::add(id, "a", 1)]).await?;
    }
    let target = fixture::ADDED.target(fixture::of("a"));
    let mut publisher = Publisher { producer: collect.id().clone(), target: target.clone(), noted: None };
    broker.publish(&mut publisher, &front).await?;
    let noted = publisher.noted.ok_or("the position is not stored")?;
    assert_eq!(noted.confirmed, [(collect.id().clone(), Seq(3))].into());
    let messages = broker.streams.messages(&target).await;
    assert_eq!(noted.resume, messages.last().and_then(BrokerMessage::resume_point));
    let frames = messages.iter().filter(|message| !message.is_marker()).map(|message| message.frame(&target));
    let emitted = fixture::emitted(&front, "a").await?;
    assert_eq!(
        frames.collect::<Result<Vec<_>, _>>()?,
        emitted.into_iter().map(|emitted| emitted.frame).collect::<Vec<_>>()
    );
    assert!(messages.iter().all(|message| message.incarnation() == messages[0].incarnation()));
    assert!(messages.iter().all(|message| message.session() == messages[0].session()));
    Ok(())
}

/// Checks the offset of the first message that is read.
#[tokio::test]
async fn a_reader_resumes_after_a_message_that_is_still_at_its_offset_and_otherwise_reads_from_the_start() -> Outcome {
    let broker = Broker::new();
    let target = fixture::ADDED.target(fixture::of("a"));
    let publishing = broker.streams.broker.attach(&target).await?;
    let producer = || Producer::new(fixture::Collect::NAME, Partition(0));
    let mut sent = Vec::new();
    for seq in 1..=200 {
        let frame = Frame::seal(producer(), target.clone(), Seq(seq), Hash::ZERO, 1, "[]".to_owned());
        sent.push(publishing.publish(&frame).await?);
    }
    for mut confirm in sent {
        confirm.confirmed().await?;
    }
    let point = |offset, seq| {
        let frame = (seq > 0).then(|| (producer(), Seq(seq)));
        ResumePoint { offset, session: publishing.session.clone(), frame }
    };
    let other = ResumePoint { session: "other".to_owned(), ..point(4, 4) };
    let cases = [
        (point(0, 0), 1),
        (point(4, 4), 5),
        (point(199, 199), 200),
        (point(4, 5), 0),
        (other, 0),
        (point(201, 201), 0),
    ];
    for (from, expected) in cases {
        let mut reading = broker.streams.broker.read(&target, Some(&from)).await?;
        assert_eq!(reading.is_resumed, expected > 0, "{from:?}");
        assert_eq!(reading.next().await?.offset, expected, "{from:?}");
    }
    let mut reading = broker.streams.broker.read(&target, Some(&point(200, 200))).await?;
    assert!(reading.is_resumed, "it resumes after the last frame");
    let marker = broker.streams.broker.attach(&target).await?.session;
    assert_eq!(reading.next().await?.session(), Some(marker.as_str()));
    assert_eq!(broker.streams.broker.read(&target, None).await?.next().await?.offset, 0);
    Ok(())
}

/// Frames that were sent to an earlier incarnation must not pass its name on to the new one.
#[tokio::test]
async fn frames_at_the_start_of_a_stream_do_not_define_the_incarnation() -> Outcome {
    let broker = Broker::new();
    let target = fixture::ADDED.target(fixture::of("a"));
    let old = broker.streams.broker.attach(&target).await?.incarnation;
    let producer = Producer::new(fixture::Collect::NAME, Partition(0));
    let late = |seq| {
        let frame = Frame::seal(producer.clone(), target.clone(), Seq(seq), Hash::ZERO, 1, "[]".to_owned());
        BrokerMessage::of_frame(&frame, &old, "late")
    };
    broker.streams.recreate(&target, vec![late(7), late(8)]).await;
    let new = broker.streams.broker.attach(&target).await?.incarnation;
    assert_ne!(new, old);
    assert_eq!(broker.streams.broker.incarnation(&target).await?, Some(new));
    Ok(())
}

//! Streams in a real RabbitMQ, with stores in a real Postgres.

use std::sync::Arc;

use dataflow::conformance::{self, Damage, Failure, Outcome, Publisher, Streams, Substrate, fixture};
use dataflow::message::{Message, Scalar};
use dataflow::{Feed, Meta, RabbitMq, Store, StoreError};
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions, QueueDeleteOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};
use stage::{Checkpoint, Frame, Hash, Hint, Mark, Partition, Producer, Seq, Stage as _, Table, Target};

use super::postgres::Databases;
use crate::scenarios::harness::until;

fn url() -> String {
    std::env::var("UNBUNDLED_TEST_RABBITMQ").expect("UNBUNDLED_TEST_RABBITMQ names a broker: `make e2e` sets it")
}

/// Streams under names of their own, and databases.
struct Broker {
    databases: Databases,
    broker: RabbitMq,
}

dataflow::conformance_of_streams!(Broker::new());

impl Broker {
    fn new() -> Self {
        let databases = Databases::new();
        let broker = RabbitMq::new(&url(), &databases.prefix, "a test").unwrap();
        Self { databases, broker }
    }

    /// Everything in a stream, in order, up to now.
    async fn messages(&self, target: &Target) -> Result<(String, Vec<Message>), Failure> {
        let publishing = self.broker.attach(target).await?;
        let mut end = Message::marker(&publishing.incarnation);
        end.headers.insert("end".to_owned(), Scalar::Text(uuid()));
        publishing.send(end.clone()).await?.confirmed().await?;
        let mut reading = self.broker.read(target, None).await?;
        let mut messages = Vec::new();
        loop {
            let message = reading.next().await?;
            if message.headers == end.headers {
                return Ok((publishing.incarnation, messages));
            }
            messages.push(message);
        }
    }

    /// Deletes a stream and makes it anew behind everybody's back, with one message that names a life.
    async fn make_anew(&self, target: &Target, incarnation: &str, first: BasicProperties) -> Outcome {
        let (channel, queue) = (self.delete(target).await?, self.broker.queue(target));
        let mut arguments = FieldTable::default();
        arguments.insert("x-queue-type".into(), AMQPValue::LongString("stream".into()));
        let durable = QueueDeclareOptions { durable: true, ..Default::default() };
        channel.queue_declare(queue.as_str().into(), durable, arguments).await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        let mut headers = FieldTable::default();
        headers.insert("incarnation".into(), AMQPValue::LongString(incarnation.into()));
        let (options, first) = (BasicPublishOptions::default(), first.with_headers(headers));
        channel.basic_publish("".into(), queue.as_str().into(), options, b"[]", first).await?.await?;
        Ok(())
    }

    async fn delete(&self, target: &Target) -> Result<Channel, Failure> {
        let connection = Connection::connect(&url(), ConnectionProperties::default()).await?;
        let channel = connection.create_channel().await?;
        channel.queue_delete(self.broker.queue(target).into(), QueueDeleteOptions::default()).await?;
        Ok(channel)
    }
}

fn uuid() -> String {
    use std::hash::{BuildHasher as _, Hasher as _, RandomState};
    format!("{:x}", RandomState::new().build_hasher().finish())
}

impl Substrate for Broker {
    async fn open(&self, meta: Meta, tables: &'static [&'static Table]) -> Result<Store, StoreError> {
        self.databases.open(meta, tables).await
    }

    async fn damage(&self, service: &'static str, damage: Damage) -> Outcome {
        self.databases.damage(service, damage).await
    }
}

impl Streams for Broker {
    async fn publish(&self, publisher: &mut Publisher, journal: &Store) -> Outcome {
        let Publisher { producer, target, mark } = publisher;
        let database = Arc::new(self.databases.postgres("front").await);
        if mark.is_none() {
            // Lost: as if nothing had ever been confirmed.
            database.rewind(None, None).await?;
        }
        conformance::publish(&self.broker, &database, journal, producer, target).await?;
        let noted = database.marks(target).await?;
        *mark = noted.into_iter().find(|noted| noted.producer == *producer).map(|noted| noted.mark);
        Ok(())
    }

    async fn publish_alone(&self, frame: &Frame) -> Outcome {
        let publishing = self.broker.attach(&frame.target).await?;
        Ok(publishing.publish(frame).await?.confirmed().await?)
    }

    async fn feed(&self, targets: &[Target], checkpoint: &Checkpoint) -> Result<Feed, Failure> {
        let database = Arc::new(self.databases.postgres("back").await);
        let partitions = fixture::meta("front").ok_or("partitions")?.partitions;
        let producers = fixture::ADDED.known_producers(partitions);
        let wanted = targets.iter().map(|target| (target.clone(), producers.clone())).collect();
        conformance::subscribe(&self.broker, &database, wanted, checkpoint)
    }

    async fn end(&self, target: &Target) -> Result<Hint, Failure> {
        let (incarnation, messages) = self.messages(target).await?;
        let mut frames = messages.iter().filter(|message| !message.is_marker());
        Ok(Hint { incarnation, offset: frames.next_back().map_or(0, |last| last.offset + 1) })
    }

    async fn lose(&self, target: &Target) -> Outcome {
        self.delete(target).await?;
        Ok(())
    }

    /// The stream is made once more, in the same life, with fewer messages.
    async fn lose_tail(&self, target: &Target, messages: usize) -> Outcome {
        let (incarnation, mut all) = self.messages(target).await?;
        all.retain(|message| !message.is_marker());
        all.truncate(all.len() - messages);
        self.make_anew(target, &incarnation, BasicProperties::default().with_type("marker".into())).await?;
        let publishing = self.broker.attach(target).await?;
        assert_eq!(publishing.incarnation, incarnation);
        for message in all {
            publishing.send(message).await?.confirmed().await?;
        }
        Ok(())
    }
}

#[tokio::test]
async fn a_mark_says_how_far_the_broker_has_confirmed() -> Outcome {
    let broker = Broker::new();
    let front = broker.open(fixture::meta("front").ok_or("partitions")?, fixture::FRONT).await?;
    let mut collect = fixture::claim(&front, fixture::Collect::default()).await?;
    for id in ["1", "2", "3"] {
        fixture::ask(&mut collect, vec![fixture::add(id, "a", 1)]).await?;
    }
    let target = fixture::ADDED.target(fixture::of("a"));
    let mut publisher = Publisher { producer: collect.id().clone(), target: target.clone(), mark: None };
    broker.publish(&mut publisher, &front).await?;
    let (incarnation, messages) = broker.messages(&target).await?;
    assert_eq!(publisher.mark, Some(Mark { incarnation: incarnation.clone(), confirmed: Seq(3) }));
    let frames = messages.iter().filter(|message| !message.is_marker()).map(|message| message.frame(&target));
    let said = fixture::said(&front, "a").await?;
    assert_eq!(frames.collect::<Result<Vec<_>, _>>()?, said.into_iter().map(|said| said.frame).collect::<Vec<_>>());
    assert!(messages.iter().all(|message| message.incarnation() == Some(&incarnation)));
    Ok(())
}

/// Where a reading begins, by the offset of its first message, for hints in this life and another one.
#[tokio::test]
async fn a_stream_is_read_from_the_hint_or_from_its_beginning_when_that_is_no_place_in_it() -> Outcome {
    let broker = Broker::new();
    let target = fixture::ADDED.target(fixture::of("a"));
    let publishing = broker.broker.attach(&target).await?;
    for seq in 1..=9 {
        let producer = Producer::new(fixture::Collect::NAME, Partition(0));
        let frame = Frame::seal(producer, target.clone(), Seq(seq), Hash::ZERO, 1, "[]".to_owned());
        publishing.publish(&frame).await?.confirmed().await?;
    }
    until("the broker has counted", async || (broker.broker.length(&target).await.ok()? == 10).then_some(())).await;
    let incarnation = publishing.incarnation.as_str();
    for (life, offset, expected) in [(incarnation, 4, 4), (incarnation, 9, 9), (incarnation, 11, 0), ("another", 4, 0)]
    {
        let from = Hint { incarnation: life.to_owned(), offset };
        let first = broker.broker.read(&target, Some(&from)).await?.next().await?;
        assert_eq!(first.offset, expected, "{from:?}");
    }
    assert_eq!(broker.broker.read(&target, None).await?.next().await?.offset, 0);
    Ok(())
}

/// A frame that was on its way to an earlier life must not give the new one its name.
#[tokio::test]
async fn a_frame_at_the_beginning_of_a_stream_does_not_say_which_life_it_is() -> Outcome {
    let broker = Broker::new();
    let target = fixture::ADDED.target(fixture::of("a"));
    let old = broker.broker.attach(&target).await?.incarnation;
    broker.make_anew(&target, &old, BasicProperties::default()).await?;
    let new = broker.broker.attach(&target).await?.incarnation;
    assert_ne!(new, old);
    assert_eq!(broker.broker.incarnation(&target).await?, Some(new));
    Ok(())
}

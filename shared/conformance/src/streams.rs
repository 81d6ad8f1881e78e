//! Streams that are not the journal: they repeat messages, have gaps, lose their tail, and are lost and recreated.

use std::time::{Duration, Instant};

use stage::{Partition, Producer, ResumePoint, Seq, Stage as _, StreamPartition};

use super::fixture::{ADDED, Collect, Tally, TallyUp, add, claim, claim_tally, emitted, of, submit, take};
use super::{Failure, Outcome, Publisher, Streams, open};
use dataflow::{Owner, PublishError, Store, Subscription};

/// The maximum time until a published message arrives.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often to check whether a message has arrived.
const INTERVAL: Duration = Duration::from_millis(2);

/// An ingress stage that has accepted this many `requests`, and a reader.
struct StageHarness<'a, S> {
    streams: &'a S,
    front: Store,
    back: Store,
    collect: Owner<Collect>,
    publisher: Publisher,
    requests: u64,
}

impl<'a, S: Streams> StageHarness<'a, S> {
    async fn new(streams: &'a S) -> Result<Self, Failure> {
        let (front, back) = (open(streams, "front").await?, open(streams, "back").await?);
        let collect = claim(&front, Collect::default()).await?;
        let producer = Producer::new(Collect::NAME, Partition(0));
        let publisher = Publisher { producer, target: target(), noted: None };
        Ok(Self { streams, front, back, collect, publisher, requests: 0 })
    }

    /// Adds this many frames to the journal.
    async fn say(&mut self, frames: u64) -> Outcome {
        for _ in 0..frames {
            self.requests += 1;
            submit(&mut self.collect, vec![add(&self.requests.to_string(), "a", 1)]).await?;
        }
        Ok(())
    }

    async fn publish(&mut self) -> Outcome {
        self.streams.publish(&mut self.publisher, &self.front).await
    }

    /// A reader and its subscription, from its checkpoint on.
    async fn reader(&self) -> Result<Reader, Failure> {
        let owner = claim_tally(&self.back, "a").await?;
        let subscription = self.streams.subscription(&[target()], owner.checkpoint()).await?;
        let seen = owner.checkpoint().resume_points.get(&target()).cloned();
        Ok(Reader { owner, subscription, seen })
    }

    /// Reads all messages that are in the stream now.
    async fn drain(&self, reader: &mut Reader) -> Outcome {
        let (end, begun) = (self.streams.end(&target()).await?, Instant::now());
        while reader.seen != end {
            let ready = reader.subscription.ready(&reader.owner.checkpoint().positions).await?;
            match ready.last() {
                Some(last) => reader.seen.clone_from(&last.resume_point),
                None => tokio::time::sleep(INTERVAL).await,
            }
            take(&mut reader.owner, ready).await?;
            assert!(begun.elapsed() < PATIENCE, "the stream ends at {end:?}, but only {:?} arrived", reader.seen);
        }
        Ok(())
    }

    async fn sum(&self) -> Result<u64, Failure> {
        Ok(self.back.get::<Tally>(&("a".to_owned(),)).await?.map_or(0, |tally| tally.sum))
    }
}

fn target() -> StreamPartition {
    ADDED.target(of("a"))
}

/// A reader and its place in the stream.
struct Reader {
    owner: Owner<TallyUp>,
    subscription: Box<dyn Subscription>,
    seen: Option<ResumePoint>,
}

/// A publisher that attaches again, with or without its note, publishes nothing that the stream already holds.
///
/// # Errors
/// When the deployment fails.
pub async fn nothing_twice(streams: &impl Streams) -> Outcome {
    let mut harness = StageHarness::new(streams).await?;
    harness.say(3).await?;
    harness.publish().await?;
    let mut reader = harness.reader().await?;
    harness.drain(&mut reader).await?;
    for (is_lost, frames) in [(false, 5), (true, 7), (true, 9)] {
        if is_lost {
            harness.publisher.noted = None;
        }
        harness.say(2).await?;
        harness.publish().await?;
        harness.publish().await?;
        assert_eq!(streams.frames(&target()).await?, frames);
        harness.drain(&mut reader).await?;
        assert_eq!(harness.sum().await?, frames as u64);
    }
    Ok(())
}

/// Frames that an operator wants published again arrive again, and readers drop them.
///
/// # Errors
/// When the deployment fails.
pub async fn republished(streams: &impl Streams) -> Outcome {
    let mut harness = StageHarness::new(streams).await?;
    harness.say(3).await?;
    harness.publish().await?;
    let mut reader = harness.reader().await?;
    harness.drain(&mut reader).await?;
    let producer = harness.publisher.producer.clone();
    harness.publisher.noted.get_or_insert_default().republish.insert(producer);
    harness.say(2).await?;
    harness.publish().await?;
    assert_eq!(streams.frames(&target()).await?, 8);
    harness.drain(&mut reader).await?;
    assert_eq!(harness.sum().await?, 5);
    let mut reader = harness.reader().await?;
    harness.drain(&mut reader).await?;
    assert_eq!(harness.sum().await?, 5);
    Ok(())
}

/// Nothing is applied past a gap in the stream. Publishing again closes it, even for a reader that was restarted in
/// between.
///
/// # Errors
/// When the deployment fails.
pub async fn stream_with_a_hole(streams: &impl Streams) -> Outcome {
    let mut harness = StageHarness::new(streams).await?;
    harness.say(3).await?;
    let frames = emitted(&harness.front, "a").await?;
    streams.publish_alone(&frames[0].frame).await?;
    streams.publish_alone(&frames[2].frame).await?;
    let mut reader = harness.reader().await?;
    harness.drain(&mut reader).await?;
    assert_eq!(harness.sum().await?, 1);
    harness.publish().await?;
    harness.drain(&mut reader).await?;
    assert_eq!(harness.sum().await?, 3);
    let mut reader = harness.reader().await?;
    harness.drain(&mut reader).await?;
    assert_eq!(harness.sum().await?, 3);
    Ok(())
}

/// A lost stream is created again: its producer publishes everything from the journal's start, its readers read from
/// the first message, and nothing is missed or repeated.
///
/// # Errors
/// When the deployment fails.
pub async fn lost_stream(streams: &impl Streams) -> Outcome {
    let mut harness = StageHarness::new(streams).await?;
    harness.say(3).await?;
    harness.publish().await?;
    let mut reader = harness.reader().await?;
    harness.drain(&mut reader).await?;
    harness.say(2).await?;
    streams.lose(&target()).await?;
    harness.publish().await?;
    assert_eq!(streams.frames(&target()).await?, 5);
    harness.drain(&mut reader).await?;
    assert_eq!(harness.sum().await?, 5);
    streams.lose(&target()).await?;
    harness.say(1).await?;
    harness.publish().await?;
    let mut fresh = harness.reader().await?;
    harness.drain(&mut fresh).await?;
    assert_eq!(harness.sum().await?, 6);
    Ok(())
}

/// A stream of the same incarnation that lost its newest messages gets them again with the next attach, for a reader
/// that had not read them and for one that had.
///
/// # Errors
/// When the deployment fails.
pub async fn lost_tail(streams: &impl Streams) -> Outcome {
    for has_read in [true, false] {
        let mut harness = StageHarness::new(streams).await?;
        let before = harness.sum().await?;
        harness.requests = before;
        harness.say(20).await?;
        harness.publish().await?;
        let mut reader = harness.reader().await?;
        if has_read {
            harness.drain(&mut reader).await?;
        }
        let frames = streams.frames(&target()).await?;
        streams.lose_tail(&target(), 10).await?;
        harness.say(5).await?;
        harness.publish().await?;
        assert_eq!(streams.frames(&target()).await?, frames + 5, "only the lost frames are published again");
        harness.drain(&mut reader).await?;
        assert_eq!(harness.sum().await?, before + 25);
    }
    Ok(())
}

/// A stream that somebody else deletes and creates again confirms what its publisher sends, although it lacks what was
/// published before. The publisher notices that, and the next session publishes everything again, although a position in
/// the new stream was stored meanwhile.
///
/// # Errors
/// When the deployment fails.
pub async fn recreated_stream(streams: &impl Streams) -> Outcome {
    let mut harness = StageHarness::new(streams).await?;
    harness.say(3).await?;
    harness.publish().await?;
    harness.say(2).await?;
    let mut session = streams.attach(&harness.publisher, &harness.front).await?;
    streams.recreate(&target()).await?;
    session.fill().await?;
    while session.held() != [(harness.publisher.producer.clone(), Seq(5))].into() {
        session.confirm().await?;
    }
    session.tick().await?;
    let checked = session.check().await;
    assert!(matches!(checked, Err(PublishError::Lost(_))), "the publisher checked, and {checked:?}");
    session.end().await;
    harness.publish().await?;
    assert_eq!(streams.frames(&target()).await?, 7, "the last two frames, and then all five");
    let mut reader = harness.reader().await?;
    harness.drain(&mut reader).await?;
    assert_eq!(harness.sum().await?, 5);
    Ok(())
}

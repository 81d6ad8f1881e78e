//! Streams that are not the journal: they repeat, have holes, lose their tail, begin a new life.

use std::time::{Duration, Instant};

use stage::{Hint, Partition, Producer, Stage as _, Target};

use super::fixture::{ADDED, Collect, Tally, TallyUp, add, ask, claim, claim_tally, of, said, take};
use super::{Failure, Outcome, Publisher, Streams, open};
use crate::{Feed, Owner, Store};

/// What was published comes in this time.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often to look whether something came.
const INTERVAL: Duration = Duration::from_millis(2);

/// A way in that has said `said`, and a reader.
struct Bench<'a, S> {
    streams: &'a S,
    front: Store,
    back: Store,
    collect: Owner<Collect>,
    publisher: Publisher,
    asked: u64,
}

impl<'a, S: Streams> Bench<'a, S> {
    async fn new(streams: &'a S) -> Result<Self, Failure> {
        let (front, back) = (open(streams, "front").await?, open(streams, "back").await?);
        let collect = claim(&front, Collect::default()).await?;
        let producer = Producer::new(Collect::NAME, Partition(0));
        let publisher = Publisher { producer, target: target(), mark: None };
        Ok(Self { streams, front, back, collect, publisher, asked: 0 })
    }

    /// As many frames more in the journal.
    async fn say(&mut self, frames: u64) -> Outcome {
        for _ in 0..frames {
            self.asked += 1;
            ask(&mut self.collect, vec![add(&self.asked.to_string(), "a", 1)]).await?;
        }
        Ok(())
    }

    async fn publish(&mut self) -> Outcome {
        self.streams.publish(&mut self.publisher, &self.front).await
    }

    /// A reader and its subscription, from its checkpoint on.
    async fn reader(&self) -> Result<Reader, Failure> {
        let owner = claim_tally(&self.back, "a").await?;
        let feed = self.streams.feed(&[target()], owner.checkpoint()).await?;
        let seen = owner.checkpoint().hints.get(&target()).cloned();
        Ok(Reader { owner, feed, seen })
    }

    /// Reads everything that is in the stream now.
    async fn drain(&self, reader: &mut Reader) -> Outcome {
        let (end, begun) = (self.streams.end(&target()).await?, Instant::now());
        let is_behind = |seen: &Hint| seen.incarnation != end.incarnation || seen.offset < end.offset;
        while reader.seen.as_ref().is_none_or(is_behind) {
            let ready = reader.feed.ready(&reader.owner.checkpoint().positions).await?;
            match ready.last() {
                Some(last) => reader.seen.clone_from(&last.hint),
                None => tokio::time::sleep(INTERVAL).await,
            }
            take(&mut reader.owner, ready).await?;
            assert!(begun.elapsed() < PATIENCE, "the stream goes to {end:?}, and only {:?} came", reader.seen);
        }
        Ok(())
    }

    async fn sum(&self) -> Result<u64, Failure> {
        Ok(self.back.get::<Tally>(&("a".to_owned(),)).await?.map_or(0, |tally| tally.sum))
    }
}

fn target() -> Target {
    ADDED.target(of("a"))
}

/// Who reads, and where in the stream it is.
struct Reader {
    owner: Owner<TallyUp>,
    feed: Feed,
    seen: Option<Hint>,
}

/// A publisher that lost all its confirms says everything again; readers drop it.
///
/// # Errors
/// When the substrate fails.
pub async fn published_twice(streams: &impl Streams) -> Outcome {
    let mut bench = Bench::new(streams).await?;
    bench.say(3).await?;
    bench.publish().await?;
    let mut reader = bench.reader().await?;
    bench.drain(&mut reader).await?;
    bench.publisher.mark = None;
    bench.say(2).await?;
    bench.publish().await?;
    bench.drain(&mut reader).await?;
    assert_eq!(bench.sum().await?, 5);
    let mut reader = bench.reader().await?;
    bench.drain(&mut reader).await?;
    assert_eq!(bench.sum().await?, 5);
    Ok(())
}

/// Nothing is applied past a hole in the stream; publishing again closes it, also for a reader that was
/// started anew in between.
///
/// # Errors
/// When the substrate fails.
pub async fn stream_with_a_hole(streams: &impl Streams) -> Outcome {
    let mut bench = Bench::new(streams).await?;
    bench.say(3).await?;
    let frames = said(&bench.front, "a").await?;
    streams.publish_alone(&frames[0].frame).await?;
    streams.publish_alone(&frames[2].frame).await?;
    let mut reader = bench.reader().await?;
    bench.drain(&mut reader).await?;
    assert_eq!(bench.sum().await?, 1);
    bench.publish().await?;
    bench.drain(&mut reader).await?;
    assert_eq!(bench.sum().await?, 3);
    let mut reader = bench.reader().await?;
    bench.drain(&mut reader).await?;
    assert_eq!(bench.sum().await?, 3);
    Ok(())
}

/// A stream that was lost begins a new life: its producer says everything again from the journal's start,
/// its readers read from the first message, and nothing is missed or repeated.
///
/// # Errors
/// When the substrate fails.
pub async fn lost_stream(streams: &impl Streams) -> Outcome {
    let mut bench = Bench::new(streams).await?;
    bench.say(3).await?;
    bench.publish().await?;
    let mut reader = bench.reader().await?;
    bench.drain(&mut reader).await?;
    let before = bench.publisher.mark.clone();
    bench.say(2).await?;
    streams.lose(&target()).await?;
    bench.publish().await?;
    let after = bench.publisher.mark.clone();
    assert_ne!(before.map(|mark| mark.incarnation), after.as_ref().map(|mark| mark.incarnation.clone()));
    assert_eq!(after.map(|mark| mark.confirmed.0), Some(5));
    bench.drain(&mut reader).await?;
    assert_eq!(bench.sum().await?, 5);
    streams.lose(&target()).await?;
    bench.say(1).await?;
    bench.publish().await?;
    let mut fresh = bench.reader().await?;
    bench.drain(&mut fresh).await?;
    assert_eq!(bench.sum().await?, 6);
    Ok(())
}

/// A stream whose newest messages were lost in the same life gets them again with the next attach: also
/// for a reader that had not read them, and for one that had.
///
/// # Errors
/// When the substrate fails.
pub async fn lost_tail(streams: &impl Streams) -> Outcome {
    for has_read in [true, false] {
        let mut bench = Bench::new(streams).await?;
        let before = bench.sum().await?;
        bench.asked = before;
        bench.say(20).await?;
        bench.publish().await?;
        let mut reader = bench.reader().await?;
        if has_read {
            bench.drain(&mut reader).await?;
        }
        streams.lose_tail(&target(), 10).await?;
        bench.say(5).await?;
        bench.publish().await?;
        bench.drain(&mut reader).await?;
        assert_eq!(bench.sum().await?, before + 25);
    }
    Ok(())
}

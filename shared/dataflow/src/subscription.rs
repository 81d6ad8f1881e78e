//! What carries frames to a reader.
//!
//! A subscription never waits: it gives what is there, from the reader's positions on, up to its limits. When
//! to look again is told by [`Wakeups`](crate::Wakeups). It may give a frame twice or leave a hole; the
//! reader's positions take care of both.

mod memory;
mod stream;

use std::collections::BTreeSet;

use stage::{Checkpoint, Frame, Position, Positions, Producer, ResumePoint, StreamPartition};

use crate::{Store, StoreError};

pub use memory::{Broker, MemoryMessage, MemorySubscription};
pub use stream::StreamSubscription;
pub(crate) use stream::{ReadProgress, SubscriptionSpec};

/// Facts taken together at most: the rows they need are in memory for one commit.
const READ_FACTS_MAX: usize = 2_000;
/// Bytes of frames taken together at most.
const READ_BYTES_MAX: usize = 8 << 20;
/// Frames taken from one producer at a time.
const READ_FRAMES_MAX: usize = 256;

/// A frame as it arrived.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// What arrived.
    pub frame: Frame,
    /// Where in a broker's stream it was.
    pub resume_point: Option<ResumePoint>,
}

/// One stream partition, who produces it, and whose journal it is.
#[derive(Clone, Debug)]
pub struct JournalSource {
    /// The stream partition.
    pub target: StreamPartition,
    /// All who may say something there.
    pub producers: Vec<Producer>,
    /// The producing service's store.
    pub journal: Store,
}

/// Carries frames from their producers to one reader.
#[derive(Debug)]
pub enum Subscription {
    /// Straight from the journals of services in the same process.
    Journal(JournalReader),
    /// From a broker.
    Broker(StreamSubscription),
    /// From a broker in memory.
    Memory(MemorySubscription),
}

impl Subscription {
    /// What there is to read after these positions.
    ///
    /// # Errors
    /// When it cannot be read just now.
    pub async fn ready(&mut self, positions: &Positions) -> Result<Vec<Delivery>, StoreError> {
        match self {
            Subscription::Journal(tail) => tail.ready(positions).await,
            Subscription::Broker(subscription) => subscription.ready().await,
            Subscription::Memory(memory) => Ok(memory.ready()),
        }
    }

    /// Whether there is more than was just given: nobody rings for it again.
    pub fn has_more(&self) -> bool {
        match self {
            Subscription::Journal(_) | Subscription::Memory(_) => false,
            Subscription::Broker(subscription) => subscription.has_more(),
        }
    }

    /// What was given is applied, but for the streams in which a frame is missing: from there on nothing is.
    pub fn applied(&self, missing: &BTreeSet<StreamPartition>) {
        match self {
            Subscription::Journal(_) | Subscription::Memory(_) => {}
            Subscription::Broker(subscription) => subscription.applied(missing),
        }
    }

    /// Begins again at a stream's first message, because a frame is missing. (A journal is always read from the frame
    /// that is expected.)
    pub fn seek_to_start(&mut self, target: &StreamPartition) {
        match self {
            Subscription::Journal(_) => {}
            Subscription::Broker(subscription) => subscription.seek_to_start(target),
            Subscription::Memory(memory) => memory.seek_to_start(target),
        }
    }

    /// Forgets what was handed out and not committed: begins again where the checkpoint says.
    pub fn rewind(&mut self, checkpoint: &Checkpoint) {
        match self {
            Subscription::Journal(_) => {}
            Subscription::Broker(subscription) => subscription.rewind(),
            Subscription::Memory(memory) => memory.rewind(checkpoint),
        }
    }
}

/// Reads the journals themselves: what the embedded deployment has for streams.
#[derive(Debug)]
pub struct JournalReader {
    sources: Vec<JournalSource>,
    first: usize,
}

impl JournalReader {
    /// Reads these.
    pub fn new(sources: Vec<JournalSource>) -> Self {
        Self { sources, first: 0 }
    }

    async fn ready(&mut self, positions: &Positions) -> Result<Vec<Delivery>, StoreError> {
        let (mut ready, mut facts, mut bytes) = (Vec::new(), 0, 0);
        // Another source comes first each time, so that none starves when the limits are reached.
        self.first = (self.first + 1) % self.sources.len().max(1);
        let (later, sooner) = self.sources.split_at(self.first);
        for source in sooner.iter().chain(later) {
            for producer in &source.producers {
                if facts >= READ_FACTS_MAX || bytes >= READ_BYTES_MAX {
                    return Ok(ready);
                }
                let Position { next, .. } = positions.of(&source.target, producer);
                let limit = READ_FRAMES_MAX.min(READ_FACTS_MAX - facts);
                let room = READ_BYTES_MAX - bytes;
                for frame in source.journal.journal(producer, &source.target, next, limit, room).await? {
                    facts += frame.facts;
                    bytes += frame.body.len();
                    ready.push(Delivery { frame, resume_point: None });
                    if facts >= READ_FACTS_MAX {
                        break;
                    }
                }
            }
        }
        Ok(ready)
    }
}

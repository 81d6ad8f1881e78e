//! What carries frames to a reader.
//!
//! A feed never waits: it gives what is there, from the reader's positions on, up to its limits. When
//! to look again is told by [`Bells`](crate::Bells). It may give a frame twice or leave a hole; the
//! reader's positions take care of both.

mod memory;
mod subscription;

use std::collections::BTreeSet;

use stage::{Checkpoint, Frame, Position, Positions, Producer, ResumePoint, Target};

use crate::{Store, StoreError};

pub use memory::{Broker, MemoryFeed, Message};
pub use subscription::Subscription;
pub(crate) use subscription::{Places, Wanted};

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
pub struct Source {
    /// The stream partition.
    pub target: Target,
    /// All who may say something there.
    pub producers: Vec<Producer>,
    /// The producing service's store.
    pub journal: Store,
}

/// Carries frames from their producers to one reader.
#[derive(Debug)]
pub enum Feed {
    /// Straight from the journals of services in the same process.
    Tail(Tail),
    /// From a broker.
    Broker(Subscription),
    /// From a broker in memory.
    Memory(MemoryFeed),
}

impl Feed {
    /// What there is to read after these positions.
    ///
    /// # Errors
    /// When it cannot be read just now.
    pub async fn ready(&mut self, positions: &Positions) -> Result<Vec<Delivery>, StoreError> {
        match self {
            Feed::Tail(tail) => tail.ready(positions).await,
            Feed::Broker(subscription) => subscription.ready().await,
            Feed::Memory(memory) => Ok(memory.ready()),
        }
    }

    /// Whether there is more than was just given: nobody rings for it again.
    pub fn has_more(&self) -> bool {
        match self {
            Feed::Tail(_) | Feed::Memory(_) => false,
            Feed::Broker(subscription) => subscription.has_more(),
        }
    }

    /// What was given is applied, but for the streams in which a frame is missing: from there on nothing is.
    pub fn applied(&self, missing: &BTreeSet<Target>) {
        match self {
            Feed::Tail(_) | Feed::Memory(_) => {}
            Feed::Broker(subscription) => subscription.applied(missing),
        }
    }

    /// Begins again at a stream's first message, because a frame is missing. (A journal is always read from the frame
    /// that is expected.)
    pub fn read_again(&mut self, target: &Target) {
        match self {
            Feed::Tail(_) => {}
            Feed::Broker(subscription) => subscription.read_again(target),
            Feed::Memory(memory) => memory.read_again(target),
        }
    }

    /// Forgets what was handed out and not committed: begins again where the checkpoint says.
    pub fn rewind(&mut self, checkpoint: &Checkpoint) {
        match self {
            Feed::Tail(_) => {}
            Feed::Broker(subscription) => subscription.rewind(),
            Feed::Memory(memory) => memory.rewind(checkpoint),
        }
    }
}

/// Reads the journals themselves: what the embedded substrate has for streams.
#[derive(Debug)]
pub struct Tail {
    sources: Vec<Source>,
    first: usize,
}

impl Tail {
    /// Reads these.
    pub fn new(sources: Vec<Source>) -> Self {
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

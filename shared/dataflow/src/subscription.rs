//! Delivery of frames to a reader.
//!
//! A subscription never waits: it returns what is available after the reader's positions, up to its limits. The
//! [`Wakeups`](crate::Wakeups) signal when to read again. It may deliver a frame twice or leave a gap; the reader's
//! positions take care of both.

mod stream;

use std::collections::BTreeSet;
use std::fmt;

use futures_util::future::LocalBoxFuture;
use stage::{Checkpoint, Frame, Position, Positions, Producer, ResumePoint, StreamPartition};

use crate::{Store, StoreError, Wakeups};

pub(crate) use stream::ReadProgress;
pub use stream::StreamSubscription;
pub use stream::SubscriptionSpec;

/// The limit of facts per read. The rows they need are in memory for one commit.
const READ_FACTS_MAX: usize = 2_000;
/// The limit of bytes of frames per read.
const READ_BYTES_MAX: usize = 8 << 20;
/// The maximum number of frames of one producer per read.
pub const READ_FRAMES_MAX: usize = 256;

/// A frame as it arrived.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The frame.
    pub frame: Frame,
    /// The resume point at its message, if it arrived through a broker.
    pub resume_point: Option<ResumePoint>,
}

/// One stream partition with its producers and the store that holds their journals.
#[derive(Clone, Debug)]
pub struct JournalSource {
    /// The stream partition.
    pub target: StreamPartition,
    /// All producers that may emit to it.
    pub producers: Vec<Producer>,
    /// The producing service's store.
    pub journal: Store,
}

/// Delivers frames from their producers to one reader.
pub trait Subscription: fmt::Debug + Send {
    /// Returns the frames that are available after these positions.
    ///
    /// # Errors
    /// When they cannot be read for now.
    fn ready<'a>(&'a mut self, positions: &'a Positions) -> LocalBoxFuture<'a, Result<Vec<Delivery>, StoreError>>;

    /// Whether more is available than was just returned. No further wakeup signals it.
    fn has_more(&self) -> bool {
        false
    }

    /// Marks the returned frames as applied, except in streams with a missing frame, where nothing is applied from the
    /// gap on.
    fn applied(&self, _missing: &BTreeSet<StreamPartition>) {}

    /// Starts again at a stream's first message, because a frame is missing.
    fn seek_to_start(&mut self, target: &StreamPartition);

    /// Forgets what was returned and not committed, and starts again at the checkpoint.
    fn rewind(&mut self, checkpoint: &Checkpoint);
}

/// Reads the journals directly, which are the streams of the embedded deployment.
pub struct JournalReader {
    sources: Vec<JournalSource>,
    first: usize,
    /// Says which journals have nothing new, if all producers are in this process.
    wakeups: Wakeups,
}

impl fmt::Debug for JournalReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JournalReader").field("sources", &self.sources).finish_non_exhaustive()
    }
}

impl JournalReader {
    /// A reader of these journals.
    pub fn new(sources: Vec<JournalSource>) -> Self {
        Self::of_this_process(sources, Wakeups::default())
    }

    /// A reader of the journals of owners in this process, which notify `wakeups` of each of their commits. It reads only
    /// journals that may have something new.
    pub fn of_this_process(sources: Vec<JournalSource>, wakeups: Wakeups) -> Self {
        Self { sources, first: 0, wakeups }
    }

    async fn read(&mut self, positions: &Positions) -> Result<Vec<Delivery>, StoreError> {
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
                if !self.wakeups.may_have(&source.target, producer, next) {
                    continue;
                }
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

/// A journal is always read from the expected frame, so there is nothing to seek or to forget.
impl Subscription for JournalReader {
    fn ready<'a>(&'a mut self, positions: &'a Positions) -> LocalBoxFuture<'a, Result<Vec<Delivery>, StoreError>> {
        Box::pin(self.read(positions))
    }

    fn seek_to_start(&mut self, _: &StreamPartition) {}

    fn rewind(&mut self, _: &Checkpoint) {}
}

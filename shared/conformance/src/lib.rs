//! The conformance suite of every deployment: one named check for each promise of the two seams.
//!
//! A deployment's tests contain `conformance!(TheSubstrate::new())`, and also `conformance_of_streams!(…)` where
//! streams are not the journal itself. Each check becomes a separate test on a fresh deployment. The checks drive
//! [`Owner`](dataflow::Owner)s of two small services and never touch the store's internals.

mod at_rest;
mod batches;
mod faults;
pub mod fixture;
mod in_doubt;
mod memory_broker;
mod memory_store;
mod one_session;
mod reading;
mod streams;

use std::future::Future;

use stage::{Checkpoint, Frame, Producer, PublishPosition, ResumePoint, StreamPartition, Table};

use dataflow::{Meta, Session, Store, StoreError, Subscription};

pub use at_rest::{changed_frame, changed_record, deleted_frame, deleted_record};
pub use batches::{conflict, duplicate, fence, fork, gap, refused, resume, vanished};
pub use faults::{CommitFault, Faults};
pub use in_doubt::{claim_lost_after, claim_lost_before, claimed_meanwhile, lost_after, lost_before};
pub use memory_broker::{MemoryBroker, MemorySubscription};
pub use memory_store::MemoryStore;
pub use one_session::{attach, publish, subscribe};
pub use reading::{follow, journal_limits, last_frames, load_many, scan_order, scan_pages};
pub use streams::{lost_stream, lost_tail, nothing_twice, recreated_stream, republished, stream_with_a_hole};

/// The reason why a check could not run. A broken promise fails an assertion instead.
pub type Failure = Box<dyn std::error::Error>;
/// The result of a check.
pub type Outcome = Result<(), Failure>;

/// A set of stores, empty at first.
pub trait StoreFactory {
    /// Opens the store of a service. The first call creates it; later calls open the same one.
    fn open(&self, meta: Meta, tables: &'static [&'static Table]) -> impl Future<Output = Result<Store, StoreError>>;

    /// Changes the stored data of a service directly.
    fn damage(&self, service: &'static str, damage: Damage) -> impl Future<Output = Outcome>;
}

/// A change to stored data that bypasses the store.
#[derive(Clone, Debug)]
pub enum Damage {
    /// The newest batch record is changed.
    ChangedRecord(Producer),
    /// The newest batch record is deleted.
    DeletedRecord(Producer),
    /// The last frame is changed.
    ChangedFrame(Producer, StreamPartition),
    /// The last frame is deleted.
    DeletedFrame(Producer, StreamPartition),
}

impl Damage {
    /// The SQL statement that does it, on any database. It changes one row.
    pub fn statement(&self) -> String {
        let newest =
            |owner| format!("owner = '{owner}' AND number = (SELECT max(number) FROM batches WHERE owner = '{owner}')");
        let last = |by, to| {
            let frames = format!("producer = '{by}' AND target = '{to}'");
            format!("{frames} AND seq = (SELECT max(seq) FROM journal WHERE {frames})")
        };
        match self {
            Damage::ChangedRecord(owner) => {
                format!("UPDATE batches SET committed_at = committed_at || '0' WHERE {}", newest(owner))
            }
            Damage::DeletedRecord(owner) => format!("DELETE FROM batches WHERE {}", newest(owner)),
            Damage::ChangedFrame(by, to) => format!("UPDATE journal SET body = body || ' ' WHERE {}", last(by, to)),
            Damage::DeletedFrame(by, to) => format!("DELETE FROM journal WHERE {}", last(by, to)),
        }
    }
}

/// A publisher of a journal, with its publish position.
#[derive(Clone, Debug)]
pub struct Publisher {
    /// The producer of the journal.
    pub producer: Producer,
    /// The stream partition.
    pub target: StreamPartition,
    /// The publish position; `None` when the note was lost.
    pub noted: Option<PublishPosition>,
}

/// A set of stores whose streams are not the journals themselves.
pub trait Streams: StoreFactory {
    /// Attaches again, publishes the journal up to its end and everything to be published again, and notes what the
    /// stream holds.
    fn publish(&self, publisher: &mut Publisher, journal: &Store) -> impl Future<Output = Outcome>;

    /// Attaches again, and leaves the session attached.
    fn attach(&self, publisher: &Publisher, journal: &Store) -> impl Future<Output = Result<Session, Failure>>;

    /// Appends one frame to the stream, without any checks.
    fn publish_alone(&self, frame: &Frame) -> impl Future<Output = Outcome>;

    /// Subscribes a reader that starts at the checkpoint.
    fn subscription(
        &self,
        targets: &[StreamPartition],
        checkpoint: &Checkpoint,
    ) -> impl Future<Output = Result<Box<dyn Subscription>, Failure>>;

    /// The last frame in a stream.
    fn end(&self, target: &StreamPartition) -> impl Future<Output = Result<Option<ResumePoint>, Failure>>;

    /// The number of frames in a stream, including copies.
    fn frames(&self, target: &StreamPartition) -> impl Future<Output = Result<usize, Failure>>;

    /// Deletes a stream with all its messages.
    fn lose(&self, target: &StreamPartition) -> impl Future<Output = Outcome>;

    /// Deletes a stream and creates it again, empty, as a person would.
    fn recreate(&self, target: &StreamPartition) -> impl Future<Output = Outcome>;

    /// Deletes the newest messages of a stream.
    fn lose_tail(&self, target: &StreamPartition, messages: usize) -> impl Future<Output = Outcome>;
}

/// Defines one test for each check of stores. The argument creates a fresh
/// [`StoreFactory`](crate::StoreFactory).
#[macro_export]
macro_rules! conformance {
    ($factory:expr) => {
        $crate::conformance!(@
            $factory;
            duplicate, gap, fork, resume, fence, refused, conflict, vanished,
            lost_before, lost_after, claim_lost_before, claim_lost_after, claimed_meanwhile,
            scan_order, scan_pages, load_many, journal_limits, last_frames, follow,
            changed_record, deleted_record, changed_frame, deleted_frame
        );
    };
    (@ $factory:expr; $($check:ident),+) => {$(
        #[tokio::test]
        async fn $check() -> $crate::Outcome {
            $crate::$check(&$factory).await
        }
    )+};
}

/// Defines one test for each check of streams. The argument creates fresh [`Streams`](crate::Streams).
#[macro_export]
macro_rules! conformance_of_streams {
    ($streams:expr) => {
        $crate::conformance!(@
            $streams; nothing_twice, republished, stream_with_a_hole, lost_stream, lost_tail, recreated_stream
        );
    };
}

/// Opens a service's store at the start of a check.
async fn open(factory: &impl StoreFactory, service: &'static str) -> Result<Store, Failure> {
    let meta = fixture::meta(service).ok_or("a count of partitions")?;
    let tables = if service == "front" { fixture::FRONT } else { fixture::BACK };
    Ok(factory.open(meta, tables).await?)
}

#[cfg(test)]
mod tests;

//! What every deployment has to pass: one named check for each promise of the two seams.
//!
//! A deployment's own tests say `conformance!(TheSubstrate::new())`, and `conformance_of_streams!(…)` too
//! where streams are not the journal itself; each check becomes a test of its own, on a fresh deployment.
//! The checks drive [`Owner`](crate::Owner)s of two small services, never the store's insides.

mod at_rest;
mod batches;
mod broker;
pub mod fixture;
mod in_doubt;
mod reading;
mod streams;

use std::future::Future;

use stage::{Checkpoint, Frame, Producer, PublishPosition, ResumePoint, StreamPartition, Table};

use crate::{Meta, Store, StoreError, Subscription};

pub use at_rest::{changed_frame, changed_record, deleted_frame, deleted_record};
pub use batches::{conflict, duplicate, fence, fork, gap, refused, resume, vanished};
pub use broker::{publish, subscribe};
pub use in_doubt::{claim_lost_after, claim_lost_before, claimed_meanwhile, lost_after, lost_before};
pub use reading::{follow, journal_limits, last_frames, load_many, scan_order, scan_pages};
pub use streams::{lost_stream, lost_tail, nothing_twice, republished, stream_with_a_hole};

/// Why a check could not be done; what is wrong, it asserts.
pub type Failure = Box<dyn std::error::Error>;
/// What a check comes to.
pub type Outcome = Result<(), Failure>;

/// A place for stores, empty at first.
pub trait StoreFactory {
    /// Opens the store of a service: made at the first time, the same one each time after.
    fn open(&self, meta: Meta, tables: &'static [&'static Table]) -> impl Future<Output = Result<Store, StoreError>>;

    /// Changes the store of a service behind its back.
    fn damage(&self, service: &'static str, damage: Damage) -> impl Future<Output = Outcome>;
}

/// What can happen to stored values while nobody looks.
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

/// Who publishes a journal, and how far the stream is known to hold it.
#[derive(Clone, Debug)]
pub struct Publisher {
    /// Whose journal.
    pub producer: Producer,
    /// To where.
    pub target: StreamPartition,
    /// How far; `None` when the note was lost.
    pub noted: Option<PublishPosition>,
}

/// A place for stores whose streams are not the journals themselves.
pub trait Streams: StoreFactory {
    /// Attaches once more, publishes as far as the journal goes and what is asked for again, notes what the stream holds.
    fn publish(&self, publisher: &mut Publisher, journal: &Store) -> impl Future<Output = Outcome>;

    /// Puts one frame into the stream, whatever is there.
    fn publish_alone(&self, frame: &Frame) -> impl Future<Output = Outcome>;

    /// Subscribes a reader that begins where the checkpoint says.
    fn subscription(
        &self,
        targets: &[StreamPartition],
        checkpoint: &Checkpoint,
    ) -> impl Future<Output = Result<Subscription, Failure>>;

    /// The last frame in a stream.
    fn end(&self, target: &StreamPartition) -> impl Future<Output = Result<Option<ResumePoint>, Failure>>;

    /// How many frames a stream holds, copies too.
    fn frames(&self, target: &StreamPartition) -> impl Future<Output = Result<usize, Failure>>;

    /// Deletes a stream with all it holds.
    fn lose(&self, target: &StreamPartition) -> impl Future<Output = Outcome>;

    /// Deletes the newest messages of a stream.
    fn lose_tail(&self, target: &StreamPartition, messages: usize) -> impl Future<Output = Outcome>;
}

/// One test for each check of stores. The argument makes a fresh [`StoreFactory`](crate::conformance::StoreFactory).
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
        async fn $check() -> $crate::conformance::Outcome {
            $crate::conformance::$check(&$factory).await
        }
    )+};
}

/// One test for each check of streams. The argument makes fresh [`Streams`](crate::conformance::Streams).
#[macro_export]
macro_rules! conformance_of_streams {
    ($streams:expr) => {
        $crate::conformance!(@ $streams; nothing_twice, republished, stream_with_a_hole, lost_stream, lost_tail);
    };
}

/// A service's store that a check begins with.
async fn open(factory: &impl StoreFactory, service: &'static str) -> Result<Store, Failure> {
    let meta = fixture::meta(service).ok_or("a count of partitions")?;
    let tables = if service == "front" { fixture::FRONT } else { fixture::BACK };
    Ok(factory.open(meta, tables).await?)
}

//! The pure rule of the system, without runtime, database, broker or clock.
//!
//! > The owner of a partition feeds facts to a pure function, commits what it returns together
//! > with how far it has read, and only then tells others.
//!
//! This crate is the first half of that sentence: what a fact, a frame, a row and a stage are
//! ([`Event`], [`Frame`], [`Rows`], [`Stage`]), and [`derive()`], which turns the facts of one batch
//! into changed rows, outgoing frames and the batch record. The second half (commit, then tell)
//! is the crate `dataflow`. Both the running services and the audit call the same [`derive()`].

mod batch;
mod event;
mod frame;
mod hash;
mod inbox;
mod invariant;
mod name;
mod outbox;
mod record;
mod resume;
mod row;
mod rows;
#[path = "stage.rs"]
mod stage_trait;
mod stream_scan;
#[cfg(feature = "testing")]
pub mod testing;

pub use batch::{Derived, Input, Origin, Pinning, Place, derive};
pub use event::{Cause, Event, EventId, Key, Payload, RequestId, Traceparent, UnknownPayload};
pub use frame::{FRAME_BYTES_MAX, FRAME_FACTS_MAX, Frame, Unreadable, read_events, write_events};
pub use hash::{Digest, Hash, content_hash};
pub use inbox::{Admission, Position, Positions, admit};
pub use invariant::{Reading, Violation};
pub use name::{BatchNumber, Epoch, Partition, PartitionCount, Producer, Seq, Spread, Stream, Target, partition_of};
pub use outbox::{Outbox, PUBLISH_WINDOW};
pub use record::{Checkpoint, Head, Read, Record, Run};
pub use resume::ResumePoint;
pub use row::{BadCell, Cell, Codec, Column, Decimal, Flag, Integer, Json, Kind, Nullable, Row, Table, Text, Time};
pub use rows::{Change, Keys, Rows, Write};
pub use stage_trait::{Broken, LOAD_ROUNDS_MAX, Outputs, Stage};
pub use stream_scan::{PublishPosition, StreamScan};

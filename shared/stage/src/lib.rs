//! The pure core of the system, without runtime, database, broker or clock.
//!
//! > The owner of a partition feeds facts to a pure function, commits the result together with its read position, and
//! > only then publishes it.
//!
//! This crate is the first half of that sentence. It defines facts, frames, rows and stages ([`Event`], [`Frame`],
//! [`WorkingSet`], [`Stage`]), and [`derive()`], which turns the facts of one batch into changed rows, outgoing frames
//! and the batch record. The second half (commit, then publish) is the crate `dataflow`. The running services and the
//! audit both call the same [`derive()`].

mod batch;
mod event;
mod frame;
mod hash;
mod inbox;
mod invariant;
mod name;
mod publish_window;
mod record;
mod resume;
mod row;
mod stage_trait;
mod stream_scan;
mod working_set;

pub use batch::{BatchContext, BatchInput, Derived, Origin, derive, derive_requests};
pub use event::{Cause, Event, EventId, Key, Payload, RequestId, Traceparent, UnknownPayload};
pub use frame::{FRAME_BYTES_MAX, FRAME_FACTS_MAX, Frame, Unreadable, read_events, write_events};
pub use hash::{Digest, Hash, content_hash};
pub use inbox::{Admission, Position, Positions, admit};
pub use invariant::{Quiescence, Violation};
pub use name::{
    BatchNumber, Epoch, Partition, PartitionCount, Partitioning, Producer, Producers, Seq, Stream, StreamPartition,
    partition_of,
};
pub use publish_window::{PUBLISH_WINDOW, PublishWindow};
pub use record::{Checkpoint, Consumed, FrameRange, LastFrame, Record};
pub use resume::ResumePoint;
pub use row::{BadCell, Cell, CellKind, Codec, Column, Decimal, Flag, Integer, Json, Nullable, Row, Table, Text, Time};
pub use stage_trait::{IngressStage, LOAD_ROUNDS_MAX, Outputs, Stage, StageError};
pub use stream_scan::{PublishPosition, StreamScan};
pub use working_set::{Change, ReadSet, WorkingSet, Write};

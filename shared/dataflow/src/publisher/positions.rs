//! What a publisher asks of its database beside the journal.

use std::fmt;

use async_trait::async_trait;
use stage::{Producer, PublishPosition, Seq, StreamPartition};

use crate::StoreError;

/// A database that holds publish positions beside the journals: Postgres, or for tests one in memory.
#[async_trait]
pub trait PublishPositions: fmt::Debug + Send + Sync {
    /// The stored publish position of a stream.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn publish_position(&self, target: &StreamPartition) -> Result<PublishPosition, StoreError>;

    /// Stores a publish position, unless a rewind was requested that it does not know of: a publisher still at work
    /// must not undo it. Returns `false` when it was not stored. Storing it clears the list of journals to publish
    /// again, because that is now in progress.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn store_publish_position(
        &self,
        target: &StreamPartition,
        noted: &PublishPosition,
    ) -> Result<bool, StoreError>;

    /// The last `seq` of each of these producers' journals for a target; 0 before the first frame.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn ends(&self, target: &StreamPartition, producers: &[Producer]) -> Result<Vec<Seq>, StoreError>;

    /// The part of a journal after a frame: ranges of frames, each with its last `seq` and the total size of its bodies
    /// in bytes.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn unpublished(
        &self,
        target: &StreamPartition,
        producer: &Producer,
        after: Seq,
    ) -> Result<Vec<(Seq, u64)>, StoreError>;
}

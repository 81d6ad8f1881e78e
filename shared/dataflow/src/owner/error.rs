//! The errors of an owner.

use stage::{Producer, Seq, StageError, StreamPartition};

use super::load::LoadError;
use crate::{CommitError, StoreError};

/// The reason why an owner could not continue.
#[derive(Debug, thiserror::Error)]
pub enum OwnerError {
    /// Another owner took over. Permanent.
    #[error("{0} has another owner now")]
    Fenced(Producer),
    /// An invariant is broken. Permanent.
    #[error("{owner} cannot continue")]
    Stage {
        /// The failed owner.
        owner: Producer,
        /// The broken invariant.
        #[source]
        source: StageError,
    },
    /// A frame that must not occur. Permanent, until an operator intervenes.
    #[error("{owner} stops at {producer}>{target}#{seq}: {why}")]
    Frame {
        /// The owner that reads the stream.
        owner: Producer,
        /// The producer of the frame.
        producer: Producer,
        /// The stream partition.
        target: StreamPartition,
        /// The number of the frame.
        seq: Seq,
        /// What is wrong.
        why: &'static str,
    },
    /// A stage panicked, or a callback that receives its commits did. Permanent.
    #[error("{owner} panicked: {message}")]
    Panicked {
        /// The owner whose turn was running.
        owner: Producer,
        /// The panic message.
        message: String,
    },
    /// Nothing was done. The same call may succeed later.
    #[error("{owner} cannot continue for now")]
    Unavailable {
        /// The affected owner.
        owner: Producer,
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It is unknown whether the last commit was written. [`Owner::resolve`](crate::Owner::resolve) finds out.
    #[error("{owner} does not know whether its last batch was written")]
    InDoubt {
        /// The affected owner.
        owner: Producer,
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl OwnerError {
    /// Whether a later attempt may succeed.
    pub fn is_transient(&self) -> bool {
        match self {
            OwnerError::Unavailable { .. } | OwnerError::InDoubt { .. } => true,
            OwnerError::Fenced(_)
            | OwnerError::Stage { .. }
            | OwnerError::Frame { .. }
            | OwnerError::Panicked { .. } => false,
        }
    }
}

pub(super) fn stop(owner: &Producer, error: CommitError) -> OwnerError {
    let owner = owner.clone();
    match error {
        CommitError::Fenced => OwnerError::Fenced(owner),
        CommitError::Unavailable(source) => OwnerError::Unavailable { owner, source },
        CommitError::InDoubt(source) => OwnerError::InDoubt { owner, source },
        CommitError::Conflict(_) => OwnerError::Stage { owner, source: StageError::Rule(error.to_string()) },
    }
}

pub(super) fn unavailable(owner: &Producer, error: StoreError) -> OwnerError {
    let owner = owner.clone();
    match error {
        StoreError::Unavailable(source) => OwnerError::Unavailable { owner, source },
        StoreError::Damaged(what) => OwnerError::Stage { owner, source: StageError::Rule(what) },
    }
}

pub(super) fn load_failed(owner: &Producer, error: LoadError) -> OwnerError {
    match error {
        LoadError::Stage(source) => OwnerError::Stage { owner: owner.clone(), source },
        LoadError::Store(error) => unavailable(owner, error),
    }
}

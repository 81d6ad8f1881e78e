//! Why an owner could not go on.

use stage::{Producer, Seq, StageError, StreamPartition};

use super::load::LoadError;
use crate::{CommitError, StoreError};

/// Why an owner could not go on.
#[derive(Debug, thiserror::Error)]
pub enum OwnerError {
    /// Another owner took over. For good.
    #[error("{0} has another owner now")]
    Fenced(Producer),
    /// An invariant is broken. For good.
    #[error("{owner} is broken")]
    StageError {
        /// Whose.
        owner: Producer,
        /// Which.
        #[source]
        source: StageError,
    },
    /// A frame that must not be there. For good, until somebody looks.
    #[error("{owner} stops at {producer}>{target}#{seq}: {why}")]
    Frame {
        /// Who reads.
        owner: Producer,
        /// Who said it.
        producer: Producer,
        /// Where.
        target: StreamPartition,
        /// Which.
        seq: Seq,
        /// What is wrong.
        why: &'static str,
    },
    /// A rule panicked, or what tells of its batches did. For good.
    #[error("{owner} panicked: {message}")]
    Panicked {
        /// Whose turn it was.
        owner: Producer,
        /// What the panic said.
        message: String,
    },
    /// Nothing was done; try the same again later.
    #[error("{owner} cannot go on just now")]
    Unavailable {
        /// Who.
        owner: Producer,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Nobody knows whether the last commit is there: [`Owner::resolve`](crate::Owner::resolve).
    #[error("{owner} does not know whether its last batch was written")]
    InDoubt {
        /// Who.
        owner: Producer,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl OwnerError {
    /// Whether trying again later can help.
    pub fn is_transient(&self) -> bool {
        match self {
            OwnerError::Unavailable { .. } | OwnerError::InDoubt { .. } => true,
            OwnerError::Fenced(_)
            | OwnerError::StageError { .. }
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
        CommitError::Conflict(_) => OwnerError::StageError { owner, source: StageError::Rule(error.to_string()) },
    }
}

pub(super) fn unavailable(owner: &Producer, error: StoreError) -> OwnerError {
    let owner = owner.clone();
    match error {
        StoreError::Unavailable(source) => OwnerError::Unavailable { owner, source },
        StoreError::Damaged(what) => OwnerError::StageError { owner, source: StageError::Rule(what) },
    }
}

pub(super) fn load_failed(owner: &Producer, error: LoadError) -> OwnerError {
    match error {
        LoadError::StageError(source) => OwnerError::StageError { owner: owner.clone(), source },
        LoadError::Store(error) => unavailable(owner, error),
    }
}

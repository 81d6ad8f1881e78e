//! Why an owner could not go on.

use stage::{Broken, Producer, Seq, Target};

use super::load::Unloaded;
use crate::{CommitError, StoreError};

/// Why an owner could not go on.
#[derive(Debug, thiserror::Error)]
pub enum Stop {
    /// Another owner took over. For good.
    #[error("{0} has another owner now")]
    Fenced(Producer),
    /// An invariant is broken. For good.
    #[error("{owner} is broken")]
    Broken {
        /// Whose.
        owner: Producer,
        /// Which.
        #[source]
        source: Broken,
    },
    /// A frame that must not be there. For good, until somebody looks.
    #[error("{owner} stops at {producer}>{target}#{seq}: {why}")]
    Frame {
        /// Who reads.
        owner: Producer,
        /// Who said it.
        producer: Producer,
        /// Where.
        target: Target,
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
    Doubtful {
        /// Who.
        owner: Producer,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl Stop {
    /// Whether trying again later can help.
    pub fn is_passing(&self) -> bool {
        match self {
            Stop::Unavailable { .. } | Stop::Doubtful { .. } => true,
            Stop::Fenced(_) | Stop::Broken { .. } | Stop::Frame { .. } | Stop::Panicked { .. } => false,
        }
    }
}

pub(super) fn stop(owner: &Producer, error: CommitError) -> Stop {
    let owner = owner.clone();
    match error {
        CommitError::Fenced => Stop::Fenced(owner),
        CommitError::Unavailable(source) => Stop::Unavailable { owner, source },
        CommitError::Doubtful(source) => Stop::Doubtful { owner, source },
        CommitError::Conflict(_) => Stop::Broken { owner, source: Broken::Rule(error.to_string()) },
    }
}

pub(super) fn unavailable(owner: &Producer, error: StoreError) -> Stop {
    let owner = owner.clone();
    match error {
        StoreError::Unavailable(source) => Stop::Unavailable { owner, source },
        StoreError::Damaged(what) => Stop::Broken { owner, source: Broken::Rule(what) },
    }
}

pub(super) fn unloaded(owner: &Producer, error: Unloaded) -> Stop {
    match error {
        Unloaded::Broken(source) => Stop::Broken { owner: owner.clone(), source },
        Unloaded::Store(error) => unavailable(owner, error),
    }
}

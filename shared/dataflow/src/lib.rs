//! The runtime of the dataflow: it commits what the pure stages return, and only then publishes it.
//!
//! - [`Store`]: claims, loads and commits a stage's batches (`store/`, the only place with SQL);
//! - [`Subscription`]: delivers frames to a reader (`subscription.rs`);
//! - [`Owner`]: claim, admit, prepare, commit for one partition of one stage (`owner.rs`); the
//!   simulation drives it directly;
//! - [`Reader`] and [`Ingress`]: the actors around an owner (`reader.rs`, `ingress.rs`);
//! - [`audit`]: derives everything again and compares.
//!
//! It contains no business logic.

pub mod audit;
mod backoff;
mod batch_trace;
mod broker_error;
mod broker_metrics;
mod commit_times;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
mod connection_status;
mod health;
mod ingress;
mod lag;
pub mod message;
mod metrics;
mod observer;
mod owner;
mod panics;
mod publisher;
mod rabbitmq;
mod reader;
mod service_runtime;
mod spans;
mod store;
mod subscription;
mod topology;
mod transport;
mod waiters;
mod wakeups;

pub use broker_error::{BadBrokerUrl, BrokerError};
pub use commit_times::CommitTimes;
pub use connection_status::OnConnection;
pub use health::{Health, OnHealth};
pub use ingress::{Drain, Ingress, Submit, SubmitError};
pub use metrics::Metrics;
pub use observer::{Observer, OnRows};
pub use owner::{Committed, MissingFrame, Owner, OwnerError, Prepared};
pub use publisher::Backlog;
pub use rabbitmq::{Confirm, PublishChannel, RabbitMq, StreamConsumer};
pub use reader::Reader;
pub use service_runtime::{RuntimeError, ServiceRuntime};
pub use spans::Spans;
pub use store::{
    Commit, CommitError, CommitFault, Faults, Inventory, Leased, LoadedRows, Memory, Meta, Postgres, Quarantined,
    Sqlite, Store, StoreError, StoredMeta,
};
pub use subscription::{
    Broker, Delivery, JournalReader, JournalSource, MemoryMessage, MemorySubscription, StreamSubscription, Subscription,
};
pub use topology::{ServiceTopology, StageDefinition};
pub use transport::{Streams, Transport};
pub use waiters::Waiters;
pub use wakeups::{Wakeup, Wakeups};

//! The runtime of the dataflow: it commits what the pure stages return, and only then publishes it.
//!
//! - [`Store`]: claims, loads and commits a stage's batches (`store/`, the only place with SQL);
//! - [`Subscription`]: delivers frames to a reader (`subscription.rs`);
//! - [`Owner`]: claim, admit, prepare, commit for one partition of one stage (`owner.rs`); the
//!   simulation drives it directly;
//! - [`StreamBroker`]: the streams of a broker (`stream_broker.rs`; `rabbitmq.rs` is the only place with lapin);
//! - [`Session`]: publishes the journals to one stream (`publisher/session.rs`); the simulation drives it directly;
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
mod recent_commits;
mod service_runtime;
mod spans;
mod store;
mod stream_broker;
mod subscription;
mod topology;
mod transport;
mod waiters;
mod wakeups;

pub use batch_trace::BatchTrace;
pub use broker_error::{BadBrokerUrl, BrokerError};
pub use broker_metrics::BrokerMetrics;
pub use commit_times::{CommitTimes, last_applied_at};
pub use connection_status::{ConnectionStatus, OnConnection};
pub use health::{Health, OnHealth};
pub use ingress::{Drain, Ingress, Submit, SubmitError, WAITING_BYTES_MAX, WAITING_REQUESTS_MAX};
pub use metrics::Metrics;
pub use observer::{Observer, OnRows};
pub use owner::{Committed, MissingFrame, Owner, OwnerError, Prepared};
pub use publisher::{Backlog, Publication, PublishError, PublishPositions, Session};
pub use rabbitmq::RabbitMq;
pub use reader::Reader;
pub use recent_commits::RecentCommits;
pub use service_runtime::{RuntimeError, ServiceRuntime};
pub use spans::{LINKS_MAX, Spans};
pub use store::{
    Commit, CommitError, Engine, Inventory, Leased, LoadedRows, Meta, Postgres, Quarantined, Sqlite, Store, StoreError,
    StoredMeta,
};
pub use stream_broker::{
    Confirm, MessageReceiver, MessageSender, PublishChannel, StartAt, StreamBroker, StreamConsumer,
};
pub use subscription::{
    Delivery, JournalReader, JournalSource, READ_FRAMES_MAX, StreamSubscription, Subscription, SubscriptionSpec,
};
pub use topology::{ServiceTopology, StageDefinition};
pub use transport::{Streams, Transport};
pub use waiters::{Expected, Results, Waiters};
pub use wakeups::{Wakeup, Wakeups};

//! The runtime of the dataflow: it commits what the pure rule returns, and only then tells others.
//!
//! - [`Store`]: what claims, loads and commits a stage's batch (`store/`, the only place with SQL);
//! - [`Feed`]: what carries frames to a reader (`feed.rs`);
//! - [`Owner`]: claim, admit, prepare, commit for one partition of one stage (`owner.rs`); the
//!   simulation drives it directly;
//! - [`Reader`] and [`WayIn`]: the actors around an owner (`reader.rs`, `way_in.rs`);
//! - [`audit`]: derives everything again and compares.
//!
//! It knows no business.

pub mod audit;
mod bells;
mod broker_error;
mod broker_metrics;
mod carrier;
mod commit_times;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
mod feed;
mod hooks;
mod lag;
mod links;
pub mod message;
mod metrics;
mod node;
mod owner;
mod publisher;
mod rabbitmq;
mod reader;
mod spans;
mod store;
mod trail;
mod waiters;
mod way_in;

pub use bells::{Bells, Wake};
pub use broker_error::{BadBrokerUrl, BrokerError};
pub use carrier::{Carrier, Streams};
pub use commit_times::CommitTimes;
pub use feed::{Broker, Delivery, Feed, MemoryFeed, Message, Source, Subscription, Tail};
pub use hooks::{Health, Hooks};
pub use links::OnLink;
pub use metrics::Metrics;
pub use node::{Node, NodeError, OnHealth, OnRows};
pub use owner::{Committed, Missing, Owner, Prepared, Stop};
pub use publisher::Backlog;
pub use rabbitmq::{Confirm, Publishing, RabbitMq, Reading};
pub use reader::Reader;
pub use spans::Spans;
pub use store::{
    Commit, CommitError, CommitFault, Faults, Found, Inventory, Leased, Memory, Meta, Postgres, Quarantined, Seen,
    Sqlite, Store, StoreError,
};
pub use waiters::Waiters;
pub use way_in::{Ask, Drain, Refused, WayIn};

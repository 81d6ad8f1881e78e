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
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
mod feed;
mod hooks;
mod metrics;
mod node;
mod owner;
mod reader;
mod store;
mod waiters;
mod way_in;

pub use bells::{Bells, Wake};
pub use feed::{Broker, Delivery, Feed, MemoryFeed, Message, Source, Tail, lag};
pub use hooks::{Health, Hooks};
pub use metrics::Metrics;
pub use node::{Carrier, Node, OnHealth, OnRows};
pub use owner::{Committed, Owner, Prepared, Stop};
pub use reader::Reader;
pub use store::{
    Commit, CommitError, CommitFault, Faults, Found, Inventory, Memory, Meta, Seen, Sqlite, Store, StoreError,
};
pub use waiters::Waiters;
pub use way_in::{Ask, Drain, Refused, WayIn};

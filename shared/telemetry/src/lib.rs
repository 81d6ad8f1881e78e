//! What a process says about itself: its log, its errors in one line, its memory.

mod chain;
mod log;
mod memory;

pub use chain::chain;
pub use log::{DEFAULT_FILTER, InitError, LogFormat, UnknownFormat, init};
pub use memory::{Memory, memory, register_memory};

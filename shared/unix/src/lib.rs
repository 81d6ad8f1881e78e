//! Unix process settings: the limit of open files, and the signals that end the process.

mod files;
mod signals;

pub use files::{TooFewFiles, allow_files};
pub use signals::Signals;

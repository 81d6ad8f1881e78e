//! Unix process settings: the limit of open files, and the signals that end the process.

mod file_limit;
mod signals;

pub use file_limit::{TooFewFiles, raise_file_limit};
pub use signals::Signals;

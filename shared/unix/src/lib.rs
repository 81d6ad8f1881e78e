//! What a process settles with its system: how many files it may open, and which signals end it.

mod files;
mod signals;

pub use files::{TooFewFiles, allow_files};
pub use signals::Signals;

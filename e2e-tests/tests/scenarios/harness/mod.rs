//! What scenarios are made of: a system, a client that speaks the contracts, names nobody else uses.

mod answer;
mod checks;
mod client;
mod corner;
mod process;
mod reading;
mod system;

pub use answer::Answer;
pub use checks::{balances_are, books_balance, money, until};
pub use client::{Addresses, Client, segment};
pub use corner::{Corner, Dice, timestamp};
pub use process::{Ended, Process, run_to_end, run_until_logged};
pub use reading::line;
pub use system::{Local, System};

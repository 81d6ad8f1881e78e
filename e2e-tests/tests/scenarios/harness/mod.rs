//! What scenarios are made of: a system, a client that speaks the contracts, names nobody else uses.

mod answer;
mod checks;
mod client;
mod corner;
mod load;
mod metrics;
mod page;
mod paying;
mod printed;
mod process;
mod reading;
mod receiver;
mod system;
mod trace;

pub use answer::Answer;
pub use checks::{PATIENCE, balances_are, books_are_quiet, books_balance, money, until};
pub use client::{Addresses, Client, connect, segment};
pub use corner::{Corner, Dice, timestamp};
pub use load::{Load, Steady};
pub use metrics::{Metrics, promtool};
pub use page::{blocks, commands, fits};
pub use paying::overdraft;
pub use printed::{Event, is_calm, refusal};
pub use process::{
    Ended, Process, binary, run_to_end, run_to_end_with, run_until_logged, signal, tail, unbundled, untraced,
};
pub use reading::line;
pub use receiver::{Receiver, Span};
pub use system::{Local, System};
pub use trace::{PURCHASE, Trace, WITHOUT_FX};

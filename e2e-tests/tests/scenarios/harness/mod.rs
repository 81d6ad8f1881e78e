//! Shared parts of the scenarios: systems under test, an HTTP client, load generators, unique test data and checks.

mod checks;
mod client;
mod load;
mod log_events;
mod markdown;
mod metrics;
mod otlp_receiver;
mod payments;
mod points;
mod process;
mod queries;
mod response;
mod stock;
mod system;
mod test_data;
mod trace;

pub use checks::{WAIT_TIMEOUT, assert_balances, assert_books_balance, money, wait_until, wait_until_books_settle};
pub use client::{Addresses, Client, connect, path_segment};
pub use load::{Load, SteadyLoad};
pub use log_events::{LogEvent, assert_no_errors_logged, startup_error};
pub use markdown::{code_blocks, curl_commands, matches_pattern};
pub use metrics::{Metrics, promtool};
pub use otlp_receiver::{OtlpReceiver, Span};
pub use payments::overdraft;
pub use points::{assert_points, assert_tier, earn_points};
pub use process::{
    Exit, Process, binary, end_with_signal, remove_otel_variables, run_program_to_end, run_to_end, run_to_end_with,
    run_until_logged, tail, unbundled_command,
};
pub use queries::describe_line;
pub use response::Response;
pub use stock::describe;
pub use system::{LocalSystem, System};
pub use test_data::{Namespace, Random, timestamp};
pub use trace::{PURCHASE_TREE, SAME_CURRENCY_SUBTREE, Trace};

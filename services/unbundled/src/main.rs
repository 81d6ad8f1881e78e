//! `unbundled`: all services in one process, and the operator's commands.

use std::process::ExitCode;

fn main() -> ExitCode {
    unbundled::main(unbundled::services::all)
}

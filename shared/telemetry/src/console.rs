//! Messages of a process outside its log: that it is ready, with which settings, and why it ends.
//!
//! On a terminal the messages are text, otherwise JSON lines. A stream never mixes both. `RUST_LOG` does not filter
//! these messages. Write errors are ignored: a closed or full stream, or a reader that is gone, must not stop the
//! service.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::error::Error;
use std::io::{self, IsTerminal, Stderr, Stdout, Write};
use std::panic;

use tracing_subscriber::layer::SubscriberExt;

use crate::error_chain;
use crate::log::json;

/// The part of a server's `--help` text about logs, traces, output and signals.
pub const HELP: &str = "\
RUST_LOG filters the log, which goes to stderr. OTEL_EXPORTER_OTLP_ENDPOINT turns on traces and sets their receiver.
On a terminal all output is text, otherwise JSON lines.
SIGTERM, SIGHUP and Ctrl-C shut the server down after it has finished the work in progress.";

/// Prints a message on stdout: `text` if stdout or stderr is a terminal, otherwise `event` as a JSON line.
pub fn announce(text: &str, event: impl FnOnce()) {
    if io::stdout().is_terminal() || io::stderr().is_terminal() {
        let _ignored = io::stdout().write_all(text.as_bytes()).and_then(|()| io::stdout().flush());
    } else {
        as_json::<Stdout>(io::stdout, event);
    }
}

/// Prints on stderr, in one line, the error that ends this process: as `error: …` on a terminal, otherwise as a JSON
/// log line.
pub fn report(error: &(dyn Error + 'static)) {
    let why = error_chain(error);
    if io::stderr().is_terminal() {
        let _ignored = writeln!(io::stderr(), "error: {why}");
    } else {
        as_json::<Stderr>(io::stderr, || tracing::error!("{why}"));
    }
}

/// Logs panics as JSON lines, if stderr is not a terminal.
pub(crate) fn log_panics() {
    if io::stderr().is_terminal() {
        return;
    }
    panic::set_hook(Box::new(|panic| {
        let backtrace = Backtrace::capture();
        let captured = (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string());
        as_json::<Stderr>(io::stderr, || tracing::error!(backtrace = captured, "{panic}"));
    }));
}

/// Writes an event as a JSON line, without a filter.
fn as_json<W: Write + 'static>(stream: fn() -> W, event: impl FnOnce()) {
    tracing::subscriber::with_default(tracing_subscriber::registry().with(json(stream)), event);
}

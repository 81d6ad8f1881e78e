//! What a process says beside its log: that it is ready, with what settings, why it ends.
//!
//! People read text; machines read JSON lines. No stream mixes both: where the log is JSON all of it is, whatever
//! `RUST_LOG` says. Nothing here fails: a closed or full stream, or a reader that has gone, is no reason to stop serving.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::error::Error;
use std::io::{self, IsTerminal, Stderr, Stdout, Write};
use std::panic;

use tracing_subscriber::layer::SubscriberExt;

use crate::chain;
use crate::log::json;

/// What the help of a server says of all this.
pub const HELP: &str = "\
RUST_LOG filters the log, which goes to stderr; OTEL_EXPORTER_OTLP_ENDPOINT has traces sent.
At a terminal all that it prints is text, elsewhere JSON lines.
SIGTERM, SIGHUP and Ctrl-C let it finish what it has begun, and end it.";

/// Says something on stdout: this text when somebody sits at a terminal, else this event as a JSON line.
pub fn announce(text: &str, event: impl FnOnce()) {
    if io::stdout().is_terminal() || io::stderr().is_terminal() {
        let _unread = io::stdout().write_all(text.as_bytes()).and_then(|()| io::stdout().flush());
    } else {
        as_json::<Stdout>(io::stdout, event);
    }
}

/// Says on stderr in one line why this process ends: as `error: …` on a terminal, else as a JSON line of its log.
pub fn report(error: &(dyn Error + 'static)) {
    let why = chain(error);
    if io::stderr().is_terminal() {
        let _unread = writeln!(io::stderr(), "error: {why}");
    } else {
        as_json::<Stderr>(io::stderr, || tracing::error!("{why}"));
    }
}

/// From now on a panic is a line of the log where that is JSON.
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

/// Writes an event as a JSON line that no filter holds back.
fn as_json<W: Write + 'static>(stream: fn() -> W, event: impl FnOnce()) {
    tracing::subscriber::with_default(tracing_subscriber::registry().with(json(stream)), event);
}

//! How far it is, as a bar in the last line of a terminal.
//!
//! Guarantee: it is drawn when something has come to its end, never by a clock of its own, and taken away before somebody
//! else writes ([`Progress::step_aside`]) and when it is dropped. So what else is written has lines of its own.

use std::io::Read;

use indicatif::{HumanCount, MultiProgress, ProgressBar, ProgressBarIter, ProgressDrawTarget, ProgressStyle};

use super::summary::per_second;

/// So many lines go by between two looks at the bar.
const LINES_STEP: u64 = 4_096;

const READING: &str = "reading [{bar:20}] {percent}%, {msg}, {eta} to go";
const SENDING: &str = "sending [{bar:20}] {human_pos} of {human_len} purchases, {msg}, {eta} to go";
const SETTLING: &str = "settling [{bar:20}] {human_pos} of {human_len} purchases, {msg}, {eta} to go";

/// A bar, or nothing where there is no terminal for it.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    // What can take it away for a while, which a bar cannot.
    around: MultiProgress,
}

impl Progress {
    /// None to be seen.
    pub fn hidden() -> Self {
        Self::on(ProgressDrawTarget::hidden(), 0, READING)
    }

    /// Of reading a file of so many bytes.
    pub fn reading(bytes: u64) -> Self {
        Self::on(terminal(), bytes, READING)
    }

    /// Of sending so many purchases.
    pub fn sending(purchases: u64) -> Self {
        Self::on(terminal(), purchases, SENDING)
    }

    /// Of so many purchases that come to their outcomes.
    pub fn settling(purchases: u64) -> Self {
        Self::on(terminal(), purchases, SETTLING)
    }

    fn on(target: ProgressDrawTarget, length: u64, template: &str) -> Self {
        let style = match ProgressStyle::with_template(template) {
            Ok(style) => style.progress_chars("=> "),
            Err(error) => unreachable!("a test draws a bar of every template: {error}"),
        };
        let around = MultiProgress::with_draw_target(target);
        let bar = around.add(ProgressBar::new(length).with_style(style));
        Self { bar, around }
    }

    /// The same bytes; how many have been read is how far the bar is.
    pub fn watch<R: Read>(&self, inner: R) -> ProgressBarIter<R> {
        self.bar.wrap_read(inner)
    }

    /// So many lines are read.
    pub fn lines(&self, count: u64) {
        if count.is_multiple_of(LINES_STEP) && !self.bar.is_hidden() {
            let speed = HumanCount(per_second(count, self.bar.elapsed()));
            self.bar.set_message(format!("{} lines, {speed}/s", HumanCount(count)));
        }
    }

    /// So many purchases are sent, and so many of them have their outcome.
    pub fn sent(&self, count: u64, settled: u64) {
        self.purchases(count, &format!("{} settled, ", HumanCount(settled)));
    }

    /// So many purchases have their outcome.
    pub fn settled(&self, count: u64) {
        self.purchases(count, "");
    }

    fn purchases(&self, count: u64, also: &str) {
        if !self.bar.is_hidden() {
            let speed = HumanCount(per_second(count, self.bar.elapsed()));
            self.bar.set_message(format!("{also}{speed}/s"));
            self.bar.set_position(count);
        }
    }

    /// Makes room for what another is about to write. The bar comes back with the next step.
    pub fn step_aside(&self) {
        // A terminal that is gone needs no room.
        drop(self.around.clear());
    }
}

/// Where bars are drawn: nowhere when it is no terminal, or one that cannot go back in its line (`TERM=dumb`), which its
/// library finds out, or when plain text is asked for (`NO_COLOR`).
fn terminal() -> ProgressDrawTarget {
    match std::env::var_os("NO_COLOR") {
        Some(wish) if !wish.is_empty() => ProgressDrawTarget::hidden(),
        Some(_) | None => ProgressDrawTarget::stderr(),
    }
}

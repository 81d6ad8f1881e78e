//! The progress of a command, as a bar in the last line of a terminal.
//!
//! Guarantee: the bar is drawn when a step is done, never by a timer. It is removed before other output is written
//! ([`Progress::step_aside`]) and when it is dropped, so that other output has lines of its own.

use std::io::Read;

use indicatif::{HumanCount, MultiProgress, ProgressBar, ProgressBarIter, ProgressDrawTarget, ProgressStyle};

use crate::speed::per_second;

/// The number of lines between two updates of the bar.
const LINES_STEP: u64 = 4_096;

const READING: &str = "reading [{bar:20}] {percent}%, {msg}, {eta} to go";
const SENDING: &str = "sending [{bar:20}] {human_pos} of {human_len} requests, {msg}, {eta} to go";
const SETTLING: &str = "settling [{bar:20}] {human_pos} of {human_len} requests, {msg}, {eta} to go";
const AUDITING: &str = "auditing [{bar:20}] {percent}%, {msg}, {eta} to go";

/// A bar, which is hidden if there is no terminal for it.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    // Can remove the bar for a while, which a bar itself cannot.
    around: MultiProgress,
}

impl Progress {
    /// A hidden bar.
    pub fn hidden() -> Self {
        Self::on(ProgressDrawTarget::hidden(), 0, READING)
    }

    /// A bar for reading a file of this many bytes.
    pub fn reading(bytes: u64) -> Self {
        let progress = Self::on(terminal(), bytes, READING);
        progress.lines(0);
        progress
    }

    /// A bar for sending this many requests.
    pub fn sending(requests: u64) -> Self {
        Self::on(terminal(), requests, SENDING)
    }

    /// A bar for this many requests that wait for their outcomes.
    pub fn settling(requests: u64) -> Self {
        Self::on(terminal(), requests, SETTLING)
    }

    /// A bar for an audit.
    pub fn auditing() -> Self {
        Self::on(terminal(), 0, AUDITING)
    }

    fn on(target: ProgressDrawTarget, length: u64, template: &str) -> Self {
        let style = match ProgressStyle::with_template(template) {
            Ok(style) => style.progress_chars("=> "),
            Err(error) => unreachable!("a test draws a bar with every template: {error}"),
        };
        let around = MultiProgress::with_draw_target(target);
        let bar = around.add(ProgressBar::new(length).with_style(style));
        Self { bar, around }
    }

    /// Wraps a reader. The bar shows how many of its bytes have been read.
    pub fn watch<R: Read>(&self, inner: R) -> ProgressBarIter<R> {
        self.bar.wrap_read(inner)
    }

    /// Shows that this many lines are read.
    pub fn lines(&self, count: u64) {
        if count.is_multiple_of(LINES_STEP) && !self.bar.is_hidden() {
            let speed = HumanCount(per_second(count, self.bar.elapsed()));
            self.bar.set_message(format!("{} lines, {speed}/s", HumanCount(count)));
        }
    }

    /// Shows that this many requests are sent, and this many of them have their outcome.
    pub fn sent(&self, count: u64, settled: u64) {
        self.requests(count, &format!("{} settled, ", HumanCount(settled)));
    }

    /// Shows that this many requests have their outcome.
    pub fn settled(&self, count: u64) {
        self.requests(count, "");
    }

    /// Shows the progress of an audit: so many of all frames and batch records are checked and so many facts derived,
    /// and this stage is next.
    pub fn audited(&self, done: u64, of: u64, stage: &str, facts: u64) {
        if !self.bar.is_hidden() {
            let speed = HumanCount(per_second(facts, self.bar.elapsed()));
            self.bar.set_length(of);
            self.bar.set_position(done);
            self.bar.set_message(format!("{stage}, {} facts, {speed}/s", HumanCount(facts)));
        }
    }

    fn requests(&self, count: u64, also: &str) {
        if !self.bar.is_hidden() {
            let speed = HumanCount(per_second(count, self.bar.elapsed()));
            self.bar.set_position(count);
            self.bar.set_message(format!("{also}{speed}/s"));
        }
    }

    /// Removes the bar to make room for other output. It comes back with the next step.
    pub fn step_aside(&self) {
        // Fails only if the terminal is gone, which then needs no room.
        drop(self.around.clear());
    }
}

/// The target on which bars are drawn. They are hidden if it is no terminal, or one that cannot move back in its line
/// (`TERM=dumb`), which the library detects, or if plain text is requested (`NO_COLOR`).
fn terminal() -> ProgressDrawTarget {
    match std::env::var_os("NO_COLOR") {
        Some(wish) if !wish.is_empty() => ProgressDrawTarget::hidden(),
        Some(_) | None => ProgressDrawTarget::stderr(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Cursor};
    use std::sync::{Arc, Mutex};

    use indicatif::TermLike;

    use super::*;

    /// The lines, and the index of the line with the cursor.
    #[derive(Clone, Debug, Default)]
    struct Screen(Arc<Mutex<(Vec<String>, usize)>>);

    impl Screen {
        fn change(&self, change: impl FnOnce(&mut Vec<String>, &mut usize)) -> io::Result<()> {
            let mut screen = self.0.lock().unwrap();
            let (lines, at) = &mut *screen;
            change(lines, at);
            let count = lines.len().max(*at + 1);
            lines.resize(count, String::new());
            Ok(())
        }

        fn check(&self, expected: &[&str]) {
            let lines = &self.0.lock().unwrap().0;
            assert_eq!(lines.len(), expected.len(), "{lines:?}");
            for (line, begin) in lines.iter().zip(expected) {
                assert!(line.starts_with(begin) && line.is_empty() == begin.is_empty(), "{lines:?}");
            }
        }
    }

    impl TermLike for Screen {
        fn width(&self) -> u16 {
            120
        }

        fn move_cursor_up(&self, n: usize) -> io::Result<()> {
            self.change(|_, at| *at -= n)
        }

        fn move_cursor_down(&self, n: usize) -> io::Result<()> {
            self.change(|_, at| *at += n)
        }

        fn move_cursor_right(&self, _: usize) -> io::Result<()> {
            Ok(())
        }

        fn move_cursor_left(&self, _: usize) -> io::Result<()> {
            Ok(())
        }

        fn write_line(&self, text: &str) -> io::Result<()> {
            self.write_str(text)?;
            self.change(|_, at| *at += 1)
        }

        fn write_str(&self, text: &str) -> io::Result<()> {
            self.change(|lines, at| {
                lines.resize(lines.len().max(*at + 1), String::new());
                lines[*at].push_str(text);
            })
        }

        fn clear_line(&self) -> io::Result<()> {
            self.change(|lines, at| lines.get_mut(*at).into_iter().for_each(String::clear))
        }

        fn flush(&self) -> io::Result<()> {
            Ok(())
        }
    }

    fn on(screen: &Screen, length: u64, template: &str) -> Progress {
        Progress::on(ProgressDrawTarget::term_like(Box::new(screen.clone())), length, template)
    }

    #[test]
    fn a_bar_makes_room_for_other_output_and_leaves_nothing_behind() {
        let screen = Screen::default();
        let progress = on(&screen, 2_000, SENDING);
        progress.sent(500, 498);
        screen.check(&["sending [=====>              ] 500 of 2,000 requests, 498 settled, "]);
        progress.step_aside();
        screen.write_line("purchase is unavailable").unwrap();
        progress.sent(1_000, 998);
        let sent = "sending [==========>         ] 1,000 of 2,000 requests, 998 settled, ";
        screen.check(&["purchase is unavailable", sent]);
        drop(progress);
        screen.check(&["purchase is unavailable", ""]);
    }

    #[test]
    fn a_bar_shows_the_progress() {
        let screen = Screen::default();
        on(&screen, 100, SETTLING).settled(50);
        screen.check(&[""]);
        let progress = on(&screen, 100, SETTLING);
        progress.settled(50);
        screen.check(&["settling [==========>         ] 50 of 100 requests, "]);
        drop(progress);
        let progress = on(&screen, 0, AUDITING);
        progress.audited(30, 40, "post", 1_200);
        screen.check(&["auditing [===============>    ] 75%, post, 1,200 facts, "]);
        drop(progress);
        let progress = on(&screen, 8, READING);
        let mut watched = progress.watch(Cursor::new([0; 8]));
        watched.read_exact(&mut [0; 4]).unwrap();
        progress.lines(LINES_STEP);
        screen.check(&["reading [==========>         ] 50%, 4,096 lines, "]);
    }
}

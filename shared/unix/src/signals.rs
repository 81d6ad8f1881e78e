use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// The bit of SIGHUP (signal 1) in the signal masks of proc(5).
const HANGUP: u64 = 1;

/// The signals that request the end of a process: SIGTERM, SIGINT (Ctrl-C) and SIGHUP (its terminal is closed).
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    /// `None` if SIGHUP is ignored, as under `nohup`.
    hangup: Option<Signal>,
}

impl Signals {
    /// Installs handlers for the signals, so that they no longer end the process immediately.
    ///
    /// # Errors
    /// When the system refuses a handler.
    pub fn receive() -> io::Result<Self> {
        let hangup = if is_hangup_ignored() { None } else { Some(signal(SignalKind::hangup())?) };
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())?, hangup })
    }

    /// Waits until one of the signals arrives.
    pub async fn shutdown_requested(&mut self) {
        let hangup = async {
            match &mut self.hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
            _ = hangup => {}
        }
    }

    /// Waits until SIGINT (Ctrl-C) arrives.
    pub async fn interrupted(&mut self) {
        self.interrupt.recv().await;
    }
}

/// Whether this process was started with SIGHUP ignored. Known only on Linux; false on other systems.
fn is_hangup_ignored() -> bool {
    std::fs::read_to_string("/proc/self/status").is_ok_and(|status| ignores_hangup(&status))
}

fn ignores_hangup(status: &str) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & HANGUP != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signal_mask_shows_whether_sighup_is_ignored() {
        for (status, expected) in [
            ("Name:\tx\nSigIgn:\t0000000000001001\n", true),
            ("SigIgn:\t0000000000001000\n", false),
            ("SigCgt:\t0000000000000001\n", false),
            ("", false),
        ] {
            assert_eq!(ignores_hangup(status), expected, "{status}");
        }
    }
}

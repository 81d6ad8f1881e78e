use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The system limits the open files of this process below the number that it needs.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("this process may open {allowed} files and needs {needed}: raise the limit of open files (ulimit -n {needed})")]
pub struct TooFewFiles {
    /// The number of files that it may have open at once.
    pub allowed: u64,
    /// The minimum number that it needs.
    pub needed: u64,
}

/// Raises the soft limit of open files (getrlimit(2), `RLIMIT_NOFILE`) to `wanted`, or to the hard limit if that is
/// lower. Sockets and databases count as files. Call it before starting an async runtime, which also needs files.
///
/// # Errors
/// [`TooFewFiles`] when fewer than `needed` are allowed.
pub fn raise_file_limit(needed: u64, wanted: u64) -> Result<(), TooFewFiles> {
    let limit = getrlimit(Resource::Nofile);
    let (soft, hard) = (limit.current.unwrap_or(u64::MAX), limit.maximum.unwrap_or(u64::MAX));
    let Some(raised) = raised(soft, hard, needed, wanted)? else { return Ok(()) };
    match setrlimit(Resource::Nofile, Rlimit { current: Some(raised), maximum: limit.maximum }) {
        Ok(()) => Ok(()),
        // The limit stays as it is, which may still be enough.
        Err(_) if soft >= needed => Ok(()),
        Err(_) => Err(TooFewFiles { allowed: soft, needed }),
    }
}

/// The new soft limit. `None` if it need not change.
fn raised(soft: u64, hard: u64, needed: u64, wanted: u64) -> Result<Option<u64>, TooFewFiles> {
    if hard < needed {
        return Err(TooFewFiles { allowed: hard, needed });
    }
    let raised = wanted.max(needed).min(hard);
    Ok((soft < raised).then_some(raised))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_is_raised_to_the_wanted_or_hard_limit_and_never_lowered() {
        let check = |(soft, hard), expected| assert_eq!(raised(soft, hard, 100, 500), expected, "{soft} {hard}");
        let refused = |allowed| Err(TooFewFiles { allowed, needed: 100 });
        check((20, 99), refused(99));
        check((20, 100), Ok(Some(100)));
        check((20, 300), Ok(Some(300)));
        check((20, 1_000), Ok(Some(500)));
        check((400, 400), Ok(None));
        check((1_000, u64::MAX), Ok(None));
    }

    #[test]
    fn the_error_names_both_numbers_and_the_command_to_run() {
        let text = TooFewFiles { allowed: 64, needed: 256 }.to_string();
        for word in ["may open 64 files", "needs 256", "ulimit -n 256"] {
            assert!(text.contains(word), "{text}");
        }
    }
}

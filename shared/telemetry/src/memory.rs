/// The allocator of every process that links this crate. Facts and rows are many small texts that one thread makes and
/// another one frees; mimalloc needs less time for them than the allocator of the system. Without huge pages, because with
/// them a process keeps half as much memory again and is no faster.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The physical memory of this process, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// The current resident memory.
    pub resident_bytes: u64,
    /// The peak of resident memory since the process started.
    pub peak_bytes: u64,
}

/// The memory of this process, from `/proc/self/status` on Linux (proc(5): `VmRSS`, `VmHWM`). `None` on other systems.
pub fn memory() -> Option<Memory> {
    parse(&std::fs::read_to_string("/proc/self/status").ok()?)
}

fn parse(status: &str) -> Option<Memory> {
    Some(Memory { resident_bytes: bytes_of(status, "VmRSS:")?, peak_bytes: bytes_of(status, "VmHWM:")? })
}

fn bytes_of(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim_end().parse().ok()?;
    kibibytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(status: &str, expected: Option<(u64, u64)>) {
        let found = parse(status).map(|memory| (memory.resident_bytes, memory.peak_bytes));
        assert_eq!(found, expected, "{status}");
    }

    #[test]
    fn both_values_are_read_in_bytes() {
        check("Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n", Some((1 << 20, 2 << 20)));
    }

    #[test]
    fn a_missing_or_invalid_value_is_none() {
        check("VmHWM:\t 2048 kB\n", None);
        check("VmHWM:\t 2048 kB\nVmRSS:\t many kB\n", None);
        check("VmHWM:\t 2048 kB\nVmRSS:\t 18446744073709551615 kB\n", None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_has_memory() {
        let memory = memory().unwrap();
        assert!(0 < memory.resident_bytes && memory.resident_bytes <= memory.peak_bytes, "{memory:?}");
    }
}

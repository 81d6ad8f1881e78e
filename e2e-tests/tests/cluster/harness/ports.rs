//! Free ports.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};

/// The first port, below the range of ephemeral ports and above the ports of other tests.
const FIRST: u16 = 29_000;
/// The number of blocks. Each test process starts its search at a block of its own.
const BLOCKS: u16 = 230;
/// The number of ports in a block.
const BLOCK: u16 = 16;

/// The ports of the servers of a cluster.
pub struct Ports {
    pub rabbitmq: u16,
    pub distribution: u16,
    pub epmd: u16,
    pub postgres: u16,
}

impl Ports {
    /// Free ports for the servers of a cluster.
    pub fn free() -> Self {
        let [rabbitmq, distribution, epmd, postgres] = [(); 4].map(|()| Self::next_free());
        Self { rabbitmq, distribution, epmd, postgres }
    }

    /// The next free port.
    pub fn next_free() -> u16 {
        static NEXT: AtomicU16 = AtomicU16::new(0);
        let block = u16::try_from(std::process::id() % u32::from(BLOCKS)).unwrap();
        let range = BLOCKS * BLOCK;
        let ports = std::iter::repeat_with(|| FIRST + (block * BLOCK + NEXT.fetch_add(1, Ordering::Relaxed)) % range);
        let mut ports = ports.take(usize::from(range));
        ports.find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).expect("no port is free")
    }
}

//! Real faults under a steady load. After each fault every purchase is settled exactly once, with the same amounts as
//! without the fault, within half a minute.

mod backlog;
mod broker;
mod configuration;
mod database;
mod instances;
mod killed;
mod logs;
mod lost_messages;
mod operator;
mod quarantine;
mod stock;
mod stopped;
mod streams;

use std::time::Instant;

use super::harness::Cluster;
use crate::scenarios::harness::{Load, SteadyLoad, WAIT_TIMEOUT, wait_until_books_settle};

/// A cluster under a steady load.
struct FaultTest {
    cluster: Cluster,
    load: Load,
    sending: SteadyLoad,
}

/// The number of batches that must have a response before a fault, and after it, so that the fault happens under load.
const BATCHES: usize = 10;

impl FaultTest {
    /// Starts a cluster with servers of the test's own, and the load.
    async fn start() -> Self {
        Self::start_on(Cluster::start().await).await
    }

    /// Starts a cluster on the servers that all tests share, and the load. For faults of the services.
    async fn start_on_shared_servers() -> Self {
        Self::start_on(Cluster::start_on_shared_servers().await).await
    }

    /// Starts the load on a running cluster.
    async fn start_on(cluster: Cluster) -> Self {
        let load = Load::prepare(&cluster.client, 0).await;
        let clients = [cluster.client.clone()];
        let mut sending = load.keep_sending(&clients);
        sending.wait_for_batches(BATCHES).await;
        Self { cluster, load, sending }
    }

    /// Call this at the end of a fault. It asserts that the load continues, and that all of it is settled in time.
    async fn assert_recovery(self) -> Cluster {
        self.assert_recovery_except(&[]).await
    }

    /// Like [`FaultTest::assert_recovery`], but does not expect these instances, which are on standby, to be ready.
    async fn assert_recovery_except(mut self, standby: &[&str]) -> Cluster {
        let over = Instant::now();
        self.sending.wait_for_batches(BATCHES).await;
        self.load.stop(self.sending).await;
        let client = self.cluster.client.clone();
        self.load.assert_all_have_outcomes(&client).await;
        wait_until_books_settle(&client).await;
        let took = over.elapsed();
        assert!(took < WAIT_TIMEOUT, "it took {took:?} until all purchases were settled");
        eprintln!("{} purchases, all settled {took:?} after the fault", self.load.len());
        self.cluster.wait_until_ready_except(standby).await;
        self.load.assert_one_effect_each(&client).await;
        self.cluster
    }
}

//! Real faults, each under a load that goes on. Whatever happens: every request is settled exactly once, with the
//! same money as on an undisturbed system, within half a minute of the fault's end.

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
mod stopped;
mod streams;

use std::time::Instant;

use super::harness::Cluster;
use crate::scenarios::harness::{Load, SteadyLoad, WAIT_TIMEOUT, wait_until_books_settle};

/// A cluster with a load that is going on.
struct FaultTest {
    cluster: Cluster,
    load: Load,
    sending: SteadyLoad,
}

/// Batches that are answered before a fault, and after it, so that it is amid the load.
const BATCHES: usize = 10;

impl FaultTest {
    /// Ready, with a load that has begun.
    async fn begin() -> Self {
        let cluster = Cluster::start().await;
        Self::on(cluster).await
    }

    /// On a cluster that runs.
    async fn on(cluster: Cluster) -> Self {
        let load = Load::prepare(&cluster.client, 0).await;
        let clients = [cluster.client.clone()];
        let mut sending = load.keep_sending(&clients);
        sending.wait_for_batches(BATCHES).await;
        Self { cluster, load, sending }
    }

    /// After a fault that has just ended: the load goes on, and all of it is settled in time.
    async fn assert_recovery(self) -> Cluster {
        self.assert_recovery_except(&[]).await
    }

    /// The same, but these instances wait for others.
    async fn assert_recovery_except(mut self, waiting: &[&str]) -> Cluster {
        let over = Instant::now();
        self.sending.wait_for_batches(BATCHES).await;
        self.load.stop(self.sending).await;
        let client = self.cluster.client.clone();
        self.load.assert_all_have_outcomes(&client).await;
        wait_until_books_settle(&client).await;
        let took = over.elapsed();
        assert!(took < WAIT_TIMEOUT, "it took {took:?} until all was settled");
        eprintln!("{} purchases, all settled {took:?} after the fault", self.load.len());
        self.cluster.wait_until_ready_except(waiting).await;
        self.load.assert_one_effect_each(&client).await;
        self.cluster
    }
}

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
use crate::scenarios::harness::{Load, PATIENCE, Steady, books_are_quiet};

/// A cluster with a load that is going on.
struct Scene {
    cluster: Cluster,
    load: Load,
    sending: Steady,
}

/// Batches that are answered before a fault, and after it, so that it is amid the load.
const BATCHES: usize = 10;

impl Scene {
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
        sending.goes_on(BATCHES).await;
        Self { cluster, load, sending }
    }

    /// After a fault that has just ended: the load goes on, and all of it is settled in time.
    async fn all_is_well(self) -> Cluster {
        self.all_is_well_but(&[]).await
    }

    /// The same, but these instances wait for others.
    async fn all_is_well_but(mut self, waiting: &[&str]) -> Cluster {
        let over = Instant::now();
        self.sending.goes_on(BATCHES).await;
        self.load.ends(self.sending).await;
        let client = self.cluster.client.clone();
        self.load.all_have_their_outcome(&client).await;
        books_are_quiet(&client).await;
        let took = over.elapsed();
        assert!(took < PATIENCE, "it took {took:?} until all was settled");
        eprintln!("{} purchases, all settled {took:?} after the fault", self.load.len());
        self.cluster.are_ready_but(waiting).await;
        self.load.each_had_one_effect(&client).await;
        self.cluster
    }
}

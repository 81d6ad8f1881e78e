//! All owners of one service in one process: started, watched and drained together.

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::{Addr, Recipient};
use chrono::{DateTime, Utc};
use futures_util::future::{LocalBoxFuture, join_all, try_join_all};
use prometheus::{Gauge, IntGauge, Opts, Registry};
use stage::{BatchNumber, Checkpoint, IngressStage, Partition, Producer, Stage};
use telemetry::Traces;
use tokio::sync::Notify;

use crate::backoff::Backoff;
use crate::ingress::Drain;
use crate::lag::Lag;
use crate::metrics::labelled;
use crate::transport::{Transport, TransportRuntime};
use crate::{
    Health, Ingress, Metrics, Observer, OnConnection, OnHealth, OnRows, Owner, OwnerError, Reader, RecentCommits,
    Spans, Store, Wakeups,
};

/// The reason why owners were not started.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// A partition could not be claimed.
    #[error(transparent)]
    Owner(Box<OwnerError>),
    /// The metrics are already registered.
    #[error(transparent)]
    Metrics(#[from] prometheus::Error),
}

impl From<OwnerError> for RuntimeError {
    fn from(stop: OwnerError) -> Self {
        RuntimeError::Owner(Box::new(stop))
    }
}

struct Watched {
    lag: Lag,
    frames: IntGauge,
    seconds: Gauge,
}

/// The owners of one service.
pub struct ServiceRuntime {
    store: Store,
    transport: TransportRuntime,
    wakeups: Wakeups,
    registry: Registry,
    traces: Traces,
    on_health: OnHealth,
    fenced: Arc<Notify>,
    ingresses: Vec<Recipient<Drain>>,
    readers: Vec<Recipient<Drain>>,
    watched: Vec<Watched>,
    recent_commits: RecentCommits,
    stages: Vec<&'static str>,
}

impl ServiceRuntime {
    /// A runtime without owners. From now on, frames that the journal already holds are published.
    ///
    /// # Errors
    /// When the metrics are already registered.
    pub fn new(
        store: Store,
        transport: Transport,
        registry: Registry,
        traces: Traces,
        on_health: OnHealth,
        on_connection: OnConnection,
    ) -> prometheus::Result<Self> {
        let (transport, wakeups) = TransportRuntime::new(transport, &store, &registry, on_connection)?;
        let (ingresses, readers, watched) = (Vec::new(), Vec::new(), Vec::new());
        Ok(Self {
            store,
            transport,
            wakeups,
            registry,
            traces,
            on_health,
            fenced: Arc::default(),
            ingresses,
            readers,
            watched,
            recent_commits: RecentCommits::default(),
            stages: Vec::new(),
        })
    }

    /// Returns when another owner has taken over one of the partitions, so that this process no longer owns all of
    /// them.
    pub async fn fenced(&self) {
        self.fenced.notified().await;
    }

    /// The service's store.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The times of the latest commits of all owners.
    pub fn recent_commits(&self) -> &RecentCommits {
        &self.recent_commits
    }

    /// The names of the stages whose owners were started.
    pub fn stages(&self) -> &[&'static str] {
        &self.stages
    }

    /// Claims partition 0 of an ingress stage and starts its owner.
    ///
    /// # Errors
    /// [`RuntimeError`].
    pub async fn ingress<S: IngressStage>(
        &mut self,
        stage: impl Fn() -> S,
        on_rows: OnRows,
    ) -> Result<Addr<Ingress<S>>, RuntimeError> {
        let id = Producer::new(S::NAME, Partition(0));
        let owner = self.claim(stage, id.clone()).await?;
        let address = Ingress::start(owner, self.observer(&id, on_rows)?);
        self.ingresses.push(address.clone().recipient());
        self.stages.push(S::NAME);
        Ok(address)
    }

    /// Claims all partitions of a stage that reads streams, concurrently, and starts their owners.
    ///
    /// # Errors
    /// [`RuntimeError`].
    pub async fn readers<S: Stage>(
        &mut self,
        stage: impl Fn(Partition) -> S,
        on_rows: OnRows,
    ) -> Result<(), RuntimeError> {
        let partitions = S::PARTITIONING.partitions(self.store.meta().partitions);
        let (node, stage) = (&*self, &stage);
        let claim = |partition| node.claim(move || stage(partition), Producer::new(S::NAME, partition));
        for owner in try_join_all(partitions.into_iter().map(claim)).await? {
            let id = owner.id().clone();
            let (subscription, behind) = self.transport.subscription(&owner, &self.store, &self.wakeups);
            let watched = self.watched(&id, Lag::new(behind))?;
            self.watched.push(watched);
            let address = Reader::start(owner, subscription, self.observer(&id, on_rows.clone())?);
            self.readers.push(address.recipient());
        }
        self.stages.push(S::NAME);
        Ok(())
    }

    /// Claims a partition. If the database does not answer, it retries for a while.
    async fn claim<S: Stage>(&self, stage: impl Fn() -> S, id: Producer) -> Result<Owner<S>, OwnerError> {
        let (begun, mut backoff) = (Instant::now(), Backoff::default());
        loop {
            match Owner::claim(stage(), id.clone(), self.store.clone(), Utc::now()).await {
                Err(stop) if stop.is_transient() && begun.elapsed() < CLAIM_PATIENCE => {
                    tracing::warn!(
                        why = telemetry::error_chain(&stop),
                        "claiming a partition failed and will be retried"
                    );
                    tokio::time::sleep(backoff.next()).await;
                }
                claimed => {
                    if let Ok(owner) = &claimed {
                        self.claimed(owner.checkpoint(), owner.last_batch(), &id);
                    }
                    return claimed.map(|owner| if self.traces.is_on() { owner.traced() } else { owner });
                }
            }
        }
    }

    fn claimed(&self, checkpoint: &Checkpoint, (batch, at): (BatchNumber, DateTime<Utc>), id: &Producer) {
        // So that no later request is taken for one of an earlier process.
        self.recent_commits.note(id, batch, at);
        if let Some(backlog) = self.transport.backlog() {
            backlog.claimed(id, &checkpoint.last_frames);
        }
    }

    fn observer(&self, id: &Producer, on_rows: OnRows) -> prometheus::Result<Observer> {
        let (on_health, owner, fenced) = (self.on_health.clone(), id.clone(), self.fenced.clone());
        Ok(Observer {
            wakeups: self.wakeups.clone(),
            backlog: self.transport.backlog(),
            metrics: Metrics::register(&self.registry, id)?,
            spans: Spans::new(self.traces.clone(), self.transport.system()),
            on_rows,
            recent_commits: self.recent_commits.clone(),
            owner: id.clone(),
            on_health: Arc::new(move |health| {
                if health == Health::Fenced {
                    fenced.notify_one();
                }
                on_health(&owner, health);
            }),
        })
    }

    fn watched(&self, id: &Producer, lag: Lag) -> prometheus::Result<Watched> {
        let opts = |name, help| labelled(Opts::new(name, help), id);
        let help = "Frames that were emitted for a stage and that it has not applied yet.";
        let frames = IntGauge::with_opts(opts("stage_lag_frames", help))?;
        let help = "Age of the oldest frame that a stage has not applied yet; 0 when there is none.";
        let seconds = Gauge::with_opts(opts("stage_lag_seconds", help))?;
        self.registry.register(Box::new(frames.clone()))?;
        self.registry.register(Box::new(seconds.clone()))?;
        Ok(Watched { lag, frames, seconds })
    }

    /// Keeps the gauges of the lag and of quarantined messages up to date until the future is dropped.
    pub fn watch(&mut self) -> LocalBoxFuture<'static, ()> {
        let (mut watched, quarantine) = (std::mem::take(&mut self.watched), self.transport.quarantine());
        Box::pin(async move {
            for look in 0_u32.. {
                for Watched { lag, frames, seconds } in &mut watched {
                    if let Some((behind, waiting)) = lag.look().await {
                        frames.set(i64::try_from(behind).unwrap_or(i64::MAX));
                        seconds.set(waiting.as_secs_f64());
                    }
                }
                if let Some((database, metrics)) = &quarantine
                    && look.is_multiple_of(LOOKS_PER_COUNT)
                    && let Ok(kept) = database.quarantined().await
                {
                    metrics.kept(kept);
                }
                tokio::time::sleep(LAG_INTERVAL).await;
            }
        })
    }

    /// Finishes the work in progress: first the ingress stages, then the readers, then the publishing of what they
    /// emitted. Frames that were not read yet stay in the journals.
    pub async fn drain(mut self) {
        for owners in [&self.ingresses, &self.readers] {
            // An owner that has already stopped has nothing to finish.
            let _stopped = join_all(owners.iter().map(|owner| owner.send(Drain))).await;
        }
        self.transport.drain().await;
    }
}

impl Drop for ServiceRuntime {
    /// A service that could not be started completely leaves no running owner behind.
    fn drop(&mut self) {
        self.ingresses.iter().chain(&self.readers).for_each(|owner| owner.do_send(Drain));
    }
}

/// How long a start waits for a database that does not answer.
const CLAIM_PATIENCE: Duration = Duration::from_secs(10);
/// How often the lag is measured.
const LAG_INTERVAL: Duration = Duration::from_secs(1);
/// The number of lag measurements between two counts of the quarantined messages.
const LOOKS_PER_COUNT: u32 = 60;

//! One service's owners in one process: started together, watched together, drained together.

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::{Addr, Recipient};
use chrono::Utc;
use futures_util::future::{join_all, try_join_all};
use prometheus::{Gauge, IntGauge, Opts, Registry};
use stage::{IngressStage, Partition, Producer, Stage};
use telemetry::Traces;
use tokio::sync::Notify;

use crate::backoff::Backoff;
use crate::ingress::Drain;
use crate::lag::Lag;
use crate::metrics::labelled;
use crate::transport::{Transport, TransportRuntime};
use crate::{
    Health, Ingress, Metrics, Observer, OnConnection, OnHealth, OnRows, Owner, OwnerError, Reader, Spans, Store,
    Wakeups,
};

/// Why owners were not started.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// A partition could not be claimed.
    #[error(transparent)]
    Owner(Box<OwnerError>),
    /// Its metrics are registered already.
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
}

impl ServiceRuntime {
    /// No owners yet. What the journal holds already is published from now on.
    ///
    /// # Errors
    /// When its metrics are registered already.
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
        })
    }

    /// Returns when another owner has taken over one of the partitions: this process has not all of them any more.
    pub async fn fenced(&self) {
        self.fenced.notified().await;
    }

    /// The service's store.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Claims lane 0 of an ingress stage and starts it.
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
        Ok(address)
    }

    /// Claims every partition of a stage that reads streams, all at the same time, and starts them.
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
        Ok(())
    }

    /// Takes over a partition; a database that does not answer is asked again for a while.
    async fn claim<S: Stage>(&self, stage: impl Fn() -> S, id: Producer) -> Result<Owner<S>, OwnerError> {
        let (begun, mut backoff) = (Instant::now(), Backoff::default());
        loop {
            match Owner::claim(stage(), id.clone(), self.store.clone(), Utc::now()).await {
                Err(stop) if stop.is_transient() && begun.elapsed() < CLAIM_PATIENCE => {
                    tracing::warn!(why = telemetry::chain(&stop), "a partition is not claimed yet");
                    tokio::time::sleep(backoff.next()).await;
                }
                claimed => {
                    if let (Ok(owner), Some(backlog)) = (&claimed, self.transport.backlog()) {
                        backlog.claimed(&id, &owner.checkpoint().last_frames);
                    }
                    return claimed.map(|owner| if self.traces.is_on() { owner.traced() } else { owner });
                }
            }
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
        let help = "Frames that were said to a stage and that it has not applied.";
        let frames = IntGauge::with_opts(opts("stage_lag_frames", help))?;
        let help = "For how long the first frame that a stage has not applied has been waiting; 0 when there is none.";
        let seconds = Gauge::with_opts(opts("stage_lag_seconds", help))?;
        self.registry.register(Box::new(frames.clone()))?;
        self.registry.register(Box::new(seconds.clone()))?;
        Ok(Watched { lag, frames, seconds })
    }

    /// Keeps the gauges of the lag, and of messages in quarantine, up to date, until it is dropped.
    pub fn watch(&mut self) -> impl Future<Output = ()> + 'static {
        let (mut watched, quarantine) = (std::mem::take(&mut self.watched), self.transport.quarantine());
        async move {
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
        }
    }

    /// Finishes what was begun: first the ingress stages, then the readers, then what they said. What is not read
    /// yet stays in the journals.
    pub async fn drain(mut self) {
        for owners in [&self.ingresses, &self.readers] {
            // An owner that has stopped already has nothing to finish.
            let _stopped = join_all(owners.iter().map(|owner| owner.send(Drain))).await;
        }
        self.transport.drain().await;
    }
}

impl Drop for ServiceRuntime {
    /// A service that could not be started whole leaves no owner behind.
    fn drop(&mut self) {
        self.ingresses.iter().chain(&self.readers).for_each(|owner| owner.do_send(Drain));
    }
}

/// How long a start waits for a database that does not reply.
const CLAIM_PATIENCE: Duration = Duration::from_secs(10);
/// How often the lag is looked at.
const LAG_INTERVAL: Duration = Duration::from_secs(1);
/// Looks at the lag between two counts of what is in quarantine.
const LOOKS_PER_COUNT: u32 = 60;

//! One service's owners in one process: started together, watched together, drained together.

use std::collections::BTreeMap;
use std::sync::Arc;

use actix::{Addr, Recipient};
use chrono::Utc;
use prometheus::{IntGauge, Opts, Registry};
use stage::{Change, Checkpoint, Partition, Producer, Stage};

use crate::way_in::Drain;
use crate::{Bells, Feed, Health, Hooks, Metrics, Owner, Reader, Source, Stop, Store, StoreError, Tail, WayIn, lag};

/// Sees every row that has become durable.
pub type OnRows = Arc<dyn Fn(&[Change]) + Send + Sync>;
/// Hears how each owner is, when that changes.
pub type OnHealth = Arc<dyn Fn(&Producer, Health) + Send + Sync>;

/// What carries frames between the services.
#[derive(Clone)]
pub enum Carrier {
    /// All services are in this process: their stores, by name, are the streams, and bells tell when
    /// there is something new.
    Journals(BTreeMap<&'static str, Store>, Bells),
}

impl Carrier {
    fn bells(&self) -> Bells {
        let Carrier::Journals(_, bells) = self;
        bells.clone()
    }

    /// Who produces what this stage's partition reads, and where it is said.
    fn sources<S: Stage>(&self, id: &Producer, store: &Store) -> Vec<Source> {
        let Carrier::Journals(stores, _) = self;
        let partitions = store.meta().partitions;
        let source = |stream: &&'static stage::Stream| Source {
            target: stream.target(id.partition),
            producers: stream.known_producers(partitions),
            journal: stores.get(stream.service).unwrap_or(store).clone(),
        };
        S::READS.iter().map(source).collect()
    }
}

struct Watched {
    id: Producer,
    sources: Vec<Source>,
    lag: IntGauge,
}

/// The owners of one service.
pub struct Node {
    store: Store,
    carrier: Carrier,
    registry: Registry,
    on_health: OnHealth,
    ways_in: Vec<Recipient<Drain>>,
    readers: Vec<Recipient<Drain>>,
    watched: Vec<Watched>,
}

impl Node {
    /// No owners yet.
    pub fn new(store: Store, carrier: Carrier, registry: Registry, on_health: OnHealth) -> Self {
        Self { store, carrier, registry, on_health, ways_in: Vec::new(), readers: Vec::new(), watched: Vec::new() }
    }

    /// The service's store.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Claims lane 0 of a way in and starts it.
    ///
    /// # Errors
    /// [`Stop`] when it cannot be claimed.
    pub async fn way_in<S: Stage>(&mut self, stage: S, on_rows: OnRows) -> Result<Addr<WayIn<S>>, Stop> {
        let id = Producer::new(S::NAME, Partition(0));
        let owner = Owner::claim(stage, id.clone(), self.store.clone(), Utc::now()).await?;
        let address = WayIn::start(owner, self.hooks(&id, on_rows)?);
        self.ways_in.push(address.clone().recipient());
        Ok(address)
    }

    /// Claims every partition of a stage that reads streams and starts it.
    ///
    /// # Errors
    /// [`Stop`] when one cannot be claimed.
    pub async fn readers<S: Stage>(&mut self, stage: impl Fn(Partition) -> S, on_rows: OnRows) -> Result<(), Stop> {
        for partition in S::SPREAD.partitions(self.store.meta().partitions) {
            let id = Producer::new(S::NAME, partition);
            let owner = Owner::claim(stage(partition), id.clone(), self.store.clone(), Utc::now()).await?;
            let sources = self.carrier.sources::<S>(&id, &self.store);
            let feed = Feed::Tail(Tail::new(sources.clone()));
            let lag = self.lag_gauge(&id)?;
            self.watched.push(Watched { id: id.clone(), sources, lag });
            let address = Reader::start(owner, feed, self.hooks(&id, on_rows.clone())?);
            self.readers.push(address.recipient());
        }
        Ok(())
    }

    fn hooks(&self, id: &Producer, on_rows: OnRows) -> Result<Hooks, Stop> {
        let (on_health, owner) = (self.on_health.clone(), id.clone());
        Ok(Hooks {
            bells: self.carrier.bells(),
            metrics: Metrics::register(&self.registry, id).map_err(|error| unmeasured(id, &error))?,
            on_rows,
            on_health: Arc::new(move |health| on_health(&owner, health)),
        })
    }

    fn lag_gauge(&self, id: &Producer) -> Result<IntGauge, Stop> {
        let opts = Opts::new("stage_lag_frames", "Frames that were said to a stage and that it has not applied.");
        let opts = opts.const_label("stage", id.stage.as_ref()).const_label("partition", id.partition.0.to_string());
        let gauge = IntGauge::with_opts(opts).and_then(|gauge| {
            self.registry.register(Box::new(gauge.clone()))?;
            Ok(gauge)
        });
        gauge.map_err(|error| unmeasured(id, &error))
    }

    /// Keeps the gauges of the lag up to date, until it is dropped.
    pub fn watch_lag(&self) -> impl Future<Output = ()> + 'static {
        let watched: Vec<_> = self.watched.iter().map(|w| (w.id.clone(), w.sources.clone(), w.lag.clone())).collect();
        let store = self.store.clone();
        async move {
            loop {
                for (id, sources, gauge) in &watched {
                    if let Ok(frames) = lag_of(&store, id, sources).await {
                        gauge.set(i64::try_from(frames).unwrap_or(i64::MAX));
                    }
                }
                tokio::time::sleep(LAG_INTERVAL).await;
            }
        }
    }

    /// Finishes what was begun: first the ways in, then the readers. What is not read yet stays in the
    /// journals.
    pub async fn drain(self) {
        for owners in [self.ways_in, self.readers] {
            for owner in owners {
                // An owner that has stopped already has nothing to finish.
                let _stopped = owner.send(Drain).await;
            }
        }
    }
}

/// How often the lag is looked at.
const LAG_INTERVAL: std::time::Duration = std::time::Duration::from_secs(1);

async fn lag_of(store: &Store, id: &Producer, sources: &[Source]) -> Result<u64, StoreError> {
    let newest = store.newest(id).await?;
    let checkpoint = newest.map_or(Ok(Checkpoint::default()), |record| record.parse_checkpoint());
    let checkpoint = checkpoint.map_err(|error| StoreError::Damaged(error.to_string()))?;
    lag(sources, &checkpoint.positions).await
}

fn unmeasured(id: &Producer, error: &prometheus::Error) -> Stop {
    Stop::Broken { owner: id.clone(), source: stage::Broken::Rule(format!("it cannot be measured: {error}")) }
}

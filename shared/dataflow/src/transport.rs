//! The transport of frames between the services: the journals themselves, or a broker.

use std::collections::BTreeMap;
use std::sync::Arc;

use prometheus::Registry;
use stage::{Producer, Stage, StreamPartition};

use crate::broker_metrics::BrokerMetrics;
use crate::connection_status::ConnectionStatus;
use crate::lag::LagSource;
use crate::publisher::{Publication, Publishers};
use crate::subscription::SubscriptionSpec;
use crate::{
    Backlog, JournalReader, JournalSource, OnConnection, Owner, Postgres, RabbitMq, Store, StreamSubscription,
    Subscription, Wakeups,
};

/// The transport of frames between the services.
#[derive(Clone)]
pub enum Transport {
    /// All services are in this process. Their stores, by service name, are the streams, and wakeups signal new frames.
    Journals(BTreeMap<&'static str, Store>, Wakeups),
    /// A broker, for services in separate processes.
    Broker(Streams),
}

/// The streams of a broker, as one service uses them.
#[derive(Clone)]
pub struct Streams {
    /// The broker.
    pub broker: RabbitMq,
    /// The service's database, which holds the publish positions and the quarantined messages.
    pub database: Arc<Postgres>,
    /// The streams that the service produces.
    pub streams: &'static [&'static stage::Stream],
    /// The maximum number of bytes that may wait for the broker before the ingress stage is closed.
    pub backlog_bytes_max: u64,
}

impl Streams {
    /// The partitions of the streams that a service produces, each with its producers.
    fn produced(&self, store: &Store) -> Vec<(StreamPartition, Vec<Producer>)> {
        let partitions = store.meta().partitions;
        let publications = self.streams.iter().flat_map(|stream| {
            partitions.all().map(|partition| (stream.target(partition), stream.known_producers(partition, partitions)))
        });
        publications.collect()
    }
}

/// The running transport of one service.
pub(crate) enum TransportRuntime {
    Journals(BTreeMap<&'static str, Store>),
    Broker {
        streams: Streams,
        backlog: Backlog,
        metrics: BrokerMetrics,
        publishers: Option<Publishers>,
        on_connection: OnConnection,
    },
}

impl TransportRuntime {
    /// Starts publishing everything that is emitted.
    ///
    /// # Errors
    /// When its metrics are already registered.
    pub fn new(
        transport: Transport,
        store: &Store,
        registry: &Registry,
        on_connection: OnConnection,
    ) -> prometheus::Result<(Self, Wakeups)> {
        let streams = match transport {
            Transport::Journals(stores, wakeups) => return Ok((Self::Journals(stores), wakeups)),
            Transport::Broker(streams) => streams,
        };
        let produced = streams.produced(store);
        let targets = produced.iter().map(|(target, _)| target.clone());
        let backlog = Backlog::new(targets, streams.backlog_bytes_max);
        let metrics = BrokerMetrics::register(registry, &backlog)?;
        let publication = |(target, producers): (StreamPartition, Vec<Producer>)| {
            let status = ConnectionStatus::new(format!("to {target}"), on_connection.clone());
            let publication = Publication {
                target,
                producers,
                journal: store.for_publishers(),
                positions: streams.database.clone(),
                broker: Arc::new(streams.broker.clone()),
                backlog: backlog.clone(),
                metrics: metrics.clone(),
            };
            (publication, status)
        };
        let publishers = Some(Publishers::start(produced.into_iter().map(publication).collect()));
        Ok((Self::Broker { streams, backlog, metrics, publishers, on_connection }, Wakeups::default()))
    }

    /// The subscription of an owner, and the source of its lag.
    pub fn subscription<S: Stage>(
        &self,
        owner: &Owner<S>,
        store: &Store,
        wakeups: &Wakeups,
    ) -> (Box<dyn Subscription>, LagSource) {
        let reads = Owner::<S>::reads(owner.id(), owner.partitions());
        match self {
            TransportRuntime::Journals(stores) => {
                let of = |stream: &stage::Stream| stores.get(stream.service).unwrap_or(store).for_owners();
                let source = |(stream, (target, producers))| JournalSource { target, producers, journal: of(stream) };
                let sources: Vec<_> = S::READS.iter().copied().zip(reads).map(source).collect();
                (
                    Box::new(JournalReader::of_this_process(sources.clone(), wakeups.clone())) as Box<dyn Subscription>,
                    LagSource::of_journals(owner.id(), store, sources),
                )
            }
            TransportRuntime::Broker { streams, metrics, on_connection, .. } => {
                let wanted = |(target, _)| {
                    let status = ConnectionStatus::new(format!("{} from {target}", owner.id()), on_connection.clone());
                    SubscriptionSpec { target, status }
                };
                let (wanted, quarantine) = (reads.into_iter().map(wanted).collect(), streams.database.clone());
                let checkpoint = owner.checkpoint();
                let metrics = metrics.clone();
                let subscription =
                    StreamSubscription::start(&streams.broker, wanted, checkpoint, wakeups, quarantine, metrics);
                let behind = LagSource::of_broker(&streams.broker, subscription.progress());
                (Box::new(subscription), behind)
            }
        }
    }

    /// The name of the transport, as the value of `messaging.system`.
    pub fn system(&self) -> &'static str {
        match self {
            TransportRuntime::Journals(_) => "journal",
            TransportRuntime::Broker { .. } => "rabbitmq",
        }
    }

    pub fn backlog(&self) -> Option<Backlog> {
        match self {
            TransportRuntime::Journals(_) => None,
            TransportRuntime::Broker { backlog, .. } => Some(backlog.clone()),
        }
    }

    /// The store of the quarantined messages, and the metrics that count them.
    pub fn quarantine(&self) -> Option<(Arc<Postgres>, BrokerMetrics)> {
        match self {
            TransportRuntime::Journals(_) => None,
            TransportRuntime::Broker { streams, metrics, .. } => Some((streams.database.clone(), metrics.clone())),
        }
    }

    /// Lets the publishers finish for a limited time, then closes the connections.
    pub async fn drain(&mut self) {
        let TransportRuntime::Broker { streams, publishers, .. } = self else { return };
        if let Some(publishers) = publishers.take() {
            publishers.drain().await;
        }
        streams.broker.close().await;
    }
}

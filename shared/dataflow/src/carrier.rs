//! What carries frames between the services: their journals themselves, or a broker.

use std::collections::BTreeMap;
use std::sync::Arc;

use prometheus::Registry;
use stage::{Producer, Stage, Target};

use crate::broker_metrics::BrokerMetrics;
use crate::feed::Wanted;
use crate::lag::Behind;
use crate::links::Link;
use crate::publisher::{Publication, Publishers};
use crate::{Backlog, Bells, Feed, Meta, OnLink, Owner, Postgres, RabbitMq, Source, Store, Subscription, Tail};

/// What carries frames between the services.
#[derive(Clone)]
pub enum Carrier {
    /// All services are in this process: their stores, by name, are the streams, and bells tell when
    /// there is something new.
    Journals(BTreeMap<&'static str, Store>, Bells),
    /// A broker, for services in processes of their own.
    Broker(Streams),
}

/// The streams of a broker, as one service uses them.
#[derive(Clone)]
pub struct Streams {
    /// The broker.
    pub broker: RabbitMq,
    /// The service's database: how far its journals are published, and what was no frame.
    pub database: Arc<Postgres>,
    /// The streams that there are, of all services.
    pub streams: &'static [&'static stage::Stream],
    /// Bytes that may wait for the broker before the way in is closed.
    pub backlog_bytes_max: u64,
}

impl Streams {
    /// The partitions of the streams that a service produces, with all who say something there.
    fn produced(&self, store: &Store) -> Vec<(Target, Vec<Producer>)> {
        let Meta { service, partitions } = *store.meta();
        let own = self.streams.iter().filter(|stream| stream.service == service);
        let publications = own.flat_map(|stream| {
            partitions.all().map(|partition| (stream.target(partition), stream.known_producers(partitions)))
        });
        publications.collect()
    }
}

/// How a service's owners are connected to the others.
pub(crate) enum Connected {
    Journals(BTreeMap<&'static str, Store>),
    Broker {
        streams: Streams,
        backlog: Backlog,
        metrics: BrokerMetrics,
        publishers: Option<Publishers>,
        on_link: OnLink,
    },
}

impl Connected {
    /// What is said is published from now on.
    ///
    /// # Errors
    /// When its figures are registered already.
    pub fn new(
        carrier: Carrier,
        store: &Store,
        registry: &Registry,
        on_link: OnLink,
    ) -> prometheus::Result<(Self, Bells)> {
        let streams = match carrier {
            Carrier::Journals(stores, bells) => return Ok((Self::Journals(stores), bells)),
            Carrier::Broker(streams) => streams,
        };
        let produced = streams.produced(store);
        let targets = produced.iter().map(|(target, _)| target.clone());
        let backlog = Backlog::new(targets, streams.backlog_bytes_max);
        let metrics = BrokerMetrics::register(registry, &backlog)?;
        let publication = |(target, producers): (Target, Vec<Producer>)| {
            let link = Link::new(format!("to {target}"), on_link.clone());
            let (broker, positions) = (streams.broker.clone(), streams.database.clone());
            let (journal, backlog, metrics) = (store.for_publishers(), backlog.clone(), metrics.clone());
            (Publication { target, producers, journal, positions, broker, backlog, metrics }, link)
        };
        let publishers = Some(Publishers::start(produced.into_iter().map(publication).collect()));
        Ok((Self::Broker { streams, backlog, metrics, publishers, on_link }, Bells::default()))
    }

    /// What a stage's partition reads.
    pub fn feed<S: Stage>(&self, owner: &Owner<S>, store: &Store, bells: &Bells) -> (Feed, Behind) {
        let reads = Owner::<S>::reads(owner.id(), owner.partitions());
        match self {
            Connected::Journals(stores) => {
                let of = |stream: &stage::Stream| stores.get(stream.service).unwrap_or(store).for_owners();
                let source = |(stream, (target, producers))| Source { target, producers, journal: of(stream) };
                let sources: Vec<_> = S::READS.iter().copied().zip(reads).map(source).collect();
                (Feed::Tail(Tail::new(sources.clone())), Behind::of_journals(owner.id(), store, sources))
            }
            Connected::Broker { streams, metrics, on_link, .. } => {
                let wanted = |(target, _)| {
                    let link = Link::new(format!("{} from {target}", owner.id()), on_link.clone());
                    Wanted { target, link }
                };
                let (wanted, quarantine) = (reads.into_iter().map(wanted).collect(), streams.database.clone());
                let checkpoint = owner.checkpoint();
                let metrics = metrics.clone();
                let feed = Subscription::start(&streams.broker, wanted, checkpoint, bells, quarantine, metrics);
                let behind = Behind::of_broker(&streams.broker, feed.places());
                (Feed::Broker(feed), behind)
            }
        }
    }

    /// What carries frames, as `messaging.system` names it.
    pub fn system(&self) -> &'static str {
        match self {
            Connected::Journals(_) => "journal",
            Connected::Broker { .. } => "rabbitmq",
        }
    }

    pub fn backlog(&self) -> Option<Backlog> {
        match self {
            Connected::Journals(_) => None,
            Connected::Broker { backlog, .. } => Some(backlog.clone()),
        }
    }

    /// Where messages in quarantine are, and where they are counted.
    pub fn quarantine(&self) -> Option<(Arc<Postgres>, BrokerMetrics)> {
        match self {
            Connected::Journals(_) => None,
            Connected::Broker { streams, metrics, .. } => Some((streams.database.clone(), metrics.clone())),
        }
    }

    /// Lets what was said go out, for a while.
    pub async fn drain(&mut self) {
        let Connected::Broker { streams, publishers, .. } = self else { return };
        if let Some(publishers) = publishers.take() {
            publishers.drain().await;
        }
        streams.broker.close().await;
    }
}

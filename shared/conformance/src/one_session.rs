//! The publisher and the subscription of a running service, executed step by step.

use std::sync::Arc;

use stage::{Checkpoint, Producer, StreamPartition};
use tokio::sync::{Notify, watch};

use dataflow::{
    Backlog, BrokerMetrics, ConnectionStatus, Postgres, Publication, PublishPositions, RabbitMq, Session, Store,
    StreamBroker, StreamSubscription, Subscription, SubscriptionSpec, Wakeups,
};

use crate::{Failure, Outcome};

/// Attaches to publish the part of a journal that is for a target.
///
/// # Errors
/// When that fails.
pub async fn attach(
    broker: Arc<dyn StreamBroker>,
    positions: Arc<dyn PublishPositions>,
    journal: &Store,
    producer: &Producer,
    target: &StreamPartition,
) -> Result<Session, Failure> {
    let publication = Publication {
        target: target.clone(),
        producers: vec![producer.clone()],
        journal: journal.clone(),
        positions,
        broker,
        backlog: Backlog::new([target.clone()], u64::MAX),
        metrics: BrokerMetrics::new()?,
    };
    Ok(Session::attach(publication, status(target)).await?)
}

/// Attaches, publishes the part of a journal that is for a target, and notes what was confirmed.
///
/// # Errors
/// When publishing is interrupted.
pub async fn publish(
    broker: Arc<dyn StreamBroker>,
    positions: Arc<dyn PublishPositions>,
    journal: &Store,
    producer: &Producer,
    target: &StreamPartition,
) -> Outcome {
    let mut session = attach(broker, positions, journal, producer, target).await?;
    // It was already told to stop, so it ends when nothing is left to publish.
    let (_stop, mut stopped) = watch::channel(true);
    session.run(&Notify::new(), &mut stopped).await?;
    session.end().await;
    Ok(())
}

/// Reads streams from a checkpoint on.
///
/// # Errors
/// When the metrics cannot be created.
pub fn subscribe(
    broker: &RabbitMq,
    database: &Arc<Postgres>,
    targets: &[StreamPartition],
    checkpoint: &Checkpoint,
) -> Result<Box<dyn Subscription>, Failure> {
    let wanted =
        targets.iter().map(|target| SubscriptionSpec { status: status(target), target: target.clone() }).collect();
    let metrics = BrokerMetrics::new()?;
    let wakeups = Wakeups::default();
    Ok(Box::new(StreamSubscription::start(broker, wanted, checkpoint, &wakeups, database.clone(), metrics)))
}

/// A status that nobody reads.
fn status(target: &StreamPartition) -> ConnectionStatus {
    ConnectionStatus::new(target.to_string(), Arc::new(|_, _| {}))
}

//! The publisher and the subscription of a running service, one step at a time.

use std::sync::Arc;

use stage::{Checkpoint, Producer, Target};
use tokio::sync::{Notify, watch};

use super::{Failure, Outcome};
use crate::broker_metrics::BrokerMetrics;
use crate::feed::Wanted;
use crate::links::Link;
use crate::publisher::{Backlog, Publication, Session};
use crate::{Bells, Feed, Postgres, RabbitMq, Store, Subscription};

/// Attaches, publishes what a journal holds for a target, notes what was confirmed.
///
/// # Errors
/// When publishing is interrupted.
pub async fn publish(
    broker: &RabbitMq,
    database: &Arc<Postgres>,
    journal: &Store,
    producer: &Producer,
    target: &Target,
) -> Outcome {
    let publication = Publication {
        target: target.clone(),
        producers: vec![producer.clone()],
        journal: journal.clone(),
        positions: database.clone(),
        broker: broker.clone(),
        backlog: Backlog::new([target.clone()], u64::MAX),
        metrics: BrokerMetrics::new()?,
    };
    let mut session = Session::attach(publication, link(target)).await?;
    // Asked to stop, it ends when nothing is left to publish.
    let (_stop, mut stopped) = watch::channel(true);
    session.run(&Notify::new(), &mut stopped).await?;
    session.end().await;
    Ok(())
}

/// Reads streams from where a checkpoint says.
///
/// # Errors
/// When it cannot be measured.
pub fn subscribe(
    broker: &RabbitMq,
    database: &Arc<Postgres>,
    targets: &[Target],
    checkpoint: &Checkpoint,
) -> Result<Feed, Failure> {
    let wanted = targets.iter().map(|target| Wanted { link: link(target), target: target.clone() }).collect();
    let metrics = BrokerMetrics::new()?;
    let bells = Bells::default();
    Ok(Feed::Broker(Subscription::start(broker, wanted, checkpoint, &bells, database.clone(), metrics)))
}

/// Nobody asks how it is.
fn link(target: &Target) -> Link {
    Link::new(target.to_string(), Arc::new(|_, _| {}))
}

//! Carries the journals of a service's producers to the broker: one task for each stream partition.
//!
//! ```text
//! attach    declare, write a marker, read the stream from the last noted message up to that marker
//! publish   in order, behind what the stream holds already; at most a window of frames unconfirmed
//! look      every now and then: does the stream still end as it should, is anything to be published again
//! ```
//!
//! The journal is the truth, and a noted position may be lost or old: then more is read. On any doubt the channel is
//! closed and all of it begins again. It never skips, and never reorders. Nothing that the stream holds is published
//! twice; what comes twice all the same, readers drop.

mod backlog;
mod session;

use std::sync::Arc;
use std::time::Duration;

use stage::{Producer, StreamPartition};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use crate::backoff::Backoff;
use crate::broker_metrics::BrokerMetrics;
use crate::connection_status::ConnectionStatus;
use crate::rabbitmq::RabbitMq;
use crate::{BrokerError, Postgres, Store, StoreError};

pub use self::backlog::Backlog;
pub use self::session::Session;

/// A service that stops lets its publishers finish for so long; what is left goes out with the next start.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(3);

/// Why publishing began again.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The broker.
    #[error("cannot publish to {target}")]
    Broker {
        /// To where.
        target: StreamPartition,
        /// Why.
        #[source]
        source: BrokerError,
    },
    /// The journal, or how far it is published.
    #[error("cannot read what is to be published to {target}")]
    Journal {
        /// To where.
        target: StreamPartition,
        /// Why.
        #[source]
        source: StoreError,
    },
    /// An operator asked for it.
    #[error("{0} is published again, as asked for")]
    Rewound(StreamPartition),
    /// The stream is another one, or has lost its end.
    #[error("{0} does not end with what was published: what is missing is published again")]
    Lost(StreamPartition),
}

/// One stream partition of a service: who says something there, and with what.
#[derive(Clone)]
pub(crate) struct Publication {
    pub target: StreamPartition,
    pub producers: Vec<Producer>,
    pub journal: Store,
    pub positions: Arc<Postgres>,
    pub broker: RabbitMq,
    pub backlog: Backlog,
    pub metrics: BrokerMetrics,
}

/// The publishers of a service, while they run.
pub(crate) struct Publishers {
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Publishers {
    /// Starts one for each publication.
    pub fn start(publications: Vec<(Publication, ConnectionStatus)>) -> Self {
        let (stop, stopped) = watch::channel(false);
        let tasks = publications.into_iter();
        let tasks =
            tasks.map(|(publication, status)| tokio::spawn(run(publication, status, stopped.clone()))).collect();
        Self { stop, tasks }
    }

    /// Lets them finish, for a while.
    pub async fn drain(mut self) {
        self.stop.send_replace(true);
        let until = Instant::now() + DRAIN_TIMEOUT;
        for task in &mut self.tasks {
            // What is left goes out with the next start.
            let _late = timeout_at(until, task).await;
        }
    }
}

impl Drop for Publishers {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// Publishes until it is stopped.
async fn run(publication: Publication, status: ConnectionStatus, mut stopped: watch::Receiver<bool>) {
    let wakeup: Arc<Notify> = publication.backlog.wakeup(&publication.target);
    let mut backoff = Backoff::default();
    loop {
        let interrupted = match Session::attach(publication.clone(), status.clone()).await {
            Err(interrupted) => interrupted,
            Ok(mut session) => {
                backoff = Backoff::default();
                let Err(interrupted) = session.run(&wakeup, &mut stopped).await else { return };
                session.end().await;
                interrupted
            }
        };
        match &interrupted {
            PublishError::Rewound(_) | PublishError::Lost(_) => {
                tracing::warn!(why = %interrupted, "publishing begins again");
                status.fails(interrupted.to_string());
                continue;
            }
            PublishError::Broker { .. } | PublishError::Journal { .. } => {}
        }
        let (wait, why) = (backoff.next(), telemetry::chain(&interrupted));
        tracing::warn!(why, wait_ms = wait.as_millis(), "publishing is interrupted and tried again");
        status.fails(why);
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            _ = stopped.wait_for(|stopped| *stopped) => return,
        }
    }
}

//! Publishes the journals of a service's producers to the broker, with one task for each stream partition.
//!
//! ```text
//! attach    declare, write a marker, read the stream from the last noted message up to that marker
//! publish   in order, after what the stream already holds; at most a window of unconfirmed frames
//! look      periodically: does the stream still end as it should, must anything be published again
//! ```
//!
//! The journal is the truth, and a noted position may be lost or old; then more is read. In any doubt the channel is
//! closed and everything starts again. A publisher never skips and never reorders. Nothing that the stream holds is
//! published twice; readers drop any frame that arrives twice anyway.

mod backlog;
mod positions;
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
use crate::{BrokerError, Store, StoreError, StreamBroker};

pub use self::backlog::Backlog;
pub use self::positions::PublishPositions;
pub use self::session::Session;

/// How long a stopping service lets its publishers finish. The rest is published after the next start.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(3);

/// The pause before another attempt after an error that only an operator can correct, such as a database that is older
/// than what was published from it.
const OPERATOR_WAIT: Duration = Duration::from_secs(60);

/// The reason why publishing started again.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The broker failed.
    #[error("cannot publish to {target}")]
    Broker {
        /// The stream partition.
        target: StreamPartition,
        /// The cause.
        #[source]
        source: BrokerError,
    },
    /// The journal or the publish position cannot be read.
    #[error("cannot read the journal for {target}")]
    Journal {
        /// The stream partition.
        target: StreamPartition,
        /// The cause.
        #[source]
        source: StoreError,
    },
    /// An operator requested it.
    #[error("{0} is published again, as an operator requested")]
    Rewound(StreamPartition),
    /// The stream is another incarnation, or has lost its end.
    #[error("{0} does not end with the published frames: the missing ones are published again")]
    Lost(StreamPartition),
}

/// One stream partition of a service, with its producers and everything needed to publish it.
#[derive(Clone)]
pub struct Publication {
    /// The stream partition.
    pub target: StreamPartition,
    /// All producers that may emit to it.
    pub producers: Vec<Producer>,
    /// The store that holds their journals.
    pub journal: Store,
    /// The database that holds the publish position and the journals.
    pub positions: Arc<dyn PublishPositions>,
    /// The broker.
    pub broker: Arc<dyn StreamBroker>,
    /// The frames that wait to be published.
    pub backlog: Backlog,
    /// The counters.
    pub metrics: BrokerMetrics,
}

/// The running publishers of a service.
pub(crate) struct Publishers {
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Publishers {
    /// Starts one task for each publication.
    pub fn start(publications: Vec<(Publication, ConnectionStatus)>) -> Self {
        let (stop, stopped) = watch::channel(false);
        let tasks = publications.into_iter();
        let tasks =
            tasks.map(|(publication, status)| tokio::spawn(run(publication, status, stopped.clone()))).collect();
        Self { stop, tasks }
    }

    /// Lets the publishers finish, for a limited time.
    pub async fn drain(mut self) {
        self.stop.send_replace(true);
        let until = Instant::now() + DRAIN_TIMEOUT;
        for task in &mut self.tasks {
            // The rest is published after the next start.
            let _late = timeout_at(until, task).await;
        }
    }
}

impl Drop for Publishers {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// Publishes until it is told to stop.
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
                tracing::warn!(why = %interrupted, "publishing starts again");
                status.fails(interrupted.to_string());
                continue;
            }
            PublishError::Broker { .. } | PublishError::Journal { .. } => {}
        }
        let needs_an_operator = matches!(interrupted, PublishError::Journal { source: StoreError::Damaged(_), .. });
        // Each attempt writes a marker into the stream.
        let wait = if needs_an_operator { OPERATOR_WAIT } else { backoff.next() };
        let why = telemetry::error_chain(&interrupted);
        tracing::warn!(why, wait_ms = wait.as_millis(), "publishing was interrupted and will be retried");
        status.fails(why);
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            _ = stopped.wait_for(|stopped| *stopped) => return,
        }
    }
}

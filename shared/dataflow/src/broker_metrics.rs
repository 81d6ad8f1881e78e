//! The metrics of a service's connections to the broker, for Prometheus.

use prometheus::{IntCounter, IntGauge, PullingGauge, Registry};

use crate::Backlog;

/// The metrics of a service that uses a broker. Clones share the same counters.
#[derive(Clone, Debug)]
pub struct BrokerMetrics {
    published: IntCounter,
    read_back: IntCounter,
    read: IntCounter,
    quarantined: IntCounter,
    kept: IntGauge,
}

impl BrokerMetrics {
    /// Metrics that are not registered.
    ///
    /// # Errors
    /// When a name is invalid.
    pub fn new() -> prometheus::Result<Self> {
        let published = IntCounter::new("stream_published_frames_total", "Frames handed to the broker.")?;
        let help = "Messages read when a publisher attaches, to find out what the streams already hold.";
        let read_back = IntCounter::new("stream_read_back_messages_total", help)?;
        let read = IntCounter::new("stream_read_messages_total", "Messages given to stages that read streams.")?;
        let help = "Messages in streams that were not frames and were put into quarantine.";
        let quarantined = IntCounter::new("stream_quarantined_messages_total", help)?;
        let kept = IntGauge::new("stream_quarantine_messages", "Messages in quarantine.")?;
        Ok(Self { published, read_back, read, quarantined, kept })
    }

    /// Registers the metrics, including those of the frames that wait to be published.
    ///
    /// # Errors
    /// When they are already registered.
    #[allow(clippy::cast_precision_loss)] // Prometheus only has floats.
    pub fn register(registry: &Registry, backlog: &Backlog) -> prometheus::Result<Self> {
        let metrics = Self::new()?;
        for counter in [&metrics.published, &metrics.read_back, &metrics.read, &metrics.quarantined] {
            registry.register(Box::new(counter.clone()))?;
        }
        registry.register(Box::new(metrics.kept.clone()))?;
        let gauge = |name: &str, help: &str, value: fn(&Backlog) -> u64| {
            let backlog = backlog.clone();
            let gauge = PullingGauge::new(name, help, Box::new(move || value(&backlog) as f64))?;
            registry.register(Box::new(gauge))
        };
        gauge("journal_unpublished_frames", "Emitted frames that the broker has not confirmed.", Backlog::frames)?;
        gauge("journal_unpublished_bytes", "Bytes of emitted frames that are not confirmed.", Backlog::bytes)?;
        gauge("journal_unpublished_max_bytes", "The limit at which requests get 503.", Backlog::bytes_max)?;
        Ok(metrics)
    }

    /// Counts a frame handed to the broker.
    pub fn published(&self) {
        self.published.inc();
    }

    /// Counts a message read to find out what a stream holds.
    pub fn read_back(&self) {
        self.read_back.inc();
    }

    /// Counts messages given to a stage.
    pub fn read(&self, messages: u64) {
        self.read.inc_by(messages);
    }

    /// Counts messages that were just put into quarantine.
    pub fn quarantined(&self, messages: u64) {
        self.quarantined.inc_by(messages);
        self.kept.add(i64::try_from(messages).unwrap_or(i64::MAX));
    }

    /// Sets the number of messages in quarantine, including earlier ones, without those that an operator has deleted.
    pub fn kept(&self, messages: u64) {
        self.kept.set(i64::try_from(messages).unwrap_or(i64::MAX));
    }
}

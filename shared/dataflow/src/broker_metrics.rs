//! The metrics of a service's ways to and from the broker, for Prometheus.

use prometheus::{IntCounter, IntGauge, PullingGauge, Registry};

use crate::Backlog;

/// What a service counts where a broker carries what is said. Clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct BrokerMetrics {
    published: IntCounter,
    read_back: IntCounter,
    read: IntCounter,
    quarantined: IntCounter,
    kept: IntGauge,
}

impl BrokerMetrics {
    /// Of a service that nobody looks at.
    pub fn new() -> prometheus::Result<Self> {
        let published = IntCounter::new("stream_published_frames_total", "Frames handed to the broker.")?;
        let help = "Messages read when attaching to publish, to find out what the streams hold already.";
        let read_back = IntCounter::new("stream_read_back_messages_total", help)?;
        let read = IntCounter::new("stream_read_messages_total", "Messages given to stages that read streams.")?;
        let help = "Messages found in streams that were no frames, and put into quarantine.";
        let quarantined = IntCounter::new("stream_quarantined_messages_total", help)?;
        let kept = IntGauge::new("stream_quarantine_messages", "Messages in quarantine.")?;
        Ok(Self { published, read_back, read, quarantined, kept })
    }

    /// Registers them, with what waits to be published.
    ///
    /// # Errors
    /// When they are registered already.
    #[allow(clippy::cast_precision_loss)] // Prometheus knows floats only.
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
        gauge("journal_unpublished_frames", "Frames said that no broker has confirmed yet.", Backlog::frames)?;
        gauge("journal_unpublished_bytes", "Bytes of frames said that no broker has confirmed yet.", Backlog::bytes)?;
        gauge("journal_unpublished_max_bytes", "So many, and requests are answered 503.", Backlog::bytes_max)?;
        Ok(metrics)
    }

    /// A frame was handed to the broker.
    pub fn published(&self) {
        self.published.inc();
    }

    /// A message was read to find out what a stream holds.
    pub fn read_back(&self) {
        self.read_back.inc();
    }

    /// So many messages were given to a stage.
    pub fn read(&self, messages: u64) {
        self.read.inc_by(messages);
    }

    /// So many messages were put into quarantine just now.
    pub fn quarantined(&self, messages: u64) {
        self.quarantined.inc_by(messages);
        self.kept.add(i64::try_from(messages).unwrap_or(i64::MAX));
    }

    /// So many are in quarantine, also from before, and without those that somebody has deleted.
    pub fn kept(&self, messages: u64) {
        self.kept.set(i64::try_from(messages).unwrap_or(i64::MAX));
    }
}

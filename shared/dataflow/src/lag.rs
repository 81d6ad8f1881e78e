//! How far a reader is behind.

use stage::{Checkpoint, Position, Producer};

use crate::feed::Places;
use crate::{RabbitMq, Source, Store, StoreError};

/// What a reader has not applied yet.
pub(crate) enum Behind {
    /// In the journals it reads.
    Journals { id: Producer, store: Store, sources: Vec<Source> },
    /// In the streams of a broker. What is not published yet is not among it.
    Broker { broker: RabbitMq, places: Places },
}

impl Behind {
    pub fn of_journals(id: &Producer, store: &Store, sources: Vec<Source>) -> Self {
        Self::Journals { id: id.clone(), store: store.clone(), sources }
    }

    pub fn of_broker(broker: &RabbitMq, places: Places) -> Self {
        Self::Broker { broker: broker.clone(), places }
    }

    /// How many frames; `None` when it cannot be known just now.
    pub async fn frames(&self) -> Option<u64> {
        match self {
            Behind::Journals { id, store, sources } => of_journals(store, id, sources).await.ok(),
            Behind::Broker { broker, places } => of_broker(broker, places).await,
        }
    }
}

async fn of_journals(store: &Store, id: &Producer, sources: &[Source]) -> Result<u64, StoreError> {
    let newest = store.newest(id).await?;
    let checkpoint = newest.map_or(Ok(Checkpoint::default()), |record| record.parse_checkpoint());
    let checkpoint = checkpoint.map_err(|error| StoreError::Damaged(error.to_string()))?;
    let mut frames = 0;
    for source in sources {
        for producer in &source.producers {
            let last = source.journal.last_said(producer, &source.target).await?;
            let Position { next, .. } = checkpoint.positions.of(&source.target, producer);
            frames += (last.0 + 1).saturating_sub(next.0);
        }
    }
    Ok(frames)
}

async fn of_broker(broker: &RabbitMq, places: &Places) -> Option<u64> {
    let mut frames = 0;
    for (target, place) in places.all() {
        frames += broker.length(&target).await.ok()?.saturating_sub(place);
    }
    Some(frames)
}

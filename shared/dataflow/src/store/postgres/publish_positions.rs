//! How far each stream is known to hold what was published. Losing it only costs time, because the journal is the truth.

use std::collections::BTreeMap;

use async_trait::async_trait;
use sqlx::Row as _;
use sqlx::postgres::PgRow;
use stage::{Producer, PublishPosition, ResumePoint, Seq, StreamPartition};

use super::Postgres;
use crate::store::decode::{name, number};
use crate::store::encode::integer;
use crate::{PublishPositions, StoreError};

#[async_trait]
impl PublishPositions for Postgres {
    async fn publish_position(&self, target: &StreamPartition) -> Result<PublishPosition, StoreError> {
        let statement = "SELECT incarnation, place, session, producer, seq, confirmed::text AS confirmed, \
             republish::text AS republish, rewinds FROM publish_positions WHERE target = $1";
        let rows = self.publishing.fetch(sqlx::query(statement).bind(target.to_string())).await?;
        rows.first().map_or_else(|| Ok(PublishPosition::default()), publish_position)
    }

    async fn store_publish_position(
        &self,
        target: &StreamPartition,
        position: &PublishPosition,
    ) -> Result<bool, StoreError> {
        let statement = "INSERT INTO publish_positions AS p \
               (target, incarnation, place, session, producer, seq, confirmed, republish, rewinds) \
             SELECT $1, $2, $3, $4, $5, $6, $7::jsonb, '[]', $8 \
             WHERE $8 = 0 OR EXISTS (SELECT 1 FROM publish_positions q WHERE q.target = $1) \
             ON CONFLICT (target) DO UPDATE SET incarnation = excluded.incarnation, place = excluded.place, \
               session = excluded.session, producer = excluded.producer, seq = excluded.seq, \
               confirmed = excluded.confirmed, republish = excluded.republish WHERE p.rewinds = excluded.rewinds RETURNING rewinds";
        let frame = position.resume.as_ref().and_then(|point| point.frame.as_ref());
        let query = sqlx::query(statement)
            .bind(target.to_string())
            .bind(position.incarnation.as_deref())
            .bind(position.resume.as_ref().map(|point| integer(point.offset)))
            .bind(position.resume.as_ref().map(|point| point.session.as_str()))
            .bind(frame.map(|(producer, _)| producer.to_string()))
            .bind(frame.map(|(_, seq)| integer(seq.0)))
            .bind(serde_json::to_string(&position.confirmed).map_err(|error| StoreError::Damaged(error.to_string()))?)
            .bind(integer(position.rewinds));
        Ok(!self.publishing.fetch(query).await?.is_empty())
    }

    async fn ends(&self, target: &StreamPartition, producers: &[Producer]) -> Result<Vec<Seq>, StoreError> {
        self.journal_ends(target, producers).await
    }

    async fn unpublished(
        &self,
        target: &StreamPartition,
        producer: &Producer,
        after: Seq,
    ) -> Result<Vec<(Seq, u64)>, StoreError> {
        self.unpublished_ranges(target, producer, after).await
    }
}

impl Postgres {
    /// Requests that these journals are published again from their start. Returns those that are not empty. Their
    /// confirmed positions are kept.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn republish(
        &self,
        journals: &[(Producer, StreamPartition)],
    ) -> Result<Vec<(Producer, StreamPartition)>, StoreError> {
        let statement = "SELECT w.producer, w.target FROM UNNEST($1::text[], $2::text[]) AS w(producer, target) \
             WHERE EXISTS (SELECT 1 FROM journal j WHERE j.producer = w.producer AND j.target = w.target)";
        let query = sqlx::query(statement)
            .bind(journals.iter().map(|(producer, _)| producer.to_string()).collect::<Vec<_>>())
            .bind(journals.iter().map(|(_, target)| target.to_string()).collect::<Vec<_>>());
        let mut targets: BTreeMap<StreamPartition, Vec<Producer>> = BTreeMap::new();
        for row in self.publishing.fetch(query).await? {
            targets.entry(name(&row, "target")?).or_default().push(name(&row, "producer")?);
        }
        let lists = targets.values().map(serde_json::to_string).collect::<Result<Vec<_>, _>>();
        let statement = "INSERT INTO publish_positions AS p (target, confirmed, republish, rewinds) \
             SELECT target, '{}', list::jsonb, 1 FROM UNNEST($1::text[], $2::text[]) AS w(target, list) ORDER BY target \
             ON CONFLICT (target) DO UPDATE SET republish = p.republish || excluded.republish, rewinds = p.rewinds + 1";
        let query = sqlx::query(statement)
            .bind(targets.keys().map(StreamPartition::to_string).collect::<Vec<_>>())
            .bind(lists.map_err(|error| StoreError::Damaged(error.to_string()))?);
        self.publishing.fetch(query).await?;
        let pairs = |(target, producers): (StreamPartition, Vec<Producer>)| {
            producers.into_iter().map(move |producer| (producer, target.clone()))
        };
        Ok(targets.into_iter().flat_map(pairs).collect())
    }
}

fn publish_position(row: &PgRow) -> Result<PublishPosition, StoreError> {
    let damaged = |error: serde_json::Error| StoreError::Damaged(format!("publish_positions: {error}"));
    let frame = match row.try_get::<Option<&str>, _>("producer")? {
        Some(_) => Some((name(row, "producer")?, Seq(number(row, "seq")?))),
        None => None,
    };
    let resume = match row.try_get::<Option<String>, _>("session")? {
        Some(session) => Some(ResumePoint { offset: number(row, "place")?, session, frame }),
        None => None,
    };
    Ok(PublishPosition {
        incarnation: row.try_get("incarnation")?,
        resume,
        confirmed: serde_json::from_str(row.try_get("confirmed")?).map_err(damaged)?,
        republish: serde_json::from_str(row.try_get("republish")?).map_err(damaged)?,
        rewinds: number(row, "rewinds")?,
    })
}

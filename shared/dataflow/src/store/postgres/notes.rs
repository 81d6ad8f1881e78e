//! What a service remembers about its broker. Losing it only costs time, because the journal is the truth.

use std::collections::BTreeMap;

use async_trait::async_trait;
use sqlx::Row as _;
use sqlx::postgres::PgRow;
use stage::{Producer, PublishPosition, ResumePoint, Seq, StreamPartition};

use super::{Postgres, integer};
use crate::store::decode::{name, number};
use crate::{PublishPositions, StoreError};

/// The number of journal frames counted in one statement: far below its time limit.
const PAGE_FRAMES: i64 = 50_000;
/// The number of frames whose sizes are added up in one range.
const RUN_FRAMES: i64 = 1_000;

/// A message in a stream that is not a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quarantined {
    /// The stream partition.
    pub target: StreamPartition,
    /// The incarnation of the stream.
    pub incarnation: String,
    /// The offset in the stream.
    pub offset: u64,
    /// The reason why it is not a frame.
    pub reason: String,
    /// The content of the message.
    pub bytes: Vec<u8>,
}

#[async_trait]
impl PublishPositions for Postgres {
    async fn publish_position(&self, target: &StreamPartition) -> Result<PublishPosition, StoreError> {
        let statement = "SELECT place, session, producer, seq, confirmed::text AS confirmed, \
             republish::text AS republish, rewinds FROM publish_positions WHERE target = $1";
        let rows = self.publishing.fetch(sqlx::query(statement).bind(target.to_string())).await?;
        rows.first().map_or_else(|| Ok(PublishPosition::default()), publish_position)
    }

    async fn note_publish_position(
        &self,
        target: &StreamPartition,
        noted: &PublishPosition,
    ) -> Result<bool, StoreError> {
        let statement = "INSERT INTO publish_positions AS p \
               (target, place, session, producer, seq, confirmed, republish, rewinds) \
             SELECT $1, $2, $3, $4, $5, $6::jsonb, '[]', $7 \
             WHERE $7 = 0 OR EXISTS (SELECT 1 FROM publish_positions q WHERE q.target = $1) \
             ON CONFLICT (target) DO UPDATE SET place = excluded.place, session = excluded.session, \
               producer = excluded.producer, seq = excluded.seq, confirmed = excluded.confirmed, \
               republish = excluded.republish WHERE p.rewinds = excluded.rewinds RETURNING rewinds";
        let frame = noted.resume.as_ref().and_then(|point| point.frame.as_ref());
        let query = sqlx::query(statement)
            .bind(target.to_string())
            .bind(noted.resume.as_ref().map(|point| integer(point.offset)))
            .bind(noted.resume.as_ref().map(|point| point.session.as_str()))
            .bind(frame.map(|(producer, _)| producer.to_string()))
            .bind(frame.map(|(_, seq)| integer(seq.0)))
            .bind(serde_json::to_string(&noted.confirmed).map_err(|error| StoreError::Damaged(error.to_string()))?)
            .bind(integer(noted.rewinds));
        Ok(!self.publishing.fetch(query).await?.is_empty())
    }

    async fn ends(&self, target: &StreamPartition, producers: &[Producer]) -> Result<Vec<Seq>, StoreError> {
        let statement = "SELECT coalesce((SELECT j.seq FROM journal j WHERE j.producer = w.producer AND j.target = $1 \
             ORDER BY j.seq DESC LIMIT 1), 0) AS seq FROM UNNEST($2::text[]) WITH ORDINALITY AS w(producer, place) \
             ORDER BY w.place";
        let query = sqlx::query(statement).bind(target.to_string());
        let query = query.bind(producers.iter().map(Producer::to_string).collect::<Vec<_>>());
        self.publishing.fetch(query).await?.iter().map(|row| Ok(Seq(number(row, "seq")?))).collect()
    }

    async fn unpublished(
        &self,
        target: &StreamPartition,
        producer: &Producer,
        after: Seq,
    ) -> Result<Vec<(Seq, u64)>, StoreError> {
        let statement = "SELECT max(seq) AS last, sum(bytes)::bigint AS bytes FROM \
             (SELECT seq, octet_length(body) AS bytes FROM journal \
              WHERE producer = $1 AND target = $2 AND seq > $3 ORDER BY seq LIMIT $4) page \
             GROUP BY (seq - 1) / $5 ORDER BY 1";
        // In pages, so that a journal of any length can be counted.
        let (mut ranges, mut after) = (Vec::new(), after);
        loop {
            let query = sqlx::query(statement).bind(producer.to_string()).bind(target.to_string());
            let query = query.bind(integer(after.0)).bind(PAGE_FRAMES).bind(RUN_FRAMES);
            let rows = self.publishing.fetch(query).await?;
            let Some(last) = rows.last() else { return Ok(ranges) };
            after = Seq(number(last, "last")?);
            for row in &rows {
                ranges.push((Seq(number(row, "last")?), number(row, "bytes")?));
            }
        }
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

    /// Stores messages that are not frames, and returns how many are new. A message that is already stored stays
    /// unchanged.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn quarantine(&self, messages: &[Quarantined]) -> Result<u64, StoreError> {
        let texts = |text: fn(&Quarantined) -> String| messages.iter().map(text).collect::<Vec<_>>();
        let statement = "INSERT INTO quarantine (target, incarnation, place, reason, bytes) \
             SELECT * FROM UNNEST($1::text[], $2::text[], $3::bigint[], $4::text[], $5::bytea[]) \
             ON CONFLICT DO NOTHING RETURNING place";
        let query = sqlx::query(statement)
            .bind(texts(|message| message.target.to_string()))
            .bind(texts(|message| storable(&message.incarnation)))
            .bind(messages.iter().map(|message| integer(message.offset)).collect::<Vec<_>>())
            .bind(texts(|message| storable(&message.reason)))
            .bind(messages.iter().map(|message| message.bytes.as_slice()).collect::<Vec<_>>());
        Ok(self.publishing.fetch(query).await?.len() as u64)
    }

    /// The number of stored messages.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn quarantined(&self) -> Result<u64, StoreError> {
        let row = self.publishing.fetch_one(sqlx::query("SELECT count(*) AS rows FROM quarantine")).await?;
        number(&row, "rows")
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
        resume,
        confirmed: serde_json::from_str(row.try_get("confirmed")?).map_err(damaged)?,
        republish: serde_json::from_str(row.try_get("republish")?).map_err(damaged)?,
        rewinds: number(row, "rewinds")?,
    })
}

/// Foreign messages may contain the one character that Postgres cannot store.
fn storable(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

//! What a service remembers of its broker. Losing it costs time only: the journal is the truth.

use std::collections::BTreeMap;

use sqlx::Row as _;
use sqlx::postgres::PgRow;
use stage::{Mark, Producer, Seq, Target};

use super::{Postgres, integer};
use crate::StoreError;
use crate::store::decode::{name, number};

/// How far a producer's journal for a target was confirmed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Noted {
    /// Whose journal.
    pub producer: Producer,
    /// How far, in which life of the stream.
    pub mark: Mark,
    /// How often somebody asked to publish it again from its start; 0 before anything was noted.
    pub rewinds: u64,
}

/// A message in a stream that is no frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quarantined {
    /// The stream partition.
    pub target: Target,
    /// Which life of it.
    pub incarnation: String,
    /// Where in it.
    pub offset: u64,
    /// Why it is no frame.
    pub reason: String,
    /// What it is.
    pub bytes: Vec<u8>,
}

impl Postgres {
    /// What is noted of all producers of a target.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn marks(&self, target: &Target) -> Result<Vec<Noted>, StoreError> {
        let statement =
            "SELECT producer, incarnation, confirmed, rewinds FROM marks WHERE target = $1 ORDER BY producer";
        let rows = self.publishing.fetch(sqlx::query(statement).bind(target.to_string())).await?;
        rows.iter().map(noted).collect()
    }

    /// Notes each, unless somebody asked for a rewind that it does not know of: a publisher that was still
    /// at work must not undo it. `false` when one was not noted.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn note_marks(&self, target: &Target, noted: &[Noted]) -> Result<bool, StoreError> {
        // Each producer once, in order: whoever else notes locks them in the same order.
        let noted: BTreeMap<String, &Noted> = noted.iter().map(|noted| (noted.producer.to_string(), noted)).collect();
        let (producers, noted): (Vec<_>, Vec<_>) = noted.into_iter().unzip();
        let statement = "INSERT INTO marks (target, producer, incarnation, confirmed, rewinds) \
             SELECT $1, w.* FROM UNNEST($2::text[], $3::text[], $4::bigint[], $5::bigint[]) \
               AS w(producer, incarnation, confirmed, rewinds) \
             WHERE w.rewinds = 0 OR EXISTS (SELECT 1 FROM marks m WHERE m.target = $1 AND m.producer = w.producer) \
             ON CONFLICT (target, producer) DO UPDATE SET incarnation = excluded.incarnation, \
               confirmed = excluded.confirmed WHERE marks.rewinds = excluded.rewinds RETURNING producer";
        let query = sqlx::query(statement)
            .bind(target.to_string())
            .bind(&producers)
            .bind(noted.iter().map(|noted| noted.mark.incarnation.as_str()).collect::<Vec<_>>())
            .bind(noted.iter().map(|noted| integer(noted.mark.confirmed.0)).collect::<Vec<_>>())
            .bind(noted.iter().map(|noted| integer(noted.rewinds)).collect::<Vec<_>>());
        Ok(self.publishing.fetch(query).await?.len() == producers.len())
    }

    /// Asks for every journal that matches to be published again from its start, and says which do. `None`
    /// matches all. How far they were confirmed stays known, as of another life of the stream.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn rewind(
        &self,
        stream: Option<&str>,
        producer: Option<&Producer>,
    ) -> Result<Vec<(Producer, Target)>, StoreError> {
        let statement = "INSERT INTO marks (target, producer, incarnation, confirmed, rewinds) \
             SELECT target, producer, '', 0, 1 FROM journal \
             WHERE ($1::text IS NULL OR split_part(target, '/', 1) = $1) AND ($2::text IS NULL OR producer = $2) \
             GROUP BY target, producer ORDER BY target, producer \
             ON CONFLICT (target, producer) DO UPDATE SET incarnation = '', rewinds = marks.rewinds + 1 \
             RETURNING producer, target";
        let query = sqlx::query(statement).bind(stream).bind(producer.map(Producer::to_string));
        let rows = self.publishing.fetch(query).await?;
        rows.iter().map(|row| Ok((name(row, "producer")?, name(row, "target")?))).collect()
    }

    /// The last `seq` of a journal, and the bytes of its bodies after one.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn unpublished(
        &self,
        target: &Target,
        producer: &Producer,
        after: Seq,
    ) -> Result<(Seq, u64), StoreError> {
        let statement = "SELECT \
             coalesce((SELECT max(seq) FROM journal WHERE producer = $1 AND target = $2), 0) AS last, \
             (SELECT coalesce(sum(octet_length(body)), 0) FROM journal WHERE producer = $1 AND target = $2 AND seq > $3) \
             AS bytes";
        let query = sqlx::query(statement).bind(producer.to_string()).bind(target.to_string()).bind(integer(after.0));
        let row = self.publishing.fetch_one(query).await?;
        Ok((Seq(number(&row, "last")?), number(&row, "bytes")?))
    }

    /// Keeps messages that are no frames, and says how many are new. One that is kept already is left as it is.
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

    /// How many messages are kept.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn quarantined(&self) -> Result<u64, StoreError> {
        let row = self.publishing.fetch_one(sqlx::query("SELECT count(*) AS rows FROM quarantine")).await?;
        number(&row, "rows")
    }
}

fn noted(row: &PgRow) -> Result<Noted, StoreError> {
    let mark = Mark { incarnation: row.try_get("incarnation")?, confirmed: Seq(number(row, "confirmed")?) };
    Ok(Noted { producer: name(row, "producer")?, mark, rewinds: number(row, "rewinds")? })
}

/// What strangers wrote may hold the one character that Postgres cannot store.
fn storable(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

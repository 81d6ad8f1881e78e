//! Messages in streams that are not frames, kept for an operator.

use stage::StreamPartition;

use super::Postgres;
use crate::StoreError;
use crate::store::decode::number;
use crate::store::encode::integer;

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

impl Postgres {
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

/// Foreign messages may contain the one character that Postgres cannot store.
fn storable(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

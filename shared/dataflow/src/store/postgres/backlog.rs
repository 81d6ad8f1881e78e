//! The part of the journal that is not published yet.

use stage::{Producer, Seq, StreamPartition};

use super::Postgres;
use crate::StoreError;
use crate::store::decode::number;
use crate::store::encode::integer;

/// The number of journal frames counted in one statement: far below its time limit.
const PAGE_FRAMES: i64 = 50_000;
/// The number of frames whose sizes are added up in one range.
const RUN_FRAMES: i64 = 1_000;

impl Postgres {
    /// The last `seq` of each of these producers' journals for a target; 0 before the first frame.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(super) async fn journal_ends(
        &self,
        target: &StreamPartition,
        producers: &[Producer],
    ) -> Result<Vec<Seq>, StoreError> {
        let statement = "SELECT coalesce((SELECT j.seq FROM journal j WHERE j.producer = w.producer AND j.target = $1 \
             ORDER BY j.seq DESC LIMIT 1), 0) AS seq FROM UNNEST($2::text[]) WITH ORDINALITY AS w(producer, place) \
             ORDER BY w.place";
        let query = sqlx::query(statement).bind(target.to_string());
        let query = query.bind(producers.iter().map(Producer::to_string).collect::<Vec<_>>());
        self.publishing.fetch(query).await?.iter().map(|row| Ok(Seq(number(row, "seq")?))).collect()
    }

    /// The part of a journal after a frame: ranges of frames, each with its last `seq` and the total size of its bodies
    /// in bytes. It is read in pages, so that a journal of any length can be counted.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(super) async fn unpublished_ranges(
        &self,
        target: &StreamPartition,
        producer: &Producer,
        after: Seq,
    ) -> Result<Vec<(Seq, u64)>, StoreError> {
        let statement = "SELECT max(seq) AS last, sum(bytes)::bigint AS bytes FROM \
             (SELECT seq, octet_length(body) AS bytes FROM journal \
              WHERE producer = $1 AND target = $2 AND seq > $3 ORDER BY seq LIMIT $4) page \
             GROUP BY (seq - 1) / $5 ORDER BY 1";
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

//! Who should run a service, on the database's clock. It keeps a second instance waiting; what keeps it from
//! writing is the fence.

use std::time::Duration;

use sqlx::Row as _;

use super::{Postgres, integer};
use crate::StoreError;

/// Whose the lease is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Leased {
    /// The caller's, from now on for as long as asked.
    Mine,
    /// Somebody else's.
    Others {
        /// Whose.
        holder: String,
    },
}

impl Postgres {
    /// Takes the service's lease if it is free, over, or the holder's already.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn lease(&self, holder: &str, lasts: Duration) -> Result<Leased, StoreError> {
        let statement = "INSERT INTO leases AS l (service, holder, until) \
             VALUES ($1, $2, clock_timestamp() + $3 * interval '1 ms') ON CONFLICT (service) DO UPDATE SET \
             holder = CASE WHEN l.until <= clock_timestamp() THEN excluded.holder ELSE l.holder END, \
             until = CASE WHEN l.until <= clock_timestamp() OR l.holder = excluded.holder \
               THEN clock_timestamp() + $3 * interval '1 ms' ELSE l.until END \
             RETURNING holder";
        let query = sqlx::query(statement).bind(self.meta.service).bind(holder).bind(milliseconds(lasts));
        let holds: String = self.lease.fetch_one(query).await?.try_get("holder")?;
        Ok(if holds == holder { Leased::Mine } else { Leased::Others { holder: holds } })
    }

    /// Keeps the lease, if it is still the holder's: never takes it again from another, even when that one's is over.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn renew(&self, holder: &str, lasts: Duration) -> Result<bool, StoreError> {
        let statement = "UPDATE leases SET until = clock_timestamp() + $3 * interval '1 ms' \
             WHERE service = $1 AND holder = $2 RETURNING holder";
        let query = sqlx::query(statement).bind(self.meta.service).bind(holder).bind(milliseconds(lasts));
        Ok(!self.lease.fetch(query).await?.is_empty())
    }

    /// Gives the lease back, if it is the holder's.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn release(&self, holder: &str) -> Result<(), StoreError> {
        let statement = "UPDATE leases SET until = clock_timestamp() WHERE service = $1 AND holder = $2";
        self.lease.fetch(sqlx::query(statement).bind(self.meta.service).bind(holder)).await?;
        Ok(())
    }
}

fn milliseconds(duration: Duration) -> i64 {
    integer(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}

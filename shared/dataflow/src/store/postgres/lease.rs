//! The lease of a service, by the database's clock. It keeps a second instance waiting; the fence is what keeps it from
//! writing.

use std::time::Duration;

use sqlx::Row as _;

use super::Postgres;
use crate::StoreError;
use crate::store::encode::integer;

/// The holder of the lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Leased {
    /// The caller holds it, from now on for the requested time.
    Mine,
    /// Another instance holds it.
    Others {
        /// The name of the holder.
        holder: String,
    },
}

impl Postgres {
    /// Acquires the service's lease if it is free, expired, or already held by `holder`.
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

    /// Renews the lease if `holder` still holds it. Never takes it from another holder, even when that lease has
    /// expired.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn renew(&self, holder: &str, lasts: Duration) -> Result<bool, StoreError> {
        let statement = "UPDATE leases SET until = clock_timestamp() + $3 * interval '1 ms' \
             WHERE service = $1 AND holder = $2 RETURNING holder";
        let query = sqlx::query(statement).bind(self.meta.service).bind(holder).bind(milliseconds(lasts));
        Ok(!self.lease.fetch(query).await?.is_empty())
    }

    /// Releases the lease if `holder` holds it.
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

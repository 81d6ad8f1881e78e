//! Direct access to the database of a service.

use sqlx::postgres::PgConnection;
use sqlx::{Connection as _, Row as _};

/// A connection to the database of a service, independent of the service.
pub struct Database(pub PgConnection);

impl Database {
    /// Connects to the database at this URL.
    pub async fn connect(url: &str) -> Self {
        Self(PgConnection::connect(url).await.unwrap())
    }

    /// Runs statements.
    pub async fn run(&mut self, statements: &str) {
        sqlx::raw_sql(statements).execute(&mut self.0).await.unwrap();
    }

    /// The values of the first column of a query.
    pub async fn texts(&mut self, query: &str) -> Vec<String> {
        let rows = sqlx::query(query).fetch_all(&mut self.0).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }

    /// The number in the first row of a query.
    pub async fn number(&mut self, query: &str) -> i64 {
        sqlx::query(query).fetch_one(&mut self.0).await.unwrap().get(0)
    }

    /// The newest epoch of every owner, in the form `owner epoch`.
    pub async fn epochs(&mut self) -> Vec<String> {
        self.texts("SELECT owner || ' ' || max(epoch) FROM batches GROUP BY owner ORDER BY owner").await
    }
}

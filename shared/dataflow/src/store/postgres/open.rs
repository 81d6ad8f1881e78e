//! Creating a service's tables, and refusing a database that is not its own.

use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection as _, PgConnection, Row as _};
use sqlx_core::migrate::{Migration, MigrationSource, MigrationType, Migrator};
use stage::Table;

use super::session::{connect, within};
use super::{OPEN_MAX, Postgres, SETTING_UP, session, sql};
use crate::StoreError;
use crate::store::StoredMeta;
use crate::store::decode::{meta, number};
use crate::store::sql::{IS_USED, META, create};

/// The oldest supported server version.
const VERSION_MIN: i32 = 150_000;

impl Postgres {
    /// Creates missing tables. Several instances may do so at once.
    pub(super) async fn make(&self, tables: &[&'static Table]) -> Result<(), StoreError> {
        let options = session::options(&self.base, self.meta.service, SETTING_UP);
        let mut connection = connect(&options).await?;
        check_server(&mut connection).await?;
        if let Some(rows) = stored_meta(&mut connection).await? {
            self.check(&rows)?;
        }
        let migrator = Migrator::new(Migrations).await.map_err(unmigrated)?;
        let migrated = async { Ok(migrator.run_direct(&mut connection).await) };
        within(OPEN_MAX, migrated).await?.map_err(unmigrated)?;
        let mut transaction = connection.begin().await?;
        sqlx::query("LOCK TABLE meta IN SHARE ROW EXCLUSIVE MODE").execute(&mut *transaction).await?;
        if stored_meta(&mut transaction).await?.is_none() {
            for (key, value) in self.meta.rows() {
                let insert = sqlx::query("INSERT INTO meta VALUES ($1, $2)").bind(key).bind(value);
                insert.execute(&mut *transaction).await?;
            }
        }
        self.check(&stored_meta(&mut transaction).await?.unwrap_or_default())?;
        for table in tables {
            make_table(&mut transaction, table).await?;
        }
        Ok(transaction.commit().await?)
    }

    pub(super) async fn check_meta(&self, connection: &mut PgConnection) -> Result<(), StoreError> {
        self.check(&stored_meta(connection).await?.unwrap_or_default())
    }

    fn check(&self, found: &[(String, String)]) -> Result<(), StoreError> {
        self.meta.check(found).map_err(StoreError::Damaged)
    }
}

/// The metadata of a database, without changing it.
pub(super) async fn look(options: &PgConnectOptions) -> Result<Option<StoredMeta>, StoreError> {
    let mut connection = match connect(options).await {
        // 3D000: the database does not exist.
        Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some("3D000") => return Ok(None),
        connection => connection?,
    };
    let Some(rows) = stored_meta(&mut connection).await? else {
        return Ok(None);
    };
    let owners = sqlx::query(IS_USED).fetch_one(&mut connection).await?;
    StoredMeta::of(&rows, number(&owners, "rows")? > 0).map(Some)
}

/// The rows of `meta`; `None` before there are any, as after a crash at the very beginning.
async fn stored_meta(connection: &mut PgConnection) -> Result<Option<Vec<(String, String)>>, StoreError> {
    let there = "SELECT to_regclass('meta') IS NOT NULL AS is_ours, count(*) FROM pg_class \
         WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p') AND relname <> '_sqlx_migrations'";
    let there = sqlx::query(there).fetch_one(&mut *connection).await?;
    if !there.try_get::<bool, _>("is_ours")? {
        let tables: i64 = there.try_get("count")?;
        let is_empty = tables == 0;
        return if is_empty {
            Ok(None)
        } else {
            Err(StoreError::Damaged(format!("it holds {tables} unrelated tables")))
        };
    }
    let rows = meta(&sqlx::query(META).fetch_all(connection).await?)?;
    Ok((!rows.is_empty()).then_some(rows))
}

async fn check_server(connection: &mut PgConnection) -> Result<(), StoreError> {
    let server = "SELECT current_setting('server_version_num')::int AS version, current_setting('server_version') AS text, \
                  current_setting('server_encoding') AS encoding";
    let server = sqlx::query(server).fetch_one(connection).await?;
    let (version, encoding): (i32, String) = (server.try_get("version")?, server.try_get("encoding")?);
    if version < VERSION_MIN {
        let text: String = server.try_get("text")?;
        return Err(StoreError::Damaged(format!("the server is Postgres {text}; at least 15 is required")));
    }
    if encoding != "UTF8" {
        return Err(StoreError::Damaged(format!("its encoding is {encoding}, not UTF8")));
    }
    Ok(())
}

/// Creates a table. An existing table must have the same layout.
async fn make_table(connection: &mut PgConnection, table: &Table) -> Result<(), StoreError> {
    sqlx::query(&create::<sqlx::Postgres>(table)).execute(&mut *connection).await?;
    let layout = sqlx::query(sql::LAYOUT).bind(table.name).fetch_one(connection).await?;
    let (found, expected): (String, String) = (layout.try_get(0)?, sql::layout(table));
    if found == expected {
        return Ok(());
    }
    Err(StoreError::Damaged(format!(
        "the table {} is ({found}), not ({expected}): it was created by another version, so choose another database",
        table.name
    )))
}

/// The fixed tables, in the order in which they were added. A migration that was ever released never changes again.
#[derive(Debug)]
struct Migrations;

impl MigrationSource<'static> for Migrations {
    fn resolve(self) -> futures_util::future::BoxFuture<'static, Result<Vec<Migration>, sqlx::error::BoxDynError>> {
        let tables = include_str!("migrations/1_tables.sql");
        let tables = Migration::new(1, "tables".into(), MigrationType::Simple, tables.into(), false);
        Box::pin(std::future::ready(Ok(vec![tables])))
    }
}

fn unmigrated(error: sqlx_core::migrate::MigrateError) -> StoreError {
    use sqlx_core::migrate::MigrateError;
    match error {
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => error.into(),
        other => StoreError::Damaged(format!("its fixed tables belong to another version: {other}")),
    }
}

/// Adds the database to an error, without its password.
pub(super) fn at(options: &PgConnectOptions) -> impl Fn(StoreError) -> StoreError {
    let name = options.get_database().unwrap_or_else(|| options.get_username());
    let place = format!("database {name} on {}:{}", options.get_host(), options.get_port());
    move |error| error.at(&place)
}

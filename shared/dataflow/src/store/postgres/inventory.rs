//! The actual content of the database.

use sqlx::Row as _;
use stage::Table;

use super::{Postgres, sql};
use crate::StoreError;
use crate::store::Inventory;
use crate::store::decode::number;

/// The fixed tables, and the table of the migrator.
const OWN_TABLES: [&str; 8] =
    ["_sqlx_migrations", "batches", "journal", "leases", "meta", "owners", "publish_positions", "quarantine"];

/// Tables, views, sequences, indexes other than primary keys, and triggers. Those of other schemas include the schema.
const RELATIONS: &str = "
SELECT (CASE WHEN n.oid = current_schema()::regnamespace THEN r.name ELSE n.nspname || '.' || r.name END) COLLATE \"C\"
  AS name
FROM pg_namespace n JOIN (
    SELECT relnamespace AS namespace, relname::text AS name FROM pg_class c
    WHERE relkind NOT IN ('t', 'c')
      AND NOT EXISTS (SELECT 1 FROM pg_index i WHERE i.indexrelid = c.oid AND i.indisprimary)
    UNION ALL
    SELECT c.relnamespace, t.tgname::text FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid WHERE NOT t.tgisinternal
  ) r ON r.namespace = n.oid
WHERE n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\\_t%' ORDER BY 1";

/// Problems that would make reads by key wrong.
const PROBLEMS: &str = "
SELECT 'the index ' || i.indexrelid::regclass || ' is not valid' AS problem FROM pg_index i
WHERE NOT (i.indisvalid AND i.indisready AND i.indislive)
UNION ALL
SELECT format('the column %s.%s is not ordered byte by byte', a.attrelid::regclass, a.attname) FROM pg_attribute a
JOIN pg_index i ON i.indrelid = a.attrelid AND i.indisprimary AND a.attnum = ANY (i.indkey)
JOIN pg_class c ON c.oid = a.attrelid AND c.relnamespace = current_schema()::regnamespace
LEFT JOIN pg_collation o ON o.oid = a.attcollation
WHERE a.atttypid = 'text'::regtype AND o.collname IS DISTINCT FROM 'C'
ORDER BY 1";

impl Postgres {
    pub(super) async fn count_rows(&self, table: &'static Table) -> Result<u64, StoreError> {
        number(&self.sessions.fetch_one(sqlx::query(&sql::count(table))).await?, "rows")
    }

    pub(super) async fn take_inventory(&self) -> Result<Inventory, StoreError> {
        let mut inventory = Inventory::default();
        for row in self.sessions.fetch(sqlx::query(PROBLEMS)).await? {
            inventory.problems.push(row.try_get("problem")?);
        }
        for row in self.sessions.fetch(sqlx::query(RELATIONS)).await? {
            let name: String = row.try_get("name")?;
            if !OWN_TABLES.contains(&name.as_str()) {
                inventory.tables.push(name);
            }
        }
        let records = "SELECT owner, count(*) AS rows FROM batches GROUP BY owner ORDER BY owner";
        for row in self.sessions.fetch(sqlx::query(records)).await? {
            inventory.records.push((row.try_get("owner")?, number(&row, "rows")?));
        }
        let frames = "SELECT producer, target, count(*) AS rows FROM journal GROUP BY producer, target \
             ORDER BY producer, target";
        for row in self.sessions.fetch(sqlx::query(frames)).await? {
            inventory.frames.push((row.try_get("producer")?, row.try_get("target")?, number(&row, "rows")?));
        }
        Ok(inventory)
    }
}

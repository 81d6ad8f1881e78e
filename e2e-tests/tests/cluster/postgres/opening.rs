//! Opening a database: concurrently, with the right service and layout only, and read-only.

use conformance::fixture::{self, Collect, Collected, Copy, TallyUp, add, claim, meta, submit};
use dataflow::{Commit, Meta, Postgres, Store, StoreError, audit::Audit};
use stage::{
    Change, Checkpoint, Consumed, Decimal, Integer, Nullable, Partition, PartitionCount, Producer, Record, Row as _,
    Text, Write,
};

use super::database::Databases;

#[tokio::test]
async fn several_instances_open_an_empty_database_at_once() {
    let databases = Databases::new();
    let url = databases.url("front").await;
    let open = || Postgres::open(&url, meta("front").unwrap(), fixture::FRONT);
    let (one, two, three) = tokio::join!(open(), open(), open());
    for store in [one, two, three] {
        claim(&store.unwrap().into(), Collect::default()).await.unwrap();
    }
}

#[tokio::test]
async fn a_table_of_another_layout_is_refused() {
    let changes = [
        "ALTER TABLE collected ADD COLUMN more TEXT",
        "ALTER TABLE collected DROP COLUMN by",
        "ALTER TABLE collected ALTER COLUMN by TYPE INTEGER",
        "ALTER TABLE collected ALTER COLUMN name TYPE TEXT COLLATE \"default\"",
        "ALTER TABLE collected ALTER COLUMN known SET NOT NULL",
        "ALTER TABLE collected DROP CONSTRAINT collected_pkey, ADD PRIMARY KEY (name, request_id)",
    ];
    let databases = Databases::new();
    let url = databases.url("front").await;
    databases.postgres("front").await;
    for change in changes {
        let mut raw = databases.raw("front").await;
        sqlx::raw_sql(change).execute(&mut raw).await.unwrap();
        let error = Postgres::open(&url, meta("front").unwrap(), fixture::FRONT).await.unwrap_err();
        assert!(matches!(&error, StoreError::Damaged(what) if what.contains("the table collected is (")), "{error:?}");
        sqlx::raw_sql("DROP TABLE collected").execute(&mut raw).await.unwrap();
        databases.postgres("front").await;
    }
}

#[tokio::test]
async fn a_database_of_another_service_or_number_of_partitions_is_refused() {
    let databases = Databases::new();
    let url = databases.url("front").await;
    assert_eq!(Postgres::look(&url).await.unwrap(), None);
    assert_eq!(Postgres::look(&format!("{}_missing", url.trim_end_matches('?'))).await.unwrap(), None);
    let store = Store::from(databases.postgres("front").await);
    let found = Postgres::look(&url).await.unwrap().unwrap();
    assert_eq!((found.partitions, found.is_used), (2, false));
    claim(&store, Collect::default()).await.unwrap();
    assert!(Postgres::look(&url).await.unwrap().unwrap().is_used);
    let front = meta("front").unwrap();
    let others = [
        Meta { service: "back", ..front.clone() },
        Meta { partitions: PartitionCount::new(3).unwrap(), ..front.clone() },
    ];
    for other in others {
        let error = Postgres::open(&url, other.clone(), fixture::BACK).await.unwrap_err();
        assert!(matches!(error, StoreError::Damaged(_)), "{error:?}");
        assert!(matches!(Postgres::open_to_read(&url, other).await, Err(StoreError::Damaged(_))));
    }
    assert_eq!(store.inventory().await.unwrap().tables, ["collected", "copied", "newest"], "no table was created");
    let foreign = databases.url("foreign").await;
    sqlx::raw_sql("CREATE TABLE theirs (x INT)").execute(&mut databases.raw("foreign").await).await.unwrap();
    let error = Postgres::open(&foreign, front.clone(), fixture::FRONT).await.unwrap_err();
    assert!(matches!(error, StoreError::Damaged(_)), "{error:?}");
    let nobody = "postgres://nobody:secret@127.0.0.1:1/nothing";
    let error = Postgres::open(nobody, front, fixture::FRONT).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
    assert!(!format!("{error:?}").contains("secret"));
}

#[tokio::test]
async fn an_audit_reads_a_snapshot_and_changes_nothing() {
    let databases = Databases::new();
    let (front_url, back_url) = (databases.url("front").await, databases.url("back").await);
    let front = Store::from(databases.postgres("front").await);
    let back = Store::from(databases.postgres("back").await);
    let mut collect = claim(&front, Collect::default()).await.unwrap();
    submit(&mut collect, vec![add("1", "a", 1), add("2", "b", 1)]).await.unwrap();
    for partition in [Partition(0), Partition(1)] {
        fixture::catch_up(TallyUp, partition, &back, &fixture::ADDED, &front).await.unwrap();
    }
    let front_snapshot = Store::from(Postgres::open_to_read(&front_url, meta("front").unwrap()).await.unwrap());
    let back_snapshot = Store::from(Postgres::open_to_read(&back_url, meta("back").unwrap()).await.unwrap());
    submit(&mut collect, vec![add("3", "a", 1)]).await.unwrap();
    assert_eq!(front_snapshot.rows::<Collected>(&[], None, 10).await.unwrap().len(), 2);
    assert!(claim(&front_snapshot, Collect::default()).await.is_err());

    let mut audit =
        Audit::begin(&[&fixture::ADDED, &fixture::TALLIED], vec![front_snapshot, back_snapshot]).await.unwrap();
    audit.stage("front", |_| Copy);
    audit.stage("front", |_| Collect::default());
    audit.stage("back", |_| TallyUp);
    let report = audit.finish().await.unwrap();
    assert_eq!(report.findings, []);
    assert_eq!(report.checked.iter().map(|checked| checked.facts).collect::<Vec<_>>(), [0, 2, 2]);
}

#[tokio::test]
async fn foreign_objects_in_a_database_are_named() {
    let databases = Databases::new();
    let url = databases.url("front").await;
    databases.postgres("front").await;
    let changes = "CREATE TABLE theirs (x TEXT PRIMARY KEY, y INT); CREATE VIEW seen AS SELECT 1; \
         CREATE SCHEMA other; CREATE TABLE other.deep (x INT); DROP TABLE copied; \
         INSERT INTO theirs VALUES ('a', 1), ('b', 1)";
    sqlx::raw_sql(changes).execute(&mut databases.raw("front").await).await.unwrap();
    // An index that cannot be built remains as an invalid index.
    let index = "CREATE UNIQUE INDEX CONCURRENTLY known ON theirs (y)";
    sqlx::raw_sql(index).execute(&mut databases.raw("front").await).await.unwrap_err();
    let store = Store::from(Postgres::open_to_read(&url, meta("front").unwrap()).await.unwrap());
    let inventory = store.inventory().await.unwrap();
    assert_eq!(inventory.tables, ["collected", "known", "newest", "other.deep", "seen", "theirs"]);
    let problems = ["the column theirs.x is not ordered byte by byte", "the index known is not valid"];
    assert_eq!(inventory.problems, problems);
    let missing = store.rows::<fixture::Copied>(&[], None, 1).await;
    assert!(matches!(missing, Err(StoreError::Damaged(_))), "{missing:?}");
    assert_eq!(store.rows::<Collected>(&[], None, 1).await.unwrap(), [], "the other tables can still be read");
}

stage::row! {
    /// A row with every type of cell.
    pub struct Thing: "things" {
        key {
            /// A text.
            name: String => Text,
            /// A decimal.
            amount: String => Decimal,
        }
        value {
            /// A number or null.
            number: Option<u64> => Nullable<Integer>,
            /// A decimal or null.
            maybe: Option<String> => Nullable<Decimal>,
        }
    }
}

#[tokio::test]
async fn every_value_comes_back_byte_for_byte() {
    let databases = Databases::new();
    let store = Postgres::open(&databases.url("front").await, meta("front").unwrap(), &[Thing::TABLE]).await.unwrap();
    let store = Store::from(store);
    let amounts = ["-1.50", "0", "0.00", "0.0000000000000000000000000001", "1.5", "79228162514264337593543950335"];
    let names = ["", "'\"\\{}, NULL", "é\u{1f600}\n\t"];
    let thing = |name: &str, amount: &str, number, maybe: Option<&str>| Thing {
        name: name.to_owned(),
        amount: amount.to_owned(),
        number,
        maybe: maybe.map(str::to_owned),
    };
    let mut things = vec![thing(names[1], "7", Some(i64::MAX.unsigned_abs()), Some("0.10"))];
    things.extend(amounts.iter().filter(|amount| **amount != "0.00").map(|a| thing("a", a, None, None)));
    things.extend([thing(names[0], "1", Some(0), None), thing(names[2], "0.00", None, Some("0.00"))]);
    things.sort_by(|a, b| a.name.cmp(&b.name));
    let id = Producer::new("things", Partition(0));
    let record = Record::following(None, &id, &Consumed::Claim, &Checkpoint::default(), fixture::now()).unwrap();
    let change = |row: &Thing| Change { table: Thing::TABLE, write: Write::Insert, cells: row.to_cells() };
    let commit = Commit { record, changes: things.iter().map(change).collect(), frames: Vec::new() };
    store.commit(&commit).await.unwrap();
    assert_eq!(store.rows::<Thing>(&[], None, 100).await.unwrap(), things);
    for thing in &things {
        let key = (thing.name.clone(), thing.amount.clone());
        assert_eq!(store.get::<Thing>(&key).await.unwrap().as_ref(), Some(thing));
    }
    let prefix = [stage::Cell::Text("a".to_owned())];
    let after = [stage::Cell::Text("0.5".to_owned())];
    let above = store.rows::<Thing>(&prefix, Some(&after), 100).await.unwrap();
    assert_eq!(
        above.iter().map(|thing| thing.amount.as_str()).collect::<Vec<_>>(),
        amounts[4..],
        "decimals are ordered as numbers, not as texts"
    );
    let newest = store.newest(&id).await.unwrap();
    assert_eq!(newest, Some(commit.record));
}

//! Clients that stop, sessions that end, and commits whose result is lost.

use std::time::{Duration, Instant};

use conformance::fixture::{self, Collect, Collected, Reply, add, claim, submit};
use dataflow::{Commit, Owner, OwnerError, Store, StoreError};
use sqlx::PgConnection;
use stage::{BatchNumber, Checkpoint, Consumed, Partition, Producer, Record, Stage as _};

use super::database::{BLOCKED, Databases, wait_for_session};

/// The application name of the sessions of owners.
const OWNER: &str = "front: owner";

async fn execute(connection: &mut PgConnection, statements: &str) {
    sqlx::raw_sql(statements).execute(connection).await.unwrap();
}

/// Locks a table for writers until the returned connection rolls back. Readers are not blocked.
async fn block_writers(databases: &Databases, table: &str) -> PgConnection {
    let mut other = databases.raw("front").await;
    execute(&mut other, &format!("BEGIN; LOCK TABLE {table} IN SHARE MODE")).await;
    other
}

/// Starts a submit, polls it until it waits for the lock of the table, and returns the future.
macro_rules! submit_until_blocked {
    ($owner:ident, $watcher:ident) => {{
        let mut submitted = Box::pin(submit(&mut $owner, vec![add("1", "a", 1)]));
        tokio::select! {
            biased;
            result = &mut submitted => panic!("the submit was not blocked: {result:?}"),
            () = wait_for_session(&mut $watcher, OWNER, BLOCKED) => {}
        }
        submitted
    }};
}

#[tokio::test]
async fn a_stopped_client_delays_a_claim_for_two_seconds_and_is_fenced() {
    let databases = Databases::new();
    let front = Store::from(databases.postgres("front").await);
    let mut watcher = databases.raw("front").await;
    let mut old = claim(&front, Collect::default()).await.unwrap();
    // From now on the statement is prepared, so that it is blocked while it is executed.
    submit(&mut old, vec![add("0", "a", 1)]).await.unwrap();
    let mut other = block_writers(&databases, "collected").await;
    let submitted = submit_until_blocked!(old, watcher);
    // The statement is done now, but nobody polls the future any more, as if the process was stopped.
    execute(&mut other, "ROLLBACK").await;
    wait_for_session(&mut watcher, OWNER, "state = 'idle in transaction'").await;
    // A claim times out after three seconds, so its success shows that the session of the other owner was ended.
    let mut new = claim(&front, Collect::default()).await.unwrap();
    let error = submitted.await;
    // It did not notice that its session was ended before it sent COMMIT.
    assert!(matches!(error, Err(OwnerError::InDoubt { .. })), "{error:?}");
    let error = old.resolve(fixture::now()).await;
    assert!(matches!(error, Err(OwnerError::Fenced(_))), "{error:?}");
    assert_eq!(submit(&mut new, vec![add("1", "a", 1)]).await.unwrap().1, [Reply::New]);
}

#[tokio::test]
async fn a_session_that_ends_before_the_commit_writes_nothing_and_is_replaced() {
    let databases = Databases::new();
    let front = Store::from(databases.postgres("front").await);
    let mut watcher = databases.raw("front").await;
    let mut collect = claim(&front, Collect::default()).await.unwrap();
    let mut other = block_writers(&databases, "collected").await;
    let submitted = submit_until_blocked!(collect, watcher);
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
         WHERE datname = current_database() AND application_name LIKE 'front: %'";
    execute(&mut watcher, end).await;
    let error = submitted.await;
    assert!(matches!(error, Err(OwnerError::Unavailable { .. })), "{error:?}");
    execute(&mut other, "ROLLBACK").await;
    assert_eq!(submit(&mut collect, vec![add("1", "a", 1)]).await.unwrap().1, [Reply::New]);
    // All sessions end, as in a restart of the server: the first use fails, the next one works.
    execute(&mut watcher, end).await;
    let error = submit(&mut collect, vec![add("2", "a", 1)]).await;
    assert!(matches!(error, Err(OwnerError::Unavailable { .. })), "{error:?}");
    assert_eq!(submit(&mut collect, vec![add("2", "a", 1)]).await.unwrap().1, [Reply::New]);
    assert_eq!(front.rows::<Collected>(&[], None, 10).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_commit_that_is_cancelled_halfway_writes_nothing() {
    let databases = Databases::new();
    let front = Store::from(databases.postgres("front").await);
    let mut watcher = databases.raw("front").await;
    let mut collect = claim(&front, Collect::default()).await.unwrap();
    let mut other = block_writers(&databases, "collected").await;
    let submitted = submit_until_blocked!(collect, watcher);
    drop(submitted);
    execute(&mut other, "ROLLBACK").await;
    collect.discard_uncommitted();
    assert_eq!(submit(&mut collect, vec![add("1", "a", 1)]).await.unwrap().1, [Reply::New]);
    let newest = front.newest(collect.id()).await.unwrap().unwrap();
    assert_eq!(newest.number, BatchNumber(2));
}

/// Creates a deferred trigger, which runs a function at the commit of each transaction that writes a request.
async fn at_commit(connection: &mut PgConnection, what: &str) {
    let statements = format!(
        "CREATE FUNCTION late() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM {what}; RETURN NULL; END'; \
         CREATE CONSTRAINT TRIGGER late AFTER INSERT ON collected DEFERRABLE INITIALLY DEFERRED \
         FOR EACH ROW EXECUTE FUNCTION late()"
    );
    execute(connection, &statements).await;
}

#[tokio::test]
async fn a_session_that_ends_during_the_commit_leaves_it_in_doubt_and_a_claim_resolves_it() {
    let databases = Databases::new();
    let front = Store::from(databases.postgres("front").await);
    let mut other = databases.raw("front").await;
    let mut collect = claim(&front, Collect::default()).await.unwrap();
    at_commit(&mut other, "pg_terminate_backend(pg_backend_pid())").await;
    let error = submit(&mut collect, vec![add("1", "a", 1)]).await;
    assert!(matches!(error, Err(OwnerError::InDoubt { .. })), "{error:?}");
    assert!(collect.resolve(fixture::now()).await.unwrap().is_none());
    execute(&mut other, "DROP TRIGGER late ON collected").await;
    assert_eq!(submit(&mut collect, vec![add("1", "a", 1)]).await.unwrap().1, [Reply::New]);
}

#[tokio::test]
async fn a_commit_that_succeeds_after_its_owner_timed_out_is_found() {
    let databases = Databases::new();
    let front = Store::from(databases.postgres("front").await);
    let mut collect = claim(&front, Collect::default()).await.unwrap();
    at_commit(&mut databases.raw("front").await, "pg_sleep(7)").await;
    let started = Instant::now();
    let error = submit(&mut collect, vec![add("1", "a", 1)]).await;
    assert!(matches!(error, Err(OwnerError::InDoubt { .. })), "{error:?}");
    assert!(started.elapsed() < Duration::from_secs(7), "the owner has to give up before the database does");
    let committed = collect.resolve(fixture::now()).await.unwrap().unwrap();
    assert_eq!(committed.frames.len(), 1);
    assert_eq!(submit(&mut collect, vec![add("1", "a", 1)]).await.unwrap().1, [Reply::Known]);
}

#[tokio::test]
async fn owners_do_not_wait_for_connections_of_requests() {
    let databases = Databases::new();
    let front = Store::from(databases.postgres("front").await);
    let (one, two) = (front.for_owners(), front.for_owners());
    let mut other = databases.raw("front").await;
    execute(&mut other, "BEGIN; LOCK TABLE collected IN ACCESS EXCLUSIVE MODE").await;
    // There are more slow requests than connections for requests.
    let slow = || async { front.rows::<Collected>(&[], None, 10).await.map(drop) };
    let requests = futures_util::future::join_all((0..12).map(|_| slow()));
    let owners = async {
        wait_for_session(&mut databases.raw("front").await, "front: requests", BLOCKED).await;
        for (store, name) in [(&one, "one"), (&two, "two"), (&one, "three")] {
            let id = Producer { stage: name.into(), partition: Partition(0) };
            let record = record_after(store, &id).await;
            store.commit(&Commit { record, changes: Vec::new(), frames: Vec::new() }).await.unwrap();
            assert_eq!(store.newest(&id).await.unwrap().map(|record| record.number), Some(BatchNumber(1)));
        }
        // The requests still hold their connections, so the owners have not waited for them.
        wait_for_session(&mut databases.raw("front").await, "front: requests", BLOCKED).await;
    };
    let (requests, ()) = tokio::join!(requests, owners);
    assert!(requests.iter().all(|request| matches!(request, Err(StoreError::Unavailable(_)))), "{requests:?}");
    execute(&mut other, "ROLLBACK").await;
    front.rows::<Collected>(&[], None, 10).await.unwrap();
}

#[tokio::test]
async fn more_owners_than_connections_take_turns_and_none_fails() {
    let databases = Databases::new();
    let front = Store::from(databases.postgres("front").await);
    let mut other = block_writers(&databases, "batches").await;
    let claim = |partition| {
        let id = Producer::new(Collect::NAME, Partition(partition));
        Owner::claim(Collect::default(), id, front.clone(), fixture::now())
    };
    let mut watcher = databases.raw("front").await;
    let released = async {
        wait_for_session(&mut watcher, OWNER, BLOCKED).await;
        // This takes longer than a request would wait for a connection.
        execute(&mut other, "SELECT pg_sleep(1.5); ROLLBACK").await;
    };
    let (claimed, ()) = tokio::join!(futures_util::future::join_all((0..64).map(claim)), released);
    for owner in claimed {
        owner.unwrap();
    }
    let sessions = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = $1";
    let sessions: i64 = sqlx::query_scalar(sessions).bind(OWNER).fetch_one(&mut watcher).await.unwrap();
    assert_eq!(sessions, 16);
}

async fn record_after(store: &Store, id: &Producer) -> Record {
    let last = store.newest(id).await.unwrap();
    Record::following(last.as_ref(), id, &Consumed::Frames(Vec::new()), &Checkpoint::default(), fixture::now()).unwrap()
}

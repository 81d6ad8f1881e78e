//! Clients that stop, sessions that are ended, answers that are lost.

use std::time::{Duration, Instant};

use dataflow::conformance::fixture::{self, Collect, Collected, Reply, add, claim, submit};
use dataflow::{Commit, Owner, OwnerError, Store, StoreError};
use sqlx::PgConnection;
use stage::{BatchNumber, Checkpoint, Consumed, Partition, Producer, Record, Stage as _};

use super::database::{BLOCKED, Databases, wait_for_session};

/// The name of an owner's session.
const OWNER: &str = "front: owner";

async fn execute(connection: &mut PgConnection, statements: &str) {
    sqlx::raw_sql(statements).execute(connection).await.unwrap();
}

/// Nobody can write the table until the connection rolls back; everybody can read it.
async fn blocked(databases: &Databases, table: &str) -> PgConnection {
    let mut other = databases.raw("front").await;
    execute(&mut other, &format!("BEGIN; LOCK TABLE {table} IN SHARE MODE")).await;
    other
}

/// Starts to ask, and stops where the table is blocked.
macro_rules! asked_until_blocked {
    ($owner:ident, $watcher:ident) => {{
        let mut asked = Box::pin(submit(&mut $owner, vec![add("1", "a", 1)]));
        tokio::select! {
            biased;
            committed = &mut asked => panic!("it was not blocked: {committed:?}"),
            () = wait_for_session(&mut $watcher, OWNER, BLOCKED) => {}
        }
        asked
    }};
}

#[tokio::test]
async fn a_stopped_client_holds_up_a_claim_for_two_seconds_and_is_out() {
    let databases = Databases::new();
    let front = Store::from(databases.postgres("front").await);
    let mut watcher = databases.raw("front").await;
    let mut old = claim(&front, Collect::default()).await.unwrap();
    let mut other = blocked(&databases, "collected").await;
    let asked = asked_until_blocked!(old, watcher);
    // Its statement is done now, but nobody polls it any more: as if the process was stopped.
    execute(&mut other, "ROLLBACK").await;
    wait_for_session(&mut watcher, OWNER, "state = 'idle in transaction'").await;
    // Its own patience ends after three seconds: that it is there at all says that the other's session was ended.
    let mut new = claim(&front, Collect::default()).await.unwrap();
    let stop = asked.await;
    assert!(matches!(stop, Err(OwnerError::Unavailable { .. })), "{stop:?}");
    let stop = submit(&mut old, vec![add("1", "a", 1)]).await;
    assert!(matches!(stop, Err(OwnerError::Fenced(_))), "{stop:?}");
    assert_eq!(submit(&mut new, vec![add("1", "a", 1)]).await.unwrap().1, [Reply::New]);
}

#[tokio::test]
async fn a_session_ended_before_commit_wrote_nothing_and_is_replaced() {
    let databases = Databases::new();
    let front = Store::from(databases.postgres("front").await);
    let mut watcher = databases.raw("front").await;
    let mut collect = claim(&front, Collect::default()).await.unwrap();
    let mut other = blocked(&databases, "collected").await;
    let asked = asked_until_blocked!(collect, watcher);
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
         WHERE datname = current_database() AND application_name LIKE 'front: %'";
    execute(&mut watcher, end).await;
    let stop = asked.await;
    assert!(matches!(stop, Err(OwnerError::Unavailable { .. })), "{stop:?}");
    execute(&mut other, "ROLLBACK").await;
    assert_eq!(submit(&mut collect, vec![add("1", "a", 1)]).await.unwrap().1, [Reply::New]);
    // All sessions were ended, as when the server is restarted: the first use finds out, the next works.
    execute(&mut watcher, end).await;
    let stop = submit(&mut collect, vec![add("2", "a", 1)]).await;
    assert!(matches!(stop, Err(OwnerError::Unavailable { .. })), "{stop:?}");
    assert_eq!(submit(&mut collect, vec![add("2", "a", 1)]).await.unwrap().1, [Reply::New]);
    assert_eq!(front.rows::<Collected>(&[], None, 10).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_commit_abandoned_half_way_wrote_nothing() {
    let databases = Databases::new();
    let front = Store::from(databases.postgres("front").await);
    let mut watcher = databases.raw("front").await;
    let mut collect = claim(&front, Collect::default()).await.unwrap();
    let mut other = blocked(&databases, "collected").await;
    let asked = asked_until_blocked!(collect, watcher);
    drop(asked);
    execute(&mut other, "ROLLBACK").await;
    collect.discard_uncommitted();
    assert_eq!(submit(&mut collect, vec![add("1", "a", 1)]).await.unwrap().1, [Reply::New]);
    let newest = front.newest(collect.id()).await.unwrap().unwrap();
    assert_eq!(newest.number, BatchNumber(2));
}

/// What the database does at the end of each transaction that writes a request.
async fn at_commit(connection: &mut PgConnection, what: &str) {
    let statements = format!(
        "CREATE FUNCTION late() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM {what}; RETURN NULL; END'; \
         CREATE CONSTRAINT TRIGGER late AFTER INSERT ON collected DEFERRABLE INITIALLY DEFERRED \
         FOR EACH ROW EXECUTE FUNCTION late()"
    );
    execute(connection, &statements).await;
}

#[tokio::test]
async fn a_session_ended_in_commit_leaves_a_doubt_that_a_claim_resolves() {
    let databases = Databases::new();
    let front = Store::from(databases.postgres("front").await);
    let mut other = databases.raw("front").await;
    let mut collect = claim(&front, Collect::default()).await.unwrap();
    at_commit(&mut other, "pg_terminate_backend(pg_backend_pid())").await;
    let stop = submit(&mut collect, vec![add("1", "a", 1)]).await;
    assert!(matches!(stop, Err(OwnerError::InDoubt { .. })), "{stop:?}");
    assert!(collect.resolve(fixture::now()).await.unwrap().is_none());
    execute(&mut other, "DROP TRIGGER late ON collected").await;
    assert_eq!(submit(&mut collect, vec![add("1", "a", 1)]).await.unwrap().1, [Reply::New]);
}

#[tokio::test]
async fn a_commit_that_lands_after_its_owner_gave_up_waiting_is_found() {
    let databases = Databases::new();
    let front = Store::from(databases.postgres("front").await);
    let mut collect = claim(&front, Collect::default()).await.unwrap();
    at_commit(&mut databases.raw("front").await, "pg_sleep(7)").await;
    let started = Instant::now();
    let stop = submit(&mut collect, vec![add("1", "a", 1)]).await;
    assert!(matches!(stop, Err(OwnerError::InDoubt { .. })), "{stop:?}");
    assert!(started.elapsed() < Duration::from_secs(7), "it gave up before the database did");
    let committed = collect.resolve(fixture::now()).await.unwrap().unwrap();
    assert_eq!(committed.frames.len(), 1);
    assert_eq!(submit(&mut collect, vec![add("1", "a", 1)]).await.unwrap().1, [Reply::Known]);
}

#[tokio::test]
async fn owners_do_not_wait_for_requests() {
    let databases = Databases::new();
    let front = Store::from(databases.postgres("front").await);
    let (one, two) = (front.for_owners(), front.for_owners());
    let mut other = databases.raw("front").await;
    execute(&mut other, "BEGIN; LOCK TABLE collected IN ACCESS EXCLUSIVE MODE").await;
    // More slow requests than there are connections for them.
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
        // The requests that hold the connections are as slow as before: nobody waited for them.
        wait_for_session(&mut databases.raw("front").await, "front: requests", BLOCKED).await;
    };
    let (requests, ()) = tokio::join!(requests, owners);
    assert!(requests.iter().all(|request| matches!(request, Err(StoreError::Unavailable(_)))), "{requests:?}");
    execute(&mut other, "ROLLBACK").await;
    front.rows::<Collected>(&[], None, 10).await.unwrap();
}

#[tokio::test]
async fn more_owners_than_connections_take_turns_and_none_gives_up() {
    let databases = Databases::new();
    let front = Store::from(databases.postgres("front").await);
    let mut other = blocked(&databases, "batches").await;
    let claim = |partition| {
        let id = Producer::new(Collect::NAME, Partition(partition));
        Owner::claim(Collect::default(), id, front.clone(), fixture::now())
    };
    let mut watcher = databases.raw("front").await;
    let released = async {
        wait_for_session(&mut watcher, OWNER, BLOCKED).await;
        // For longer than a request would wait for its turn.
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

//! Leases.

use std::time::Duration;

use dataflow::Leased;
use sqlx::Row as _;

use super::database::Databases;

#[tokio::test]
async fn a_lease_is_taken_over_after_its_end_and_not_before() {
    let databases = Databases::new();
    let (one, two) = (databases.postgres("front").await, databases.postgres("front").await);
    let mut raw = databases.raw("front").await;
    let lasts = Duration::from_secs(60);
    let others = |holder: &str| Leased::Others { holder: holder.to_owned() };
    assert_eq!(one.lease("one", lasts).await.unwrap(), Leased::Mine);
    assert_eq!(two.lease("two", lasts).await.unwrap(), others("one"));
    assert_eq!(one.lease("one", lasts).await.unwrap(), Leased::Mine);
    let left = "SELECT extract(epoch FROM until - clock_timestamp())::float8 FROM leases";
    let left: f64 = sqlx::query(left).fetch_one(&mut raw).await.unwrap().get(0);
    assert!((50.0..=60.0).contains(&left), "{left}");
    let over = "UPDATE leases SET until = clock_timestamp()";
    sqlx::query(over).execute(&mut raw).await.unwrap();
    assert_eq!(two.lease("two", lasts).await.unwrap(), Leased::Mine);
    assert_eq!(one.lease("one", lasts).await.unwrap(), others("two"));
    one.release("one").await.unwrap();
    assert_eq!(one.lease("one", lasts).await.unwrap(), others("two"));
    two.release("two").await.unwrap();
    assert_eq!(one.lease("one", lasts).await.unwrap(), Leased::Mine);
}

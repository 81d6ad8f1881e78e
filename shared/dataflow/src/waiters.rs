//! Waiting for results that later commits write: register, then submit, then wait.
//!
//! Whoever wakes a waiter hands it the result, so a request that waited reads nothing. Only a request that was sent
//! before, or whose time is over, looks into the store. Requests that do not wait pay nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use stage::{BatchNumber, Producer};
use tokio::sync::oneshot;

use crate::RecentCommits;

/// The maximum number of waiters in one process. Further requests get a reply at once, without waiting.
const WAITERS_MAX: usize = 100_000;

struct Waiting<T> {
    by_key: BTreeMap<String, Vec<oneshot::Sender<T>>>,
    count: usize,
}

/// The waiters for results, by key. Clones share the same list.
pub struct Waiters<T>(Arc<Mutex<Waiting<T>>>);

impl<T> Clone for Waiters<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Default for Waiters<T> {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Waiting { by_key: BTreeMap::new(), count: 0 })))
    }
}

/// An entry in the list, removed when it is dropped.
pub struct Waiter<T> {
    key: String,
    list: Waiters<T>,
    woken: oneshot::Receiver<T>,
}

/// The results of a service's requests. Clones share them.
#[derive(Clone)]
pub struct Results<T> {
    /// The requests that wait.
    pub waiters: Waiters<T>,
    /// The commits of the ingress stage.
    pub commits: RecentCommits,
    /// The owner that accepts the requests.
    pub ingress: Producer,
}

/// Requests that are about to be submitted, and may wait for their results.
pub struct Expected<T> {
    waiters: BTreeMap<String, Waiter<T>>,
    /// The last batch of the ingress stage before.
    newest: BatchNumber,
    until: Instant,
}

impl<T: Clone> Waiters<T> {
    fn waiting(&self) -> MutexGuard<'_, Waiting<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Registers a waiter; `None` when there are too many.
    pub fn register(&self, key: &str) -> Option<Waiter<T>> {
        let mut waiting = self.waiting();
        if waiting.count >= WAITERS_MAX {
            return None;
        }
        waiting.count += 1;
        let (wake, woken) = oneshot::channel();
        waiting.by_key.entry(key.to_owned()).or_default().push(wake);
        Some(Waiter { key: key.to_owned(), list: self.clone(), woken })
    }

    /// Wakes all waiters for the key with the result.
    pub fn wake(&self, key: &str, result: &T) {
        for waiter in self.waiting().by_key.remove(key).unwrap_or_default() {
            let _gone = waiter.send(result.clone());
        }
    }
}

impl<T: Clone> Waiter<T> {
    /// Waits until the result is there or the time is over.
    pub async fn wait(mut self, at_most: Duration) -> Option<T> {
        tokio::time::timeout(at_most, &mut self.woken).await.ok()?.ok()
    }
}

impl<T> Drop for Waiter<T> {
    fn drop(&mut self) {
        self.woken.close();
        let mut waiting = self.list.0.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.count -= 1;
        if let Some(others) = waiting.by_key.get_mut(&self.key) {
            others.retain(|waiter| !waiter.is_closed());
            if others.is_empty() {
                waiting.by_key.remove(&self.key);
            }
        }
    }
}

impl<T: Clone> Results<T> {
    /// Registers requests for their results. Call this before they are submitted, or a result may be missed.
    pub fn register(&self, keys: impl Iterator<Item = String>, wait: Option<Duration>) -> Expected<T> {
        let wait = wait.unwrap_or_default();
        let registered = keys.filter_map(|key| Some((key.clone(), self.waiters.register(&key)?)));
        let waiters = if wait.is_zero() { BTreeMap::new() } else { registered.collect() };
        // Last: whatever is accepted in a later batch was registered before it had a result.
        let newest = self.commits.newest(&self.ingress);
        Expected { waiters, newest, until: Instant::now() + wait }
    }
}

impl<T: Clone> Expected<T> {
    /// The results that are there within the time, by key, of requests that were accepted in these batches. A request
    /// of an earlier batch was repeated, and its result may be stored already, so it is read first. The others are read
    /// only when their time is over.
    ///
    /// # Errors
    /// Any error of `read`.
    pub async fn results<E>(
        mut self,
        accepted: &[(String, BatchNumber)],
        read: impl AsyncFn(&BTreeSet<String>) -> Result<BTreeMap<String, T>, E>,
    ) -> Result<BTreeMap<String, T>, E> {
        let repeated = accepted.iter().filter(|(_, batch)| *batch <= self.newest).map(|(key, _)| key.clone());
        let repeated: BTreeSet<_> = repeated.collect();
        let mut results = if repeated.is_empty() { BTreeMap::new() } else { read(&repeated).await? };
        let mut late = BTreeSet::new();
        for (key, _) in accepted {
            // A request that does not wait has no result yet.
            let Some(waiter) = self.waiters.remove(key).filter(|_| !results.contains_key(key)) else { continue };
            match waiter.wait(self.until.saturating_duration_since(Instant::now())).await {
                Some(result) => {
                    results.insert(key.clone(), result);
                }
                None => {
                    late.insert(key.clone());
                }
            }
        }
        if !late.is_empty() {
            results.extend(read(&late).await?);
        }
        Ok(results)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use chrono::DateTime;
    use stage::Partition;

    use super::*;

    const LONG: Option<Duration> = Some(Duration::from_secs(60));
    const SHORT: Option<Duration> = Some(Duration::from_millis(1));

    /// Results after one batch of the ingress stage.
    fn start() -> Results<u32> {
        let results = Results {
            waiters: Waiters::default(),
            commits: RecentCommits::default(),
            ingress: Producer::new("accept", Partition(0)),
        };
        results.commits.note(&results.ingress, BatchNumber(1), DateTime::UNIX_EPOCH);
        results
    }

    /// Expects `a` and `b`, wakes those in `woken`, and then waits for the accepted ones with these rows in the store.
    /// Returns what was found and the number of reads.
    async fn check(
        results: &Results<u32>,
        wait: Option<Duration>,
        woken: &[(&str, u32)],
        accepted: &[(&str, u64)],
        stored: &[(&str, u32)],
    ) -> (Vec<(String, u32)>, usize) {
        let expected = results.register(["a", "b"].map(str::to_owned).into_iter(), wait);
        woken.iter().for_each(|(key, result)| results.waiters.wake(key, result));
        let reads = Cell::new(0);
        let read = async |keys: &BTreeSet<String>| {
            reads.set(reads.get() + 1);
            let found = stored.iter().filter(|(key, _)| keys.contains(*key));
            Ok::<_, ()>(found.map(|(key, value)| ((*key).to_owned(), *value)).collect())
        };
        let accepted: Vec<_> = accepted.iter().map(|(key, batch)| ((*key).to_owned(), BatchNumber(*batch))).collect();
        let found = expected.results(&accepted, read).await.unwrap();
        let waiting = results.waiters.waiting();
        assert!(waiting.count == 0 && waiting.by_key.is_empty(), "no waiter is left");
        (found.into_iter().collect(), reads.get())
    }

    fn found(results: &[(&str, u32)], reads: usize) -> (Vec<(String, u32)>, usize) {
        (results.iter().map(|(key, value)| ((*key).to_owned(), *value)).collect(), reads)
    }

    #[tokio::test]
    async fn a_new_request_that_is_woken_reads_nothing() {
        let woken = [("b", 2), ("a", 1)];
        let result = check(&start(), LONG, &woken, &[("a", 2), ("b", 2)], &[]).await;
        assert_eq!(result, found(&[("a", 1), ("b", 2)], 0));
    }

    #[tokio::test]
    async fn a_repeated_request_reads_once_and_waits_only_without_a_result() {
        assert_eq!(check(&start(), LONG, &[], &[("a", 1)], &[("a", 7)]).await, found(&[("a", 7)], 1));
        assert_eq!(check(&start(), LONG, &[("a", 8)], &[("a", 1)], &[]).await, found(&[("a", 8)], 1));
        assert_eq!(check(&start(), None, &[], &[("a", 1)], &[("a", 7)]).await, found(&[("a", 7)], 1));
    }

    #[tokio::test]
    async fn a_request_whose_time_is_over_reads_once_more() {
        assert_eq!(check(&start(), SHORT, &[], &[("a", 2)], &[("a", 7)]).await, found(&[("a", 7)], 1));
        assert_eq!(check(&start(), SHORT, &[], &[("a", 2)], &[]).await, found(&[], 1));
    }

    #[tokio::test]
    async fn a_request_that_does_not_wait_costs_nothing() {
        for wait in [None, Some(Duration::ZERO)] {
            assert_eq!(check(&start(), wait, &[], &[("a", 2)], &[("a", 7)]).await, found(&[], 0));
        }
    }

    #[tokio::test]
    async fn a_refused_request_leaves_nothing_behind() {
        assert_eq!(check(&start(), LONG, &[], &[], &[]).await, found(&[], 0));
    }
}

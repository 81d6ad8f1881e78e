//! Waiting for a result that a later commit writes: register, then read, then wait.
//!
//! Requests that do not wait pay nothing; requests that wait only use memory.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

/// The maximum number of waiters in one process. Further requests get a reply at once, without waiting.
const WAITERS_MAX: usize = 100_000;

#[derive(Default)]
struct Waiting {
    by_key: BTreeMap<String, Vec<oneshot::Sender<()>>>,
    count: usize,
}

/// The waiters for changes of keys. Clones share the same list.
#[derive(Clone, Default)]
pub struct Waiters(Arc<Mutex<Waiting>>);

/// An entry in the list, removed when it is dropped.
pub struct Waiter {
    key: String,
    list: Waiters,
    woken: oneshot::Receiver<()>,
}

impl Waiters {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Registers a waiter; `None` when there are too many. Read only after this, or the change may be missed.
    pub fn register(&self, key: &str) -> Option<Waiter> {
        let mut waiting = self.waiting();
        if waiting.count >= WAITERS_MAX {
            return None;
        }
        waiting.count += 1;
        let (wake, woken) = oneshot::channel();
        waiting.by_key.entry(key.to_owned()).or_default().push(wake);
        Some(Waiter { key: key.to_owned(), list: self.clone(), woken })
    }

    /// Returns when all keys exist or the time is over: registers, then reads which keys exist, then waits for the
    /// others.
    ///
    /// # Errors
    /// Any error of `read`.
    pub async fn all<E>(
        &self,
        keys: Vec<String>,
        until: Instant,
        read: impl AsyncFnOnce() -> Result<BTreeSet<String>, E>,
    ) -> Result<(), E> {
        let waiters: Vec<_> = keys.into_iter().filter_map(|key| self.register(&key)).collect();
        let there = read().await?;
        for waiter in waiters.into_iter().filter(|waiter| !there.contains(&waiter.key)) {
            waiter.wait(until.saturating_duration_since(Instant::now())).await;
        }
        Ok(())
    }

    /// Wakes all waiters for the key.
    pub fn wake(&self, key: &str) {
        for waiter in self.waiting().by_key.remove(key).unwrap_or_default() {
            let _gone = waiter.send(());
        }
    }
}

impl Waiter {
    /// Waits until the key changes or the time is over.
    pub async fn wait(mut self, at_most: Duration) {
        let _over = tokio::time::timeout(at_most, &mut self.woken).await;
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.woken.close();
        let mut waiting = self.list.waiting();
        waiting.count -= 1;
        if let Some(others) = waiting.by_key.get_mut(&self.key) {
            others.retain(|waiter| !waiter.is_closed());
            if others.is_empty() {
                waiting.by_key.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_wakeup_after_registering_is_not_missed() {
        let waiters = Waiters::default();
        let waiter = waiters.register("a").unwrap();
        waiters.wake("a");
        waiter.wait(Duration::from_secs(3600)).await;
        assert!(waiters.waiting().by_key.is_empty() && waiters.waiting().count == 0);
    }

    #[tokio::test]
    async fn an_existing_key_is_not_waited_for() {
        let (waiters, keys) = (Waiters::default(), || vec!["a".to_owned(), "b".to_owned()]);
        let hour = Instant::now() + Duration::from_secs(3600);
        let both = waiters.all(keys(), hour, async || {
            // The change arrives between reading and waiting.
            waiters.wake("b");
            Ok::<_, ()>(["a".to_owned()].into())
        });
        assert_eq!(both.await, Ok(()));
        assert_eq!(waiters.all(keys(), hour, async || Err("away")).await, Err("away"));
        assert!(waiters.waiting().by_key.is_empty() && waiters.waiting().count == 0);
    }

    #[tokio::test]
    async fn a_dropped_waiter_leaves_nothing_behind() {
        let waiters = Waiters::default();
        let (first, second) = (waiters.register("a").unwrap(), waiters.register("a").unwrap());
        first.wait(Duration::ZERO).await;
        assert_eq!(waiters.waiting().by_key["a"].len(), 1);
        drop(second);
        assert!(waiters.waiting().by_key.is_empty() && waiters.waiting().count == 0);
    }
}

//! What is done for several services at once, and for each of them in order.

use std::collections::BTreeMap;
use std::pin::Pin;

use tokio::runtime::Handle;

/// Something to be done, made and driven on the thread that does it.
pub(super) type Job<T> = Box<dyn FnOnce() -> Pin<Box<dyn Future<Output = T>>> + Send>;

/// Does all jobs: those of one name one after the other, those of different names on threads of their own. What they
/// come to is in the order of the jobs. Without a runtime, as in a simulation, everything is done on this thread.
pub(super) async fn side_by_side<T: Send + 'static>(
    jobs: BTreeMap<&'static str, Vec<Job<T>>>,
) -> BTreeMap<&'static str, Vec<T>> {
    let mut done = BTreeMap::new();
    let Ok(runtime) = Handle::try_current() else {
        for (name, jobs) in jobs {
            done.insert(name, in_order(jobs).await);
        }
        return done;
    };
    let begin = |(name, jobs)| {
        let driven_by = runtime.clone();
        (name, runtime.spawn_blocking(move || driven_by.block_on(in_order(jobs))))
    };
    let threads: Vec<_> = jobs.into_iter().map(begin).collect();
    for (name, thread) in threads {
        match thread.await {
            Ok(of_name) => done.insert(name, of_name),
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        };
    }
    done
}

async fn in_order<T>(jobs: Vec<Job<T>>) -> Vec<T> {
    let mut done = Vec::with_capacity(jobs.len());
    for job in jobs {
        done.push(job().await);
    }
    done
}

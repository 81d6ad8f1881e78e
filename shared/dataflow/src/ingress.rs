//! The actor around the owner of an ingress stage: many requests, one commit.
//!
//! Requests that arrive while a commit is running wait together and share the next one. Replies are sent after the
//! commit, never before. The queue is bounded by count and bytes; beyond that, a request is refused at once. The stages
//! behind it are not throttled.

use std::collections::VecDeque;

use actix::{
    Actor, ActorFutureExt as _, Addr, Arbiter, AsyncContext as _, Context, Handler, Message, ResponseFuture,
    SpawnHandle, WrapFuture as _,
};
use chrono::Utc;
use stage::{Event, IngressStage};
use tokio::sync::oneshot;
use tracing::Instrument as _;

use crate::backoff::Backoff;
use crate::observer::Observer;
use crate::panics::caught;
use crate::{Backlog, Committed, Owner, OwnerError};

/// The maximum number of requests per commit. One HTTP batch may hold as many, so that it is never split.
const BATCH_REQUESTS_MAX: usize = 1_000;
/// The maximum size in bytes of the requests in a commit, unless a single submission is larger. One HTTP batch may be
/// as large.
const BATCH_BYTES_MAX: usize = 8 << 20;
/// The maximum number of waiting requests: about a second of work.
pub const WAITING_REQUESTS_MAX: usize = 16_000;
/// The maximum size of the waiting requests in bytes.
pub const WAITING_BYTES_MAX: usize = 64 << 20;

/// Requests to submit together. The replies come in the same order.
pub struct Submit<S: IngressStage> {
    /// The requests.
    pub requests: Vec<Event<S::Input>>,
    /// Their approximate memory use in bytes.
    pub bytes: usize,
}

impl<S: IngressStage> Message for Submit<S> {
    type Result = Result<Vec<S::Reply>, SubmitError>;
}

/// The reason why requests were not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// Too many requests are waiting. Nothing was done.
    #[error("too many requests are waiting")]
    Overloaded,
    /// Too much output waits for a broker that does not accept it. Nothing was done.
    #[error("too much output waits to be published")]
    Backlog,
    /// The service is stopping, or this partition has stopped. Nothing was done, unless a panic happened after the
    /// commit: repeating the same request shows which.
    #[error("the service no longer accepts requests")]
    Stopped,
    /// The database does not answer. Whether anything was done is unknown; repeating the same request shows it.
    #[error("the database does not answer")]
    Unavailable,
}

/// Asks an actor to finish the work in progress and then stop.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct Drain;

type ReplySender<S> = oneshot::Sender<Result<Vec<<S as IngressStage>::Reply>, SubmitError>>;

/// Owns one partition of an ingress stage.
pub struct Ingress<S: IngressStage> {
    /// `None` while a turn is running.
    owner: Option<Owner<S>>,
    observer: Observer,
    backoff: Backoff,
    queue: VecDeque<(Submit<S>, ReplySender<S>)>,
    waiting_requests: usize,
    waiting_bytes: usize,
    retry: Option<SpawnHandle>,
    draining: Vec<oneshot::Sender<()>>,
}

impl<S: IngressStage> Ingress<S> {
    /// Starts the actor on its own thread.
    pub fn start(owner: Owner<S>, observer: Observer) -> Addr<Self> {
        let ingress = move |_: &mut Context<Self>| Self {
            owner: Some(owner),
            observer,
            backoff: Backoff::default(),
            queue: VecDeque::new(),
            waiting_requests: 0,
            waiting_bytes: 0,
            retry: None,
            draining: Vec::new(),
        };
        Self::start_in_arbiter(&Arbiter::new().handle(), ingress)
    }

    fn take_queued(&mut self) -> Vec<(Submit<S>, ReplySender<S>)> {
        let (mut batch, mut requests, mut bytes) = (Vec::new(), 0, 0);
        while let Some((submit, _)) = self.queue.front() {
            requests += submit.requests.len();
            bytes += submit.bytes;
            if !batch.is_empty() && (requests > BATCH_REQUESTS_MAX || bytes > BATCH_BYTES_MAX) {
                break;
            }
            self.waiting_requests -= submit.requests.len();
            self.waiting_bytes -= submit.bytes;
            batch.extend(self.queue.pop_front());
        }
        self.observer.metrics.waiting(self.waiting_requests);
        batch
    }

    fn pump(&mut self, ctx: &mut Context<Self>) {
        let in_doubt = self.owner.as_ref().is_some_and(Owner::is_in_doubt);
        if self.queue.is_empty() && !in_doubt {
            return self.drained(ctx);
        }
        let Some(mut owner) = self.owner.take() else { return };
        let batch = self.take_queued();
        let (id, observer) = (owner.id().clone(), self.observer.clone());
        let span = tracing::info_span!("batch", owner = %id, trace_id = tracing::field::Empty);
        let turn = async move {
            let stop = caught(id, turn(&mut owner, batch, &observer)).await.err();
            (owner, stop)
        };
        ctx.spawn(
            turn.instrument(span).into_actor(self).map(|(owner, stop), ingress, ctx| ingress.turned(owner, stop, ctx)),
        );
    }

    fn turned(&mut self, owner: Owner<S>, stop: Option<OwnerError>, ctx: &mut Context<Self>) {
        match stop {
            None => {
                self.observer.succeeded(&mut self.backoff);
                self.owner = Some(owner);
                self.pump(ctx);
            }
            // The next start claims, and thereby finds out the result of a batch in doubt.
            Some(stop) if stop.is_transient() && !self.draining.is_empty() => {
                self.owner = Some(owner);
                self.queue.clear();
                self.drained(ctx);
            }
            Some(stop) if stop.is_transient() => {
                let wait = self.observer.retry(&mut self.backoff, &stop);
                self.owner = Some(owner);
                let retry = ctx.run_later(wait, |ingress, ctx| ingress.pump(ctx));
                if let Some(before) = self.retry.replace(retry) {
                    ctx.cancel_future(before);
                }
            }
            Some(stop) => {
                self.observer.stopped(&stop);
                self.queue.clear();
                actix::ActorContext::stop(ctx);
            }
        }
    }

    fn drained(&mut self, ctx: &mut Context<Self>) {
        if self.draining.is_empty() || self.owner.is_none() {
            return;
        }
        for done in self.draining.drain(..) {
            let _gone = done.send(());
        }
        actix::ActorContext::stop(ctx);
    }
}

/// Commits these requests together and replies to them. After a transient failure, nothing was done or the result is
/// unknown; repeating the same request shows which.
async fn turn<S: IngressStage>(
    owner: &mut Owner<S>,
    batch: Vec<(Submit<S>, ReplySender<S>)>,
    observer: &Observer,
) -> Result<(), OwnerError> {
    if owner.is_in_doubt() {
        let started = std::time::Instant::now();
        match owner.resolve(Utc::now()).await {
            Ok(resolved) => {
                observer.metrics.resolved(resolved.is_some());
                if let Some(committed) = resolved {
                    let took = started.elapsed();
                    observer.committed(&committed, took);
                    observer.show(&committed, took);
                }
            }
            Err(stop) => {
                refuse(batch, &stop);
                return Err(stop);
            }
        }
    }
    let requests: Vec<_> = batch.iter().flat_map(|(submit, _)| submit.requests.iter().cloned()).collect();
    let started = std::time::Instant::now();
    match commit(owner, requests, observer).await {
        Ok((committed, replies)) => {
            let took = started.elapsed();
            observer.committed(&committed, took);
            let mut replies = replies.into_iter();
            for (submit, reply) in batch {
                let _gone = reply.send(Ok(replies.by_ref().take(submit.requests.len()).collect()));
            }
            observer.show(&committed, took);
            Ok(())
        }
        Err(stop) => {
            refuse(batch, &stop);
            Err(stop)
        }
    }
}

/// Commits once. If the result is unknown, resolves it once, and commits once more if the batch was lost.
async fn commit<S: IngressStage>(
    owner: &mut Owner<S>,
    requests: Vec<Event<S::Input>>,
    observer: &Observer,
) -> Result<(Committed, Vec<S::Reply>), OwnerError> {
    let (prepared, replies) = owner.prepare_requests(requests.clone(), Utc::now()).await?;
    match owner.commit(prepared).await {
        Err(OwnerError::InDoubt { .. }) => {}
        other => return Ok((other?, replies)),
    }
    let resolved = owner.resolve(Utc::now()).await?;
    observer.metrics.resolved(resolved.is_some());
    if let Some(committed) = resolved {
        return Ok((committed, replies));
    }
    let (prepared, replies) = owner.prepare_requests(requests, Utc::now()).await?;
    Ok((owner.commit(prepared).await?, replies))
}

fn refuse<S: IngressStage>(batch: Vec<(Submit<S>, ReplySender<S>)>, stop: &OwnerError) {
    let refused = if stop.is_transient() { SubmitError::Unavailable } else { SubmitError::Stopped };
    for (_, reply) in batch {
        let _gone = reply.send(Err(refused.clone()));
    }
}

impl<S: IngressStage> Actor for Ingress<S> {
    type Context = Context<Self>;

    /// The actor's thread ends with the actor.
    fn stopped(&mut self, _: &mut Self::Context) {
        // Queued behind the replies that are still in progress.
        actix::spawn(async { Arbiter::current().stop() });
    }
}

impl<S: IngressStage> Handler<Submit<S>> for Ingress<S> {
    type Result = ResponseFuture<Result<Vec<S::Reply>, SubmitError>>;

    fn handle(&mut self, submit: Submit<S>, ctx: &mut Context<Self>) -> Self::Result {
        if !self.draining.is_empty() {
            return Box::pin(async { Err(SubmitError::Stopped) });
        }
        let requests = self.waiting_requests + submit.requests.len();
        let bytes = self.waiting_bytes + submit.bytes;
        if requests > WAITING_REQUESTS_MAX || bytes > WAITING_BYTES_MAX {
            return Box::pin(async { Err(SubmitError::Overloaded) });
        }
        if self.observer.backlog.as_ref().is_some_and(Backlog::is_full) {
            return Box::pin(async { Err(SubmitError::Backlog) });
        }
        (self.waiting_requests, self.waiting_bytes) = (requests, bytes);
        self.observer.metrics.waiting(requests);
        let (sender, reply) = oneshot::channel();
        self.queue.push_back((submit, sender));
        self.pump(ctx);
        Box::pin(async { reply.await.unwrap_or(Err(SubmitError::Stopped)) })
    }
}

impl<S: IngressStage> Handler<Drain> for Ingress<S> {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: Drain, ctx: &mut Context<Self>) -> Self::Result {
        let (done, drained) = oneshot::channel();
        self.draining.push(done);
        if self.owner.is_some() {
            self.pump(ctx);
        }
        Box::pin(async {
            let _stopped = drained.await;
        })
    }
}

//! The actor around the owner of a stage that reads streams.
//!
//! A [`Wakeup`] signals that there may be something to read. The reader then takes what is ready, up to the limits,
//! commits it and only then publishes it, and repeats until nothing is left. There are no timers: under load, batches
//! grow by themselves. One batch is in flight at a time, in a future that nobody cancels.

mod missing;

use std::time::Instant;

use actix::{
    Actor, ActorFutureExt as _, Addr, Arbiter, AsyncContext as _, Context, Handler, ResponseFuture, SpawnHandle,
    WrapFuture as _,
};
use chrono::Utc;
use stage::Stage;
use tokio::sync::oneshot;
use tracing::Instrument as _;

use self::missing::GapRecovery;
use crate::backoff::Backoff;
use crate::ingress::Drain;
use crate::observer::Observer;
use crate::panics::caught;
use crate::{Committed, Owner, OwnerError, Subscription, Wakeup};

/// The state that a turn needs. A running turn holds it.
struct Work<S: Stage> {
    owner: Owner<S>,
    subscription: Box<dyn Subscription>,
}

/// The result of a turn.
enum Turn {
    Committed(Committed),
    Idle,
}

impl<S: Stage> Work<S> {
    /// Runs one turn and reports what it committed.
    async fn run_turn(&mut self, observer: &Observer) -> Result<Turn, OwnerError> {
        let started = Instant::now();
        let turn = self.turn(observer).await?;
        if let Turn::Committed(committed) = &turn {
            let took = started.elapsed();
            observer.committed(committed, took);
            observer.show(committed, took);
        }
        Ok(turn)
    }

    async fn turn(&mut self, observer: &Observer) -> Result<Turn, OwnerError> {
        if self.owner.is_in_doubt() {
            let resolved = self.owner.resolve(Utc::now()).await?;
            observer.metrics.resolved(resolved.is_some());
            self.subscription.rewind(self.owner.checkpoint());
            if let Some(committed) = resolved {
                return Ok(Turn::Committed(committed));
            }
        }
        let ready = self.subscription.ready(&self.owner.checkpoint().positions).await;
        let ready = ready.map_err(|error| self.owner.read_failed(error))?;
        let committed = self.owner.process(ready, Utc::now(), |admission| observer.metrics.frame(admission)).await?;
        Ok(committed.map_or(Turn::Idle, Turn::Committed))
    }
}

/// Owns one partition of a stage that reads streams.
pub struct Reader<S: Stage> {
    work: Option<Work<S>>,
    observer: Observer,
    backoff: Backoff,
    missing: GapRecovery,
    /// The timer for reading missing frames again.
    look: Option<SpawnHandle>,
    /// A wakeup arrived while a turn was running or a retry was pending.
    again: bool,
    /// Whether a retry is pending.
    is_waiting: bool,
    draining: Vec<oneshot::Sender<()>>,
}

impl<S: Stage> Reader<S> {
    /// Starts the actor on its own thread and wakes it once.
    pub fn start(owner: Owner<S>, subscription: Box<dyn Subscription>, observer: Observer) -> Addr<Self> {
        let (id, wakeups) = (owner.id().clone(), observer.wakeups.clone());
        let partitions = owner.partitions();
        let reader = move |_: &mut Context<Self>| Self {
            work: Some(Work { owner, subscription }),
            observer,
            backoff: Backoff::default(),
            missing: GapRecovery::default(),
            look: None,
            again: false,
            is_waiting: false,
            draining: Vec::new(),
        };
        let address = Self::start_in_arbiter(&Arbiter::new().handle(), reader);
        for (target, _) in Owner::<S>::reads(&id, partitions) {
            wakeups.subscribe(target, address.clone().recipient());
        }
        address.do_send(Wakeup);
        address
    }

    fn pump(&mut self, ctx: &mut Context<Self>) {
        if !self.draining.is_empty() && self.work.is_some() {
            return self.drained(ctx);
        }
        if self.is_waiting {
            self.again = true;
            return;
        }
        let Some(mut work) = self.work.take() else {
            self.again = true;
            return;
        };
        self.again = false;
        for target in self.missing.due_again(Instant::now()) {
            tracing::warn!(owner = %work.owner.id(), stream = %target, "a frame is missing: the stream is read from its first message");
            work.owner.reads_again(&target);
            work.subscription.seek_to_start(&target);
        }
        let (id, observer) = (work.owner.id().clone(), self.observer.clone());
        let span = tracing::info_span!("batch", owner = %id, trace_id = tracing::field::Empty);
        let turn = async move {
            let turn = caught(id, work.run_turn(&observer)).await;
            (work, turn)
        };
        ctx.spawn(
            turn.instrument(span).into_actor(self).map(|(work, turn), reader, ctx| reader.turned(work, turn, ctx)),
        );
    }

    fn turned(&mut self, mut work: Work<S>, turn: Result<Turn, OwnerError>, ctx: &mut Context<Self>) {
        match turn {
            Ok(turn) => {
                let is_done = matches!(turn, Turn::Idle);
                self.again |= !is_done || work.subscription.has_more();
                self.look_at_missing(&mut work, ctx);
            }
            Err(stop) if stop.is_transient() => {
                work.subscription.rewind(work.owner.checkpoint());
                work.owner.discard_uncommitted();
                let wait = self.observer.retry(&mut self.backoff, &stop);
                self.is_waiting = true;
                ctx.run_later(wait, |reader, ctx| {
                    reader.is_waiting = false;
                    reader.pump(ctx);
                });
            }
            Err(stop) => {
                self.observer.stopped(&stop);
                return self.drained(ctx);
            }
        }
        self.work = Some(work);
        if self.again || !self.draining.is_empty() {
            self.pump(ctx);
        }
    }

    /// After a successful turn: reports the missing frames and schedules the next attempt to read them.
    fn look_at_missing(&mut self, work: &mut Work<S>, ctx: &mut Context<Self>) {
        let has_failed = self.observer.succeeded(&mut self.backoff);
        let is_other = self.missing.see(work.owner.missing(), Instant::now());
        work.subscription.applied(&self.missing.targets());
        if is_other || (has_failed && !self.missing.all().is_empty()) {
            self.observer.missing(work.owner.id(), self.missing.all());
        }
        if let Some(before) = self.look.take() {
            ctx.cancel_future(before);
        }
        if let Some(due) = self.missing.due() {
            self.look =
                Some(ctx.run_later(due.saturating_duration_since(Instant::now()), |reader, ctx| reader.pump(ctx)));
        }
    }

    fn drained(&mut self, ctx: &mut Context<Self>) {
        for done in self.draining.drain(..) {
            let _gone = done.send(());
        }
        actix::ActorContext::stop(ctx);
    }
}

impl<S: Stage> Actor for Reader<S> {
    type Context = Context<Self>;

    /// The actor's thread ends with the actor.
    fn stopped(&mut self, _: &mut Self::Context) {
        // Queued behind the replies that are still in progress.
        actix::spawn(async { Arbiter::current().stop() });
    }
}

impl<S: Stage> Handler<Wakeup> for Reader<S> {
    type Result = ();

    fn handle(&mut self, _: Wakeup, ctx: &mut Context<Self>) {
        self.pump(ctx);
    }
}

impl<S: Stage> Handler<Drain> for Reader<S> {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: Drain, ctx: &mut Context<Self>) -> Self::Result {
        let (done, drained) = oneshot::channel();
        self.draining.push(done);
        if self.work.is_some() {
            self.drained(ctx);
        }
        Box::pin(async {
            let _stopped = drained.await;
        })
    }
}

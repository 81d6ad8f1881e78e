//! A turn: read, prepare, commit, reply; and the faults in between.

use conformance::CommitFault;
use dataflow::message::BrokerMessage;
use dataflow::{Committed, Delivery, OwnerError, StreamBroker as _};
use stage::{Admission, Stage, read_events};

use super::super::coverage::Hit;
use super::super::scene::{Mutant, Scene, now};
use super::super::violation::{Checked, ensure, stopped};
use super::{Held, Open, Seat, Turn};

/// The result of preparing a batch; `None` if there is nothing to do.
pub(super) type MaybeOpen<F, R> = Result<Option<Open<F, R>>, OwnerError>;

/// The maximum number of requests in a batch.
const REQUESTS_MAX: usize = 12;

/// Where a turn ends early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Boundary {
    /// The turn does not end early.
    None,
    /// The owner crashes with its batch prepared.
    BeforeCommit,
    /// The owner crashes with its batch committed, before it sends a reply or notifies a reader.
    AfterCommit,
    /// The owner freezes with its batch prepared.
    Freeze,
}

impl<S: Stage, R: Clone> Seat<S, R> {
    pub(super) fn work(&mut self, mut held: Held<S, R>, scene: &mut Scene<'_>) -> Checked<Turn> {
        let boundaries = [Boundary::BeforeCommit, Boundary::AfterCommit, Boundary::Freeze];
        let one = *scene.random.pick(&boundaries);
        let boundary = if scene.random.chance(scene.weather.owners) { one } else { Boundary::None };
        let whole = scene.mutant.is_none() && scene.random.chance(500);
        let fault = scene.commit_fault();
        if scene.read_fails() {
            held.faults.fail_read(scene.reads_before_fault());
        }
        if boundary == Boundary::None && whole && held.subscription.is_some() {
            held.goes_wrong(fault);
            return self.take_whole(held, scene);
        }
        let open = match self.prepare(&mut held, scene)? {
            Ok(Some(open)) => open,
            Ok(None) => {
                self.held = Some(held);
                return Ok(Turn::Idle);
            }
            Err(stop) => return self.failed(held, &stop, Default::default(), scene),
        };
        if scene.mutant == Some(Mutant::PublishBeforeCommit) {
            for frame in open.prepared.frames() {
                let message = BrokerMessage::of_frame(frame, "", &scene.broker.new_session());
                scene.broker.streams.append(&frame.target, message);
                scene.published.insert(frame.target.clone());
            }
        }
        match boundary {
            Boundary::BeforeCommit => {
                scene.hit(Hit::CrashBeforeCommit);
                scene.say(&format!("{} crashes before its commit", self.id));
                return Ok(Turn::Died);
            }
            Boundary::Freeze => {
                scene.hit(Hit::FrozenInBatch);
                scene.say(&format!("{} freezes with its batch prepared", self.id));
                held.open = Some(open);
                self.zombies.push(held);
                return Ok(Turn::Worked);
            }
            Boundary::None | Boundary::AfterCommit => held.goes_wrong(fault),
        }
        let Open { prepared, mut asked, mut replies, frames } = open;
        let counted = (asked.len(), replies.len());
        if scene.mutant == Some(Mutant::ReplyBeforeCommit) {
            self.reply(std::mem::take(&mut asked), std::mem::take(&mut replies));
        }
        match now(held.owner.commit(prepared)) {
            Ok(committed) => {
                self.check_committed(&held, counted, frames)?;
                if boundary == Boundary::AfterCommit {
                    scene.hit(Hit::CrashAfterCommit);
                    scene.say(&format!("{} crashes after its commit of {}", self.id, shown(&committed)));
                    return Ok(Turn::Died);
                }
                self.committed(held, &committed, (asked, replies), scene);
                Ok(Turn::Worked)
            }
            Err(stop) => self.failed(held, &stop, (asked, replies), scene),
        }
    }

    /// A whole turn by [`dataflow::Owner::process`], as in production.
    fn take_whole(&mut self, mut held: Held<S, R>, scene: &mut Scene<'_>) -> Checked<Turn> {
        let deliveries = self.read(&mut held, scene)?;
        let (delivered, mut seen) = (deliveries.len(), Vec::new());
        let taken = now(held.owner.process(deliveries, scene.now, |admission| seen.push(admission)));
        let complete = delivered == seen.len() || taken.as_ref().is_err_and(|stop| !stop.is_transient());
        ensure!(complete, Counted, "{} received {delivered} frames and processed {}", self.id, seen.len());
        let frames = count(&mut held, &seen, scene);
        match taken {
            Ok(Some(committed)) => {
                self.check_committed(&held, (0, 0), frames)?;
                self.committed(held, &committed, Default::default(), scene);
                Ok(Turn::Worked)
            }
            Ok(None) => {
                self.held = Some(held);
                Ok(if delivered == 0 { Turn::Idle } else { Turn::Worked })
            }
            Err(stop) => self.failed(held, &stop, Default::default(), scene),
        }
    }

    pub(super) fn prepare(&mut self, held: &mut Held<S, R>, scene: &mut Scene<'_>) -> Checked<MaybeOpen<S::Input, R>> {
        let Some(submit) = self.submit else {
            let (admitted, frames) = self.admit(held, scene)?;
            if frames == 0 {
                return Ok(Ok(None));
            }
            let prepared = now(held.owner.prepare_frames(admitted, scene.now));
            let open = |prepared| Some(Open { prepared, asked: Vec::new(), replies: Vec::new(), frames });
            return Ok(prepared.map(open));
        };
        let asked = self.choose(scene);
        let next = self.newest()?.map(|newest| newest.number.next());
        if let Some(number) = next {
            scene.copied_when.insert((self.id.clone(), held.epoch, number), scene.copied);
        }
        if asked.is_empty() {
            return Ok(Ok(None));
        }
        let requests = asked.iter().map(|(_, request)| request.clone()).collect();
        let submitted = submit(&mut held.owner, requests, scene.now);
        Ok(submitted.map(|(prepared, replies)| Some(Open { prepared, asked, replies, frames: 0 })))
    }

    /// Some of the requests without a reply, at a new time, as when a client sends them again.
    fn choose(&mut self, scene: &mut Scene<'_>) -> super::Asked<S::Input> {
        let mut asked = self.pending.clone();
        scene.random.shuffle(&mut asked);
        let some = if scene.random.chance(500) { 1 } else { scene.random.between(1, REQUESTS_MAX) };
        asked.truncate(some);
        for (_, request) in &mut asked {
            request.cause.time = scene.now;
        }
        if asked.len() > 1 {
            scene.hit(Hit::GroupCommit);
        }
        asked
    }

    /// The frames that arrive, with the faults of their delivery.
    fn read(&self, held: &mut Held<S, R>, scene: &mut Scene<'_>) -> Checked<Vec<Delivery>> {
        let Some(subscription) = &mut held.subscription else {
            return Ok(Vec::new());
        };
        if held.cut {
            subscription.rewind(held.owner.checkpoint());
            held.owner.discard_uncommitted();
            held.inbox.clear();
            held.cut = false;
        }
        if held.inbox.is_empty() {
            let ready = now(subscription.ready(&held.owner.checkpoint().positions)).map_err(|error| stopped(&error))?;
            held.inbox.extend(ready);
        }
        // Nothing more arrives, and frames are missing: read their streams from the first message, once for each gap.
        let missing = held.owner.missing();
        if held.inbox.is_empty() && missing != held.looked_for {
            for missing in &missing {
                held.owner.reads_again(&missing.target);
                subscription.seek_to_start(&missing.target);
            }
            scene.hit(Hit::ReadAgain);
            let ready = now(subscription.ready(&held.owner.checkpoint().positions)).map_err(|error| stopped(&error))?;
            held.inbox.extend(ready);
            held.looked_for = missing;
        }
        let mut all: Vec<Delivery> = held.inbox.drain(..).collect();
        if all.is_empty() {
            return Ok(all);
        }
        if scene.random.chance(scene.weather.deliveries) {
            held.cut = true;
            disturb(&mut all, scene);
        } else if scene.random.chance(scene.weather.deliveries) {
            let some = scene.random.between(1, all.len());
            held.inbox.extend(all.split_off(some));
            scene.hit(Hit::PartTaken);
        }
        Ok(all)
    }

    #[expect(clippy::type_complexity, reason = "these are the parts of a batch")]
    fn admit(
        &self,
        held: &mut Held<S, R>,
        scene: &mut Scene<'_>,
    ) -> Checked<(Vec<(stage::Frame, Vec<stage::Event<S::Input>>)>, u64)> {
        let (mut admitted, mut seen) = (Vec::new(), Vec::new());
        for delivery in self.read(held, scene)? {
            let frame = delivery.frame.clone();
            let (admission, next) = held.owner.admit(delivery).map_err(|stop| stopped(&stop))?;
            seen.push(admission);
            admitted.extend(next);
            // Only in a stage without a row that must not be written twice.
            let mutant = scene.mutant == Some(Mutant::NoDuplicateCheck) && S::NAME == ledger::post::Post::NAME;
            let again = admission == Admission::Duplicate && mutant;
            let is_gap = matches!(admission, Admission::Gap { .. });
            let past_gap = is_gap && scene.mutant == Some(Mutant::ApplyPastGap);
            if past_gap || (again && scene.random.chance(300)) {
                let events = read_events::<S::Input>(&frame.body).map_err(|error| stopped(&error))?;
                admitted.push((frame, events));
            }
        }
        count(held, &seen, scene);
        let frames = admitted.len() as u64;
        Ok((admitted, frames))
    }
}

impl<S: Stage, R> Held<S, R> {
    fn goes_wrong(&mut self, fault: Option<CommitFault>) {
        self.faults.push(fault);
        self.fault = fault;
    }
}

/// Counts the admissions of frames. Returns the number of frames to apply.
fn count<S: Stage, R>(held: &mut Held<S, R>, seen: &[Admission], scene: &mut Scene<'_>) -> u64 {
    let mut next = 0;
    for admission in seen {
        match admission {
            Admission::Next => next += 1,
            Admission::Duplicate => scene.hit(Hit::Duplicate),
            Admission::Gap { .. } => scene.hit(Hit::Gap),
            Admission::Damaged => scene.hit(Hit::Damaged),
            Admission::Fork | Admission::UnknownProducer => {}
        }
    }
    held.read_only |= next == 0 && !seen.is_empty();
    next
}

/// The connection breaks; the frames that arrived before are cut off, out of order, repeated or damaged.
fn disturb(all: &mut Vec<Delivery>, scene: &mut Scene<'_>) {
    let at = scene.random.below(all.len());
    match scene.random.below(3) {
        0 => {
            all.truncate(at + 1);
            scene.hit(Hit::ConnectionCut);
        }
        1 => {
            let mut again = all[at].clone();
            again.resume_point = None;
            let place = scene.random.below(all.len() + 1);
            all.insert(place, again);
            scene.random.shuffle(all);
            // The offsets of reordered frames are unknown.
            all.iter_mut().for_each(|delivery| delivery.resume_point = None);
            scene.hit(Hit::Reordered);
        }
        _ => {
            let frame = &mut all[at].frame;
            super::super::publisher::damage(frame, &mut scene.random);
        }
    }
}

/// A short description of a batch.
pub(super) fn shown(committed: &Committed) -> String {
    let Committed { facts, changes, frames, .. } = committed;
    let frames: Vec<_> = frames.iter().map(|frame| format!("{}#{}", frame.target, frame.seq)).collect();
    format!("{facts} facts: {} rows, emits [{}]", changes.len(), frames.join(", "))
}

/// Whether the error means that another owner has claimed the partition.
pub(super) fn is_fenced(stop: &OwnerError) -> bool {
    matches!(stop, OwnerError::Fenced(_))
}

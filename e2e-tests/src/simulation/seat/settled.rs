//! The results of a commit, and what follows from them.

use conformance::CommitFault;
use dataflow::{CommitError, Committed, OwnerError};
use stage::{Consumed, Stage};

use super::super::coverage::Hit;
use super::super::scene::{Mutant, Scene, now};
use super::super::violation::{Checked, ensure, stopped};
use super::batch::{is_fenced, shown};
use super::{Asked, Chair as _, Held, Seat, Turn};

/// The result of resolving a doubt: the batch, or `None` if it was not written.
pub(super) type Resolved = Result<Option<Committed>, OwnerError>;

impl<S: Stage, R: Clone> Seat<S, R> {
    /// Checks that the state of an owner after a commit is the stored one, and that nothing went uncounted.
    pub(super) fn check_committed(&self, held: &Held<S, R>, (asked, replies): (usize, usize), frames: u64) -> Checked {
        let id = &self.id;
        if held.subscription.is_none() {
            ensure!(replies == asked, Counted, "{id} accepted {asked} requests and sent {replies} replies");
            return Ok(());
        }
        let Some(newest) = self.newest()? else { return Ok(()) };
        let stored = newest.parse_checkpoint().map_err(|error| stopped(&error))?;
        ensure!(stored == *held.owner.checkpoint(), Positions, "{id} has another checkpoint than it committed");
        let read = newest.parse_consumed().map_err(|error| stopped(&error))?;
        let ranges = if let Consumed::Frames(ranges) = read { ranges } else { Vec::new() };
        let recorded: u64 = ranges.iter().map(|run| run.frames).sum();
        ensure!(recorded == frames, Counted, "{id} admitted {frames} frames and recorded {recorded}");
        Ok(())
    }

    /// The batch is durable: the replies may be sent.
    pub(super) fn committed(
        &mut self,
        mut held: Held<S, R>,
        committed: &Committed,
        (asked, replies): (Asked<S::Input>, Vec<R>),
        scene: &mut Scene<'_>,
    ) {
        scene.say(&format!("{} commits {}", self.id, shown(committed)));
        held.read_only = false;
        scene.backlog(self.store.meta().service).emitted(&committed.frames);
        self.reply(asked, replies);
        self.held = Some(held);
    }

    pub(super) fn reply(&mut self, asked: Asked<S::Input>, replies: Vec<R>) {
        self.pending.retain(|(ticket, _)| asked.iter().all(|(answered, _)| answered != ticket));
        let requests = asked.into_iter().map(|(_, request)| request);
        self.answered.extend(requests.zip(replies));
    }

    /// The batch was not committed, or the commit is in doubt.
    pub(super) fn failed(
        &mut self,
        mut held: Held<S, R>,
        stop: &OwnerError,
        (asked, replies): (Asked<S::Input>, Vec<R>),
        scene: &mut Scene<'_>,
    ) -> Checked<Turn> {
        scene.say(&format!("{} cannot commit: {}", self.id, super::super::violation::stopped(stop).what));
        match stop {
            OwnerError::Unavailable { .. } => {
                let refused = held.fault.take() == Some(CommitFault::Refused);
                scene.hit(if refused { Hit::CommitRefused } else { Hit::ReadFailed });
                held.owner.discard_uncommitted();
                held.cut = true;
                self.held = Some(held);
                Ok(Turn::Worked)
            }
            OwnerError::InDoubt { .. } => {
                match held.fault.take() {
                    Some(CommitFault::LostBefore) => scene.hit(Hit::CommitLostBefore),
                    Some(CommitFault::LostAfter) => scene.hit(Hit::CommitLostAfter),
                    Some(CommitFault::Refused | CommitFault::Late) | None => {}
                }
                self.doubts(&mut held, asked, replies);
                self.held = Some(held);
                Ok(Turn::Worked)
            }
            OwnerError::Fenced(_) => {
                ensure!(self.epoch()? != held.epoch, Fence, "{} was fenced, but nobody else has claimed", self.id);
                Ok(Turn::Died)
            }
            OwnerError::Stage { .. } | OwnerError::Frame { .. } | OwnerError::Panicked { .. } => Err(stopped(stop)),
        }
    }

    /// Finds out whether an in-doubt commit was written: claims, and then reads back.
    pub(super) fn resolve(&mut self, mut held: Held<S, R>, scene: &mut Scene<'_>) -> Checked<Turn> {
        if scene.random.chance(scene.weather.owners) {
            self.held = Some(held);
            let died = scene.random.chance(500) && self.crash(scene);
            return Ok(if died || !self.freeze(scene) { Turn::Died } else { Turn::Worked });
        }
        // `resolve` tries to claim more than once.
        if let Some(fault) = scene.commit_fault() {
            (0..3).for_each(|_| held.faults.push(Some(fault)));
        }
        if scene.read_fails() {
            held.faults.fail_read(scene.reads_before_fault());
        }
        let resolved = self.try_to_resolve(&mut held, scene)?;
        match resolved {
            Ok(found) => {
                scene.hit(if found.is_some() { Hit::ResolvedWritten } else { Hit::ResolvedLost });
                scene.say(&format!(
                    "{} was in doubt; its commit {}",
                    self.id,
                    if found.is_some() { "was written" } else { "was lost" }
                ));
                self.after_doubt(&mut held)?;
                let asked = std::mem::take(&mut held.in_doubt);
                let replies = std::mem::take(&mut held.in_doubt_replies);
                match found {
                    Some(committed) => self.committed(held, &committed, (asked, replies), scene),
                    None => self.held = Some(held),
                }
                Ok(Turn::Worked)
            }
            Err(stop) if is_fenced(&stop) => {
                ensure!(self.epoch()? != held.epoch, Fence, "{} was fenced, but nobody else has claimed", self.id);
                scene.say(&format!("{} was in doubt, and another owner has claimed", self.id));
                Ok(Turn::Died)
            }
            Err(stop) if stop.is_transient() => {
                self.late.push((held.serial, held.faults.clone()));
                scene.hit(if matches!(stop, OwnerError::Unavailable { .. }) {
                    Hit::ReadFailed
                } else {
                    Hit::StillInDoubt
                });
                scene.say(&format!("{} is still in doubt", self.id));
                self.held = Some(held);
                Ok(Turn::Worked)
            }
            Err(stop) => Err(stopped(&stop)),
        }
    }

    /// The owner has claimed again, and reads again from the checkpoint.
    pub(super) fn after_doubt(&self, held: &mut Held<S, R>) -> Checked {
        ensure!(self.epoch()? > held.doubt_epoch, Fence, "{} resolved a doubt without claiming", self.id);
        held.cut = true;
        Ok(())
    }

    /// The commit is in doubt and may still arrive.
    pub(super) fn doubts(&mut self, held: &mut Held<S, R>, asked: Asked<S::Input>, replies: Vec<R>) {
        held.in_doubt = asked;
        held.in_doubt_replies = replies;
        held.doubt_epoch = held.epoch;
        self.late.push((held.serial, held.faults.clone()));
    }

    /// Resolves a doubt. If there is a new claim afterwards, it is this owner's.
    pub(super) fn try_to_resolve(&self, held: &mut Held<S, R>, scene: &Scene<'_>) -> Checked<Resolved> {
        let before = self.epoch()?;
        held.faults.skip_claims(scene.mutant == Some(Mutant::ResolveWithoutClaim));
        let resolved = now(held.owner.resolve(scene.now));
        held.faults.skip_claims(false);
        let after = self.epoch()?;
        if after != before {
            held.epoch = after;
        }
        Ok(resolved)
    }

    /// A delayed commit arrives. It is written if its batch number is still free.
    pub(super) fn land_one(&mut self, scene: &mut Scene<'_>) -> Checked<bool> {
        while !self.late.is_empty() {
            let at = scene.random.below(self.late.len());
            let before = self.newest()?.map_or(0, |newest| newest.number.0);
            let (serial, epoch) = (self.late[at].0, self.epoch()?);
            let Some(landed) = now(self.late[at].1.land(&self.store)) else {
                self.late.swap_remove(at);
                continue;
            };
            let after = self.newest()?.map_or(0, |newest| newest.number.0);
            let hit = match landed {
                Ok(()) => Hit::CommitLateWritten,
                Err(CommitError::Fenced) => Hit::CommitLateFenced,
                Err(error) => return Err(stopped(&error)),
            };
            let written = after == before + u64::from(hit == Hit::CommitLateWritten);
            ensure!(written, Fence, "a late commit of {} took a batch number that was taken", self.id);
            let claimed = self.epoch()?;
            let all = self.held.iter_mut().chain(&mut self.zombies);
            for held in all.filter(|held| held.serial == serial && claimed != epoch) {
                held.epoch = claimed;
            }
            scene.hit(hit);
            scene.say(&format!("{}: a late commit arrives: {hit:?}", self.id));
            return Ok(true);
        }
        Ok(false)
    }
}

//! A frozen owner wakes up and continues where it was.

use dataflow::{Committed, OwnerError};
use stage::Stage;

use super::super::coverage::Hit;
use super::super::scene::{Scene, now};
use super::super::violation::{Checked, ensure, stopped};
use super::batch::{is_fenced, shown};
use super::{Asked, Held, Open, Seat};

/// What a woken owner tried: the result, the requests of the batch, and the replies to them.
type Tried<F, R> = (Result<Option<Committed>, OwnerError>, Asked<F>, Vec<R>);

impl<S: Stage, R: Clone> Seat<S, R> {
    pub(super) fn wake_one(&mut self, scene: &mut Scene<'_>) -> Checked<bool> {
        if self.zombies.is_empty() {
            return Ok(false);
        }
        let at = scene.random.below(self.zombies.len());
        let mut held = self.zombies.swap_remove(at);
        let before = self.newest()?;
        let superseded = before.as_ref().is_some_and(|newest| newest.epoch != held.epoch);
        let was_in_doubt = held.owner.is_in_doubt();
        let (tried, asked, replies) = self.go_on(&mut held, scene)?;
        let after = self.newest()?;
        let unchanged = after == before;
        match tried {
            Ok(committed) if superseded && !(unchanged && committed.as_ref().is_none_or(is_without_effect)) => {
                ensure!(false, Fence, "{} committed after another owner had claimed", self.id);
            }
            // A batch without effect, such as a retry, only reads, so it needs no fence.
            Ok(committed) => {
                if let Some(committed) = committed {
                    scene.say(&format!("{} wakes up and commits {}", self.id, shown(&committed)));
                    scene.backlog(self.store.meta().service).emitted(&committed.frames);
                    self.reply(asked, replies);
                }
                if was_in_doubt {
                    self.after_doubt(&mut held)?;
                }
                if !superseded {
                    scene.hit(Hit::WokeInTime);
                    self.held = Some(held);
                }
            }
            Err(stop) if is_fenced(&stop) => {
                ensure!(superseded, Fence, "{} woke up and was fenced, but nobody else has claimed", self.id);
                ensure!(unchanged, Fence, "{} was fenced and has written something", self.id);
                scene.hit(if was_in_doubt { Hit::ZombieFencedInDoubt } else { Hit::ZombieFenced });
                scene.say(&format!("{} wakes up and is fenced", self.id));
                self.stays_fenced(held, scene)?;
            }
            Err(stop) if stop.is_transient() => {
                scene.say(&format!("{} wakes up: {stop}", self.id));
                if was_in_doubt {
                    self.late.push((held.serial, held.faults.clone()));
                } else if held.owner.is_in_doubt() {
                    self.doubts(&mut held, asked, replies);
                } else {
                    held.owner.discard_uncommitted();
                    held.cut = true;
                }
                self.zombies.push(held);
            }
            Err(stop) => return Err(stopped(&stop)),
        }
        Ok(true)
    }

    fn go_on(&mut self, held: &mut Held<S, R>, scene: &mut Scene<'_>) -> Checked<Tried<S::Input, R>> {
        if held.owner.is_in_doubt() {
            let resolved = self.try_to_resolve(held, scene)?;
            return Ok((resolved, held.in_doubt.clone(), held.in_doubt_replies.clone()));
        }
        let open = match held.open.take() {
            Some(open) => Ok(Some(open)),
            None => self.prepare(held, scene)?,
        };
        let Open { prepared, asked, replies, .. } = match open {
            Ok(Some(open)) => open,
            Ok(None) => return Ok((Ok(None), Vec::new(), Vec::new())),
            Err(stop) => return Ok((Err(stop), Vec::new(), Vec::new())),
        };
        Ok((now(held.owner.commit(prepared)).map(Some), asked, replies))
    }

    /// Checks that a fenced owner never claims again, whatever it tries.
    fn stays_fenced(&mut self, mut held: Held<S, R>, scene: &mut Scene<'_>) -> Checked {
        let before = self.newest()?;
        let (tried, ..) = self.go_on(&mut held, scene)?;
        let fenced = match &tried {
            Ok(_) => true,
            Err(stop) => is_fenced(stop) || stop.is_transient(),
        };
        ensure!(fenced, Fence, "{} was fenced, and then stopped with another error", self.id);
        ensure!(self.newest()? == before, Fence, "{} was fenced and claimed again", self.id);
        Ok(())
    }
}

/// Whether a batch of requests changed nothing. Such a batch is not written, but its requests get replies.
fn is_without_effect(committed: &Committed) -> bool {
    committed.changes.is_empty() && committed.frames.is_empty() && committed.facts > 0
}

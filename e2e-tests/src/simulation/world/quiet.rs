//! After the last fault, the system comes to rest within a bounded number of rounds.

use std::fmt::Write as _;

use super::World;
use crate::simulation::publisher::Publisher;
use crate::simulation::seat::Turn;
use crate::simulation::violation::{Checked, Invariant, Violation};

/// The maximum number of rounds until the system is at rest. A purchase takes about ten.
const ROUNDS_MAX: u32 = 60;

impl World<'_> {
    /// Ends all faults, and continues until there is nothing left to do.
    pub(super) fn come_to_rest(&mut self) -> Checked {
        self.publishers.iter_mut().for_each(Publisher::end_frozen);
        self.scene.calm();
        self.scene.say("no more faults");
        self.republish_damaged();
        for _ in 0..ROUNDS_MAX {
            if !self.round()? && self.is_at_rest()? {
                return Ok(());
            }
        }
        Err(Violation { invariant: Invariant::Stuck, what: self.diagnosis()? })
    }

    /// One round: every partition takes a turn, and every publisher. Returns `false` if none had anything to do.
    fn round(&mut self) -> Checked<bool> {
        let mut worked = false;
        for at in 0..self.chairs().count() {
            self.quiet_step();
            worked |= self.turn(at)? != Turn::Idle;
            self.check()?;
            let (chair, scene) = self.chair(at);
            while chair.land(scene)? {}
            chair.wake(scene)?;
            self.check()?;
        }
        for at in 0..self.publishers.len() {
            self.quiet_step();
            let Self { scene, publishers, .. } = self;
            while publishers[at].step(0, scene)? {
                worked = true;
            }
            self.check()?;
        }
        Ok(worked)
    }

    fn quiet_step(&mut self) {
        self.scene.notes.step += 1;
        self.scene.now += chrono::TimeDelta::seconds(1);
    }

    fn is_at_rest(&self) -> Checked<bool> {
        let waiting: usize = self.chairs().map(|chair| chair.waiting()).sum();
        let mut is_published = true;
        for publisher in &self.publishers {
            is_published &= publisher.unpublished()?.is_empty();
        }
        Ok(waiting == 0 && is_published && self.checks.all_is_read(&self.reads()))
    }

    fn reads(&self) -> Vec<(stage::Producer, Vec<stage::StreamPartition>)> {
        self.chairs().map(|chair| (chair.id().clone(), chair.reads().to_vec())).collect()
    }

    fn diagnosis(&self) -> Checked<String> {
        let mut text = format!("not at rest after {ROUNDS_MAX} rounds");
        for chair in self.chairs().filter(|chair| chair.waiting() > 0) {
            let _infallible = write!(text, "\n  {}: {} requests wait", chair.id(), chair.waiting());
        }
        for publisher in &self.publishers {
            for producer in publisher.unpublished()? {
                let _infallible = write!(text, "\n  {producer}>{} is not published", publisher.target);
            }
        }
        for line in self.checks.diagnosis(&self.reads()) {
            let _infallible = write!(text, "\n  {line}");
        }
        Ok(text)
    }
}

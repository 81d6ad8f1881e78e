//! Faults that occur between two turns.

use super::World;
use crate::simulation::coverage::Hit;
use crate::simulation::violation::Checked;

/// The maximum number of messages that the broker loses from the end of a stream.
const TAIL_MAX: usize = 8;

impl World<'_> {
    pub(super) fn fault(&mut self) -> Checked {
        let weather = self.scene.weather;
        let chairs = self.chairs().count();
        let at = self.scene.random.below(chairs);
        match self.scene.random.below(15) {
            0 if self.scene.random.chance(weather.owners * 4) => {
                let (chair, scene) = self.chair(at);
                let (died, id) = (chair.crash(scene), chair.id().clone());
                if died {
                    self.stop_publishing(&id);
                }
                Ok(())
            }
            1 if self.scene.random.chance(weather.owners * 4) => {
                let (chair, scene) = self.chair(at);
                chair.freeze(scene);
                Ok(())
            }
            2..5 => self.wake_any(at),
            5 | 6 => self.land_any(at),
            7 | 8 => self.lose(weather.streams),
            9 if self.scene.random.chance(weather.publications) => {
                let publisher = self.scene.random.below(self.publishers.len());
                self.publishers[publisher].replay(&mut self.scene).map(|_| ())
            }
            10 if self.scene.random.chance(weather.owners * 2) => {
                let service = self.chair(at).0.store().meta().service;
                let all = self.scene.random.chance(400);
                self.crash_of((!all).then_some(service));
                Ok(())
            }
            12 if self.scene.random.chance(weather.owners) => {
                let publisher = self.scene.random.below(self.publishers.len());
                self.publishers[publisher].freeze(&mut self.scene);
                Ok(())
            }
            13 => self.wake_publisher(),
            14 if self.scene.random.chance(weather.owners / 4) => {
                self.republish_any();
                Ok(())
            }
            11 if self.scene.random.chance(weather.publications) => {
                let step = self.scene.notes.step;
                self.scene.blocked_until = step + self.scene.random.between(5, self.scene.size.0 / 10) as u64;
                self.scene.hit(Hit::BrokerBlocked);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    pub(super) fn wake_any(&mut self, first: usize) -> Checked {
        let chairs = self.chairs().count();
        for at in (first..chairs).chain(0..first) {
            let (chair, scene) = self.chair(at);
            if chair.wake(scene)? {
                break;
            }
        }
        Ok(())
    }

    fn wake_publisher(&mut self) -> Checked {
        let Self { scene, publishers, .. } = self;
        let (count, first) = (publishers.len(), scene.random.below(publishers.len()));
        for at in (first..count).chain(0..first) {
            if publishers[at].wake(scene)? {
                break;
            }
        }
        Ok(())
    }

    fn land_any(&mut self, first: usize) -> Checked {
        let chairs = self.chairs().count();
        for at in (first..chairs).chain(0..first) {
            let (chair, scene) = self.chair(at);
            if chair.land(scene)? {
                break;
            }
        }
        Ok(())
    }

    /// Crashes all owners of a service, or of all services if there is no name.
    fn crash_of(&mut self, service: Option<&str>) {
        self.scene.hit(if service.is_some() { Hit::CrashOfService } else { Hit::CrashOfAll });
        self.scene.say(&format!("{} crashes", service.unwrap_or("everything")));
        self.scene.lose_backlog(service);
        for at in 0..self.chairs().count() {
            let (chair, scene) = self.chair(at);
            if service.is_none_or(|service| chair.store().meta().service == service) {
                chair.crash(scene);
                let id = chair.id().clone();
                self.stop_publishing(&id);
            }
        }
    }

    /// The broker loses a stream or the end of a stream, or a stream is deleted, or deleted and created again, which its
    /// publishers do not notice at once. Mostly it is a stream with messages on the way.
    fn lose(&mut self, chance: u32) -> Checked {
        let targets = self.targets();
        let busy: Vec<_> = targets.iter().filter(|target| !self.scene.broker.sending(target).is_empty()).collect();
        let prefers_busy = self.scene.random.chance(850) && !busy.is_empty();
        let target =
            if prefers_busy { *self.scene.random.pick(&busy) } else { self.scene.random.pick(&targets) }.clone();
        if !self.scene.random.chance(chance * 5) || !self.scene.broker.streams.exists(&target) {
            return Ok(());
        }
        let (what, hit) = match self.scene.random.below(8) {
            0 | 1 => ("is lost", Hit::StreamLost),
            2 | 3 => ("is deleted", Hit::StreamDeleted),
            4 | 5 => ("is deleted and created again", Hit::StreamRecreated),
            _ => ("loses its end", Hit::TailLost),
        };
        self.scene.say(&format!("the stream {target} {what}"));
        self.scene.hit(hit);
        if hit == Hit::TailLost {
            let messages = self.scene.random.between(1, TAIL_MAX);
            self.scene.broker.streams.lose_tail(&target, messages);
        } else {
            self.scene.broker.streams.lose(&target);
        }
        if hit == Hit::StreamRecreated {
            self.scene.broker.streams.declare(&target);
        }
        self.checks.lost(&target);
        if hit == Hit::StreamLost || hit == Hit::TailLost {
            self.connections_break(&target);
        }
        Ok(())
    }

    /// Breaks the connections of all publishers and readers of a stream, so that they attach again.
    fn connections_break(&mut self, target: &stage::StreamPartition) {
        self.scene.broker.break_connections(target);
        for at in 0..self.chairs().count() {
            let (chair, _) = self.chair(at);
            if chair.reads().contains(target) {
                chair.cut();
            }
        }
    }

    /// Publishes a journal again, as an operator would.
    fn republish_any(&mut self) {
        let Self { scene, publishers, .. } = self;
        let publisher = scene.random.pick(publishers);
        publisher.republish(scene.random.pick(&publisher.producers));
    }

    /// Publishes the journals again of which a stream holds a damaged copy of a frame, as an operator would.
    pub(super) fn republish_damaged(&mut self) {
        let Self { scene, publishers, .. } = self;
        for (producer, target) in std::mem::take(&mut scene.damaged) {
            publishers.iter().filter(|publisher| publisher.target == target).for_each(|p| p.republish(&producer));
        }
    }
}

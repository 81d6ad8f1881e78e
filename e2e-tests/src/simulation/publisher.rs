//! What carries one producer's journal for one target to the broker: the state machine [`Outbox`]
//! between a store and a broker, either of which may be somewhere else a moment later.
//!
//! A publication, a confirm, or the whole channel gets lost; a new owner begins again before its mark.

use dataflow::{Broker, Store};
use stage::{Frame, Hash, Mark, Outbox, Producer, Seq, Target};

use super::coverage::Hit;
use super::random::Random;
use super::scene::{Mutant, Scene, now};
use super::violation::{Checked, stopped};

/// Frames published in one step at most.
const FRAMES_MAX: usize = 6;

/// Publishes one producer's frames for one target.
pub struct Publisher {
    /// Whose.
    pub producer: Producer,
    /// Where to.
    pub target: Target,
    /// It said so to the broker, which has a damaged copy: begin again, as an operator's `republish` does.
    pub is_damaged: bool,
    journal: Store,
    mark: Option<Mark>,
    outbox: Option<Outbox>,
    /// On this channel; in the broker, or lost on the way there.
    unconfirmed: Vec<(Seq, Sent)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sent {
    There,
    Lost,
}

impl Publisher {
    /// Nothing published yet.
    pub fn new(producer: Producer, target: Target, journal: Store) -> Self {
        let (mark, outbox, unconfirmed) = (None, None, Vec::new());
        Self { producer, target, is_damaged: false, journal, mark, outbox, unconfirmed }
    }

    /// Whether it still has to learn which life of the stream this is.
    pub fn is_detached(&self) -> bool {
        self.outbox.is_none()
    }

    /// Begins on a stream of this life, unless it did.
    pub fn attach(&mut self, incarnation: &str, scene: &mut Scene<'_>) {
        let known = self.outbox.as_ref().map(Outbox::mark).or_else(|| self.mark.clone());
        let is_new = known.as_ref().is_some_and(|known| known.incarnation != incarnation);
        if self.outbox.is_some() && !is_new {
            return;
        }
        let mut mark = self.mark.clone();
        if is_new {
            scene.hit(Hit::NewIncarnation);
            if scene.mutant == Some(Mutant::SameLife) {
                mark = known.map(|known| Mark { incarnation: incarnation.to_owned(), ..known });
            }
        }
        let mut outbox = Outbox::attach(mark.as_ref(), incarnation);
        if let (Some(Mutant::SameLife), true, Some(mark)) = (scene.mutant, is_new, &mark) {
            (0..mark.confirmed.0).for_each(|_| outbox.sent());
            (1..=mark.confirmed.0).for_each(|seq| outbox.confirmed(Seq(seq)));
        }
        self.unconfirmed.clear();
        self.is_damaged = false;
        self.outbox = Some(outbox);
        scene.say(&format!("{}>{} attaches to {incarnation}", self.producer, self.target));
    }

    /// Its process died, or its connection broke. What it remembers of its mark may be old, or nothing.
    pub fn detach(&mut self, scene: &mut Scene<'_>) {
        let Some(outbox) = self.outbox.take() else { return };
        if !self.unconfirmed.is_empty() {
            scene.hit(Hit::CrashAfterPublish);
        }
        self.unconfirmed.clear();
        match scene.random.below(4) {
            0 => {
                self.mark = None;
                scene.hit(Hit::MarkLost);
            }
            1 => {}
            _ => self.mark = Some(outbox.mark()),
        }
    }

    /// Publishes what the journal holds and the window allows. `false`: nothing.
    pub fn publish(&mut self, scene: &mut Scene<'_>) -> Checked<bool> {
        let some = scene.random.between(1, FRAMES_MAX);
        let mut published = false;
        for _ in 0..some {
            let Some(seq) = self.outbox.as_ref().and_then(Outbox::wants) else {
                break;
            };
            let Some(frame) = self.frame(seq)? else { break };
            published = true;
            if !self.send(&frame, scene) {
                scene.hit(Hit::Unroutable);
                scene.say(&format!("{}>{} finds no stream", self.producer, self.target));
                self.detach(scene);
                break;
            }
        }
        if published {
            scene.published.insert(self.target.clone());
        } else {
            // Nothing to say does not mean that all is well: the stream may be another one by now.
            published = self.look(scene);
        }
        Ok(published)
    }

    fn look(&mut self, scene: &mut Scene<'_>) -> bool {
        let known = self.outbox.as_ref().map(|outbox| outbox.mark().incarnation);
        let gone = known.is_some() && scene.broker.incarnation(&self.target) != known;
        if gone {
            self.detach(scene);
        }
        gone
    }

    fn send(&mut self, frame: &Frame, scene: &mut Scene<'_>) -> bool {
        let mut sent = Sent::There;
        if scene.random.chance(scene.weather.publications / 2) {
            sent = Sent::Lost;
            scene.hit(Hit::PublicationLost);
        } else if scene.random.chance(scene.weather.damage) {
            let mut copy = frame.clone();
            damage(&mut copy, &mut scene.random);
            self.is_damaged = true;
            scene.hit(Hit::DamagedInStream);
            scene.say(&format!("{}>{}#{} is damaged in the stream", self.producer, self.target, frame.seq));
            if !scene.broker.publish(&copy) {
                return false;
            }
        } else if !scene.broker.publish(frame) {
            return false;
        }
        scene.say(&format!(
            "{}>{}#{} published{}",
            self.producer,
            self.target,
            frame.seq,
            if sent == Sent::Lost { ", lost" } else { "" }
        ));
        if let Some(outbox) = &mut self.outbox {
            outbox.sent();
        }
        self.unconfirmed.push((frame.seq, sent));
        true
    }

    /// Hears of what the broker has. `false`: nothing was on its way.
    pub fn confirm(&mut self, scene: &mut Scene<'_>) -> bool {
        let Some(outbox) = &mut self.outbox else { return false };
        if self.unconfirmed.is_empty() || scene.notes.step < scene.blocked_until {
            return false;
        }
        let disorder = scene.random.chance(scene.weather.publications);
        for _ in 0..scene.random.between(1, self.unconfirmed.len()) {
            let at = if disorder { scene.random.below(self.unconfirmed.len()) } else { 0 };
            if at > 0 {
                scene.hit(Hit::ConfirmLate);
            }
            let (seq, sent) = self.unconfirmed.remove(at);
            if sent == Sent::Lost || scene.random.chance(scene.weather.publications / 2) {
                scene.hit(if sent == Sent::Lost { Hit::PublicationLost } else { Hit::ConfirmLost });
                scene.hit(Hit::Doubt);
                scene.say(&format!("{}>{}#{seq} is not confirmed", self.producer, self.target));
                // The channel is closed with it: no confirm of what was sent on it can come any more.
                outbox.doubt();
                self.unconfirmed.clear();
                return true;
            }
            outbox.confirmed(seq);
        }
        if scene.random.chance(500) {
            self.mark = Some(outbox.mark());
        }
        true
    }

    /// An old copy of a frame gets into the stream once more, out of turn.
    pub fn replay(&mut self, scene: &mut Scene<'_>) -> Checked<bool> {
        let last = self.last()?;
        if last.0 == 0 {
            return Ok(false);
        }
        let seq = Seq(scene.random.between(1, usize::try_from(last.0).unwrap_or(1)) as u64);
        let Some(frame) = self.frame(seq)? else {
            return Ok(false);
        };
        if scene.broker.publish(&frame) {
            scene.published.insert(self.target.clone());
            scene.hit(Hit::Replayed);
            scene.say(&format!("{}>{}#{seq} comes once more", self.producer, self.target));
        }
        Ok(true)
    }

    /// The last frame of its journal.
    pub fn last(&self) -> Checked<Seq> {
        now(self.journal.last_said(&self.producer, &self.target)).map_err(|error| stopped(&error))
    }

    /// Whether everything it has to say is confirmed.
    pub fn is_done(&self) -> Checked<bool> {
        let last = self.last()?;
        Ok(self.outbox.as_ref().map_or(last.0 == 0, |outbox| outbox.is_done(last)))
    }

    fn frame(&self, seq: Seq) -> Checked<Option<Frame>> {
        let frames = now(self.journal.journal(&self.producer, &self.target, seq, 1, usize::MAX));
        Ok(frames.map_err(|error| stopped(&error))?.into_iter().next())
    }
}

/// All publishers of a service attach together: whoever finds a new life tells the others.
pub fn attach_all(publishers: &mut [Publisher], target: &Target, broker: &Broker, scene: &mut Scene<'_>) {
    let marker = scene.marker();
    let incarnation = broker.attach(target, &marker);
    for publisher in publishers.iter_mut().filter(|publisher| publisher.target == *target) {
        publisher.attach(&incarnation, scene);
    }
}

/// Changes one thing of a frame as a broken disk or wire would.
pub fn damage(frame: &mut Frame, random: &mut Random) {
    match random.below(5) {
        0 => {
            let at = random.below(frame.body.len());
            frame.body = frame.body.chars().enumerate().map(|(n, c)| if n == at { flipped(c) } else { c }).collect();
        }
        1 => frame.seq = Seq(frame.seq.0 ^ 1),
        2 => frame.previous = Hash([7; 32]),
        3 => frame.hash = Hash([7; 32]),
        _ => frame.producer.stage = "pist".into(),
    }
}

fn flipped(c: char) -> char {
    char::from_u32(u32::from(c) ^ 1).unwrap_or('?')
}
